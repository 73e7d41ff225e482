//! The list of operations, with its filters.

use std::collections::BTreeSet;

use fanfold_core::dialect::Refusal;
use fanfold_core::dialect::native::OperationSummary;
use fanfold_core::operation::Status;
use fanfold_core::plan::{DialectName, Verb};
use fanfold_store::Filter;
use jiff::Timestamp;

use super::entity;
use super::query::{Query, pick};
use crate::http::auth::Caller;
use crate::http::outcome::{Response, Stop};
use crate::http::page::{self, Token};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// What may stand in the query of a list.
pub(super) const KNOWN: [&str; 14] = [
    "attention",
    "dialect",
    "limit",
    "mount",
    "page_token",
    "resource",
    "retry_of",
    "route",
    "since",
    "status",
    "target",
    "text",
    "until",
    "verb",
];

/// `GET /operations`
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &KNOWN)?;
    let filter = filter(&query, &visit.caller)?;
    let after = page::operation_key(query.one("page_token")?)?;
    let native = visit.front.native();
    let show = |operation: &_| OperationSummary::of(native, operation);
    let (entries, more) = page::operations(&*shared.store, &filter, after, query.limit()?, show).await?;
    Ok(entity::page(visit, &query, "operations", &entries, more.map(Token::Operation)))
}

/// The filter that a query asks for.
pub(super) fn filter(query: &Query, caller: &Caller) -> Result<Filter, Refusal> {
    let text = |name: &str| query.one(name).map(|value| value.map(str::to_owned));
    let time = |name: &str| {
        query.parsed(name, "a time as in RFC 3339 before the year 9999, for instance 2026-12-01T04:00:00Z", |text| {
            text.parse::<Timestamp>().ok()
        })
    };
    let statuses = Status::ALL.map(|status| (status.as_str(), status));
    let asked = query.all("status").map(|text| pick("status", text, &statuses));
    Ok(Filter {
        tenant: caller.tenant.clone(),
        statuses: asked.collect::<Result<BTreeSet<_>, _>>()?,
        route: text("route")?,
        dialect: query.word("dialect", &DialectName::ALL.map(|name| (name.as_str(), name)))?,
        mount: text("mount")?,
        owner: None,
        verb: query.word("verb", &Verb::ALL.map(|verb| (verb.as_str(), verb)))?,
        resource: text("resource")?,
        target: query.one("target")?.map(Into::into),
        attention: query.word("attention", &[("true", true), ("false", false)])?,
        since: time("since")?,
        until: time("until")?,
        text: text("text")?,
        retry_of: query.parsed("retry_of", "the id of an operation", |text| text.parse().ok())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_read() {
        let raw = "status=failed&status=canceled&route=r&dialect=msf&mount=%2Fv1&verb=delete&resource=%2Fv1%2Fx&target=tokyo\
                   &attention=true&since=2026-01-01T00:00:00Z&until=2026-02-01T00:00:00Z&text=slice\
                   &retry_of=01a20105-0000-7000-8000-000000000001";
        let caller = Caller { tenant: "t".into(), name: "n".to_owned() };
        let query = Query::read(Some(raw), &KNOWN).unwrap();
        let expected = Filter {
            tenant: "t".into(),
            statuses: [Status::Failed, Status::Canceled].into(),
            route: Some("r".to_owned()),
            dialect: Some(DialectName::Msf),
            mount: Some("/v1".to_owned()),
            owner: None,
            verb: Some(Verb::Delete),
            resource: Some("/v1/x".to_owned()),
            target: Some("tokyo".into()),
            attention: Some(true),
            since: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            until: Some("2026-02-01T00:00:00Z".parse().unwrap()),
            text: Some("slice".to_owned()),
            retry_of: Some("01a20105-0000-7000-8000-000000000001".parse().unwrap()),
        };
        assert_eq!(filter(&query, &caller), Ok(expected));
        for raw in ["status=done", "dialect=x", "verb=POST", "attention=1", "since=yesterday", "retry_of=x"] {
            let query = Query::read(Some(raw), &KNOWN).unwrap();
            assert!(matches!(filter(&query, &caller), Err(Refusal::BadValue { .. })), "{raw}");
        }
    }
}
