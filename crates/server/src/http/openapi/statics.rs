//! The parts that are the same whatever is configured: the native API, the pages for programs, and the components.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fanfold_core::Event;
use fanfold_core::plan::DialectName;
use fanfold_engine::Resolution;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Paths, add_headers, refusals, schemas};
use crate::http::door::API;

/// By method and path below the API.
const NATIVE: &str = include_str!("native.json");

/// What the others refer to, in the form of OpenAPI: headers, parameters, requests, lists, and what the other dialects answer.
/// The schemas of all other answers are made out of their types.
const COMPONENTS: &str = include_str!("components.json");

/// One answer of a server for each good status, by operation and status.
const EXAMPLES: &str = include_str!("examples.json");

/// What every path may refuse.
const ALWAYS: [u16; 4] = [400, 429, 431, 500];

/// What a path may refuse besides that asks the store.
const STORE_IS_AWAY: u16 = 503;

static ALL_COMPONENTS: LazyLock<Value> = LazyLock::new(|| {
    // It is a part of the program, and a test reads it.
    let mut components: Value = serde_json::from_str(COMPONENTS).expect("the components are JSON");
    components["parameters"]["EventName"]["schema"]["items"] = json!({ "enum": Event::NAMES });
    components["schemas"]["Resolution"] = json!({ "enum": Resolution::ALL.map(Resolution::as_str) });
    if let Value::Object(all) = &mut components["schemas"] {
        all.extend(schemas::made());
    }
    components
});

/// What there is to say about one path and method.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    id: String,
    tag: String,
    summary: String,
    #[serde(default)]
    parameters: Vec<String>,
    /// The schema of the request body; there is none where it is left out.
    body: Option<String>,
    #[serde(default)]
    body_required: bool,
    answers: BTreeMap<u16, Answer>,
    #[serde(default)]
    refused: Vec<u16>,
    /// Whether the server answers it without asking the store.
    #[serde(default)]
    without_store: bool,
}

/// One answer that is no refusal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    says: String,
    /// There is no body where it is left out.
    schema: Option<String>,
    media_type: Option<String>,
    #[serde(default)]
    headers: Vec<String>,
}

/// Adds all paths that are always there.
pub(super) fn describe(paths: &mut Paths) {
    let examples = examples();
    for (key, described) in native() {
        if let Some((method, path)) = key.split_once(' ') {
            let operation = described.operation(&examples[&described.id]);
            paths.add(&format!("{API}/{path}"), method, operation);
        }
    }
    for (path, operation) in pages() {
        paths.add(path, "get", operation);
    }
}

pub(super) fn native() -> BTreeMap<String, Described> {
    // It is a part of the program, and a test reads it.
    serde_json::from_str(NATIVE).expect("the description of the native API is JSON of this form")
}

pub(super) fn components() -> &'static Value {
    &ALL_COMPONENTS
}

fn examples() -> Value {
    // It is a part of the program, and a test reads it.
    serde_json::from_str(EXAMPLES).expect("the examples are JSON")
}

pub(super) fn tags() -> Value {
    json!([
        { "name": "operations", "description": "Operations of every dialect." },
        { "name": "events", "description": "Streams of what happens." },
        { "name": "targets", "description": "Back ends, how they are, and holds." },
        { "name": "attention", "description": "Notes that a person is needed." },
        { "name": "notices", "description": "Who is told of ends, and dead letters." },
        { "name": "access", "description": "Who may call, and what they may do." },
        { "name": "server", "description": "The server itself." },
        { "name": "monitoring", "description": "Pages for monitoring." },
        { "name": "mounts", "description": "Where mounts keep their operations." },
        { "name": "routes", "description": "The routes that are in place." },
    ])
}

impl Described {
    /// `examples` of its answers are by status.
    fn operation(&self, examples: &Value) -> Value {
        let known = components();
        // Put in whole: by a reference their names could not be compared with those in the path.
        let parameter = |name: &String| known["parameters"][name].clone();
        let answers = self.answers.iter().map(|(status, answer)| {
            let status = status.to_string();
            let response = answer.response(&examples[&status]);
            (status, response)
        });
        let mut responses: Map<String, Value> = answers.collect();
        let mut refused = self.refused.clone();
        refused.extend(ALWAYS);
        if !self.without_store {
            refused.push(STORE_IS_AWAY);
        }
        if self.body.is_some() {
            refused.extend([408, 413]);
        }
        responses.extend(refusals(DialectName::Native, &refused));
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "parameters": self.parameters.iter().map(parameter).collect::<Vec<_>>(),
            "responses": responses,
        });
        if let Some(body) = &self.body {
            let schema = json!({ "$ref": format!("#/components/schemas/{body}") });
            operation["requestBody"] =
                json!({ "required": self.body_required, "content": { "application/json": { "schema": schema } } });
        }
        operation
    }
}

impl Answer {
    fn response(&self, example: &Value) -> Value {
        let mut response = json!({ "description": self.says });
        if let Some(schema) = &self.schema {
            let media_type = self.media_type.as_deref().unwrap_or("application/json");
            let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
            response["content"] = json!({ media_type: { "schema": schema, "example": example } });
        }
        add_headers(&mut response, &self.headers);
        response
    }
}

fn pages() -> [(&'static str, Value); 4] {
    let page = |id: &str, summary: &str, ok: Value, others: &[u16]| {
        let mut responses = Map::from_iter([("200".to_owned(), ok)]);
        let statuses: Vec<u16> = [400, 431].into_iter().chain(others.iter().copied()).collect();
        responses.extend(refusals(DialectName::Native, &statuses));
        json!({ "operationId": id, "tags": ["monitoring"], "summary": summary, "parameters": [], "responses": responses })
    };
    let text = json!({ "type": "string" });
    let readiness = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Readiness" } } });
    let alive = json!({ "description": "It answers.", "content": { "text/plain": { "schema": text } } });
    let ready = json!({ "description": "It can do its work.", "content": readiness });
    let mut readiness_page = page("getReadiness", "Whether the server can do its work", ready, &[]);
    readiness_page["responses"]["503"] =
        json!({ "description": "It cannot; the reasons say why.", "content": readiness });
    let metrics = json!({
        "description": "As OpenMetrics to whoever accepts that, and else in the text format of Prometheus.",
        "content": { "text/plain": { "schema": text }, "application/openmetrics-text": { "schema": text } },
    });
    let this = json!({
        "description": "This document.",
        "content": { "application/json": { "schema": { "type": "object", "required": ["openapi", "info", "paths"] } } },
    });
    [
        ("/healthz", page("getHealth", "Whether the process answers", alive, &[])),
        ("/readyz", readiness_page),
        ("/metrics", page("getMetrics", "What is counted", metrics, &[500])),
        ("/openapi.json", page("getDocument", "This document", this, &[])),
    ]
}
