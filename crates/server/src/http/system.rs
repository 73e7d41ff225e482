//! The pages for programs: `/healthz`, `/readyz`, `/metrics` for monitoring, and `/openapi.json`.

use std::time::Duration;

use bytes::Bytes;
use fanfold_core::dialect::{Refusal, Reply};
use fanfold_store::Error as StoreError;
use http::{HeaderMap, Method, StatusCode};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use tokio::time::timeout;

use super::door::System;
use super::exposition::Form;
use super::openapi;
use super::outcome::{self, Response, Stop};
use super::server::Shared;
use super::visit::Arriving;

/// How long the store may take to answer the question whether it is there.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// Whether the server can do its work.
#[derive(Serialize, JsonSchema)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
}

/// Makes the schema of what they answer in JSON.
pub(super) fn describe(generator: &mut SchemaGenerator) {
    generator.subschema_for::<Readiness>();
}

/// Answers a request to one of the pages.
pub(super) async fn serve(shared: &Shared, visit: &Arriving, page: System) -> Result<Response, Stop> {
    if !matches!(visit.head.method, Method::GET | Method::HEAD) {
        return Err(Refusal::MethodNotAllowed { allow: vec![Method::GET, Method::HEAD] }.into());
    }
    Ok(outcome::reply(match page {
        // That it answers is all that it says.
        System::Health => text("text/plain; charset=utf-8", Bytes::from_static(b"ok\n")),
        System::Readiness => readiness(shared).await,
        System::Metrics => metrics(shared, &visit.head.headers).await?,
        System::Document => {
            Reply::json(StatusCode::OK, &openapi::document(&visit.front, shared.authenticator().asks()))
                .with("cache-control", "no-cache")
        }
    }))
}

async fn readiness(shared: &Shared) -> Reply {
    let mut reasons = Vec::new();
    if shared.is_stopping() {
        reasons.push("the server is about to stop".to_owned());
    } else if shared.engine.is_draining() {
        let how_far = if shared.engine.is_drained() { ", and nothing is under way any more" } else { "" };
        reasons.push(format!("the server is draining{how_far}"));
    }
    if !shared.engine.has_lease() {
        reasons.push("this node could not beat for as long as its lease, and sends nothing".to_owned());
    }
    // The store itself has told the log why, once.
    reasons.extend(shared.store.trouble().as_ref().map(trouble_in_words).map(str::to_owned));
    match timeout(STORE_PATIENCE, shared.store.counts(None)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::debug!(%error, "not ready: the store cannot be read");
            reasons.push("the store cannot be read".to_owned());
        }
        Err(_) => reasons.push("the store does not answer".to_owned()),
    }
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Reply::json(status, &Readiness { ready, reasons }).with("cache-control", "no-store")
}

/// Why the store cannot be written. Paths and details are for the log only.
pub(super) fn trouble_in_words(trouble: &StoreError) -> &'static str {
    match trouble {
        StoreError::Full { .. } => "the store cannot be written: it is full",
        StoreError::Unavailable { .. }
        | StoreError::Locked { .. }
        | StoreError::Conflict
        | StoreError::Fenced
        | StoreError::NotFound { .. }
        | StoreError::Invalid { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Unusable { .. }
        | StoreError::NewerSchema { .. }
        | StoreError::ChangedMigration { .. }
        | StoreError::Key { .. } => "the store cannot be written",
    }
}

async fn metrics(shared: &Shared, headers: &HeaderMap) -> Result<Reply, Refusal> {
    shared.standing.look(&*shared.store, &shared.engine, shared.tls(), shared.clock.now()).await;
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &shared.registry).map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        Refusal::Internal
    })?;
    let form = Form::accepted(headers);
    Ok(text(form.media_type(), form.written(page).into()))
}

fn text(media_type: &str, body: Bytes) -> Reply {
    Reply { status: StatusCode::OK, headers: vec![("content-type".to_owned(), media_type.to_owned())], body }
}
