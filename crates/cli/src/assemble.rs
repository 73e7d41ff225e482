//! Puts a server together from its settings: store, targets, engine and front doors. Used by `serve` and `demo`.
//!
//! Nothing is decided here beyond the order of starting and stopping, and what a reload replaces.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::TargetName;
use fanfold_engine::target::{self, PassLimits, TargetConfig, Targets};
use fanfold_engine::{Clock, Engine, Membership, NoticeRules, SystemClock};
use fanfold_server::{Front, Parts, Server, ServerConfig};
use fanfold_store::NewNode;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::config::{NoticeSettings, ServerSettings, Settings, TargetSettings};
use crate::failure::Failure;
use crate::opened::OpenStore;

/// What the key of idempotency fingerprints is derived for. Never to be changed: repeated requests would not be recognised.
const FINGERPRINTS: &str = "fanfold idempotency fingerprints";

/// Requests in progress get so much time to be answered at a stop even where attempts on the wire have used up the grace.
const ANSWERS_END: Duration = Duration::from_secs(2);

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Running {
    address: SocketAddr,
    engine: Engine,
    server: Server,
    store: OpenStore,
    shutdown: oneshot::Sender<()>,
    /// The one task of the front doors; it gives the number of connections that were cut off at the end.
    serving: JoinSet<usize>,
}

/// Starts targets, engine and front doors, and takes up what an ended process left behind in the store.
///
/// # Errors
/// If something cannot be set up as configured, or the store cannot be read.
pub(crate) async fn start(settings: &Settings, store: OpenStore, listener: TcpListener) -> Result<Running, Failure> {
    let address = listener.local_addr()?;
    let front = front(settings)?;
    let mut registry = Registry::default();
    let metrics = target::Metrics::default();
    metrics.register(&mut registry);
    let targets = Arc::new(Targets::new(metrics));
    targets.replace(target_configs(settings))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Everything that this process records is later.
    let started_at = clock.now();
    let engine = Engine::start(
        store.store(),
        targets,
        Arc::clone(&clock),
        settings.mounts.clone(),
        engine_config(settings, store.derive_key(FINGERPRINTS)),
        membership(settings, &store, started_at),
    )
    .await?;
    engine.metrics().register(&mut registry);
    let parts = Parts { engine: engine.clone(), store: store.read(), clock, started_at, registry };
    let server = Server::new(server_config(&settings.server), parts, front);
    let (shutdown, stopped) = oneshot::channel::<()>();
    let mut serving = JoinSet::new();
    serving.spawn({
        let server = server.clone();
        // A sender that was dropped asks for the stop as well.
        async move { server.serve(vec![listener], async { drop(stopped.await) }).await }
    });
    Ok(Running { address, engine, server, store, shutdown, serving })
}

/// The settings that differ and that a reload cannot change, by the names they have in the file.
pub(crate) fn fixed_changes(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let (old, new) = (&before.server, &after.server);
    let changes = [
        ("[server] listen", old.listen != new.listen),
        ("[server] request_head_max", old.request_head_max != new.request_head_max),
        ("[server] request_body_max", old.request_body_max != new.request_body_max),
        ("[server] connections_max", old.connections_max != new.connections_max),
        ("[server] followers_max", old.followers_max != new.followers_max),
        ("[server] tls", old.tls != new.tls),
        ("[server] callback", old.callback != new.callback),
        ("[auth]", before.auth != after.auth),
        ("[store]", before.store != after.store),
    ];
    changes.into_iter().filter_map(|(name, is_changed)| is_changed.then_some(name)).collect()
}

impl Running {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces routes, mounts, targets, the rules of notices and the public address: all of them, or, where one cannot be set
    /// up, none.
    ///
    /// # Errors
    /// If something cannot be set up as configured.
    pub(crate) fn reload(&self, settings: &Settings) -> Result<(), Failure> {
        let front = front(settings)?;
        // The last thing that can fail; and targets go first, so that no new route meets a target that is not there yet.
        self.engine.targets().replace(target_configs(settings))?;
        self.engine.replace_mounts(settings.mounts.clone());
        self.engine.replace_notice_rules(notice_rules(&settings.notices));
        self.engine.replace_configuration_hash(settings.work_hash());
        self.server.replace_front(front);
        Ok(())
    }

    /// Waits for it to end although nobody asked it to, which only a mistake in the program can make it do.
    pub(crate) async fn failed(&mut self) -> Failure {
        match self.serving.join_next().await {
            Some(Err(error)) => Failure::Ended(error.to_string()),
            Some(Ok(_)) | None => Failure::Ended("the front doors closed".to_owned()),
        }
    }

    /// Accepts nothing any more; what runs goes on.
    pub(crate) fn refuse_new(&self) {
        self.engine.drain(true);
    }

    /// Stops: accepts and starts nothing more, lets attempts on the wire answer for up to `grace` and records them, finishes the
    /// requests in progress, and closes the store. Questions are answered to the last.
    ///
    /// # Errors
    /// If the store cannot be closed cleanly. Nothing is lost then.
    pub(crate) async fn stop(self, grace: Duration) -> Result<(), Failure> {
        let asked_at = Instant::now();
        let unanswered = self.engine.stop(grace).await;
        if unanswered > 0 {
            tracing::warn!(operations = unanswered, "attempts were still on the wire; the next start sees to them");
        }
        if self.shutdown.send(()).is_err() {
            tracing::debug!("the front doors are closed already");
        }
        let left = grace.saturating_sub(asked_at.elapsed()).max(ANSWERS_END);
        let mut serving = self.serving;
        match timeout(left, serving.join_next()).await {
            Ok(Some(Err(error))) => tracing::error!(%error, "the front doors met a mistake in the program"),
            Ok(Some(Ok(_)) | None) => {}
            Err(_) => {
                tracing::warn!("requests did not end in time, and are cut off");
                serving.shutdown().await;
            }
        }
        self.store.close().await.map_err(Failure::Close)?;
        tracing::info!("stopped");
        Ok(())
    }
}

fn target_configs(settings: &Settings) -> Vec<TargetConfig> {
    settings.targets.values().map(|target| target.config.clone()).collect()
}

fn front(settings: &Settings) -> Result<Front, Failure> {
    let limits: BTreeMap<TargetName, PassLimits> =
        settings.targets.iter().map(|(name, target)| (name.clone(), pass_limits(target))).collect();
    let public_url = settings.server.public_url.clone();
    let front = Front::new(settings.mounts.clone(), Arc::clone(&settings.table), limits, public_url)?;
    Ok(front.with_callbacks(settings.notices.callbacks.clone()))
}

/// A request that is passed through has the bounds of a step. Its body may come in pieces; each may take as long as an answer.
fn pass_limits(target: &TargetSettings) -> PassLimits {
    let step = &target.spec.step;
    PassLimits { connect: step.connect, response: step.response, idle: step.response }
}

fn engine_config(settings: &Settings, fingerprint_key: [u8; 32]) -> fanfold_engine::Config {
    fanfold_engine::Config {
        notices: notice_rules(&settings.notices),
        callback: settings.server.callback,
        ..fanfold_engine::Config::new(fingerprint_key)
    }
}

/// As one of several nodes, where the store may have some.
fn membership(settings: &Settings, store: &OpenStore, joined_at: Timestamp) -> Option<Membership> {
    let (nodes, node) = store.nodes().zip(settings.store.node.as_ref())?;
    let said = NewNode {
        name: node.name.clone(),
        configuration: settings.work_hash(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lease: node.lease,
        joined_at,
    };
    Some(Membership { nodes, node: said })
}

fn notice_rules(settings: &NoticeSettings) -> NoticeRules {
    NoticeRules {
        allow: settings.allow.clone(),
        attempts: settings.attempts,
        backoff: settings.backoff,
        backoff_max: settings.backoff_max,
        timeout: settings.connect + settings.response,
        secrets: settings.secrets.clone(),
        callbacks: settings.callbacks.clone(),
        public_url: settings.public_url.clone(),
        tls: settings.tls.clone(),
    }
}

fn server_config(settings: &ServerSettings) -> ServerConfig {
    ServerConfig {
        head_bytes_max: usize::try_from(settings.request_head_max).unwrap_or(usize::MAX),
        body_bytes_max: settings.request_body_max,
        connections_max: settings.connections_max,
        followers_max: settings.followers_max,
        // The end of requests is bounded by `Running::stop`, with what is left of the whole grace.
        shutdown_grace: settings.shutdown_grace.max(ANSWERS_END),
        ..ServerConfig::default()
    }
}
