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

/// Methods of what is read.
const READ: [Method; 2] = [Method::GET, Method::HEAD];

/// Answers a request to the native API.
pub(super) async fn serve(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    let segments = segments(&visit).ok_or_else(nothing)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let [what @ .., verb @ ("acknowledge" | "cancel" | "extend" | "hold" | "release" | "replay" | "resolve")] =
        segments.as_slice()
        && matches!(what, ["attention" | "notices" | "operations" | "targets", _])
    {
        return Box::pin(change(shared, visit, what, verb)).await;
    }
    if let [verb @ ("drain" | "resume")] = segments.as_slice() {
        only(&visit.head.method, &[Method::POST])?;
        return drain::set(shared, visit, *verb == "drain").await;
    }
    if !is_read(&segments) {
        return Err(nothing());
    }
    only(&visit.head.method, &READ)?;
    match segments.as_slice() {
        ["attention"] => attention::list(shared, &visit).await,
        ["attention", id] => attention::show(shared, &visit, id).await,
        ["events"] => events::of_all(shared, &visit).await,
        ["notices"] => notices::list(shared, &visit).await,
        ["notices", id] => notices::show(shared, &visit, id).await,
        ["operations"] => operations::list(shared, &visit).await,
        ["operations", id] => Box::pin(operation::show(shared, &visit, operation_id(id)?)).await,
        ["operations", id, "events"] => events::of_one(shared, &visit, operation_id(id)?).await,
        ["operations", id, "history"] => history::list(shared, &visit, operation_id(id)?).await,
        ["routes"] => routes::list(&visit),
        ["status"] => status::show(shared, &visit).await,
        ["targets"] => targets::list(shared, &visit).await,
        ["targets", name] => targets::show(shared, &visit, name).await,
        _ => Err(nothing()),
    }
}

/// Whether a path is one of those that are read.
fn is_read(segments: &[&str]) -> bool {
    matches!(
        segments,
        ["attention" | "events" | "notices" | "operations" | "routes" | "status" | "targets"]
            | ["attention" | "notices" | "operations" | "targets", _]
            | ["operations", _, "events" | "history"]
    )
}

/// Requests that change something.
async fn change(shared: &Shared, visit: Visit, what: &[&str], verb: &str) -> Result<Response, Stop> {
    match (what, verb) {
        (["attention", id], "acknowledge") => {
            only(&visit.head.method, &[Method::POST])?;
            attention::acknowledge(shared, visit, id).await
        }
        (["notices", id], "replay") => {
            only(&visit.head.method, &[Method::POST])?;
            notices::replay(shared, visit, id).await
        }
        (["attention", id], "resolve") => {
            only(&visit.head.method, &[Method::POST])?;
            attention::resolve(shared, visit, id).await
        }
        (["operations", id], "cancel") => {
            only(&visit.head.method, &[Method::POST])?;
            operation::cancel(shared, visit, operation_id(id)?).await
        }
        (["operations", id], "extend") => {
            only(&visit.head.method, &[Method::POST])?;
            extend::extend(shared, visit, operation_id(id)?).await
        }
        (["targets", name], "hold") => {
            only(&visit.head.method, &[Method::POST])?;
            targets::hold(shared, visit, name).await
        }
        (["targets", name], "release") => {
            only(&visit.head.method, &[Method::POST])?;
            targets::release(shared, visit, name).await
        }
        _ => Err(nothing()),
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

fn only(method: &Method, allow: &[Method]) -> Result<(), Refusal> {
    if allow.contains(method) {
        return Ok(());
    }
    Err(Refusal::MethodNotAllowed { allow: allow.to_vec() })
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
    let read = serde_json::from_slice(octets);
    read.map_err(|error| {
        Refusal::Unparsable { detail: format!("the request body is not as it should be: {error}") }.into()
    })
}

/// Milliseconds as a JSON number.
fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
