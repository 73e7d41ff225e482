//! The list of operations, with its filters.

use std::collections::BTreeSet;

use fanfold_core::dialect::Refusal;
use fanfold_core::dialect::native::OperationSummary;
use fanfold_core::operation::{Phase, Status};
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
pub(in crate::http) const KNOWN: [&str; 15] = [
    "attention",
    "dialect",
    "limit",
    "mount",
    "page_token",
    "phase",
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

/// What may stand in the query that chooses operations to do something with: all but the size of a page.
pub(in crate::http) fn choosing() -> Vec<&'static str> {
    KNOWN.into_iter().filter(|name| *name != "limit").collect()
}

/// `GET /operations`
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Query::read(visit.query(), &KNOWN)?;
    let filter = filter(&query, &visit.caller)?;
    let after = page::operation_key(query.one("page_token")?)?;
    let native = visit.front.native();
    let show = |operation: &_| OperationSummary::of(native, operation);
    let limit = query.limit()?;
    let (entries, more) = page::operations(&*shared.store, &filter, after, limit, show).await?;
    let is_cut_off = more.is_some() && entries.len() < limit;
    Ok(entity::some(visit, &query, ("operations", &entries), more.map(Token::Operation), is_cut_off))
}

/// The filter that a query asks for.
pub(in crate::http) fn filter(query: &Query, caller: &Caller) -> Result<Filter, Refusal> {
    let text = |name: &str| query.one(name).map(|value| value.map(str::to_owned));
    let time = |name: &str| {
        query.parsed(name, "a time as in RFC 3339 before the year 9999, for instance 2026-12-01T04:00:00Z", |text| {
            text.parse::<Timestamp>().ok()
        })
    };
    let statuses = Status::ALL.map(|status| (status.as_str(), status));
    let asked = query.all("status").map(|text| pick("status", text, &statuses));
    let phases = Phase::ALL.map(|phase| (phase.as_str(), phase));
    let asked_phases = query.all("phase").map(|text| pick("phase", text, &phases));
    Ok(Filter {
        tenant: caller.access.tenant.clone(),
        scope: caller.access.scope.clone(),
        statuses: asked.collect::<Result<BTreeSet<_>, _>>()?,
        phases: asked_phases.collect::<Result<BTreeSet<_>, _>>()?,
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
        first: None,
        retry_of: query.parsed("retry_of", "the id of an operation", |text| text.parse().ok())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_read() {
        let raw = "status=failed&status=canceled&phase=backing%20off&phase=held&route=r&dialect=msf&mount=%2Fv1&verb=delete&resource=%2Fv1%2Fx&target=tokyo\
                   &attention=true&since=2026-01-01T00:00:00Z&until=2026-02-01T00:00:00Z&text=slice\
                   &retry_of=01a20105-0000-7000-8000-000000000001";
        use fanfold_core::{Access, Scope};
        let scope = Scope { routes: Some(["r".to_owned()].into()), targets: None };
        let access = Access { tenant: "t".into(), scope: scope.clone(), ..Access::full() };
        let caller = Caller { access, ..Caller::the_program() };
        let query = Query::read(Some(raw), &KNOWN).unwrap();
        let expected = Filter {
            tenant: "t".into(),
            scope,
            statuses: [Status::Failed, Status::Canceled].into(),
            phases: [Phase::Held, Phase::BackingOff].into(),
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
            first: None,
            retry_of: Some("01a20105-0000-7000-8000-000000000001".parse().unwrap()),
        };
        assert_eq!(filter(&query, &caller), Ok(expected));
        for raw in
            ["status=done", "phase=done", "dialect=x", "verb=POST", "attention=1", "since=yesterday", "retry_of=x"]
        {
            let query = Query::read(Some(raw), &KNOWN).unwrap();
            assert!(matches!(filter(&query, &caller), Err(Refusal::BadValue { .. })), "{raw}");
        }
    }
}
