//! What is configured, and what would become of a request.

use askama::Template;
use fanfold_core::plan::Order;

use super::shell::{Place, Shell};
use super::words::span;
use super::{OK, page};
use crate::http::native::routes::{RouteForm, all};
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Letters of the hash of a policy: enough to tell two of them apart.
const POLICY_LETTERS: usize = 12;

/// A route as pages show it.
struct RouteView {
    name: String,
    request: String,
    dialect: String,
    /// Where it is sent, in words.
    to: String,
    /// What holds for its operations.
    rules: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "routes.html")]
struct RoutesPage {
    shell: Shell,
    routes: Vec<RouteView>,
}

/// `GET /ui/routes`
pub(super) async fn list(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let shell = Shell::of(shared, &visit.caller, Place::Routes, "Routes").await;
    let routes = all(visit).into_iter().map(|form| RouteView::of(&form)).collect();
    page::render(OK, &RoutesPage { shell, routes })
}

pub(super) fn order(order: &Order) -> String {
    match order {
        Order::Parallel => "all targets at once".to_owned(),
        Order::Sequence => "one target after the other".to_owned(),
        Order::Waves(sizes) => {
            let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
            format!("in waves of {}, then the rest", sizes.join(", "))
        }
    }
}

impl RouteView {
    fn of(form: &RouteForm<'_>) -> Self {
        let mut rules = Vec::new();
        let to = match (&form.pass, &form.operation) {
            (Some(target), _) => format!("passed through to {target}"),
            (None, Some(operation)) => {
                let targets = operation.targets.join(", ");
                let millis = |ms| span(std::time::Duration::from_millis(ms));
                rules.push(("order", order(operation.order)));
                rules.push(("undo", operation.undo.to_owned()));
                rules.push(("deadline", millis(operation.deadline_ms)));
                rules.push(("kept", millis(operation.retention_ms)));
                rules.push(("policy", operation.policy.chars().take(POLICY_LETTERS).collect()));
                if operation.selected == "by_request" {
                    format!("what the request selects of {targets}")
                } else {
                    targets
                }
            }
            (None, None) => String::new(),
        };
        Self {
            name: form.name.to_owned(),
            request: format!("{} {}", form.method, form.pattern),
            dialect: format!("{} {}", form.dialect, form.mount).trim_end().to_owned(),
            to,
            rules,
        }
    }
}
