//! The sealing key of a SQLite database. It stands in a file beside the database, made at the first start. It protects copies
//! of the database that are taken without it; whoever can read both files can read the messages.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::files::create_private;
use crate::Error;
use crate::failure::DatabaseError as _;
use crate::sealing::{KEY_BYTES, Sealer};

/// Reads the key, or makes one for a database that has nothing sealed yet.
pub(super) fn open_sealer(sql: &Connection, path: &Path) -> Result<Sealer, Error> {
    let refuse = |detail: &str| Error::Key { path: path.to_owned(), detail: detail.to_owned() };
    let failed = |error: rusqlite::Error| error.translate(false);
    let recorded = recorded_key(sql).map_err(failed)?;
    let has_sealed = has_sealed(sql).map_err(failed)?;
    let key = match fs::read(path) {
        Ok(key) => key,
        Err(error) if error.kind() == ErrorKind::NotFound && has_sealed => {
            return Err(refuse("it is missing, and the database holds messages sealed with it"));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make_key(path)?,
        Err(error) => return Err(refuse(&error.to_string())),
    };
    let key = <[u8; KEY_BYTES]>::try_from(key.as_slice())
        .map_err(|_| refuse(&format!("it has {} octets instead of {KEY_BYTES}", key.len())))?;
    warn_if_exposed(path);
    let sealer = Sealer::new(key);
    let key_id = sealer.key_id();
    if has_sealed && recorded.as_deref() != Some(key_id) {
        return Err(refuse("it is not the one that the database's messages are sealed with"));
    }
    if recorded.as_deref() != Some(key_id) {
        record_key(sql, key_id).map_err(failed)?;
    }
    Ok(sealer)
}

fn make_key(path: &Path) -> Result<Vec<u8>, Error> {
    let refuse = |detail: String| Error::Key { path: path.to_owned(), detail };
    let mut key = vec![0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| refuse(format!("the system gives no random numbers: {error}")))?;
    create_private(path, &key).map_err(|error| refuse(error.to_string()))?;
    Ok(key)
}

fn warn_if_exposed(path: &Path) {
    let mode = fs::metadata(path).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "the sealing key can be read by other accounts; its mode should be 0600");
    }
}

fn has_sealed(sql: &Connection) -> rusqlite::Result<bool> {
    sql.query_row("SELECT EXISTS (SELECT 1 FROM sealed)", [], |row| row.get(0))
}

fn recorded_key(sql: &Connection) -> rusqlite::Result<Option<String>> {
    sql.query_row("SELECT value FROM meta WHERE name = 'sealing_key'", [], |row| row.get(0)).optional()
}

fn record_key(sql: &Connection, key_id: &str) -> rusqlite::Result<()> {
    let record =
        "INSERT INTO meta (name, value) VALUES ('sealing_key', ?1) ON CONFLICT DO UPDATE SET value = excluded.value";
    sql.execute(record, [key_id]).map(drop)
}
