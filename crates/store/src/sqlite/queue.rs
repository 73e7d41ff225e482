//! The dispatcher's queue.

use async_trait::async_trait;
use fanfold_core::OperationId;
use jiff::Timestamp;
use rusqlite::params;

use super::Sqlite;
use super::operations::{limit, operation_id, optional_timestamp};
use crate::{DUE_MAX, Error, Queue, time};

/// All lanes that somebody waits in, found by jumping from one to the next in the index instead of reading through it.
const LANES: &str = "WITH RECURSIVE lanes (lane) AS (
        SELECT min(lane) FROM operations INDEXED BY operations_due WHERE wake_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(o.lane) FROM operations o INDEXED BY operations_due WHERE o.wake_at IS NOT NULL AND o.lane > lanes.lane)
        FROM lanes WHERE lane IS NOT NULL
    )";

#[async_trait]
impl Queue for Sqlite {
    async fn due(&self, lane: &str, now: Timestamp, wanted: usize) -> Result<Vec<OperationId>, Error> {
        let lane = lane.to_owned();
        self.read(move |snapshot| {
            let select = "SELECT id FROM operations INDEXED BY operations_due
                          WHERE lane = ?1 AND wake_at <= ?2 ORDER BY wake_at, id LIMIT ?3";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let parameters = params![lane, time::floor(now), limit(wanted, DUE_MAX)];
            let rows = statement.query_map(parameters, |row| operation_id(row, 0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn lanes(&self, now: Timestamp) -> Result<Vec<String>, Error> {
        self.read(move |snapshot| {
            let select = format!(
                "{LANES} SELECT lane FROM lanes WHERE lane IS NOT NULL AND EXISTS (
                     SELECT 1 FROM operations o INDEXED BY operations_due WHERE o.lane = lanes.lane AND o.wake_at <= ?1)
                 ORDER BY lane"
            );
            let mut statement = snapshot.sql.prepare_cached(&select)?;
            let rows = statement.query_map([time::floor(now)], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn next_wake(&self, after: Timestamp) -> Result<Option<Timestamp>, Error> {
        self.read(move |snapshot| {
            let select = format!(
                "{LANES} SELECT min((SELECT min(o.wake_at) FROM operations o INDEXED BY operations_due
                     WHERE o.lane = lanes.lane AND o.wake_at > ?1)) FROM lanes"
            );
            let mut statement = snapshot.sql.prepare_cached(&select)?;
            Ok(statement.query_row([time::floor(after)], |row| optional_timestamp(row, 0))?)
        })
        .await
    }

    async fn open_operations(&self, after: Option<OperationId>, wanted: usize) -> Result<Vec<OperationId>, Error> {
        self.read(move |snapshot| {
            let select = "SELECT id FROM operations INDEXED BY operations_by_end
                          WHERE ended_at IS NULL AND id > ?1 ORDER BY id LIMIT ?2";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let after = after.map(|after| after.as_bytes().to_vec()).unwrap_or_default();
            let rows = statement.query_map(params![after, limit(wanted, DUE_MAX)], |row| operation_id(row, 0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}
