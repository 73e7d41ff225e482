//! The list of operations: what it is narrowed down to stands in the address.

use askama::Template;
use fanfold_core::dialect::Refusal;
use fanfold_core::operation::{Phase, Status, phase};
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::route::Handling;
use fanfold_core::{Operation, OperationId};
use fanfold_store::{Filter, Page};
use http::StatusCode;
use jiff::{Span, SpanRelativeTo, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::form::Form;
use super::shell::{Place, Shell};
use super::words::{self, Chip, Stamp, short};
use super::{OK, page};
use crate::http::Front;
use crate::http::auth::Caller;
use crate::http::native::operations::{KNOWN, choosing, filter};
use crate::http::native::query::Query;
use crate::http::outcome::{Response, Stop};
use crate::http::page as pages;
use crate::http::page::Token;
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Operations on a page.
const ROWS: usize = 50;

/// Newer operations that are counted; more are shown as so many and a plus.
const NEWER_MAX: usize = 50;

/// The first operation of a page that is looked at again: it stays where it is, whatever has come since.
const FROM: &str = "from";

/// An operation as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) short: String,
    pub(super) status: Chip,
    pub(super) phase: Option<Chip>,
    pub(super) consistency: Option<Chip>,
    pub(super) verb: &'static str,
    pub(super) resource: String,
    pub(super) route: String,
    pub(super) accepted: Stamp,
    pub(super) took: String,
    /// What went wrong, on one line.
    pub(super) problem: Option<String>,
}

/// Something to choose from: its value, what it says, whether it is chosen.
pub(super) type Choice = (String, String, bool);

/// What the list is narrowed down to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Narrowed {
    pub(super) query: String,
    pub(super) text: String,
    pub(super) statuses: Vec<Choice>,
    pub(super) phases: Vec<Choice>,
    pub(super) routes: Vec<Choice>,
    pub(super) targets: Vec<Choice>,
    pub(super) attention: Vec<Choice>,
    pub(super) dialects: Vec<Choice>,
    pub(super) verbs: Vec<Choice>,
    pub(super) resource: String,
    pub(super) since: String,
    pub(super) until: String,
    pub(super) mount: String,
    pub(super) retry_of: String,
    /// Whether it is by anything at all.
    pub(super) is_any: bool,
    /// Whether it is by something that is not shown at first.
    pub(super) is_more: bool,
}

#[derive(Template)]
#[template(path = "operations.html")]
struct Operations {
    shell: Shell,
    narrowed: Narrowed,
    rows: Vec<Row>,
    newer: Option<String>,
    newest: String,
    next: Option<String>,
    /// The search took too long: there may be more before where it goes on.
    is_cut_off: bool,
    is_first: bool,
    /// Whether the page is kept up to date.
    is_live: bool,
    error: Option<String>,
}

/// `GET /ui/operations`
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let form = Form::of(visit.query().unwrap_or_default()).unwrap_or_default();
    let narrowed = Narrowed::of(&form, &visit.front);
    let now = shared.clock.now();
    let shell = Shell::of(shared, &visit.caller, Place::Operations, "Operations").await;
    let filter = match wanted(&form, &visit.caller, now) {
        Ok(filter) => filter,
        Err(refusal) => {
            let newest = address(&narrowed.query);
            let error = Some(refusal.to_string());
            let page = Operations {
                shell,
                narrowed,
                rows: Vec::new(),
                newer: None,
                newest,
                next: None,
                is_cut_off: false,
                is_first: true,
                is_live: false,
                error,
            };
            return page::render(StatusCode::BAD_REQUEST, &page);
        }
    };
    let token = pages::operation_key(form.one("page_token"))?;
    let from = form.one(FROM).and_then(|text| text.parse::<OperationId>().ok());
    let after = token.or(from.map(following));
    let show = |operation: &Operation| Row::of(operation, now);
    let (rows, next) = pages::operations(&*shared.store, &filter, after, ROWS, show).await?;
    // A text is searched for through all operations, which is too much to be done again at each change.
    let is_live = filter.text.is_none();
    let newer = match from.filter(|_| token.is_none() && is_live) {
        Some(from) => newer(shared, &filter, from).await?,
        None => None,
    };
    let query = narrowed.query.clone();
    let first = rows.first().filter(|_| token.is_none()).map(|row| row.id.clone());
    let again = match (&token, first) {
        (Some(_), _) => visit.head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        (None, Some(first)) => with(&query, FROM, &first),
        (None, None) => address(&query),
    };
    let shell = if is_live { shell.live("/ui/live", again) } else { shell };
    let page = Operations {
        shell: shell.having_done(form.one("done")),
        newest: address(&query),
        next: next.map(|id| with(&query, "page_token", &Token::Operation(id).text())),
        is_cut_off: next.is_some() && rows.len() < ROWS,
        is_first: token.is_none(),
        is_live,
        narrowed,
        rows,
        newer,
        error: None,
    };
    page::render(OK, &page)
}

/// The filter that a form asks for.
pub(super) fn wanted(form: &Form, caller: &Caller, now: Timestamp) -> Result<Filter, Refusal> {
    let mut pairs = Vec::new();
    for (name, value) in form.filled() {
        let value = match name {
            "since" | "until" => moment(name, value, now)?,
            "page_token" | "limit" | FROM | "done" => continue,
            _ if KNOWN.contains(&name) => value.to_owned(),
            _ => continue,
        };
        pairs.push(pair(name, &value));
    }
    filter(&Query::read(Some(&pairs.join("&")), &KNOWN)?, caller)
}

/// A time, or how long ago it was.
fn moment(name: &str, text: &str, now: Timestamp) -> Result<String, Refusal> {
    if text.parse::<Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    let ago = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let at = ago.and_then(|ago| now.checked_sub(ago));
    at.map(|at| at.to_string()).map_err(|_| Refusal::BadValue {
        detail: format!("`{name}` is neither a time such as 2026-12-01T04:00:00Z nor a time ago such as 15m, 2h or 7d"),
    })
}

/// The id that a list has to go on after so that it begins with this one.
fn following(id: OperationId) -> OperationId {
    OperationId::from_bytes(u128::from_be_bytes(*id.as_bytes()).saturating_add(1).to_be_bytes())
}

/// How many there are before the first one of the page.
async fn newer(shared: &Shared, filter: &Filter, from: OperationId) -> Result<Option<String>, Stop> {
    let filter = Filter { first: Some(following(from)), ..filter.clone() };
    let newer = shared.store.list(&filter, Page::newest(NEWER_MAX + 1)).await?;
    Ok(match newer.len() {
        0 => None,
        count if count > NEWER_MAX => Some(format!("{NEWER_MAX}+")),
        count => Some(count.to_string()),
    })
}

fn address(query: &str) -> String {
    if query.is_empty() { "/ui/operations".to_owned() } else { format!("/ui/operations?{query}") }
}

fn with(query: &str, name: &str, value: &str) -> String {
    let more = pair(name, value);
    if query.is_empty() { address(&more) } else { address(&format!("{query}&{more}")) }
}

/// A name and its value as a query has them.
pub(super) fn pair(name: &str, value: &str) -> String {
    format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
}

impl Row {
    pub(super) fn of(operation: &Operation, now: Timestamp) -> Self {
        let plan = &operation.plan;
        let end = operation.end();
        let status = operation.status();
        let until = end.map_or(now, |end| end.at);
        let took = match operation.started_at {
            Some(started) => words::span(words::between(started, until)),
            None => "–".to_owned(),
        };
        Self {
            id: operation.id.to_string(),
            short: short(&operation.id),
            status: Chip::of_status(status),
            phase: phase(operation).map(Chip::of_phase),
            consistency: end.map(|end| Chip::of_consistency(end.consistency)),
            verb: plan.verb.as_str(),
            resource: plan.resource.clone(),
            route: plan.route.clone(),
            accepted: Stamp::of(operation.accepted_at, now),
            took,
            problem: problem(operation).filter(|_| status != Status::Completed),
        }
    }
}

/// The first thing that is wrong, and at which target.
fn problem(operation: &Operation) -> Option<String> {
    let troubles = operation.indexed_steps().filter_map(|(_, plan, step)| {
        let trouble = step.course.trouble.as_ref()?;
        Some(format!("{}: {}", plan.target, trouble.detail))
    });
    troubles.into_iter().next()
}

impl Narrowed {
    /// What it is by, a line each.
    pub(super) fn in_words(&self) -> Vec<String> {
        let form = Form::of(&self.query).unwrap_or_default();
        form.filled().map(|(name, value)| format!("{} {value}", name.replace('_', " "))).collect()
    }

    pub(super) fn of(form: &Form, front: &Front) -> Self {
        let text = |name: &str| form.one(name).unwrap_or_default().to_owned();
        let choices = |name: &str, values: &mut dyn Iterator<Item = &str>| {
            let chosen = form.one(name);
            let mut choices: Vec<Choice> =
                values.map(|value| (value.to_owned(), value.to_owned(), chosen == Some(value))).collect();
            // What stands in the address stays, even where the configuration has it no longer.
            if let Some(chosen) = chosen.filter(|chosen| !choices.iter().any(|(value, ..)| value == chosen)) {
                choices.push((chosen.to_owned(), chosen.to_owned(), true));
            }
            choices
        };
        let table = front.routes();
        let accepting = table.routes().iter().filter(|route| matches!(route.handling, Handling::Operation(_)));
        let choosing = choosing();
        let filled = form.filled().filter(|(name, _)| choosing.contains(name) && *name != "page_token");
        let pairs: Vec<String> = filled.map(|(name, value)| pair(name, value)).collect();
        let more = ["resource", "until", "dialect", "verb", "mount", "retry_of"];
        Self {
            is_any: !pairs.is_empty(),
            is_more: more.iter().any(|name| form.one(name).is_some()),
            query: pairs.join("&"),
            text: text("text"),
            statuses: choices("status", &mut Status::ALL.iter().map(|status| status.as_str())),
            phases: choices("phase", &mut Phase::ALL.iter().map(|phase| phase.as_str())),
            routes: choices("route", &mut accepting.map(|route| route.name.as_str())),
            targets: choices("target", &mut table.targets().keys().map(fanfold_core::TargetName::as_str)),
            attention: vec![("true".to_owned(), "needs a person".to_owned(), form.one("attention") == Some("true"))],
            dialects: choices("dialect", &mut DialectName::ALL.iter().map(|dialect| dialect.as_str())),
            verbs: choices("verb", &mut Verb::ALL.iter().map(|verb| verb.as_str())),
            resource: text("resource"),
            since: text("since"),
            until: text("until"),
            mount: text("mount"),
            retry_of: text("retry_of"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_begins_with_the_one_that_was_first() {
        let id = OperationId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 255]);
        assert_eq!(following(id).as_bytes()[14..], [2, 0]);
    }

    #[test]
    fn times_are_given_as_such_or_as_ages() {
        let now: Timestamp = "2026-11-26T10:00:00Z".parse().unwrap();
        assert_eq!(moment("since", "2h", now).unwrap(), "2026-11-26T08:00:00Z");
        assert_eq!(moment("since", "2026-01-01T00:00:00Z", now).unwrap(), "2026-01-01T00:00:00Z");
        assert!(matches!(moment("since", "yesterday", now), Err(Refusal::BadValue { .. })));
    }
}
