//! The routes that are in place. What stands in their bodies is between clients and targets, so it is any content.

use std::sync::Arc;

use fanfold_core::TargetName;
use fanfold_core::plan::DialectName;
use fanfold_core::route::{Handling, Route};
use serde_json::{Map, Value, json};

use super::{Paths, refusals};

/// A port from 1 to 65535, as a text.
const PORT: &str = "^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$";

/// Methods that a path item of OpenAPI has a place for.
const METHODS: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

/// Adds routes: those that take the rest of a path after all others, because they answer only what is left.
pub(super) fn describe_all(paths: &mut Paths, routes: &[Arc<Route>]) {
    let (rest, others): (Vec<&Arc<Route>>, Vec<_>) = routes.iter().partition(|route| route.pattern.contains("{*"));
    others.into_iter().chain(rest).for_each(|route| describe(paths, route));
}

fn describe(paths: &mut Paths, route: &Route) {
    if !METHODS.contains(&route.method.as_str()) {
        return;
    }
    let method = route.method.as_str();
    let is_rest = route.pattern.contains("{*");
    // One segment goes to the capture beside it, where there is one, and only what has more is left for it.
    let before = (0..).find(|before| !is_rest || !paths.has(&places(&route.pattern, *before).0, method)).unwrap_or(0);
    let (template, in_path) = places(&route.pattern, before);
    let mut operation = match &route.handling {
        Handling::Pass(target) => passed(route, target),
        Handling::Operation(_) => accepted(route),
    };
    if let Value::Array(parameters) = &mut operation["parameters"] {
        parameters.extend(in_path);
    }
    operation["x-fanfold-pattern"] = route.pattern.as_str().into();
    paths.add(&template, method, operation);
}

/// The path template of a pattern, and what stands for its braces. OpenAPI has no sign for the rest of a path: that is a parameter
/// as well, which says that it is more. `before` are segments of the rest that have parameters of their own.
fn places(pattern: &str, before: usize) -> (String, Vec<Value>) {
    let (_, names) = super::read_template(pattern);
    let mut template = pattern.to_owned();
    let mut parameters = Vec::new();
    for written in names {
        let Some(name) = written.strip_prefix('*') else {
            parameters.push(in_path(&written, &format!("One segment of the path, `{written}` in the route.")));
            continue;
        };
        let firsts: Vec<String> = (1..=before).map(|number| format!("{name}_{number}")).collect();
        let braces: String = firsts.iter().map(|first| format!("{{{first}}}/")).collect();
        template = template.replace(&format!("{{{written}}}"), &format!("{braces}{{{name}}}"));
        let of_it =
            |first: &String| in_path(first, &format!("One segment of the path, a part of `{written}` in the route."));
        parameters.extend(firsts.iter().map(of_it));
        let says = format!(
            "The rest of the path, `{written}` in the route: one segment, or several with the slashes between them."
        );
        parameters.push(in_path(name, &says));
    }
    (template, parameters)
}

fn in_path(name: &str, says: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "description": says,
        "schema": { "type": "string", "minLength": 1 },
    })
}

fn passed(route: &Route, target: &TargetName) -> Value {
    let others: &[u16] = match route.dialect {
        DialectName::Native => &[400, 429, 431, 502, 503, 504],
        DialectName::Msf | DialectName::Plas => &[400, 429, 500],
    };
    let mut responses = refusals(route.dialect, others);
    responses.insert("default".to_owned(), json!({ "description": format!("What {target} answers.") }));
    json!({
        "operationId": format!("route {}", route.name),
        "tags": ["routes"],
        "summary": format!("{}: passed through to {target}", route.name),
        "parameters": [],
        "responses": responses,
    })
}

fn accepted(route: &Route) -> Value {
    let (schema, headers, statuses): (&str, &[&str], &[u16]) = match route.dialect {
        DialectName::Native => ("Accepted", &["Location"], &[400, 404, 408, 409, 413, 422, 429, 431, 500, 503]),
        DialectName::Msf => ("MsfAccepted", &[], &[400, 404, 408, 409, 429, 500]),
        DialectName::Plas => ("PlasAccepted", &[], &[400, 408, 429, 500]),
    };
    let mut accepted = json!({
        "description": "It is accepted, and on disk.",
        "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } },
    });
    super::add_headers(&mut accepted, headers);
    let mut responses: Map<String, Value> = refusals(route.dialect, statuses);
    responses.insert("202".to_owned(), accepted);
    let waited = "With `Prefer: wait`, the final response of the operation, whatever its status and content.";
    let mut last = json!({ "description": waited });
    super::add_headers(&mut last, &["Preference-Applied", "Link"]);
    responses.insert("default".to_owned(), last);
    let mut operation = json!({
        "operationId": format!("route {}", route.name),
        "tags": ["routes"],
        "summary": format!("{}: starts an operation", route.name),
        "parameters": parameters(route.dialect),
        "responses": responses,
    });
    if !matches!(route.method.as_str(), "GET" | "HEAD" | "DELETE") {
        operation["requestBody"] = json!({ "content": { "*/*": { "schema": {} } } });
    }
    operation
}

fn parameters(dialect: DialectName) -> Vec<Value> {
    let known = super::statics::components();
    let names =
        ["Idempotency-Key", "Fanfold-Start-At", "Fanfold-Retry-Of", "Fanfold-Callback-Url", "Prefer", "traceparent"];
    let of_all = names.map(|name| known["parameters"][name].clone());
    let of_dialect = match dialect {
        DialectName::Native | DialectName::Plas => json!([]),
        DialectName::Msf => json!([
            { "name": "notification_address", "in": "query", "schema": { "type": "string", "format": "ipv4" } },
            { "name": "notification_port", "in": "query", "schema": { "type": "string", "pattern": PORT } },
        ]),
    };
    of_all.into_iter().chain(of_dialect.as_array().cloned().unwrap_or_default()).collect()
}
