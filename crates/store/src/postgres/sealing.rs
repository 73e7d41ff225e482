//! The sealing keys of a database that nodes share. They are configured; what is noted here are their ids, so that a node which
//! could not open what another one seals is refused, be it the one that comes or one that is there.

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::{OperationId, Slot, TenantId};
use tokio::task::JoinSet;
use tokio_postgres::{Client, GenericClient, Row};
use uuid::Uuid;

use super::columns::{get, operation_id, slot, unescaped, unsigned, uuid};
use super::failure::Failure;
use super::session::{Alone, BoxFuture};
use super::{Config, Postgres, named};
use crate::failure::DatabaseError as _;
use crate::sealing::{FingerprintKey, Looked, NOT_HERE, Noted, Old, Sealer, SealingKey, needed};
use crate::{Epoch, Error, KeyCount, RESEAL_BYTES_MAX, RESEAL_MAX, Resealed, Sealed};

const NOTED: &str = "SELECT value FROM meta WHERE name = 'sealing_key' FOR UPDATE";

const NOTE: &str = "INSERT INTO meta (name, value) VALUES ('sealing_key', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

const FINGERPRINT_KEY: &str = "SELECT value FROM meta WHERE name = 'fingerprint_key'";

pub(super) const SET_FINGERPRINT_KEY: &str = "INSERT INTO meta (name, value) VALUES ('fingerprint_key', $1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// Where a sealed message stands.
pub(super) type Place = (Uuid, String);

/// The next messages, with those boxes that another key has sealed: so many rows at the most, and of them so many as have no
/// more octets of such boxes, but one at least. With each stands how many there were without the bound of octets.
const LOOK: &str = "SELECT operation, slot, tenant, key, CASE WHEN key <> $3 THEN box END, found
    FROM (SELECT looked.*, count(*) OVER () AS found, row_number() OVER up_to_it AS number,
              sum(CASE WHEN key <> $3 THEN octet_length(box) ELSE 0 END) OVER up_to_it AS octets
          FROM (SELECT s.operation, s.slot, o.tenant, s.key, s.box
                FROM sealed s JOIN operations o ON o.id = s.operation
                WHERE (s.operation, s.slot) > ($1, $2) ORDER BY s.operation, s.slot LIMIT $4) looked
          WINDOW up_to_it AS (ORDER BY operation, slot)) summed
    WHERE octets <= $5 OR number = 1 ORDER BY operation, slot";

const COUNT: &str = "SELECT key, count(*) FROM sealed GROUP BY key ORDER BY key";

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
    let counts = counted(&rows)?;
    if counts.is_empty() { Ok(()) } else { Err(refused(shown, needed(&counts, NOT_HERE, REMEDY)).into()) }
}

/// How many messages each key has sealed, that of the configuration first. Nothing is set up or noted in the database for it.
///
/// # Errors
/// [`Error::Unavailable`]; [`Error::Unusable`] if no server has set the database up; [`Error::Key`] if a key is missing.
pub async fn list_keys(config: Config) -> Result<Vec<KeyCount>, Error> {
    let shown = config.url.shown();
    let connector = config.url.connector(config.connect, config.patience)?;
    let (client, connection) = connector.connect_to_set_up().await.map_err(|error| named(error, shown))?;
    let mut running = JoinSet::new();
    running.spawn(connection);
    let failed = |error: tokio_postgres::Error| error.translate(false);
    let look = "SELECT to_regclass('migrations') IS NOT NULL AND to_regclass('sealed') IS NOT NULL";
    if !get::<bool>(&client.query_one(look, &[]).await.map_err(failed)?, 0)? {
        let detail = "no server has set it up yet: start one on it once".to_owned();
        return Err(Error::Unusable { path: PathBuf::from(shown), detail });
    }
    let counts = counted(&client.query(COUNT, &[]).await.map_err(failed)?)?;
    let sealer = Sealer::new(&config.key, &config.other_keys);
    let missing: Vec<_> = counts.iter().filter(|(id, _)| !sealer.has_key(id)).cloned().collect();
    if missing.is_empty() { Ok(sealer.told(&counts)) } else { Err(refused(shown, needed(&missing, NOT_HERE, REMEDY))) }
}

/// Keys, and how many messages each has sealed.
fn counted(rows: &[Row]) -> Result<Vec<(String, u64)>, Error> {
    rows.iter().map(|row| Ok((get(row, 0)?, unsigned(row, 1)?))).collect()
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
        // Only keys that are noted have sealed anything: the one that nodes get before they seal with it has not.
        let noted = Noted::of(noted.as_deref());
        if noted.0.len() < 2 || noted.0.first().is_none_or(|id| id != self.sealer.key_id()) {
            return Ok(Resealed::Later);
        }
        let mut after = self.resealed_to.lock().await;
        let Some(mut looked) = self.look(after.clone()).await? else { return Ok(Resealed::Done) };
        let mut replace = Replace {
            operations: Vec::new(),
            slots: Vec::new(),
            old: Vec::new(),
            new: Vec::new(),
            key: self.sealer.key_id().to_owned(),
        };
        for (old, new) in self.sealer.seal_all_anew(std::mem::take(&mut looked.old)) {
            replace.operations.push(uuid(old.id));
            replace.slots.push(old.slot.to_string());
            replace.old.push(old.octets);
            replace.new.push(new);
        }
        let resealed = if replace.new.is_empty() { 0 } else { self.writer.alone(replace).await? };
        let told = looked.told(resealed);
        *after = looked.next;
        Ok(told)
    }

    async fn sealing_keys(&self) -> Result<Vec<KeyCount>, Error> {
        let rows = self.readers.query(COUNT, &[]).await?;
        Ok(self.sealer.told(&counted(&rows)?))
    }
}

impl Postgres {
    /// Looks for messages that another key has sealed, from the start or behind a place. `None`: there is none at all.
    async fn look(&self, after: Option<Place>) -> Result<Option<Looked<Place>>, Error> {
        let current = self.sealer.key_id();
        if after.is_none() {
            let is_any = "SELECT FROM sealed WHERE key <> $1 LIMIT 1";
            if self.readers.query_opt(is_any, &[&current]).await?.is_none() {
                return Ok(None);
            }
        }
        let after = after.unwrap_or_default();
        let (most, octets_most) = (most(RESEAL_MAX), most(RESEAL_BYTES_MAX));
        let rows = self.readers.query(LOOK, &[&after.0, &after.1, &current, &most, &octets_most]).await?;
        let mut looked = Looked { old: Vec::new(), next: None };
        for row in &rows {
            if let Some(octets) = get::<Option<Vec<u8>>>(row, 4)? {
                let (id, slot) = (operation_id(row, 0)?, slot(row, 1)?);
                let tenant = TenantId::from(get::<String>(row, 2)?);
                looked.old.push(Old { id, slot, tenant, key: get(row, 3)?, octets });
            }
        }
        if let Some(last) = rows.last() {
            let found = unsigned(last, 5)?;
            let is_cut = found > rows.len() as u64 || found >= RESEAL_MAX as u64;
            looked.next = is_cut.then(|| Ok::<_, Error>((get(last, 0)?, get(last, 1)?))).transpose()?;
        }
        Ok(Some(looked))
    }
}

fn most(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
