//! The dispatcher's queue, and locks.

use std::collections::BTreeSet;

use async_trait::async_trait;
use fanfold_core::{OperationId, TenantId};
use jiff::Timestamp;

use super::Model;
use crate::{DUE_MAX, Error, LockPlace, Locks, Queue, time};

#[async_trait]
impl Queue for Model {
    async fn due(&self, lane: &str, now: Timestamp, limit: usize) -> Result<Vec<OperationId>, Error> {
        let now = time::floor(now);
        let (state, epoch) = (self.state(), self.epoch());
        let rows = state.operations.values().filter(|row| row.node == epoch && row.lane == lane);
        let mut due: Vec<_> = rows
            .filter_map(|row| row.wake_at.filter(|wake_at| *wake_at <= now).map(|wake_at| (wake_at, row.operation.id)))
            .collect();
        due.sort_unstable();
        Ok(due.into_iter().map(|(_, id)| id).take(limit.min(DUE_MAX)).collect())
    }

    async fn lanes(&self, now: Timestamp) -> Result<Vec<String>, Error> {
        let now = time::floor(now);
        let (state, epoch) = (self.state(), self.epoch());
        let own = state.operations.values().filter(|row| row.node == epoch);
        let due = own.filter(|row| row.wake_at.is_some_and(|wake_at| wake_at <= now));
        let lanes: BTreeSet<String> = due.map(|row| row.lane.clone()).collect();
        Ok(lanes.into_iter().collect())
    }

    async fn next_wake(&self, after: Timestamp) -> Result<Option<Timestamp>, Error> {
        let after = time::floor(after);
        let (state, epoch) = (self.state(), self.epoch());
        let own = state.operations.values().filter(|row| row.node == epoch);
        let next = own.filter_map(|row| row.wake_at).filter(|wake_at| *wake_at > after).min();
        next.map(time::timestamp).transpose()
    }

    async fn open_operations(&self, after: Option<OperationId>, limit: usize) -> Result<Vec<OperationId>, Error> {
        let (state, epoch) = (self.state(), self.epoch());
        let own = state.operations.iter().filter(|(_, row)| row.node == epoch);
        let open = own.filter(|(id, row)| row.is_open() && after.is_none_or(|after| **id > after));
        Ok(open.map(|(id, _)| *id).take(limit.min(DUE_MAX)).collect())
    }
}

#[async_trait]
impl Locks for Model {
    async fn lock_holder(&self, tenant: &TenantId, key: &str) -> Result<Option<OperationId>, Error> {
        let state = self.state();
        Ok(state.locks.get(&(tenant.clone(), key.to_owned())).and_then(|queue| queue.front().copied()))
    }

    async fn lock_place(&self, operation: OperationId) -> Result<Option<LockPlace>, Error> {
        let state = self.state();
        let position = state.locks.values().find_map(|queue| queue.iter().position(|id| *id == operation));
        Ok(position.map(|position| match position {
            0 => LockPlace::Holder,
            _ => LockPlace::Waiting { position: position as u64 },
        }))
    }
}
