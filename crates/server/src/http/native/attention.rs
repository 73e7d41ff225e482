//! Attention: the notes that a person is needed, the newest first.

use fanfold_core::dialect::{Refusal, Reply};
use fanfold_core::operation::AttentionReason;
use fanfold_core::{OperationId, StepIndex};
use fanfold_engine::Resolution;
use fanfold_store::{AttentionId, Note, NoteFilter, Order, Page};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::entity;
use super::query::Query;
use super::{json, read, uncached};
use crate::http::auth::Caller;
use crate::http::outcome::{self, Response, Stop};
use crate::http::page::{self, CHUNK, Token};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Characters of a remark at the most.
const REMARK_CHARACTERS_MAX: usize = 1_000;

/// How a person answers a note.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResolveRequest {
    answer: String,
    #[serde(default)]
    remark: Option<String>,
}

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
    /// Whether the operation has ended: then an open note is acknowledged.
    operation_ended: bool,
    /// The answers that it takes; empty where it takes none.
    answers: Vec<&'static str>,
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

/// `GET /attention/{id}`
pub(super) async fn show(shared: &Shared, visit: &Visit, id: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    Ok(json(&NoteForm::of(note_of(shared, &visit.caller, id).await?)))
}

/// `POST /attention/{id}/resolve`: answers what the note asks, and closes it. 202 while the operation goes on, 200 if it has
/// ended with that.
pub(super) async fn resolve(shared: &Shared, visit: Visit, id: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let ResolveRequest { answer, remark } = read(shared, visit.body).await?;
    check_remark(remark.as_deref())?;
    let answer = resolution(&answer)?;
    let note = note_of(shared, &visit.caller, id).await?;
    let operation = shared.engine.resolve(note.id, answer, visit.caller.name.clone(), remark).await?;
    let note = note_of(shared, &visit.caller, id).await?;
    let status = if operation.end().is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(outcome::reply(uncached(Reply::json(status, &NoteForm::of(note)))))
}

/// `POST /attention/{id}/acknowledge`: closes the note of an operation that has ended.
pub(super) async fn acknowledge(shared: &Shared, visit: Visit, id: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let AcknowledgeRequest { remark } = read(shared, visit.body).await?;
    check_remark(remark.as_deref())?;
    let note = note_of(shared, &visit.caller, id).await?;
    shared.engine.acknowledge(note.id, visit.caller.name.clone(), remark).await?;
    Ok(json(&NoteForm::of(note_of(shared, &visit.caller, id).await?)))
}

fn resolution(text: &str) -> Result<Resolution, Refusal> {
    let found = Resolution::ALL.into_iter().find(|answer| answer.as_str() == text);
    found.ok_or_else(|| {
        let known = Resolution::ALL.map(Resolution::as_str).join(", ");
        Refusal::BadValue { detail: format!("`answer` is not one of {known}") }
    })
}

/// Refuses a remark that is too long.
pub(super) fn check_remark(remark: Option<&str>) -> Result<(), Refusal> {
    if remark.is_none_or(|remark| remark.chars().count() <= REMARK_CHARACTERS_MAX) {
        return Ok(());
    }
    Err(Refusal::OutOfRange { detail: format!("`remark` is longer than {REMARK_CHARACTERS_MAX} characters") })
}

/// The note, if it is one of the caller's.
async fn note_of(shared: &Shared, caller: &Caller, id: &str) -> Result<Note, Stop> {
    let nothing = || Stop::not_found("note");
    let id = AttentionId(id.parse().map_err(|_| nothing())?);
    shared.store.note(id).await?.filter(|note| note.tenant == caller.tenant).ok_or_else(nothing)
}

impl NoteForm {
    fn of(note: Note) -> Self {
        let answers = Resolution::taken_by(&note).iter().map(|answer| answer.as_str()).collect();
        let attention = note.attention;
        Self {
            id: note.id.0,
            operation: note.operation,
            step: attention.step,
            target: attention.target.map(|target| target.to_string()),
            reason: attention.reason,
            detail: attention.detail,
            opened_at: note.opened_at,
            operation_ended: note.ended,
            answers,
            closed: note.closed.map(|closed| ClosedForm { at: closed.at, by: closed.by, remark: closed.remark }),
        }
    }
}
