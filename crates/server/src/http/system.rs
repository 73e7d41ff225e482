//! The pages for monitoring: `/healthz`, `/readyz`, `/metrics`.

use std::time::Duration;

use bytes::Bytes;
use fanfold_core::dialect::{Refusal, Reply};
use fanfold_store::Error as StoreError;
use http::{Method, StatusCode};
use serde::Serialize;
use tokio::time::timeout;

use super::door::System;
use super::outcome::{self, Response, Stop};
use super::server::Shared;
use super::visit::Visit;

/// How long the store may take to answer the question whether it is there.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// The media type of the OpenMetrics text format, which Prometheus and its likes read.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the server can do its work.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
}

/// Answers a request to one of the pages.
pub(super) async fn serve(shared: &Shared, visit: &Visit, page: System) -> Result<Response, Stop> {
    if !matches!(visit.head.method, Method::GET | Method::HEAD) {
        return Err(Refusal::MethodNotAllowed { allow: vec![Method::GET, Method::HEAD] }.into());
    }
    Ok(outcome::reply(match page {
        // That it answers is all that it says.
        System::Health => text("text/plain; charset=utf-8", Bytes::from_static(b"ok\n")),
        System::Readiness => readiness(shared).await,
        System::Metrics => metrics(shared)?,
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

fn metrics(shared: &Shared) -> Result<Reply, Refusal> {
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &shared.registry).map_err(|error| {
        tracing::error!(%error, "the metrics cannot be written");
        Refusal::Internal
    })?;
    Ok(text(METRICS_TYPE, page.into()))
}

fn text(media_type: &str, body: Bytes) -> Reply {
    Reply { status: StatusCode::OK, headers: vec![("content-type".to_owned(), media_type.to_owned())], body }
}
