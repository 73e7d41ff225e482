//! What can happen to an operation: facts, in the past tense.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::effect::Timer;
use super::gate::Gate;
use super::state::Image;
use crate::{Answer, Request, StepIndex};

/// One fact. Events carry public forms only; they are the operation's history, and are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The operation became the holder of its lock.
    LockGranted,
    /// The dispatcher took the operation up: its first steps are to be carried out.
    Dispatched,
    /// A time came that the operation was waiting for.
    TimeCame {
        /// Which.
        timer: Timer,
    },
    /// Cancel was requested.
    CancelRequested {
        /// By whom.
        by: String,
    },
    /// The deadline was moved.
    DeadlineExtended {
        /// By whom.
        by: String,
        /// To when.
        until: Timestamp,
    },
    /// A person said what became of a step whose outcome was unknown.
    PersonResolved {
        /// The step.
        step: StepIndex,
        /// Whether the request was applied.
        applied: bool,
        /// Who.
        by: String,
        /// Their reason.
        remark: Option<String>,
    },
    /// A person chose how to go on after a failure (`on_failure = "hold"`).
    PersonChose {
        /// What.
        choice: Choice,
        /// Who.
        by: String,
        /// Their reason.
        remark: Option<String>,
    },
    /// A request that was due, a read, or a poll of a lower operation, could not be sent yet, for a reason worth recording; or that reason
    /// is gone (`permit`).
    GateChanged {
        /// The step.
        step: StepIndex,
        /// Which of its requests.
        leg: Leg,
        /// What it waits for now.
        gate: Gate,
    },
    /// The resource was read.
    ResourceRead {
        /// The step.
        step: StepIndex,
        /// Why it was read.
        purpose: Purpose,
        /// What was found.
        found: Found,
    },
    /// An attempt was about to start: this is recorded before its first byte leaves.
    AttemptStarted {
        /// The step.
        step: StepIndex,
        /// Which of its requests.
        leg: Leg,
        /// What is sent, where it was not fixed before: the first attempt of an undo, and every probe.
        request: Option<Request>,
    },
    /// An attempt was answered.
    AttemptAnswered {
        /// The step.
        step: StepIndex,
        /// Forward or undo.
        leg: Leg,
        /// The answer.
        answer: Answer,
        /// What it means.
        reading: Reading,
        /// What is wrong with it, where something is.
        trouble: Option<Trouble>,
    },
    /// An attempt ended without a complete head of an answer.
    AttemptBroke {
        /// The step.
        step: StepIndex,
        /// Which of its requests.
        leg: Leg,
        /// Whether a byte of the request may have left.
        sent: Sent,
        /// What happened.
        trouble: Trouble,
    },
    /// A probe was answered.
    ProbeAnswered {
        /// The step.
        step: StepIndex,
        /// What it showed.
        verdict: ProbeVerdict,
        /// The answer.
        answer: Answer,
        /// What the target asked to wait, if it did.
        #[serde(default, with = "retry_after", skip_serializing_if = "Option::is_none")]
        retry_after: Option<Duration>,
    },
    /// What polls of a lower operation tell has changed.
    PollsChanged {
        /// The step.
        step: StepIndex,
        /// Forward or undo.
        leg: Leg,
        /// Why they tell nothing now; `None`: they tell something again.
        trouble: Option<Trouble>,
    },
    /// A lower operation ended, as far as its own protocol tells.
    LowerEnded {
        /// The step.
        step: StepIndex,
        /// Forward or undo.
        leg: Leg,
        /// The response of the lower operation.
        answer: Answer,
        /// What it means.
        reading: Reading,
        /// What is wrong with it, where something is.
        trouble: Option<Trouble>,
    },
    /// The undo request could not be rendered.
    UndoNotRendered {
        /// The step.
        step: StepIndex,
        /// Why.
        trouble: Trouble,
    },
    /// The final response was composed.
    ResponseComposed {
        /// The response.
        response: Answer,
    },
    /// The operation came from a backup that was restored. Nothing is sent for it until a person releases it.
    Restored {
        /// When the backup was made.
        as_of: Timestamp,
    },
    /// A person let an operation that was restored go on from where the backup has it.
    RestoreReleased {
        /// Who.
        by: String,
        /// Their reason.
        remark: Option<String>,
    },
}

impl Event {
    /// All names, in the order of the alphabet.
    pub const NAMES: [&'static str; 19] = [
        "attempt_answered",
        "attempt_broke",
        "attempt_started",
        "cancel_requested",
        "deadline_extended",
        "dispatched",
        "gate_changed",
        "lock_granted",
        "lower_ended",
        "person_chose",
        "person_resolved",
        "polls_changed",
        "probe_answered",
        "resource_read",
        "response_composed",
        "restore_released",
        "restored",
        "time_came",
        "undo_not_rendered",
    ];

    /// Its name (one of [`Event::NAMES`]), as it stands in the history.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LockGranted => "lock_granted",
            Self::Dispatched => "dispatched",
            Self::TimeCame { .. } => "time_came",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::DeadlineExtended { .. } => "deadline_extended",
            Self::PersonResolved { .. } => "person_resolved",
            Self::PersonChose { .. } => "person_chose",
            Self::GateChanged { .. } => "gate_changed",
            Self::ResourceRead { .. } => "resource_read",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::AttemptAnswered { .. } => "attempt_answered",
            Self::AttemptBroke { .. } => "attempt_broke",
            Self::ProbeAnswered { .. } => "probe_answered",
            Self::PollsChanged { .. } => "polls_changed",
            Self::LowerEnded { .. } => "lower_ended",
            Self::UndoNotRendered { .. } => "undo_not_rendered",
            Self::ResponseComposed { .. } => "response_composed",
            Self::Restored { .. } => "restored",
            Self::RestoreReleased { .. } => "restore_released",
        }
    }
}

impl Event {
    /// What people ask for by it, for an error message; its name where it is none of their doing.
    pub fn in_words(&self) -> &'static str {
        match self {
            Self::CancelRequested { .. } => "canceling",
            Self::DeadlineExtended { .. } => "moving the deadline",
            Self::PersonResolved { .. } => "saying what became of a request",
            Self::PersonChose { .. } => "choosing how to go on",
            Self::RestoreReleased { .. } => "releasing",
            Self::LockGranted
            | Self::Dispatched
            | Self::TimeCame { .. }
            | Self::GateChanged { .. }
            | Self::ResourceRead { .. }
            | Self::AttemptStarted { .. }
            | Self::AttemptAnswered { .. }
            | Self::AttemptBroke { .. }
            | Self::PollsChanged { .. }
            | Self::ProbeAnswered { .. }
            | Self::LowerEnded { .. }
            | Self::UndoNotRendered { .. }
            | Self::ResponseComposed { .. }
            | Self::Restored { .. } => self.name(),
        }
    }
}

/// Which of a step's requests an attempt sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// The step itself.
    Forward,
    /// Its undo.
    Undo,
    /// The probe of the step.
    Probe,
}

/// Why the resource is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Before the change: this is what a restore writes back.
    Before,
    /// Right after the change: the version that only our own change made.
    After,
    /// Before the undo: is it still that version?
    Compare,
    /// After an undo attempt that MAY have been applied was answered 412: is it the old state?
    Settle,
}

impl Purpose {
    /// Whether it is read for the step or for its undo.
    pub fn leg(self) -> Leg {
        match self {
            Self::Before | Self::After => Leg::Forward,
            Self::Compare | Self::Settle => Leg::Undo,
        }
    }
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// The resource, or that it is not there.
    Image(Image),
    /// Nothing for now; asking again may help.
    Failed {
        /// What happened.
        trouble: Trouble,
        /// What the target asked to wait, if it did.
        #[serde(with = "retry_after")]
        retry_after: Option<Duration>,
    },
    /// Nothing that can be used, now or later: too large, incomplete, refused.
    Unusable {
        /// Why.
        trouble: Trouble,
    },
}

/// What one answer means for its step or undo (the table "Reading one attempt" of the documents).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// The request was applied.
    Succeeded {
        /// What the answer itself says of the new version: its strong `ETag`.
        etag: Option<String>,
    },
    /// The target did not take the request on; it may be sent again.
    NotTakenOn {
        /// What the target asked to wait, if it did.
        #[serde(with = "retry_after")]
        retry_after: Option<Duration>,
    },
    /// Refused, or undone by the target itself: not applied, and final.
    NotApplied,
    /// A precondition did not hold (412): not applied, and final; a restore reads it as a conflict.
    PreconditionFailed,
    /// The target is not there (404, 410): success of a `DELETE` whose earlier attempt is in doubt, and of a `DELETE` undo; otherwise not applied.
    Gone,
    /// The target says that its data is in neither state.
    NotConsistent,
    /// It MAY have been applied; it may be sent again if that is safe.
    Ambiguous,
    /// It MAY have been applied, and sending it again would not tell.
    Unknown,
    /// The target accepted it as an operation of its own.
    LowerAccepted {
        /// Its id or location.
        reference: String,
    },
}

/// Whether a byte of a request may have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// None did: no connection, or it broke before.
    No,
    /// It may have: sent, then timed out, reset, or the process ended.
    Maybe,
}

/// What was wrong with an attempt, for people and for error codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trouble {
    /// Its kind.
    pub kind: TroubleKind,
    /// In words; never a secret.
    pub detail: String,
}

/// The kinds of trouble that error codes tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// The target could not be reached.
    Unreachable,
    /// It did not answer in time.
    TimedOut,
    /// The connection broke after the request may have left.
    Broken,
    /// It answered with an error.
    Refused,
    /// It answered something that cannot be understood.
    Nonsense,
    /// The lower operation failed, was canceled or is lost.
    LowerFailed,
    /// Reading the resource for a later restore failed.
    Snapshot,
    /// Somebody else changed the resource.
    Conflict,
    /// A template could not be rendered.
    Template,
    /// The process that made the attempt ended.
    ProcessEnded,
    /// The route has no undo.
    NoUndo,
}

/// What a probe showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeVerdict {
    /// The request was applied.
    Applied,
    /// It was not, as of when the probe was asked.
    NotApplied,
    /// Nothing; asking again may help.
    Unclear,
}

/// How a person goes on after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Send the failed steps again and run the skipped ones.
    Retry,
    /// Undo what succeeded.
    RollBack,
    /// End it as it is.
    EndAsItIs,
}

mod retry_after {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(wait: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}
