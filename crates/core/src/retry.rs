//! The plan of a retry: what is left of an operation that has ended, carried out as it was planned.

use std::sync::Arc;

use crate::dialect::View;
use crate::operation::{Consistency, Outcome, Status, Step, UndoEnd, UndoPhase};
use crate::plan::{Plan, Policy, Require, StepPlan};
use crate::route::{REDACTED, seal};
use crate::{Body, Content, Operation, OperationId, Request, Slot, StepIndex, TargetName};

/// The attribute that names who forced a retry.
pub const FORCED_BY: &str = "forced_by";

/// Why an operation cannot be retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRetry {
    /// It goes on.
    #[error("operation {0} has not ended; what failed or was canceled can be retried once it has")]
    NotEnded(OperationId),
    /// It was completed.
    #[error("operation {0} was completed; there is nothing to retry")]
    Completed(OperationId),
    /// Every target is in the requested state.
    #[error("every target of operation {0} is in the requested state; nothing is left to do")]
    NothingLeft(OperationId),
    /// Whether it was applied at some targets is not known.
    #[error(
        "it is not known whether the request was applied at {}; find out, and retry with `force` if calling again does no harm",
        names(.0)
    )]
    Unknown(Vec<TargetName>),
    /// What was taken out of its public form is gone.
    #[error(
        "the request of operation {0} holds secrets, which were wiped when it ended; send the request itself again, with `Fanfold-Retry-Of: {0}`"
    )]
    Wiped(OperationId),
    /// What came again makes another request to a target than the one that is to be retried: the route has changed since.
    #[error(
        "the route makes another request to {0} by now than the one that would be retried; send the request as a new one"
    )]
    Changed(TargetName),
    /// What came again lacks a field whose value was wiped.
    #[error(
        "the request that is to be retried has a field `{0}`, whose value was wiped; send the request again with that field"
    )]
    FieldMissing(String),
}

fn names(targets: &[TargetName]) -> String {
    targets.iter().map(TargetName::as_str).collect::<Vec<_>>().join(", ")
}

/// Works out the plan of a retry: the same requests, in the same order and under the same rules, to the targets that are not
/// in the requested state. `forced_by` names who wants those called again too of which that is not known. `again` is what the
/// accepted request, sent again, was planned to under the id that templates saw then: where secrets were wiped, they are taken
/// from there.
///
/// # Errors
/// Why there is none.
pub fn plan_of(view: View<'_>, forced_by: Option<&str>, again: Option<&Plan>) -> Result<Plan, NoRetry> {
    let operation = view.operation;
    let plan = &operation.plan;
    match operation.status() {
        Status::Unexecuted | Status::Executing => return Err(NoRetry::NotEnded(operation.id)),
        Status::Completed => return Err(NoRetry::Completed(operation.id)),
        Status::Failed | Status::Canceled => {}
    }
    let left = left(operation, forced_by.is_some())?;
    let is_wiped = plan.request.sealed || plan.steps.iter().any(|step| step.request.sealed);
    let (request, steps) = match again {
        Some(again) if is_wiped => (original(&plan.request, &again.request)?, originals(view, &left, again)?),
        None if is_wiped => return Err(NoRetry::Wiped(operation.id)),
        Some(_) | None => (whole(view, &plan.request, Slot::Request), as_they_were(view, &left)),
    };
    let there = plan.steps.len() - left.len();
    let mut front = plan.front.clone();
    front.attributes.remove(FORCED_BY);
    front.attributes.extend(forced_by.map(|by| (FORCED_BY.to_owned(), by.to_owned())));
    Ok(Plan {
        front,
        request,
        start_at: None,
        retry_of: Some(operation.id),
        first: plan.first.or(Some(operation.id)),
        policy: policy(&plan.policy, there),
        steps: close_up(steps),
        ..Plan::clone(plan)
    })
}

/// The steps whose targets are not in the requested state.
fn left(operation: &Operation, forced: bool) -> Result<Vec<StepIndex>, NoRetry> {
    let mut left = Vec::new();
    let mut unknown = Vec::new();
    for (index, planned, step) in operation.indexed_steps() {
        match standing(step) {
            Standing::There => {}
            Standing::Left => left.push(index),
            Standing::Unknown if forced => left.push(index),
            Standing::Unknown => unknown.push(planned.target.clone()),
        }
    }
    if !unknown.is_empty() {
        return Err(NoRetry::Unknown(unknown));
    }
    if left.is_empty() { Err(NoRetry::NothingLeft(operation.id)) } else { Ok(left) }
}

/// How a target stands to what was requested of it.
enum Standing {
    /// It is in the requested state.
    There,
    /// It is not.
    Left,
    /// That is not known.
    Unknown,
}

/// A target is in the requested state if its step succeeded and was not undone: an undo that was refused, met somebody else's
/// change or was not possible leaves the step as it was, so calling again would do it twice.
fn standing(step: &Step) -> Standing {
    let succeeded = step.outcome() == Some(Outcome::Succeeded);
    match (step.consistency(), step.undo.as_ref().map(|undo| &undo.phase)) {
        (Consistency::Updated, _) => Standing::There,
        (
            Consistency::NotConsistent,
            Some(UndoPhase::Ended(UndoEnd::Failed | UndoEnd::Conflict | UndoEnd::NotPossible)),
        ) if succeeded => Standing::There,
        (Consistency::NotConsistent | Consistency::RolledBack, _) => Standing::Left,
        (Consistency::Unknown, _) => Standing::Unknown,
    }
}

/// The steps with the requests of the record.
fn as_they_were(view: View<'_>, left: &[StepIndex]) -> Vec<StepPlan> {
    let steps = left.iter().map(|&index| {
        let step = &view.operation.plan.steps[index.get()];
        StepPlan { request: whole(view, &step.request, Slot::StepRequest(index)), ..step.clone() }
    });
    steps.collect()
}

/// The steps with the requests of `again`, whose public forms have to be those of the record.
fn originals(view: View<'_>, left: &[StepIndex], again: &Plan) -> Result<Vec<StepPlan>, NoRetry> {
    let plan = &view.operation.plan;
    let (public, _) = seal(Plan { policy: Arc::clone(&plan.policy), ..again.clone() });
    let once_more = |&index: &StepIndex| {
        let step = &plan.steps[index.get()];
        let changed = || NoRetry::Changed(step.target.clone());
        let at = again.steps.iter().position(|other| other.target == step.target).ok_or_else(changed)?;
        let shown = &public.steps[at].request;
        let same_body = in_place(&public, &shown.body) == view.octets(Slot::StepRequest(index));
        if shown.method != step.request.method || shown.uri != step.request.uri || !same_body {
            return Err(changed());
        }
        Ok(StepPlan { request: original(&step.request, &again.steps[at].request)?, ..step.clone() })
    };
    left.iter().map(once_more).collect()
}

/// A request of the record with what was taken out of it, from the same request that came again. Its other fields are those of
/// the record: who sends a request again may send it through another proxy, and the configuration may have changed.
fn original(recorded: &Request, again: &Request) -> Result<Request, NoRetry> {
    let field = |(at, (name, value)): (usize, &(String, String))| {
        if value != REDACTED {
            return Ok((name.clone(), value.clone()));
        }
        let before = recorded.headers[..at].iter().filter(|(other, _)| other == name).count();
        let found = again.headers.iter().filter(|(other, _)| other == name).nth(before);
        found.cloned().ok_or_else(|| NoRetry::FieldMissing(name.clone()))
    };
    let headers = recorded.headers.iter().enumerate().map(field).collect::<Result<_, _>>()?;
    Ok(Request { headers, ..again.clone() })
}

/// The octets of a body of a plan that was not recorded yet: it stands there, or is that of the accepted request.
fn in_place<'a>(plan: &'a Plan, body: &'a Body) -> &'a [u8] {
    let body = if matches!(body.0, Content::Same(_)) { &plan.request.body } else { body };
    if let Content::Inline(octets) = &body.0 { octets } else { &[] }
}

/// A message with its body in place, unless it is that of the accepted request, which is there as before.
fn whole(view: View<'_>, request: &Request, slot: Slot) -> Request {
    let body = match &request.body.0 {
        Content::Empty | Content::Inline(_) | Content::Same(Slot::Request) => request.body.clone(),
        // The numbers of steps change, so a body that stands with another step comes along.
        Content::Apart { .. } | Content::Same(_) => Body::inline(view.octets(slot).to_vec()),
    };
    Request { body, ..request.clone() }
}

/// The rules, with those targets counted that are there already.
fn policy(policy: &Arc<Policy>, there: usize) -> Arc<Policy> {
    match policy.require {
        Require::AtLeast(count) if there > 0 => {
            let there = u32::try_from(there).unwrap_or(u32::MAX);
            let require = Require::AtLeast(count.saturating_sub(there).max(1));
            Arc::new(Policy { require, ..Policy::clone(policy) })
        }
        Require::AtLeast(_) | Require::All => Arc::clone(policy),
    }
}

/// The steps with waves counted from 0 without gaps: each wave looks at the one before it.
fn close_up(mut steps: Vec<StepPlan>) -> Vec<StepPlan> {
    let mut waves: Vec<u16> = steps.iter().map(|step| step.wave).collect();
    waves.sort_unstable();
    waves.dedup();
    for step in &mut steps {
        let place = waves.partition_point(|wave| *wave < step.wave);
        step.wave = u16::try_from(place).expect("there are no more waves than there were");
    }
    steps
}

#[cfg(test)]
mod tests;
