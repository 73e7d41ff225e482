//! The server as a whole: what all its requests share, and the handle that whoever puts the program together gets.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use fanfold_core::dialect::Refusal;
use fanfold_engine::{Clock, Engine};
use fanfold_store::Read;
use futures_util::future::join_all;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use super::auth::Authenticator;
use super::feed::Source;
use super::followers::Followers;
use super::live::Live;
use super::metrics::Metrics;
use super::outcome::Stop;
use super::{Front, ServerConfig, listen};

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
    pub(super) authenticator: Authenticator,
    pub(super) connections: Arc<Semaphore>,
    pub(super) live: Arc<Live>,
    pub(super) started_at: Timestamp,
    front: ArcSwap<Front>,
    stopping: watch::Sender<bool>,
    /// What is carried to its end whatever becomes of the connection that it was begun for.
    tasks: Mutex<JoinSet<()>>,
    task_permits: Arc<Semaphore>,
}

impl Server {
    /// A server of this front.
    pub fn new(config: ServerConfig, parts: Parts, front: Front) -> Self {
        let Parts { engine, store, clock, started_at, mut registry } = parts;
        let metrics = Metrics::default();
        metrics.register(&mut registry);
        let stopping = watch::Sender::new(false);
        let followers = Followers::new(config.followers_max, config.operation_followers_max, metrics.clone());
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
            authenticator: Authenticator::default(),
            front: ArcSwap::from_pointee(front),
            stopping,
            tasks: Mutex::default(),
        }))
    }

    /// Puts a reloaded front in place, as a whole: a request that has begun goes on with the one it began with.
    pub fn replace_front(&self, front: Front) {
        self.0.front.store(Arc::new(front));
    }

    /// Answers requests on these listeners until `shutdown` comes true; then accepts no further connection, and lets requests
    /// in progress end for [`ServerConfig::shutdown_grace`]. Gives the number of connections that were cut off then.
    pub async fn serve(&self, listeners: Vec<TcpListener>, shutdown: impl Future<Output = ()>) -> usize {
        let listening = join_all(listeners.into_iter().map(|listener| listen::run(self.clone(), listener)));
        let shutdown = async {
            shutdown.await;
            self.0.stopping.send_replace(true);
        };
        let (cut_off, ()) = tokio::join!(listening, shutdown);
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

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the server is asked to stop.
    pub(super) async fn stopping(&self) {
        // The sender is in `self`, so it is not gone.
        drop(self.stopping.subscribe().wait_for(|stopping| *stopping).await);
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
