//! Targets: how they are, what is on its way to them, and holding them back.

use std::time::Duration;

use askama::Template;
use fanfold_core::Access;
use fanfold_core::story::Tone;
use jiff::Timestamp;

use super::form::Form;
use super::shell::{Place, Shell};
use super::words::{self, Chip, Stamp, number};
use super::{OK, page};
use crate::http::auth::Caller;
use crate::http::native::targets::{ByKind, TargetForm, all};
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// A target as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TargetView {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) state: Chip,
    /// Why it is not simply ok.
    pub(super) why: Option<String>,
    pub(super) since: Option<Stamp>,
    pub(super) is_held: bool,
    /// Whether it may be held and released by whoever looks at it.
    pub(super) may_hold: bool,
    pub(super) in_flight: String,
    pub(super) limit: Option<usize>,
    /// How much of its limit is in use, for the meter.
    pub(super) in_flight_by: String,
    pub(super) waiting: String,
    pub(super) waiting_by: String,
    pub(super) latency: Option<(String, String, String)>,
    pub(super) totals: Vec<(&'static str, String)>,
    pub(super) rules: Vec<(&'static str, String)>,
    pub(super) overrides: Vec<String>,
}

#[derive(Template)]
#[template(path = "targets.html")]
struct TargetsPage {
    shell: Shell,
    targets: Vec<TargetView>,
    nodes: bool,
}

/// `GET /ui/targets`
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let form = Form::of(visit.query().unwrap_or_default()).unwrap_or_default();
    let now = shared.clock.now();
    let shell = Shell::of(shared, &visit.caller, Place::Targets, "Targets").await;
    let page = TargetsPage {
        shell: shell.live("/ui/live", "/ui/targets").having_done(form.one("done")),
        targets: views(shared, &visit.caller, now).await?,
        nodes: shared.engine.nodes().is_some(),
    };
    page::render(OK, &page)
}

/// All of them, those that need a look first.
pub(super) async fn views(shared: &Shared, caller: &Caller, now: Timestamp) -> Result<Vec<TargetView>, Stop> {
    let mut forms = all(shared, caller).await?;
    forms.sort_by_key(|form| form.state == "ok");
    Ok(forms.into_iter().map(|form| TargetView::of(form, now, &caller.access)).collect())
}

impl TargetView {
    fn of(form: TargetForm, now: Timestamp, access: &Access) -> Self {
        let (why, since) = why(&form);
        let told = |by: &Option<ByKind>, tell: fn(&ByKind) -> String| by.as_ref().map_or_else(|| "–".to_owned(), tell);
        let total = |by: &ByKind| (by.forward + by.undo + by.pass).to_string();
        let by = |by: &ByKind| format!("{} forward, {} undo, {} passed through", by.forward, by.undo, by.pass);
        let totals = form.totals.as_ref().map(|totals| {
            vec![
                ("answered", number(totals.answered)),
                ("of these 5xx", number(totals.server_errors)),
                ("not sent", number(totals.not_sent)),
                ("broke", number(totals.broke)),
            ]
        });
        let millis = |ms| words::span(Duration::from_millis(ms));
        Self {
            state: chip(form.state),
            why,
            since: since.map(|at| Stamp::of(at, now)),
            is_held: form.hold.is_some(),
            may_hold: access.may_hold(&form.name.as_str().into()),
            in_flight: told(&form.in_flight, total),
            limit: form.limits.as_ref().map(|limits| limits.max_in_flight),
            in_flight_by: told(&form.in_flight, by),
            waiting: told(&form.waiting, total),
            waiting_by: told(&form.waiting, by),
            latency: form
                .latency
                .as_ref()
                .map(|latency| (millis(latency.median_ms), millis(latency.p95_ms), millis(latency.max_ms))),
            totals: totals.unwrap_or_default(),
            rules: rules(&form),
            overrides: form.overrides.iter().map(|on_route| on_route.route.clone()).collect(),
            url: form.url.unwrap_or_else(|| "no longer configured".to_owned()),
            name: form.name,
        }
    }
}

fn chip(state: &str) -> Chip {
    match state {
        "ok" => Chip::new(Tone::Good, "ok"),
        "half_open" => Chip::new(Tone::Doubtful, "breaker half open"),
        "breaker_open" => Chip::new(Tone::Bad, "breaker open"),
        "held" => Chip::new(Tone::Doubtful, "on hold"),
        "missing" => Chip::new(Tone::Bad, "not configured"),
        other => Chip::new(Tone::Plain, other),
    }
}

fn why(form: &TargetForm) -> (Option<String>, Option<Timestamp>) {
    if let Some(hold) = &form.hold {
        let reason = if hold.reason.is_empty() { "no reason given" } else { &hold.reason };
        return (Some(format!("held by {}: {reason}", hold.by)), Some(hold.since));
    }
    match form.state {
        "breaker_open" | "half_open" => {
            let again = form.breaker.retry_in_ms.map(|ms| words::span(Duration::from_millis(ms)));
            let again = again.map(|span| format!("; one attempt is let through in {span}")).unwrap_or_default();
            (Some(format!("{} attempts in a row broke{again}", form.breaker.breaks)), form.breaker.since)
        }
        "missing" => (Some("what is sent to it waits until it is configured again, or is canceled".to_owned()), None),
        _ => (None, None),
    }
}

fn rules(form: &TargetForm) -> Vec<(&'static str, String)> {
    let millis = |ms| words::span(Duration::from_millis(ms));
    let mut rules = Vec::new();
    if let Some(limits) = &form.limits {
        rules.push((
            "in flight at the most",
            format!("{} and {} undos", limits.max_in_flight, limits.undo_max_in_flight),
        ));
        rules.push(match limits.breaker_after {
            0 => ("breaker", "never opens".to_owned()),
            after => (
                "breaker",
                format!("opens after {after} breaks, tries after {}", millis(limits.breaker_retry_after_ms)),
            ),
        });
    }
    if let Some(budgets) = &form.budgets {
        let retry = &budgets.retry;
        rules.push((
            "attempts",
            format!(
                "{}, {} to {} apart, within {}",
                retry.attempts,
                millis(retry.backoff_ms),
                millis(retry.backoff_max_ms),
                millis(retry.budget_ms)
            ),
        ));
        rules.push((
            "time",
            format!(
                "{} to connect, {} to answer, {} for an operation of its own",
                millis(budgets.timeouts.connect_ms),
                millis(budgets.timeouts.response_ms),
                millis(budgets.timeouts.lower_ms)
            ),
        ));
        rules.push(("settles", millis(budgets.settle_ms)));
    }
    rules
}
