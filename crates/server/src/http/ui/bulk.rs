//! Canceling and retrying all operations that a list is narrowed down to, with a look at what that would do.

use askama::Template;
use fanfold_core::OperationId;
use fanfold_core::dialect::Refusal;
use fanfold_engine::{BULK_MAX, BulkOutcome, Deed};
use jiff::Timestamp;

use super::form::Form;
use super::operations::{Narrowed, Row, pair, wanted};
use super::shell::{Place, Shell};
use super::{OK, page};
use crate::http::Front;
use crate::http::auth::Caller;
use crate::http::native::bulk::carry_out;
use crate::http::outcome::{Response, Stop};
use crate::http::page::{self as pages, Token};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Operations of each kind that the page names; the others are counted.
const NAMED_MAX: usize = 100;

/// Until when those were accepted that were shown: what comes later is none of them, whatever page of them is looked at.
const SHOWN_UNTIL: &str = "shown_until";

/// What is done with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bulk {
    Cancel,
    Retry,
}

/// One operation, and what is done with it or why it is not.
struct Line {
    row: Row,
    says: String,
    /// Its retry, once there is one.
    then: Option<String>,
}

#[derive(Template)]
#[template(path = "bulk.html")]
struct BulkPage {
    shell: Shell,
    verb: &'static str,
    query: String,
    action: String,
    /// The same look with force, where what is not known to be in the requested state can be called all the same.
    forced: Option<String>,
    /// What the list is narrowed down to, in words.
    chosen: Vec<String>,
    count: usize,
    lines: Vec<Line>,
    refused_count: usize,
    refused: Vec<Line>,
    /// The look at the next ones, where there are more than are looked at at once.
    next: Option<String>,
    at_once: usize,
    /// Until when they were accepted: what is done then is done with none that came later.
    until: String,
    is_dry: bool,
}

/// Shows what it would do.
pub(super) async fn ask(shared: &Shared, visit: &Visit, bulk: Bulk) -> Result<Response, Stop> {
    let asked = Asked::of(bulk, visit.query());
    // Who goes on with the next ones goes on with those that were there at the first look.
    let (until, is_dry) = (shown_until(&asked.query)?.unwrap_or_else(|| shared.clock.now()), true);
    let outcome = asked.run(shared, (&visit.caller, &visit.front), until, is_dry).await?;
    asked.show(shared, (&visit.caller, &visit.front), outcome, until, is_dry).await
}

/// Does it, with none that came after the look.
pub(super) async fn perform(shared: &Shared, visit: Visit, bulk: Bulk) -> Result<Response, Stop> {
    let Visit { caller, front, head, body, .. } = visit;
    let form = Form::read(body)?;
    let until = shown_until(&form)?.ok_or_else(bad_until)?;
    let asked = Asked::of(bulk, head.uri.query());
    let outcome = asked.run(shared, (&caller, &front), until, false).await?;
    asked.show(shared, (&caller, &front), outcome, until, false).await
}

fn shown_until(form: &Form) -> Result<Option<Timestamp>, Refusal> {
    form.one(SHOWN_UNTIL).map(|text| text.parse().map_err(|_| bad_until())).transpose()
}

fn bad_until() -> Refusal {
    Refusal::BadValue { detail: format!("`{SHOWN_UNTIL}` does not say until when the operations were accepted") }
}

/// What is to be done, and what chooses the operations.
struct Asked {
    bulk: Bulk,
    query: Form,
    /// The same as it was sent.
    raw: String,
}

impl Asked {
    fn of(bulk: Bulk, query: Option<&str>) -> Self {
        let raw = query.unwrap_or_default();
        Self { bulk, query: Form::of(raw).unwrap_or_default(), raw: raw.to_owned() }
    }

    fn deed(&self) -> Deed {
        match self.bulk {
            Bulk::Cancel => Deed::Cancel,
            Bulk::Retry => Deed::Retry { force: self.is_forced() },
        }
    }

    fn is_forced(&self) -> bool {
        self.query.one("force").is_some()
    }

    async fn run(
        &self,
        shared: &Shared,
        visit: (&Caller, &Front),
        until: Timestamp,
        is_dry: bool,
    ) -> Result<BulkOutcome, Stop> {
        let (caller, front) = visit;
        // A time ago is one before what was shown, so that it chooses the same again.
        let filter = wanted(&self.query, caller, until)?;
        if !Narrowed::of(&self.query, front).is_any {
            let detail = "narrow the list down first: nobody means all operations by leaving something out".to_owned();
            return Err(Refusal::BadValue { detail }.into());
        }
        let after = pages::operation_key(self.query.one("page_token"))?;
        carry_out(shared, caller, self.deed(), (filter, after, Some(&self.raw)), (until, is_dry)).await
    }

    async fn show(
        &self,
        shared: &Shared,
        (caller, front): (&Caller, &Front),
        outcome: BulkOutcome,
        until: Timestamp,
        is_dry: bool,
    ) -> Result<Response, Stop> {
        let narrowed = Narrowed::of(&self.query, front);
        let (verb, path) = match self.bulk {
            Bulk::Cancel => ("Cancel", "cancel"),
            Bulk::Retry => ("Retry", "retry"),
        };
        let title = format!("{verb} operations");
        let query = narrowed.query.clone();
        let until_then = pair(SHOWN_UNTIL, &until.to_string());
        let mut address = format!("/ui/operations/{path}?{query}");
        if self.is_forced() {
            address.push_str("&force=yes");
        }
        let next = outcome.next.map(|id| {
            let token = pair("page_token", &Token::Operation(id).text());
            format!("{address}&{until_then}&{token}")
        });
        let mut action = address;
        if let Some(token) = self.query.one("page_token") {
            action = format!("{action}&{}", pair("page_token", token));
        }
        let takes_force = self.bulk == Bulk::Retry && is_dry && !self.is_forced() && !outcome.refused.is_empty();
        let forced = takes_force.then(|| format!("{action}&{until_then}&force=yes"));
        let (mut lines, mut refused) = (Vec::new(), Vec::new());
        for done in outcome.done.iter().take(NAMED_MAX) {
            lines.extend(Line::of(shared, caller, done.id, (&done.effect, done.retried_by)).await);
        }
        for (id, why) in outcome.refused.iter().take(NAMED_MAX) {
            refused.extend(Line::of(shared, caller, *id, (why, None)).await);
        }
        let page = BulkPage {
            shell: Shell::of(shared, caller, Place::Operations, &title).await,
            verb,
            query,
            action,
            forced,
            chosen: narrowed.in_words(),
            count: outcome.done.len(),
            lines,
            refused_count: outcome.refused.len(),
            refused,
            next,
            at_once: BULK_MAX,
            until: until.to_string(),
            is_dry,
        };
        page::render(OK, &page)
    }
}

impl Line {
    /// The operation as it is by now; none if it is gone.
    async fn of(
        shared: &Shared,
        caller: &Caller,
        id: OperationId,
        (says, retry): (&str, Option<OperationId>),
    ) -> Option<Self> {
        let operation = shared.operation(caller, id).await.ok()?;
        let row = Row::of(&operation, shared.clock.now());
        Some(Self { row, says: says.to_owned(), then: retry.map(|id| id.to_string()) })
    }
}
