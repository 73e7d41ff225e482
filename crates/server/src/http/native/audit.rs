//! The audit trail: who did what, when, from where, with which operation or target.

use fanfold_core::access::audit::Action;
use fanfold_core::{OperationId, TargetName};
use fanfold_store::{AuditEntry, AuditFilter, AuditNumber, Order, Page};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::entity;
use super::query::Query;
use crate::http::outcome::{Response, Stop};
use crate::http::page::{self, CHUNK, Token};
use crate::http::server::Shared;
use crate::http::visit::Visit;

pub(super) const KNOWN: [&str; 7] = ["action", "by", "limit", "operation", "page_token", "since", "until"];

/// An entry of the trail. It is written before something is done (`asked`), and what came of it is another one.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub(super) struct AuditForm {
    number: u64,
    at: Timestamp,
    tenant: String,
    /// The name that their credential has.
    by: String,
    /// The kind of their credential.
    credential: String,
    /// The address that the request came from.
    from: String,
    action: Action,
    operation: Option<OperationId>,
    #[schemars(with = "Option<String>")]
    target: Option<TargetName>,
    /// What else it was about: a note, a notice, a token, or what chose many operations.
    subject: Option<String>,
    /// What exactly was asked for, where that is more: of a token that was to be made its name, tenant, roles, and what narrows it.
    detail: Option<String>,
    /// `asked`, `done` or `refused`.
    #[schemars(extend("enum" = ["asked", "done", "refused"]))]
    outcome: &'static str,
    /// Why it was refused.
    reason: Option<String>,
}

/// `GET /audit`: of the caller's tenant; of all tenants for the house's own people.
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &KNOWN)?;
    let limit = query.limit()?;
    let time = |name: &str| query.parsed(name, "a time as in RFC 3339", |text| text.parse().ok());
    let actions = Action::ALL.map(|action| (action.as_str(), action));
    let access = &visit.caller.access;
    let filter = AuditFilter {
        tenant: (!access.is_of_the_house()).then(|| access.tenant.clone()),
        by: query.one("by")?.map(str::to_owned),
        action: query.word("action", &actions)?,
        operation: query.parsed("operation", "the id of an operation", |text| text.parse().ok())?,
        since: time("since")?,
        until: time("until")?,
    };
    let mut after = page::number_key(query.one("page_token")?)?.map(AuditNumber);
    let mut forms = Vec::new();
    // One more than is wanted tells whether there are more.
    while forms.len() <= limit {
        let wanted = (limit + 1 - forms.len()).min(CHUNK);
        let read = shared.store.audit(&filter, Page { order: Order::NewestFirst, after, limit: wanted }).await?;
        let is_last = read.len() < wanted;
        after = read.last().map(|entry| entry.number).or(after);
        forms.extend(read.into_iter().map(AuditForm::of));
        if is_last {
            break;
        }
    }
    let next = page::cut(&mut forms, limit, |form| Token::Number(form.number));
    Ok(entity::page(visit, &query, "audit", &forms, next))
}

impl AuditForm {
    fn of(AuditEntry { number, entry }: AuditEntry) -> Self {
        Self {
            number: number.0,
            at: entry.at,
            tenant: entry.tenant.to_string(),
            by: entry.by,
            credential: entry.credential,
            from: entry.from,
            action: entry.action,
            operation: entry.operation,
            target: entry.target,
            subject: entry.subject,
            detail: entry.detail,
            outcome: entry.outcome.as_str(),
            reason: entry.outcome.reason().map(str::to_owned),
        }
    }
}
