//! Target holds.

use async_trait::async_trait;
use fanfold_core::TargetName;
use tokio_postgres::Client;

use super::Postgres;
use super::columns::{escaped, get, text, timestamp};
use super::failure::Failure;
use super::session::{Alone, BoxFuture};
use crate::{Change, Epoch, Error, Hold, Holds, ReadHolds, time};

fn change(rows: u64) -> Change {
    if rows == 0 { Change::AlreadySo } else { Change::Made }
}

struct Place(Hold);

impl Alone for Place {
    type Answer = Change;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<Change, Failure>> {
        Box::pin(async move {
            let insert = "INSERT INTO holds (target, since, by, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
            let Hold { target, since, by, reason } = &self.0;
            Ok(change(
                sql.execute(insert, &[&target.as_str(), &time::floor(*since), &escaped(by), &escaped(reason)]).await?,
            ))
        })
    }
}

struct Lift(TargetName);

impl Alone for Lift {
    type Answer = Change;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<Change, Failure>> {
        Box::pin(
            async move { Ok(change(sql.execute("DELETE FROM holds WHERE target = $1", &[&self.0.as_str()]).await?)) },
        )
    }
}

#[async_trait]
impl Holds for Postgres {
    async fn hold(&self, hold: Hold) -> Result<Change, Error> {
        self.writer.alone(Place(hold)).await
    }

    async fn release(&self, target: &TargetName) -> Result<Change, Error> {
        self.writer.alone(Lift(target.clone())).await
    }
}

#[async_trait]
impl ReadHolds for Postgres {
    async fn holds(&self) -> Result<Vec<Hold>, Error> {
        let rows = self.readers.query("SELECT target, since, by, reason FROM holds ORDER BY target", &[]).await?;
        let hold = |row| {
            Ok(Hold {
                target: get::<String>(row, 0)?.into(),
                since: timestamp(row, 1)?,
                by: text(row, 2)?,
                reason: text(row, 3)?,
            })
        };
        rows.iter().map(hold).collect()
    }
}
