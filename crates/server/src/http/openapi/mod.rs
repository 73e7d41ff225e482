//! The document of the API (OpenAPI 3.1) at `/openapi.json`: what does not change stands in the JSON files here; mounts and
//! routes come from the front that is in place, so that a reload shows at once.

mod mounts;
mod routes;
mod schemas;
mod security;
mod statics;

use std::collections::BTreeMap;

use fanfold_core::plan::DialectName;
use serde_json::{Map, Value, json};

use super::Front;

/// What is to be known of the whole.
const ABOUT: &str = "The native API, and the mounts and routes that are in place. `HEAD` is answered wherever `GET` is. A method \
    that a path does not have here is refused: in the native API, and on the pages for programs, with 405 and `Allow`. What a \
    caller may not do is answered as if it did not exist.";

/// The document. `asks`: whether callers have to show who they are.
pub(super) fn document(front: &Front, asks: bool) -> Value {
    let mut paths = Paths::default();
    statics::describe(&mut paths);
    for mount in front.mounts() {
        mounts::describe(&mut paths, mount);
    }
    routes::describe_all(&mut paths, front.routes().routes());
    // Parameters stand where they are used.
    let known = statics::components();
    let public = front.native().settings.public_url.as_str();
    let mut paths = paths.into_value();
    if asks {
        security::add(front, &mut paths);
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Fanfold",
            "summary": "HTTP changes as durable operations",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": if public.is_empty() { "/" } else { public } }],
        "tags": statics::tags(),
        "paths": paths,
        "components": { "headers": known["headers"], "schemas": known["schemas"] },
    });
    if asks {
        document["security"] = security::any();
        document["components"]["securitySchemes"] = security::schemes();
    }
    document
}

/// Paths with their operations. What was there first stays: Fanfold's own paths go before mounts, and mounts before routes.
#[derive(Debug, Default)]
struct Paths {
    /// By the form of the path, where parameters have no names: OpenAPI takes paths that differ only by them for the same.
    by_form: BTreeMap<String, (String, Map<String, Value>)>,
}

impl Paths {
    /// Adds an operation. `parameters` say what is known of those in the path; the others are any text. Those in the path that
    /// another operation has under another name, because it was there first, get that name.
    fn add(&mut self, template: &str, method: &str, mut operation: Value) {
        let (form, own_names) = read_template(template);
        let (known, item) = self.by_form.entry(form).or_insert_with(|| (template.to_owned(), Map::new()));
        let (_, names) = read_template(known);
        let in_path = names.iter().map(|name| {
            json!({
                "name": name, "in": "path", "required": true,
                "schema": { "type": "string", "minLength": 1 },
            })
        });
        let mut given = operation["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in given.iter_mut().filter(|one| one["in"] == "path") {
            let place = own_names.iter().position(|name| parameter["name"] == name.as_str());
            if let Some(name) = place.and_then(|place| names.get(place)) {
                parameter["name"] = name.as_str().into();
            }
        }
        let is_given = |one: &Value| given.iter().any(|other| other["in"] == "path" && other["name"] == one["name"]);
        let others: Vec<Value> = in_path.filter(|one| !is_given(one)).collect();
        let parameters: Vec<Value> = given.into_iter().chain(others).collect();
        operation["parameters"] = parameters.into();
        item.entry(method.to_ascii_lowercase()).or_insert(operation);
    }

    /// Whether there is an operation of this method at a path of this form.
    fn has(&self, template: &str, method: &str) -> bool {
        let found = self.by_form.get(&read_template(template).0);
        found.is_some_and(|(_, item)| item.contains_key(&method.to_ascii_lowercase()))
    }

    fn into_value(self) -> Value {
        let pairs = self.by_form.into_values().map(|(template, item)| (template, Value::Object(item)));
        Value::Object(pairs.collect())
    }
}

/// The form of a path template, and the names in it.
fn read_template(template: &str) -> (String, Vec<String>) {
    let mut form = String::new();
    let mut names = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        form.push_str(before);
        form.push_str("{}");
        names.push(name.to_owned());
        rest = after;
    }
    form.push_str(rest);
    (form, names)
}

/// What a refusal looks like in a dialect, for each status that it is answered with. A request that is refused because its
/// head cannot be parsed, or because it comes too slowly, is answered without a body whatever the dialect.
fn refusals(dialect: DialectName, statuses: &[u16]) -> Map<String, Value> {
    let pairs = statuses.iter().map(|status| (status.to_string(), refusal(dialect, *status)));
    pairs.collect()
}

fn refusal(dialect: DialectName, status: u16) -> Value {
    if status == 408 {
        return json!({ "description": "The request came too slowly." });
    }
    let (media_type, schema) = match dialect {
        DialectName::Native => ("application/problem+json", "Problem"),
        DialectName::Msf => ("application/json", "MsfError"),
        DialectName::Plas => ("application/json", "PlasError"),
    };
    let mut response = json!({
        "description": words(status),
        "content": { media_type: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } },
    });
    let headers: &[&str] = match status {
        401 => &["WWW-Authenticate"],
        429 | 503 => &["Retry-After"],
        500 if dialect != DialectName::Native => &["Retry-After"],
        _ => &[],
    };
    add_headers(&mut response, headers);
    response
}

fn add_headers<S: AsRef<str>>(response: &mut Value, names: &[S]) {
    if names.is_empty() {
        return;
    }
    let pairs = names.iter().map(|name| {
        let name = name.as_ref();
        (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))
    });
    response["headers"] = Value::Object(pairs.collect());
}

fn words(status: u16) -> &'static str {
    match status {
        401 => "No credentials, or bad ones.",
        400 => "Something in the request is not as it should be.",
        404 => "There is no such thing.",
        409 => "It is locked, or not possible in the present state.",
        413 => "The body is too large.",
        422 => "The idempotency key was used for another request.",
        429 => "The caller sends too many requests.",
        431 => "The head of the request is too large.",
        500 => "The store fails, or something unexpected happened.",
        502 => "The target did not answer.",
        503 => "Nothing is accepted now, or the store cannot be reached.",
        504 => "The target did not answer in time.",
        _ => "It is refused.",
    }
}

#[cfg(test)]
mod tests;
