//! Notices.

use std::cmp::Reverse;

use async_trait::async_trait;
use fanfold_core::Operation;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::Sqlite;
use super::failure::Failure;
use super::operations::{limit, octets, operation_id, optional_timestamp, timestamp, unreadable, unsigned};
use super::scope;
use super::writer::{Tx, Write};
use crate::record::json;
use crate::{
    DUE_MAX, DueNotices, Error, LIST_MAX, NewNotice, Notice, NoticeFilter, NoticeId, NoticeOutcome, NoticeState, Order,
    Outbox, OutboxState, Page, ReadNotices, time,
};

/// Refuses a notice whose id is taken.
pub(super) fn refuse_known(tx: &Tx<'_>, notices: &[NewNotice]) -> Result<(), Failure> {
    for notice in notices {
        let mut find = tx.sql().prepare_cached("SELECT 1 FROM notices WHERE id = ?1")?;
        if find.exists([&notice.id.0])? {
            return Err(Error::invalid(format!("there is a notice {} already", notice.id)).into());
        }
    }
    Ok(())
}

pub(super) fn insert(tx: &Tx<'_>, serial: i64, operation: &Operation, notices: &[NewNotice]) -> Result<(), Failure> {
    let insert =
        "INSERT INTO notices (id, tenant, operation, state, kind, method, url, headers, body, due_at, created_at,
                  receiver) VALUES (?1, ?2, ?3, 'pending', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    for notice in notices {
        tx.execute(
            insert,
            params![
                notice.id.0,
                operation.tenant.as_str(),
                serial,
                notice.kind,
                notice.method,
                notice.url,
                json(&notice.headers)?,
                &notice.body[..],
                time::ceil(notice.due_at),
                time::floor(operation.updated_at),
                notice.receiver
            ],
        )?;
    }
    Ok(())
}

/// Makes sure that the notice is there, in this state.
fn require(tx: &Tx<'_>, id: &NoticeId, state: NoticeState) -> Result<(), Failure> {
    let mut find = tx.sql().prepare_cached("SELECT state FROM notices WHERE id = ?1")?;
    let found: Option<String> = find.query_row([&id.0], |row| row.get(0)).optional()?;
    match found {
        None => Err(Error::NotFound { what: format!("notice {id}") }.into()),
        Some(found) if found == state.as_str() => Ok(()),
        Some(_) => Err(Error::Conflict.into()),
    }
}

struct RecordNotice {
    id: NoticeId,
    outcome: NoticeOutcome,
}

impl Write for RecordNotice {
    type Answer = ();

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        require(tx, &self.id, NoticeState::Pending)?;
        let id = &self.id.0;
        match &self.outcome {
            NoticeOutcome::Delivered { at } => tx.execute(
                "UPDATE notices SET state = 'delivered', attempts = attempts + 1, settled_at = ?2, last_error = NULL
                 WHERE id = ?1",
                params![id, time::floor(*at)],
            )?,
            NoticeOutcome::Failed { error, again_at } => tx.execute(
                "UPDATE notices SET attempts = attempts + 1, due_at = ?2, last_error = ?3 WHERE id = ?1",
                params![id, time::ceil(*again_at), error],
            )?,
            NoticeOutcome::Dead { error, at } => tx.execute(
                "UPDATE notices SET state = 'dead', attempts = attempts + 1, settled_at = ?2, last_error = ?3 WHERE id = ?1",
                params![id, time::floor(*at), error],
            )?,
        };
        Ok(())
    }
}

struct ReplayNotice {
    id: NoticeId,
    at: Timestamp,
}

impl Write for ReplayNotice {
    type Answer = ();

    fn run(&self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        require(tx, &self.id, NoticeState::Dead)?;
        let update = "UPDATE notices SET state = 'pending', attempts = 0, settled_at = NULL, due_at = ?2 WHERE id = ?1";
        tx.execute(update, params![self.id.0, time::ceil(self.at)])?;
        Ok(())
    }
}

const COLUMNS: &str =
    "SELECT n.number, n.id, n.tenant, o.id, n.state, n.kind, n.method, n.url, n.headers, n.body, n.attempts,
    n.due_at, n.last_error, n.created_at, n.settled_at, n.receiver";

const OF_OPERATION: &str = "FROM notices n JOIN operations o ON o.serial = n.operation";

#[async_trait]
impl Outbox for Sqlite {
    async fn due_notices(&self, wanted: DueNotices) -> Result<Vec<Notice>, Error> {
        self.read(move |snapshot| {
            let most = wanted.limit.min(DUE_MAX);
            let mut found = Vec::new();
            let mut turn = next_receiver(snapshot.sql, &wanted.after)?;
            let mut went_round = false;
            while found.len() < most {
                let Some(receiver) = turn else {
                    if went_round {
                        break;
                    }
                    went_round = true;
                    turn = next_receiver(snapshot.sql, "")?;
                    continue;
                };
                if went_round && receiver > wanted.after {
                    break;
                }
                due_at_receiver(snapshot.sql, &wanted, &receiver, most - found.len(), &mut found)?;
                turn = next_receiver(snapshot.sql, &receiver)?;
            }
            Ok(found)
        })
        .await
    }

    async fn next_notice(&self, after: Timestamp) -> Result<Option<Timestamp>, Error> {
        self.read(move |snapshot| {
            let select = "SELECT min(due_at) FROM notices WHERE state = 'pending' AND due_at > ?1";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            Ok(statement.query_row([time::floor(after)], |row| optional_timestamp(row, 0))?)
        })
        .await
    }

    async fn record_notice(&self, id: &NoticeId, outcome: NoticeOutcome) -> Result<(), Error> {
        self.write(RecordNotice { id: id.clone(), outcome }).await
    }

    async fn replay_notice(&self, id: &NoticeId, at: Timestamp) -> Result<(), Error> {
        self.write(ReplayNotice { id: id.clone(), at }).await
    }
}

/// The first receiver after this one, by name, that a notice is pending for.
fn next_receiver(sql: &Connection, after: &str) -> rusqlite::Result<Option<String>> {
    let select = "SELECT min(receiver) FROM notices WHERE state = 'pending' AND receiver > ?1";
    sql.prepare_cached(select)?.query_row([after], |row| row.get(0))
}

fn due_at_receiver(
    sql: &Connection,
    wanted: &DueNotices,
    receiver: &str,
    room: usize,
    found: &mut Vec<Notice>,
) -> rusqlite::Result<()> {
    let select = format!(
        "{COLUMNS} {OF_OPERATION} WHERE n.state = 'pending' AND n.receiver = ?1 AND n.due_at <= ?2 AND NOT EXISTS (
             SELECT 1 FROM notices b WHERE b.operation = n.operation AND b.state = 'pending' AND b.receiver = n.receiver
                AND b.number < n.number)
         ORDER BY n.due_at, n.number LIMIT ?3"
    );
    let mut statement = sql.prepare_cached(&select)?;
    let rows = statement.query_map(params![receiver, time::floor(wanted.now), limit(wanted.each, room)], notice)?;
    rows.into_iter().try_for_each(|notice| {
        found.push(notice?);
        Ok(())
    })
}

#[async_trait]
impl ReadNotices for Sqlite {
    async fn outbox(&self) -> Result<OutboxState, Error> {
        self.read(move |snapshot| {
            let select = "SELECT (SELECT min(created_at) FROM notices WHERE state = 'pending'),
                                 (SELECT count(*) FROM notices WHERE state = 'dead')";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let state = |row: &Row<'_>| {
                Ok(OutboxState { oldest_pending: optional_timestamp(row, 0)?, dead: unsigned(row, 1)? })
            };
            Ok(statement.query_row([], state)?)
        })
        .await
    }

    async fn notices(&self, filter: &NoticeFilter, page: Page<u64>) -> Result<Vec<Notice>, Error> {
        let filter = filter.clone();
        self.read(move |snapshot| {
            // Each state is read on its own, in the order of its index, and the pieces are merged.
            let mut found = Vec::new();
            for state in NoticeState::ALL.into_iter().filter(|state| filter.state.is_none_or(|wanted| wanted == *state))
            {
                let (sql, values) = query(&filter, state, page);
                let mut statement = snapshot.sql.prepare_cached(&sql)?;
                let rows = statement.query_map(params_from_iter(values), notice)?;
                found.extend(rows.collect::<Result<Vec<Notice>, _>>()?);
            }
            match page.order {
                Order::NewestFirst => found.sort_unstable_by_key(|notice| Reverse(notice.number)),
                Order::OldestFirst => found.sort_unstable_by_key(|notice| notice.number),
            }
            found.truncate(page.limit.min(LIST_MAX));
            Ok(found)
        })
        .await
    }

    async fn notice(&self, id: &NoticeId) -> Result<Option<Notice>, Error> {
        let id = id.0.clone();
        self.read(move |snapshot| {
            let mut statement = snapshot.sql.prepare_cached(&format!("{COLUMNS} {OF_OPERATION} WHERE n.id = ?1"))?;
            Ok(statement.query_row([id], notice).optional()?)
        })
        .await
    }
}

fn query(filter: &NoticeFilter, state: NoticeState, page: Page<u64>) -> (String, Vec<Value>) {
    let mut sql = format!("{COLUMNS} {OF_OPERATION} WHERE n.tenant = ? AND n.state = ?");
    let mut values: Vec<Value> = vec![filter.tenant.as_str().to_owned().into(), state.as_str().to_owned().into()];
    for (condition, value) in scope::conditions(&filter.scope) {
        sql.push_str(&format!(" AND {condition}"));
        values.push(value);
    }
    if let Some(operation) = filter.operation {
        sql.push_str(" AND o.id = ?");
        values.push(operation.as_bytes().to_vec().into());
    }
    if let Some(first) = filter.first {
        sql.push_str(" AND n.number >= ?");
        values.push(i64::try_from(first).unwrap_or(i64::MAX).into());
    }
    let (beyond, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = page.after {
        sql.push_str(&format!(" AND n.number {beyond} ?"));
        values.push(i64::try_from(after).unwrap_or(i64::MAX).into());
    }
    sql.push_str(&format!(" ORDER BY n.number {direction} LIMIT ?"));
    values.push(limit(page.limit, LIST_MAX).into());
    (sql, values)
}

fn notice(row: &Row<'_>) -> rusqlite::Result<Notice> {
    let headers = serde_json::from_str(row.get_ref(8)?.as_str()?);
    Ok(Notice {
        notice: NewNotice {
            id: NoticeId(row.get(1)?),
            kind: row.get(5)?,
            method: row.get(6)?,
            url: row.get(7)?,
            receiver: row.get(15)?,
            headers: headers.map_err(|error| unreadable(8, error.to_string()))?,
            body: octets(row, 9)?,
            due_at: timestamp(row, 11)?,
        },
        number: unsigned(row, 0)?,
        tenant: row.get::<_, String>(2)?.into(),
        operation: operation_id(row, 3)?,
        created_at: timestamp(row, 13)?,
        state: state(row, 4)?,
        attempts: row.get(10)?,
        last_error: row.get(12)?,
        settled_at: optional_timestamp(row, 14)?,
    })
}

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<NoticeState> {
    let word = row.get_ref(column)?.as_str()?;
    let found = NoticeState::ALL.into_iter().find(|state| state.as_str() == word);
    found.ok_or_else(|| unreadable(column, format!("{word:?} is no state of a notice")))
}
