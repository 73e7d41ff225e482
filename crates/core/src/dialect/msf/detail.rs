//! The detail of an `msf` operation, and the same without bodies for lists.
//!
//! The protocol has bodies as JSON strings, so octets that are no UTF-8 are shown with replacement characters. The native
//! detail shows them as they are.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::dialect::{Mount, View};
use crate::operation::{End, Outcome, Phase, RollbackResult, Status, Step, phase};
use crate::plan::StepPlan;
use crate::{Answer, Operation, Request, Slot, StepIndex};

/// The detail. Fields that are `Option` and always written may be null; the others are absent where there is nothing to say.
#[derive(Serialize)]
pub(super) struct Detail<'a> {
    operation_id: String,
    occurred_time: String,
    last_update_time: String,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_status: Option<Phase>,
    request: Call<'a>,
    response: Option<Response<'a>>,
    target_clusters: Vec<Cluster<'a>>,
    rollbacks: Option<Rollbacks<'a>>,
}

/// A request; `body` is absent in lists only.
#[derive(Serialize)]
struct Call<'a> {
    uri: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
}

/// A response: `status_code` is null where a cluster never answered, `body` is absent in lists.
#[derive(Serialize)]
struct Response<'a> {
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Option<Cow<'a, str>>>,
}

/// What one cluster was asked, and what it answered.
#[derive(Serialize)]
struct Cluster<'a> {
    cluster_id: &'a str,
    request: Call<'a>,
    response: Option<Response<'a>>,
}

/// What became of the rollback.
#[derive(Serialize)]
struct Rollbacks<'a> {
    result: RollbackResult,
    occurred_time: String,
    target_clusters: Option<Vec<Cluster<'a>>>,
}

/// The detail with all bodies.
pub(super) fn full<'a>(mount: &Mount, view: View<'a>) -> Detail<'a> {
    Writer { zone: &mount.settings.zone, operation: view.operation, bodies: Some(view) }.detail()
}

/// The detail without any body.
pub(super) fn brief<'a>(mount: &Mount, operation: &'a Operation) -> Detail<'a> {
    Writer { zone: &mount.settings.zone, operation, bodies: None }.detail()
}

struct Writer<'w, 'a> {
    zone: &'w TimeZone,
    operation: &'a Operation,
    bodies: Option<View<'a>>,
}

impl<'a> Writer<'_, 'a> {
    fn detail(&self) -> Detail<'a> {
        let operation = self.operation;
        let end = operation.end();
        let steps = operation.indexed_steps();
        Detail {
            operation_id: operation.id.to_string(),
            occurred_time: self.time(operation.accepted_at),
            last_update_time: self.time(end.map_or(operation.updated_at, |end| end.at)),
            status: operation.status(),
            sub_status: phase(operation),
            request: self.call(&operation.plan.request, Slot::Request),
            response: operation.response().map(|response| self.response(Some(response), Slot::Final)),
            target_clusters: steps.map(|(index, plan, step)| self.cluster(index, plan, step)).collect(),
            rollbacks: end.and_then(|end| self.rollbacks(end)),
        }
    }

    fn cluster(&self, index: StepIndex, plan: &'a StepPlan, step: &'a Step) -> Cluster<'a> {
        let answer = step.course.answer.as_ref();
        let slot = Slot::StepAnswer(index);
        Cluster {
            cluster_id: &plan.target_id,
            request: self.call(&plan.request, Slot::StepRequest(index)),
            response: has_answered(step).then(|| self.response(answer, slot)),
        }
    }

    fn rollbacks(&self, end: &End) -> Option<Rollbacks<'a>> {
        let undone: Vec<_> =
            self.operation.indexed_steps().filter_map(|(index, plan, step)| self.undo(index, plan, step)).collect();
        Some(Rollbacks {
            result: end.rollback?,
            occurred_time: self.time(end.rollback_at.unwrap_or(end.at)),
            target_clusters: Some(undone).filter(|undone| !undone.is_empty()),
        })
    }

    /// An undo whose request never came about was not sent, so there is nothing to show of it here.
    fn undo(&self, index: StepIndex, plan: &'a StepPlan, step: &'a Step) -> Option<Cluster<'a>> {
        let undo = step.undo.as_ref()?;
        Some(Cluster {
            cluster_id: &plan.target_id,
            request: self.call(undo.request.as_ref()?, Slot::UndoRequest(index)),
            response: Some(self.response(undo.course.answer.as_ref(), Slot::UndoAnswer(index))),
        })
    }

    fn call(&self, request: &'a Request, slot: Slot) -> Call<'a> {
        Call { uri: &request.uri, method: request.method.as_str(), body: self.bodies.map(|view| text(view, slot)) }
    }

    fn response(&self, answer: Option<&Answer>, slot: Slot) -> Response<'a> {
        let body = |view| answer.map(|_| text(view, slot));
        Response { status_code: answer.map(|answer| answer.status), body: self.bodies.map(body) }
    }

    fn time(&self, at: Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y%m%d_%H%M%S").to_string()
    }
}

/// Whether there is a response to show, be it that the cluster never answered: an answer counts once it has decided the step.
fn has_answered(step: &Step) -> bool {
    match step.outcome() {
        Some(Outcome::Succeeded | Outcome::Failed { .. } | Outcome::Unknown) => true,
        Some(Outcome::Skipped) | None => false,
    }
}

fn text(view: View<'_>, slot: Slot) -> Cow<'_, str> {
    String::from_utf8_lossy(view.octets(slot))
}
