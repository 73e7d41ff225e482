//! The store in a PostgreSQL database that any number of nodes share.
//!
//! **Writing.** Each node has one connection that writes. It takes whatever has queued up while the last commit was on its way
//! and commits it together, as the embedded store does (`writer`): it reads all that the requests need in a few statements,
//! decides in memory, and writes all that changes in a few statements (`batch`). Only one node of all is in the middle of that
//! at a time, which an advisory lock sees to: so whatever a batch has read still holds when it is written (keys, locks, bounds),
//! and events become visible in the order of their numbers. A node that stops in the middle loses the lock with its session.
//!
//! **Reading.** A pool of connections, each answer from one statement, always from the server that takes writes.
//!
//! **Failover.** Several hosts may be given; the one that takes writes is looked for. While there is none everything is
//! refused at once, and the writer looks for it with growing pauses.

mod attention;
mod audit;
mod batch;
mod columns;
mod connect;
mod failure;
mod filing;
mod filling;
mod history;
mod holds;
mod list;
mod listen;
mod locks;
mod moving;
mod nodes;
mod notices;
mod operations;
mod permits;
mod queue;
mod readers;
mod retention;
mod schema;
mod scope;
mod sealing;
mod session;
mod sessions;
mod tokens;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use self::batch::Write;
pub use self::connect::{BadUrl, Url};
use self::listen::Listener;
pub use self::moving::Destination;
use self::readers::Readers;
pub use self::sealing::list_keys;
use self::writer::WriterHandle;
use crate::policies::PolicyHashes;
use crate::sealing::{FingerprintKey, Sealer, SealingKey};
use crate::{Epoch, Error, Limits, Metrics};

/// Connections for what nodes do with each other: one that beats, and one for everything else.
const BETWEEN_NODES: usize = 2;

/// How a PostgreSQL store is opened.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub url: Url,
    /// The key that originals of redacted messages are sealed with: every node has to have it, as this or among `other_keys`.
    pub key: SealingKey,
    /// Keys that nothing is sealed with here, but which open what others sealed, or what was sealed before. At most
    /// [`crate::SEALING_KEYS_MAX`] with `key`.
    pub other_keys: Vec<SealingKey>,
    /// The bounds.
    pub limits: Limits,
    /// Writes that wait for the writing connection at the most; who brings one more waits until there is room.
    pub queue_max: usize,
    /// Connections that read, and so reads that run at the same time at the most.
    pub readers: usize,
    /// How long it may take to reach a server.
    pub connect: Duration,
    /// Whether nothing is written while the server has no synchronous standby, as far as its settings tell.
    pub require_sync_standby: bool,
    /// How long one statement may take, and how long a whole group of writes.
    pub patience: Duration,
}

impl Config {
    /// The defaults: 1,024 queued writes, 8 readers, 3 s to connect, 3 s for a statement.
    pub fn new(url: Url, key: [u8; 32]) -> Self {
        Self {
            url,
            key: SealingKey(key),
            other_keys: Vec::new(),
            limits: Limits::default(),
            queue_max: 1_024,
            readers: 8,
            connect: Duration::from_secs(3),
            require_sync_standby: false,
            patience: Duration::from_secs(3),
        }
    }
}

/// Where a database cannot be reached at a start, the message says which.
fn named(error: Error, shown: &str) -> Error {
    match error {
        Error::Unavailable { detail, may_have_committed } => {
            Error::Unavailable { detail: format!("{shown}: {detail}"), may_have_committed }
        }
        other => other,
    }
}

/// After how long it is told that the tables are still being set up.
const TOLD_AFTER: Duration = Duration::from_secs(5);

/// Waits for as long as it takes, which is told once if it takes long.
async fn told_if_slow<T>(set_up: impl Future<Output = T>) -> T {
    let mut set_up = std::pin::pin!(set_up);
    match tokio::time::timeout(TOLD_AFTER, &mut set_up).await {
        Ok(done) => done,
        Err(_) => {
            tracing::warn!(
                "the tables are still being looked at or set up: another program migrates them, or holds a lock on them \
                 (pg_stat_activity tells which)"
            );
            set_up.await
        }
    }
}

/// A store in a PostgreSQL database. Implements [`crate::Store`] and [`crate::Nodes`].
#[derive(Debug)]
pub struct Postgres {
    limits: Limits,
    writer: WriterHandle,
    readers: Arc<Readers>,
    /// For what nodes do with each other: whoever reads much must not keep a node from beating.
    between_nodes: Readers,
    listener: Listener,
    sealer: Arc<Sealer>,
    fingerprints: Arc<FingerprintKey>,
    /// The last message that was looked at whether it is to be sealed anew; `None`: it begins from the start.
    resealed_to: tokio::sync::Mutex<Option<sealing::Place>>,
    hashes: PolicyHashes,
    metrics: Metrics,
    /// That of this process; 0: it is no node.
    epoch: Arc<AtomicU64>,
    /// The database, for messages.
    shown: String,
}

impl Postgres {
    /// Connects to the database, and makes or migrates its tables where needed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no server that takes writes can be reached, [`Error::Unusable`], [`Error::Corrupt`],
    /// [`Error::NewerSchema`], [`Error::ChangedMigration`], [`Error::Key`].
    pub async fn open(config: Config) -> Result<Arc<Self>, Error> {
        Self::open_if(config, true).await
    }

    /// Also where a migration into it has not been finished.
    async fn open_unasked(config: Config) -> Result<Arc<Self>, Error> {
        Self::open_if(config, false).await
    }

    async fn open_if(config: Config, must_be_finished: bool) -> Result<Arc<Self>, Error> {
        let mut connector = config.url.connector(config.connect, config.patience)?;
        connector.require_sync_standby = config.require_sync_standby;
        let (client, connection) =
            connector.connect_to_set_up().await.map_err(|error| named(error, config.url.shown()))?;
        let mut running = JoinSet::new();
        running.spawn(connection);
        let sealer = Arc::new(Sealer::new(&config.key, &config.other_keys));
        let keys: Vec<_> = std::iter::once(config.key).chain(config.other_keys).collect();
        let set_up = async {
            schema::migrate(&client, config.url.shown()).await?;
            if must_be_finished {
                moving::refuse_unfinished(&client, config.url.shown()).await?;
            }
            sealing::open(&client, &sealer, &keys, config.url.shown()).await
        };
        let set_up = told_if_slow(set_up).await;
        drop((client, running));
        let fingerprints = Arc::new(set_up?);
        let epoch = Arc::new(AtomicU64::new(0));
        let metrics = Metrics::new(config.queue_max, config.readers.max(1), config.limits.waiting_max);
        let readers = Arc::new(Readers::new(&connector, config.readers, metrics.clone())?);
        // Beats are not what anybody waits for, and would hide how those do who read.
        let apart = Metrics::new(0, BETWEEN_NODES, 0);
        let between_nodes = Readers::new(&connector, BETWEEN_NODES, apart)?;
        let listener = Listener::start(connector.clone());
        let limits = config.limits.clone();
        let writer = WriterHandle::start(connector, limits, config.queue_max, Arc::clone(&epoch), metrics.clone());
        let hashes = PolicyHashes::default();
        let shown = config.url.shown().to_owned();
        Ok(Arc::new(Self {
            limits: config.limits,
            writer,
            readers,
            between_nodes,
            listener,
            sealer,
            fingerprints,
            resealed_to: tokio::sync::Mutex::default(),
            hashes,
            metrics,
            epoch,
            shown,
        }))
    }

    /// Finishes what is queued and closes all connections. Requests that come later are refused with [`Error::Unavailable`].
    pub async fn close(&self) {
        self.writer.close().await;
        self.listener.stop();
        self.readers.close();
        self.between_nodes.close();
    }

    /// What it counts about its work.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What repeated requests are recognised by, 32 octets: always the same for this database, so the same on every node.
    pub fn fingerprint_key(&self) -> [u8; 32] {
        self.fingerprints.0
    }

    fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    async fn write<W: Write>(&self, request: W) -> Result<W::Answer, Error> {
        self.writer.write(request).await
    }
}
