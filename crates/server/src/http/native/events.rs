//! Streams of events: of one operation until it has ended, and of all operations.

use std::collections::BTreeSet;

use fanfold_core::dialect::{Refusal, Reply};
use fanfold_core::operation::Status;
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::{Operation, OperationId};
use fanfold_store::EventNumber;
use http::{Method, StatusCode};

use super::query::{Query, pick};
use super::uncached;
use crate::http::live::{Scope, Stream, Wanted};
use crate::http::metrics::Following;
use crate::http::outcome::{self, Response, Stop};
use crate::http::server::Shared;
use crate::http::sse::EVENT_STREAM;
use crate::http::visit::Visit;

/// With what a client comes again.
const LAST_EVENT_ID: &str = "last-event-id";

pub(super) const OF_ONE: [&str; 1] = ["after"];

pub(in crate::http) const OF_ALL: [&str; 9] =
    ["after", "dialect", "event", "mount", "resource", "route", "status", "target", "verb"];

/// `GET /operations/{id}/events`: everything that happened, and what happens from now on until the operation has ended.
pub(super) async fn of_one(shared: &Shared, visit: &Visit, id: OperationId) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &OF_ONE)?;
    let operation = shared.operation(&visit.caller, id).await?;
    let after = after(shared, visit, &query).await?;
    if let Some(after) = after.filter(|after| *after > 0)
        && is_told(shared, &operation, after).await?
    {
        // Which makes browsers stop coming again (HTML standard, section 9.2.3).
        let mut response = outcome::bare(StatusCode::NO_CONTENT);
        response.extensions_mut().insert(id);
        return Ok(response);
    }
    let mut response = begin(shared, visit, Scope::Operation(id), after.unwrap_or(0))?;
    response.extensions_mut().insert(id);
    Ok(response)
}

/// `GET /events`: what happens to all operations, from now on unless it says from where.
pub(super) async fn of_all(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &OF_ALL)?;
    let wanted = Box::new(Wanted { scope: visit.caller.access.scope.clone(), ..wanted(&query)? });
    let feed = shared.live.feed(&visit.caller.access.tenant);
    let after = match after(shared, visit, &query).await? {
        Some(after) => after,
        None => shared.store.latest_event().await?.0,
    };
    begin(shared, visit, Scope::All { feed, wanted }, after)
}

/// Whether the operation has ended and the client knows its last event.
async fn is_told(shared: &Shared, operation: &Operation, after: u64) -> Result<bool, Stop> {
    Ok(operation.end().is_some() && shared.store.history(operation.id, EventNumber(after), 1).await?.is_empty())
}

/// The number that the client goes on after. What it sends when it comes again goes before what its address says.
async fn after(shared: &Shared, visit: &Visit, query: &Query) -> Result<Option<u64>, Stop> {
    let mut fields = visit.head.headers.get_all(LAST_EVENT_ID).iter().map(|value| value.to_str().unwrap_or_default());
    // Both are read, so that what is wrong in an address is not found out only once a client comes without the field.
    let asked = query.one("after")?.map(|text| event_number("after", text)).transpose()?;
    let known = fields.next().map(|text| event_number("Last-Event-ID", text)).transpose()?;
    if fields.next().is_some() {
        return Err(not_a_number("Last-Event-ID").into());
    }
    let (name, number) = match (known, asked) {
        (Some(number), _) => ("Last-Event-ID", number),
        (None, Some(number)) => ("after", number),
        (None, None) => return Ok(None),
    };
    let latest = shared.store.latest_event().await?.0;
    if number > latest {
        let detail = format!(
            "`{name}` is {number}, but the latest event here has the number {latest}: it is from another server, or from before \
             a backup was restored; follow anew without it"
        );
        return Err(Refusal::NotPossible { detail }.into());
    }
    Ok(Some(number))
}

pub(in crate::http) fn event_number(name: &str, text: &str) -> Result<u64, Refusal> {
    let digits = Some(text).filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
    // One with more digits than any event has is later than all of them.
    let number = |digits: &str| if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(u64::MAX)) };
    digits.and_then(number).ok_or_else(|| not_a_number(name))
}

fn not_a_number(name: &str) -> Refusal {
    Refusal::BadValue { detail: format!("`{name}` is not the number of an event, as streams give it in `id`") }
}

pub(in crate::http) fn wanted(query: &Query) -> Result<Wanted, Refusal> {
    let text = |name: &str| query.one(name).map(|value| value.map(str::to_owned));
    let ends = [Status::Completed, Status::Failed, Status::Canceled].map(|status| (status.as_str(), status));
    let statuses = query.all("status").map(|text| pick("status", text, &ends));
    let names = fanfold_core::Event::NAMES.map(|name| (name, name));
    let events = query.all("event").map(|text| pick("event", text, &names));
    Ok(Wanted {
        events: events.collect::<Result<BTreeSet<_>, _>>()?,
        statuses: statuses.collect::<Result<BTreeSet<_>, _>>()?,
        route: text("route")?,
        dialect: query.word("dialect", &DialectName::ALL.map(|name| (name.as_str(), name)))?,
        mount: text("mount")?,
        verb: query.word("verb", &Verb::ALL.map(|verb| (verb.as_str(), verb)))?,
        resource: text("resource")?,
        target: query.one("target")?.map(Into::into),
        scope: fanfold_core::Scope::default(),
    })
}

fn begin(shared: &Shared, visit: &Visit, scope: Scope, after: u64) -> Result<Response, Stop> {
    let reply = Reply { status: StatusCode::OK, headers: Vec::new(), body: bytes::Bytes::new() };
    // The second field keeps proxies of the nginx kind from holding events back.
    let reply = uncached(reply).with("content-type", EVENT_STREAM).with("x-accel-buffering", "no");
    let mut response = outcome::reply(reply);
    if visit.head.method == Method::HEAD {
        return Ok(response);
    }
    let (kind, operation) = match &scope {
        Scope::Operation(id) => (Following::Operation, Some(*id)),
        Scope::All { .. } => (Following::All, None),
    };
    let follower = shared.live.followers.admit(kind, &visit.caller.access.tenant, operation)?;
    *response.body_mut() = Stream::new(&shared.live, scope, after, follower).body();
    Ok(response)
}
