//! The native API below `/api/v1`: which handler answers which path, and what their answers have in common.
//!
//! Its bodies are core's native forms where they are about operations, and forms of the files here where they are about the
//! server. Every error is a problem (RFC 9457).

pub(in crate::http) mod attention;
mod audit;
pub(in crate::http) mod budgets;
pub(in crate::http) mod bulk;
mod caller;
mod drain;
pub(in crate::http) mod entity;
pub(in crate::http) mod events;
pub(in crate::http) mod extend;
mod forms;
mod history;
pub(in crate::http) mod notices;
pub(in crate::http) mod operation;
pub(in crate::http) mod operations;
pub(in crate::http) mod paths;
pub(in crate::http) mod plan;
pub(in crate::http) mod query;
mod release;
mod retry;
pub(in crate::http) mod routes;
mod status;
pub(in crate::http) mod targets;
mod tokens;

use fanfold_core::OperationId;
use fanfold_core::dialect::{Refusal, Reply};
use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::auth::rules::Needs;
use super::door::API;
use super::outcome::{self, Response, Stop};
use super::server::Shared;
use super::visit::{Visit, Whole};
pub(in crate::http) use forms::describe;
use paths::{Asked, Deed, Page, Path};

/// A body that says nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Answers a request to the native API.
pub(super) async fn serve(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    let segments = segments(visit.path()).ok_or_else(no_such_path)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (path, about) = Path::find(&segments).ok_or_else(no_such_path)?;
    let allow = path.methods();
    if !allow.contains(&visit.head.method) {
        return Err(Refusal::MethodNotAllowed { allow: allow.to_vec() }.into());
    }
    match path.asked {
        Asked::Read(page) => read_page(shared, &visit, page, about).await,
        Asked::Change(deed) => Box::pin(change(shared, visit, deed, about)).await,
    }
}

async fn read_page(shared: &Shared, visit: &Visit, page: Page, about: &str) -> Result<Response, Stop> {
    match page {
        Page::Audit => audit::list(shared, visit).await,
        Page::Caller => caller::show(visit),
        Page::Attention => attention::list(shared, visit).await,
        Page::Note => attention::show(shared, visit, about).await,
        Page::Events => events::of_all(shared, visit).await,
        Page::Notices => notices::list(shared, visit).await,
        Page::Notice => notices::show(shared, visit, about).await,
        Page::Operations => operations::list(shared, visit).await,
        Page::Operation => Box::pin(operation::show(shared, visit, operation_id(about)?)).await,
        Page::EventsOfOne => events::of_one(shared, visit, operation_id(about)?).await,
        Page::History => history::list(shared, visit, operation_id(about)?).await,
        Page::Routes => routes::list(visit),
        Page::Status => status::show(shared, visit).await,
        Page::Targets => targets::list(shared, visit).await,
        Page::Target => targets::show(shared, visit, about).await,
        Page::Tokens => tokens::list(shared, visit).await,
        Page::Token => tokens::show(shared, visit, about).await,
    }
}

async fn change(shared: &Shared, visit: Visit, deed: Deed, about: &str) -> Result<Response, Stop> {
    let Some(audited) = deed.audited(about) else { return perform(shared, visit, deed, about).await };
    let caller = visit.caller.clone();
    shared.audited(&caller, audited, Box::pin(perform(shared, visit, deed, about))).await
}

async fn perform(shared: &Shared, visit: Visit, deed: Deed, about: &str) -> Result<Response, Stop> {
    match deed {
        Deed::Acknowledge => attention::acknowledge(shared, visit, about).await,
        Deed::Resolve => attention::resolve(shared, visit, about).await,
        Deed::Drain => drain::set(shared, visit, true).await,
        Deed::Resume => drain::set(shared, visit, false).await,
        Deed::Plan => plan::plan(shared, visit).await,
        Deed::Replay => notices::replay(shared, visit, about).await,
        Deed::Cancel => operation::cancel(shared, visit, operation_id(about)?).await,
        Deed::Extend => extend::extend(shared, visit, operation_id(about)?).await,
        Deed::Retry => retry::retry(shared, visit, operation_id(about)?).await,
        Deed::ReleaseRestored => release::one(shared, visit, operation_id(about)?).await,
        Deed::ReleaseAllRestored => release::all(shared, visit).await,
        Deed::CancelAll => bulk::cancel(shared, visit).await,
        Deed::RetryAll => bulk::retry(shared, visit).await,
        Deed::Hold => targets::hold(shared, visit, about).await,
        Deed::Release => targets::release(shared, visit, about).await,
        Deed::CreateToken => tokens::create(shared, visit).await,
        Deed::RevokeToken => tokens::revoke(shared, visit, about).await,
    }
}

/// The decoded segments of the path below the API; `None` where one is not UTF-8.
fn segments(path: &str) -> Option<Vec<String>> {
    let below = path.strip_prefix(API)?.strip_prefix('/')?;
    below.split('/').map(|raw| percent_decode_str(raw).decode_utf8().ok().map(Into::into)).collect()
}

/// What is said of a path that is none, and of one that is not for whoever asks.
pub(in crate::http) fn no_such_path() -> Refusal {
    let detail = "the API has no such path, or it is not for you: /api/v1/caller tells what is";
    Refusal::NotFound { detail: detail.to_owned() }
}

/// What a request for this path needs.
pub(in crate::http) fn needs(path: &str) -> Needs {
    let Some(segments) = segments(path) else { return Needs::Known };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    Path::find(&segments).map_or(Needs::Known, |(path, _)| path.needs)
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
fn read<T: DeserializeOwned>(body: Whole) -> Result<T, Stop> {
    let octets = body?;
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
