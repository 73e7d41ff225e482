//! Connections as this store needs them, and the versioned schema. Migrations are numbered files, each applied once; what was
//! applied is recorded with a checksum, and a database that does not fit this program is refused.

use std::path::Path;
use std::time::Duration;

use rusqlite::ffi::SQLITE_READONLY_ROLLBACK;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::{filling, scope};
use crate::Error;
use crate::failure::DatabaseError as _;
use crate::record::hex;

/// Marks a SQLite file as Fanfold's ("FNFD"); `file` and other tools show it.
const APPLICATION_ID: i32 = 0x464e_4644;

/// How long a connection waits for another one; only a checkpoint can make it wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The log is copied into the file proper after this many pages (16 MiB): seldom enough to be cheap, often enough to stay small.
const CHECKPOINT_PAGES: u32 = 4_096;

/// The log's file is cut back to this many octets after it was copied.
const LOG_KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// Page cache of the writing connection, in KiB.
const WRITER_CACHE_KIB: i64 = 32 * 1024;

/// Page cache of each reading connection, in KiB.
const READER_CACHE_KIB: i64 = 4 * 1024;

/// Different statements that a connection keeps compiled.
const STATEMENTS_MAX: usize = 128;

/// One step of the schema.
struct Migration {
    version: u32,
    name: &'static str,
    sql: &'static str,
    /// What SQL alone cannot fill in, in the same transaction.
    fill: fn(&Connection) -> rusqlite::Result<()>,
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "initial", sql: include_str!("migrations/0001_initial.sql"), fill: nothing },
    Migration {
        version: 2,
        name: "events_deleted",
        sql: include_str!("migrations/0002_events_deleted.sql"),
        fill: nothing,
    },
    Migration { version: 3, name: "receivers", sql: include_str!("migrations/0003_receivers.sql"), fill: nothing },
    Migration { version: 4, name: "retries", sql: include_str!("migrations/0004_retries.sql"), fill: nothing },
    Migration { version: 5, name: "phases", sql: include_str!("migrations/0005_phases.sql"), fill: filling::phases },
    Migration { version: 6, name: "facets", sql: include_str!("migrations/0006_facets.sql"), fill: filling::facets },
    Migration { version: 7, name: "tokens", sql: include_str!("migrations/0007_tokens.sql"), fill: nothing },
    Migration { version: 8, name: "audit", sql: include_str!("migrations/0008_audit.sql"), fill: nothing },
    Migration { version: 9, name: "sessions", sql: include_str!("migrations/0009_sessions.sql"), fill: nothing },
];

fn nothing(_: &Connection) -> rusqlite::Result<()> {
    Ok(())
}

/// Opens the connection that writes.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = open(path, flags, WRITER_CACHE_KIB).map_err(|error| opening(path, &error))?;
    prepare_to_write(&sql).map_err(|error| opening(path, &error))?;
    if sql.is_readonly(rusqlite::MAIN_DB).map_err(|error| opening(path, &error))? {
        return Err(Error::ReadOnly { path: path.to_owned() });
    }
    Ok(sql)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = open(path, flags, READER_CACHE_KIB).map_err(|error| opening(path, &error))?;
    scope::register(&sql).map_err(|error| opening(path, &error))?;
    Ok(sql)
}

fn open(path: &Path, flags: OpenFlags, cache_kib: i64) -> rusqlite::Result<Connection> {
    let sql = Connection::open_with_flags(path, flags)?;
    sql.busy_timeout(BUSY_TIMEOUT)?;
    sql.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    sql.pragma_update(None, "cache_size", -cache_kib)?;
    sql.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(sql)
}

fn prepare_to_write(sql: &Connection) -> rusqlite::Result<()> {
    sql.pragma_update(None, "journal_mode", "WAL")?;
    // Each commit is on the disk before it is answered.
    sql.pragma_update(None, "synchronous", "FULL")?;
    sql.pragma_update(None, "foreign_keys", true)?;
    // What is deleted is overwritten: sealed messages are gone for good once an operation has ended.
    sql.pragma_update(None, "secure_delete", true)?;
    sql.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    sql.pragma_update(None, "journal_size_limit", i64::try_from(LOG_KEPT_BYTES).unwrap_or(i64::MAX))
}

/// A bound on the file that SQLite itself keeps to; what is larger already grows no more. It is set when the schema is up to
/// date: a migration has to find the room that it takes, or the program would not start.
pub(super) fn bound(sql: &Connection, path: &Path, bytes_max: u64) -> Result<(), Error> {
    let set = || -> rusqlite::Result<()> {
        let page_size: u64 = sql.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))?.unsigned_abs();
        let pages = i64::try_from(bytes_max.div_ceil(page_size.max(1))).unwrap_or(i64::MAX);
        sql.pragma_update(None, "max_page_count", pages)
    };
    set().map_err(|error| opening(path, &error))
}

/// An error while opening; here a file that may not be read or written is for the operator.
fn opening(path: &Path, error: &rusqlite::Error) -> Error {
    let needs_repair = error.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_READONLY_ROLLBACK);
    match error.sqlite_error_code() {
        // Whoever only reads cannot take back what a process that was killed had begun to write.
        Some(ErrorCode::ReadOnly) if needs_repair => Error::Unusable {
            path: path.to_owned(),
            detail: "whoever wrote it was killed in the middle; to open it for writing repairs it: start the server, or run \
                     the restore again"
                .to_owned(),
        },
        Some(ErrorCode::ReadOnly) => Error::ReadOnly { path: path.to_owned() },
        Some(ErrorCode::DatabaseBusy) => Error::Locked { path: path.to_owned(), holder: None },
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            Error::Unusable { path: path.to_owned(), detail: error.to_string() }
        }
        _ => error.translate(false),
    }
}

/// Brings the schema up to date, in one transaction for each missing migration.
pub(super) fn migrate(sql: &mut Connection, path: &Path) -> Result<(), Error> {
    claim(sql, path)?;
    let applied = applied(sql).map_err(|error| opening(path, &error))?;
    refuse_unknown(&applied, path)?;
    for migration in MIGRATIONS {
        if applied.iter().all(|(version, _)| *version != migration.version) {
            apply(sql, migration, &checksum(migration.sql)).map_err(|error| opening(path, &error))?;
        }
    }
    Ok(())
}

/// Makes sure that a database is Fanfold's, and not that of a later version. Gives the first migration that is missing.
pub(super) fn known(sql: &Connection, path: &Path) -> Result<Option<u32>, Error> {
    let unusable = |detail: String| Error::Unusable { path: path.to_owned(), detail };
    let id: i32 =
        sql.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(|error| opening(path, &error))?;
    if id != APPLICATION_ID {
        return Err(unusable("it is no database of Fanfold".to_owned()));
    }
    let applied = applied(sql).map_err(|error| opening(path, &error))?;
    refuse_unknown(&applied, path)?;
    let missing = MIGRATIONS.iter().find(|migration| applied.iter().all(|(version, _)| *version != migration.version));
    Ok(missing.map(|missing| missing.version))
}

/// Makes sure that a database that is only read has the schema of this program.
pub(super) fn require(sql: &Connection, path: &Path) -> Result<(), Error> {
    let Some(missing) = known(sql, path)? else { return Ok(()) };
    let detail = format!(
        "it was written by an older version (schema version {missing} is missing): start the server of this version on it once"
    );
    Err(Error::Unusable { path: path.to_owned(), detail })
}

/// Refuses what another program than this one has set up.
fn refuse_unknown(applied: &[(u32, String)], path: &Path) -> Result<(), Error> {
    let known = MIGRATIONS.last().map_or(0, |migration| migration.version);
    for (version, recorded) in applied {
        match MIGRATIONS.iter().find(|migration| migration.version == *version) {
            None if *version > known => {
                return Err(Error::NewerSchema { path: path.to_owned(), found: *version, known });
            }
            Some(migration) if checksum(migration.sql) != *recorded => {
                return Err(Error::ChangedMigration { path: path.to_owned(), version: *version });
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// Marks an empty file as Fanfold's, and refuses one that belongs to somebody else.
fn claim(sql: &Connection, path: &Path) -> Result<(), Error> {
    let look = || -> rusqlite::Result<(i32, bool)> {
        let id = sql.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let has_tables = sql.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
        Ok((id, has_tables))
    };
    match look().map_err(|error| opening(path, &error))? {
        (APPLICATION_ID, _) => Ok(()),
        (0, false) => sql.pragma_update(None, "application_id", APPLICATION_ID).map_err(|error| opening(path, &error)),
        _ => Err(Error::Unusable {
            path: path.to_owned(),
            detail: "it is a SQLite database of another program".to_owned(),
        }),
    }
}

fn applied(sql: &Connection) -> rusqlite::Result<Vec<(u32, String)>> {
    let is_there = sql
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'", [], |_| Ok(()))
        .optional()?;
    if is_there.is_none() {
        return Ok(Vec::new());
    }
    let mut statement = sql.prepare("SELECT version, checksum FROM migrations ORDER BY version")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn apply(sql: &mut Connection, migration: &Migration, checksum: &str) -> rusqlite::Result<()> {
    let tx = sql.transaction()?;
    tx.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (
             version  INTEGER PRIMARY KEY,
             name     TEXT NOT NULL,
             checksum TEXT NOT NULL
         ) STRICT",
    )?;
    tx.execute_batch(migration.sql)?;
    (migration.fill)(&tx)?;
    let record = "INSERT INTO migrations (version, name, checksum) VALUES (?1, ?2, ?3)";
    tx.execute(record, params![migration.version, migration.name, checksum])?;
    tx.commit()
}

fn checksum(sql: &str) -> String {
    hex(&Sha256::digest(sql))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_that_were_recorded_without_a_receiver_get_one() {
        let sql = Connection::open_in_memory().unwrap();
        let (before, after): (Vec<_>, Vec<_>) = MIGRATIONS.iter().partition(|migration| migration.version < 3);
        before.iter().for_each(|migration| sql.execute_batch(migration.sql).unwrap());
        let insert = "INSERT INTO notices (id, tenant, operation, state, kind, method, url, headers, body, due_at, created_at)
                      VALUES ('n', 't', 1, 'pending', 'msf', 'PUT', 'http://10.0.0.1:65000/v1/operations/x', '[]', x'', 1, 1)";
        sql.execute_batch(&format!("PRAGMA foreign_keys = OFF; {insert}")).unwrap();
        after.iter().for_each(|migration| sql.execute_batch(migration.sql).unwrap());
        let receiver: String = sql.query_row("SELECT receiver FROM notices", [], |row| row.get(0)).unwrap();
        assert_eq!(receiver, "10.0.0.1:65000");
    }

    #[test]
    fn migrations_are_numbered_without_gaps() {
        for (migration, expected) in MIGRATIONS.iter().zip(1..) {
            assert_eq!(migration.version, expected);
        }
    }

    #[test]
    fn a_reader_of_what_was_left_half_written_says_what_repairs_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, left) = (folder.path().join("a.db"), folder.path().join("left.db"));
        let sql = Connection::open(&path).unwrap();
        sql.execute_batch("CREATE TABLE t (x); PRAGMA cache_size = 1; BEGIN").unwrap();
        for _ in 0..100 {
            sql.execute("INSERT INTO t VALUES (zeroblob(10000))", []).unwrap();
        }
        // As a kill would leave it.
        std::fs::copy(&path, &left).unwrap();
        std::fs::copy(path.with_extension("db-journal"), left.with_extension("db-journal")).unwrap();
        let error = open_reader(&left).unwrap_err();
        assert!(error.to_string().contains("was killed in the middle"), "{error}");
        drop(open_writer(&left).unwrap());
        drop(open_reader(&left).unwrap());
    }
}
