//! The state of an operation. Each variant carries only what that state has.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Purpose, Trouble};
use super::gate::Gate;
use super::lower::Lower;
use crate::plan::StepPlan;
use crate::{Answer, OperationId, Plan, Request, Revision, StepIndex, TenantId};

/// The durable record of one accepted request, from acceptance to its end and beyond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Whose it is.
    pub tenant: TenantId,
    /// How often it has been written.
    pub revision: Revision,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Who submitted it, by the name that their credential has; `None`: it was accepted by a version that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it left `unexecuted` for `executing`.
    pub started_at: Option<Timestamp>,
    /// What it will do; never changes. Stored apart; the store joins it again.
    #[serde(skip, default = "Plan::absent")]
    pub plan: Arc<Plan>,
    /// How far it is.
    pub stage: Stage,
    /// How far each step is, in the order of `plan.steps`.
    pub steps: Vec<Step>,
    /// Until when forward work may go on.
    pub deadline: Deadline,
    /// That it came from a backup and nobody has released it: until then nothing is sent for it, whatever its stage is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
}

/// An operation came from a backup, which does not know what has happened since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When it was restored.
    pub since: Timestamp,
    /// When the backup was made. What it waited for stands still from then on.
    pub as_of: Timestamp,
}

impl Operation {
    /// The operation as it is at acceptance.
    pub fn accepted(id: OperationId, tenant: TenantId, plan: Arc<Plan>, at: Timestamp) -> Self {
        let lock = if plan.lock.is_some() { LockState::Wanted } else { LockState::NotNeeded };
        Self {
            id,
            tenant,
            revision: Revision::default(),
            accepted_at: at,
            submitted_by: None,
            updated_at: at,
            started_at: None,
            stage: Stage::Unexecuted { start_at: plan.start_at, lock },
            steps: vec![Step::default(); plan.steps.len()],
            deadline: Deadline::From(plan.policy.deadline),
            restored: None,
            plan,
        }
    }

    /// The status that every dialect shows. While the final response is being composed the operation has not ended.
    pub fn status(&self) -> Status {
        match &self.stage {
            Stage::Unexecuted { .. } => Status::Unexecuted,
            Stage::Forward | Stage::Closing(_) | Stage::Deciding { .. } | Stage::RollingBack { .. } => {
                Status::Executing
            }
            // Canceled before it began: it was never executing.
            Stage::Finishing(_) if self.started_at.is_none() => Status::Unexecuted,
            Stage::Finishing(_) => Status::Executing,
            Stage::Ended { end, .. } => end.status,
        }
    }

    /// Whether cancel comes too late: enough has succeeded, and the operation is becoming completed.
    pub fn is_past_cancel(&self) -> bool {
        match &self.stage {
            Stage::Closing(Cause::RequirementMet) => true,
            Stage::Finishing(end) | Stage::Ended { end, .. } => end.status == Status::Completed,
            // Its deadline passed, or a wave may not be followed, but what succeeded is enough.
            Stage::Closing(Cause::StepsFailed | Cause::DeadlinePassed) => self.requirement_met(),
            Stage::Closing(Cause::Canceled { .. })
            | Stage::Unexecuted { .. }
            | Stage::Forward
            | Stage::Deciding { .. }
            | Stage::RollingBack { .. } => false,
        }
    }

    /// Whether as many steps have succeeded as must.
    pub fn requirement_met(&self) -> bool {
        let succeeded = self.steps.iter().filter(|step| step.outcome() == Some(Outcome::Succeeded)).count();
        succeeded >= self.plan.required()
    }

    /// The state in words, for an error message.
    pub fn in_words(&self) -> String {
        if self.restored.is_some() {
            return "the operation came from a backup; release it, so that it goes on, or cancel it".to_owned();
        }
        match &self.stage {
            Stage::Unexecuted { .. } => "the operation has not begun".to_owned(),
            Stage::Forward => "the operation is being carried out".to_owned(),
            Stage::Closing(_) => "the operation waits for what it has started".to_owned(),
            Stage::Deciding { .. } => "the operation waits for a person's choice".to_owned(),
            Stage::RollingBack { .. } => "the operation is being rolled back".to_owned(),
            Stage::Finishing(_) => "the operation is about to end".to_owned(),
            Stage::Ended { end, .. } => format!("the operation is {}", end.status),
        }
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<&End> {
        match &self.stage {
            Stage::Ended { end, .. } => Some(end),
            Stage::Unexecuted { .. }
            | Stage::Forward
            | Stage::Closing(_)
            | Stage::Deciding { .. }
            | Stage::RollingBack { .. }
            | Stage::Finishing(_) => None,
        }
    }

    /// The complete final response, once it has ended.
    pub fn response(&self) -> Option<&Answer> {
        match &self.stage {
            Stage::Ended { response, .. } => Some(response),
            Stage::Unexecuted { .. }
            | Stage::Forward
            | Stage::Closing(_)
            | Stage::Deciding { .. }
            | Stage::RollingBack { .. }
            | Stage::Finishing(_) => None,
        }
    }

    /// The steps with their positions and plans.
    pub fn indexed_steps(&self) -> impl Iterator<Item = (StepIndex, &StepPlan, &Step)> {
        self.plan.indexed_steps().zip(&self.steps).map(|((index, plan), step)| (index, plan, step))
    }
}

/// How far an operation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Accepted, not begun.
    Unexecuted {
        /// Not to be started before.
        start_at: Option<Timestamp>,
        /// What is known of its lock.
        lock: LockState,
    },
    /// Steps are being carried out.
    Forward,
    /// No further forward attempt starts; every started step is awaited.
    Closing(Cause),
    /// Something succeeded, something failed, and the route asks for a person's choice (`on_failure = "hold"`).
    Deciding {
        /// What went wrong.
        cause: Cause,
        /// Since when.
        since: Timestamp,
    },
    /// What succeeded is being undone.
    RollingBack {
        /// Why.
        cause: Cause,
        /// Since when.
        since: Timestamp,
    },
    /// All is decided but the final response, which is being composed.
    Finishing(End),
    /// It has ended, and never changes again.
    Ended {
        /// How.
        end: End,
        /// The complete final response.
        response: Answer,
    },
}

/// What an operation knows of its lock. Who holds it is recorded by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockState {
    /// The plan asks for none.
    NotNeeded,
    /// It is wanted; another operation may hold it.
    Wanted,
    /// It is held by this operation.
    Held,
}

/// Why forward work came to an end before every step had its turn, or why the operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Enough steps succeeded; the rest is no longer wanted (a cancel or the deadline came too late to matter).
    RequirementMet,
    /// The requirement cannot be reached any more.
    StepsFailed,
    /// The deadline passed.
    DeadlinePassed,
    /// Cancel was requested.
    Canceled {
        /// By whom.
        by: String,
    },
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// `completed`, `failed` or `canceled`.
    pub status: Status,
    /// Why it was not completed.
    pub cause: Option<Cause>,
    /// When.
    pub at: Timestamp,
    /// What is known of all targets together.
    pub consistency: Consistency,
    /// What became of the rollback; `None` where none was considered (completed; canceled before it started).
    pub rollback: Option<RollbackResult>,
    /// When the rollback began; the time of the end where nothing had to be, or could be, undone.
    pub rollback_at: Option<Timestamp>,
}

/// What became of a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RollbackResult {
    /// Every undo was confirmed.
    Completed,
    /// At least one was not.
    Failed,
    /// Nothing had to be, or could be, undone.
    None,
}

/// The status that every dialect shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted, not begun.
    Unexecuted,
    /// Begun, not ended.
    Executing,
    /// The requirement was met.
    Completed,
    /// It was not.
    Failed,
    /// It was stopped on request.
    Canceled,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Unexecuted, Self::Executing, Self::Completed, Self::Failed, Self::Canceled];

    /// Whether an operation of this status never changes again.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Unexecuted | Self::Executing => false,
            Self::Completed | Self::Failed | Self::Canceled => true,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unexecuted => "unexecuted",
            Self::Executing => "executing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of the data of one target, or of all of them (`data_consistency`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Consistency {
    /// In the state from before the request.
    #[serde(rename = "rolled back")]
    RolledBack,
    /// In the requested state.
    #[serde(rename = "updated")]
    Updated,
    /// Known to be in neither.
    #[serde(rename = "not consistent")]
    NotConsistent,
    /// Not known.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Consistency {
    /// The words for it, as they stand on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RolledBack => "rolled back",
            Self::Updated => "updated",
            Self::NotConsistent => "not consistent",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Until when forward work may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// The operation has not started: this much from its start.
    From(#[serde(with = "crate::text::millis")] Duration),
    /// Until then.
    At(Timestamp),
    /// A person is awaited (their answer, or a target to be released or configured); so much is left once that has come.
    Paused(#[serde(with = "crate::text::millis")] Duration),
    /// It has passed, and has had its consequences.
    Passed,
}

/// How far one step is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Step {
    /// Its phase.
    pub phase: StepPhase,
    /// What its forward attempts came to.
    pub course: Course,
    /// What was read before the change (`undo = "restore"`).
    pub before: Option<Image>,
    /// What was read, or told by the answer, right after it.
    pub after: Option<Image>,
    /// Probe attempts made.
    pub probes: u32,
    /// How many of them told nothing since the request came to be in doubt, and were asked after the target had settled.
    #[serde(default)]
    pub probes_unclear: u32,
    /// How many told nothing and were asked before it had.
    #[serde(default)]
    pub probes_early: u32,
    /// How far its undo is, once there is one.
    pub undo: Option<Undo>,
}

/// The phase of a step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPhase {
    /// Its turn has not come.
    #[default]
    Planned,
    /// The resource is being read, before or after the change.
    Reading {
        /// Which of the two.
        purpose: Purpose,
        /// Reads that have failed so far.
        tries: u32,
        /// Not to be read again before.
        not_before: Option<Timestamp>,
        /// What a read that is due waits for, as far as it was recorded. That it is on the wire is not: of one that waits for a
        /// permit the record tells no more than that.
        #[serde(default, skip_serializing_if = "Gate::is_permit")]
        gate: Gate,
    },
    /// The forward request is being sent, answered, repeated or followed.
    Sending(Send),
    /// A probe finds out whether the request was applied.
    Probing(Probing),
    /// A person is asked whether the request was applied (`on_unknown = "hold"`).
    AwaitingPerson {
        /// Since when.
        since: Timestamp,
    },
    /// It has an outcome.
    Ended(Outcome),
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The target is in the requested state.
    Succeeded,
    /// The target is not: it is as before or, where it said so itself, in neither state.
    Failed {
        /// [`Consistency::RolledBack`] or [`Consistency::NotConsistent`].
        consistency: Consistency,
    },
    /// Whether the request was applied is not known.
    Unknown,
    /// It was never sent.
    Skipped,
}

/// How far the sending of a forward or undo request is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Send {
    /// To be sent as soon as the gate opens.
    Due {
        /// What it waits for, as far as it was recorded.
        gate: Gate,
    },
    /// An attempt is on the wire, or was when its process ended.
    Calling {
        /// Since when.
        since: Timestamp,
    },
    /// To be sent again then.
    BackingOff {
        /// When.
        until: Timestamp,
    },
    /// The target accepted it as an operation of its own, which is followed.
    Following(Lower),
}

/// What all attempts of one request (forward or undo) came to so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Course {
    /// Attempts started.
    pub attempts: u32,
    /// When the first one started; the budget runs from here.
    pub first_at: Option<Timestamp>,
    /// From when on the target is left to settle: when the latest attempt that MAY have been applied broke or, where its answer
    /// was never seen, would have run out of time. `None`: no attempt is in doubt.
    pub tainted_at: Option<Timestamp>,
    /// The same, whatever has settled the doubt since: the target may still act on that attempt, and an undo waits for it.
    pub unsettled_at: Option<Timestamp>,
    /// Whether attempts from before a person had it retried are among those that the target may still act on.
    #[serde(default)]
    pub retried: bool,
    /// The latest answer, which is the deciding one once there is an outcome.
    pub answer: Option<Answer>,
    /// What was wrong with the latest attempt, or why there will be none.
    pub trouble: Option<Trouble>,
}

/// How far a probe is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probing {
    /// To be asked as soon as the gate opens.
    Due {
        /// What it waits for, as far as it was recorded.
        gate: Gate,
    },
    /// A probe is on the wire.
    Calling {
        /// Since when: only one asked after `settle` can show that nothing was applied.
        since: Timestamp,
    },
    /// To be asked again then.
    Waiting {
        /// When.
        until: Timestamp,
    },
}

/// A representation of the resource at a target, by what identifies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Image {
    /// The resource was not there.
    Absent,
    /// It was there.
    Present {
        /// Its strong entity tag, quotes included (RFC 9110, section 8.8.3).
        etag: Option<String>,
        /// SHA-256 of the representation, in hexadecimal, where the representation was read.
        digest: Option<String>,
        /// Its `Content-Type`, needed to write it back.
        content_type: Option<String>,
    },
}

/// How far the undo of one step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// Its phase.
    pub phase: UndoPhase,
    /// The request, from its first attempt on.
    pub request: Option<Request>,
    /// What its attempts came to.
    pub course: Course,
}

/// The phase of an undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoPhase {
    /// Its turn has not come.
    Queued,
    /// The target may still act on an ambiguous forward attempt.
    Settling {
        /// Until then.
        until: Timestamp,
    },
    /// The resource is being read: to see that nobody else changed it, or whether an ambiguous undo was applied.
    Reading {
        /// Which of the two.
        purpose: Purpose,
        /// Reads that have failed so far.
        tries: u32,
        /// Not to be read again before.
        not_before: Option<Timestamp>,
        /// What a read that is due waits for, as far as it was recorded. That it is on the wire is not: of one that waits for a
        /// permit the record tells no more than that.
        #[serde(default, skip_serializing_if = "Gate::is_permit")]
        gate: Gate,
    },
    /// The undo request is being sent, answered, repeated or followed.
    Sending(Send),
    /// It has ended.
    Ended(UndoEnd),
}

/// How an undo ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UndoEnd {
    /// The target confirmed it, or is known not to have changed.
    Undone,
    /// It was not done: refused, given up, or it could not be rendered.
    Failed,
    /// Somebody else changed the resource meanwhile; it was left alone.
    Conflict,
    /// Whether it was done is not known.
    Unknown,
    /// The route has no undo for it.
    NotPossible,
}
