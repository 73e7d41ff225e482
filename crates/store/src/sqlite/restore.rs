//! Putting a backup in place of a database that is not there.
//!
//! It appears there whole and already marked as one whose restore is not finished; so whenever the process ends in between, no
//! server takes it up, and the restore can be run again. What has to be done to its operations before is the engine's; when
//! that is done the mark goes, and with it, in one commit, every notice that was still to be sent becomes a dead letter: nobody
//! knows whether its receiver has got it since. Sessions of people end: they may have signed out since.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::backup::{BACKUP_AT, BackedUp, RESTORING, check, close, copy, open_file, set_single, single, sync};
use super::failure::Failure;
use super::files;
use super::sealing::read_key;
use super::writer::{Tx, Write};
use super::{Config, Sqlite, key_beside, schema, sessions};
use crate::failure::DatabaseError as _;
use crate::{Error, Limits, NoticeState, time};

/// What stands beside a notice that was to be sent when the backup was made.
const NOT_SENT: &str =
    "it came from a backup, which does not know whether it was delivered since; replay it to have it sent";

/// A database whose restore has begun. Dropped before it is finished it stays as it is, to be gone on with.
#[derive(Debug)]
pub struct Restoring {
    store: Arc<Sqlite>,
    as_of: Timestamp,
    is_resumed: bool,
}

impl Sqlite {
    /// Copies the backup at `from` to `path`, where no database may be, and opens it; or goes on with a restore that was broken
    /// off. The sealing key comes from beside the backup unless it is in its place. Blocks for as long as that takes. `now` counts
    /// as the time of a backup that has nothing in it.
    ///
    /// # Errors
    /// [`Error::Locked`] if a server has it open; [`Error::Unusable`] if there is a database already, or the backup is none;
    /// [`Error::Key`] without the key; those of [`Sqlite::open`].
    pub fn restore(path: impl Into<PathBuf>, from: &Path, now: Timestamp) -> Result<Restoring, Error> {
        let path = path.into();
        let lock = Self::lock(&path)?;
        let is_resumed = is_there(&path);
        if is_resumed {
            require_unfinished(&path)?;
        } else {
            put_in_place(&path, from, now)?;
        }
        let mut as_of = None;
        let admit = |sql: &Connection, _: &Path| {
            as_of = unfinished(sql)?;
            Ok(())
        };
        // Whatever stands in records stays there.
        let limits = Limits { inline_max: usize::MAX, ..Limits::default() };
        let store = Self::open_locked(Config { limits, ..Config::new(&path) }, lock, admit)?;
        let as_of = as_of.ok_or_else(|| Error::corrupt("a restore has lost its mark"))?;
        Ok(Restoring { store, as_of, is_resumed })
    }
}

impl Restoring {
    /// The database.
    pub fn store(&self) -> &Arc<Sqlite> {
        &self.store
    }

    /// When the backup was made; of a mere copy of a database, when the latest of it was recorded.
    pub fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// Whether it had begun before, and been broken off.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Finishes it: from now on the database may be served. Gives how many notices became dead letters.
    ///
    /// # Errors
    /// Those of the store; then it is not finished.
    pub async fn finish(self, now: Timestamp) -> Result<u64, Error> {
        let dead = self.store.write(Finish { now }).await?;
        self.store.close().await?;
        Ok(dead)
    }
}

struct Finish {
    now: Timestamp,
}

impl Write for Finish {
    type Answer = u64;

    fn run(&self, tx: &mut Tx<'_>) -> Result<u64, Failure> {
        let bury = "UPDATE notices SET state = ?1, settled_at = ?2, last_error = ?3 WHERE state = ?4";
        let (dead, pending) = (NoticeState::Dead.as_str(), NoticeState::Pending.as_str());
        let buried = tx.execute(bury, params![dead, time::floor(self.now), NOT_SENT, pending])?;
        sessions::end_all(tx)?;
        tx.execute("DELETE FROM meta WHERE name = ?1", [RESTORING])?;
        Ok(buried as u64)
    }
}

/// Refuses a database whose restore has not been finished: what it has of operations may be out of date.
pub(super) fn refuse_unfinished(sql: &Connection, path: &Path) -> Result<(), Error> {
    match single(sql, RESTORING)? {
        None => Ok(()),
        Some(_) => Err(Error::Unusable {
            path: path.to_owned(),
            detail: "a restore of it was begun and is not finished; run the restore again, which goes on with it"
                .to_owned(),
        }),
    }
}

fn unfinished(sql: &Connection) -> Result<Option<Timestamp>, Error> {
    let Some(micros) = single(sql, RESTORING)? else { return Ok(None) };
    let micros = micros.parse().map_err(|_| Error::corrupt(format!("{micros:?} is no time")))?;
    time::timestamp(micros).map(Some)
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_file() || found.len() > 0)
}

fn require_unfinished(path: &Path) -> Result<(), Error> {
    let is_unfinished = schema::open_reader(path).and_then(|sql| Ok(single(&sql, RESTORING)?.is_some()));
    match is_unfinished {
        Ok(true) => Ok(()),
        // Whatever is wrong with it, it is somebody's.
        Ok(false) | Err(_) => Err(Error::Unusable {
            path: path.to_owned(),
            detail: "it is there already, and a restore takes the place of no database; move it away first".to_owned(),
        }),
    }
}

/// `fanfold.db` -> `fanfold.db-wal`.
fn appended(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Puts the backup in place, whole and marked.
fn put_in_place(path: &Path, from: &Path, now: Timestamp) -> Result<(), Error> {
    // SQLite would take it for the log of the backup, and write it into that.
    let log = appended(path, "-wal");
    if is_there(&log) {
        let detail = "it is the log of a database that was there before; move it away first".to_owned();
        return Err(Error::Unusable { path: log, detail });
    }
    let draft = draft(path);
    // Left by a restore that was broken off before it had put anything in place.
    remove(&draft);
    let placed = put_draft_in_place(&draft, path, from, now);
    if placed.is_err() {
        // What is refused begins nothing.
        remove(&draft);
    }
    placed
}

fn put_draft_in_place(draft: &Path, path: &Path, from: &Path, now: Timestamp) -> Result<(), Error> {
    files::create_database(draft)?;
    let found = prepare(draft, from, now)?;
    put_key_in_place(path, from, &found)?;
    sync(draft)?;
    let placed = fs::rename(draft, path).and_then(|()| files::sync_directory(path));
    placed.map_err(|error| Error::Unusable { path: path.to_owned(), detail: error.to_string() })
}

/// What a backup is until it is in place.
fn draft(path: &Path) -> PathBuf {
    files::beside(path, "restoring")
}

fn remove(draft: &Path) {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        // Mostly it is not there.
        drop(fs::remove_file(appended(draft, suffix)));
    }
}

/// Refuses to begin an empty database where a restore was broken off that had put nothing in place yet.
pub(super) fn refuse_draft(path: &Path) -> Result<(), Error> {
    let draft = draft(path);
    if is_there(path) || !is_there(&draft) {
        return Ok(());
    }
    let detail = format!(
        "a restore of it was begun and is not finished; run the restore again, or remove {} to begin with an empty one",
        draft.display()
    );
    Err(Error::Unusable { path: path.to_owned(), detail })
}

/// Copies the backup, checks the copy, and marks it as of when it was made.
fn prepare(draft: &Path, from: &Path, now: Timestamp) -> Result<BackedUp, Error> {
    if !fs::metadata(from).is_ok_and(|found| found.is_file() && found.len() > 0) {
        let detail = "there is no such file, or there is nothing in it".to_owned();
        return Err(Error::Unusable { path: from.to_owned(), detail });
    }
    let source = schema::open_reader(from)?;
    schema::known(&source, from)?;
    copy(&source, draft)?;
    drop(source);
    let sql = open_file(draft)?;
    let found = check(&sql, from)?;
    let as_of = match (single(&sql, RESTORING)?, single(&sql, BACKUP_AT)?) {
        (Some(micros), _) | (None, Some(micros)) => micros.parse().ok(),
        (None, None) => latest(&sql)?,
    };
    set_single(&sql, RESTORING, as_of.unwrap_or_else(|| time::floor(now)))?;
    // A copy of what is restored is another backup.
    sql.execute("DELETE FROM meta WHERE name = ?1", [BACKUP_AT]).map_err(|error| error.translate(false))?;
    close(sql)?;
    Ok(found)
}

/// When the latest of it was recorded, in microseconds.
fn latest(sql: &Connection) -> Result<Option<i64>, Error> {
    let select =
        "SELECT max(at) FROM (SELECT max(at) AS at FROM events UNION ALL SELECT max(updated_at) FROM operations)";
    sql.query_row(select, [], |row| row.get(0)).map_err(|error| error.translate(false))
}

/// The key that is there, or that stands beside the backup.
fn put_key_in_place(path: &Path, from: &Path, found: &BackedUp) -> Result<(), Error> {
    let (key, beside_backup) = (key_beside(path), key_beside(from));
    if key.exists() {
        return read_key(&key, found.key_ids.as_deref()).map(drop);
    }
    if !beside_backup.exists() {
        let detail = format!(
            "it is missing, and the backup cannot be used without it: put the sealing key of the database there, or beside the backup as {}",
            beside_backup.display()
        );
        return Err(Error::Key { path: key, detail });
    }
    let octets = read_key(&beside_backup, found.key_ids.as_deref())?;
    files::write_private(&key, &octets).map_err(|error| Error::Key { path: key, detail: error.to_string() })
}
