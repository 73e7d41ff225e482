//! The detail of a `plas` operation.

use serde::Serialize;

use crate::Operation;
use crate::dialect::{LetterCase, Mount, failure};
use crate::operation::{End, Status};
use crate::plan::Verb;

/// The longest reason, in characters.
const REASON_CHARACTERS_MAX: usize = 255;

/// The detail; what is known only at the end is absent before.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Detail {
    operation_id: String,
    operation_type: &'static str,
    finished: bool,
    /// UNIX time in whole seconds.
    operate_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Ended>,
}

/// How it ended.
#[derive(Serialize)]
struct Ended {
    result: &'static str,
    reason: String,
}

pub(super) fn of(mount: &Mount, operation: &Operation) -> Detail {
    let end = operation.end();
    Detail {
        operation_id: operation.id.to_string(),
        operation_type: operation_type(operation.plan.verb, mount.settings.letter_case),
        finished: end.is_some(),
        operate_at: operation.accepted_at.as_second().to_string(),
        finished_at: end.map(|end| end.at.as_second().to_string()),
        result: end.map(|end| ended(operation, end)),
    }
}

/// Why it was not completed, cut to what the protocol allows.
pub(super) fn reason(operation: &Operation, end: &End) -> String {
    failure::in_full(operation, end).chars().take(REASON_CHARACTERS_MAX).collect()
}

fn ended(operation: &Operation, end: &End) -> Ended {
    match end.status {
        Status::Completed => Ended { result: "success", reason: String::new() },
        Status::Failed | Status::Canceled | Status::Unexecuted | Status::Executing => {
            Ended { result: "failed", reason: reason(operation, end) }
        }
    }
}

/// No route of this dialect has an action for a verb; should a record hold one all the same, it is a change like any other.
fn operation_type(verb: Verb, case: LetterCase) -> &'static str {
    match (verb, case) {
        (Verb::Create, LetterCase::AsInTable) => "Create",
        (Verb::Create, LetterCase::Lower) => "create",
        (Verb::Update | Verb::Action, LetterCase::AsInTable) => "Update",
        (Verb::Update | Verb::Action, LetterCase::Lower) => "update",
        (Verb::Delete, LetterCase::AsInTable) => "Delete",
        (Verb::Delete, LetterCase::Lower) => "delete",
    }
}
