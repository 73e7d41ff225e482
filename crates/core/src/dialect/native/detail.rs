//! Operations in native JSON: the summary that lists show, and the detail. All times are RFC 3339 in UTC.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::{AnswerForm, RequestForm};
use super::operation_path;
use super::target::TargetForm;
use crate::dialect::{Mount, View};
use crate::operation::{
    Cause, Consistency, Deadline, End, Phase, RollbackResult, Stage, Status, Trouble, TroubleKind, WaitingFor, phase,
    waiting_for,
};
use crate::plan::{DialectName, Verb};
use crate::{Operation, OperationId, Revision, Slot, TenantId};

/// An operation as lists show it: without bodies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationSummary {
    /// Its id.
    pub id: OperationId,
    /// The route that accepted it.
    pub route: String,
    /// The wire format in which it was accepted.
    pub dialect: DialectName,
    /// Whose it is.
    pub tenant: TenantId,
    /// What kind of change it is.
    pub verb: Verb,
    /// The path of the resource that is changed.
    pub resource: String,
    /// How far it is.
    pub status: Status,
    /// What it is doing while it executes; null otherwise.
    pub phase: Option<Phase>,
    /// Why it was, or will be, not completed; null where nothing went wrong.
    pub cause: Option<CauseForm>,
    /// What is known of the data of all targets together; null until it has ended.
    pub consistency: Option<Consistency>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it began to execute.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How often its record has been written.
    pub revision: Revision,
    /// Where to go from here.
    pub links: Links,
}

/// An operation in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Operation")]
pub struct OperationDetail {
    /// What lists show too.
    #[serde(flatten)]
    pub summary: OperationSummary,
    /// Everything that it waits for; empty once it has ended.
    pub waiting_for: Vec<WaitingFor>,
    /// Until when forward work may go on; null before its start, while a person is awaited or a target is on hold or
    /// missing, once it has passed, and after the end.
    pub deadline_at: Option<Timestamp>,
    /// Who submitted it, or asked for the retry that it is; absent where a version accepted it that did not record that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_by: Option<String>,
    /// The id that was issued for the resource.
    pub resource_id: Option<String>,
    /// The operation that this one retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<OperationId>,
    /// The operation that retries this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_by: Option<OperationId>,
    /// The accepted request.
    pub request: RequestForm,
    /// Its targets in configured order.
    pub targets: Vec<TargetForm>,
    /// What became of the rollback; null until the end, and where none was considered.
    pub rollback: Option<RollbackForm>,
    /// The final response; null until the end.
    pub response: Option<AnswerForm>,
}

/// Why an operation was not completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Cause")]
pub struct CauseForm {
    /// `steps_failed`, `deadline_passed`, `canceled` or `requirement_met` (enough succeeded; the rest is no longer wanted).
    #[schemars(extend("enum" = ["steps_failed", "deadline_passed", "canceled", "requirement_met"]))]
    pub kind: String,
    /// Who canceled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What became of a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Rollback")]
pub struct RollbackForm {
    /// Its result.
    pub result: RollbackResult,
    /// When it began; the end of the operation where nothing had to be, or could be, undone.
    pub began_at: Timestamp,
}

/// What was wrong with an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Trouble")]
pub struct TroubleForm {
    /// Its kind.
    pub kind: TroubleKind,
    /// In words.
    pub detail: String,
}

/// Where to go from an operation. Only what is possible in its present status is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Links {
    /// The operation itself.
    #[serde(rename = "self")]
    pub own: String,
    /// Every event of it.
    pub history: String,
    /// `POST` cancels it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<String>,
}

/// What an acceptance is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Accepted")]
pub struct AcceptedForm {
    /// Its id.
    pub id: OperationId,
    /// Where to go from here.
    pub links: Links,
    /// The status; a request that came again finds its operation as it is by now.
    pub status: Status,
}

impl OperationSummary {
    /// The summary of an operation; `mount` is the native API's own.
    pub fn of(mount: &Mount, operation: &Operation) -> Self {
        let plan = &operation.plan;
        let end = operation.end();
        Self {
            id: operation.id,
            route: plan.route.clone(),
            dialect: plan.front.dialect,
            tenant: operation.tenant.clone(),
            verb: plan.verb,
            resource: plan.resource.clone(),
            status: operation.status(),
            phase: phase(operation),
            cause: cause(&operation.stage).map(CauseForm::from),
            consistency: end.map(|end| end.consistency),
            accepted_at: operation.accepted_at,
            updated_at: operation.updated_at,
            started_at: operation.started_at,
            ended_at: end.map(|end| end.at),
            revision: operation.revision,
            links: Links::of(mount, operation),
        }
    }
}

impl OperationDetail {
    /// The detail of an operation; `mount` is the native API's own. Its record does not know what has retried it.
    pub fn of(mount: &Mount, view: View<'_>) -> Self {
        let operation = view.operation;
        let steps = operation.indexed_steps();
        Self {
            summary: OperationSummary::of(mount, operation),
            waiting_for: waiting_for(operation),
            deadline_at: deadline_at(operation),
            submitted_by: operation.submitted_by.clone(),
            resource_id: operation.plan.resource_id.clone(),
            retry_of: operation.plan.retry_of,
            retried_by: None,
            request: RequestForm::of(view, &operation.plan.request, Slot::Request),
            targets: steps.map(|(index, plan, step)| TargetForm::of(view, index, plan, step)).collect(),
            rollback: operation.end().and_then(RollbackForm::of),
            response: operation.response().map(|response| AnswerForm::of(view, response, Slot::Final)),
        }
    }
}

impl RollbackForm {
    fn of(end: &End) -> Option<Self> {
        Some(Self { result: end.rollback?, began_at: end.rollback_at.unwrap_or(end.at) })
    }
}

impl Links {
    /// The links of an operation; `mount` is the native API's own.
    pub fn of(mount: &Mount, operation: &Operation) -> Self {
        let own = mount.link(&operation_path(operation.id));
        let below = |what| format!("{own}/{what}");
        Self { history: below("history"), cancel: (!operation.status().is_terminal()).then(|| below("cancel")), own }
    }
}

impl From<&Cause> for CauseForm {
    fn from(cause: &Cause) -> Self {
        let (kind, by) = match cause {
            Cause::RequirementMet => ("requirement_met", None),
            Cause::StepsFailed => ("steps_failed", None),
            Cause::DeadlinePassed => ("deadline_passed", None),
            Cause::Canceled { by } => ("canceled", Some(by.clone())),
        };
        Self { kind: kind.to_owned(), by }
    }
}

fn deadline_at(operation: &Operation) -> Option<Timestamp> {
    match operation.deadline {
        Deadline::At(at) if operation.end().is_none() => Some(at),
        Deadline::At(_) | Deadline::From(_) | Deadline::Paused(_) | Deadline::Passed => None,
    }
}

fn cause(stage: &Stage) -> Option<&Cause> {
    match stage {
        Stage::Unexecuted { .. } | Stage::Forward => None,
        Stage::Closing(cause) | Stage::Deciding { cause, .. } | Stage::RollingBack { cause, .. } => Some(cause),
        Stage::Finishing(end) | Stage::Ended { end, .. } => end.cause.as_ref(),
    }
}

impl From<&Trouble> for TroubleForm {
    fn from(trouble: &Trouble) -> Self {
        Self { kind: trouble.kind, detail: trouble.detail.clone() }
    }
}
