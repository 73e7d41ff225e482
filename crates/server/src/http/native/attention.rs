//! Attention: the notes that a person is needed, the newest first.

use fanfold_core::dialect::{Refusal, Reply};
use fanfold_core::operation::AttentionReason;
use fanfold_core::{OperationId, StepIndex};
use fanfold_engine::Resolution;
use fanfold_store::{AttentionId, Note, NoteFilter, Order, Page};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::entity;
use super::query::Query;
use super::{json, read, uncached};
use crate::http::auth::Caller;
use crate::http::outcome::{self, Response, Stop};
use crate::http::page::{self, Token};
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

pub(super) const KNOWN: [&str; 5] = ["limit", "operation", "page_token", "state", "target"];

/// Which notes a client asks for by their state.
const STATES: [(&str, Option<bool>); 3] = [("open", Some(true)), ("closed", Some(false)), ("all", None)];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Note")]
pub(in crate::http) struct NoteForm {
    pub(in crate::http) id: u64,
    pub(in crate::http) operation: OperationId,
    /// The step that it is about; null: the operation as a whole.
    pub(in crate::http) step: Option<StepIndex>,
    pub(in crate::http) target: Option<String>,
    pub(in crate::http) reason: AttentionReason,
    pub(in crate::http) detail: String,
    pub(in crate::http) opened_at: Timestamp,
    /// Whether the operation has ended: then an open note is acknowledged.
    pub(in crate::http) operation_ended: bool,
    /// The answers that it takes; empty where it takes none.
    #[serde(serialize_with = "as_words")]
    #[schemars(schema_with = "answers")]
    pub(in crate::http) answers: &'static [Resolution],
    /// Null while it is open.
    pub(in crate::http) closed: Option<ClosedForm>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Closed")]
pub(in crate::http) struct ClosedForm {
    pub(in crate::http) at: Timestamp,
    pub(in crate::http) by: String,
    pub(in crate::http) remark: Option<String>,
}

/// `GET /attention`: open notes, unless the client asks for others.
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &KNOWN)?;
    let limit = query.limit()?;
    let filter = NoteFilter {
        tenant: visit.caller.access.tenant.clone(),
        scope: visit.caller.access.scope.clone(),
        open: query.word("state", &STATES)?.unwrap_or(Some(true)),
        operation: query.parsed("operation", "the id of an operation", |text| text.parse().ok())?,
        target: query.one("target")?.map(Into::into),
        first: None,
    };
    let after = page::number_key(query.one("page_token")?)?.map(AttentionId);
    let (forms, next) = notes(shared, &filter, after, limit).await?;
    let is_cut_off = next.is_some() && forms.len() < limit;
    Ok(entity::some(visit, &query, ("attention", &forms), next, is_cut_off))
}

/// Up to `limit` notes that follow `after`, the newest first, and where to go on if there are more. For whoever sees only a part of
/// their tenant's a search that takes too long is cut off.
pub(in crate::http) async fn notes(
    shared: &Shared,
    filter: &NoteFilter,
    after: Option<AttentionId>,
    limit: usize,
) -> Result<(Vec<NoteForm>, Option<Token>), Stop> {
    let read = |first, after: Option<u64>, limit| {
        let filter = NoteFilter { first: Some(AttentionId(first)), ..filter.clone() };
        let page = Page { order: Order::NewestFirst, after: after.map(AttentionId), limit };
        async move { shared.store.notes(&filter, page).await }
    };
    // Those about one operation are few.
    let newest = match filter.scope.is_all() || filter.operation.is_some() {
        true => None,
        false => {
            let any = NoteFilter { tenant: filter.tenant.clone(), ..NoteFilter::default() };
            Some(shared.store.notes(&any, Page::newest(1)).await?.first().map_or(0, |note| note.id.0))
        }
    };
    let after = after.map(|after| after.0);
    let (found, next) = page::numbered(read, |note| note.id.0, (after, limit), newest).await?;
    Ok((found.into_iter().map(NoteForm::of).collect(), next.map(Token::Number)))
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
    let ResolveRequest { answer, remark } = read(visit.body)?;
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
    let AcknowledgeRequest { remark } = read(visit.body)?;
    check_remark(remark.as_deref())?;
    let note = note_of(shared, &visit.caller, id).await?;
    shared.engine.acknowledge(note.id, visit.caller.name.clone(), remark).await?;
    Ok(json(&NoteForm::of(note_of(shared, &visit.caller, id).await?)))
}

fn answers(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "array", "items": { "$ref": "#/components/schemas/Resolution" } })
}

fn as_words<S: Serializer>(answers: &[Resolution], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(answers.iter().map(|answer| answer.as_str()))
}

pub(in crate::http) fn resolution(text: &str) -> Result<Resolution, Refusal> {
    let found = Resolution::ALL.into_iter().find(|answer| answer.as_str() == text);
    found.ok_or_else(|| {
        let known = Resolution::ALL.map(Resolution::as_str).join(", ");
        Refusal::BadValue { detail: format!("`answer` is not one of {known}") }
    })
}

/// Refuses a remark that is too long.
pub(in crate::http) fn check_remark(remark: Option<&str>) -> Result<(), Refusal> {
    if remark.is_none_or(|remark| remark.chars().count() <= REMARK_CHARACTERS_MAX) {
        return Ok(());
    }
    Err(Refusal::OutOfRange { detail: format!("`remark` is longer than {REMARK_CHARACTERS_MAX} characters") })
}

/// The note, if it is of an operation that the caller sees.
pub(in crate::http) async fn note_of(shared: &Shared, caller: &Caller, id: &str) -> Result<Note, Stop> {
    let nothing = || Stop::not_found("note");
    let id = AttentionId(id.parse().map_err(|_| nothing())?);
    let note = shared.store.note(id).await?.ok_or_else(nothing)?;
    let is_seen = note.tenant == caller.access.tenant && shared.is_seen(caller, note.operation).await?;
    if is_seen { Ok(note) } else { Err(nothing()) }
}

impl NoteForm {
    fn of(note: Note) -> Self {
        let answers = Resolution::taken_by(&note);
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
