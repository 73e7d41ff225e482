//! What an operation's task has begun and not seen end: turns waited for, calls on the wire, reads, lower operations followed.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;

use fanfold_core::operation::{Gate, Leg, Purpose, Trouble, Work};
use fanfold_core::{Operation, StepIndex};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument as _;

use super::call::CallEnded;
use super::follow::{Follower, LowerSeen};
use super::prepare::{Ready, Waiting};
use super::read::{Due, ReadSeen};
use super::turn::Gated;
use crate::members::Term;
use crate::shared::Shared;

/// What a task has at hand. The state is that of its beginning.
#[derive(Clone)]
pub(super) struct TaskContext {
    pub(super) shared: Arc<Shared>,
    pub(super) op: Arc<Operation>,
    /// What begun by it is no good in any other.
    pub(super) term: Term,
}

/// What a task tells when it ends.
pub(super) enum Input {
    /// The request waits for something worth recording; the place in the queue is kept.
    Gated { step: StepIndex, leg: Leg, gate: Gate, waiting: Waiting },
    /// The turn has come, and the request is ready to be sent.
    Ready { step: StepIndex, leg: Leg, ready: Box<Ready> },
    /// The request cannot be rendered, or its original cannot be had.
    NotRendered { step: StepIndex, leg: Leg, trouble: Trouble },
    /// An attempt ended.
    Called { step: StepIndex, leg: Leg, ended: Box<CallEnded> },
    /// The resource was read.
    Read { step: StepIndex, purpose: Purpose, read: Box<ReadSeen> },
    /// A read waits for something else than is recorded; its place is kept.
    ReadGated { due: Due, gated: Gated },
    /// The next poll of a lower operation waits for something else than is recorded; the one who polls is kept, with its place.
    PollGated { step: StepIndex, leg: Leg, gate: Gate, follower: Box<Follower> },
    /// What polls of a lower operation tell has changed; the one who polls is kept.
    PollsChanged { step: StepIndex, leg: Leg, trouble: Option<Trouble>, follower: Box<Follower> },
    /// A lower operation ended.
    LowerEnded { step: StepIndex, leg: Leg, lower: Box<LowerSeen> },
    /// A mistake in the program ended the task; the work is begun again after a while.
    TaskFailed { work: Work },
    /// The while is over.
    Rested,
}

#[derive(Default)]
pub(super) struct Tasks {
    set: JoinSet<Input>,
    /// What follows from the state, and may be given up when it does not any more.
    works: BTreeMap<Work, AbortHandle>,
    /// Attempts on the wire, which are never given up.
    calls: HashMap<Id, (StepIndex, Leg)>,
}

impl Tasks {
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Whether an attempt is on the wire.
    pub(super) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    pub(super) fn has(&self, work: &Work) -> bool {
        self.works.contains_key(work)
    }

    pub(super) fn spawn(&mut self, work: Work, task: impl Future<Output = Input> + Send + 'static) {
        let handle = self.set.spawn(task.in_current_span());
        self.works.insert(work, handle);
    }

    pub(super) fn call(&mut self, step: StepIndex, leg: Leg, task: impl Future<Output = Input> + Send + 'static) {
        let handle = self.set.spawn(task.in_current_span());
        self.calls.insert(handle.id(), (step, leg));
    }

    /// Gives up what does not follow from the state any more; all but the calls when the process is about to stop.
    pub(super) fn keep(&mut self, op: &Operation, halted: bool) {
        let wanted = if halted { Vec::new() } else { op.work() };
        self.works.retain(|work, handle| {
            let keep = wanted.contains(work);
            if !keep {
                handle.abort();
            }
            keep
        });
    }

    /// The next end of a task; `None` once there is no task.
    pub(super) async fn next(&mut self) -> Option<Input> {
        while let Some(ended) = self.set.join_next_with_id().await {
            if let Some(input) = self.ended(ended) {
                return Some(input);
            }
        }
        None
    }

    /// The end of a task that has ended already.
    pub(super) fn next_now(&mut self) -> Option<Input> {
        while let Some(ended) = self.set.try_join_next_with_id() {
            if let Some(input) = self.ended(ended) {
                return Some(input);
            }
        }
        None
    }

    fn ended(&mut self, ended: Result<(Id, Input), JoinError>) -> Option<Input> {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let call = self.calls.remove(&id);
        let work = self.works.iter().find(|(_, handle)| handle.id() == id).map(|(work, _)| *work);
        if let Some(work) = &work {
            self.works.remove(work);
        }
        match (ended, call) {
            (Ok((_, input)), _) => Some(input),
            (Err(error), Some((step, leg))) => {
                tracing::error!(%error, "an attempt failed within the program");
                Some(Input::Called { step, leg, ended: Box::new(CallEnded::lost()) })
            }
            // Work that was given up is not there any more.
            (Err(_), None) => work.map(|work| Input::TaskFailed { work }),
        }
    }
}
