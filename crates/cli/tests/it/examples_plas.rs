//! `examples/plas`: a connector back end, asked in `plas`.

use fanfold_testkit::{Answer, FakeTarget, Resources};
use serde_json::{Value, json};

use crate::documents::play;
use crate::example::{Example, address, body};

const CONNECTORS: &str = "/v1.0/plasconnector/connectors";

async fn start() -> (FakeTarget, Resources, Example) {
    let backend = FakeTarget::start().await;
    let connectors = Resources::new();
    backend.serve(connectors.clone());
    let to = address(&backend);
    let example = Example::start("plas/fanfold.toml", &[("127.0.0.1:18090", &to)]).await;
    (backend, connectors, example)
}

/// An accepted operation: the id of the connector, its own, and where it is asked for.
struct Accepted {
    connector: String,
    operation: String,
    location: String,
}

async fn accept(example: &Example, method: &str, path: &str, body: &[u8]) -> Accepted {
    let http =
        example.http.clone().with("content-type", "application/json").with("x-auth-token", "token-of-the-client");
    let answer = http.request(method, path, body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let answer = answer.json();
    let location = answer["location"].as_str().unwrap();
    assert_eq!(answer, json!({ "location": location }), "and nothing else");
    assert!(location.len() <= 255, "{location}");
    let rest = location.strip_prefix(CONNECTORS).unwrap().strip_prefix('/').unwrap();
    let (connector, operation) = rest.split_once("/operations/").unwrap();
    assert!((1..=36).contains(&connector.len()) && (1..=36).contains(&operation.len()), "{location}");
    Accepted { connector: connector.to_owned(), operation: operation.to_owned(), location: location.to_owned() }
}

/// The operation at its end, without its times, which are checked.
async fn ended(example: &Example, accepted: &Accepted) -> Value {
    let finished = |detail: &Value| detail["finished"] == true;
    let mut detail = example.ended(&accepted.operation, &accepted.location, finished).await;
    let mut seconds = |name: &str| -> i64 {
        let time = detail.as_object_mut().unwrap().remove(name).unwrap();
        time.as_str().unwrap().parse().unwrap()
    };
    let (from, to) = (seconds("operateAt"), seconds("finishedAt"));
    assert!(0 < from && from <= to, "{from} {to}");
    detail
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_created_under_the_id_that_was_issued() {
    let (backend, connectors, example) = start().await;
    let sent = body("plas/create-connector.json");
    let accepted = accept(&example, "POST", CONNECTORS, &sent).await;
    let detail = ended(&example, &accepted).await;
    let result = json!({"result": "success", "reason": ""});
    let expected =
        json!({"operationId": accepted.operation, "operationType": "Create", "finished": true, "result": result});
    assert_eq!(detail, expected);
    let seen = backend.seen();
    assert_eq!(seen.len(), 1);
    let path = format!("/connectors/{}", accepted.connector);
    assert_eq!((seen[0].method.as_str(), seen[0].uri.as_str()), ("PUT", path.as_str()));
    assert_eq!(seen[0].body, sent, "octet for octet");
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("fanfold-resource-id"), Some(accepted.connector.as_str()));
    assert_eq!(seen[0].header("x-auth-token"), None, "the client's token stays here");
    assert!(connectors.get(&path).is_some());
    let native = example.http.get(&format!("/api/v1/operations/{}", accepted.operation)).await;
    assert!(!native.text().contains("token-of-the-client"));
    assert!(native.text().contains("[redacted]"));
    example.shows_no_password(&accepted.operation, &[&accepted.location]).await;
    example.keeps_no_password().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_is_modified_and_deleted() {
    let (backend, connectors, example) = start().await;
    connectors.put("/connectors/c-1", "{}");
    let sent = body("plas/modify-connector.json");
    let modify = accept(&example, "PUT", &format!("{CONNECTORS}/c-1"), &sent).await;
    assert_eq!(modify.connector, "c-1");
    assert_eq!(ended(&example, &modify).await["operationType"], "Update");
    assert_eq!(connectors.get("/connectors/c-1").map(String::into_bytes), Some(sent));
    let delete = accept(&example, "DELETE", &format!("{CONNECTORS}/c-1"), b"").await;
    let detail = ended(&example, &delete).await;
    assert_eq!((&detail["operationType"], &detail["result"]["result"]), (&json!("Delete"), &json!("success")));
    assert_eq!(connectors.get("/connectors/c-1"), None);
    let methods: Vec<_> = backend.seen().iter().map(|seen| format!("{} {}", seen.method, seen.uri)).collect();
    assert_eq!(methods, ["PUT /connectors/c-1", "DELETE /connectors/c-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_back_end_refuses_is_finished_and_failed() {
    let (backend, _, example) = start().await;
    backend.on("PUT", "/connectors/*", Answer::json(422, &json!({ "error": "no such type" })));
    let accepted = accept(&example, "POST", CONNECTORS, &body("plas/create-connector.json")).await;
    let detail = ended(&example, &accepted).await;
    assert_eq!((&detail["finished"], &detail["result"]["result"]), (&json!(true), &json!("failed")));
    let reason = detail["result"]["reason"].as_str().unwrap();
    assert!(reason.contains("422") && reason.chars().count() <= 255, "{reason}");
    let elsewhere = format!("{CONNECTORS}/another/operations/{}", accepted.operation);
    let unknown = example.http.get(&elsewhere).await;
    assert_eq!((unknown.status, unknown.json()["error_code"].clone()), (400, json!("PLAS.0404")));
    example.shows_no_password(&accepted.operation, &[&accepted.location]).await;
    example.keeps_no_password().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_do_what_it_says() {
    let told = play("examples/plas/README.md").await;
    assert!(told[0].contains("\"success\""), "{}", told[0]);
    assert!(told[2].contains("\"failed\""), "{}", told[2]);
}
