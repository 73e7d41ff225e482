//! One operation: shown, waited for, canceled.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::dialect::native::OperationDetail;
use fanfold_core::dialect::{Refusal, Reply};
use fanfold_core::operation::{Canceling, Gate, Status, WaitingFor, waiting_for};
use fanfold_core::{Operation, OperationId};
use fanfold_engine::CancelOutcome;
use fanfold_store::{Filter, LockPlace, Page};
use http::StatusCode;

use super::query::{Query, span};
use super::{Nothing, entity, read, uncached};
use crate::http::Front;
use crate::http::outcome::{self, Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

pub(super) const KNOWN: [&str; 1] = ["wait"];

/// `GET /operations/{id}`: with `If-None-Match`, 304 as long as nothing has changed; with `wait`, not before something has
/// changed or, without a tag, before it has ended, or the time is up.
pub(super) async fn show(shared: &Shared, visit: &Visit, id: OperationId) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &KNOWN)?;
    let patience = query.parsed("wait", "a time such as 30s, 500ms or 5m", span)?;
    let headers = &visit.head.headers;
    let mut operation = shared.operation(&visit.caller, id).await?;
    let mut beside = Beside::of(shared, &operation).await?;
    if let Some(patience) = patience {
        check_patience(patience, shared.config.poll_wait_max)?;
        let is_news = entity::names_tag(headers) && !entity::is_known(headers, &beside.tag(&operation));
        if !is_news {
            let known = operation.revision;
            let has_news = |operation: &Operation| entity::names_tag(headers) && operation.revision != known;
            operation = shared.wait_for(&visit.caller, id, patience, has_news).await?;
            beside = Beside::of(shared, &operation).await?;
        }
    }
    let tag = beside.tag(&operation);
    let mut response = if entity::is_known(headers, &tag) {
        // What a 200 would carry too (RFC 9110, section 15.4.5).
        let reply = Reply { status: StatusCode::NOT_MODIFIED, headers: Vec::new(), body: bytes::Bytes::new() };
        outcome::reply(uncached(reply).with("etag", tag))
    } else {
        outcome::reply(shown(shared, &visit.front, StatusCode::OK, operation, beside).await?)
    };
    response.extensions_mut().insert(id);
    Ok(response)
}

/// `POST /operations/{id}/cancel`: 202 while it is being carried out, 200 if that was done at once.
pub(super) async fn cancel(shared: &Shared, visit: Visit, id: OperationId) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let Nothing {} = read(visit.body)?;
    // Whose it is comes before what can be done with it.
    shared.operation(&visit.caller, id).await?;
    let operation = match shared.engine.cancel(id, visit.caller.name).await? {
        CancelOutcome::Accepted(operation) => operation,
        CancelOutcome::TooLate(_) => {
            return Err(Refusal::NotPossible { detail: Canceling::TooLate.to_string() }.into());
        }
    };
    let status = if operation.end().is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = outcome::reply(detail(shared, &visit.front, status, operation).await?);
    response.extensions_mut().insert(id);
    Ok(response)
}

fn check_patience(patience: Duration, max: Duration) -> Result<(), Refusal> {
    if patience <= max {
        return Ok(());
    }
    Err(Refusal::OutOfRange { detail: format!("the query parameter `wait` is longer than {}s", max.as_secs()) })
}

/// The detail of an operation as it is now.
pub(super) async fn detail(
    shared: &Shared,
    front: &Front,
    status: StatusCode,
    operation: Arc<Operation>,
) -> Result<Reply, Stop> {
    let beside = Beside::of(shared, &operation).await?;
    shown(shared, front, status, operation, beside).await
}

async fn shown(
    shared: &Shared,
    front: &Front,
    status: StatusCode,
    operation: Arc<Operation>,
    beside: Beside,
) -> Result<Reply, Stop> {
    let again = entity::ask_again(&operation, shared.clock.now());
    let tag = beside.tag(&operation);
    let form = form(shared, front, operation, beside).await?;
    let reply = uncached(Reply::json(status, &form)).with("etag", tag);
    Ok(match again {
        Some(seconds) => reply.with("retry-after", seconds.to_string()),
        None => reply,
    })
}

/// The form of an operation as it is now.
pub(in crate::http) async fn show_detail(
    shared: &Shared,
    front: &Front,
    operation: Arc<Operation>,
) -> Result<OperationDetail, Stop> {
    let beside = Beside::of(shared, &operation).await?;
    form(shared, front, operation, beside).await
}

async fn form(
    shared: &Shared,
    front: &Front,
    operation: Arc<Operation>,
    beside: Beside,
) -> Result<OperationDetail, Stop> {
    let full = shared.full(operation).await?;
    let mut form = OperationDetail::of(front.native(), full.view());
    form.waiting_for = beside.waiting_for;
    form.retried_by = beside.retried_by;
    Ok(form)
}

/// What a detail shows that its record does not tell.
struct Beside {
    waiting_for: Vec<WaitingFor>,
    retried_by: Option<OperationId>,
    /// What of it changes without a new revision.
    unrecorded: String,
}

impl Beside {
    async fn of(shared: &Shared, operation: &Operation) -> Result<Self, Stop> {
        let retried_by = retried_by(shared, operation).await?;
        let unrecorded = retried_by.map(|_| "-retried".to_owned()).unwrap_or_default();
        let mut beside = Self { waiting_for: waiting_for(operation), retried_by, unrecorded };
        for wait in &mut beside.waiting_for {
            match wait {
                WaitingFor::Lock { key, position, holder } => {
                    *position = lock_position(shared, operation.id).await?;
                    *holder = shared.store.lock_holder(&operation.tenant, key).await?;
                    for mark in
                        [position.map(|at| at.to_string()), holder.map(|id| id.to_string())].into_iter().flatten()
                    {
                        write!(beside.unrecorded, "-{mark}").expect("writing to a String cannot fail");
                    }
                }
                // Reads are not recorded, so that only the target knows what they wait for.
                WaitingFor::Resource { call, .. } => {
                    let gate = shared.engine.targets().get(&call.target).gate();
                    let (shown, mark) = match gate {
                        Gate::Permit => continue,
                        Gate::Breaker => (WaitingFor::Breaker(call.clone()), "-breaker"),
                        Gate::Held => (WaitingFor::HeldTarget(call.clone()), "-held"),
                        Gate::Missing => (WaitingFor::MissingTarget(call.clone()), "-missing"),
                    };
                    *wait = shown;
                    beside.unrecorded.push_str(mark);
                }
                WaitingFor::StartTime { .. }
                | WaitingFor::Dispatch
                | WaitingFor::Permit(_)
                | WaitingFor::Breaker(_)
                | WaitingFor::HeldTarget(_)
                | WaitingFor::MissingTarget(_)
                | WaitingFor::Backoff { .. }
                | WaitingFor::Settle { .. }
                | WaitingFor::Answer { .. }
                | WaitingFor::LowerOperation { .. }
                | WaitingFor::Probe { .. }
                | WaitingFor::Person { .. }
                | WaitingFor::Response
                | WaitingFor::Release { .. } => {}
            }
        }
        Ok(beside)
    }

    /// The entity tag of the detail that shows this.
    fn tag(&self, operation: &Operation) -> String {
        entity::tag(operation.revision, &self.unrecorded)
    }
}

/// What has retried it. Only what has ended without being completed can be retried.
async fn retried_by(shared: &Shared, operation: &Operation) -> Result<Option<OperationId>, Stop> {
    match operation.status() {
        Status::Unexecuted | Status::Executing | Status::Completed => return Ok(None),
        Status::Failed | Status::Canceled => {}
    }
    let filter = Filter { tenant: operation.tenant.clone(), retry_of: Some(operation.id), ..Filter::default() };
    let retries = shared.store.list(&filter, Page::newest(1)).await?;
    Ok(retries.first().map(|retry| retry.id))
}

/// The place in the queue of its lock; `None` where it has just got it, or given it back.
async fn lock_position(shared: &Shared, id: OperationId) -> Result<Option<u64>, Stop> {
    Ok(match shared.store.lock_place(id).await? {
        Some(LockPlace::Waiting { position }) => Some(position),
        Some(LockPlace::Holder) | None => None,
    })
}
