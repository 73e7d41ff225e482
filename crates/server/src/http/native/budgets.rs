//! What the configuration allows requests to a target: as the target has it, and where routes have it otherwise.

use fanfold_core::TargetName;
use fanfold_core::plan::Limits;
use fanfold_core::route::{Handling, RouteTable};
use schemars::JsonSchema;
use serde::Serialize;

use super::millis;

/// Attempts, waits and times.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(in crate::http) struct Budgets {
    pub(in crate::http) retry: RetryForm,
    pub(in crate::http) undo_retry: RetryForm,
    pub(in crate::http) timeouts: TimeoutsForm,
    /// The same for undos.
    pub(in crate::http) undo_timeouts: TimeoutsForm,
    pub(in crate::http) settle_ms: u64,
    pub(in crate::http) response_body_max: u64,
}

/// The budgets of a target on one route.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BudgetOverride")]
pub(in crate::http) struct Override {
    pub(in crate::http) route: String,
    #[serde(flatten)]
    pub(in crate::http) budgets: Budgets,
}

#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Retry")]
pub(in crate::http) struct RetryForm {
    pub(in crate::http) attempts: u32,
    pub(in crate::http) backoff_ms: u64,
    pub(in crate::http) backoff_max_ms: u64,
    pub(in crate::http) budget_ms: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Timeouts")]
pub(in crate::http) struct TimeoutsForm {
    pub(in crate::http) connect_ms: u64,
    pub(in crate::http) response_ms: u64,
    pub(in crate::http) lower_ms: u64,
}

/// The budgets of a target, if it is configured, and those of the routes that differ from them.
pub(in crate::http) fn of(routes: &RouteTable, target: &TargetName) -> (Option<Budgets>, Vec<Override>) {
    let Some(spec) = routes.targets().get(target) else { return (None, Vec::new()) };
    let budgets = Budgets::of(&spec.step, &spec.undo, spec.settle);
    let on_routes = routes.routes().iter().filter_map(|route| match &route.handling {
        Handling::Pass(_) => None,
        Handling::Operation(operation) => {
            let policy = operation.policy().targets.get(target)?;
            let budgets = Budgets::of(&policy.step, &policy.undo_limits, policy.settle);
            Some(Override { route: route.name.clone(), budgets })
        }
    });
    let overrides = on_routes.filter(|on_route| on_route.budgets != budgets).collect();
    (Some(budgets), overrides)
}

impl Budgets {
    fn of(step: &Limits, undo: &Limits, settle: std::time::Duration) -> Self {
        Self {
            retry: RetryForm::of(step),
            undo_retry: RetryForm::of(undo),
            timeouts: TimeoutsForm::of(step),
            undo_timeouts: TimeoutsForm::of(undo),
            settle_ms: millis(settle),
            response_body_max: step.response_body_max,
        }
    }
}

impl RetryForm {
    fn of(limits: &Limits) -> Self {
        Self {
            attempts: limits.attempts,
            backoff_ms: millis(limits.backoff),
            backoff_max_ms: millis(limits.backoff_max),
            budget_ms: millis(limits.budget),
        }
    }
}

impl TimeoutsForm {
    fn of(limits: &Limits) -> Self {
        Self {
            connect_ms: millis(limits.connect),
            response_ms: millis(limits.response),
            lower_ms: millis(limits.lower),
        }
    }
}
