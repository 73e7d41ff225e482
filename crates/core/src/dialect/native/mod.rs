//! Fanfold's own wire format: JSON forms of operations and their history, and problem details (RFC 9457) for every error.
//!
//! Its paths (`/api/v1/...`), filters, pages and events are the server's; here is only what stands in the bodies.

mod code;
mod content;
mod detail;
mod event;
mod history;
mod plan;
mod problem;
mod target;

pub use code::Code;
pub use content::{AnswerForm, Content, RequestForm};
pub use detail::{AcceptedForm, CauseForm, Links, OperationDetail, OperationSummary, RollbackForm, TroubleForm};
pub use event::{CLOUD_EVENT_JSON, CloudEvent, EventData, EventTarget};
pub use history::{HistoryEntry, LiveEntry};
use http::StatusCode;
pub use plan::{
    PlanForm, PlanOutcome, PlanRequest, PlannedKey, PlannedNotice, PlannedOperation, PlannedPass, PlannedProbe,
    PlannedTarget, PlannedUndo, SampleAnswer,
};
pub use problem::{OperationResult, OutcomeWord, PROBLEM_JSON, Problem, TargetResult};
pub use target::{TargetForm, TargetPhase, UndoForm};

use super::completed::completed;
use super::{Acceptance, Accepting, Dialect, Head, Mount, OwnRequest, PassFailure, Refusal, Reply, View};
use crate::operation::{End, Status};
use crate::plan::Verb;
use crate::{Answer, Operation, OperationId};

/// Where the native API keeps operations.
pub const OPERATIONS: &str = "/api/v1/operations";

/// The dialect.
#[derive(Debug)]
pub struct Native;

/// The path of an operation.
pub fn operation_path(id: OperationId) -> String {
    format!("{OPERATIONS}/{id}")
}

impl Dialect for Native {
    fn own(&self, _head: Head<'_>) -> Option<Result<OwnRequest, Refusal>> {
        None
    }

    fn allows(&self, verb: Verb) -> bool {
        match verb {
            Verb::Create | Verb::Update | Verb::Delete | Verb::Action => true,
        }
    }

    fn accept(&self, request: &Accepting<'_>) -> Result<Acceptance, Refusal> {
        Ok(Acceptance { query: request.query.map(str::to_owned), ..Acceptance::default() })
    }

    fn accepted(&self, mount: &Mount, operation: &Operation) -> Reply {
        let links = Links::of(mount, operation);
        let location = links.own.clone();
        let body = AcceptedForm { id: operation.id, links, status: operation.status() };
        Reply::json(StatusCode::ACCEPTED, &body).with("location", location)
    }

    fn detail(&self, mount: &Mount, view: View<'_>) -> Reply {
        Reply::json(StatusCode::OK, &OperationDetail::of(mount, view))
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        problem::of_refusal(refusal)
    }

    fn final_response(&self, view: View<'_>, end: &End) -> Answer {
        match end.status {
            Status::Completed => completed(view.operation),
            Status::Failed | Status::Canceled | Status::Unexecuted | Status::Executing => {
                Problem::of_operation(view.operation, end).reply().into()
            }
        }
    }

    fn pass_failed(&self, failure: &PassFailure) -> Reply {
        problem::of_pass(failure)
    }
}
