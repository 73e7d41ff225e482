//! Puts a server together from its settings: store, targets, engine and front doors. Used by `serve` and `demo`.
//!
//! Nothing is decided here beyond the order of starting and stopping, and what a reload replaces.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::TargetName;
use fanfold_core::dialect::Refusal;
use fanfold_core::dialect::native::{PlanForm, PlanRequest};
use fanfold_engine::identity::{self, Issuers};
use fanfold_engine::target::{self, PassLimits, TargetConfig, Targets};
use fanfold_engine::{Clock, Engine, Membership, NoticeRules, SpanSink, SystemClock};
use fanfold_server::{Authentication, Front, Parts, Server, ServerConfig};
use fanfold_store::NewNode;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::config::{LimitSettings, NoticeSettings, ServerSettings, Settings, TargetSettings};
use crate::failure::Failure;
use crate::opened::OpenStore;
use crate::otlp::Exporter;
use crate::process;

/// Requests in progress get so much time to be answered at a stop even where attempts on the wire have used up the grace.
const ANSWERS_END: Duration = Duration::from_secs(2);

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Running {
    address: SocketAddr,
    engine: Engine,
    server: Server,
    issuers: Issuers,
    store: OpenStore,
    shutdown: oneshot::Sender<()>,
    /// The one task of the front doors; it gives the number of connections that were cut off at the end.
    serving: JoinSet<usize>,
    /// Where traces go, if anywhere.
    exporter: Option<Exporter>,
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
    store.metrics().register(&mut registry);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Everything that this process records is later.
    let started_at = clock.now();
    let membership = membership(settings, &store, started_at);
    let exporter = exporter(settings)?;
    if let Some(exporter) = &exporter {
        exporter.register(&mut registry);
    }
    let traces = exporter.as_ref().map(Exporter::sink);
    let engine = engine(settings, &store, metrics, Arc::clone(&clock), membership, traces).await?;
    engine.metrics().register(&mut registry);
    process::register(&mut registry, started_at);
    let issuers = issuers(settings, &mut registry)?;
    let parts =
        Parts { engine: engine.clone(), store: store.read(), clock, started_at, issuers: issuers.clone(), registry };
    let server = Server::new(server_config(&settings.server, &settings.limits), parts, front);
    server.replace_authentication(authentication(settings));
    server.replace_tls(settings.server.tls.clone());
    let (shutdown, stopped) = oneshot::channel::<()>();
    let mut serving = JoinSet::new();
    serving.spawn({
        let server = server.clone();
        // A sender that was dropped asks for the stop as well.
        async move { server.serve(vec![listener], async { drop(stopped.await) }).await }
    });
    Ok(Running { address, engine, server, issuers, store, shutdown, serving, exporter })
}

/// An engine over this store.
async fn engine(
    settings: &Settings,
    store: &OpenStore,
    metrics: target::Metrics,
    clock: Arc<dyn Clock>,
    membership: Option<Membership>,
    traces: Option<Arc<dyn SpanSink>>,
) -> Result<Engine, Failure> {
    let targets = Arc::new(Targets::new(metrics));
    targets.replace(target_configs(settings))?;
    let config = fanfold_engine::Config { traces, ..engine_config(settings, store.fingerprint_key()) };
    Ok(Engine::start(store.store(), targets, clock, settings.mounts.clone(), config, membership).await?)
}

/// A server that listens nowhere, and tells what would become of requests.
#[derive(Debug)]
pub(crate) struct Planner {
    engine: Engine,
    server: Server,
    store: OpenStore,
}

/// Puts a server together over an empty store of its own, without opening its doors.
///
/// # Errors
/// If something cannot be set up as configured.
pub(crate) async fn planner(settings: &Settings, store: OpenStore) -> Result<Planner, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (started_at, front) = (clock.now(), front(settings)?);
    let engine = engine(settings, &store, target::Metrics::default(), Arc::clone(&clock), None, None).await?;
    let parts = Parts {
        engine: engine.clone(),
        store: store.read(),
        clock,
        started_at,
        issuers: issuers(settings, &mut Registry::default())?,
        registry: Registry::default(),
    };
    let server = Server::new(server_config(&settings.server, &settings.limits), parts, front);
    Ok(Planner { engine, server, store })
}

impl Planner {
    /// What would become of this request.
    ///
    /// # Errors
    /// If what is asked about is no request.
    pub(crate) async fn plan(&self, asked: &PlanRequest) -> Result<PlanForm, Refusal> {
        self.server.plan(asked).await
    }

    /// # Errors
    /// If the store cannot be closed cleanly.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        self.engine.stop(Duration::ZERO).await;
        self.store.close().await.map_err(Failure::Close)
    }
}

/// Whether a setting differs between two configurations.
type Differs = fn(&Settings, &Settings) -> bool;

/// The settings that a reload cannot change, by the names they have in the file.
pub(crate) const FIXED: [(&str, Differs); 10] = [
    ("[server] listen", |old, new| old.server.listen != new.server.listen),
    ("[server] request_head_max", |old, new| old.server.request_head_max != new.server.request_head_max),
    ("[server] request_body_max", |old, new| old.server.request_body_max != new.server.request_body_max),
    ("[server] connections_max", |old, new| old.server.connections_max != new.server.connections_max),
    ("[server] followers_max", |old, new| old.server.followers_max != new.server.followers_max),
    ("[server] callback", |old, new| old.server.callback != new.server.callback),
    ("[store]", |old, new| old.store != new.store),
    ("[limits]", |old, new| {
        let of_all = |settings: &Settings| (settings.limits.tenants.otherwise.clone(), settings.limits.failures);
        of_all(old) != of_all(new)
    }),
    ("[tenants.NAME]", |old, new| old.limits.tenants.own != new.limits.tenants.own),
    ("[telemetry]", |old, new| old.telemetry != new.telemetry),
];

/// The settings that differ and that a reload cannot change.
pub(crate) fn fixed_changes(before: &Settings, after: &Settings) -> Vec<&'static str> {
    FIXED.iter().filter_map(|(name, differs)| differs(before, after).then_some(*name)).collect()
}

impl Running {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces routes, mounts, targets, the rules of notices, who may call, the certificate and the public address: all of them,
    /// or, where one cannot be set up, none.
    ///
    /// # Errors
    /// If something cannot be set up as configured; [`Failure::Unlocked`].
    pub(crate) fn reload(&self, settings: &Settings) -> Result<(), Failure> {
        if settings.auth.is_none() && self.server.asks_who_calls() {
            return Err(Failure::Unlocked);
        }
        let front = front(settings)?;
        let issuers = self.issuers.prepare(vouching(settings))?;
        // The last thing that can fail; and targets go first, so that no new route meets a target that is not there yet.
        self.engine.targets().replace(target_configs(settings))?;
        issuers.take_effect();
        self.engine.replace_mounts(settings.mounts.clone());
        self.engine.replace_notice_rules(notice_rules(&settings.notices));
        self.engine.replace_configuration_hash(settings.work_hash());
        self.server.replace_authentication(authentication(settings));
        if self.server.speaks_tls() != settings.server.tls.is_some() {
            let scheme = if settings.server.tls.is_some() { "https" } else { "http" };
            tracing::warn!(scheme, "new connections speak another protocol than before");
        }
        self.server.replace_tls(settings.server.tls.clone());
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
        if let Some(exporter) = self.exporter {
            exporter.stop().await;
        }
        self.store.close().await.map_err(Failure::Close)?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The way to the collector, if there is one.
fn exporter(settings: &Settings) -> Result<Option<Exporter>, Failure> {
    let instance = settings.store.node.as_ref().map(|node| node.name.as_str());
    settings.telemetry.as_ref().map(|telemetry| Exporter::start(telemetry, instance)).transpose()
}

fn target_configs(settings: &Settings) -> Vec<TargetConfig> {
    settings.targets.values().map(|target| target.config.clone()).collect()
}

/// Those whose word counts about who a caller is.
fn issuers(settings: &Settings, registry: &mut Registry) -> Result<Issuers, Failure> {
    let metrics = identity::Metrics::default();
    metrics.register(registry);
    let issuers = Issuers::new(metrics);
    issuers.replace(vouching(settings))?;
    Ok(issuers)
}

fn vouching(settings: &Settings) -> identity::Config {
    settings.auth.as_ref().map(|auth| auth.issuers.clone()).unwrap_or_default()
}

fn authentication(settings: &Settings) -> Authentication {
    match &settings.auth {
        None => Authentication::Loopback,
        Some(auth) => Authentication::Credentials {
            tokens: auth.tokens.clone(),
            certificates: auth.certificates.clone(),
            session_max: auth.session_max,
        },
    }
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
        weights: settings.limits.tenants.map(|tenant| tenant.weight),
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

fn server_config(settings: &ServerSettings, limits: &LimitSettings) -> ServerConfig {
    ServerConfig {
        head_bytes_max: usize::try_from(settings.request_head_max).unwrap_or(usize::MAX),
        body_bytes_max: settings.request_body_max,
        connections_max: settings.connections_max,
        followers_max: settings.followers_max,
        tenant_followers_max: limits.tenants.map(|tenant| tenant.followers_max.unwrap_or(usize::MAX)),
        request_pace: limits.tenants.map(|tenant| tenant.requests),
        failure_pace: limits.failures,
        // The end of requests is bounded by `Running::stop`, with what is left of the whole grace.
        shutdown_grace: settings.shutdown_grace.max(ANSWERS_END),
        ..ServerConfig::default()
    }
}
