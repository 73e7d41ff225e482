//! The reference model: what a store is supposed to do, written as simply as possible over maps behind one mutex. Nothing of
//! it outlives the process. Other stores are compared with it, and tests of the engine and of the server run on it.

mod attention;
mod list;
mod notices;
mod operations;
mod queue;
mod retention;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::dialect::Bodies;
use fanfold_core::{Operation, OperationId, Slot, TargetName, TenantId};
use jiff::Timestamp;

use crate::{
    Change, Error, EventNumber, Hold, Holds, IdempotencyKey, Limits, Note, Notice, ReadHolds, Recorded, Sealed, time,
};

/// A store in memory.
#[derive(Debug, Default)]
pub struct Model {
    limits: Limits,
    state: Mutex<State>,
}

impl Model {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each request checks before it changes anything, so a panic in another thread leaves whole records behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    operations: BTreeMap<OperationId, Row>,
    /// The front of each queue is the holder. A queue is never empty.
    locks: BTreeMap<(TenantId, String), VecDeque<OperationId>>,
    events: Vec<Recorded>,
    events_total: u64,
    events_deleted: BTreeMap<TenantId, EventNumber>,
    notes: BTreeMap<u64, Note>,
    notes_total: u64,
    notices: BTreeMap<u64, Notice>,
    notices_total: u64,
    holds: BTreeMap<TargetName, Hold>,
}

#[derive(Debug)]
struct Row {
    operation: Operation,
    lane: String,
    owner: Option<String>,
    idempotency: Option<IdempotencyKey>,
    /// In microseconds.
    wake_at: Option<i64>,
    bodies: Bodies,
    sealed: BTreeMap<Slot, Bytes>,
}

impl Row {
    fn is_open(&self) -> bool {
        self.operation.end().is_none()
    }
}

/// A time as it comes back from a column.
fn cut(at: Timestamp) -> Timestamp {
    time::timestamp(time::floor(at)).unwrap_or(Timestamp::MIN)
}

#[async_trait]
impl Holds for Model {
    async fn hold(&self, hold: Hold) -> Result<Change, Error> {
        Ok(self.state().hold(hold))
    }

    async fn release(&self, target: &TargetName) -> Result<Change, Error> {
        match self.state().holds.remove(target) {
            Some(_) => Ok(Change::Made),
            None => Ok(Change::AlreadySo),
        }
    }
}

impl State {
    fn hold(&mut self, hold: Hold) -> Change {
        if self.holds.contains_key(&hold.target) {
            return Change::AlreadySo;
        }
        self.holds.insert(hold.target.clone(), Hold { since: cut(hold.since), ..hold });
        Change::Made
    }
}

#[async_trait]
impl ReadHolds for Model {
    async fn holds(&self) -> Result<Vec<Hold>, Error> {
        Ok(self.state().holds.values().cloned().collect())
    }
}

#[async_trait]
impl Sealed for Model {
    async fn sealed(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        Ok(self.state().operations.get(&id).and_then(|row| row.sealed.get(&slot).cloned()))
    }
}
