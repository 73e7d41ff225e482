//! The audit trail.

use async_trait::async_trait;
use fanfold_core::TargetName;
use fanfold_core::access::audit::{Action, Outcome};
use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::Postgres;
use super::batch::AuditWrite;
use super::columns::{at_most, escaped, get, id, limit, optional_text, text, timestamp, unsigned, uuid};
use super::failure::Failure;
use crate::audit::{bounded, kept_no_longer};
use crate::{
    Audit, AuditEntry, AuditFilter, AuditNumber, Error, LIST_MAX, Limits, NewAuditEntry, Order, Page, ReadAudit, time,
};

#[async_trait]
impl Audit for Postgres {
    async fn record_audit(&self, entry: NewAuditEntry) -> Result<AuditNumber, Error> {
        self.write(AuditWrite(bounded(entry))).await
    }
}

#[async_trait]
impl ReadAudit for Postgres {
    async fn audit(&self, filter: &AuditFilter, page: Page<AuditNumber>) -> Result<Vec<AuditEntry>, Error> {
        let (sql, values) = query(filter, page);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        self.readers.query_once(&sql, &values).await?.iter().map(entry).collect()
    }
}

fn query(filter: &AuditFilter, page: Page<AuditNumber>) -> (String, Vec<Box<dyn ToSql + Send + Sync>>) {
    let mut sql =
        "SELECT number, at, tenant, by, credential, peer, action, operation, target, subject, detail, outcome, reason
        FROM audit WHERE true"
            .to_owned();
    let mut values: Vec<Box<dyn ToSql + Send + Sync>> = Vec::new();
    let mut add = |condition: &str, value: Box<dyn ToSql + Send + Sync>| {
        values.push(value);
        sql.push_str(&format!("{condition} ${}", values.len()));
    };
    if let Some(since) = filter.since {
        add(" AND at >=", Box::new(time::floor(since)));
    }
    if let Some(until) = filter.until {
        add(" AND at <", Box::new(time::floor(until)));
    }
    if let Some(tenant) = &filter.tenant {
        add(" AND tenant =", Box::new(escaped(tenant.as_str()).into_owned()));
    }
    if let Some(by) = &filter.by {
        add(" AND by =", Box::new(escaped(by).into_owned()));
    }
    if let Some(action) = filter.action {
        add(" AND action =", Box::new(action.as_str()));
    }
    if let Some(operation) = filter.operation {
        add(" AND operation =", Box::new(uuid(operation)));
    }
    let (beyond, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = page.after {
        add(&format!(" AND number {beyond}"), Box::new(at_most(after.0)));
    }
    add(&format!(" ORDER BY number {direction} LIMIT"), Box::new(limit(page.limit, LIST_MAX)));
    (sql, values)
}

/// Deletes entries that are kept no longer; gives how many those are, one more than `batch` if there are more. No other
/// statement deletes any.
pub(super) async fn sweep(sql: &Client, now: Timestamp, batch: usize, limits: &Limits) -> Result<usize, Failure> {
    let find = "SELECT number FROM audit WHERE at <= $1 ORDER BY at, number LIMIT $2";
    let until = kept_no_longer(now, limits.audit_kept);
    let rows = sql.query(find, &[&until, &limit(batch.saturating_add(1), usize::MAX)]).await?;
    let old: Vec<i64> = rows.iter().take(batch).map(|row| get(row, 0)).collect::<Result<_, _>>()?;
    if !old.is_empty() {
        sql.execute("DELETE FROM audit WHERE number = ANY($1) AND at <= $2", &[&old, &until]).await?;
    }
    Ok(rows.len())
}

fn entry(row: &Row) -> Result<AuditEntry, Error> {
    let action = get::<&str>(row, 6)?.parse::<Action>();
    let outcome = Outcome::of(get(row, 11)?, optional_text(row, 12)?);
    Ok(AuditEntry {
        number: AuditNumber(unsigned(row, 0)?),
        entry: NewAuditEntry {
            at: timestamp(row, 1)?,
            tenant: text(row, 2)?.into(),
            by: text(row, 3)?,
            credential: text(row, 4)?,
            from: text(row, 5)?,
            action: action.map_err(|error| Error::corrupt(error.to_string()))?,
            operation: get::<Option<Uuid>>(row, 7)?.map(id),
            target: optional_text(row, 8)?.map(TargetName::from),
            subject: optional_text(row, 9)?,
            detail: optional_text(row, 10)?,
            outcome: outcome
                .ok_or_else(|| Error::corrupt("there is no such outcome of an entry of the audit trail"))?,
        },
    })
}
