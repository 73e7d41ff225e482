//! What callers have to show, where they have to show something.

use http::Method;
use serde_json::{Map, Value, json};

use super::refusals;
use crate::http::auth::rules::Needs;
use crate::http::door::{API, Door};
use crate::http::{Front, native};
use fanfold_core::plan::DialectName;

/// How callers can show who they are.
pub(super) fn schemes() -> Value {
    json!({
        "bearer": { "type": "http", "scheme": "bearer", "description": "A token, in `Authorization: Bearer`." },
        "token": { "type": "apiKey", "in": "header", "name": "X-Auth-Token", "description": "The same in another field." },
        "certificate": { "type": "mutualTLS", "description": "A certificate of the client, where the server asks for one." },
    })
}

/// Any of them will do.
pub(super) fn any() -> Value {
    json!([{ "bearer": [] }, { "token": [] }, { "certificate": [] }])
}

/// Adds to each operation what it needs, and what becomes of requests that lack it.
pub(super) fn add(front: &Front, paths: &mut Value) {
    let Value::Object(paths) = paths else { return };
    for (template, item) in paths {
        let Value::Object(item) = item else { continue };
        for (method, operation) in item {
            let (needs, dialect) = needs(front, template, method);
            if needs == Needs::Nothing {
                operation["security"] = json!([]);
                continue;
            }
            if let Needs::Role(role) | Needs::House(role) = needs {
                operation["x-fanfold-role"] = role.as_str().into();
            }
            if let Some(Value::Object(responses)) = operation.get_mut("responses") {
                lacking(responses, dialect);
            }
        }
    }
}

/// What a request for this path needs, and in which dialect it is answered.
fn needs(front: &Front, template: &str, method: &str) -> (Needs, DialectName) {
    if let Some(below) = template.strip_prefix(API) {
        return (native::needs(&format!("{API}{below}")), DialectName::Native);
    }
    // Any id will do: what it needs does not depend on whose it is.
    let path = filled(template);
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap_or_default();
    let (door, mount) = Door::find(front, &method, &path, None);
    (Needs::of(&door, &method, &path), mount.dialect)
}

/// The path with an id in each of its braces.
fn filled(template: &str) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        path.push_str("00000000-0000-7000-8000-000000000000");
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    path + rest
}

fn lacking(responses: &mut Map<String, Value>, dialect: DialectName) {
    // What is passed through may be answered by its target with any status, in any form.
    if responses.contains_key("default") {
        return;
    }
    // Who may not do something is told that there is no such thing; `plas` has a status of its own for it.
    let not_allowed = if dialect == DialectName::Plas { 400 } else { 404 };
    for (status, response) in refusals(dialect, &[401, not_allowed]) {
        responses.entry(status).or_insert(response);
    }
}
