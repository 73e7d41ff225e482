//! The server as a whole: what all its requests share, and the handle that whoever puts the program together gets.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use fanfold_core::dialect::Refusal;
use fanfold_engine::identity::Issuers;
use fanfold_engine::{Clock, Engine};
use fanfold_store::Read;
use fanfold_store::metric::Metric;
use futures_util::future::join_all;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use super::auth::keyring::{self, Keyring};
use super::auth::{Authentication, Authenticator};
use super::client_certificate::Said;
use super::feed::Source;
use super::followers::{Bounds, Followers};
use super::live::Live;
use super::metrics::Metrics;
use super::outcome::Stop;
use super::pace::Paces;
use super::rates::{self, Rates};
use super::standing::Standing;
use super::tls::Tls;
use super::wire::Peer;
use super::{Front, ServerConfig, handshake, listen};

/// What the server is built on.
pub struct Parts {
    /// Performs what requests ask for.
    pub engine: Engine,
    /// Answers questions.
    pub store: Arc<dyn Read>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When the process began to take up what another one had left behind.
    pub started_at: Timestamp,
    /// Those whose word counts about who a caller is.
    pub issuers: Issuers,
    /// The metrics of the rest of the program, to which the server adds its own; `/metrics` shows them.
    pub registry: Registry,
}

/// The HTTP server; cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

/// What all requests share.
pub(super) struct Shared {
    pub(super) config: ServerConfig,
    pub(super) engine: Engine,
    pub(super) store: Arc<dyn Read>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) registry: Registry,
    pub(super) metrics: Metrics,
    pub(super) standing: Standing,
    authenticator: ArcSwap<Authenticator>,
    pub(super) keyring: Keyring,
    pub(super) issuers: Issuers,
    pub(super) paces: Paces,
    pub(super) connections: Arc<Semaphore>,
    pub(super) live: Arc<Live>,
    pub(super) started_at: Timestamp,
    pub(super) rates: Rates,
    front: ArcSwap<Front>,
    tls: ArcSwap<Option<Tls>>,
    pub(super) handshakes: handshake::Troubles,
    stopping: watch::Sender<bool>,
    /// What is carried to its end whatever becomes of the connection that it was begun for.
    tasks: Mutex<JoinSet<()>>,
    task_permits: Arc<Semaphore>,
}

impl Server {
    /// All metrics that the server adds to those of the rest of the program.
    pub fn described_metrics() -> impl Iterator<Item = &'static Metric> {
        Metrics::DESCRIBED.iter().chain(Standing::DESCRIBED)
    }

    /// A server of this front.
    pub fn new(config: ServerConfig, parts: Parts, front: Front) -> Self {
        let Parts { engine, store, clock, started_at, issuers, mut registry } = parts;
        let metrics = Metrics::new(&config);
        metrics.register(&mut registry);
        let standing = Standing::default();
        standing.register(&mut registry);
        let stopping = watch::Sender::new(false);
        let paces = Paces::new(config.request_pace.clone(), config.failure_pace, metrics.clone());
        let bounds = Bounds {
            all: config.followers_max,
            of_tenant: config.tenant_followers_max.clone(),
            of_operation: config.operation_followers_max,
        };
        let followers = Followers::new(bounds, metrics.clone());
        let source = Source { engine: engine.clone(), store: Arc::clone(&store) };
        let live = Live::new(source, followers, metrics.clone(), config.heartbeat, stopping.subscribe());
        let permits = || Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Shared {
            connections: permits(),
            task_permits: permits(),
            live,
            config,
            engine,
            store,
            started_at,
            clock,
            registry,
            metrics,
            standing,
            authenticator: ArcSwap::from_pointee(Authentication::default().into()),
            keyring: Keyring::default(),
            issuers,
            paces,
            rates: Rates::default(),
            front: ArcSwap::from_pointee(front),
            tls: ArcSwap::default(),
            handshakes: handshake::Troubles::default(),
            stopping,
            tasks: Mutex::default(),
        }))
    }

    /// Puts a reloaded front in place, as a whole: a request that has begun goes on with the one it began with.
    pub fn replace_front(&self, front: Front) {
        self.0.front.store(Arc::new(front));
    }

    /// Speaks TLS like this on connections that come from now on, or none. Those that are open go on as they are.
    pub fn replace_tls(&self, tls: Option<Tls>) {
        self.0.tls.store(Arc::new(tls));
        self.0.keyring.reconsider();
    }

    /// Whether new connections speak TLS.
    pub fn speaks_tls(&self) -> bool {
        self.0.tls.load().is_some()
    }

    /// Whether callers have to show who they are.
    pub fn asks_who_calls(&self) -> bool {
        self.0.authenticator().asks()
    }

    /// Puts another way to tell callers apart in place, from the next request on; what lasts ends where its caller is none any more.
    /// Until the first call whoever is on this machine is trusted, and nobody else is let in.
    pub fn replace_authentication(&self, authentication: Authentication) {
        self.0.authenticator.store(Arc::new(authentication.into()));
        self.0.keyring.reconsider();
    }

    /// Answers requests on these listeners until `shutdown` comes true; then accepts no further connection, and lets requests
    /// in progress end for [`ServerConfig::shutdown_grace`]. Gives the number of connections that were cut off then.
    pub async fn serve(&self, listeners: Vec<TcpListener>, shutdown: impl Future<Output = ()>) -> usize {
        let listening = join_all(listeners.into_iter().map(|listener| listen::run(self.clone(), listener)));
        let shutdown = async {
            shutdown.await;
            self.0.stopping.send_replace(true);
        };
        let serving = async { tokio::join!(listening, shutdown).0 };
        let cut_off = tokio::select! {
            cut_off = serving => cut_off,
            never = self.0.look_at_rates() => match never {},
            never = self.0.look_at_tokens() => match never {},
            never = self.0.record_uses() => match never {},
        };
        self.0.tasks_ended().await;
        cut_off.iter().sum()
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn front(&self) -> Arc<Front> {
        self.front.load_full()
    }

    pub(super) fn authenticator(&self) -> Arc<Authenticator> {
        self.authenticator.load_full()
    }

    pub(super) fn tls(&self) -> Option<Tls> {
        self.tls.load().as_ref().clone()
    }

    /// What stands in the certificate of a connection, if it is good now.
    pub(super) fn certificate<'a>(&self, peer: &'a Peer) -> Option<&'a Said> {
        let certificate = peer.certificate.as_deref()?;
        certificate.is_good(self.tls().as_ref(), self.clock.now()).then_some(&certificate.said)
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the server is asked to stop.
    pub(super) async fn stopping(&self) {
        // The sender is in `self`, so it is not gone.
        drop(self.stopping.subscribe().wait_for(|stopping| *stopping).await);
    }

    /// Looks at what is accepted and ends, for the charts of the console.
    async fn look_at_rates(&self) -> Infallible {
        let mut looks = tokio::time::interval(rates::PACE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.rates.look(Instant::now(), rates::totals(&self.engine));
        }
    }

    /// Looks which tokens are good, where callers show some.
    async fn look_at_tokens(&self) -> Infallible {
        let mut looks = tokio::time::interval(keyring::PACE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if self.authenticator().asks()
                && let Err(error) = self.keyring.refresh(&*self.store).await
            {
                tracing::debug!(%error, "cannot look which tokens are good");
            }
        }
    }

    /// Has what was done with tokens and sessions just now hold from the answer on at this node; others look within a second. Where
    /// the store cannot be read it is done all the same, and holds here as soon as it holds there.
    pub(super) async fn hold_here(&self) {
        if let Err(error) = self.keyring.refresh(&*self.store).await {
            tracing::warn!(%error, "tokens or sessions have changed, and cannot be read anew yet");
        }
    }

    /// Records which tokens were used. What is lost with the process was used in the last minute before its end.
    async fn record_uses(&self) -> Infallible {
        let mut looks = tokio::time::interval(keyring::USES_PACE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let uses = self.keyring.take_uses();
            if !uses.is_empty()
                && let Err(error) = self.engine.touch_tokens(&uses).await
            {
                tracing::debug!(%error, "cannot record which tokens were used");
            }
        }
    }

    /// Begins a task that outlives the connection it was begun for, once there are fewer of them than there may be
    /// connections.
    async fn carry_to_its_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        let permit = Arc::clone(&self.task_permits).acquire_owned().await.expect("nobody closes the semaphore");
        let task = async move {
            task.await;
            drop(permit);
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.try_join_next() {
            report(ended);
        }
        tasks.spawn(task);
    }

    /// The same of a task that gives something to whoever began it, if they are still there.
    pub(super) fn carried<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Stop>> + Send {
        let (done, outcome) = oneshot::channel();
        // On the heap at once, so that whoever waits for it is small.
        let task = Box::pin(async move { drop(done.send(task.await)) });
        async move {
            self.carry_to_its_end(task).await;
            // The sender is dropped without a word only by a panic, which is reported by the owner of the task.
            outcome.await.map_err(|_| Refusal::Internal.into())
        }
    }

    async fn tasks_ended(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    }
}

/// A task that was not carried to its end met a mistake in the program.
pub(super) fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a task met a mistake in the program");
    }
}
