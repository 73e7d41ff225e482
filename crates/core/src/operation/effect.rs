//! What a change asks for.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Leg, Purpose};
use crate::{StepIndex, TargetName};

/// The effects of one transition, in order.
pub type Effects = Vec<Effect>;

/// One thing that a change asks for. All but [`Effect::Begin`] are recorded in the same commit as the change itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Something is to be done or awaited from now on. Not recorded, because it follows from the state ([`crate::Operation::work`]).
    Begin(Work),
    /// The operation's lock is free for the next in its queue.
    ReleaseLock,
    /// A person is needed.
    OpenAttention(Attention),
    /// The question that an open note asked is answered.
    CloseAttention {
        /// The step that it was about; `None`: the operation as a whole.
        step: Option<StepIndex>,
        /// Who answered.
        by: String,
        /// Their reason.
        remark: Option<String>,
    },
    /// No new attempt of any kind goes to this target until a person releases it.
    HoldTarget {
        /// Its name.
        target: TargetName,
        /// Why.
        reason: String,
    },
    /// The operation has ended: whoever asked to be told is told, sealed bodies are wiped, retention runs from now on.
    Finish,
}

/// What is to be done or awaited for an operation in its present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// See whether the lock is granted. Ends with [`super::Event::LockGranted`].
    AwaitLock,
    /// Take it up. Ends with [`super::Event::Dispatched`].
    Dispatch,
    /// Get a permit, record the start of an attempt, send. Ends with an answered or broken attempt.
    Send {
        /// The step.
        step: StepIndex,
        /// Which of its requests.
        leg: Leg,
        /// The number of this attempt, counted from 1.
        attempt: u32,
    },
    /// Read the resource. Ends with [`super::Event::ResourceRead`].
    Read {
        /// The step.
        step: StepIndex,
        /// Why.
        purpose: Purpose,
        /// Reads that have failed so far.
        tries: u32,
    },
    /// Follow a lower operation. Ends with [`super::Event::LowerEnded`].
    Follow {
        /// The step.
        step: StepIndex,
        /// Forward or undo.
        leg: Leg,
    },
    /// Ask a lower operation to cancel, if its protocol can. Ends with the lower operation.
    CancelLower {
        /// The step.
        step: StepIndex,
    },
    /// Wait for a time. Ends with [`super::Event::TimeCame`].
    Wait {
        /// Which.
        timer: Timer,
        /// When it comes.
        until: Timestamp,
    },
    /// Compose the final response. Ends with [`super::Event::ResponseComposed`].
    Compose,
    /// Nothing: a person is awaited.
    AwaitPerson {
        /// The step that they are asked about; `None`: the operation as a whole.
        step: Option<StepIndex>,
    },
}

/// A time that an operation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// It may be started.
    Start,
    /// Forward work has to stop.
    Deadline,
    /// A step may be sent, read or probed again.
    Step(StepIndex),
    /// An undo may be sent, read, or begun at all.
    Undo(StepIndex),
    /// A lower operation has had its time.
    Lower(StepIndex, Leg),
}

/// A durable note that a person is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// The step that it is about; `None`: the operation as a whole.
    pub step: Option<StepIndex>,
    /// The target of that step.
    pub target: Option<TargetName>,
    /// Why.
    pub reason: AttentionReason,
    /// In words.
    pub detail: String,
}

/// Why a person is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttentionReason {
    /// It is not known whether a target applied a request.
    OutcomeUnknown,
    /// An undo failed for good.
    UndoFailed,
    /// Something succeeded that cannot be undone, because the route has no undo.
    NoUndo,
    /// A target says that its data is in neither state.
    NotConsistent,
    /// A person has to choose how to go on.
    ChoiceNeeded,
    /// A target of the operation is no longer configured.
    TargetMissing,
    /// The operation came from a backup, and nothing is sent for it until a person releases it.
    Restored,
}

impl AttentionReason {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::OutcomeUnknown,
        Self::UndoFailed,
        Self::NoUndo,
        Self::NotConsistent,
        Self::ChoiceNeeded,
        Self::TargetMissing,
        Self::Restored,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutcomeUnknown => "outcome_unknown",
            Self::UndoFailed => "undo_failed",
            Self::NoUndo => "no_undo",
            Self::NotConsistent => "not_consistent",
            Self::ChoiceNeeded => "choice_needed",
            Self::TargetMissing => "target_missing",
            Self::Restored => "restored",
        }
    }
}
