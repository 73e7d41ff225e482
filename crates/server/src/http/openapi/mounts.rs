//! The paths where mounts keep their operations.

use fanfold_core::dialect::Mount;
use fanfold_core::plan::DialectName;
use serde_json::{Map, Value, json};

use super::{Paths, refusals};

/// Adds the paths of a mount.
pub(super) fn describe(paths: &mut Paths, mount: &Mount) {
    match mount.dialect {
        // Its operations are below the API.
        DialectName::Native => {}
        DialectName::Msf => msf(paths, mount),
        DialectName::Plas => plas(paths, mount),
    }
}

fn msf(paths: &mut Paths, mount: &Mount) {
    let prefix = mount.prefix.as_str();
    let list = answer("The operations of this mount.", "MsfList", &["Link"]);
    let query = json!([
        { "name": "format", "in": "query", "schema": { "enum": ["list", "detail-list"], "default": "list" } },
        { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "maximum": 1000 } },
        &super::statics::components()["parameters"]["PageToken"],
    ]);
    let operation = described(mount, "list", "List the operations of this mount", query, list, &[404]);
    paths.add(&format!("{prefix}/operations"), "get", operation);
    let one = format!("{prefix}/operations/{{operation_id}}");
    let detail = answer("The operation.", "MsfOperation", &[]);
    paths.add(&one, "get", described(mount, "get", "Get an operation of this mount", json!([]), detail, &[404]));
    let told = json!({ "description": "Whoever follows that operation is woken." });
    let mut notified = described(
        mount,
        "notify",
        "Tell of the end of an operation of a lower controller",
        json!([]),
        told,
        &[404, 408],
    );
    notified["requestBody"] =
        json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Any" } } } });
    paths.add(&one, "put", notified);
}

fn plas(paths: &mut Paths, mount: &Mount) {
    let detail = answer("The operation.", "PlasOperation", &[]);
    let id = json!({ "type": "string", "minLength": 1, "maxLength": 36 });
    let ids = json!([
        { "name": "connector_id", "in": "path", "required": true, "schema": id },
        { "name": "operation_id", "in": "path", "required": true, "schema": id },
    ]);
    let operation = described(mount, "get", "Get an operation on a connector", ids, detail, &[]);
    let path = format!("{}/connectors/{{connector_id}}/operations/{{operation_id}}", mount.prefix);
    paths.add(&path, "get", operation);
}

fn answer(says: &str, schema: &str, headers: &[&str]) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    let mut answer = json!({ "description": says, "content": { "application/json": { "schema": schema } } });
    super::add_headers(&mut answer, headers);
    answer
}

fn described(mount: &Mount, word: &str, summary: &str, parameters: Value, ok: Value, others: &[u16]) -> Value {
    let mut responses = Map::from_iter([("200".to_owned(), ok)]);
    let statuses: Vec<u16> = [400, 429, 500].into_iter().chain(others.iter().copied()).collect();
    responses.extend(refusals(mount.dialect, &statuses));
    json!({
        "operationId": format!("mount {} {word}", mount.prefix),
        "tags": ["mounts"],
        "summary": summary,
        "parameters": parameters,
        "responses": responses,
    })
}
