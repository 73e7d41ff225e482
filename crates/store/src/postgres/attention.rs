//! Notes. Each open note is counted in its operation's row, for lists and for retention.

use async_trait::async_trait;
use fanfold_core::operation::{Attention, AttentionReason};
use fanfold_core::{StepIndex, TargetName};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::Postgres;
use super::columns::{
    at_most, escaped, get, limit, operation_id, optional_text, optional_timestamp, text, timestamp, unsigned, uuid,
};
use super::failure::Failure;
use super::scope;
use super::session::{Alone, BoxFuture};
use crate::{
    AttentionId, Change, Closed, Epoch, Error, LIST_MAX, Note, NoteFilter, Notes, Order, Page, ReadNotes, time,
};

struct Acknowledge {
    id: AttentionId,
    closed: Closed,
}

impl Alone for Acknowledge {
    type Answer = Change;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<Change, Failure>> {
        Box::pin(async move {
            let id = at_most(self.id.0);
            let find = "SELECT operation, closed_at IS NOT NULL FROM attention WHERE id = $1";
            let Some(row) = sql.query_opt(find, &[&id]).await? else {
                return Err(Error::NotFound { what: format!("attention {}", self.id) }.into());
            };
            if get::<bool>(&row, 1)? {
                return Ok(Change::AlreadySo);
            }
            let update = "UPDATE attention SET closed_at = $2, closed_by = $3, remark = $4 WHERE id = $1";
            let remark = self.closed.remark.as_deref().map(escaped);
            sql.execute(update, &[&id, &time::floor(self.closed.at), &escaped(&self.closed.by), &remark]).await?;
            let update = "UPDATE operations SET attention = attention - 1 WHERE id = $1";
            sql.execute(update, &[&uuid(operation_id(&row, 0)?)]).await?;
            Ok(Change::Made)
        })
    }
}

#[async_trait]
impl Notes for Postgres {
    async fn acknowledge(&self, id: AttentionId, closed: Closed) -> Result<Change, Error> {
        self.writer.alone(Acknowledge { id, closed }).await
    }
}

const SELECT: &str =
    "SELECT a.id, a.tenant, a.operation, a.step, a.target, a.reason, a.detail, a.opened_at, a.closed_at, a.closed_by,
    a.remark, o.ended_at IS NOT NULL FROM attention a JOIN operations o ON o.id = a.operation";

#[async_trait]
impl ReadNotes for Postgres {
    async fn notes(&self, filter: &NoteFilter, page: Page<AttentionId>) -> Result<Vec<Note>, Error> {
        let (sql, values) = query(filter, page);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        self.readers.query_once(&sql, &values).await?.iter().map(note).collect()
    }

    async fn note(&self, id: AttentionId) -> Result<Option<Note>, Error> {
        let select = format!("{SELECT} WHERE a.id = $1");
        let row = self.readers.query_opt(&select, &[&at_most(id.0)]).await?;
        row.map(|row| note(&row)).transpose()
    }
}

fn query(filter: &NoteFilter, page: Page<AttentionId>) -> (String, Vec<Box<dyn ToSql + Send + Sync>>) {
    let mut sql = format!("{SELECT} WHERE a.tenant = $1");
    let mut values: Vec<Box<dyn ToSql + Send + Sync>> = vec![Box::new(filter.tenant.as_str().to_owned())];
    match filter.open {
        Some(true) => sql.push_str(" AND a.closed_at IS NULL"),
        Some(false) => sql.push_str(" AND a.closed_at IS NOT NULL"),
        None => {}
    }
    let mut add = |condition: &str, value: Box<dyn ToSql + Send + Sync>| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("${}", values.len())));
    };
    for (condition, value) in scope::conditions(&filter.scope, "o.") {
        add(&format!(" AND {condition}"), Box::new(value));
    }
    if let Some(operation) = filter.operation {
        add(" AND a.operation = ?", Box::new(uuid(operation)));
    }
    if let Some(target) = &filter.target {
        add(" AND a.target = ?", Box::new(target.as_str().to_owned()));
    }
    if let Some(first) = filter.first {
        add(" AND a.id >= ?", Box::new(at_most(first.0)));
    }
    let (beyond, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = page.after {
        add(&format!(" AND a.id {beyond} ?"), Box::new(at_most(after.0)));
    }
    add(&format!(" ORDER BY a.id {direction} LIMIT ?"), Box::new(limit(page.limit, LIST_MAX)));
    (sql, values)
}

fn note(row: &Row) -> Result<Note, Error> {
    let closed = match optional_timestamp(row, 8)? {
        Some(at) => Some(Closed { at, by: text(row, 9)?, remark: optional_text(row, 10)? }),
        None => None,
    };
    let step = get::<Option<i32>>(row, 3)?.map(u16::try_from).transpose();
    Ok(Note {
        id: AttentionId(unsigned(row, 0)?),
        tenant: get::<String>(row, 1)?.into(),
        operation: operation_id(row, 2)?,
        attention: Attention {
            step: step.map_err(|_| Error::corrupt("a step is out of range"))?.map(StepIndex),
            target: get::<Option<String>>(row, 4)?.map(TargetName::from),
            reason: reason(get(row, 5)?)?,
            detail: text(row, 6)?,
        },
        opened_at: timestamp(row, 7)?,
        ended: get(row, 11)?,
        closed,
    })
}

pub(super) fn reason(word: String) -> Result<AttentionReason, Error> {
    // The word is the reason's JSON form too.
    serde_json::from_value(word.into()).map_err(|error| Error::corrupt(error.to_string()))
}
