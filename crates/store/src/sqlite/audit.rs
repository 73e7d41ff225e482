//! The audit trail. Numbers are given out by SQLite itself, in the order of commits. A list is led by whichever index lets few
//! through; whatever else the filter asks for is looked at in the rows.

use async_trait::async_trait;
use fanfold_core::access::audit::{Action, Outcome};
use fanfold_core::{OperationId, TargetName};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};

use super::Sqlite;
use super::failure::Failure;
use super::operations::{limit, timestamp, unreadable, unsigned};
use super::readers::Snapshot;
use super::writer::{Tx, Write};
use crate::audit::{bounded, kept_no_longer};
use crate::{
    Audit, AuditEntry, AuditFilter, AuditNumber, Error, LIST_MAX, NewAuditEntry, Order, Page, ReadAudit, time,
};

/// Entries of a span of time that are read and sorted rather than looked for one after the other.
const FEW: i64 = 5_000;

struct Record(NewAuditEntry);

impl Write for Record {
    type Answer = AuditNumber;

    fn run(&self, tx: &mut Tx<'_>) -> Result<AuditNumber, Failure> {
        let insert =
            "INSERT INTO audit (at, tenant, by, credential, peer, action, operation, target, subject, detail, outcome,
                          reason)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        let entry = &self.0;
        let values = params![
            time::floor(entry.at),
            entry.tenant.as_str(),
            entry.by,
            entry.credential,
            entry.from,
            entry.action.as_str(),
            entry.operation.as_ref().map(|id| id.as_bytes().as_slice()),
            entry.target.as_ref().map(TargetName::as_str),
            entry.subject,
            entry.detail,
            entry.outcome.as_str(),
            entry.outcome.reason()
        ];
        let number = tx.sql().prepare_cached(insert)?.insert(values)?;
        Ok(AuditNumber(number.unsigned_abs()))
    }
}

#[async_trait]
impl Audit for Sqlite {
    async fn record_audit(&self, entry: NewAuditEntry) -> Result<AuditNumber, Error> {
        self.write(Record(bounded(entry))).await
    }
}

#[async_trait]
impl ReadAudit for Sqlite {
    async fn audit(&self, filter: &AuditFilter, page: Page<AuditNumber>) -> Result<Vec<AuditEntry>, Error> {
        let filter = filter.clone();
        self.read(move |snapshot| {
            let (sql, values) = query(lead(snapshot, &filter)?, &filter, page);
            let mut statement = snapshot.sql.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(values), entry)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// What leads to the entries that fit.
fn lead(snapshot: &Snapshot<'_>, filter: &AuditFilter) -> Result<&'static str, Failure> {
    if filter.operation.is_some() {
        return Ok("INDEXED BY audit_by_operation");
    }
    if filter.since.is_some() || filter.until.is_some() {
        let count =
            "SELECT count(*) FROM (SELECT 1 FROM audit INDEXED BY audit_by_time WHERE at >= ?1 AND at < ?2 LIMIT ?3)";
        let since = filter.since.map_or(i64::MIN, time::floor);
        let until = filter.until.map_or(i64::MAX, time::floor);
        let mut count = snapshot.sql.prepare_cached(count)?;
        if count.query_row([since, until, FEW + 1], |row| row.get::<_, i64>(0))? <= FEW {
            return Ok("INDEXED BY audit_by_time");
        }
    }
    Ok(match filter {
        AuditFilter { by: Some(_), .. } => "INDEXED BY audit_by_name",
        AuditFilter { action: Some(_), .. } => "INDEXED BY audit_by_action",
        AuditFilter { tenant: Some(_), .. } => "INDEXED BY audit_by_tenant",
        AuditFilter { .. } => "NOT INDEXED",
    })
}

fn query(lead: &str, filter: &AuditFilter, page: Page<AuditNumber>) -> (String, Vec<Value>) {
    let mut sql = format!(
        "SELECT number, at, tenant, by, credential, peer, action, operation, target, subject, detail, outcome, reason
         FROM audit {lead} WHERE at >= ?"
    );
    let mut values: Vec<Value> = vec![filter.since.map_or(i64::MIN, time::floor).into()];
    let mut add = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    };
    add(" AND at < ?", filter.until.map(|until| time::floor(until).into()));
    add(" AND tenant = ?", filter.tenant.as_ref().map(|tenant| tenant.as_str().to_owned().into()));
    add(" AND by = ?", filter.by.clone().map(Value::from));
    add(" AND action = ?", filter.action.map(|action| action.as_str().to_owned().into()));
    add(" AND operation = ?", filter.operation.map(|id| id.as_bytes().to_vec().into()));
    let (beyond, order) = match page.order {
        Order::NewestFirst => (" AND number < ?", " ORDER BY number DESC LIMIT ?"),
        Order::OldestFirst => (" AND number > ?", " ORDER BY number LIMIT ?"),
    };
    add(beyond, page.after.map(|after| i64::try_from(after.0).unwrap_or(i64::MAX).into()));
    add(order, Some(limit(page.limit, LIST_MAX).into()));
    (sql, values)
}

/// Deletes entries that are kept no longer; gives how many those are, one more than `batch` if there are more. No other
/// statement deletes any.
pub(super) fn sweep(tx: &Tx<'_>, now: Timestamp, batch: usize) -> Result<usize, Failure> {
    let find = "SELECT number FROM audit INDEXED BY audit_by_time WHERE at <= ?1 ORDER BY at, number LIMIT ?2";
    let until = kept_no_longer(now, tx.limits.audit_kept);
    let mut find = tx.sql().prepare_cached(find)?;
    let old = find.query_map([until, limit(batch.saturating_add(1), usize::MAX)], |row| row.get(0))?;
    let old: Vec<i64> = old.collect::<Result<_, _>>()?;
    for number in old.iter().take(batch) {
        tx.execute("DELETE FROM audit WHERE number = ?1 AND at <= ?2", [*number, until])?;
    }
    Ok(old.len())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let action = row.get_ref(6)?.as_str()?.parse::<Action>();
    let outcome = Outcome::of(row.get_ref(11)?.as_str()?, row.get(12)?);
    Ok(AuditEntry {
        number: AuditNumber(unsigned(row, 0)?),
        entry: NewAuditEntry {
            at: timestamp(row, 1)?,
            tenant: row.get::<_, String>(2)?.into(),
            by: row.get(3)?,
            credential: row.get(4)?,
            from: row.get(5)?,
            action: action.map_err(|error| unreadable(6, error.to_string()))?,
            operation: row.get::<_, Option<[u8; 16]>>(7)?.map(OperationId::from_bytes),
            target: row.get::<_, Option<String>>(8)?.map(TargetName::from),
            subject: row.get(9)?,
            detail: row.get(10)?,
            outcome: outcome.ok_or_else(|| unreadable(11, "it is no outcome of an entry of the audit trail"))?,
        },
    })
}
