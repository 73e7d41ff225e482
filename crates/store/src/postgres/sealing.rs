//! The sealing keys of a database that nodes share. They are configured; what is noted here are their ids, so that a node which
//! could not open what another one seals is refused, be it the one that comes or one that is there.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::{OperationId, Slot, TenantId};
use tokio_postgres::{Client, GenericClient};
use uuid::Uuid;

use super::Postgres;
use super::columns::{get, operation_id, slot, unescaped, unsigned, uuid};
use super::failure::Failure;
use super::session::{Alone, BoxFuture};
use crate::failure::DatabaseError as _;
use crate::sealing::{FingerprintKey, Noted, Sealer, SealingKey, needed};
use crate::{Epoch, Error, KeyCount, RESEAL_MAX, Resealed, Sealed};

const NOTED: &str = "SELECT value FROM meta WHERE name = 'sealing_key' FOR UPDATE";

const NOTE: &str = "INSERT INTO meta (name, value) VALUES ('sealing_key', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const FINGERPRINT_KEY: &str = "SELECT value FROM meta WHERE name = 'fingerprint_key'";

pub(super) const SET_FINGERPRINT_KEY: &str = "INSERT INTO meta (name, value) VALUES ('fingerprint_key', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// What to do where a key is missing.
const REMEDY: &str = "give it to this node as `[store] key`, or as one of `other_keys`";

/// Refuses keys without one that is needed, and notes this process's own; gives the key of fingerprints, which is made with the
/// database. `keys`: those of `sealer`.
pub(super) async fn open(
    client: &Client,
    sealer: &Sealer,
    keys: &[SealingKey],
    shown: &str,
) -> Result<FingerprintKey, Error> {
    let failed = |error: tokio_postgres::Error| error.translate(false);
    client.batch_execute("BEGIN").await.map_err(failed)?;
    let opened = open_in_transaction(client, sealer, keys, shown).await;
    let end = if opened.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(failed);
    let opened = opened.map_err(Error::from)?;
    ended.map(|()| opened)
}

async fn open_in_transaction(
    client: &Client,
    sealer: &Sealer,
    keys: &[SealingKey],
    shown: &str,
) -> Result<FingerprintKey, Failure> {
    let begin = "INSERT INTO meta (name, value) VALUES ('sealing_key', $1) ON CONFLICT DO NOTHING";
    client.execute(begin, &[&sealer.key_id()]).await?;
    let mut noted = noted(client).await?;
    refuse_missing(client, &noted, sealer, shown).await?;
    let key = match client.query_opt(FINGERPRINT_KEY, &[]).await? {
        Some(row) => sealer.open_fingerprint_key(get(&row, 0)?)?.map(|(key, _)| key),
        // Up to now it followed from the one key that there was.
        None => {
            let begun_with = keys.iter().find(|key| noted.0.first() == Some(&key.id())).map(FingerprintKey::begun_with);
            if let Some(key) = &begun_with {
                client.execute(SET_FINGERPRINT_KEY, &[&sealer.seal_fingerprint_key(key)?]).await?;
            }
            begun_with
        }
    };
    let key = key.ok_or_else(|| {
        refused(
            shown,
            format!("it is not the one that this database is used with, and every node has to know that; {REMEDY}"),
        )
    })?;
    // Whether it leads is decided when the node joins.
    if !noted.0.iter().any(|id| id == sealer.key_id()) {
        noted.0.push(sealer.key_id().to_owned());
        client.execute(NOTE, &[&noted.0.join(" ")]).await?;
    }
    Ok(key)
}

/// Lets a node in that has these keys, if it can open what those seal that are there, and they can open what it will; gives
/// what is noted of it. From now on its key is the one that messages are sealed with anew.
pub(super) async fn join(
    client: &Client,
    sealer: &Sealer,
    fingerprints: &FingerprintKey,
    shown: &str,
) -> Result<String, Failure> {
    let noted = noted(client).await?;
    for row in client.query("SELECT name, keys FROM nodes WHERE standing = 'member'", &[]).await? {
        let (name, keys) = (unescaped(get(&row, 0)?), Noted::of(Some(get(&row, 1)?)));
        // A program of a version before has the one key that leads.
        let keys = if keys.0.is_empty() { Noted(noted.0.iter().take(1).cloned().collect()) } else { keys };
        if let Some(seals) = keys.0.first().filter(|id| !sealer.has_key(id)) {
            let detail = format!("the node {name} seals with the key {seals}, which is not here; {REMEDY}");
            return Err(refused(shown, detail).into());
        }
        if !keys.0.iter().any(|id| id == sealer.key_id()) {
            let detail = format!(
                "the node {name} cannot open what the key {} seals; give it to every node as one of `[store] other_keys` \
                 first, and take it as `key` when all have it",
                sealer.key_id()
            );
            return Err(refused(shown, detail).into());
        }
    }
    refuse_missing(client, &noted, sealer, shown).await?;
    client.execute(NOTE, &[&noted.led_by(sealer)]).await?;
    client.execute(SET_FINGERPRINT_KEY, &[&sealer.seal_fingerprint_key(fingerprints)?]).await?;
    Ok(sealer.key_ids().collect::<Vec<_>>().join(" "))
}

async fn noted(client: &impl GenericClient) -> Result<Noted, Failure> {
    let row = client.query_opt(NOTED, &[]).await?;
    let value: Option<String> = row.map(|row| get(&row, 0)).transpose()?;
    Ok(Noted::of(value.as_deref()))
}

/// Refuses to go on without a key that messages are sealed with.
async fn refuse_missing(client: &Client, noted: &Noted, sealer: &Sealer, shown: &str) -> Result<(), Failure> {
    let missing = noted.missing(sealer);
    if missing.is_empty() {
        return Ok(());
    }
    let count = "SELECT key, count(*) FROM sealed WHERE key = ANY($1) GROUP BY key ORDER BY key";
    let rows = client.query(count, &[&missing]).await?;
    let counts = rows.iter().map(|row| Ok((get(row, 0)?, unsigned(row, 1)?))).collect::<Result<Vec<_>, Error>>()?;
    if counts.is_empty() { Ok(()) } else { Err(refused(shown, needed(&counts, REMEDY)).into()) }
}

fn refused(shown: &str, detail: String) -> Error {
    Error::Key { path: PathBuf::from(shown), detail }
}

/// Puts boxes in place of others, where they are those still.
struct Replace {
    operations: Vec<Uuid>,
    slots: Vec<String>,
    old: Vec<Vec<u8>>,
    new: Vec<Vec<u8>>,
    key: String,
}

impl Alone for Replace {
    type Answer = usize;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<usize, Failure>> {
        let update = "UPDATE sealed s SET key = $5, box = r.new
            FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[]) AS r (operation, slot, old, new)
            WHERE s.operation = r.operation AND s.slot = r.slot AND s.box = r.old";
        Box::pin(async move {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&self.operations, &self.slots, &self.old, &self.new, &self.key];
            Ok(usize::try_from(sql.execute(update, &values).await?).unwrap_or(usize::MAX))
        })
    }
}

#[async_trait]
impl Sealed for Postgres {
    async fn sealed(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        let select = "SELECT o.tenant, s.key, s.box FROM sealed s JOIN operations o ON o.id = s.operation
                      WHERE s.operation = $1 AND s.slot = $2";
        let Some(row) = self.readers.query_opt(select, &[&uuid(id), &slot.to_string()]).await? else { return Ok(None) };
        let tenant = TenantId::from(get::<String>(&row, 0)?);
        self.sealer.open_box((&tenant, id, slot), (get(&row, 1)?, get(&row, 2)?)).map(Some)
    }

    async fn reseal(&self) -> Result<Resealed, Error> {
        if !self.sealer.has_others() {
            return Ok(Resealed::Idle);
        }
        let noted = self.readers.query_opt("SELECT value FROM meta WHERE name = 'sealing_key'", &[]).await?;
        let noted = noted.map(|row| get::<String>(&row, 0)).transpose()?;
        if Noted::of(noted.as_deref()).0.first().is_none_or(|id| id != self.sealer.key_id()) {
            return Ok(Resealed::Whole { resealed: 0 });
        }
        let mut after = self.resealed_to.lock().await;
        let select = "SELECT s.operation, s.slot, o.tenant, s.key, CASE WHEN s.key <> $3 THEN s.box END
            FROM sealed s JOIN operations o ON o.id = s.operation
            WHERE (s.operation, s.slot) > ($1, $2) ORDER BY s.operation, s.slot LIMIT $4";
        let most = i64::try_from(RESEAL_MAX).unwrap_or(i64::MAX);
        let rows = self.readers.query(select, &[&after.0, &after.1, &self.sealer.key_id(), &most]).await?;
        let is_whole = rows.len() < RESEAL_MAX;
        let next = match rows.last().filter(|_| !is_whole) {
            Some(last) => (get(last, 0)?, get(last, 1)?),
            None => (Uuid::nil(), String::new()),
        };
        let mut replace = Replace {
            operations: Vec::new(),
            slots: Vec::new(),
            old: Vec::new(),
            new: Vec::new(),
            key: self.sealer.key_id().to_owned(),
        };
        for row in &rows {
            let Some(old) = get::<Option<Vec<u8>>>(row, 4)? else { continue };
            let (id, slot) = (operation_id(row, 0)?, slot(row, 1)?);
            let tenant = TenantId::from(get::<String>(row, 2)?);
            match self.sealer.seal_anew((&tenant, id, slot), (get(row, 3)?, &old)) {
                Ok(sealed) => {
                    replace.operations.push(uuid(id));
                    replace.slots.push(slot.to_string());
                    replace.old.push(old);
                    replace.new.push(sealed.octets);
                }
                Err(error) => tracing::error!(%error, "an original cannot be sealed anew"),
            }
        }
        let resealed = if replace.new.is_empty() { 0 } else { self.writer.alone(replace).await? };
        *after = next;
        Ok(if is_whole { Resealed::Whole { resealed } } else { Resealed::Some { resealed } })
    }

    async fn sealing_keys(&self) -> Result<Vec<KeyCount>, Error> {
        let rows = self.readers.query("SELECT key, count(*) FROM sealed GROUP BY key ORDER BY key", &[]).await?;
        let counts = rows.iter().map(|row| Ok((get(row, 0)?, unsigned(row, 1)?))).collect::<Result<Vec<_>, Error>>()?;
        Ok(self.sealer.told(&counts))
    }
}
