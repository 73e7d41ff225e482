//! Accepting nothing any more, and accepting again.

use schemars::JsonSchema;
use serde::Serialize;

use super::query::Query;
use super::{Nothing, json, read};
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Draining")]
pub(super) struct DrainForm {
    /// Whether nothing new is accepted.
    draining: bool,
    /// Whether, moreover, nothing is under way any more.
    drained: bool,
}

/// `POST /drain` and `POST /resume`. Asking again changes nothing.
pub(super) async fn set(shared: &Shared, visit: Visit, draining: bool) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let Nothing {} = read(visit.body)?;
    shared.engine.drain(draining);
    tracing::info!(by = %visit.caller.name, draining, "accepting was switched");
    Ok(json(&DrainForm { draining: shared.engine.is_draining(), drained: shared.engine.is_drained() }))
}
