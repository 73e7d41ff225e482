//! Locks: the lowest turn of a key holds it, so there is never more than one holder, and never none while somebody waits.

use async_trait::async_trait;
use fanfold_core::{OperationId, TenantId};
use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::failure::Failure;
use super::operations::{operation_id, unsigned};
use super::writer::Tx;
use crate::{Error, LockPlace, Locks};

pub(super) fn holder(sql: &Connection, tenant: &TenantId, key: &str) -> rusqlite::Result<Option<OperationId>> {
    let select = "SELECT o.id FROM locks l JOIN operations o ON o.serial = l.operation
                  WHERE l.tenant = ?1 AND l.key = ?2 ORDER BY l.turn LIMIT 1";
    let mut statement = sql.prepare_cached(select)?;
    statement.query_row([tenant.as_str(), key], |row| operation_id(row, 0)).optional()
}

/// Puts an operation at the end of the queue of a lock; the first one holds it.
pub(super) fn enqueue(tx: &Tx<'_>, tenant: &TenantId, key: &str, serial: i64) -> Result<(), Failure> {
    let insert = "INSERT INTO locks (tenant, key, turn, operation)
                  SELECT ?1, ?2, coalesce(max(turn), 0) + 1, ?3 FROM locks WHERE tenant = ?1 AND key = ?2";
    tx.execute(insert, params![tenant.as_str(), key, serial])?;
    Ok(())
}

/// Whether an operation stands in the queue, or holds the lock.
pub(super) fn is_queued(tx: &Tx<'_>, tenant: &TenantId, key: &str, serial: i64) -> Result<bool, Failure> {
    let select = "SELECT 1 FROM locks WHERE tenant = ?1 AND key = ?2 AND operation = ?3";
    Ok(tx.sql().prepare_cached(select)?.exists(params![tenant.as_str(), key, serial])?)
}

/// How many wait for the lock, its holder apart; counted up to `bound`.
pub(super) fn waiting(tx: &Tx<'_>, tenant: &TenantId, key: &str, bound: u64) -> Result<u64, Failure> {
    let select = "SELECT count(*) FROM (SELECT 1 FROM locks WHERE tenant = ?1 AND key = ?2 LIMIT ?3)";
    let bound = i64::try_from(bound).unwrap_or(i64::MAX).saturating_add(1);
    let mut statement = tx.sql().prepare_cached(select)?;
    let queued = statement.query_row(params![tenant.as_str(), key, bound], |row| unsigned(row, 0))?;
    Ok(queued.saturating_sub(1))
}

/// Takes an operation out of the queue. If it was the holder, the next one holds the lock now, is due, and is answered. One that
/// was restored has the lock then, and is not due.
pub(super) fn release(
    tx: &Tx<'_>,
    tenant: &TenantId,
    key: &str,
    serial: i64,
    due_at: i64,
) -> Result<Option<OperationId>, Failure> {
    let first = || {
        let select = "SELECT turn, operation FROM locks WHERE tenant = ?1 AND key = ?2 ORDER BY turn LIMIT 1";
        let mut statement = tx.sql().prepare_cached(select)?;
        statement.query_row([tenant.as_str(), key], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    let holder: Option<(i64, i64)> = first()?;
    match holder {
        // By its turn, so that the queue behind it, however long, is not read through.
        Some((turn, holder)) if holder == serial => {
            let delete = "DELETE FROM locks WHERE tenant = ?1 AND key = ?2 AND turn = ?3";
            tx.execute(delete, params![tenant.as_str(), key, turn])?;
        }
        Some(_) | None => {
            let delete = "DELETE FROM locks WHERE tenant = ?1 AND key = ?2 AND operation = ?3";
            tx.execute(delete, params![tenant.as_str(), key, serial])?;
            return Ok(None);
        }
    }
    let Some((_, next)) = first()? else { return Ok(None) };
    let wake = "UPDATE operations SET wake_at = iif(json_extract(state, '$.restored') IS NULL, ?2, wake_at)
                WHERE serial = ?1 RETURNING id";
    let mut statement = tx.sql().prepare_cached(wake)?;
    Ok(Some(statement.query_row([next, due_at], |row| operation_id(row, 0))?))
}

#[async_trait]
impl Locks for Sqlite {
    async fn lock_holder(&self, tenant: &TenantId, key: &str) -> Result<Option<OperationId>, Error> {
        let (tenant, key) = (tenant.clone(), key.to_owned());
        self.read(move |snapshot| Ok(holder(snapshot.sql, &tenant, &key)?)).await
    }

    async fn lock_place(&self, operation: OperationId) -> Result<Option<LockPlace>, Error> {
        self.read(move |snapshot| {
            let select =
                "SELECT (SELECT count(*) FROM locks b WHERE b.tenant = l.tenant AND b.key = l.key AND b.turn < l.turn)
                          FROM operations o JOIN locks l ON l.tenant = o.tenant AND l.key = o.lock_key
                          WHERE o.id = ?1 AND l.operation = o.serial";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let before = statement.query_row([operation.as_bytes()], |row| unsigned(row, 0)).optional()?;
            Ok(before.map(|before| match before {
                0 => LockPlace::Holder,
                position => LockPlace::Waiting { position },
            }))
        })
        .await
    }
}
