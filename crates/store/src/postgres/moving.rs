//! Writing everything that comes from another store. While that lasts the database has a mark, with which nobody opens it
//! otherwise; a batch and how far it got are written in one commit, so it can be gone on with from wherever it ended. What was
//! moved belongs to no node: whichever joins first adopts it.

mod rows;

use std::path::PathBuf;
use std::sync::Arc;

use fanfold_core::{OperationId, TenantId};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient};

use super::columns::{get, operation_id, optional_text, slot, unsigned, uuid};
use super::failure::Failure;
use super::session::{Query, begin};
use super::{Config, Postgres, sealing};
use crate::failure::DatabaseError as _;
use crate::moving::{AuditBatch, BATCH_MAX, Batch, Counters, Hidden, Inventory, Rest, TABLES};
use crate::{AuditNumber, Error, ReadAll};

/// Names how far a migration got, in the table of single values.
const MOVING: &str = "moving";

/// Held by the program that migrates. Any number would do that no other program in the same database uses.
const MOVING_LOCK: i64 = 0x464e_4644_0000_0003;

/// How far a migration got.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mark {
    /// The identity of what is moved.
    source: String,
    /// The last operation that is here.
    after: Option<OperationId>,
    /// The number of the last entry of the audit trail that is here; 0: none is.
    #[serde(default)]
    audit_after: u64,
    /// Whether everything is here, and only has to be compared.
    is_whole: bool,
}

/// A database that everything is moved into. Dropped before the end it stays marked, to be gone on with.
#[derive(Debug)]
pub struct Destination {
    store: Arc<Postgres>,
    client: Client,
    _running: JoinSet<()>,
    mark: Mark,
    is_resumed: bool,
}

impl Destination {
    /// Marks an empty database as the destination of what has this identity, or goes on with what was begun.
    ///
    /// # Errors
    /// [`Error::Unusable`] if it is not empty, is in use, or has something else in it, be it only half; those of
    /// [`Postgres::open`].
    pub async fn begin(config: Config, source: &str) -> Result<Self, Error> {
        let shown = PathBuf::from(config.url.shown());
        let connector = config.url.connector(config.connect, config.patience)?;
        let store = Postgres::open_unasked(config).await?;
        let (client, connection) = connector.connect_to_set_up().await?;
        let mut running = JoinSet::new();
        running.spawn(connection);
        let failed = |error: tokio_postgres::Error| error.translate(false);
        // Held by the session, so that two of them do not write the same at once; one that was killed has just left it.
        let lock = format!("SET lock_timeout = '10s'; SELECT pg_advisory_lock({MOVING_LOCK}); SET lock_timeout = 0");
        client.batch_execute(&lock).await.map_err(|error| match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Error::Unusable {
                path: shown.clone(),
                detail: "another migration into it is running; wait for its end, or end it".to_owned(),
            },
            _ => failed(error),
        })?;
        client.batch_execute(&begin()).await.map_err(failed)?;
        let begun = begin_or_go_on(&client, source).await;
        let (mark, is_resumed) = match begun.map_err(Error::from)? {
            Ok(begun) => begun,
            Err(detail) => return Err(Error::Unusable { path: shown, detail }),
        };
        client.batch_execute("COMMIT").await.map_err(|error| error.translate(true))?;
        Ok(Self { store, client, _running: running, mark, is_resumed })
    }

    /// Whether it had begun before, and been broken off.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// The last operation that is here.
    pub fn after(&self) -> Option<OperationId> {
        self.mark.after
    }

    /// The last entry of the audit trail that is here; 0: none is.
    pub fn audit_after(&self) -> AuditNumber {
        AuditNumber(self.mark.audit_after)
    }

    /// Whether everything is here, and only has to be compared.
    pub fn is_whole(&self) -> bool {
        self.mark.is_whole
    }

    /// For an export.
    pub fn read_all(&self) -> Arc<dyn ReadAll> {
        Arc::clone(&self.store) as Arc<dyn ReadAll>
    }

    /// Writes a batch. Originals are sealed anew.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Full`], [`Error::Corrupt`]; then nothing of it is here.
    pub async fn add(&mut self, batch: Batch) -> Result<(), Error> {
        let sealer = Arc::clone(&self.store.sealer);
        let seal = |row: &crate::moving::OriginalRow| {
            sealer.seal((&TenantId::from(row.tenant.clone()), row.operation, row.slot), &row.octets)
        };
        let boxes = batch.originals.iter().map(seal).collect::<Result<Vec<_>, _>>()?;
        let inserts = rows::inserts(&batch, &boxes, sealer.key_id());
        let mark = Mark { after: batch.last().or(self.mark.after), ..self.mark.clone() };
        self.write(&inserts, &mark).await?;
        self.mark = mark;
        Ok(())
    }

    /// Writes a batch of the audit trail.
    ///
    /// # Errors
    /// Like [`Destination::add`].
    pub async fn add_audit(&mut self, batch: AuditBatch) -> Result<(), Error> {
        let mark = Mark { audit_after: batch.last().unwrap_or(self.audit_after()).0, ..self.mark.clone() };
        self.write(&[rows::new_entries(&batch.entries)], &mark).await?;
        self.mark = mark;
        Ok(())
    }

    /// Writes what goes when all operations are there.
    ///
    /// # Errors
    /// Like [`Destination::add`].
    pub async fn complete(&mut self, rest: Rest) -> Result<(), Error> {
        let Counters { events, notes, notices, tokens, audit } = rest.counters;
        let mut inserts = rows::rest(&rest);
        inserts.push(Query::new(COUNTS));
        inserts.push(Query::new(COUNTERS).with(events).with(notes).with(notices).with(tokens).with(audit));
        let fingerprints = self.store.sealer.seal_fingerprint_key(&rest.fingerprints)?;
        inserts.push(Query::new(sealing::SET_FINGERPRINT_KEY).with(fingerprints));
        let mark = Mark { is_whole: true, ..self.mark.clone() };
        self.write(&inserts, &mark).await?;
        self.mark = mark;
        // Until then the plans of statements are those for empty tables.
        self.client.batch_execute("ANALYZE").await.map_err(|error| error.translate(false))
    }

    async fn write(&mut self, inserts: &[Query<'_>], mark: &Mark) -> Result<(), Error> {
        let value = crate::record::json(mark)?;
        let failed = |error: tokio_postgres::Error| error.translate(false);
        let tx = self.client.transaction().await.map_err(failed)?;
        for insert in inserts {
            tx.execute(insert.sql, &insert.values()).await.map_err(failed)?;
        }
        let update = "UPDATE meta SET value = $2 WHERE name = $1";
        if tx.execute(update, &[&MOVING, &value]).await.map_err(failed)? != 1 {
            return Err(Error::corrupt("a migration has lost its mark"));
        }
        tx.commit().await.map_err(|error| error.translate(true))
    }

    /// What there is.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`], also if an original does not open.
    pub async fn inventory(&self) -> Result<Inventory, Error> {
        self.take_inventory().await.map_err(Error::from)
    }

    async fn take_inventory(&self) -> Result<Inventory, Failure> {
        let mut rows = Vec::new();
        for table in TABLES {
            let row = self.client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?;
            rows.push((table, unsigned(&row, 0)?));
        }
        let counts = "SELECT tenant, status, number FROM counts WHERE number <> 0 ORDER BY tenant, status";
        let counts = self.client.query(counts, &[]).await?;
        let counts = counts.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?, unsigned(row, 2)?)));
        Ok(Inventory { rows, counts: counts.collect::<Result<_, Error>>()?, hidden: self.hidden().await? })
    }

    async fn hidden(&self) -> Result<String, Failure> {
        let mut hidden = Hidden::default();
        let most = i64::try_from(BATCH_MAX).unwrap_or(i64::MAX);
        let mut after = uuid(OperationId::from_bytes([0; 16]));
        let select = "SELECT id, idempotency_key, fingerprint, ended_at, expires_at FROM operations WHERE id > $1
            ORDER BY id LIMIT $2";
        loop {
            let rows = self.client.query(select, &[&after, &most]).await?;
            let Some(last) = rows.last() else { break };
            after = get(last, 0)?;
            for row in &rows {
                let key = optional_text(row, 1)?;
                hidden.operation(operation_id(row, 0)?, (key.as_deref(), get(row, 2)?), [get(row, 3)?, get(row, 4)?]);
            }
        }
        self.originals(&mut hidden).await?;
        for row in self.client.query(rows::TOKENS, &[]).await? {
            hidden.token(&rows::token(&row)?);
        }
        self.entries(&mut hidden).await?;
        Ok(hidden.finish())
    }

    async fn entries(&self, hidden: &mut Hidden) -> Result<(), Failure> {
        let most = i64::try_from(BATCH_MAX).unwrap_or(i64::MAX);
        let mut after: i64 = 0;
        loop {
            let rows = self.client.query(rows::AUDIT, &[&after, &most]).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = get(last, 0)?;
            for row in &rows {
                hidden.entry(&rows::entry(row)?);
            }
        }
    }

    async fn originals(&self, hidden: &mut Hidden) -> Result<(), Failure> {
        let most = i64::try_from(BATCH_MAX).unwrap_or(i64::MAX);
        let select = "SELECT s.operation, s.slot, s.key, s.box, o.tenant FROM sealed s
                JOIN operations o ON o.id = s.operation
            WHERE (s.operation, s.slot) > ($1, $2) ORDER BY s.operation, s.slot LIMIT $3";
        let mut after = (uuid(OperationId::from_bytes([0; 16])), String::new());
        loop {
            let rows = self.client.query(select, &[&after.0, &after.1, &most]).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = (get(last, 0)?, get(last, 1)?);
            for row in &rows {
                let (id, slot, tenant) = (operation_id(row, 0)?, slot(row, 1)?, TenantId::from(get::<String>(row, 4)?));
                let octets = self.store.sealer.open_box((&tenant, id, slot), (get(row, 2)?, get(row, 3)?))?;
                hidden.original(id, slot, &octets);
            }
        }
    }

    /// Takes the mark away: from now on the database may be served.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; then it may be marked still.
    pub async fn release(self) -> Result<(), Error> {
        let delete = "DELETE FROM meta WHERE name = $1";
        let deleted = self.client.execute(delete, &[&MOVING]).await;
        self.store.close().await;
        deleted.map(drop).map_err(|error| error.translate(true))
    }
}

/// As it is counted while operations change.
const COUNTS: &str = "INSERT INTO counts (tenant, status, number)
    SELECT tenant, status, count(*) FROM operations GROUP BY tenant, status";

const COUNTERS: &str = "UPDATE counters SET events = $1, notes = $2, notices = $3, tokens = $4, audit = $5,
    used = (SELECT coalesce(sum(used), 0)::bigint FROM operations)";

/// The mark, and whether it was there before; or why the database will not do.
async fn begin_or_go_on(client: &Client, source: &str) -> Result<Result<(Mark, bool), String>, Failure> {
    if let Some(mark) = mark(client).await? {
        if mark.source == source {
            return Ok(Ok((mark, true)));
        }
        let detail = "a migration into it was begun and is not finished, of another database than this, or of this one before it was served again; give an empty one";
        return Ok(Err(detail.to_owned()));
    }
    let look =
        "SELECT EXISTS (SELECT 1 FROM operations) OR EXISTS (SELECT 1 FROM holds) OR EXISTS (SELECT 1 FROM policies)
            OR (SELECT events + notes + notices + tokens + audit > 0 FROM counters),
        EXISTS (SELECT 1 FROM nodes WHERE standing = 'member')";
    let row = client.query_one(look, &[]).await?;
    if get::<bool>(&row, 1)? {
        return Ok(Err("a node serves it, or was not stopped cleanly; give one that nobody has served".to_owned()));
    }
    if get::<bool>(&row, 0)? {
        return Ok(Err("it is not empty, and a migration adds to nothing; give an empty one".to_owned()));
    }
    let mark = Mark { source: source.to_owned(), after: None, audit_after: 0, is_whole: false };
    let insert = "INSERT INTO meta (name, value) VALUES ($1, $2)";
    client.execute(insert, &[&MOVING, &crate::record::json(&mark)?]).await?;
    Ok(Ok((mark, false)))
}

async fn mark(client: &impl GenericClient) -> Result<Option<Mark>, Failure> {
    let Some(row) = client.query_opt("SELECT value FROM meta WHERE name = $1", &[&MOVING]).await? else {
        return Ok(None);
    };
    let mark = serde_json::from_str(get(&row, 0)?);
    Ok(mark.map_err(|error| Error::corrupt(format!("the mark of a migration cannot be read: {error}")))?)
}

/// Refuses a database that a migration has not been finished into.
pub(super) async fn refuse_unfinished(client: &Client, shown: &str) -> Result<(), Failure> {
    if mark(client).await?.is_none() {
        return Ok(());
    }
    let detail =
        "a migration into it was begun and is not finished; run \"fanfold migrate\" again, which goes on with it";
    Err(Error::Unusable { path: PathBuf::from(shown), detail: detail.to_owned() }.into())
}
