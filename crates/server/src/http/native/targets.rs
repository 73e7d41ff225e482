//! Targets: how they are, and whether they are on hold.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfold_core::TargetName;
use fanfold_core::dialect::Refusal;
use fanfold_core::route::RouteTable;
use fanfold_engine::target::{BreakerStatus, Latency, PerKind, TargetLimits, TargetStatus};
use fanfold_store::Hold;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budgets::{self, Budgets, Override};
use super::query::Query;
use super::{Nothing, json, millis, no_such_path, read};
use crate::http::auth::Caller;
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Characters of a reason at the most.
const REASON_CHARACTERS_MAX: usize = 1_000;

/// A target.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Target")]
pub(in crate::http) struct TargetForm {
    pub(in crate::http) name: String,
    /// Null once it is no longer configured.
    pub(in crate::http) url: Option<String>,
    /// `ok`, `half_open`, `breaker_open`, `held` or `missing`.
    #[schemars(extend("enum" = ["ok", "half_open", "breaker_open", "held", "missing"]))]
    pub(in crate::http) state: &'static str,
    pub(in crate::http) breaker: BreakerForm,
    /// Null once it is no longer configured.
    pub(in crate::http) limits: Option<LimitsForm>,
    /// How requests to it are carried out where a route does not say otherwise; null once it is no longer configured.
    pub(in crate::http) budgets: Option<Budgets>,
    /// Where routes say otherwise.
    pub(in crate::http) overrides: Vec<Override>,
    pub(in crate::http) hold: Option<HoldForm>,
    /// Null for callers of other tenants than the house's own, like all that tells what others do.
    pub(in crate::http) in_flight: Option<ByKind>,
    pub(in crate::http) waiting: Option<ByKind>,
    pub(in crate::http) totals: Option<TotalsForm>,
    /// Of the latest answers; null before the first.
    pub(in crate::http) latency: Option<LatencyForm>,
}

/// What the breaker does, on hold or not.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Breaker")]
pub(in crate::http) struct BreakerForm {
    /// `closed`, `half_open` or `open`.
    #[schemars(extend("enum" = ["closed", "half_open", "open"]))]
    pub(in crate::http) state: &'static str,
    /// Since when it does not let everything through.
    pub(in crate::http) since: Option<Timestamp>,
    /// When it lets one attempt through.
    pub(in crate::http) retry_in_ms: Option<u64>,
    /// Attempts in a row that broke.
    pub(in crate::http) breaks: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TargetLimits")]
pub(in crate::http) struct LimitsForm {
    pub(in crate::http) max_in_flight: usize,
    pub(in crate::http) undo_max_in_flight: usize,
    pub(in crate::http) pass_waiting_max: usize,
    /// 0: the breaker never opens.
    pub(in crate::http) breaker_after: u32,
    pub(in crate::http) breaker_retry_after_ms: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TargetHold")]
pub(in crate::http) struct HoldForm {
    pub(in crate::http) since: Timestamp,
    pub(in crate::http) by: String,
    pub(in crate::http) reason: String,
}

/// Requests by what they are for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Kinds")]
pub(in crate::http) struct ByKind {
    pub(in crate::http) forward: usize,
    pub(in crate::http) undo: usize,
    pub(in crate::http) pass: usize,
}

/// Requests that ended since the process started.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Totals")]
pub(in crate::http) struct TotalsForm {
    pub(in crate::http) answered: u64,
    pub(in crate::http) server_errors: u64,
    pub(in crate::http) not_sent: u64,
    pub(in crate::http) broke: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Latency")]
pub(in crate::http) struct LatencyForm {
    pub(in crate::http) median_ms: u64,
    pub(in crate::http) p95_ms: u64,
    pub(in crate::http) max_ms: u64,
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
    let targets = all(shared, &visit.caller).await?;
    Ok(json(&serde_json::json!({ "targets": targets })))
}

/// `GET /targets/{name}`
pub(super) async fn show(shared: &Shared, visit: &Visit, name: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    Ok(json(&one(shared, &visit.caller, name).await?))
}

/// `POST /targets/{name}/hold`
pub(super) async fn hold(shared: &Shared, visit: Visit, name: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let HoldRequest { reason } = read(visit.body)?;
    check_reason(&reason)?;
    let caller = &visit.caller;
    to_hold(shared, caller, name).await?;
    shared.engine.hold(&TargetName::from(name), caller.name.clone(), reason).await?;
    Ok(json(&one(shared, caller, name).await?))
}

/// `POST /targets/{name}/release`
pub(super) async fn release(shared: &Shared, visit: Visit, name: &str) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let Nothing {} = read(visit.body)?;
    let before = to_hold(shared, &visit.caller, name).await?;
    shared.engine.release(&TargetName::from(name)).await?;
    // One that is not configured any more is not listed once nothing holds it.
    match one(shared, &visit.caller, name).await {
        Ok(form) => Ok(json(&form)),
        Err(Stop::Refused(Refusal::NotFound { .. })) => Ok(json(&TargetForm { hold: None, ..before })),
        Err(stop) => Err(stop),
    }
}

/// Refuses a reason that is too long.
pub(in crate::http) fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.chars().count() <= REASON_CHARACTERS_MAX {
        return Ok(());
    }
    Err(Refusal::OutOfRange { detail: format!("`reason` is longer than {REASON_CHARACTERS_MAX} characters") })
}

/// The target, if the caller may hold and release it.
pub(in crate::http) async fn to_hold(shared: &Shared, caller: &Caller, name: &str) -> Result<TargetForm, Stop> {
    let found = one(shared, caller, name).await?;
    if caller.access.may_hold(&TargetName::from(name)) { Ok(found) } else { Err(no_such_path().into()) }
}

pub(in crate::http) async fn one(shared: &Shared, caller: &Caller, name: &str) -> Result<TargetForm, Stop> {
    let found = all(shared, caller).await?.into_iter().find(|target| target.name == name);
    found.ok_or_else(|| Stop::not_found("target"))
}

/// All that are configured, are waited for, or are on hold, as far as they are for the caller.
pub(in crate::http) async fn all(shared: &Shared, caller: &Caller) -> Result<Vec<TargetForm>, Stop> {
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
    let access = &caller.access;
    let seen = forms.into_values().filter(|form| access.scope.has_target(&form.name.as_str().into()));
    Ok(seen.map(|form| if access.is_of_the_house() { form } else { form.without_others() }).collect())
}

impl TargetForm {
    /// Without what tells how much others have to do with it.
    fn without_others(self) -> Self {
        Self { in_flight: None, waiting: None, totals: None, latency: None, ..self }
    }

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
            in_flight: Some(ByKind::of(status.in_flight)),
            waiting: Some(ByKind::of(status.waiting)),
            totals: Some(TotalsForm {
                answered: totals.answered,
                server_errors: totals.server_errors,
                not_sent: totals.not_sent,
                broke: totals.broke,
            }),
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
