//! The final response of a completed operation, which is the same in every dialect: what the target answered.

use crate::operation::Outcome;
use crate::{Answer, Body, Content, Operation, Slot, StepIndex};

/// Fields that describe the message as it came from the target, and not as it is sent on.
const DROPPED: [&str; 5] = ["content-length", "connection", "date", "server", "transfer-encoding"];

/// The response of the first succeeded target in configured order; 200 without a body where that one's success is known by
/// other means than its answer (a probe, a person).
pub(super) fn completed(operation: &Operation) -> Answer {
    let succeeded = operation
        .indexed_steps()
        .find(|(_, _, step)| step.outcome() == Some(Outcome::Succeeded))
        .map(|(index, _, step)| (index, &step.course));
    match succeeded {
        Some((index, course)) => match &course.answer {
            Some(answer) if tells_success(operation, index, answer) => passed_on(index, answer),
            Some(_) | None => bare(),
        },
        None => bare(),
    }
}

/// A route with a `success` condition of its own may find success in any status. Otherwise an answer that is no 2xx has been
/// overtaken by what was learned later.
fn tells_success(operation: &Operation, index: StepIndex, answer: &Answer) -> bool {
    (200..300).contains(&answer.status) || operation.plan.step_policy(index).success.is_some()
}

fn passed_on(index: StepIndex, answer: &Answer) -> Answer {
    let headers = answer.headers.iter().filter(|(name, _)| !DROPPED.contains(&name.as_str())).cloned().collect();
    let body = match answer.body.0 {
        Content::Empty => Body::default(),
        Content::Inline(_) | Content::Apart { .. } | Content::Same(_) => Body(Content::Same(Slot::StepAnswer(index))),
    };
    Answer { status: answer.status, headers, body, complete: answer.complete, sealed: false }
}

fn bare() -> Answer {
    Answer { status: 200, headers: Vec::new(), body: Body::default(), complete: true, sealed: false }
}
