//! Reading everything, to be moved into another store. The database belongs to whoever reads it so: no server may have it open,
//! since what it did meanwhile would be lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fanfold_core::access::TokenId;
use fanfold_core::{OperationId, Slot, TenantId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use super::failure::Failure;
use super::files::{self, ProcessLock};
use super::operations::{operation_id, slot};
use super::sealing::{Keys, read_keys_of};
use super::{Sqlite, key_beside, restore, schema};
use crate::failure::DatabaseError as _;
use crate::moving::{
    AuditBatch, AuditRow, Batch, BodyRow, Counters, EventRow, Hidden, HoldRow, Inventory, LockRow, NoteRow, NoticeRow,
    OperationRow, OriginalRow, Rest, TABLES, TokenRow,
};
use crate::record::hex;
use crate::sealing::{FingerprintKey, SealingKey};
use crate::{AuditNumber, Error, ReadAll};

/// A database that is read whole.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    sql: Connection,
    key: SealingKey,
    keys: Keys,
    identity: String,
    _lock: ProcessLock,
}

/// What stands beside a database that was moved.
fn moved_mark(path: &Path) -> PathBuf {
    files::beside(path, "migrated")
}

/// Refuses a database that was moved: it would go on with everything a second time.
pub(super) fn refuse_moved(path: &Path) -> Result<(), Error> {
    let mark = moved_mark(path);
    let Ok(to) = std::fs::read_to_string(&mark) else { return Ok(()) };
    let detail = format!(
        "it was migrated to {}, where its operations go on; serve that, or, if nobody does, remove {} to serve this one",
        to.trim_end(),
        mark.display()
    );
    Err(Error::Unusable { path: path.to_owned(), detail })
}

impl Source {
    /// Locks the database for this process and opens it to be read. Its key stands beside it. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`Error::Locked`] if a server has it open; [`Error::Key`]; those of [`Sqlite::open_to_read`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        if !path.is_file() {
            return Err(Error::Unusable { path, detail: "there is no such file".to_owned() });
        }
        let lock = Sqlite::lock(&path)?;
        let sql = schema::open_reader(&path)?;
        schema::require(&sql, &path)?;
        restore::refuse_unfinished(&sql, &path)?;
        let (all, keys) = read_keys_of(&sql, &key_beside(&path))?;
        let key = all.into_iter().next().ok_or_else(|| Error::invalid("there is no key"))?;
        let identity = identity(&sql, keys.sealer.key_id()).map_err(|error| error.translate(false))?;
        Ok(Self { path, sql, key, keys, identity, _lock: lock })
    }

    /// Puts a mark beside the database that it was moved to `to`: from now on it is not served. Done twice it is done once.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the mark cannot be written; the database may be served still.
    pub fn mark_moved(&self, to: &str) -> Result<(), Error> {
        let path = moved_mark(&self.path);
        let marked = std::fs::write(&path, format!("{to}\n")).and_then(|()| files::sync_directory(&self.path));
        marked.map_err(|error| Error::Unusable { path, detail: format!("it cannot be written: {error}") })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that its new messages are sealed with.
    pub fn key(&self) -> &SealingKey {
        &self.key
    }

    /// The same as long as it is the same database and nothing in it has changed.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// For an export.
    ///
    /// # Errors
    /// Those of [`Sqlite::open_to_read`].
    pub fn read_all(&self) -> Result<Arc<dyn ReadAll>, Error> {
        Sqlite::open_to_read(&self.path)
    }

    /// The operations that follow this one.
    ///
    /// # Errors
    /// [`Error::Corrupt`], also if an original does not open; [`Error::Unavailable`].
    pub fn batch(&self, after: Option<OperationId>) -> Result<Batch, Error> {
        self.read_batch(after).map_err(Error::from)
    }

    fn read_batch(&self, after: Option<OperationId>) -> Result<Batch, Failure> {
        let mut batch = Batch::default();
        let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
        let mut statement = self.sql.prepare_cached(OPERATIONS)?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            let (serial, operation) = (row.get(0)?, operation(row)?);
            self.add(&mut batch, serial, operation)?;
            if batch.is_full() {
                break;
            }
        }
        Ok(batch)
    }

    /// Adds an operation with all that hangs on it.
    fn add(&self, batch: &mut Batch, serial: i64, mut operation: OperationRow) -> Result<(), Failure> {
        let id = operation.id;
        let mut used = operation.state.len() + operation.plan.len();
        let bodies: Vec<BodyRow> =
            self.rows(BODIES, serial, |row| Ok(BodyRow { operation: id, slot: row.get(0)?, octets: row.get(1)? }))?;
        used += bodies.iter().map(|row| row.octets.len()).sum::<usize>();
        let mut events: Vec<EventRow> = self.rows(EVENTS, serial, |row| {
            Ok(EventRow { number: row.get(0)?, operation: id, sequence: 0, at: row.get(1)?, event: row.get(2)? })
        })?;
        for (event, sequence) in events.iter_mut().zip(1..) {
            event.sequence = sequence;
            used += event.event.len();
        }
        let notices = self.rows(NOTICES, serial, |row| notice(row, id))?;
        used += notices.iter().map(|row: &NoticeRow| row.body.len() + row.headers.len()).sum::<usize>();
        batch.notes.extend(self.rows(NOTES, serial, |row| note(row, id))?);
        let originals = self.originals(serial, id, &operation.tenant)?;
        batch.octets += used + originals.iter().map(|row| row.octets.len()).sum::<usize>();
        operation.events = i32::try_from(events.len()).map_err(|_| Error::corrupt("there are too many events"))?;
        operation.used = i64::try_from(used).unwrap_or(i64::MAX);
        batch.bodies.extend(bodies);
        batch.events.extend(events);
        batch.notices.extend(notices);
        batch.originals.extend(originals);
        batch.operations.push(operation);
        Ok(())
    }

    fn originals(&self, serial: i64, id: OperationId, tenant: &str) -> Result<Vec<OriginalRow>, Failure> {
        let boxes =
            self.rows(SEALED, serial, |row| Ok((slot(row, 0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?)))?;
        let bound_to = TenantId::from(tenant.to_owned());
        let open = |(slot, key, octets): (Slot, String, Vec<u8>)| {
            let octets = self.keys.sealer.open_box((&bound_to, id, slot), (&key, &octets))?;
            Ok(OriginalRow { operation: id, tenant: tenant.to_owned(), slot, octets })
        };
        boxes.into_iter().map(open).collect()
    }

    fn rows<T>(
        &self,
        select: &str,
        serial: i64,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        self.sql.prepare_cached(select)?.query_map([serial], read)?.collect()
    }

    /// The entries of the audit trail that follow this one.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unavailable`].
    pub fn audit(&self, after: AuditNumber) -> Result<AuditBatch, Error> {
        self.read_audit(after).map_err(|error| error.translate(false))
    }

    fn read_audit(&self, after: AuditNumber) -> rusqlite::Result<AuditBatch> {
        let mut batch = AuditBatch::default();
        let mut statement = self.sql.prepare_cached(AUDIT)?;
        let mut rows = statement.query([i64::try_from(after.0).unwrap_or(i64::MAX)])?;
        while !batch.is_full()
            && let Some(row) = rows.next()?
        {
            batch.add(audit_row(row)?);
        }
        Ok(batch)
    }

    /// What goes when all operations are there.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unavailable`].
    pub fn rest(&self) -> Result<Rest, Error> {
        let rest = || -> rusqlite::Result<Rest> {
            Ok(Rest {
                policies: self.all("SELECT hash, policy FROM policies", |row| Ok((row.get(0)?, row.get(1)?)))?,
                locks: self.all(LOCKS, |row| {
                    let operation = operation_id(row, 3)?;
                    Ok(LockRow { tenant: row.get(0)?, key: row.get(1)?, turn: row.get(2)?, operation })
                })?,
                holds: self.all("SELECT target, since, by, reason FROM holds", |row| {
                    Ok(HoldRow { target: row.get(0)?, since: row.get(1)?, by: row.get(2)?, reason: row.get(3)? })
                })?,
                tokens: self.all(TOKENS, token)?,
                events_deleted: self
                    .all("SELECT tenant, number FROM events_deleted", |row| Ok((row.get(0)?, row.get(1)?)))?,
                fingerprints: FingerprintKey(self.keys.fingerprints.0),
                counters: Counters {
                    events: last_number(&self.sql, "events")?,
                    notes: last_number(&self.sql, "attention")?,
                    notices: last_number(&self.sql, "notices")?,
                    tokens: self.sql.query_row(TOKENS_CHANGED, [], |row| row.get(0))?,
                    audit: last_number(&self.sql, "audit")?,
                },
            })
        };
        rest().map_err(|error| error.translate(false))
    }

    fn all<T>(&self, select: &str, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<Vec<T>> {
        self.sql.prepare(select)?.query_map([], read)?.collect()
    }

    /// What there is.
    ///
    /// # Errors
    /// [`Error::Corrupt`], also if an original does not open; [`Error::Unavailable`].
    pub fn inventory(&self) -> Result<Inventory, Error> {
        let failed = |error: rusqlite::Error| error.translate(false);
        let rows = TABLES.map(|table| {
            let count = format!("SELECT count(*) FROM {table}");
            self.sql.query_row(&count, [], |row| row.get::<_, i64>(0)).map(|number| (table, number.unsigned_abs()))
        });
        let counts = "SELECT tenant, status, number FROM counts WHERE number <> 0 ORDER BY tenant, status";
        let counts = self.all(counts, |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?.unsigned_abs())));
        Ok(Inventory {
            rows: rows.into_iter().collect::<Result<_, _>>().map_err(failed)?,
            counts: counts.map_err(failed)?,
            hidden: self.hidden().map_err(Error::from)?,
        })
    }

    fn hidden(&self) -> Result<String, Failure> {
        let mut hidden = Hidden::default();
        let mut statement = self
            .sql
            .prepare("SELECT id, idempotency_key, fingerprint, ended_at, expires_at FROM operations ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (key, fingerprint): (Option<String>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
            hidden.operation(
                operation_id(row, 0)?,
                (key.as_deref(), fingerprint.as_deref()),
                [row.get(3)?, row.get(4)?],
            );
        }
        let mut statement = self.sql.prepare(
            "SELECT o.serial, o.id, o.tenant FROM operations o
             WHERE EXISTS (SELECT 1 FROM sealed s WHERE s.operation = o.serial) ORDER BY o.id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (serial, id, tenant): (i64, _, String) = (row.get(0)?, operation_id(row, 1)?, row.get(2)?);
            for original in self.originals(serial, id, &tenant)? {
                hidden.original(id, original.slot, &original.octets);
            }
        }
        for token in self.all(TOKENS, token)? {
            hidden.token(&token);
        }
        let mut statement = self.sql.prepare(AUDIT)?;
        let mut rows = statement.query([0])?;
        while let Some(row) = rows.next()? {
            hidden.entry(&audit_row(row)?);
        }
        Ok(hidden.finish())
    }
}

const OPERATIONS: &str = "SELECT o.serial, o.id, o.tenant, o.revision, o.status, o.route, o.dialect, o.mount, o.owner, o.verb,
        o.resource, o.targets, o.lane, o.lock_key, o.idempotency_key, o.fingerprint, o.retry_of, o.accepted_at, o.updated_at,
        o.wake_at, o.ended_at, o.expires_at, o.attention, o.apart, o.state, p.policy, p.plan, o.phase, t.searched
    FROM operations o JOIN plans p ON p.operation = o.serial JOIN texts t ON t.tenant = o.tenant AND t.operation = o.id
    WHERE o.id > ?1 ORDER BY o.id";

const BODIES: &str = "SELECT slot, octets FROM bodies WHERE operation = ?1 ORDER BY slot";

const SEALED: &str = "SELECT slot, key, box FROM sealed WHERE operation = ?1 ORDER BY slot";

const EVENTS: &str = "SELECT number, at, event FROM events WHERE operation = ?1 ORDER BY number";

const NOTES: &str = "SELECT id, tenant, step, target, reason, detail, opened_at, closed_at, closed_by, remark
    FROM attention WHERE operation = ?1 ORDER BY id";

const NOTICES: &str =
    "SELECT number, id, tenant, state, kind, method, url, receiver, headers, body, attempts, due_at, last_error,
        created_at, settled_at
    FROM notices WHERE operation = ?1 ORDER BY number";

const LOCKS: &str = "SELECT l.tenant, l.key, l.turn, o.id FROM locks l JOIN operations o ON o.serial = l.operation";

const TOKENS: &str =
    "SELECT id, tenant, name, access, digest, created_at, created_by, expires_at, revoked_at, revoked_by,
        last_used_at
    FROM tokens ORDER BY id";

const TOKENS_CHANGED: &str = "SELECT number FROM versions WHERE of = 'tokens'";

const AUDIT: &str =
    "SELECT number, at, tenant, by, credential, peer, action, operation, target, subject, detail, outcome, reason
    FROM audit WHERE number > ?1 ORDER BY number";

fn operation(row: &Row<'_>) -> rusqlite::Result<OperationRow> {
    let retry_of: Option<[u8; 16]> = row.get(16)?;
    Ok(OperationRow {
        id: operation_id(row, 1)?,
        tenant: row.get(2)?,
        revision: row.get(3)?,
        status: row.get(4)?,
        route: row.get(5)?,
        dialect: row.get(6)?,
        mount: row.get(7)?,
        owner: row.get(8)?,
        verb: row.get(9)?,
        resource: row.get(10)?,
        targets: row.get(11)?,
        lane: row.get(12)?,
        lock_key: row.get(13)?,
        idempotency_key: row.get(14)?,
        fingerprint: row.get(15)?,
        retry_of: retry_of.map(OperationId::from_bytes),
        accepted_at: row.get(17)?,
        updated_at: row.get(18)?,
        wake_at: row.get(19)?,
        ended_at: row.get(20)?,
        expires_at: row.get(21)?,
        attention: row.get(22)?,
        events: 0,
        used: 0,
        phase: row.get(27)?,
        searched: row.get(28)?,
        apart: row.get(23)?,
        state: row.get(24)?,
        policy: row.get(25)?,
        plan: row.get(26)?,
    })
}

fn note(row: &Row<'_>, operation: OperationId) -> rusqlite::Result<NoteRow> {
    Ok(NoteRow {
        id: row.get(0)?,
        tenant: row.get(1)?,
        operation,
        step: row.get(2)?,
        target: row.get(3)?,
        reason: row.get(4)?,
        detail: row.get(5)?,
        opened_at: row.get(6)?,
        closed_at: row.get(7)?,
        closed_by: row.get(8)?,
        remark: row.get(9)?,
    })
}

fn notice(row: &Row<'_>, operation: OperationId) -> rusqlite::Result<NoticeRow> {
    Ok(NoticeRow {
        number: row.get(0)?,
        id: row.get(1)?,
        tenant: row.get(2)?,
        operation,
        state: row.get(3)?,
        kind: row.get(4)?,
        method: row.get(5)?,
        url: row.get(6)?,
        receiver: row.get(7)?,
        headers: row.get(8)?,
        body: row.get(9)?,
        attempts: row.get(10)?,
        due_at: row.get(11)?,
        last_error: row.get(12)?,
        created_at: row.get(13)?,
        settled_at: row.get(14)?,
    })
}

fn token(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        id: TokenId::from_bytes(row.get(0)?),
        tenant: row.get(1)?,
        name: row.get(2)?,
        access: row.get(3)?,
        digest: row.get(4)?,
        created_at: row.get(5)?,
        created_by: row.get(6)?,
        expires_at: row.get(7)?,
        revoked_at: row.get(8)?,
        revoked_by: row.get(9)?,
        last_used_at: row.get(10)?,
    })
}

fn audit_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        number: row.get(0)?,
        at: row.get(1)?,
        tenant: row.get(2)?,
        by: row.get(3)?,
        credential: row.get(4)?,
        peer: row.get(5)?,
        action: row.get(6)?,
        operation: row.get::<_, Option<[u8; 16]>>(7)?.map(OperationId::from_bytes),
        target: row.get(8)?,
        subject: row.get(9)?,
        detail: row.get(10)?,
        outcome: row.get(11)?,
        reason: row.get(12)?,
    })
}

/// The rows themselves may have been deleted, so SQLite's own record of the last number is asked.
fn last_number(sql: &Connection, table: &str) -> rusqlite::Result<i64> {
    let select = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
    Ok(sql.query_row(select, [table], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Whatever a server does leaves its mark in one of these.
fn identity(sql: &Connection, key_id: &str) -> rusqlite::Result<String> {
    let mut digest = Sha256::new().chain_update(key_id);
    for table in ["events", "attention", "notices", "audit"] {
        digest.update(last_number(sql, table)?.to_be_bytes());
    }
    for select in [
        "SELECT count(*), coalesce(sum(revision), 0), coalesce(sum(wake_at % 1000003), 0), coalesce(max(updated_at), 0) FROM operations",
        "SELECT count(*), coalesce(sum(closed_at % 1000003), 0), 0, 0 FROM attention",
        "SELECT count(*), coalesce(sum(attempts), 0), coalesce(sum(due_at % 1000003), 0), coalesce(sum(settled_at % 1000003), 0) FROM notices",
        "SELECT count(*), coalesce(sum(since % 1000003), 0), 0, 0 FROM holds",
        "SELECT count(*), coalesce(sum(last_used_at % 1000003), 0), (SELECT sum(number) FROM versions), 0 FROM tokens",
        "SELECT count(*), coalesce(sum(turn), 0), coalesce(sum(operation), 0), 0 FROM locks",
    ] {
        let numbers =
            sql.query_row(select, params![], |row| Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))?;
        numbers.iter().for_each(|number| digest.update(number.to_be_bytes()));
    }
    Ok(hex(&digest.finalize()))
}
