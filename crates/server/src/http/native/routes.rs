//! The routes that are in place, in configured order.

use std::collections::BTreeSet;

use fanfold_core::TargetName;
use fanfold_core::plan::{DialectName, Order, Policy, UndoRule};
use fanfold_core::route::{Handling, Route};
use schemars::JsonSchema;
use serde::Serialize;

use super::query::Query;
use super::{json, millis};
use crate::http::outcome::{Response, Stop};
use crate::http::visit::Visit;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Route")]
pub(in crate::http) struct RouteForm<'a> {
    pub(in crate::http) name: &'a str,
    pub(in crate::http) dialect: DialectName,
    pub(in crate::http) mount: &'a str,
    pub(in crate::http) method: &'a str,
    pub(in crate::http) pattern: &'a str,
    /// The target that requests are passed through to; null for a route that accepts operations.
    pub(in crate::http) pass: Option<&'a str>,
    /// Null for a route that passes through.
    pub(in crate::http) operation: Option<OperationForm<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RouteOperation")]
pub(in crate::http) struct OperationForm<'a> {
    /// The hash of its rules: operations that were accepted under the same rules have the same.
    pub(in crate::http) policy: String,
    /// The targets that its operations may call, in configured order.
    pub(in crate::http) targets: Vec<&'a str>,
    /// Whether they call all of them, or what the request selects.
    #[schemars(extend("enum" = ["all", "by_request"]))]
    pub(in crate::http) selected: &'static str,
    pub(in crate::http) order: &'a Order,
    /// How what succeeded is undone, in one word for all targets.
    #[schemars(extend("enum" = ["none", "request", "restore", "differs"]))]
    pub(in crate::http) undo: &'static str,
    pub(in crate::http) deadline_ms: u64,
    pub(in crate::http) retention_ms: u64,
}

/// `GET /routes`
pub(super) fn list(visit: &Visit) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    Ok(json(&serde_json::json!({ "routes": all(visit) })))
}

/// All that are for the caller, in configured order.
pub(in crate::http) fn all(visit: &Visit) -> Vec<RouteForm<'_>> {
    let scope = &visit.caller.access.scope;
    let meant = visit.front.routes().routes().iter().filter(|route| scope.has_route(&route.name));
    meant.map(|route| RouteForm::of(route)).collect()
}

/// How what succeeded is undone, in one word for all targets.
fn undo_word(policy: &Policy) -> &'static str {
    let words = policy.targets.values().map(|target| match &target.undo {
        None => "none",
        Some(UndoRule::Request(_)) => "request",
        Some(UndoRule::Restore) => "restore",
    });
    let words: BTreeSet<&str> = words.collect();
    match words.len() {
        0 => "none",
        1 => words.into_iter().next().unwrap_or("none"),
        _ => "differs",
    }
}

impl<'a> RouteForm<'a> {
    fn of(route: &'a Route) -> Self {
        let (pass, operation) = match &route.handling {
            Handling::Pass(target) => (Some(target.as_str()), None),
            Handling::Operation(operation) => {
                let policy = operation.policy();
                let form = OperationForm {
                    policy: operation.policy_hash().to_string(),
                    targets: operation.targets().into_iter().map(TargetName::as_str).collect(),
                    selected: if operation.is_selected_by_request() { "by_request" } else { "all" },
                    order: &policy.order,
                    undo: undo_word(policy),
                    deadline_ms: millis(policy.deadline),
                    retention_ms: millis(policy.retention),
                };
                (None, Some(form))
            }
        };
        Self {
            name: &route.name,
            dialect: route.dialect,
            mount: &route.mount,
            method: route.method.as_str(),
            pattern: &route.pattern,
            pass,
            operation,
        }
    }
}
