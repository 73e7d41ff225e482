//! What the native API says beside the body: pages and their links, entity tags, and when to ask again.

use std::time::Duration;

use fanfold_core::dialect::Reply;
use fanfold_core::operation::{WaitingFor, waiting_for};
use fanfold_core::{Operation, Revision};
use http::header::IF_NONE_MATCH;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Serialize;

use super::query::Query;
use super::uncached;
use crate::http::outcome::{self, Response};
use crate::http::page::Token;
use crate::http::visit::Visit;

/// The longest time that a client is told to wait before it asks again.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(300);

/// The same where nobody knows when there will be news.
const ASK_AGAIN_OPEN_MAX: Duration = Duration::from_secs(30);

/// One page of a list; the entries stand under a name of their own.
pub(super) fn page<T: Serialize>(
    visit: &Visit,
    query: &Query,
    name: &'static str,
    entries: &[T],
    next: Option<Token>,
) -> Response {
    some(visit, query, (name, entries), next, false)
}

/// The same of a search that may have been cut off: then it is said that there may be more although the page is not full.
pub(super) fn some<T: Serialize>(
    visit: &Visit,
    query: &Query,
    (name, entries): (&'static str, &[T]),
    next: Option<Token>,
    is_cut_off: bool,
) -> Response {
    let token = next.map(Token::text);
    let mut body = serde_json::Map::new();
    // Our own forms have text keys only, which JSON can carry.
    body.insert(name.to_owned(), serde_json::to_value(entries).expect("forms of ours are JSON"));
    body.insert("next_page_token".to_owned(), token.clone().into());
    if is_cut_off {
        body.insert("cut_off".to_owned(), true.into());
    }
    let mut reply = uncached(Reply::json(StatusCode::OK, &body));
    if let Some(token) = token {
        let base = &visit.front.native().settings.public_url;
        let link = format!("<{base}{}?{}>; rel=\"next\"", visit.path(), query.with_token(&token));
        reply = reply.with("link", link);
    }
    outcome::reply(reply)
}

/// The entity tag of an operation's detail: its revision, and what is shown beside that and changes without a new one. A weak
/// one: the place of the server in its links, for instance, is configured.
pub(super) fn tag(revision: Revision, unrecorded: &str) -> String {
    format!("W/\"{}{unrecorded}\"", revision.0)
}

/// Whether the client has what this tag stands for (`If-None-Match`, RFC 9110, section 13.1.2).
pub(in crate::http) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|known| known.trim() == "*" || opaque(known) == opaque(tag))
}

/// Whether the client names a tag at all.
pub(super) fn names_tag(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_NONE_MATCH)
}

/// When it is worth asking again about an operation, in whole seconds; `None` once it has ended.
pub(super) fn ask_again(operation: &Operation, now: Timestamp) -> Option<u64> {
    if operation.end().is_some() {
        return None;
    }
    let mut soonest: Option<Duration> = None;
    for wait in waiting_for(operation) {
        let wait = match known_end(&wait) {
            Some(until) => until_then(until, now).min(ASK_AGAIN_MAX),
            // What has lasted for a while will probably last for a while.
            None => (since_then(operation.accepted_at, now) / 4).min(ASK_AGAIN_OPEN_MAX),
        };
        soonest = Some(soonest.map_or(wait, |soonest| soonest.min(wait)));
    }
    Some(soonest.unwrap_or_default().as_secs().max(1))
}

/// The time at which there will be news.
fn known_end(wait: &WaitingFor) -> Option<Timestamp> {
    match wait {
        WaitingFor::StartTime { until }
        | WaitingFor::Backoff { until, .. }
        | WaitingFor::Settle { until, .. }
        | WaitingFor::Probe { until: Some(until), .. } => Some(*until),
        WaitingFor::Lock { .. }
        | WaitingFor::Dispatch
        | WaitingFor::Permit(_)
        | WaitingFor::Breaker(_)
        | WaitingFor::HeldTarget(_)
        | WaitingFor::MissingTarget(_)
        | WaitingFor::Answer { .. }
        | WaitingFor::Resource { .. }
        | WaitingFor::LowerOperation { .. }
        | WaitingFor::Probe { until: None, .. }
        | WaitingFor::Person { .. }
        | WaitingFor::Response
        | WaitingFor::Release { .. } => None,
    }
}

fn until_then(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

fn since_then(then: Timestamp, now: Timestamp) -> Duration {
    until_then(now, then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tag_is_recognised_in_every_form() {
        for (value, known) in [
            ("\"7\"", true),
            ("W/\"7\"", true),
            ("\"6\", W/\"7\"", true),
            ("*", true),
            ("\"77\"", false),
            ("7", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, value.parse().unwrap())]);
            assert_eq!(is_known(&headers, "W/\"7\""), known, "{value}");
        }
        assert!(!is_known(&HeaderMap::new(), "W/\"7\""));
    }
}
