//! The outbox: what this process has to send of it.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::Postgres;
use super::batch::NoticeWrite;
use super::columns::{
    at_most, get, limit, operation_id, optional_text, optional_timestamp, text, timestamp, unsigned, uuid,
};
use super::failure::Failure;
use super::scope;
use super::session::{Alone, BoxFuture};
use crate::{
    DUE_MAX, DueNotices, Epoch, Error, LIST_MAX, NewNotice, Notice, NoticeFilter, NoticeId, NoticeOutcome, NoticeState,
    Order, Outbox, OutboxState, Page, ReadNotices, time,
};

const COLUMNS: &str =
    "SELECT n.number, n.id, n.tenant, n.operation, n.state, n.kind, n.method, n.url, n.headers, n.body, n.attempts,
    n.due_at, n.last_error, n.created_at, n.settled_at, n.receiver";

struct ReplayNotice {
    id: NoticeId,
    at: Timestamp,
}

impl Alone for ReplayNotice {
    type Answer = ();

    fn run<'a>(&'a self, sql: &'a Client, epoch: Epoch) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let found = sql.query_opt("SELECT state FROM notices WHERE id = $1", &[&self.id.0]).await?;
            let found = found.ok_or_else(|| Error::NotFound { what: format!("notice {}", self.id) })?;
            if get::<&str>(&found, 0)? != NoticeState::Dead.as_str() {
                return Err(Error::Conflict.into());
            }
            let update =
                "UPDATE notices SET state = 'pending', attempts = 0, settled_at = NULL, due_at = $2, epoch = $3
                          WHERE id = $1";
            sql.execute(update, &[&self.id.0, &time::ceil(self.at), &at_most(epoch.0)]).await?;
            Ok(())
        })
    }
}

/// Receivers with something pending, found by jumping from one to the next in the index, in turns from the one after `$2` on;
/// of each those that are due and stand before no other one of their operation.
const DUE: &str = "WITH RECURSIVE receivers (receiver) AS (
        (SELECT receiver FROM notices WHERE epoch = $1 AND state = 'pending' ORDER BY receiver LIMIT 1)
        UNION ALL
        SELECT (SELECT n.receiver FROM notices n WHERE n.epoch = $1 AND n.state = 'pending' AND n.receiver > receivers.receiver
                ORDER BY n.receiver LIMIT 1)
        FROM receivers WHERE receiver IS NOT NULL
    )
    SELECT due.* FROM receivers r CROSS JOIN LATERAL (
        COLUMNS FROM notices n
        WHERE n.epoch = $1 AND n.state = 'pending' AND n.receiver = r.receiver AND n.due_at <= $3 AND NOT EXISTS (
            SELECT 1 FROM notices b WHERE b.operation = n.operation AND b.state = 'pending' AND b.receiver = n.receiver
                AND b.number < n.number)
        ORDER BY n.due_at, n.number LIMIT $4) due
    ORDER BY r.receiver <= $2, r.receiver, due.due_at, due.number LIMIT $5";

#[async_trait]
impl Outbox for Postgres {
    async fn due_notices(&self, wanted: DueNotices) -> Result<Vec<Notice>, Error> {
        let select = DUE.replace("COLUMNS", COLUMNS);
        let (epoch, now) = (at_most(self.epoch().0), time::floor(wanted.now));
        let (each, most) = (limit(wanted.each, DUE_MAX), limit(wanted.limit, DUE_MAX));
        let rows = self.readers.query(&select, &[&epoch, &wanted.after, &now, &each, &most]).await?;
        rows.iter().map(notice).collect()
    }

    async fn next_notice(&self, after: Timestamp) -> Result<Option<Timestamp>, Error> {
        let select = "SELECT min(due_at) FROM notices WHERE epoch = $1 AND state = 'pending' AND due_at > $2";
        let row = self.readers.query_one(select, &[&at_most(self.epoch().0), &time::floor(after)]).await?;
        optional_timestamp(&row, 0)
    }

    async fn record_notice(&self, id: &NoticeId, outcome: NoticeOutcome) -> Result<(), Error> {
        self.write(NoticeWrite { id: id.clone(), outcome }).await
    }

    async fn replay_notice(&self, id: &NoticeId, at: Timestamp) -> Result<(), Error> {
        self.writer.alone(ReplayNotice { id: id.clone(), at }).await
    }
}

#[async_trait]
impl ReadNotices for Postgres {
    async fn outbox(&self) -> Result<OutboxState, Error> {
        let select = "SELECT (SELECT min(created_at) FROM notices WHERE state = 'pending'),
                             (SELECT count(*) FROM notices WHERE state = 'dead')";
        let row = self.readers.query_one(select, &[]).await?;
        Ok(OutboxState { oldest_pending: optional_timestamp(&row, 0)?, dead: unsigned(&row, 1)? })
    }

    async fn notices(&self, filter: &NoticeFilter, page: Page<u64>) -> Result<Vec<Notice>, Error> {
        let (sql, values) = query(filter, page);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        self.readers.query_once(&sql, &values).await?.iter().map(notice).collect()
    }

    async fn notice(&self, id: &NoticeId) -> Result<Option<Notice>, Error> {
        let select = format!("{COLUMNS} FROM notices n WHERE n.id = $1");
        let row = self.readers.query_opt(&select, &[&id.0]).await?;
        row.map(|row| notice(&row)).transpose()
    }
}

fn query(filter: &NoticeFilter, page: Page<u64>) -> (String, Vec<Box<dyn ToSql + Send + Sync>>) {
    let mut sql = format!("{COLUMNS} FROM notices n WHERE n.tenant = $1");
    let mut values: Vec<Box<dyn ToSql + Send + Sync>> = vec![Box::new(filter.tenant.as_str().to_owned())];
    let mut add = |condition: &str, value: Box<dyn ToSql + Send + Sync>| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("${}", values.len())));
    };
    for (condition, value) in scope::conditions(&filter.scope, "o.") {
        let exists = format!(" AND EXISTS (SELECT 1 FROM operations o WHERE o.id = n.operation AND {condition})");
        add(&exists, Box::new(value));
    }
    if let Some(state) = filter.state {
        add(" AND n.state = ?", Box::new(state.as_str()));
    }
    if let Some(operation) = filter.operation {
        add(" AND n.operation = ?", Box::new(uuid(operation)));
    }
    if let Some(first) = filter.first {
        add(" AND n.number >= ?", Box::new(at_most(first)));
    }
    let (beyond, direction) = match page.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = page.after {
        add(&format!(" AND n.number {beyond} ?"), Box::new(at_most(after)));
    }
    add(&format!(" ORDER BY n.number {direction} LIMIT ?"), Box::new(limit(page.limit, LIST_MAX)));
    (sql, values)
}

fn notice(row: &Row) -> Result<Notice, Error> {
    let headers = serde_json::from_str(get(row, 8)?);
    let attempts: i32 = get(row, 10)?;
    Ok(Notice {
        notice: NewNotice {
            id: NoticeId(get(row, 1)?),
            kind: get(row, 5)?,
            method: get(row, 6)?,
            url: text(row, 7)?,
            receiver: get(row, 15)?,
            headers: headers.map_err(|error| Error::corrupt(format!("a notice cannot be read: {error}")))?,
            body: get::<Vec<u8>>(row, 9)?.into(),
            due_at: timestamp(row, 11)?,
        },
        number: unsigned(row, 0)?,
        tenant: get::<String>(row, 2)?.into(),
        operation: operation_id(row, 3)?,
        created_at: timestamp(row, 13)?,
        state: state(get(row, 4)?)?,
        attempts: u32::try_from(attempts).map_err(|_| Error::corrupt("a number of attempts is negative"))?,
        last_error: optional_text(row, 12)?,
        settled_at: optional_timestamp(row, 14)?,
    })
}

fn state(word: &str) -> Result<NoticeState, Error> {
    let found = NoticeState::ALL.into_iter().find(|state| state.as_str() == word);
    found.ok_or_else(|| Error::corrupt(format!("{word:?} is no state of a notice")))
}
