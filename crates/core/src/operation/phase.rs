//! What a running operation is doing, in one word, and everything that it waits for.
//!
//! Both follow from the record alone. What only the store knows (the place in a lock's queue) is left open here and filled in
//! by whoever shows it.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Leg, Purpose};
use super::gate::Gate;
use super::lower::{Lower, LowerTime, Unclear};
use super::state::{
    Cause, End, LockState, Operation, Probing, Restored, RollbackResult, Send, Stage, Status, StepPhase, UndoPhase,
};
use crate::{OperationId, StepIndex, TargetName};

/// What an executing operation is doing. Where several apply the first one counts, so the order of the variants matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Nothing goes on until a person has answered.
    #[serde(rename = "needs attention")]
    NeedsAttention,
    /// Cancel was requested; what is on the wire is awaited, what succeeded is undone.
    #[serde(rename = "canceling")]
    Canceling,
    /// What succeeded is being undone.
    #[serde(rename = "rolling back")]
    RollingBack,
    /// A probe finds out whether a request was applied.
    #[serde(rename = "probing")]
    Probing,
    /// A target is on hold, or no longer configured.
    #[serde(rename = "held")]
    Held,
    /// A request waits for a permit or a breaker, or a read for a breaker.
    #[serde(rename = "waiting")]
    Waiting,
    /// A request is to be sent again after a while.
    #[serde(rename = "backing off")]
    BackingOff,
    /// Requests are on the wire, or are carried out by lower operations.
    #[serde(rename = "calling")]
    Calling,
}

impl Phase {
    /// All of them, in the order in which they apply.
    pub const ALL: [Self; 8] = [
        Self::NeedsAttention,
        Self::Canceling,
        Self::RollingBack,
        Self::Probing,
        Self::Held,
        Self::Waiting,
        Self::BackingOff,
        Self::Calling,
    ];

    /// The words for it, as they stand on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeedsAttention => "needs attention",
            Self::Canceling => "canceling",
            Self::RollingBack => "rolling back",
            Self::Probing => "probing",
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::BackingOff => "backing off",
            Self::Calling => "calling",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that an operation which has not ended waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "for")]
pub enum WaitingFor {
    /// The time at which it may start.
    StartTime {
        /// That time.
        until: Timestamp,
    },
    /// A lock that another operation may hold.
    Lock {
        /// Its key.
        key: String,
        /// The place in the lock's queue, counted from 1; the store knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<u64>,
        /// The operation that holds it; the store knows that too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<OperationId>,
    },
    /// To be taken up by the dispatcher, or for the first permit: that nothing was sent yet because of its targets' limits is not
    /// recorded, which would be a write for each operation of a backlog.
    Dispatch,
    /// A permit: the target has as many requests in flight as it may have.
    Permit(Call),
    /// The target's breaker, which is open.
    Breaker(Call),
    /// A target that is on hold.
    HeldTarget(Call),
    /// A target that is no longer configured.
    MissingTarget(Call),
    /// The time at which a request is sent, or a resource read, again.
    Backoff {
        /// Which request.
        #[serde(flatten)]
        call: Call,
        /// That time.
        until: Timestamp,
    },
    /// The time from which on a target cannot act any more on an attempt in doubt.
    Settle {
        /// Which request.
        #[serde(flatten)]
        call: Call,
        /// That time.
        until: Timestamp,
    },
    /// The answer to an attempt on the wire.
    Answer {
        /// Which request.
        #[serde(flatten)]
        call: Call,
        /// When the attempt started.
        since: Timestamp,
    },
    /// The representation of a resource, which is read, or waits for a permit to be read.
    Resource {
        /// For which request.
        #[serde(flatten)]
        call: Call,
        /// Why it is read.
        purpose: Purpose,
    },
    /// The end of an operation at the target.
    LowerOperation {
        /// Which request.
        #[serde(flatten)]
        call: Call,
        /// Its id or location.
        reference: String,
        /// When it is given up.
        until: Timestamp,
        /// Why polls tell nothing of it, and since when; absent while they do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unclear: Option<Unclear>,
    },
    /// A probe.
    Probe {
        /// Of which request.
        #[serde(flatten)]
        call: Call,
        /// When it is asked; absent while it is on the wire.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A person: their answer about one target, or their choice for the operation as a whole.
    Person {
        /// The target they are asked about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<TargetName>,
        /// Since when.
        since: Timestamp,
    },
    /// Its final response to be composed.
    Response,
    /// A person to release it: it came from a backup.
    Release {
        /// Since when.
        since: Timestamp,
        /// When the backup was made.
        as_of: Timestamp,
    },
}

/// One of the requests of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Call {
    /// Its step.
    pub step: StepIndex,
    /// The target of that step.
    pub target: TargetName,
    /// Which of the step's requests.
    pub leg: Leg,
}

/// What an executing operation is doing; `None` before it executes and after it has ended. One that was restored needs
/// attention, whether it executes or not.
pub fn phase(operation: &Operation) -> Option<Phase> {
    if operation.restored.is_some() {
        return Some(Phase::NeedsAttention);
    }
    if operation.status() != Status::Executing {
        return None;
    }
    let stage = stage_phase(&operation.stage);
    let steps = operation.steps.iter().filter_map(|step| step_phase(&step.phase));
    Some(steps.chain(stage).min().unwrap_or(Phase::Calling))
}

/// Everything that an operation waits for, in the order of its steps; empty once it has ended.
pub fn waiting_for(operation: &Operation) -> Vec<WaitingFor> {
    if let Some(Restored { since, as_of }) = operation.restored {
        return vec![WaitingFor::Release { since, as_of }];
    }
    match &operation.stage {
        Stage::Unexecuted { start_at, lock } => unexecuted_waits(operation, *start_at, *lock),
        Stage::Forward | Stage::Closing(_) | Stage::RollingBack { .. } => step_waits(operation),
        Stage::Deciding { since, .. } => vec![WaitingFor::Person { target: None, since: *since }],
        Stage::Finishing(_) => vec![WaitingFor::Response],
        Stage::Ended { .. } => Vec::new(),
    }
}

fn stage_phase(stage: &Stage) -> Option<Phase> {
    match stage {
        Stage::Unexecuted { .. } | Stage::Forward | Stage::Ended { .. } => None,
        Stage::Closing(cause) => canceling(cause),
        Stage::Deciding { .. } => Some(Phase::NeedsAttention),
        Stage::RollingBack { cause, .. } => canceling(cause).or(Some(Phase::RollingBack)),
        Stage::Finishing(end) => finishing_phase(end),
    }
}

/// While the final response is composed, the word stays what it was before.
fn finishing_phase(end: &End) -> Option<Phase> {
    let rolled_back = match end.rollback {
        Some(RollbackResult::Completed | RollbackResult::Failed) => Some(Phase::RollingBack),
        Some(RollbackResult::None) | None => None,
    };
    end.cause.as_ref().and_then(canceling).or(rolled_back)
}

fn canceling(cause: &Cause) -> Option<Phase> {
    match cause {
        Cause::Canceled { .. } => Some(Phase::Canceling),
        Cause::RequirementMet | Cause::StepsFailed | Cause::DeadlinePassed => None,
    }
}

fn step_phase(phase: &StepPhase) -> Option<Phase> {
    match phase {
        StepPhase::Planned | StepPhase::Ended(_) => None,
        StepPhase::Reading { not_before: Some(_), .. } => Some(Phase::BackingOff),
        StepPhase::Reading { gate: Gate::Permit, .. } => Some(Phase::Calling),
        StepPhase::Reading { gate: Gate::Breaker, .. } => Some(Phase::Waiting),
        StepPhase::Reading { gate: Gate::Held | Gate::Missing, .. } => Some(Phase::Held),
        StepPhase::Sending(Send::Due { gate: Gate::Held | Gate::Missing }) => Some(Phase::Held),
        StepPhase::Sending(Send::Due { gate: Gate::Permit | Gate::Breaker }) => Some(Phase::Waiting),
        StepPhase::Sending(Send::BackingOff { .. }) => Some(Phase::BackingOff),
        StepPhase::Sending(Send::Following(Lower { time: LowerTime::Stopped { .. }, .. })) => Some(Phase::Held),
        StepPhase::Sending(Send::Calling { .. } | Send::Following(Lower { time: LowerTime::Until(_), .. })) => {
            Some(Phase::Calling)
        }
        StepPhase::Probing(_) => Some(Phase::Probing),
        StepPhase::AwaitingPerson { .. } => Some(Phase::NeedsAttention),
    }
}

fn unexecuted_waits(operation: &Operation, start_at: Option<Timestamp>, lock: LockState) -> Vec<WaitingFor> {
    if let Some(until) = start_at {
        return vec![WaitingFor::StartTime { until }];
    }
    vec![match (lock, &operation.plan.lock) {
        (LockState::Wanted, Some(lock)) => WaitingFor::Lock { key: lock.key.clone(), position: None, holder: None },
        (LockState::Wanted | LockState::NotNeeded | LockState::Held, _) => WaitingFor::Dispatch,
    }]
}

fn step_waits(operation: &Operation) -> Vec<WaitingFor> {
    let mut waits = Vec::new();
    for (index, plan, step) in operation.indexed_steps() {
        let call = |leg| Call { step: index, target: plan.target.clone(), leg };
        waits.extend(forward_wait(&step.phase, call));
        waits.extend(step.undo.as_ref().and_then(|undo| undo_wait(&undo.phase, || call(Leg::Undo))));
    }
    waits
}

fn forward_wait(phase: &StepPhase, call: impl Fn(Leg) -> Call) -> Option<WaitingFor> {
    match phase {
        StepPhase::Planned | StepPhase::Ended(_) => None,
        StepPhase::Reading { purpose, not_before, gate, .. } => {
            Some(reading_wait(call(Leg::Forward), *purpose, *not_before, *gate))
        }
        StepPhase::Sending(send) => Some(sending_wait(call(Leg::Forward), send)),
        StepPhase::Probing(Probing::Due { gate: Gate::Permit }) => {
            Some(WaitingFor::Probe { call: call(Leg::Probe), until: None })
        }
        StepPhase::Probing(Probing::Due { gate }) => Some(gate_wait(call(Leg::Probe), *gate)),
        StepPhase::Probing(Probing::Calling { .. }) => Some(WaitingFor::Probe { call: call(Leg::Probe), until: None }),
        StepPhase::Probing(Probing::Waiting { until }) => {
            Some(WaitingFor::Probe { call: call(Leg::Probe), until: Some(*until) })
        }
        StepPhase::AwaitingPerson { since } => {
            Some(WaitingFor::Person { target: Some(call(Leg::Forward).target), since: *since })
        }
    }
}

fn undo_wait(phase: &UndoPhase, call: impl Fn() -> Call) -> Option<WaitingFor> {
    match phase {
        UndoPhase::Queued | UndoPhase::Ended(_) => None,
        UndoPhase::Settling { until } => Some(WaitingFor::Settle { call: call(), until: *until }),
        UndoPhase::Reading { purpose, not_before, gate, .. } => {
            Some(reading_wait(call(), *purpose, *not_before, *gate))
        }
        UndoPhase::Sending(send) => Some(sending_wait(call(), send)),
    }
}

fn reading_wait(call: Call, purpose: Purpose, not_before: Option<Timestamp>, gate: Gate) -> WaitingFor {
    match (not_before, gate) {
        (Some(until), _) => WaitingFor::Backoff { call, until },
        (None, Gate::Permit) => WaitingFor::Resource { call, purpose },
        (None, Gate::Breaker | Gate::Held | Gate::Missing) => gate_wait(call, gate),
    }
}

fn sending_wait(call: Call, send: &Send) -> WaitingFor {
    match send {
        Send::Due { gate } => gate_wait(call, *gate),
        Send::Calling { since } => WaitingFor::Answer { call, since: *since },
        Send::BackingOff { until } => WaitingFor::Backoff { call, until: *until },
        Send::Following(Lower { time: LowerTime::Stopped { gate, .. }, .. }) => gate_wait(call, (*gate).into()),
        Send::Following(Lower { reference, time: LowerTime::Until(until), unclear, .. }) => {
            WaitingFor::LowerOperation { call, reference: reference.clone(), until: *until, unclear: unclear.clone() }
        }
    }
}

fn gate_wait(call: Call, gate: Gate) -> WaitingFor {
    match gate {
        Gate::Permit => WaitingFor::Permit(call),
        Gate::Breaker => WaitingFor::Breaker(call),
        Gate::Held => WaitingFor::HeldTarget(call),
        Gate::Missing => WaitingFor::MissingTarget(call),
    }
}
