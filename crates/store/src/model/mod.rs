//! The reference model: what a store is supposed to do, written as simply as possible over maps behind one mutex. Nothing of
//! it outlives the process. Other stores are compared with it, and tests of the engine and of the server run on it.
//!
//! Several handles can share one state ([`Model::handle`]), each of which may become a node of its own.

mod attention;
mod audit;
mod filing;
mod list;
mod nodes;
mod notices;
mod operations;
mod permits;
mod queue;
mod retention;
mod sessions;
mod tokens;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::dialect::Bodies;
use fanfold_core::{Event, Operation, OperationId, Slot, TargetName, TenantId};
use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::sharing::Claim;
use crate::{
    Answer, AskNumber, AuditEntry, AuditNumber, Change, Epoch, Error, EventNumber, Hold, Holds, IdempotencyKey,
    KeyCount, Limits, Node, Note, Notice, Pool, ReadHolds, Recorded, Resealed, Sealed, Session, Standing, Token, Word,
    time,
};

/// The epoch of a handle that has never joined.
const NO_NODE: Epoch = Epoch(0);

/// Words that wait to be heard at the most.
const WORDS_MAX: usize = 1_024;

/// A store in memory.
#[derive(Debug)]
pub struct Model {
    limits: Limits,
    state: Arc<Mutex<State>>,
    /// As what this handle reads and writes.
    epoch: AtomicU64,
    said: broadcast::Sender<(Epoch, Word)>,
    heard: tokio::sync::Mutex<broadcast::Receiver<(Epoch, Word)>>,
}

impl Default for Model {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Model {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        let (said, heard) = broadcast::channel(WORDS_MAX);
        Self { limits, state: Arc::default(), epoch: AtomicU64::new(NO_NODE.0), said, heard: heard.into() }
    }

    /// Another handle on the same state, as another process has one. It has not joined.
    #[must_use]
    pub fn handle(&self) -> Self {
        Self {
            limits: self.limits.clone(),
            state: Arc::clone(&self.state),
            epoch: AtomicU64::new(NO_NODE.0),
            said: self.said.clone(),
            heard: self.said.subscribe().into(),
        }
    }

    /// As what this handle reads and writes.
    fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    /// The state to be written, and as whose it is.
    fn to_write(&self) -> Result<(MutexGuard<'_, State>, Epoch), Error> {
        let state = self.state();
        let epoch = self.epoch();
        let is_member = state.nodes.get(&epoch).is_some_and(|node| node.standing == Standing::Member);
        if epoch == NO_NODE || is_member { Ok((state, epoch)) } else { Err(Error::Fenced) }
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
    /// Who sends which notice.
    notice_nodes: BTreeMap<u64, Epoch>,
    nodes: BTreeMap<Epoch, Node>,
    epochs_total: u64,
    asks: BTreeMap<AskNumber, Ask>,
    asks_total: u64,
    permits: BTreeMap<(TargetName, Pool), BTreeMap<Epoch, Claim>>,
    holds: BTreeMap<TargetName, Hold>,
    tokens: BTreeMap<TokenId, Token>,
    sessions: BTreeMap<SecretDigest, Session>,
    tokens_changed: u64,
    audit: BTreeMap<AuditNumber, AuditEntry>,
    audit_total: u64,
}

/// A question.
#[derive(Debug)]
struct Ask {
    operation: OperationId,
    event: Event,
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Row {
    operation: Operation,
    lane: String,
    owner: Option<String>,
    /// Whose it is.
    node: Epoch,
    adopted_at: Option<Timestamp>,
    /// The same request came again before anything was committed, and was answered with this operation.
    claimed: bool,
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
        Ok(self.to_write()?.0.hold(hold))
    }

    async fn release(&self, target: &TargetName) -> Result<Change, Error> {
        match self.to_write()?.0.holds.remove(target) {
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

    async fn reseal(&self) -> Result<Resealed, Error> {
        Ok(Resealed::Idle)
    }

    async fn sealing_keys(&self) -> Result<Vec<KeyCount>, Error> {
        Ok(Vec::new())
    }
}
