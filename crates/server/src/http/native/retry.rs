//! Retrying an operation.

use fanfold_core::OperationId;
use fanfold_engine::RetryRequest;
use serde::Deserialize;

use super::query::Query;
use super::read;
use crate::http::auth::Caller;
use crate::http::head;
use crate::http::outcome::{self, Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    force: bool,
}

/// `POST /operations/{id}/retry`: 202 with a new operation.
pub(super) async fn retry(shared: &Shared, visit: Visit, id: OperationId) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let headers = head::fields(&visit.head.headers)?;
    let Visit { caller: Caller { access, name: by, .. }, front, body, .. } = visit;
    let Wanted { force } = read(body)?;
    let accepted = shared.engine.retry(RetryRequest { access: &access, id, force, by: &by, headers }).await?.operation;
    let native = front.native();
    let mut response = outcome::reply(native.wire().accepted(native, &accepted));
    response.extensions_mut().insert(accepted.id);
    Ok(response)
}
