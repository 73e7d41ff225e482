//! The document of the API, as a running server gives it, and what the server does of what it says.

use std::collections::BTreeSet;
use std::time::Duration;

use fanfold_core::PerTenant;
use fanfold_server::{Pace, ServerConfig};
use fanfold_testkit::{Answer, HttpAnswer, PATIENCE, Schemas};
use serde_json::{Value, json};

use crate::rig::{PLAS, Rig, routes};

/// An id that nothing has.
const NOBODY: &str = "01a20105-0000-7000-8000-000000000001";

/// The document, and its operations with method and path.
async fn document(rig: &Rig) -> (Schemas, Vec<(String, String, Value)>) {
    let answer = rig.http.get("/openapi.json").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.to_ascii_uppercase(), path.clone(), operation.clone()));
        }
    }
    (Schemas::new(document), operations)
}

/// A path with something that can stand in its braces.
fn filled(path: &str) -> String {
    let id = if path.contains("/attention/") { "1" } else { NOBODY };
    path.replace("{id}", id).replace("{name}", "tokyo")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_every_mount_and_every_route() {
    let rig = Rig::start().await;
    let (schemas, operations) = document(&rig).await;
    assert_eq!(schemas.document()["openapi"], "3.1.0");
    let of_routes: BTreeSet<(String, String, String)> = operations
        .iter()
        .filter(|(_, _, operation)| operation["tags"] == json!(["routes"]))
        .map(|(method, _, operation)| {
            let text = |name: &str| operation[name].as_str().unwrap().to_owned();
            (text("operationId"), method.clone(), text("x-fanfold-pattern"))
        })
        .collect();
    let configured =
        routes().into_iter().map(|route| (format!("route {}", route.name), route.method.to_string(), route.pattern));
    assert_eq!(of_routes, configured.collect());
    let paths = &schemas.document()["paths"];
    assert!(paths["/v1/operations"]["get"].is_object());
    assert!(paths[format!("{PLAS}/connectors/{{connector_id}}/operations/{{operation_id}}")]["get"].is_object());
    let errors = &paths["/v1/slices/{slice_id}/cps"]["post"]["responses"]["409"]["content"]["application/json"];
    assert_eq!(errors["schema"], json!({ "$ref": "#/components/schemas/MsfError" }));
    let refused = rig.http.request("POST", "/openapi.json", b"").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}

/// Goal: examples do not grow old. Method: a member that is new, gone or of another type is a mismatch.
#[tokio::test(flavor = "multi_thread")]
async fn every_good_answer_of_the_native_api_has_an_example_that_is_true() {
    let rig = Rig::start().await;
    let (schemas, operations) = document(&rig).await;
    let mut examples = 0;
    for (method, path, operation) in operations.iter().filter(|(_, path, _)| path.starts_with("/api/v1/")) {
        let responses = operation["responses"].as_object().unwrap().iter();
        let good = responses.filter(|(status, response)| status.starts_with('2') && response["content"].is_object());
        for (status, response) in good {
            for (media_type, content) in response["content"].as_object().unwrap() {
                let (schema, example) = (&content["schema"], &content["example"]);
                let wrong = if media_type == "text/event-stream" {
                    wrong_in_stream(&schemas, example.as_str().unwrap())
                } else {
                    schemas.mismatches(schema, example)
                };
                assert_eq!(wrong, [""; 0], "{method} {path} {status}; renewed by cargo xtask schemathesis --examples");
                examples += 1;
            }
        }
    }
    assert!(examples > 25, "there are {examples}");
}

fn wrong_in_stream(schemas: &Schemas, stream: &str) -> Vec<String> {
    let schema = &schemas.document()["components"]["schemas"]["Events"]["x-event-data"];
    let data: Vec<Value> = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert!(!data.is_empty(), "{stream}");
    data.iter().flat_map(|data| schemas.mismatches(schema, data)).collect()
}

/// Goal: a member that a request may have is described, and none is described that is refused. Method: whoever sends one that
/// there is not is told which there are.
#[tokio::test(flavor = "multi_thread")]
async fn requests_have_the_members_that_are_described() {
    let rig = Rig::start().await;
    let (schemas, operations) = document(&rig).await;
    let all = &schemas.document()["components"]["schemas"];
    let mut asked = 0;
    for (method, path, operation) in operations.iter().filter(|(_, path, _)| path.starts_with("/api/v1/")) {
        let reference = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let Some(name) = reference.as_str().and_then(|reference| reference.rsplit('/').next()) else { continue };
        let refused = rig.http.post(&filled(path), &json!({ "nonsense": 1 })).await;
        assert_eq!(members_in(&refused), members_of(&all[name]), "{method} {path}: {}", refused.text());
        asked += 1;
    }
    assert_eq!(asked, 17);
    let sample = json!({ "method": "PUT", "uri": "/", "answers": { "tokyo": { "nonsense": 1 } } });
    let refused = rig.http.post("/api/v1/plan", &sample).await;
    assert_eq!(members_in(&refused), members_of(&all["PlanRequest"]["properties"]["answers"]["additionalProperties"]));
}

fn members_of(schema: &Value) -> BTreeSet<String> {
    assert_eq!(schema["additionalProperties"], false);
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

/// The members that a refusal names: ``unknown field `nonsense`, expected one of `remark`, `answer` ``.
fn members_in(refused: &HttpAnswer) -> BTreeSet<String> {
    assert_eq!(refused.status, 400, "{}", refused.text());
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    let (_, expected) = detail.split_once("unknown field `nonsense`").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_while_the_store_is_away_is_described() {
    let rig = Rig::start().await;
    let (_, operations) = document(&rig).await;
    rig.lossy.be_away(true);
    for (method, path, operation) in operations.iter().filter(|(_, path, _)| path.starts_with("/api/v1/")) {
        let body = match path.rsplit('/').next() {
            Some("create") => json!({ "name": "portal", "roles": ["read"] }),
            Some("extend") => json!({ "by": "30m" }),
            Some("resolve") => json!({ "answer": "applied" }),
            Some("plan") => json!({ "method": "PUT", "uri": "/things/1" }),
            Some("cancel" | "retry") if !path.contains('{') => json!({ "all": true }),
            _ => json!({}),
        };
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let answer = rig.http.request(method, &filled(path), body.as_bytes()).await;
        let is_described = operation["responses"]["503"].is_object();
        assert_eq!(answer.status == 503, is_described, "{method} {path}: {} {}", answer.status, answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_request_is_answered_is_not_described() {
    let rig = Rig::start().await;
    for (method, path, operation) in document(&rig).await.1 {
        // Nobody is asked who they are, and a path of the document has the method.
        for status in ["401", "405"] {
            assert!(operation["responses"][status].is_null(), "{method} {path}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_to_who_asks_too_often_is_described() {
    let pace = Pace::new(1, Duration::from_secs(3_600), 1);
    let rig = Rig::with(ServerConfig { request_pace: PerTenant::same(pace), ..ServerConfig::default() }).await;
    assert_eq!(rig.http.get("/api/v1/status").await.status, 200);
    for (method, path, operation) in document(&rig).await.1 {
        let path = path.replace(['{', '}'], "x");
        // What needs no credentials is counted apart.
        rig.http.request(&method, &path, b"").await;
        let answer = rig.http.request(&method, &path, b"").await;
        let described = &operation["responses"]["429"];
        assert_eq!(answer.status == 429, described.is_object(), "{method} {path}: {}", answer.status);
        assert_eq!(answer.header("retry-after").is_some(), described["headers"]["Retry-After"].is_object());
    }
}

/// Goal: what is described by hand, and not made out of the types, is what servers answer. Method: answers of every kind have
/// nothing that is not described, and together everything that is.
#[tokio::test(flavor = "multi_thread")]
async fn lists_and_the_other_dialects_are_answered_as_they_are_described() {
    let rig = Rig::start().await;
    let (schemas, _) = document(&rig).await;
    let holds = |name: &str, answer: &HttpAnswer| {
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        assert_eq!(schemas.mismatches(&schema, &answer.json()), [""; 0], "{name}: {}", answer.text());
        answer.json()
    };
    let id = of_msf(&rig, &holds).await;
    of_plas(&rig, &holds).await;
    for (name, path) in [
        ("History", format!("/api/v1/operations/{id}/history?limit=1")),
        ("Notes", "/api/v1/attention?state=all".to_owned()),
        ("Notices", "/api/v1/notices".to_owned()),
        ("Operations", "/api/v1/operations?limit=1".to_owned()),
        ("Routes", "/api/v1/routes".to_owned()),
        ("Targets", "/api/v1/targets".to_owned()),
    ] {
        holds(name, &rig.http.get(&path).await);
    }
    let names = ["History", "Routes", "Targets", "MsfAccepted", "MsfCall", "MsfCluster", "MsfError"];
    let others =
        ["MsfList", "MsfOperation", "MsfResponse", "MsfRollbacks", "PlasAccepted", "PlasError", "PlasOperation"];
    let unseen: Vec<String> = names.into_iter().chain(others).flat_map(|name| schemas.unseen(name)).collect();
    assert_eq!(unseen, [""; 0]);
    // A search that was cut off takes more operations than a test should make.
    for name in ["Operations", "Notes", "Notices"] {
        assert_eq!(schemas.unseen(name), [format!("{name}/cut_off")]);
    }
}

/// An operation that is undone, and everything that the `msf` dialect says of it and of others. Gives its id.
async fn of_msf(rig: &Rig, holds: &impl Fn(&str, &HttpAnswer) -> Value) -> String {
    rig.osaka.on("POST", "/things", Answer::json(409, &json!({ "why": "it is there" })));
    let accepted = rig.http.post("/v1/both", &json!({ "name": "x" })).await;
    let id = holds("MsfAccepted", &accepted)["operation_id"].as_str().unwrap().to_owned();
    rig.ended(&id).await;
    holds("MsfOperation", &rig.http.get(&format!("/v1/operations/{id}")).await);
    rig.http.post("/api/v1/targets/tokyo/hold", &json!({})).await;
    let held = rig.http.post("/v1/slices/7/cps", &json!({})).await.json()["operation_id"].as_str().unwrap().to_owned();
    let begins = async {
        while holds("MsfOperation", &rig.http.get(&format!("/v1/operations/{held}")).await)["status"] != "executing" {}
    };
    tokio::time::timeout(PATIENCE, begins).await.expect("it begins");
    rig.http.post("/api/v1/targets/tokyo/release", &json!({})).await;
    for query in ["", "?format=detail-list", "?limit=1"] {
        holds("MsfList", &rig.http.get(&format!("/v1/operations{query}")).await);
    }
    holds("MsfError", &rig.http.get("/v1/operations/x").await);
    let prefer = rig.http.clone().with("prefer", "wait=30");
    let failed = prefer.post("/v1/both", &json!({ "name": "x" })).await;
    let error = holds("MsfError", &failed);
    assert_eq!(error["target_clusters"].as_array().map(Vec::len), Some(2), "{error}");
    id
}

async fn of_plas(rig: &Rig, holds: &impl Fn(&str, &HttpAnswer) -> Value) {
    let accepted = rig.http.post(&format!("{PLAS}/connectors"), &json!({})).await;
    let location = holds("PlasAccepted", &accepted)["location"].as_str().unwrap().to_owned();
    rig.ended(location.rsplit('/').next().unwrap()).await;
    holds("PlasOperation", &rig.http.get(&location).await);
    holds("PlasError", &rig.http.get(&format!("{PLAS}/connectors/c/operations/x")).await);
}
