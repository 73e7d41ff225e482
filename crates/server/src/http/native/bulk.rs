//! Canceling and retrying all operations that a query chooses, up to a bound; the answer tells where to go on.

use fanfold_core::OperationId;
use fanfold_core::access::audit::Action;
use fanfold_core::dialect::Refusal;
use fanfold_engine::{BulkOutcome, BulkRequest, Deed, Done};
use fanfold_store::Filter;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operations::{choosing, filter};
use super::query::Query;
use super::{json, read};
use crate::http::audited::Audited;
use crate::http::auth::Caller;
use crate::http::outcome::{Response, Stop};
use crate::http::page::{self, Token};
use crate::http::server::Shared;
use crate::http::visit::Visit;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelAll {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    all: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryAll {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    force: bool,
}

/// What was, or would be, done.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Bulk")]
pub(super) struct BulkForm {
    /// With how many it was, or would be, done.
    done: usize,
    operations: Vec<DoneForm>,
    refused: Vec<RefusedForm>,
    /// Those that were accepted later are not among them: give it as `until` together with the token.
    until: Timestamp,
    /// Where to go on.
    next_page_token: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DoneOne")]
pub(super) struct DoneForm {
    operation: OperationId,
    /// What that does, in words.
    effect: String,
    /// The new operation; absent for what was canceled, and of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    retried_by: Option<OperationId>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RefusedOne")]
pub(super) struct RefusedForm {
    pub(super) operation: OperationId,
    /// Why.
    pub(super) detail: String,
}

/// `POST /operations/cancel`
pub(super) async fn cancel(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    let Visit { caller, head, body, .. } = visit;
    let asked = Asked::read(head.uri.query(), &caller)?;
    let CancelAll { dry_run, all } = read(body)?;
    asked.check(all)?;
    answer(shared, &caller, Deed::Cancel, asked, (head.uri.query(), dry_run)).await
}

/// `POST /operations/retry`
pub(super) async fn retry(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    let Visit { caller, head, body, .. } = visit;
    let asked = Asked::read(head.uri.query(), &caller)?;
    let RetryAll { dry_run, all, force } = read(body)?;
    asked.check(all)?;
    answer(shared, &caller, Deed::Retry { force }, asked, (head.uri.query(), dry_run)).await
}

/// What a query chooses.
struct Asked {
    filter: Filter,
    after: Option<OperationId>,
    /// Whether anything in it does.
    chooses: bool,
    /// Whether it chooses some of all.
    chooses_some: bool,
}

impl Asked {
    fn read(raw: Option<&str>, caller: &Caller) -> Result<Self, Refusal> {
        let known = choosing();
        let query = Query::read(raw, &known)?;
        let after = page::operation_key(query.one("page_token")?)?;
        let chosen = |name: &&&str| **name != "page_token" && query.all(name).next().is_some();
        let chooses = known.iter().any(|name| chosen(&name));
        // Whoever goes on with all of them says until when.
        let chooses_some = known.iter().filter(chosen).any(|name| *name != "until" || after.is_none());
        Ok(Self { filter: filter(&query, caller)?, after, chooses, chooses_some })
    }

    /// Nobody means all of them by leaving something out.
    fn check(&self, all: bool) -> Result<(), Refusal> {
        match (self.chooses, self.chooses_some, all) {
            (true, _, false) | (_, false, true) => Ok(()),
            (false, _, false) => {
                let detail = "choose operations by query parameters, or say `all` in the body".to_owned();
                Err(Refusal::BadValue { detail })
            }
            (_, true, true) => {
                let detail = "`all` does not go with query parameters that choose some".to_owned();
                Err(Refusal::BadValue { detail })
            }
        }
    }
}

async fn answer(
    shared: &Shared,
    caller: &Caller,
    deed: Deed,
    asked: Asked,
    (chosen, dry_run): (Option<&str>, bool),
) -> Result<Response, Stop> {
    let until = shared.clock.now();
    let until = asked.filter.until.map_or(until, |asked| asked.min(until));
    let done = carry_out(shared, caller, deed, (asked.filter, asked.after, chosen), (until, dry_run)).await?;
    Ok(json(&BulkForm::of(done, until)))
}

/// Does it, or tells what would be done. `chosen`: what chooses the
/// operations, as it was sent.
pub(in crate::http) async fn carry_out(
    shared: &Shared,
    caller: &Caller,
    deed: Deed,
    (filter, after, chosen): (Filter, Option<OperationId>, Option<&str>),
    (until, dry_run): (Timestamp, bool),
) -> Result<BulkOutcome, Stop> {
    let request = BulkRequest { deed, filter, after, until, dry_run, by: caller.name.clone() };
    let doing = async { Ok(shared.engine.bulk(request).await?) };
    if dry_run {
        return doing.await;
    }
    let action = match deed {
        Deed::Cancel => Action::BulkCancel,
        Deed::Retry { .. } => Action::BulkRetry,
    };
    shared.audited(caller, Audited::other(action, chosen.unwrap_or("all")), doing).await
}

impl BulkForm {
    fn of(outcome: BulkOutcome, until: Timestamp) -> Self {
        let BulkOutcome { done, refused, next } = outcome;
        let form = |Done { id, effect, retried_by }| DoneForm { operation: id, effect, retried_by };
        let refusal = |(operation, detail)| RefusedForm { operation, detail };
        Self {
            done: done.len(),
            operations: done.into_iter().map(form).collect(),
            refused: refused.into_iter().map(refusal).collect(),
            until,
            next_page_token: next.map(|id| Token::Operation(id).text()),
        }
    }
}
