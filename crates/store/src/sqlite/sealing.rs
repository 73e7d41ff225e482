//! The sealing keys of a SQLite database. They stand in a file beside the database, made at the first start: one after the
//! other, 32 octets each; the first seals, all open. It protects copies of the database that are taken without it; whoever can
//! read both files can read the messages.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::{OperationId, Slot, TenantId};
use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Failure;
use super::files::{ProcessLock, write_private};
use super::operations::{operation_id, slot};
use super::writer::{Tx, Write};
use super::{Sqlite, key_beside, restore, schema};
use crate::failure::DatabaseError as _;
use crate::sealing::{
    FingerprintKey, KEY_BYTES, Looked, NOT_HERE, Noted, Old, SEALING_KEYS_MAX, Sealer, SealingKey, needed,
};
use crate::{Error, KeyCount, RESEAL_BYTES_MAX, RESEAL_MAX, Resealed, Sealed};

/// Where the ids of the keys in use are noted.
const NOTED: &str = "sealing_key";

/// Where the key of fingerprints stands.
const FINGERPRINT_KEY: &str = "fingerprint_key";

/// What to do where a key is missing.
const REMEDY: &str = "put it back into the file, behind the key that is to seal (32 octets each)";

/// Where a sealed message stands: the operation's number here, and the slot.
pub(super) type Place = (i64, String);

/// What is needed to seal and to open.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) sealer: Sealer,
    pub(super) fingerprints: FingerprintKey,
}

/// Reads the keys, or makes one for a database that has nothing sealed yet; notes which are in use.
pub(super) fn open_keys(sql: &Connection, path: &Path) -> Result<Keys, Error> {
    let refuse = |detail: &str| Error::Key { path: path.to_owned(), detail: detail.to_owned() };
    let failed = |error: rusqlite::Error| error.translate(false);
    let has_sealed = has_sealed(sql).map_err(failed)?;
    let keys = match read_keys(path) {
        Ok(Some(keys)) => keys,
        Ok(None) if has_sealed => {
            return Err(refuse("it is missing, and the database holds messages sealed with it"));
        }
        Ok(None) => vec![make_key(path)?],
        Err(error) => return Err(error),
    };
    warn_if_exposed(path);
    let sealer = sealer(&keys);
    let noted = Noted::of(single(sql, NOTED).map_err(failed)?.as_deref());
    refuse_missing(sql, path, &noted, &sealer)?;
    let (fingerprints, stands) = match fingerprint_key(sql, &noted, &keys, &sealer)? {
        Some(found) => found,
        None if has_sealed => {
            return Err(refuse(&format!("a key is not in it that the database still needs; {REMEDY}")));
        }
        // As if it began now.
        None => (FingerprintKey::begun_with(&keys[0]), false),
    };
    // In this order: as long as it does not stand there, it follows from the key that is noted.
    if !stands {
        set_single(sql, FINGERPRINT_KEY, &sealer.seal_fingerprint_key(&fingerprints)?).map_err(failed)?;
    }
    let led = noted.led_by(&sealer);
    if led != noted.0.join(" ") {
        set_single(sql, NOTED, &led).map_err(failed)?;
    }
    Ok(Keys { sealer, fingerprints })
}

/// The same for a database that is only read.
pub(super) fn read_keys_of(sql: &Connection, path: &Path) -> Result<(Vec<SealingKey>, Keys), Error> {
    let refuse = |detail: &str| Error::Key { path: path.to_owned(), detail: detail.to_owned() };
    let keys = read_keys(path)?.ok_or_else(|| refuse("it is missing"))?;
    let sealer = sealer(&keys);
    let noted = Noted::of(single(sql, NOTED).map_err(|error| error.translate(false))?.as_deref());
    refuse_missing(sql, path, &noted, &sealer)?;
    let found = fingerprint_key(sql, &noted, &keys, &sealer)?;
    let (fingerprints, _) = found.ok_or_else(|| refuse("a key is not in it that the database still needs"))?;
    Ok((keys, Keys { sealer, fingerprints }))
}

fn sealer(keys: &[SealingKey]) -> Sealer {
    let (current, others) = keys.split_first().expect("a file without a key is not read");
    Sealer::new(current, others)
}

/// Refuses to go on without a key that messages are sealed with.
fn refuse_missing(sql: &Connection, path: &Path, noted: &Noted, sealer: &Sealer) -> Result<(), Error> {
    if !noted.0.is_empty() && noted.missing(sealer).is_empty() {
        return Ok(());
    }
    let mut counts = counts(sql).map_err(|error| error.translate(false))?;
    counts.retain(|(id, _)| !sealer.has_key(id));
    if counts.is_empty() {
        return Ok(());
    }
    Err(Error::Key { path: path.to_owned(), detail: needed(&counts, NOT_HERE, REMEDY) })
}

/// The key of fingerprints, and whether it stands there as it should. `None`: it is sealed with a key that is not here.
fn fingerprint_key(
    sql: &Connection,
    noted: &Noted,
    keys: &[SealingKey],
    sealer: &Sealer,
) -> Result<Option<(FingerprintKey, bool)>, Error> {
    if let Some(value) = single(sql, FINGERPRINT_KEY).map_err(|error| error.translate(false))? {
        return sealer.open_fingerprint_key(&value);
    }
    // Up to now it followed from the one key that there was.
    let begun_with = match noted.0.first() {
        None => keys.first(),
        Some(id) => keys.iter().find(|key| key.id() == *id),
    };
    Ok(begun_with.map(|key| (FingerprintKey::begun_with(key), false)))
}

/// The keys in a file; `None`: it is not there.
fn read_keys(path: &Path) -> Result<Option<Vec<SealingKey>>, Error> {
    let refuse = |detail: String| Error::Key { path: path.to_owned(), detail };
    let octets = match fs::read(path) {
        Ok(octets) => octets,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(error.to_string())),
    };
    let (keys, rest) = octets.as_chunks::<KEY_BYTES>();
    if keys.is_empty() || !rest.is_empty() || keys.len() > SEALING_KEYS_MAX {
        let detail = format!(
            "it has {} octets, and a key has {KEY_BYTES}; there may be up to {SEALING_KEYS_MAX}, one after the other",
            octets.len()
        );
        return Err(refuse(detail));
    }
    Ok(Some(keys.iter().map(|key| SealingKey(*key)).collect()))
}

/// What stands in the file of the keys of a database, if all are there that these are the ids of.
///
/// # Errors
/// [`Error::Key`] if it cannot be read, or one is not there.
pub fn read_key(path: &Path, needed: Option<&str>) -> Result<Vec<u8>, Error> {
    let refuse = |detail: &str| Error::Key { path: path.to_owned(), detail: detail.to_owned() };
    let keys = read_keys(path)?.ok_or_else(|| refuse("there is no such file"))?;
    let sealer = sealer(&keys);
    if !Noted::of(needed).missing(&sealer).is_empty() {
        return Err(refuse("it is not the one that the database's messages are sealed with, or not all are in it"));
    }
    Ok(keys.iter().flat_map(|key| key.0).collect())
}

/// Makes a new key for a database that no server has open: from now on it seals, and those before it open. Gives its id.
///
/// # Errors
/// [`Error::Locked`]; [`Error::Key`]; those of [`Sqlite::open_to_read`].
pub fn rotate_key(database: &Path) -> Result<String, Error> {
    let (_lock, sql, path) = lock_to_read(database)?;
    let (mut keys, _) = read_keys_of(&sql, &path)?;
    if keys.len() == SEALING_KEYS_MAX {
        let detail =
            format!("it has {SEALING_KEYS_MAX} keys, and no more can be; retire those that are not needed any more");
        return Err(Error::Key { path, detail });
    }
    keys.insert(0, new_key(&path)?);
    write_keys(&path, &keys)?;
    Ok(keys[0].id())
}

/// Takes all keys but the first out of the file, which nothing may be sealed with any more. Gives their ids.
///
/// # Errors
/// Like [`rotate_key`]; also [`Error::Key`] if one is still needed.
pub fn retire_keys(database: &Path) -> Result<Vec<String>, Error> {
    let (_lock, sql, path) = lock_to_read(database)?;
    let (keys, _) = read_keys_of(&sql, &path)?;
    let failed = |error: rusqlite::Error| error.translate(false);
    let alone = sealer(&keys[..1]);
    let remedy = "start the server, which seals them anew, and try again once \"fanfold key list\" shows none";
    let mut counts = counts(&sql).map_err(failed)?;
    counts.retain(|(id, _)| !alone.has_key(id));
    if !counts.is_empty() {
        return Err(Error::Key { path, detail: needed(&counts, "which is needed for them", remedy) });
    }
    let value = single(&sql, FINGERPRINT_KEY).map_err(failed)?;
    if !value.is_some_and(|value| value.starts_with(&format!("{} ", alone.key_id()))) {
        return Err(Error::Key {
            path,
            detail: format!("the server has not been started since the key was made; {remedy}"),
        });
    }
    write_keys(&path, &keys[..1])?;
    Ok(keys[1..].iter().map(SealingKey::id).collect())
}

/// How many messages each key of a database has sealed, the one that seals first; a server may have it open.
///
/// # Errors
/// [`Error::Key`]; those of [`Sqlite::open_to_read`].
pub fn list_keys(database: &Path) -> Result<Vec<KeyCount>, Error> {
    let (sql, path) = open_to_read(database)?;
    let (_, keys) = read_keys_of(&sql, &path)?;
    let counts = counts(&sql).map_err(|error| error.translate(false))?;
    Ok(keys.sealer.told(&counts))
}

fn lock_to_read(database: &Path) -> Result<(ProcessLock, Connection, PathBuf), Error> {
    let lock = Sqlite::lock(database)?;
    let (sql, path) = open_to_read(database)?;
    Ok((lock, sql, path))
}

/// The database, and where its keys are.
fn open_to_read(database: &Path) -> Result<(Connection, PathBuf), Error> {
    if !database.is_file() {
        return Err(Error::Unusable { path: database.to_owned(), detail: "there is no such file".to_owned() });
    }
    let sql = schema::open_reader(database)?;
    schema::require(&sql, database)?;
    restore::refuse_unfinished(&sql, database)?;
    Ok((sql, key_beside(database)))
}

fn make_key(path: &Path) -> Result<SealingKey, Error> {
    let key = new_key(path)?;
    write_keys(path, std::slice::from_ref(&key))?;
    Ok(key)
}

fn new_key(path: &Path) -> Result<SealingKey, Error> {
    let refuse = |detail: String| Error::Key { path: path.to_owned(), detail };
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| refuse(format!("the system gives no random numbers: {error}")))?;
    Ok(SealingKey(key))
}

fn write_keys(path: &Path, keys: &[SealingKey]) -> Result<(), Error> {
    let octets: Vec<u8> = keys.iter().flat_map(|key| key.0).collect();
    write_private(path, &octets).map_err(|error| Error::Key { path: path.to_owned(), detail: error.to_string() })
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

fn counts(sql: &Connection) -> rusqlite::Result<Vec<(String, u64)>> {
    let mut statement = sql.prepare("SELECT key, count(*) FROM sealed GROUP BY key ORDER BY key")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    rows.collect()
}

/// The ids of the keys that something is sealed with, with a space in between; of a database of the version before that of its key.
pub(super) fn needed_keys(sql: &Connection) -> rusqlite::Result<Option<String>> {
    let select = "SELECT group_concat(id, ' ') FROM (
                      SELECT key AS id FROM sealed
                      UNION SELECT substr(value, 1, instr(value, ' ') - 1) FROM meta WHERE name = 'fingerprint_key'
                      UNION SELECT value FROM meta WHERE name = 'sealing_key'
                          AND NOT EXISTS (SELECT 1 FROM meta WHERE name = 'fingerprint_key'))";
    sql.query_row(select, [], |row| row.get(0))
}

fn single(sql: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    sql.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

fn set_single(sql: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    let record = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
    sql.execute(record, [name, value]).map(drop)
}

/// Puts boxes in place of others, where they are those still.
struct Replace(Vec<(Old, Vec<u8>)>, String);

impl Write for Replace {
    type Answer = usize;

    fn run(&self, tx: &mut Tx<'_>) -> Result<usize, Failure> {
        let update = "UPDATE sealed SET key = ?1, box = ?2
                      WHERE operation = (SELECT serial FROM operations WHERE id = ?3) AND slot = ?4 AND box = ?5";
        let mut replaced = 0;
        for (old, new) in &self.0 {
            replaced +=
                tx.execute(update, params![self.1, new, old.id.as_bytes(), old.slot.to_string(), old.octets])?;
        }
        Ok(replaced)
    }
}

#[async_trait]
impl Sealed for Sqlite {
    async fn sealed(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        let found = self
            .read(move |snapshot| {
                let select = "SELECT o.tenant, s.key, s.box FROM sealed s JOIN operations o ON o.serial = s.operation
                              WHERE o.id = ?1 AND s.slot = ?2";
                let mut statement = snapshot.sql.prepare_cached(select)?;
                let row = statement.query_row(params![id.as_bytes(), slot.to_string()], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?))
                });
                Ok(row.optional()?)
            })
            .await?;
        let Some((tenant, key_id, octets)) = found else { return Ok(None) };
        self.keeper()?.keys.sealer.open_box((&TenantId::from(tenant), id, slot), (&key_id, &octets)).map(Some)
    }

    async fn reseal(&self) -> Result<Resealed, Error> {
        let keeper = self.keeper()?;
        let sealer = &keeper.keys.sealer;
        if !sealer.has_others() {
            return Ok(Resealed::Idle);
        }
        let mut after = keeper.resealed_to.lock().await;
        let (from, current) = (after.clone(), sealer.key_id().to_owned());
        let looked = self.read(move |snapshot| Ok(look(snapshot.sql, from, &current)?)).await?;
        let Some(mut looked) = looked else { return Ok(Resealed::Done) };
        let boxes = sealer.seal_all_anew(std::mem::take(&mut looked.old));
        let resealed = match boxes.is_empty() {
            true => 0,
            false => self.write(Replace(boxes, sealer.key_id().to_owned())).await?,
        };
        let told = looked.told(resealed);
        *after = looked.next;
        Ok(told)
    }

    async fn sealing_keys(&self) -> Result<Vec<KeyCount>, Error> {
        let sealer = &self.keeper()?.keys.sealer;
        let counts = self.read(|snapshot| Ok(counts(snapshot.sql)?)).await?;
        Ok(sealer.told(&counts))
    }
}

/// Looks for messages that another key has sealed, from the start or behind a place. `None`: there is none at all.
fn look(sql: &Connection, after: Option<Place>, current: &str) -> rusqlite::Result<Option<Looked<Place>>> {
    let is_any = "SELECT EXISTS (SELECT 1 FROM sealed WHERE key <> ?1)";
    if after.is_none() && !sql.query_row(is_any, [current], |row| row.get(0))? {
        return Ok(None);
    }
    let after = after.unwrap_or_default();
    let select = "SELECT s.operation, s.slot, o.id, o.tenant, s.key, CASE WHEN s.key <> ?3 THEN s.box END
                  FROM sealed s JOIN operations o ON o.serial = s.operation
                  WHERE (s.operation, s.slot) > (?1, ?2) ORDER BY s.operation, s.slot LIMIT ?4";
    let most = i64::try_from(RESEAL_MAX).unwrap_or(i64::MAX);
    let mut statement = sql.prepare_cached(select)?;
    let mut rows = statement.query(params![after.0, after.1, current, most])?;
    let (mut old, mut octets_in_all, mut number, mut last) = (Vec::new(), 0, 0, None);
    while let Some(row) = rows.next()? {
        if let Some(octets) = row.get::<_, Option<Vec<u8>>>(5)? {
            octets_in_all += octets.len();
            if octets_in_all > RESEAL_BYTES_MAX && !old.is_empty() {
                return Ok(Some(Looked { old, next: last }));
            }
            let tenant = TenantId::from(row.get::<_, String>(3)?);
            old.push(Old { id: operation_id(row, 2)?, slot: slot(row, 1)?, tenant, key: row.get(4)?, octets });
        }
        number += 1;
        last = Some((row.get(0)?, row.get(1)?));
    }
    Ok(Some(Looked { old, next: last.filter(|_| number == RESEAL_MAX) }))
}
