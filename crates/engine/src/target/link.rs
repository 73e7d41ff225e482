//! The way to one target under one configuration: how to connect, what every request carries, and idle connections.
//! A reload that changes any of it makes a new link; requests on the wire end on the old one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use fanfold_core::operation::TroubleKind;
use http::HeaderMap;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::service::TowerToHyperService;
use tokio::time::{Instant, timeout};

use super::config::TargetConfig;
use super::connection::{Connection, Connector, Resolver};
use super::failure::Failure;
use super::tls::{BadTls, Tls};
use super::url::TargetUrl;
use crate::lookup::Lookups;
use crate::network::Network;

/// A connection that was idle for longer is closed instead of used. Many servers close theirs after 60 s or more; some,
/// after 5 s, and then the request is repeated where that is safe.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Silence on a connection after which the operating system asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

pub(super) struct Link {
    pub(super) url: TargetUrl,
    pub(super) headers: HeaderMap,
    pub(super) reuse_idle: Duration,
    tls: Option<Tls>,
    connector: Connector,
    /// The one that was put back last is last.
    idle: Mutex<Vec<Idle>>,
    /// No more are kept than can have been in use at once.
    idle_max: usize,
}

/// Opens connections over the machine's network.
fn machine(
    config: &TargetConfig,
    lookups: Lookups,
    platform: impl FnOnce() -> Result<Tls, BadTls>,
) -> Result<Connector, BadTls> {
    let tls = match (&config.tls, config.url.is_secure()) {
        (Some(tls), _) => tls.clone(),
        (None, true) => platform()?,
        (None, false) => Tls::unused()?,
    };
    let mut http = HttpConnector::new_with_resolver(Resolver(lookups));
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(KEEPALIVE));
    Ok(Connector::Machine(TowerToHyperService::new(HttpsConnector::from((http, tls.config())))))
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection that a request may be sent on.
pub(super) struct Checkout {
    pub(super) connection: Connection,
    /// Whether it carried requests before, so that the other side may be about to close it.
    pub(super) reused: bool,
}

impl Link {
    /// # Errors
    /// If TLS cannot be set up.
    pub(super) fn new(
        config: &TargetConfig,
        network: Option<Arc<dyn Network>>,
        lookups: Lookups,
        platform: impl FnOnce() -> Result<Tls, BadTls>,
    ) -> Result<Self, BadTls> {
        let connector = match network {
            Some(network) => Connector::MadeUp(network),
            None => machine(config, lookups, platform)?,
        };
        Ok(Self {
            url: config.url.clone(),
            headers: config.header_map(),
            reuse_idle: config.reuse_idle,
            tls: config.tls.clone(),
            connector,
            idle: Mutex::new(Vec::new()),
            idle_max: config.max_in_flight.saturating_add(config.undo_max_in_flight),
        })
    }

    /// Whether a link made from `config` would be like this one.
    pub(super) fn fits(&self, config: &TargetConfig) -> bool {
        self.url == config.url
            && self.headers == config.header_map()
            && self.tls == config.tls
            && self.reuse_idle == config.reuse_idle
            && self.idle_max == config.max_in_flight.saturating_add(config.undo_max_in_flight)
    }

    /// A connection that was idle for no longer than `idle_max`, or a new one, within `connect`.
    pub(super) async fn connect(&self, idle_max: Duration, connect: Duration) -> Result<Checkout, Failure> {
        while let Some(mut connection) = self.take_idle(idle_max) {
            if std::future::poll_fn(|cx| Poll::Ready(connection.is_usable(cx))).await {
                return Ok(Checkout { connection, reused: true });
            }
        }
        self.connect_anew(connect).await
    }

    /// A new connection, within `connect`.
    pub(super) async fn connect_anew(&self, connect: Duration) -> Result<Checkout, Failure> {
        match timeout(connect, Connection::open(&self.connector, self.url.origin())).await {
            Ok(Ok(connection)) => Ok(Checkout { connection, reused: false }),
            Ok(Err(error)) => Err(Failure::caused(TroubleKind::Unreachable, "no connection", &*error)),
            Err(_) => Err(Failure::new(TroubleKind::Unreachable, format!("no connection within {connect:?}"))),
        }
    }

    /// Keeps a connection for another request, if it can carry one.
    pub(super) fn put_back(&self, mut connection: Connection, cx: &mut Context<'_>) {
        if !connection.is_usable(cx) {
            return;
        }
        let now = Instant::now();
        let mut idle = self.lock();
        idle.retain(|kept| now.duration_since(kept.since) < IDLE_MAX);
        if idle.len() < self.idle_max {
            idle.push(Idle { connection, since: now });
        }
    }

    /// Closes what was idle for too long.
    pub(super) fn close_idle(&self) {
        let now = Instant::now();
        self.lock().retain(|kept| now.duration_since(kept.since) < IDLE_MAX);
    }

    fn take_idle(&self, idle_max: Duration) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = self.lock();
        // The last one was idle for the shortest time: if it is too old, so are the others.
        let last = idle.pop()?;
        if now.duration_since(last.since) < idle_max.min(IDLE_MAX) {
            return Some(last.connection);
        }
        idle.push(last);
        None
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        // A list of connections has no half-way state.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
