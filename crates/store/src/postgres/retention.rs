//! Deleting operations, tokens and entries of the audit trail, and the size.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_postgres::Client;
use uuid::Uuid;

use super::Postgres;
use super::columns::{get, limit, unsigned};
use super::failure::Failure;
use super::session::{Alone, BoxFuture};
use super::{audit, tokens};
use crate::{Epoch, Error, Limits, ReadSize, Retention, SWEEP_MAX, Size, Swept, time};

/// What hangs on operations. Locks are not among it, because an operation that has ended has none.
const DELETE: [&str; 10] = [
    // Before the rows that they are about: how far the events are not complete any more, how many there are, what they took up.
    "INSERT INTO events_deleted (tenant, number)
     SELECT o.tenant, max(e.number) FROM operations o JOIN events e ON e.operation = o.id WHERE o.id = ANY($1) GROUP BY o.tenant
     ON CONFLICT (tenant) DO UPDATE SET number = greatest(events_deleted.number, excluded.number)",
    "UPDATE counts c SET number = c.number - gone.number
     FROM (SELECT tenant, status, count(*) AS number FROM operations WHERE id = ANY($1) GROUP BY tenant, status) gone
     WHERE c.tenant = gone.tenant AND c.status = gone.status",
    "UPDATE counters SET used = used - (SELECT coalesce(sum(used), 0)::bigint FROM operations WHERE id = ANY($1))",
    "DELETE FROM notices WHERE operation = ANY($1)",
    "DELETE FROM attention WHERE operation = ANY($1)",
    "DELETE FROM events WHERE operation = ANY($1)",
    "DELETE FROM bodies WHERE operation = ANY($1)",
    "DELETE FROM sealed WHERE operation = ANY($1)",
    "DELETE FROM plans WHERE operation = ANY($1)",
    "DELETE FROM operations WHERE id = ANY($1)",
];

const HAS_NO_PENDING_NOTICE: &str =
    "NOT EXISTS (SELECT 1 FROM notices n WHERE n.operation = o.id AND n.state = 'pending')";

struct Sweep {
    now: Timestamp,
    batch: usize,
    limits: Limits,
}

impl Alone for Sweep {
    type Answer = Swept;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<Swept, Failure>> {
        Box::pin(async move {
            let batch = self.batch.min(SWEEP_MAX);
            // One more than wanted, to know whether there are more.
            let wanted = limit(batch + 1, SWEEP_MAX + 1);
            let mut doomed = self.expired(sql, wanted).await?;
            if let Some(bound) = self.limits.size_soft
                && used(sql).await? > bound
            {
                doomed.extend(self.oldest(sql, wanted).await?);
            }
            let more = doomed.len() > batch;
            doomed.truncate(batch);
            if !doomed.is_empty() {
                for statement in DELETE {
                    sql.execute(statement, &[&doomed]).await?;
                }
            }
            Ok(Swept { deleted: doomed.len(), more })
        })
    }
}

struct SweepAccess {
    now: Timestamp,
    batch: usize,
    limits: Limits,
}

impl Alone for SweepAccess {
    type Answer = Swept;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<Swept, Failure>> {
        Box::pin(async move {
            let batch = self.batch.min(SWEEP_MAX);
            let tokens = Swept::of(tokens::sweep(sql, self.now, batch).await?, batch);
            Ok(tokens.and(Swept::of(audit::sweep(sql, self.now, batch, &self.limits).await?, batch)))
        })
    }
}

async fn used(sql: &Client) -> Result<u64, Failure> {
    let row = sql.query_one("SELECT used FROM counters", &[]).await?;
    Ok(unsigned(&row, 0)?)
}

impl Sweep {
    async fn expired(&self, sql: &Client, wanted: i64) -> Result<Vec<Uuid>, Failure> {
        let select = format!(
            "SELECT id FROM operations o WHERE expires_at IS NOT NULL AND expires_at <= $1 AND attention = 0
             AND {HAS_NO_PENDING_NOTICE} ORDER BY expires_at, id LIMIT $2"
        );
        let rows = sql.query(&select, &[&time::floor(self.now), &wanted]).await?;
        Ok(rows.iter().map(|row| get(row, 0)).collect::<Result<_, _>>()?)
    }

    /// The longest ended that are beyond `keep_min` and have not expired: those were found before.
    async fn oldest(&self, sql: &Client, wanted: i64) -> Result<Vec<Uuid>, Failure> {
        let select = format!(
            "SELECT id FROM operations o WHERE ended_at IS NOT NULL AND ended_at <= $3 AND expires_at > $1 AND attention = 0
             AND {HAS_NO_PENDING_NOTICE} ORDER BY ended_at, id LIMIT $2"
        );
        let now = time::floor(self.now);
        let keep_min = i64::try_from(self.limits.keep_min.as_micros()).unwrap_or(i64::MAX);
        let rows = sql.query(&select, &[&now, &wanted, &now.saturating_sub(keep_min)]).await?;
        Ok(rows.iter().map(|row| get(row, 0)).collect::<Result<_, _>>()?)
    }
}

#[async_trait]
impl Retention for Postgres {
    async fn sweep(&self, now: Timestamp, batch: usize) -> Result<Swept, Error> {
        self.writer.alone(Sweep { now, batch, limits: self.limits.clone() }).await
    }

    async fn sweep_access(&self, now: Timestamp, batch: usize) -> Result<Swept, Error> {
        self.writer.alone(SweepAccess { now, batch, limits: self.limits.clone() }).await
    }
}

#[async_trait]
impl ReadSize for Postgres {
    /// What is used is counted from what is recorded, without what the database adds to it; the rest of what the database takes
    /// up on its disk counts as free.
    async fn size(&self) -> Result<Size, Error> {
        let row =
            self.readers.query_one("SELECT used, pg_database_size(current_database()) FROM counters", &[]).await?;
        let (used, whole) = (unsigned(&row, 0)?, unsigned(&row, 1)?);
        let (soft, hard) = (self.limits.size_soft, self.limits.size_hard);
        Ok(Size { used, free: whole.saturating_sub(used), log: 0, soft, hard })
    }

    fn trouble(&self) -> Option<Error> {
        self.writer.trouble()
    }
}
