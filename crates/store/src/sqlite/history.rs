//! Events.

use std::collections::HashMap;

use async_trait::async_trait;
use fanfold_core::{OperationId, Scope, TenantId};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, Rows, params, params_from_iter};

use super::Sqlite;
use super::failure::Failure;
use super::operations::{limit, operation_id, timestamp, unreadable, unsigned};
use super::scope;
use crate::{Error, EventNumber, Events, LIST_MAX, ReadHistory, Recorded};

#[async_trait]
impl ReadHistory for Sqlite {
    async fn history(&self, id: OperationId, after: EventNumber, wanted: usize) -> Result<Vec<Recorded>, Error> {
        self.read(move |snapshot| {
            let select = "SELECT e.number, o.id, e.at, e.event, e.operation
                          FROM operations o JOIN events e ON e.operation = o.serial
                          WHERE o.id = ?1 AND e.number > ?2 ORDER BY e.number LIMIT ?3";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let rows = statement.query(params![id.as_bytes(), number(after), limit(wanted, LIST_MAX)])?;
            page(snapshot.sql, rows)
        })
        .await
    }

    async fn events(
        &self,
        tenant: &TenantId,
        scope: &Scope,
        after: EventNumber,
        wanted: usize,
    ) -> Result<Events, Error> {
        let tenant = tenant.clone();
        let (select, values) = query(&tenant, scope, after, wanted);
        self.read(move |snapshot| {
            let mut statement = snapshot.sql.prepare_cached(&select)?;
            let rows = statement.query(params_from_iter(values))?;
            let list = page(snapshot.sql, rows)?;
            let select = "SELECT number FROM events_deleted WHERE tenant = ?1";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let deleted_to = statement.query_row([tenant.as_str()], |row| unsigned(row, 0)).optional()?;
            Ok(Events { list, deleted_to: EventNumber(deleted_to.unwrap_or(0)) })
        })
        .await
    }

    async fn latest_event(&self) -> Result<EventNumber, Error> {
        self.read(|snapshot| {
            // The events themselves may have been deleted, so SQLite's own record of the last number is asked.
            let select = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            Ok(statement.query_row([], |row| unsigned(row, 0).map(EventNumber))?)
        })
        .await
    }
}

fn query(tenant: &TenantId, scope: &Scope, after: EventNumber, wanted: usize) -> (String, Vec<Value>) {
    let mut select = "SELECT e.number, o.id, e.at, e.event, e.operation
                      FROM events e CROSS JOIN operations o ON o.serial = e.operation WHERE e.number > ? AND o.tenant = ?"
        .to_owned();
    let mut values: Vec<Value> = vec![number(after).into(), tenant.as_str().to_owned().into()];
    for (condition, value) in scope::conditions(scope) {
        select.push_str(&format!(" AND {condition}"));
        values.push(value);
    }
    select.push_str(" ORDER BY e.number LIMIT ?");
    values.push(limit(wanted, LIST_MAX).into());
    (select, values)
}

fn number(number: EventNumber) -> i64 {
    i64::try_from(number.0).unwrap_or(i64::MAX)
}

/// Events of one page, in the order of their numbers. What came before the page is counted once for each operation, and not once
/// for each event: the page has all that follow.
fn page(sql: &Connection, mut rows: Rows<'_>) -> Result<Vec<Recorded>, Failure> {
    let mut list = Vec::new();
    let mut last: HashMap<i64, u64> = HashMap::new();
    while let Some(row) = rows.next()? {
        let (number, operation) = (row.get(0)?, row.get(4)?);
        let sequence = match last.get(&operation) {
            Some(last) => last + 1,
            None => place(sql, operation, number)?,
        };
        last.insert(operation, sequence);
        list.push(recorded(row, sequence)?);
    }
    Ok(list)
}

/// The place of an event among those of its operation.
fn place(sql: &Connection, operation: i64, number: i64) -> rusqlite::Result<u64> {
    let select = "SELECT count(*) FROM events WHERE operation = ?1 AND number <= ?2";
    sql.prepare_cached(select)?.query_row([operation, number], |row| unsigned(row, 0))
}

fn recorded(row: &Row<'_>, sequence: u64) -> rusqlite::Result<Recorded> {
    let event = serde_json::from_str(row.get_ref(3)?.as_str()?);
    Ok(Recorded {
        number: EventNumber(unsigned(row, 0)?),
        sequence,
        operation: operation_id(row, 1)?,
        at: timestamp(row, 2)?,
        event: event.map_err(|error| unreadable(3, format!("an event cannot be read: {error}")))?,
    })
}
