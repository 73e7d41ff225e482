//! Targets: how they are, and whether they are on hold.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfold_core::TargetName;
use fanfold_core::dialect::Refusal;
use fanfold_core::route::RouteTable;
use fanfold_engine::target::{BreakerStatus, Latency, PerKind, TargetLimits, TargetStatus};
use fanfold_store::Hold;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::budgets::{self, Budgets, Override};
use super::query::Query;
use super::{Nothing, json, millis, read};
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Characters of a reason at the most.
const REASON_CHARACTERS_MAX: usize = 1_000;

/// A target.
#[derive(Debug, Serialize)]
struct TargetForm {
    name: String,
    /// Null once it is no longer configured.
    url: Option<String>,
    /// `ok`, `half_open`, `breaker_open`, `held` or `missing`.
    state: &'static str,
    breaker: BreakerForm,
    /// Null once it is no longer configured.
    limits: Option<LimitsForm>,
    /// How requests to it are carried out where a route does not say otherwise; null once it is no longer configured.
    budgets: Option<Budgets>,
    /// Where routes say otherwise.
    overrides: Vec<Override>,
    hold: Option<HoldForm>,
    in_flight: ByKind,
    waiting: ByKind,
    totals: TotalsForm,
    /// Of the latest answers; null before the first.
    latency: Option<LatencyForm>,
}

/// What the breaker does, on hold or not.
#[derive(Debug, Serialize)]
struct BreakerForm {
    /// `closed`, `half_open` or `open`.
    state: &'static str,
    /// Since when it does not let everything through.
    since: Option<Timestamp>,
    /// When it lets one attempt through.
    retry_in_ms: Option<u64>,
    /// Attempts in a row that broke.
    breaks: u32,
}

#[derive(Debug, Serialize)]
struct LimitsForm {
    max_in_flight: usize,
    undo_max_in_flight: usize,
    pass_waiting_max: usize,
    /// 0: the breaker never opens.
    breaker_after: u32,
    breaker_retry_after_ms: u64,
}

#[derive(Debug, Serialize)]
struct HoldForm {
    since: Timestamp,
    by: String,
    reason: String,
}

/// Requests by what they are for.
#[derive(Debug, Serialize)]
struct ByKind {
    forward: usize,
    undo: usize,
    pass: usize,
}

/// Requests that ended since the process started.
#[derive(Debug, Serialize)]
struct TotalsForm {
    answered: u64,
    server_errors: u64,
    not_sent: u64,
    broke: u64,
}

#[derive(Debug, Serialize)]
struct LatencyForm {
    median_ms: u64,
    p95_ms: u64,
    max_ms: u64,
}

/// Why a target is put on hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldRequest {
    #[serde(default)]
    reason: String,
}

/// `GET /targets`
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let targets = all(shared).await?;
    Ok(json(&serde_json::json!({ "targets": targets })))
}

/// `GET /targets/{name}`
pub(super) async fn show(shared: &Shared, visit: &Visit, name: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    Ok(json(&one(shared, name).await?))
}

/// `POST /targets/{name}/hold`
pub(super) async fn hold(shared: &Shared, visit: Visit, name: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let HoldRequest { reason } = read(shared, visit.body).await?;
    if reason.chars().count() > REASON_CHARACTERS_MAX {
        let detail = format!("`reason` is longer than {REASON_CHARACTERS_MAX} characters");
        return Err(Refusal::OutOfRange { detail }.into());
    }
    one(shared, name).await?;
    let (engine, target, by) = (shared.engine.clone(), TargetName::from(name), visit.caller.name);
    shared.carried(async move { engine.hold(&target, by, reason).await }).await??;
    Ok(json(&one(shared, name).await?))
}

/// `POST /targets/{name}/release`
pub(super) async fn release(shared: &Shared, visit: Visit, name: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let Nothing {} = read(shared, visit.body).await?;
    let before = one(shared, name).await?;
    let (engine, target) = (shared.engine.clone(), TargetName::from(name));
    shared.carried(async move { engine.release(&target).await }).await??;
    // One that is not configured any more is not listed once nothing holds it.
    match one(shared, name).await {
        Ok(form) => Ok(json(&form)),
        Err(Stop::Refused(Refusal::NotFound { .. })) => Ok(json(&TargetForm { hold: None, ..before })),
        Err(stop) => Err(stop),
    }
}

async fn one(shared: &Shared, name: &str) -> Result<TargetForm, Stop> {
    let found = all(shared).await?.into_iter().find(|target| target.name == name);
    found.ok_or_else(|| Stop::not_found("target"))
}

/// All that are configured, are waited for, or are on hold.
async fn all(shared: &Shared) -> Result<Vec<TargetForm>, Stop> {
    let holds = shared.store.holds().await?;
    let mut holds: BTreeMap<_, _> = holds.into_iter().map(|hold| (hold.target.clone(), hold)).collect();
    let mut forms: BTreeMap<String, TargetForm> = BTreeMap::new();
    let (now, front) = (shared.clock.now(), shared.front());
    for status in shared.engine.targets().status() {
        let hold = holds.remove(&status.name);
        forms.insert(status.name.to_string(), TargetForm::of(status, hold, front.routes(), now));
    }
    for (name, hold) in holds {
        let status = shared.engine.targets().get(&name).status();
        forms.insert(name.to_string(), TargetForm::of(status, Some(hold), front.routes(), now));
    }
    Ok(forms.into_values().collect())
}

impl TargetForm {
    fn of(status: TargetStatus, hold: Option<Hold>, routes: &RouteTable, now: Timestamp) -> Self {
        let totals = status.totals;
        let (budgets, overrides) = budgets::of(routes, &status.name);
        Self {
            name: status.name.to_string(),
            url: status.url,
            state: status.state.as_str(),
            breaker: BreakerForm::of(status.breaker, now),
            limits: status.limits.map(LimitsForm::of),
            budgets,
            overrides,
            hold: hold.map(|Hold { since, by, reason, .. }| HoldForm { since, by, reason }),
            in_flight: ByKind::of(status.in_flight),
            waiting: ByKind::of(status.waiting),
            totals: TotalsForm {
                answered: totals.answered,
                server_errors: totals.server_errors,
                not_sent: totals.not_sent,
                broke: totals.broke,
            },
            latency: status.latency.map(|Latency { median, p95, max }| LatencyForm {
                median_ms: millis(median),
                p95_ms: millis(p95),
                max_ms: millis(max),
            }),
        }
    }
}

impl BreakerForm {
    fn of(status: BreakerStatus, now: Timestamp) -> Self {
        let since = |open_for: Duration| now.checked_sub(open_for).unwrap_or(now);
        Self {
            state: status.as_str(),
            since: status.open_for.map(since),
            retry_in_ms: status.retry_in.map(millis),
            breaks: status.breaks,
        }
    }
}

impl LimitsForm {
    fn of(limits: TargetLimits) -> Self {
        Self {
            max_in_flight: limits.max_in_flight,
            undo_max_in_flight: limits.undo_max_in_flight,
            pass_waiting_max: limits.pass_waiting_max,
            breaker_after: limits.breaker.after,
            breaker_retry_after_ms: millis(limits.breaker.retry_after),
        }
    }
}

impl ByKind {
    fn of(PerKind { forward, undo, pass }: PerKind) -> Self {
        Self { forward, undo, pass }
    }
}
