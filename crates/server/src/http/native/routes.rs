//! The routes that are in place, in configured order.

use fanfold_core::plan::DialectName;
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
    /// The targets that its operations may call.
    targets: Vec<&'a str>,
    deadline_ms: u64,
    retention_ms: u64,
}

/// `GET /routes`
pub(super) fn list(visit: &Visit) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let routes: Vec<_> = visit.front.routes().routes().iter().map(|route| RouteForm::of(route)).collect();
    Ok(json(&serde_json::json!({ "routes": routes })))
}

impl<'a> RouteForm<'a> {
    fn of(route: &'a Route) -> Self {
        let (pass, operation) = match &route.handling {
            Handling::Pass(target) => (Some(target.as_str()), None),
            Handling::Operation(operation) => {
                let policy = operation.policy();
                let form = OperationForm {
                    policy: operation.policy_hash().to_string(),
                    targets: policy.targets.keys().map(fanfold_core::TargetName::as_str).collect(),
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
