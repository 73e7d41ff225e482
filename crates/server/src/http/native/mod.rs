//! The native API below `/api/v1`: which handler answers which path, and what their answers have in common.
//!
//! Its bodies are core's native forms where they are about operations, and forms of the files here where they are about the
//! server. Every error is a problem (RFC 9457).

mod attention;
mod budgets;
mod drain;
mod entity;
mod events;
mod extend;
mod history;
mod notices;
mod operation;
mod operations;
mod query;
mod release;
mod retry;
mod routes;
mod status;
mod targets;

use fanfold_core::OperationId;
use fanfold_core::dialect::{Refusal, Reply};
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::body;
use super::door::API;
use super::outcome::{self, Response, Stop};
use super::server::Shared;
use super::visit::Visit;

/// A body that says nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What a path of the API is about, and what is to be done there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked<'a> {
    Read(Page<'a>),
    Change(Deed<'a>),
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page<'a> {
    Attention,
    Note(&'a str),
    Events,
    Notices,
    Notice(&'a str),
    Operations,
    Operation(&'a str),
    EventsOfOne(&'a str),
    History(&'a str),
    Routes,
    Status,
    Targets,
    Target(&'a str),
}

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed<'a> {
    Acknowledge(&'a str),
    Resolve(&'a str),
    Drain,
    Resume,
    Replay(&'a str),
    Cancel(&'a str),
    Extend(&'a str),
    Retry(&'a str),
    ReleaseRestored(&'a str),
    ReleaseAllRestored,
    Hold(&'a str),
    Release(&'a str),
}

/// Answers a request to the native API.
pub(super) async fn serve(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    let segments = segments(&visit).ok_or_else(nothing)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let asked = Asked::of(&segments).ok_or_else(nothing)?;
    let allow = asked.methods();
    if !allow.contains(&visit.head.method) {
        return Err(Refusal::MethodNotAllowed { allow: allow.to_vec() }.into());
    }
    match asked {
        Asked::Read(page) => read_page(shared, &visit, page).await,
        Asked::Change(deed) => Box::pin(change(shared, visit, deed)).await,
    }
}

async fn read_page(shared: &Shared, visit: &Visit, page: Page<'_>) -> Result<Response, Stop> {
    match page {
        Page::Attention => attention::list(shared, visit).await,
        Page::Note(id) => attention::show(shared, visit, id).await,
        Page::Events => events::of_all(shared, visit).await,
        Page::Notices => notices::list(shared, visit).await,
        Page::Notice(id) => notices::show(shared, visit, id).await,
        Page::Operations => operations::list(shared, visit).await,
        Page::Operation(id) => Box::pin(operation::show(shared, visit, operation_id(id)?)).await,
        Page::EventsOfOne(id) => events::of_one(shared, visit, operation_id(id)?).await,
        Page::History(id) => history::list(shared, visit, operation_id(id)?).await,
        Page::Routes => routes::list(visit),
        Page::Status => status::show(shared, visit).await,
        Page::Targets => targets::list(shared, visit).await,
        Page::Target(name) => targets::show(shared, visit, name).await,
    }
}

async fn change(shared: &Shared, visit: Visit, deed: Deed<'_>) -> Result<Response, Stop> {
    match deed {
        Deed::Acknowledge(id) => attention::acknowledge(shared, visit, id).await,
        Deed::Resolve(id) => attention::resolve(shared, visit, id).await,
        Deed::Drain => drain::set(shared, visit, true).await,
        Deed::Resume => drain::set(shared, visit, false).await,
        Deed::Replay(id) => notices::replay(shared, visit, id).await,
        Deed::Cancel(id) => operation::cancel(shared, visit, operation_id(id)?).await,
        Deed::Extend(id) => extend::extend(shared, visit, operation_id(id)?).await,
        Deed::Retry(id) => retry::retry(shared, visit, operation_id(id)?).await,
        Deed::ReleaseRestored(id) => release::one(shared, visit, operation_id(id)?).await,
        Deed::ReleaseAllRestored => release::all(shared, visit).await,
        Deed::Hold(name) => targets::hold(shared, visit, name).await,
        Deed::Release(name) => targets::release(shared, visit, name).await,
    }
}

impl<'a> Asked<'a> {
    fn of(segments: &[&'a str]) -> Option<Self> {
        use Asked::{Change, Read};
        Some(match segments {
            ["attention"] => Read(Page::Attention),
            ["attention", id] => Read(Page::Note(id)),
            ["attention", id, "acknowledge"] => Change(Deed::Acknowledge(id)),
            ["attention", id, "resolve"] => Change(Deed::Resolve(id)),
            ["drain"] => Change(Deed::Drain),
            ["events"] => Read(Page::Events),
            ["notices"] => Read(Page::Notices),
            ["notices", id] => Read(Page::Notice(id)),
            ["notices", id, "replay"] => Change(Deed::Replay(id)),
            ["operations"] => Read(Page::Operations),
            ["operations", "release"] => Change(Deed::ReleaseAllRestored),
            ["operations", id] => Read(Page::Operation(id)),
            ["operations", id, "cancel"] => Change(Deed::Cancel(id)),
            ["operations", id, "events"] => Read(Page::EventsOfOne(id)),
            ["operations", id, "extend"] => Change(Deed::Extend(id)),
            ["operations", id, "history"] => Read(Page::History(id)),
            ["operations", id, "release"] => Change(Deed::ReleaseRestored(id)),
            ["operations", id, "retry"] => Change(Deed::Retry(id)),
            ["resume"] => Change(Deed::Resume),
            ["routes"] => Read(Page::Routes),
            ["status"] => Read(Page::Status),
            ["targets"] => Read(Page::Targets),
            ["targets", name] => Read(Page::Target(name)),
            ["targets", name, "hold"] => Change(Deed::Hold(name)),
            ["targets", name, "release"] => Change(Deed::Release(name)),
            _ => return None,
        })
    }

    fn methods(self) -> &'static [Method] {
        match self {
            Self::Read(_) => &[Method::GET, Method::HEAD],
            Self::Change(_) => &[Method::POST],
        }
    }
}

/// The decoded segments of the path below the API; `None` where one is not UTF-8.
fn segments(visit: &Visit) -> Option<Vec<String>> {
    let below = visit.path().strip_prefix(API)?.strip_prefix('/')?;
    below.split('/').map(|raw| percent_decode_str(raw).decode_utf8().ok().map(Into::into)).collect()
}

fn nothing() -> Stop {
    Refusal::NotFound { detail: "the API has no such path".to_owned() }.into()
}

/// A text that cannot be an id names no operation.
fn operation_id(text: &str) -> Result<OperationId, Stop> {
    text.parse().map_err(|_| Stop::not_found("operation"))
}

/// A JSON answer. What it says may be another thing a moment later.
fn json(form: &impl Serialize) -> Response {
    outcome::reply(uncached(Reply::json(StatusCode::OK, form)))
}

fn uncached(reply: Reply) -> Reply {
    reply.with("cache-control", "no-cache")
}

/// Reads a body that is a JSON object, or absent, which counts as an empty one.
async fn read<T: DeserializeOwned>(shared: &Shared, body: hyper::body::Incoming) -> Result<T, Stop> {
    let config = &shared.config;
    let octets = body::read(body, config.body_bytes_max, config.body_time_max).await?;
    let octets = if octets.is_empty() { b"{}" } else { octets.as_ref() };
    // Serde takes an array for the members of a structure, in their order.
    if octets.trim_ascii_start().first() == Some(&b'[') {
        return Err(Refusal::Unparsable { detail: "the request body is an array, and not an object".to_owned() }.into());
    }
    let read = serde_json::from_slice(octets);
    read.map_err(|error| {
        Refusal::Unparsable { detail: format!("the request body is not as it should be: {error}") }.into()
    })
}

/// Milliseconds as a JSON number.
fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
