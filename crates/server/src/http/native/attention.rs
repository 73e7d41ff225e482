//! Attention: the notes that a person is needed, the newest first.

use fanfold_core::dialect::Refusal;
use fanfold_core::operation::AttentionReason;
use fanfold_core::{OperationId, StepIndex};
use fanfold_store::{AttentionId, Note, NoteFilter, Order, Page};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entity;
use super::query::Query;
use super::{json, read};
use crate::http::outcome::{Response, Stop};
use crate::http::page::{self, CHUNK, Token};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Characters of a remark at the most.
const REMARK_CHARACTERS_MAX: usize = 1_000;

/// How a person closes a note.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AcknowledgeRequest {
    #[serde(default)]
    remark: Option<String>,
}

const KNOWN: [&str; 5] = ["limit", "operation", "page_token", "state", "target"];

/// Which notes a client asks for by their state.
const STATES: [(&str, Option<bool>); 3] = [("open", Some(true)), ("closed", Some(false)), ("all", None)];

#[derive(Debug, Serialize)]
struct NoteForm {
    id: u64,
    operation: OperationId,
    /// The step that it is about; null: the operation as a whole.
    step: Option<StepIndex>,
    target: Option<String>,
    reason: AttentionReason,
    detail: String,
    opened_at: Timestamp,
    /// Null while it is open.
    closed: Option<ClosedForm>,
}

#[derive(Debug, Serialize)]
struct ClosedForm {
    at: Timestamp,
    by: String,
    remark: Option<String>,
}

/// `GET /attention`: open notes, unless the client asks for others.
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &KNOWN)?;
    let limit = query.limit()?;
    let filter = NoteFilter {
        tenant: visit.caller.tenant.clone(),
        open: query.word("state", &STATES)?.unwrap_or(Some(true)),
        operation: query.parsed("operation", "the id of an operation", |text| text.parse().ok())?,
        target: query.one("target")?.map(Into::into),
    };
    let mut after = page::number_key(query.one("page_token")?)?.map(AttentionId);
    let mut notes: Vec<Note> = Vec::new();
    // One more than is wanted tells whether there are more.
    while notes.len() <= limit {
        let wanted = (limit + 1 - notes.len()).min(CHUNK);
        let read = shared.store.notes(&filter, Page { order: Order::NewestFirst, after, limit: wanted }).await?;
        let is_last = read.len() < wanted;
        after = read.last().map(|note| note.id).or(after);
        notes.extend(read);
        if is_last {
            break;
        }
    }
    let next = page::cut(&mut notes, limit, |note| Token::Number(note.id.0));
    let forms: Vec<_> = notes.into_iter().map(NoteForm::of).collect();
    Ok(entity::page(visit, &query, "attention", &forms, next))
}

/// `POST /attention/{id}/acknowledge`: closes the note of an operation that has ended.
pub(super) async fn acknowledge(shared: &Shared, visit: Visit, id: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let AcknowledgeRequest { remark } = read(shared, visit.body).await?;
    if remark.as_ref().is_some_and(|remark| remark.chars().count() > REMARK_CHARACTERS_MAX) {
        let detail = format!("`remark` is longer than {REMARK_CHARACTERS_MAX} characters");
        return Err(Refusal::OutOfRange { detail }.into());
    }
    let nothing = || Stop::not_found("note");
    let id = AttentionId(id.parse().map_err(|_| nothing())?);
    let of_caller = |note: &Note| note.tenant == visit.caller.tenant;
    shared.store.note(id).await?.filter(of_caller).ok_or_else(nothing)?;
    shared.engine.acknowledge(id, visit.caller.name, remark).await?;
    let note = shared.store.note(id).await?.ok_or_else(nothing)?;
    Ok(json(&NoteForm::of(note)))
}

impl NoteForm {
    fn of(note: Note) -> Self {
        let attention = note.attention;
        Self {
            id: note.id.0,
            operation: note.operation,
            step: attention.step,
            target: attention.target.map(|target| target.to_string()),
            reason: attention.reason,
            detail: attention.detail,
            opened_at: note.opened_at,
            closed: note.closed.map(|closed| ClosedForm { at: closed.at, by: closed.by, remark: closed.remark }),
        }
    }
}
