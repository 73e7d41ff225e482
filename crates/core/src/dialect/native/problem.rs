//! Problem details (RFC 9457): every error of the native API, and the final response of an operation that was not completed.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Code;
use crate::dialect::reply::to_json;
use crate::dialect::{PassFailure, Refusal, Reply, failure};
use crate::operation::{Consistency, End, Outcome, Status};
use crate::{Operation, OperationId};

/// The media type of problem details.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Problem details, with members of our own after the standard ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:fanfold:error:` and the code: one URI for each kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// This occurrence in words.
    pub detail: String,
    /// The stable code.
    #[schemars(extend("enum" = Code::ALL.map(Code::as_str)))]
    pub code: String,
    /// What became of the operation, where the problem is that it was not completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationResult>,
    /// The operation that stands in the way: the one that holds the lock, or that the idempotency key was used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_by: Option<OperationId>,
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ProblemOperation")]
pub struct OperationResult {
    /// Its id.
    pub id: OperationId,
    /// How it ended.
    pub status: Status,
    /// What is known of the data of all targets together.
    pub consistency: Consistency,
    /// What became of each target, in configured order.
    pub targets: Vec<TargetResult>,
}

/// What became of one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ProblemTarget")]
pub struct TargetResult {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeWord>,
    /// What is known of its data.
    pub consistency: Consistency,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The word for an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Outcome")]
pub enum OutcomeWord {
    /// The target is in the requested state.
    Succeeded,
    /// It is not.
    Failed,
    /// It is not known.
    Unknown,
    /// It was not called.
    Skipped,
}

impl Problem {
    /// A problem of this code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:fanfold:error:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status().as_u16(),
            detail: detail.into(),
            code: code.as_str().to_owned(),
            operation: None,
            blocked_by: None,
        }
    }

    /// The final response of an operation that was not completed.
    pub fn of_operation(operation: &Operation, end: &End) -> Self {
        let code = match end.status {
            Status::Canceled => Code::OperationCanceled,
            Status::Failed | Status::Completed | Status::Unexecuted | Status::Executing => Code::OperationFailed,
        };
        let targets = operation.indexed_steps().map(|(_, plan, step)| TargetResult {
            name: plan.target.to_string(),
            id: plan.target_id.clone(),
            outcome: step.outcome().map(OutcomeWord::from),
            consistency: step.consistency(),
            error: failure::at_target(step),
        });
        let result = OperationResult {
            id: operation.id,
            status: end.status,
            consistency: end.consistency,
            targets: targets.collect(),
        };
        Self { operation: Some(result), ..Self::new(code, failure::in_full(operation, end)) }
    }

    /// The problem as an answer.
    pub fn reply(&self) -> Reply {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = vec![("content-type".to_owned(), PROBLEM_JSON.to_owned())];
        Reply { status, headers, body: to_json(self).into() }
    }
}

impl From<Outcome> for OutcomeWord {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Failed { .. } => Self::Failed,
            Outcome::Unknown => Self::Unknown,
            Outcome::Skipped => Self::Skipped,
        }
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        Self { blocked_by: refusal.blocked_by(), ..Self::new(code(refusal), refusal.to_string()) }
    }
}

pub(super) fn of_refusal(refusal: &Refusal) -> Reply {
    let problem = Problem::from(refusal);
    let reply = problem.reply().with_fields(refusal.fields());
    let Refusal::MethodNotAllowed { allow } = refusal else {
        return reply;
    };
    let names: Vec<_> = allow.iter().map(http::Method::as_str).collect();
    reply.with("allow", names.join(", "))
}

pub(super) fn of_pass(failure: &PassFailure) -> Reply {
    let code = match failure {
        PassFailure::Unreachable { .. } | PassFailure::Broken { .. } => Code::TargetUnreachable,
        PassFailure::TimedOut { .. } => Code::TargetTimedOut,
    };
    Problem::new(code, failure.to_string()).reply()
}

/// The row of the refusal table.
fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Unauthenticated => Code::Unauthenticated,
        Refusal::NotFound { .. } => Code::NotFound,
        Refusal::MethodNotAllowed { .. } => Code::MethodNotAllowed,
        Refusal::Unparsable { .. } => Code::Unparsable,
        Refusal::BadValue { .. } => Code::BadValue,
        Refusal::OutOfRange { .. } => Code::OutOfRange,
        Refusal::BodyTooLarge { .. } => Code::BodyTooLarge,
        Refusal::HeadTooLarge { .. } => Code::HeadTooLarge,
        Refusal::KeyReused { .. } => Code::KeyReused,
        Refusal::Locked { .. } => Code::Locked,
        Refusal::NotPossible { .. } => Code::NotPossible,
        Refusal::Unavailable { .. } => Code::Unavailable,
        Refusal::TooManyRequests { .. } => Code::TooManyRequests,
        Refusal::StoreUnreachable { .. } => Code::StoreUnreachable,
        Refusal::StoreFailing { .. } => Code::StoreFailing,
        Refusal::Internal => Code::Internal,
    }
}
