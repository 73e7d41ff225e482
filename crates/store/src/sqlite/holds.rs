//! Target holds.

use async_trait::async_trait;
use fanfold_core::TargetName;
use rusqlite::params;

use super::Sqlite;
use super::failure::Failure;
use super::operations::timestamp;
use super::writer::{Tx, Write};
use crate::{Change, Error, Hold, Holds, ReadHolds, time};

pub(super) fn insert(tx: &Tx<'_>, hold: &Hold) -> Result<Change, Failure> {
    let insert = "INSERT INTO holds (target, since, by, reason) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let rows = tx.execute(insert, params![hold.target.as_str(), time::floor(hold.since), hold.by, hold.reason])?;
    Ok(change(rows))
}

fn change(rows: usize) -> Change {
    if rows == 0 { Change::AlreadySo } else { Change::Made }
}

struct Place(Hold);

impl Write for Place {
    type Answer = Change;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Change, Failure> {
        insert(tx, &self.0)
    }
}

struct Lift(TargetName);

impl Write for Lift {
    type Answer = Change;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Change, Failure> {
        Ok(change(tx.execute("DELETE FROM holds WHERE target = ?1", [self.0.as_str()])?))
    }
}

#[async_trait]
impl Holds for Sqlite {
    async fn hold(&self, hold: Hold) -> Result<Change, Error> {
        self.write(Place(hold)).await
    }

    async fn release(&self, target: &TargetName) -> Result<Change, Error> {
        self.write(Lift(target.clone())).await
    }
}

#[async_trait]
impl ReadHolds for Sqlite {
    async fn holds(&self) -> Result<Vec<Hold>, Error> {
        self.read(|snapshot| {
            let mut statement =
                snapshot.sql.prepare_cached("SELECT target, since, by, reason FROM holds ORDER BY target")?;
            let rows = statement.query_map([], |row| {
                Ok(Hold {
                    target: row.get::<_, String>(0)?.into(),
                    since: timestamp(row, 1)?,
                    by: row.get(2)?,
                    reason: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
