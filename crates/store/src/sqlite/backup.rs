//! A backup: one file that holds everything of the database as of one moment, made beside the server that has it open.
//!
//! It is made by `VACUUM INTO`, and not page by page by SQLite's backup interface: that begins anew whenever another process
//! has written, which a busy server always has. `VACUUM INTO` reads one picture, the log included, and keeps nobody from
//! writing; the log cannot be used again meanwhile, and grows by what is written. What it makes is compact, holds nothing of
//! what was deleted, and is in no need of a log of its own, so it can be read from anywhere.

use std::fs::{self, File};
use std::path::Path;

use fanfold_core::operation::Status;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::schema;
use super::sealing::needed_keys;

use crate::failure::DatabaseError as _;
use crate::{Error, time};

/// Names when a backup was made, in microseconds, in the table of single values.
pub(super) const BACKUP_AT: &str = "backup_at";

/// Names what the backup knew last, in microseconds, in a database whose restore has not been finished.
pub(super) const RESTORING: &str = "restoring";

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// Operations.
    pub operations: u64,
    /// Those of them that have not ended.
    pub open: u64,
    /// Octets.
    pub bytes: u64,
    /// The ids of the keys that are needed for it, with a space in between.
    pub key_ids: Option<String>,
}

/// Backs a database up into `to`, an empty file, and checks what stands there afterwards. It is on the disk then. Blocks for as
/// long as that takes. `now`: what happens later need not be in it.
///
/// # Errors
/// Those of [`super::Sqlite::open_to_read`]; [`Error::Full`]; [`Error::Corrupt`] if the database is damaged.
pub fn back_up(database: &Path, to: &Path, now: Timestamp) -> Result<BackedUp, Error> {
    if !database.is_file() {
        return Err(Error::Unusable { path: database.to_owned(), detail: "there is no such file".to_owned() });
    }
    let sql = schema::open_reader(database)?;
    schema::require(&sql, database)?;
    super::restore::refuse_unfinished(&sql, database)?;
    copy(&sql, to)?;
    drop(sql);
    let made = open_file(to)?;
    set_single(&made, BACKUP_AT, time::floor(now))?;
    let found = check(&made, to)?;
    close(made)?;
    sync(to)?;
    Ok(BackedUp { bytes: fs::metadata(to).map_or(0, |file| file.len()), ..found })
}

/// Copies everything into an empty file, as of now.
pub(super) fn copy(sql: &Connection, to: &Path) -> Result<(), Error> {
    let into = to
        .to_str()
        .ok_or_else(|| Error::Unusable { path: to.to_owned(), detail: "its name is not UTF-8".to_owned() })?;
    sql.execute("VACUUM INTO ?1", [into]).map(drop).map_err(|error| error.translate(false))
}

/// Opens a database of which no process makes use.
pub(super) fn open_file(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|error| error.translate(false))
}

/// Looks through a whole database, and counts.
pub(super) fn check(sql: &Connection, path: &Path) -> Result<BackedUp, Error> {
    let failed = |error: rusqlite::Error| error.translate(false);
    let found: String = sql.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if found != "ok" {
        return Err(Error::corrupt(format!("{}: {found}", path.display())));
    }
    let count = |select: &str| {
        let number = sql.query_row(select, [], |row| row.get::<_, i64>(0)).map_err(failed)?;
        u64::try_from(number).map_err(|_| Error::corrupt("a count is negative"))
    };
    let operations = count("SELECT count(*) FROM operations")?;
    let of_open: Vec<String> =
        Status::ALL.iter().filter(|status| !status.is_terminal()).map(|status| format!("'{status}'")).collect();
    let open = count(&format!("SELECT coalesce(sum(number), 0) FROM counts WHERE status IN ({})", of_open.join(", ")))?;
    let counted = count("SELECT coalesce(sum(number), 0) FROM counts")?;
    if counted != operations {
        return Err(Error::corrupt(format!("{counted} operations were counted, and {operations} are there")));
    }
    let found_open = count("SELECT count(*) FROM operations WHERE ended_at IS NULL")?;
    if found_open != open {
        return Err(Error::corrupt(format!("{open} open operations were counted, and {found_open} are there")));
    }
    Ok(BackedUp { operations, open, bytes: 0, key_ids: needed_keys(sql).map_err(failed)? })
}

pub(super) fn close(sql: Connection) -> Result<(), Error> {
    sql.close().map_err(|(_, error)| error.translate(false))
}

pub(super) fn sync(path: &Path) -> Result<(), Error> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::unavailable(format!("{} cannot be synced: {error}", path.display())))
}

/// A single value.
pub(super) fn single(sql: &Connection, name: &str) -> Result<Option<String>, Error> {
    let select = "SELECT value FROM meta WHERE name = ?1";
    let found = sql.query_row(select, [name], |row| row.get(0)).optional();
    found.map_err(|error| error.translate(false))
}

pub(super) fn set_single(sql: &Connection, name: &str, micros: i64) -> Result<(), Error> {
    let upsert = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
    let set = sql.execute(upsert, [name.to_owned(), micros.to_string()]);
    set.map(drop).map_err(|error| error.translate(false))
}
