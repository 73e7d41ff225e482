//! Releasing operations that came from a backup.

use fanfold_core::OperationId;
use fanfold_core::access::audit::Action;
use fanfold_engine::{ReleaseRequest, Released};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attention::check_remark;
use super::bulk::RefusedForm;
use super::operation::detail;
use super::operations::{choosing, filter};
use super::query::Query;
use super::{json, read};
use crate::http::audited::Audited;
use crate::http::outcome::{self, Response, Stop};
use crate::http::page::{self, Token};
use crate::http::server::Shared;
use crate::http::visit::Visit;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    #[serde(default)]
    remark: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct All {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    remark: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Released")]
pub(super) struct ReleasedForm {
    /// Operations that wait to be released, among those that the query chooses.
    found: u64,
    released: u64,
    refused: Vec<RefusedForm>,
    /// Where to go on.
    next_page_token: Option<String>,
}

/// `POST /operations/{id}/release`
pub(super) async fn one(shared: &Shared, visit: Visit, id: OperationId) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let One { remark } = read(visit.body)?;
    check_remark(remark.as_deref())?;
    // Whose it is comes before what can be done with it.
    shared.operation(&visit.caller, id).await?;
    let operation = shared.engine.release_restored(id, visit.caller.name.clone(), remark).await?;
    let mut response = outcome::reply(detail(shared, &visit.front, StatusCode::ACCEPTED, operation).await?);
    response.extensions_mut().insert(id);
    Ok(response)
}

/// `POST /operations/release`: those that the query chooses, up to a bound; the answer tells where to go on.
pub(super) async fn all(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &choosing())?;
    let after = page::operation_key(query.one("page_token")?)?;
    let filter = filter(&query, &visit.caller)?;
    let by = visit.caller.name.clone();
    let All { dry_run, remark } = read(visit.body)?;
    check_remark(remark.as_deref())?;
    let request = ReleaseRequest { filter, after, dry_run, by, remark };
    let releasing = async { Ok(shared.engine.release_all_restored(request).await?) };
    let done = if dry_run {
        releasing.await?
    } else {
        let what = Audited::other(Action::ReleaseRestored, visit.head.uri.query().unwrap_or("all"));
        shared.audited(&visit.caller, what, releasing).await?
    };
    Ok(json(&ReleasedForm::of(done)))
}

impl ReleasedForm {
    fn of(done: Released) -> Self {
        let refused = done.refused.into_iter();
        Self {
            found: done.found,
            released: done.released,
            refused: refused.map(|(operation, error)| RefusedForm { operation, detail: error.to_string() }).collect(),
            next_page_token: done.next.map(|id| Token::Operation(id).text()),
        }
    }
}
