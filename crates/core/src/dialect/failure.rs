//! Why something did not succeed, in words for a client. Codes are each dialect's own.

use crate::Operation;
use crate::operation::{Cause, Course, End, Outcome, Status, Step, UndoEnd, UndoPhase};

/// A pass-through request that its target did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassFailure {
    /// Not a byte of the request left.
    #[error("the target cannot be reached: {detail}")]
    Unreachable {
        /// What is known; never a secret.
        detail: String,
    },
    /// The connection broke after the request may have left, or the answer made no sense.
    #[error("the target did not answer: {detail}")]
    Broken {
        /// What is known; never a secret.
        detail: String,
    },
    /// It did not answer in time.
    #[error("the target did not answer in time: {detail}")]
    TimedOut {
        /// Which limit passed.
        detail: String,
    },
}

/// What went wrong at one target of an operation that has ended; `None` where all went well.
pub(super) fn at_target(step: &Step) -> Option<String> {
    let forward = match step.outcome() {
        Some(Outcome::Succeeded) => None,
        Some(Outcome::Failed { .. }) => Some(course(&step.course)),
        Some(Outcome::Unknown) => Some(format!("outcome unknown: {}", course(&step.course))),
        Some(Outcome::Skipped) | None => Some("not called".to_owned()),
    };
    match (forward, undo(step)) {
        (Some(forward), Some(undo)) => Some(format!("{forward}; {undo}")),
        (one, other) => one.or(other),
    }
}

/// Why an operation ended as it did.
pub(super) fn of_operation(end: &End) -> &'static str {
    match (&end.cause, end.status) {
        (Some(Cause::Canceled { .. }), _) | (_, Status::Canceled) => "the operation was canceled",
        (Some(Cause::DeadlinePassed), _) => "the deadline of the operation passed",
        (Some(Cause::StepsFailed | Cause::RequirementMet) | None, _) => "too few targets succeeded",
    }
}

/// The same with what went wrong at each target: the cause alone where there is one target, else `name: cause; ...`.
pub(super) fn in_full(operation: &Operation, end: &End) -> String {
    let several = operation.steps.len() > 1;
    let targets = operation.indexed_steps().filter_map(|(_, plan, step)| Some((&plan.target, at_target(step)?)));
    let targets = targets.map(|(target, cause)| if several { format!("{target}: {cause}") } else { cause });
    let whole = match (&end.cause, end.status) {
        (Some(Cause::Canceled { .. }), _) | (_, Status::Canceled) => return of_operation(end).to_owned(),
        (Some(Cause::DeadlinePassed), _) => Some(of_operation(end).to_owned()),
        (Some(Cause::StepsFailed | Cause::RequirementMet) | None, _) => None,
    };
    let causes: Vec<String> = whole.into_iter().chain(targets).collect();
    if causes.is_empty() { of_operation(end).to_owned() } else { causes.join("; ") }
}

fn undo(step: &Step) -> Option<String> {
    let undo = step.undo.as_ref()?;
    let what = match undo.phase {
        UndoPhase::Ended(UndoEnd::Failed) => "undo failed",
        UndoPhase::Ended(UndoEnd::Conflict) => "undo failed, the resource was changed by somebody else",
        UndoPhase::Ended(UndoEnd::Unknown) => "outcome of the undo unknown",
        UndoPhase::Ended(UndoEnd::NotPossible) => return Some("no undo is configured".to_owned()),
        UndoPhase::Ended(UndoEnd::Undone)
        | UndoPhase::Queued
        | UndoPhase::Settling { .. }
        | UndoPhase::Reading { .. }
        | UndoPhase::Sending(_) => return None,
    };
    Some(format!("{what}: {}", course(&undo.course)))
}

fn course(course: &Course) -> String {
    match (&course.trouble, &course.answer) {
        (Some(trouble), _) => trouble.detail.clone(),
        (None, Some(answer)) => format!("it answered {}", answer.status),
        (None, None) => "it was not called".to_owned(),
    }
}
