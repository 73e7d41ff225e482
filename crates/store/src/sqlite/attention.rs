//! Notes. Each open note is counted in its operation's row, for lists and for retention.

use std::collections::BTreeMap;

use async_trait::async_trait;
use fanfold_core::operation::{Attention, AttentionReason};
use fanfold_core::{StepIndex, TargetName, TenantId};
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use super::Sqlite;
use super::failure::Failure;
use super::operations::{limit, operation_id, optional_timestamp, timestamp, unreadable, unsigned};
use super::readers::Snapshot;
use super::scope;
use super::writer::{Tx, Write};
use crate::{
    AttentionId, Backlog, Change, Closed, Error, LIST_MAX, Note, NoteFilter, Notes, Order, Page, ReadNotes, time,
};

pub(super) fn open(
    tx: &Tx<'_>,
    serial: i64,
    tenant: &TenantId,
    note: &Attention,
    at: Timestamp,
) -> Result<(), Failure> {
    let insert = "INSERT INTO attention (tenant, operation, step, target, reason, detail, opened_at)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    tx.execute(
        insert,
        params![
            tenant.as_str(),
            serial,
            note.step.map(|step| step.0),
            note.target.as_ref().map(TargetName::as_str),
            note.reason.as_str(),
            note.detail,
            time::floor(at)
        ],
    )?;
    add(tx, serial, 1)
}

/// Closes what is open about one step, or about the operation as a whole.
pub(super) fn close_of_step(tx: &Tx<'_>, serial: i64, step: Option<StepIndex>, closed: &Closed) -> Result<(), Failure> {
    let update = "UPDATE attention SET closed_at = ?3, closed_by = ?4, remark = ?5
                  WHERE operation = ?1 AND step IS ?2 AND closed_at IS NULL";
    let step = step.map(|step| step.0);
    match tx.execute(update, params![serial, step, time::floor(closed.at), closed.by, closed.remark])? {
        0 => Ok(()),
        number => add(tx, serial, -i64::try_from(number).unwrap_or(i64::MAX)),
    }
}

fn add(tx: &Tx<'_>, serial: i64, number: i64) -> Result<(), Failure> {
    tx.execute("UPDATE operations SET attention = attention + ?2 WHERE serial = ?1", [serial, number])?;
    Ok(())
}

struct Acknowledge {
    id: AttentionId,
    closed: Closed,
}

impl Write for Acknowledge {
    type Answer = Change;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Change, Failure> {
        let id = number(self.id.0);
        let find = "SELECT operation, closed_at IS NOT NULL FROM attention WHERE id = ?1";
        let mut statement = tx.sql().prepare_cached(find)?;
        let found = statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((serial, is_closed)) = found else {
            return Err(Error::NotFound { what: format!("attention {}", self.id) }.into());
        };
        if is_closed {
            return Ok(Change::AlreadySo);
        }
        let update = "UPDATE attention SET closed_at = ?2, closed_by = ?3, remark = ?4 WHERE id = ?1";
        tx.execute(update, params![id, time::floor(self.closed.at), self.closed.by, self.closed.remark])?;
        add(tx, serial, -1)?;
        Ok(Change::Made)
    }
}

#[async_trait]
impl Notes for Sqlite {
    async fn acknowledge(&self, id: AttentionId, closed: Closed) -> Result<Change, Error> {
        self.write(Acknowledge { id, closed }).await
    }
}

const SELECT: &str =
    "SELECT a.id, a.tenant, o.id, a.step, a.target, a.reason, a.detail, a.opened_at, a.closed_at, a.closed_by,
    a.remark, o.ended_at IS NOT NULL FROM attention a JOIN operations o ON o.serial = a.operation";

#[async_trait]
impl ReadNotes for Sqlite {
    async fn notes(&self, filter: &NoteFilter, page: Page<AttentionId>) -> Result<Vec<Note>, Error> {
        let (sql, values) = query(filter, page);
        self.read(move |snapshot| {
            let mut statement = snapshot.sql.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(values), note)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn note(&self, id: AttentionId) -> Result<Option<Note>, Error> {
        self.read(move |snapshot| {
            let mut statement = snapshot.sql.prepare_cached(&format!("{SELECT} WHERE a.id = ?1"))?;
            Ok(statement.query_row([number(id.0)], note).optional()?)
        })
        .await
    }
}

/// How many notes are open for each reason, as far as they are counted.
pub(super) fn open_by_reason(snapshot: &Snapshot<'_>) -> rusqlite::Result<BTreeMap<AttentionReason, u64>> {
    let select = "SELECT reason, count(*) FROM (
                      SELECT reason FROM attention INDEXED BY attention_open WHERE closed_at IS NULL LIMIT ?1)
                  GROUP BY reason";
    let mut statement = snapshot.sql.prepare_cached(select)?;
    let rows = statement
        .query_map([limit(Backlog::NOTES_MAX, Backlog::NOTES_MAX)], |row| Ok((reason(row, 0)?, unsigned(row, 1)?)))?;
    rows.collect()
}

fn query(filter: &NoteFilter, page: Page<AttentionId>) -> (String, Vec<Value>) {
    let mut sql = format!("{SELECT} WHERE a.tenant = ?");
    let mut values: Vec<Value> = vec![filter.tenant.as_str().to_owned().into()];
    match filter.open {
        Some(true) => sql.push_str(" AND a.closed_at IS NULL"),
        Some(false) => sql.push_str(" AND a.closed_at IS NOT NULL"),
        None => {}
    }
    for (condition, value) in scope::conditions(&filter.scope) {
        sql.push_str(&format!(" AND {condition}"));
        values.push(value);
    }
    if let Some(operation) = filter.operation {
        sql.push_str(" AND o.id = ?");
        values.push(operation.as_bytes().to_vec().into());
    }
    if let Some(target) = &filter.target {
        sql.push_str(" AND a.target = ?");
        values.push(target.as_str().to_owned().into());
    }
    if let Some(first) = filter.first {
        sql.push_str(" AND a.id >= ?");
        values.push(number(first.0).into());
    }
    let (beyond, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = page.after {
        sql.push_str(&format!(" AND a.id {beyond} ?"));
        values.push(number(after.0).into());
    }
    sql.push_str(&format!(" ORDER BY a.id {direction} LIMIT ?"));
    values.push(limit(page.limit, LIST_MAX).into());
    (sql, values)
}

fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn note(row: &Row<'_>) -> rusqlite::Result<Note> {
    let closed = match optional_timestamp(row, 8)? {
        Some(at) => Some(Closed { at, by: row.get(9)?, remark: row.get(10)? }),
        None => None,
    };
    Ok(Note {
        id: AttentionId(unsigned(row, 0)?),
        tenant: row.get::<_, String>(1)?.into(),
        operation: operation_id(row, 2)?,
        attention: Attention {
            step: row.get::<_, Option<u16>>(3)?.map(StepIndex),
            target: row.get::<_, Option<String>>(4)?.map(TargetName::from),
            reason: reason(row, 5)?,
            detail: row.get(6)?,
        },
        opened_at: timestamp(row, 7)?,
        ended: row.get(11)?,
        closed,
    })
}

fn reason(row: &Row<'_>, column: usize) -> rusqlite::Result<AttentionReason> {
    let word: String = row.get(column)?;
    // The word is the reason's JSON form too.
    serde_json::from_value(word.into()).map_err(|error| unreadable(column, error.to_string()))
}
