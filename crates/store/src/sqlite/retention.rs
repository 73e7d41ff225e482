//! Deleting operations, tokens and entries of the audit trail, and the size.

use async_trait::async_trait;
use fanfold_core::operation::Status;
use fanfold_core::{OperationId, TenantId};
use jiff::Timestamp;
use rusqlite::{Params, params};

use super::Sqlite;
use super::facets::{self, Faceted};
use super::failure::Failure;
use super::operations::{limit, operation_id, status};
use super::writer::{Tx, Write, used_and_free};
use super::{audit, tokens};
use crate::{Error, ReadSize, Retention, SWEEP_MAX, Size, Swept, time};

/// What hangs on an operation. Locks are not among it, because an operation that has ended has none.
const DELETE: [&str; 8] = [
    "DELETE FROM notices WHERE operation = ?1",
    "DELETE FROM attention WHERE operation = ?1",
    // Before the events themselves: how far they are not complete any more.
    "INSERT INTO events_deleted (tenant, number)
     SELECT o.tenant, max(e.number) FROM operations o JOIN events e ON e.operation = o.serial WHERE o.serial = ?1 GROUP BY o.tenant
     ON CONFLICT (tenant) DO UPDATE SET number = max(number, excluded.number)",
    "DELETE FROM events WHERE operation = ?1",
    "DELETE FROM sealed WHERE operation = ?1",
    "DELETE FROM bodies WHERE operation = ?1",
    "DELETE FROM plans WHERE operation = ?1",
    "DELETE FROM operations WHERE serial = ?1",
];

const HAS_NO_PENDING_NOTICE: &str =
    "NOT EXISTS (SELECT 1 FROM notices n WHERE n.operation = o.serial AND n.state = 'pending')";

struct Sweep {
    now: Timestamp,
    batch: usize,
}

/// An operation to be deleted.
struct Doomed {
    serial: i64,
    tenant: TenantId,
    status: Status,
    id: OperationId,
    /// Route, dialect, mount, verb, resource, targets.
    faceted: [String; 6],
}

/// What is read of one.
const DOOMED: &str = "serial, tenant, status, id, route, dialect, mount, verb, resource, targets";

impl Write for Sweep {
    type Answer = Swept;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Swept, Failure> {
        let batch = self.batch.min(SWEEP_MAX);
        // One more than wanted, to know whether there are more.
        let wanted = limit(batch + 1, SWEEP_MAX + 1);
        let now = time::floor(self.now);
        let mut doomed = expired(tx, now, wanted)?;
        if let Some(bound) = tx.limits.size_soft
            && tx.used()? > bound
        {
            doomed.extend(oldest(tx, now, wanted)?);
        }
        let more = doomed.len() > batch;
        doomed.truncate(batch);
        for operation in &doomed {
            delete_found_by(tx, operation)?;
            for statement in DELETE {
                tx.execute(statement, [operation.serial])?;
            }
            tx.count(&operation.tenant, operation.status, -1);
        }
        Ok(Swept { deleted: doomed.len(), more })
    }
}

struct SweepAccess {
    now: Timestamp,
    batch: usize,
}

impl Write for SweepAccess {
    type Answer = Swept;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Swept, Failure> {
        let batch = self.batch.min(SWEEP_MAX);
        let tokens = Swept::of(tokens::sweep(tx, self.now, batch)?, batch);
        Ok(tokens.and(Swept::of(audit::sweep(tx, self.now, batch)?, batch)))
    }
}

/// What lists have found it by.
fn delete_found_by(tx: &Tx<'_>, doomed: &Doomed) -> Result<(), Failure> {
    let [route, dialect, mount, verb, resource, targets] = &doomed.faceted;
    let tenant = doomed.tenant.as_str();
    facets::delete(tx, doomed.id, &Faceted { tenant, route, dialect, mount, verb, resource, targets })?;
    let delete = "DELETE FROM texts WHERE tenant = ?1 AND operation = ?2";
    tx.execute(delete, params![tenant, doomed.id.as_bytes()])?;
    Ok(())
}

fn expired(tx: &Tx<'_>, now: i64, wanted: i64) -> Result<Vec<Doomed>, Failure> {
    let select = format!(
        "SELECT {DOOMED} FROM operations o INDEXED BY operations_expiring
         WHERE expires_at <= ?1 AND attention = 0 AND {HAS_NO_PENDING_NOTICE} ORDER BY expires_at, id LIMIT ?2"
    );
    find(tx, &select, params![now, wanted])
}

/// The longest ended that are beyond `keep_min` and have not expired: those were found before.
fn oldest(tx: &Tx<'_>, now: i64, wanted: i64) -> Result<Vec<Doomed>, Failure> {
    let select = format!(
        "SELECT {DOOMED} FROM operations o INDEXED BY operations_by_end
         WHERE ended_at <= ?3 AND expires_at > ?1 AND attention = 0 AND {HAS_NO_PENDING_NOTICE} ORDER BY ended_at, id LIMIT ?2"
    );
    let keep_min = i64::try_from(tx.limits.keep_min.as_micros()).unwrap_or(i64::MAX);
    find(tx, &select, params![now, wanted, now.saturating_sub(keep_min)])
}

fn find(tx: &Tx<'_>, select: &str, parameters: impl Params) -> Result<Vec<Doomed>, Failure> {
    let mut statement = tx.sql().prepare_cached(select)?;
    let rows = statement.query_map(parameters, |row| {
        Ok(Doomed {
            serial: row.get(0)?,
            tenant: row.get::<_, String>(1)?.into(),
            status: status(row, 2)?,
            id: operation_id(row, 3)?,
            faceted: [row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?],
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[async_trait]
impl Retention for Sqlite {
    async fn sweep(&self, now: Timestamp, batch: usize) -> Result<Swept, Error> {
        self.write(Sweep { now, batch }).await
    }

    async fn sweep_access(&self, now: Timestamp, batch: usize) -> Result<Swept, Error> {
        self.write(SweepAccess { now, batch }).await
    }
}

#[async_trait]
impl ReadSize for Sqlite {
    async fn size(&self) -> Result<Size, Error> {
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        let (soft, hard) = (self.limits.size_soft, self.limits.size_hard);
        self.read(move |snapshot| {
            let (used, free) = used_and_free(snapshot.sql)?;
            // There is no log right after it was copied and closed.
            let log = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
            Ok(Size { used, free, log, soft, hard })
        })
        .await
    }

    fn trouble(&self) -> Option<Error> {
        self.keeper.as_ref().and_then(|keeper| keeper.writer.trouble())
    }
}
