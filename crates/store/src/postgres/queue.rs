//! The dispatcher's queue: what this process owns of it.

use async_trait::async_trait;
use fanfold_core::OperationId;
use jiff::Timestamp;

use super::Postgres;
use super::columns::{at_most, get, limit, operation_id, optional_timestamp, uuid};
use crate::{DUE_MAX, Error, Queue, time};

/// All lanes that somebody waits in, found by jumping from one to the next in the index instead of reading through it.
const LANES: &str = "WITH RECURSIVE lanes (lane) AS (
        (SELECT lane FROM operations WHERE epoch = $1 AND wake_at IS NOT NULL ORDER BY lane LIMIT 1)
        UNION ALL
        SELECT (SELECT o.lane FROM operations o WHERE o.epoch = $1 AND o.wake_at IS NOT NULL AND o.lane > lanes.lane
                ORDER BY o.lane LIMIT 1)
        FROM lanes WHERE lane IS NOT NULL
    )";

#[async_trait]
impl Queue for Postgres {
    async fn due(&self, lane: &str, now: Timestamp, wanted: usize) -> Result<Vec<OperationId>, Error> {
        let select = "SELECT id FROM operations WHERE epoch = $1 AND lane = $2 AND wake_at <= $3
                      ORDER BY wake_at, id LIMIT $4";
        let epoch = at_most(self.epoch().0);
        let rows = self.readers.query(select, &[&epoch, &lane, &time::floor(now), &limit(wanted, DUE_MAX)]).await?;
        rows.iter().map(|row| operation_id(row, 0)).collect()
    }

    async fn lanes(&self, now: Timestamp) -> Result<Vec<String>, Error> {
        let select = format!(
            "{LANES} SELECT lane FROM lanes WHERE lane IS NOT NULL AND EXISTS (
                 SELECT 1 FROM operations o WHERE o.epoch = $1 AND o.lane = lanes.lane AND o.wake_at <= $2)
             ORDER BY lane"
        );
        let rows = self.readers.query(&select, &[&at_most(self.epoch().0), &time::floor(now)]).await?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    async fn next_wake(&self, after: Timestamp) -> Result<Option<Timestamp>, Error> {
        let select = format!(
            "{LANES} SELECT min((SELECT min(o.wake_at) FROM operations o
                 WHERE o.epoch = $1 AND o.lane = lanes.lane AND o.wake_at > $2)) FROM lanes"
        );
        let row = self.readers.query_one(&select, &[&at_most(self.epoch().0), &time::floor(after)]).await?;
        optional_timestamp(&row, 0)
    }

    async fn open_operations(&self, after: Option<OperationId>, wanted: usize) -> Result<Vec<OperationId>, Error> {
        let select = "SELECT id FROM operations WHERE epoch = $1 AND ended_at IS NULL AND id > $2 ORDER BY id LIMIT $3";
        let after = after.map_or(uuid::Uuid::nil(), uuid);
        let rows = self.readers.query(select, &[&at_most(self.epoch().0), &after, &limit(wanted, DUE_MAX)]).await?;
        rows.iter().map(|row| operation_id(row, 0)).collect()
    }
}
