//! Notices: who is told of the end of operations, the newest first. Their bodies are not shown; the operation's detail says
//! the same.

use fanfold_core::plan::Redaction;
use fanfold_core::{OperationId, TenantId};
use fanfold_store::{Notice, NoticeFilter, NoticeId, NoticeState, Order, Page};
use jiff::Timestamp;
use serde::Serialize;

use super::entity;
use super::query::Query;
use super::{Nothing, json, read};
use crate::http::outcome::{Response, Stop};
use crate::http::page::{self, CHUNK, Token};
use crate::http::server::Shared;
use crate::http::visit::Visit;

const KNOWN: [&str; 4] = ["limit", "operation", "page_token", "state"];

#[derive(Debug, Serialize)]
struct NoticeForm {
    id: String,
    operation: OperationId,
    kind: String,
    /// `pending`, `delivered` or `dead`.
    state: &'static str,
    method: String,
    url: String,
    /// How often it was sent, since it was recorded or replayed.
    attempts: u32,
    last_error: Option<String>,
    created_at: Timestamp,
    /// When it is sent next; null unless it is pending.
    due_at: Option<Timestamp>,
    /// When it was delivered or given up.
    settled_at: Option<Timestamp>,
}

/// `GET /notices`; dead letters are those of the state `dead`.
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &KNOWN)?;
    let limit = query.limit()?;
    let states = NoticeState::ALL.map(|state| (state.as_str(), state));
    let filter = NoticeFilter {
        tenant: visit.caller.tenant.clone(),
        state: query.word("state", &states)?,
        operation: query.parsed("operation", "the id of an operation", |text| text.parse().ok())?,
    };
    let mut after = page::number_key(query.one("page_token")?)?;
    let mut forms: Vec<(u64, NoticeForm)> = Vec::new();
    // One more than is wanted tells whether there are more.
    while forms.len() <= limit {
        let wanted = (limit + 1 - forms.len()).min(CHUNK);
        let read = shared.store.notices(&filter, Page { order: Order::NewestFirst, after, limit: wanted }).await?;
        let is_last = read.len() < wanted;
        after = read.last().map(|notice| notice.number).or(after);
        forms.extend(read.into_iter().map(|notice| (notice.number, NoticeForm::of(notice))));
        if is_last {
            break;
        }
    }
    let next = page::cut(&mut forms, limit, |(number, _)| Token::Number(*number));
    let forms: Vec<_> = forms.into_iter().map(|(_, form)| form).collect();
    Ok(entity::page(visit, &query, "notices", &forms, next))
}

/// `GET /notices/{id}`
pub(super) async fn show(shared: &Shared, visit: &Visit, id: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let notice = one(shared, &visit.caller.tenant, id).await?;
    Ok(json(&NoticeForm::of(notice)))
}

/// `POST /notices/{id}/replay`: takes a dead letter up again.
pub(super) async fn replay(shared: &Shared, visit: Visit, id: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let Nothing {} = read(shared, visit.body).await?;
    let notice = one(shared, &visit.caller.tenant, id).await?;
    let (engine, replayed) = (shared.engine.clone(), notice.notice.id);
    shared.carried(async move { engine.replay_notice(&replayed).await }).await??;
    let notice = one(shared, &visit.caller.tenant, id).await?;
    Ok(json(&NoticeForm::of(notice)))
}

async fn one(shared: &Shared, tenant: &TenantId, id: &str) -> Result<Notice, Stop> {
    let found = shared.store.notice(&NoticeId(id.to_owned())).await?;
    found.filter(|notice| notice.tenant == *tenant).ok_or_else(|| Stop::not_found("notice"))
}

impl NoticeForm {
    fn of(notice: Notice) -> Self {
        let Notice { notice: sent, operation, created_at, state, attempts, last_error, settled_at, .. } = notice;
        Self {
            id: sent.id.0,
            operation,
            kind: sent.kind,
            state: state.as_str(),
            method: sent.method,
            url: Redaction::standard().address(&sent.url),
            attempts,
            last_error,
            created_at,
            due_at: (state == NoticeState::Pending).then_some(sent.due_at),
            settled_at,
        }
    }
}
