//! The error body of `msf`: of refusals, of failed and canceled operations, of pass-through requests without an answer.

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Code;
use crate::dialect::{PassFailure, Refusal, Reply, View, failure};
use crate::operation::{Cause, Consistency, End, Outcome, Step, TroubleKind};
use crate::{Slot, StepIndex};

/// The error body.
#[derive(Serialize)]
struct Body {
    error_code: String,
    error_message: String,
    data_consistency: Consistency,
    target_clusters: Option<Vec<Cluster>>,
}

/// What became of one cluster.
#[derive(Serialize)]
struct Cluster {
    cluster_id: String,
    request_results: &'static str,
    #[serde(flatten)]
    error: Option<Named>,
    data_consistency: Consistency,
}

/// A code and its message.
#[derive(Clone, Serialize)]
struct Named {
    error_code: String,
    error_message: String,
}

/// The part of an error body of a lower controller that makes it a valid one.
#[derive(Deserialize)]
struct Lower {
    error_code: String,
    error_message: String,
    #[serde(rename = "data_consistency")]
    _data_consistency: Consistency,
}

/// What is answered to a refused request.
pub(super) fn of_refusal(refusal: &Refusal) -> Reply {
    let (code, consistency) = row(refusal);
    // The one code that the protocol gives to states of the whole system also serves at the door, with a status of its own.
    let status = match refusal {
        Refusal::Unauthenticated => StatusCode::UNAUTHORIZED,
        Refusal::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::NotFound { .. }
        | Refusal::MethodNotAllowed { .. }
        | Refusal::Unparsable { .. }
        | Refusal::BadValue { .. }
        | Refusal::OutOfRange { .. }
        | Refusal::BodyTooLarge { .. }
        | Refusal::HeadTooLarge { .. }
        | Refusal::KeyReused { .. }
        | Refusal::Locked { .. }
        | Refusal::NotPossible { .. }
        | Refusal::Unavailable { .. }
        | Refusal::StoreUnreachable { .. }
        | Refusal::StoreFailing { .. }
        | Refusal::Internal => code.status(),
    };
    reply(status, named(code, &refusal.to_string()), consistency, None)
}

/// What is answered to a pass-through request whose target did not answer.
pub(super) fn of_pass(failure: &PassFailure) -> Reply {
    let (code, consistency) = match failure {
        PassFailure::Unreachable { .. } => (Code::ClusterConnection, Consistency::RolledBack),
        PassFailure::Broken { .. } | PassFailure::TimedOut { .. } => (Code::ClusterTimeout, Consistency::Unknown),
    };
    reply(code.status(), named(code, &failure.to_string()), consistency, None)
}

/// The final response of an operation that was not completed.
pub(super) fn of_operation(view: View<'_>, end: &End) -> Reply {
    let steps = &view.operation.steps;
    let clusters = view.operation.indexed_steps().map(|(index, plan, step)| Cluster {
        cluster_id: plan.target_id.clone(),
        request_results: result(step),
        error: error(view, index, step),
        data_consistency: step.consistency(),
    });
    let own = match steps.as_slice() {
        [step] => error(view, StepIndex(0), step),
        _ => None,
    };
    let named = match (&end.cause, own) {
        (Some(Cause::Canceled { .. }), _) => named(Code::Canceled, ""),
        (Some(Cause::StepsFailed | Cause::DeadlinePassed | Cause::RequirementMet) | None, Some(own)) => own,
        (Some(Cause::StepsFailed | Cause::DeadlinePassed | Cause::RequirementMet) | None, None) => {
            named(Code::ClustersFailed, failure::of_operation(end))
        }
    };
    reply(StatusCode::INTERNAL_SERVER_ERROR, named, end.consistency, Some(clusters.collect()))
}

/// The row of the refusal table. What is refused was not applied, except that a store which does not answer leaves it open
/// whether the operation was accepted.
fn row(refusal: &Refusal) -> (Code, Consistency) {
    match refusal {
        Refusal::Unauthenticated => (Code::Undefined, Consistency::RolledBack),
        Refusal::NotFound { .. } | Refusal::MethodNotAllowed { .. } => (Code::NotFound, Consistency::RolledBack),
        Refusal::Unparsable { .. } => (Code::ParameterFormat, Consistency::RolledBack),
        Refusal::BadValue { .. } | Refusal::KeyReused { .. } => (Code::ParameterValue, Consistency::RolledBack),
        Refusal::OutOfRange { .. } | Refusal::BodyTooLarge { .. } | Refusal::HeadTooLarge { .. } => {
            (Code::ParameterRange, Consistency::RolledBack)
        }
        Refusal::Locked { .. } => (Code::ExclusiveControl, Consistency::RolledBack),
        Refusal::NotPossible { .. } => (Code::TransitionStatus, Consistency::RolledBack),
        Refusal::Unavailable { .. } | Refusal::TooManyRequests { .. } => (Code::SystemStatus, Consistency::RolledBack),
        Refusal::StoreUnreachable { .. } => (Code::DatabaseConnection, Consistency::Unknown),
        Refusal::StoreFailing { .. } => (Code::DatabaseOperation, Consistency::Unknown),
        Refusal::Internal => (Code::Undefined, Consistency::Unknown),
    }
}

fn result(step: &Step) -> &'static str {
    match step.outcome() {
        Some(Outcome::Succeeded) => "success",
        Some(Outcome::Failed { .. } | Outcome::Unknown | Outcome::Skipped) | None => "failed",
    }
}

/// The error of one cluster: its own if its last word was a valid one, else what its outcome amounts to. `None` where it
/// succeeded.
fn error(view: View<'_>, index: StepIndex, step: &Step) -> Option<Named> {
    let code = code(step)?;
    let own = if answered_last(step) { own_error(view.octets(Slot::StepAnswer(index))) } else { None };
    Some(own.unwrap_or_else(|| named(code, &failure::at_target(step).unwrap_or_default())))
}

/// Whether the last attempt was answered. An answer to an earlier one does not tell why the step failed.
fn answered_last(step: &Step) -> bool {
    match step.course.trouble.as_ref().map(|trouble| trouble.kind) {
        None | Some(TroubleKind::Refused | TroubleKind::Nonsense | TroubleKind::LowerFailed) => true,
        Some(
            TroubleKind::Unreachable
            | TroubleKind::TimedOut
            | TroubleKind::Broken
            | TroubleKind::Snapshot
            | TroubleKind::Conflict
            | TroubleKind::Template
            | TroubleKind::ProcessEnded
            | TroubleKind::NoUndo,
        ) => false,
    }
}

/// What the outcome of a step amounts to. The operation has ended, so a step without an outcome was never begun.
fn code(step: &Step) -> Option<Code> {
    match step.outcome() {
        Some(Outcome::Succeeded) => None,
        Some(Outcome::Skipped) | None => Some(Code::Canceled),
        Some(Outcome::Failed { consistency: Consistency::RolledBack }) => Some(match step.course.trouble.as_ref() {
            Some(trouble) if trouble.kind == TroubleKind::Unreachable => Code::ClusterConnection,
            Some(_) | None => Code::ClusterControl,
        }),
        Some(Outcome::Failed {
            consistency: Consistency::NotConsistent | Consistency::Updated | Consistency::Unknown,
        }) => Some(Code::ClustersFailed),
        Some(Outcome::Unknown) => Some(Code::ClusterTimeout),
    }
}

fn own_error(octets: &[u8]) -> Option<Named> {
    let lower: Lower = serde_json::from_slice(octets).ok()?;
    let six_digits = lower.error_code.len() == 6 && lower.error_code.bytes().all(|byte| byte.is_ascii_digit());
    six_digits.then_some(Named { error_code: lower.error_code, error_message: lower.error_message })
}

fn named(code: Code, detail: &str) -> Named {
    let message = code.message();
    let error_message = if detail.is_empty() { message.to_owned() } else { format!("{message} ({detail})") };
    Named { error_code: code.as_str().to_owned(), error_message }
}

fn reply(status: StatusCode, named: Named, consistency: Consistency, clusters: Option<Vec<Cluster>>) -> Reply {
    let body = Body {
        error_code: named.error_code,
        error_message: named.error_message,
        data_consistency: consistency,
        target_clusters: clusters,
    };
    Reply::json(status, &body)
}
