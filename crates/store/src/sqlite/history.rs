//! Events.

use async_trait::async_trait;
use fanfold_core::{Event, OperationId, TenantId};
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};

use super::Sqlite;
use super::commit::json;
use super::operations::{limit, operation_id, timestamp, unreadable, unsigned};
use crate::{Error, EventNumber, Events, LIST_MAX, ReadHistory, Recorded, record, time};

/// An event as it is written.
pub(super) struct EventRow {
    pub(super) at: i64,
    pub(super) json: String,
}

impl EventRow {
    pub(super) fn all(events: Vec<(Timestamp, Event)>, inline_max: usize) -> Result<Vec<Self>, Error> {
        let row = |(at, event)| Ok(Self { at: time::floor(at), json: json(&record::history_form(event, inline_max))? });
        events.into_iter().map(row).collect()
    }
}

#[async_trait]
impl ReadHistory for Sqlite {
    async fn history(&self, id: OperationId, after: EventNumber, wanted: usize) -> Result<Vec<Recorded>, Error> {
        self.read(move |snapshot| {
            let before = "SELECT count(*) FROM operations o JOIN events e ON e.operation = o.serial
                          WHERE o.id = ?1 AND e.number <= ?2";
            let mut statement = snapshot.sql.prepare_cached(before)?;
            let before = statement.query_row(params![id.as_bytes(), number(after)], |row| unsigned(row, 0))?;
            let select = "SELECT e.number, o.id, e.at, e.event, row_number() OVER (ORDER BY e.number)
                          FROM operations o JOIN events e ON e.operation = o.serial
                          WHERE o.id = ?1 AND e.number > ?2 ORDER BY e.number LIMIT ?3";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let rows = statement.query_map(params![id.as_bytes(), number(after), limit(wanted, LIST_MAX)], recorded)?;
            let mut list = rows.collect::<Result<Vec<_>, _>>()?;
            list.iter_mut().for_each(|event| event.sequence += before);
            Ok(list)
        })
        .await
    }

    async fn events(&self, tenant: &TenantId, after: EventNumber, wanted: usize) -> Result<Events, Error> {
        let tenant = tenant.clone();
        self.read(move |snapshot| {
            let select = "SELECT e.number, o.id, e.at, e.event,
                                 (SELECT count(*) FROM events s WHERE s.operation = e.operation AND s.number <= e.number)
                          FROM events e CROSS JOIN operations o ON o.serial = e.operation
                          WHERE e.number > ?1 AND o.tenant = ?2 ORDER BY e.number LIMIT ?3";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let rows =
                statement.query_map(params![number(after), tenant.as_str(), limit(wanted, LIST_MAX)], recorded)?;
            let list = rows.collect::<Result<_, _>>()?;
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

fn number(number: EventNumber) -> i64 {
    i64::try_from(number.0).unwrap_or(i64::MAX)
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let event = serde_json::from_str(row.get_ref(3)?.as_str()?);
    Ok(Recorded {
        number: EventNumber(unsigned(row, 0)?),
        sequence: unsigned(row, 4)?,
        operation: operation_id(row, 1)?,
        at: timestamp(row, 2)?,
        event: event.map_err(|error| unreadable(3, format!("an event cannot be read: {error}")))?,
    })
}
