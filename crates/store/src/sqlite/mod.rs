//! The store in one SQLite file: nothing to install, one process at a time.
//!
//! One thread writes and commits in groups (`writer`); a few connections read (`readers`). Each noun has a file with its
//! statements. Beside `fanfold.db` stand SQLite's own `-wal` and `-shm`, the lock file `.lock` and the sealing key `.key`.
//!
//! **Size.** Space of deleted records is used again; the file itself does not shrink. `size_hard` counts octets in use: from
//! there on nothing is accepted, while what runs may fill the reserve above it. At the end of the reserve SQLite itself
//! refuses to grow the file. Where the disk is full or fails before that, every write fails with [`Error::Full`] or
//! [`Error::Unavailable`], and nothing is accepted until a write works again.
//!
//! **Wiping.** Deleted content is overwritten in the file. The write-ahead log may hold the (encrypted) old content until it
//! is used again or the store is closed.

mod accept;
mod attention;
mod audit;
mod backup;
mod commit;
mod facets;
mod failure;
mod files;
mod filing;
mod filling;
mod history;
mod holds;
mod list;
mod locks;
mod moving;
mod notices;
mod operations;
mod queue;
mod readers;
mod restore;
mod retention;
mod schema;
mod scope;
mod sealing;
mod sessions;
mod tokens;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

pub use self::backup::{BackedUp, back_up};
use self::failure::Failure;
use self::files::ProcessLock;
pub use self::moving::Source;
use self::readers::{Readers, Snapshot};
pub use self::restore::Restoring;
use self::sealing::Keys;
pub use self::sealing::{list_keys, read_key, retire_keys, rotate_key};
use self::writer::{Write, WriterHandle};
use crate::policies::PolicyHashes;
use crate::{Error, Limits, Metrics, ReadAll};

/// How a SQLite store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The database file; made if it is not there, its directory is not.
    pub path: PathBuf,
    /// The file of the sealing key; `None`: beside the database, with `.key` after its name.
    pub key_path: Option<PathBuf>,
    /// The bounds.
    pub limits: Limits,
    /// Octets that the file may grow beyond `limits.size_hard` so that what runs can end.
    pub size_reserve: u64,
    /// Writes that wait for the writing thread at the most; who brings one more waits until there is room.
    pub queue_max: usize,
    /// Connections that read, and so reads that run at the same time at the most.
    pub readers: u32,
}

/// Where the sealing key of a database stands unless it is configured elsewhere: beside it, with `.key` after its name.
pub fn key_beside(database: &Path) -> PathBuf {
    files::beside(database, "key")
}

impl Config {
    /// The defaults for this database file: a reserve of 256 MiB, 1,024 queued writes, 4 readers.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            key_path: None,
            limits: Limits::default(),
            size_reserve: 256 * 1024 * 1024,
            queue_max: 1_024,
            readers: 4,
        }
    }
}

/// A store in a SQLite file. Implements [`crate::Store`]. Its methods need a Tokio runtime.
#[derive(Debug)]
pub struct Sqlite {
    limits: Limits,
    path: PathBuf,
    /// `None`: opened to be read alone.
    keeper: Option<Keeper>,
    readers: Arc<Readers>,
    hashes: PolicyHashes,
    metrics: Metrics,
}

/// What writing needs.
#[derive(Debug)]
struct Keeper {
    writer: WriterHandle,
    keys: Keys,
    /// The last message that was looked at whether it is to be sealed anew; `None`: it begins from the start.
    resealed_to: tokio::sync::Mutex<Option<sealing::Place>>,
}

/// A key without its database means that the database was lost: a new one in its place would silently forget every operation.
fn refuse_lost_database(path: &Path, key_path: &Path) -> Result<(), Error> {
    let is_empty = std::fs::metadata(path).map_or(true, |file| file.len() == 0);
    if !is_empty || !key_path.exists() {
        return Ok(());
    }
    let detail = format!(
        "it is missing or empty, but its key {} is there: put the database back, or remove the key to begin with an empty one",
        key_path.display()
    );
    Err(Error::Unusable { path: path.to_owned(), detail })
}

impl Sqlite {
    /// Opens the database, makes or migrates it where needed, and locks it for this process. Blocks the thread for as long
    /// as the disk takes: it belongs at the start of a program.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::ReadOnly`], [`Error::Unusable`], [`Error::Corrupt`], [`Error::NewerSchema`],
    /// [`Error::ChangedMigration`], [`Error::Key`], [`Error::Full`], [`Error::Unavailable`].
    pub fn open(config: Config) -> Result<Arc<Self>, Error> {
        let lock = Self::lock(&config.path)?;
        restore::refuse_draft(&config.path)?;
        moving::refuse_moved(&config.path)?;
        Self::open_locked(config, lock, restore::refuse_unfinished)
    }

    /// Keeps other processes out. The directory has to be there.
    fn lock(path: &Path) -> Result<ProcessLock, Error> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
            let detail = format!("the directory {} is not there", parent.display());
            return Err(Error::Unusable { path: path.to_owned(), detail });
        }
        ProcessLock::take(path)
    }

    /// `admit`: whether the database may be opened as it is.
    fn open_locked(
        config: Config,
        lock: ProcessLock,
        admit: impl FnOnce(&Connection, &Path) -> Result<(), Error>,
    ) -> Result<Arc<Self>, Error> {
        let path = config.path;
        let key_path = config.key_path.unwrap_or_else(|| key_beside(&path));
        refuse_lost_database(&path, &key_path)?;
        files::create_database(&path)?;
        let mut sql = schema::open_writer(&path)?;
        schema::migrate(&mut sql, &path)?;
        if let Some(bound) = config.limits.size_hard {
            schema::bound(&sql, &path, bound.saturating_add(config.size_reserve))?;
        }
        admit(&sql, &path)?;
        let keys = sealing::open_keys(&sql, &key_path)?;
        let metrics = Metrics::new(config.queue_max, config.readers.max(1) as usize, config.limits.waiting_max);
        let readers = Arc::new(Readers::open(&path, config.readers, metrics.clone())?);
        let limits = config.limits.clone();
        let writer = WriterHandle::start(sql, limits, config.queue_max, lock, metrics.clone())?;
        Ok(Arc::new(Self {
            limits: config.limits,
            path,
            keeper: Some(Keeper { writer, keys, resealed_to: tokio::sync::Mutex::default() }),
            readers,
            hashes: PolicyHashes::default(),
            metrics,
        }))
    }

    /// Opens a database to be read alone, also while a server has it open: everything that is read is one picture of it, as it
    /// is now. Nobody is kept from writing; the log grows until the picture is dropped. Blocks like [`Sqlite::open`].
    ///
    /// # Errors
    /// [`Error::Unusable`] if it is not there, is none, or was not brought up to date by a server of this version yet;
    /// [`Error::Corrupt`], [`Error::NewerSchema`], [`Error::ChangedMigration`], [`Error::Unavailable`].
    pub fn open_to_read(path: impl Into<PathBuf>) -> Result<Arc<dyn ReadAll>, Error> {
        let path = path.into();
        if !path.is_file() {
            return Err(Error::Unusable { path, detail: "there is no such file".to_owned() });
        }
        let (limits, hashes) = (Limits::default(), PolicyHashes::default());
        let metrics = Metrics::new(0, 1, limits.waiting_max);
        let readers = Arc::new(Readers::frozen(&path, metrics.clone())?);
        Ok(Arc::new(Self { limits, path, keeper: None, readers, hashes, metrics }))
    }

    /// Finishes what is queued, copies the log into the file and closes everything; the database can be opened again.
    /// Requests that come later are refused with [`Error::Unavailable`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Full`] if the log could not be copied. Nothing is lost: the next start reads it.
    pub async fn close(self: &Arc<Self>) -> Result<(), Error> {
        self.readers.close().await;
        let store = Arc::clone(self);
        let closed = tokio::task::spawn_blocking(move || store.keeper()?.writer.close());
        closed.await.map_err(|error| Error::unavailable(format!("closing failed: {error}")))?
    }

    /// What it counts about its work.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What repeated requests are recognised by, 32 octets: always the same for this database.
    pub fn fingerprint_key(&self) -> [u8; 32] {
        let keeper = self.keeper.as_ref().expect("what is opened to be read is handed out as that alone");
        keeper.keys.fingerprints.0
    }

    fn keeper(&self) -> Result<&Keeper, Error> {
        self.keeper.as_ref().ok_or_else(|| Error::invalid("the store was opened to be read alone"))
    }

    async fn write<W: Write>(&self, request: W) -> Result<W::Answer, Error> {
        self.keeper()?.writer.write(request).await
    }

    async fn read<T: Send + 'static>(
        &self,
        request: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        self.readers.read(request).await
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // Without this the lock would outlive the store by a moment, and opening it again could fail.
        if let Some(keeper) = &self.keeper
            && let Err(error) = keeper.writer.close()
        {
            tracing::warn!(%error, "the store was not closed cleanly; the next start repairs it");
        }
    }
}
