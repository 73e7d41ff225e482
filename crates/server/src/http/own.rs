//! The paths where mounts keep their operations: lists, single operations, and notifications of lower controllers.

use std::sync::Arc;

use bytes::Bytes;
use fanfold_core::OperationId;
use fanfold_core::dialect::{ListEntry, ListFormat, ListFrame, Mount, NextPage, OwnRequest, Refusal, Reply};
use fanfold_store::Filter;
use http::StatusCode;

use super::body;
use super::listing::Stream;
use super::outcome::{self, Response, Stop};
use super::page::{self, Token};
use super::server::Shared;
use super::visit::Arriving;

/// Answers a request to one of a mount's own paths.
pub(super) async fn serve(
    shared: &Shared,
    visit: Arriving,
    mount: &Arc<Mount>,
    asked: OwnRequest,
) -> Result<Response, Stop> {
    match asked {
        OwnRequest::List { format, limit, page_token } => {
            let list = List { shared, mount, format, filter: filter(&visit, mount) };
            let after = page::operation_key(page_token.as_deref())?;
            match limit {
                Some(limit) => list.page(after, limit).await,
                None => list.stream(after).await,
            }
        }
        OwnRequest::Detail { id, owner } => detail(shared, &visit, mount, id, owner.as_deref()).await,
        OwnRequest::Notified { lower } => notified(shared, visit, &lower).await,
    }
}

/// Anybody can send a notification. So it wakes whoever follows that operation, who asks the controller; what it says is not
/// even looked at.
async fn notified(shared: &Shared, visit: Arriving, lower: &str) -> Result<Response, Stop> {
    if !shared.engine.lower_notified(lower) {
        return Err(Refusal::NotFound { detail: "no operation waits, or waited, for that operation".to_owned() }.into());
    }
    body::read(visit.body, shared.config.body_bytes_max, shared.config.body_time_max).await?;
    Ok(outcome::bare(StatusCode::OK))
}

/// What is accepted through the mount is what it shows.
fn filter(visit: &Arriving, mount: &Mount) -> Filter {
    Filter {
        tenant: visit.caller.access.tenant.clone(),
        scope: visit.caller.access.scope.clone(),
        dialect: Some(mount.dialect),
        mount: Some(mount.prefix.clone()),
        ..Filter::default()
    }
}

async fn detail(
    shared: &Shared,
    visit: &Arriving,
    mount: &Mount,
    id: OperationId,
    owner: Option<&str>,
) -> Result<Response, Stop> {
    let operation = shared.operation(&visit.caller, id).await?;
    if !mount.shows(&operation, owner) {
        return Err(Stop::not_found("operation"));
    }
    let full = shared.full(operation).await?;
    let mut response = outcome::reply(mount.wire().detail(mount, full.view()));
    response.extensions_mut().insert(id);
    Ok(response)
}

struct List<'a> {
    shared: &'a Shared,
    mount: &'a Arc<Mount>,
    format: ListFormat,
    filter: Filter,
}

impl List<'_> {
    /// One page.
    async fn page(&self, after: Option<OperationId>, limit: u32) -> Result<Response, Stop> {
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let entry = |operation: &_| entry(self.mount, self.format, operation);
        let (entries, more) = page::operations(&*self.shared.store, &self.filter, after, size, entry).await?;
        let token = more.map(|last| Token::Operation(last).text());
        let frame = frame(self.mount, self.format, token.as_deref().map(|token| NextPage { limit, token }))?;
        let entries = entries.into_iter().collect::<Result<Vec<_>, _>>()?;
        let separated = entries.join(frame.separator.as_bytes());
        let body = [frame.head.as_bytes(), &separated, frame.tail.as_bytes()].concat();
        Ok(outcome::reply(Reply { status: StatusCode::OK, headers: frame.headers, body: body.into() }))
    }

    /// All of them, however many there are: written while they are read.
    async fn stream(self, after: Option<OperationId>) -> Result<Response, Stop> {
        let frame = frame(self.mount, self.format, None)?;
        let headers = frame.headers.clone();
        let stream = Stream {
            store: Arc::clone(&self.shared.store),
            mount: Arc::clone(self.mount),
            format: self.format,
            filter: self.filter,
            frame,
        };
        // The first piece is read before anything is answered, so that a store that fails is told with the right status.
        let body = stream.start(after).await?;
        let mut response = outcome::reply(Reply { status: StatusCode::OK, headers, body: Bytes::new() });
        *response.body_mut() = body;
        Ok(response)
    }
}

/// Everything around the entries.
fn frame(mount: &Mount, format: ListFormat, next: Option<NextPage<'_>>) -> Result<ListFrame, Refusal> {
    let listing = mount.wire().listing().ok_or(Refusal::Internal)?;
    Ok(listing.frame(mount, format, next))
}

/// One entry as it is written.
pub(super) fn entry(
    mount: &Mount,
    format: ListFormat,
    operation: &fanfold_core::Operation,
) -> Result<Vec<u8>, Refusal> {
    let listing = mount.wire().listing().ok_or(Refusal::Internal)?;
    let entry = match format {
        ListFormat::Ids => ListEntry::Id(operation.id),
        ListFormat::Details => ListEntry::Operation(operation),
    };
    Ok(listing.entry(mount, entry))
}
