//! The routes that are in place, in configured order.

use std::collections::BTreeSet;

use fanfold_core::TargetName;
use fanfold_core::plan::{DialectName, Order, Policy, UndoRule};
use fanfold_core::route::{Handling, Route};
use serde::Serialize;

use super::query::Query;
use super::{json, millis};
use crate::http::outcome::{Response, Stop};
use crate::http::visit::Visit;

#[derive(Debug, Serialize)]
struct RouteForm<'a> {
    name: &'a str,
    dialect: DialectName,
    mount: &'a str,
    method: &'a str,
    pattern: &'a str,
    /// The target that requests are passed through to; null for a route that accepts operations.
    pass: Option<&'a str>,
    /// Null for a route that passes through.
    operation: Option<OperationForm<'a>>,
}

#[derive(Debug, Serialize)]
struct OperationForm<'a> {
    /// The hash of its rules: operations that were accepted under the same rules have the same.
    policy: String,
    /// The targets that its operations may call, in configured order.
    targets: Vec<&'a str>,
    /// Whether they call all of them, or what the request selects.
    selected: &'static str,
    order: &'a Order,
    undo: &'static str,
    deadline_ms: u64,
    retention_ms: u64,
}

/// `GET /routes`
pub(super) fn list(visit: &Visit) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let routes: Vec<_> = visit.front.routes().routes().iter().map(|route| RouteForm::of(route)).collect();
    Ok(json(&serde_json::json!({ "routes": routes })))
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
