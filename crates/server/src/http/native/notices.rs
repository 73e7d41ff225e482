//! Notices: who is told of the end of operations, the newest first. Their bodies are not shown; the operation's detail says
//! the same.

use fanfold_core::OperationId;
use fanfold_core::plan::Redaction;
use fanfold_store::{Notice, NoticeFilter, NoticeId, NoticeState, Order, Page};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::entity;
use super::query::Query;
use super::{Nothing, json, read};
use crate::http::auth::Caller;
use crate::http::outcome::{Response, Stop};
use crate::http::page::{self, Token};
use crate::http::server::Shared;
use crate::http::visit::Visit;

pub(super) const KNOWN: [&str; 4] = ["limit", "operation", "page_token", "state"];

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Notice")]
pub(in crate::http) struct NoticeForm {
    pub(in crate::http) id: String,
    pub(in crate::http) operation: OperationId,
    pub(in crate::http) kind: String,
    /// `pending`, `delivered` or `dead`.
    #[schemars(extend("enum" = NoticeState::ALL.map(NoticeState::as_str)))]
    pub(in crate::http) state: &'static str,
    pub(in crate::http) method: String,
    pub(in crate::http) url: String,
    /// How often it was sent, since it was recorded or replayed.
    pub(in crate::http) attempts: u32,
    pub(in crate::http) last_error: Option<String>,
    pub(in crate::http) created_at: Timestamp,
    /// When it is sent next; null unless it is pending.
    pub(in crate::http) due_at: Option<Timestamp>,
    /// When it was delivered or given up.
    pub(in crate::http) settled_at: Option<Timestamp>,
}

/// `GET /notices`; dead letters are those of the state `dead`.
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &KNOWN)?;
    let limit = query.limit()?;
    let states = NoticeState::ALL.map(|state| (state.as_str(), state));
    let filter = NoticeFilter {
        tenant: visit.caller.access.tenant.clone(),
        scope: visit.caller.access.scope.clone(),
        state: query.word("state", &states)?,
        operation: query.parsed("operation", "the id of an operation", |text| text.parse().ok())?,
        first: None,
    };
    let after = page::number_key(query.one("page_token")?)?;
    let (forms, next) = notices(shared, &filter, after, limit).await?;
    let is_cut_off = next.is_some() && forms.len() < limit;
    Ok(entity::some(visit, &query, ("notices", &forms), next, is_cut_off))
}

/// Up to `limit` notices that follow `after`, the newest first, and where to go on if there are more. For whoever sees only a part
/// of their tenant's a search that takes too long is cut off.
pub(in crate::http) async fn notices(
    shared: &Shared,
    filter: &NoticeFilter,
    after: Option<u64>,
    limit: usize,
) -> Result<(Vec<NoticeForm>, Option<Token>), Stop> {
    let read = |first, after, limit| {
        let filter = NoticeFilter { first: Some(first), ..filter.clone() };
        async move { shared.store.notices(&filter, Page { order: Order::NewestFirst, after, limit }).await }
    };
    // Those about one operation are few.
    let newest = match filter.scope.is_all() || filter.operation.is_some() {
        true => None,
        false => {
            let any = NoticeFilter { tenant: filter.tenant.clone(), ..NoticeFilter::default() };
            Some(shared.store.notices(&any, Page::newest(1)).await?.first().map_or(0, |notice| notice.number))
        }
    };
    let (found, next) = page::numbered(read, |notice| notice.number, (after, limit), newest).await?;
    Ok((found.into_iter().map(NoticeForm::of).collect(), next.map(Token::Number)))
}

/// `GET /notices/{id}`
pub(super) async fn show(shared: &Shared, visit: &Visit, id: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let notice = one(shared, &visit.caller, id).await?;
    Ok(json(&NoticeForm::of(notice)))
}

/// `POST /notices/{id}/replay`: takes a dead letter up again.
pub(super) async fn replay(shared: &Shared, visit: Visit, id: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let Nothing {} = read(visit.body)?;
    let notice = one(shared, &visit.caller, id).await?;
    shared.engine.replay_notice(&notice.notice.id).await?;
    let notice = one(shared, &visit.caller, id).await?;
    Ok(json(&NoticeForm::of(notice)))
}

/// The notice, if it is of an operation that the caller sees.
pub(in crate::http) async fn one(shared: &Shared, caller: &Caller, id: &str) -> Result<Notice, Stop> {
    let nothing = || Stop::not_found("notice");
    let notice = shared.store.notice(&NoticeId(id.to_owned())).await?.ok_or_else(nothing)?;
    let is_seen = notice.tenant == caller.access.tenant && shared.is_seen(caller, notice.operation).await?;
    if is_seen { Ok(notice) } else { Err(nothing()) }
}

impl NoticeForm {
    pub(in crate::http) fn of(notice: Notice) -> Self {
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
