//! Dry runs of requests.

use fanfold_testkit::Answer;
use serde_json::{Value, json};

use crate::rig::{PLAS, Rig};

async fn plan(rig: &Rig, body: Value) -> Value {
    let answer = rig.http.post("/api/v1/plan", &body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_planned_and_nothing_is_recorded_or_sent() {
    let rig = Rig::start().await;
    let body = r#"{"password":"swordfish","n":1}"#;
    let form = plan(&rig, json!({ "method": "POST", "uri": "/things?a=1", "headers": [["content-type", "application/json"], ["idempotency-key", "k"]], "body": body })).await;
    assert_eq!(
        (&form["outcome"], &form["route"], &form["dialect"]),
        (&json!("accepted"), &json!("things"), &json!("native"))
    );
    assert_eq!(form["answer"]["status"], 202);
    let operation = &form["operation"];
    assert_eq!((&operation["verb"], &operation["resource"]), (&json!("create"), &json!("/things")));
    assert_eq!(operation["idempotency_key"], json!({ "key": "k", "given_by": "client" }));
    assert!(!form.to_string().contains("swordfish"), "{form}");
    let [tokyo, osaka] = &operation["targets"].as_array().unwrap()[..] else { panic!("{form}") };
    assert_eq!((&tokyo["target"], &osaka["target"]), (&json!("tokyo"), &json!("osaka")));
    assert_eq!(tokyo["forward"]["uri"], format!("{}/things?a=1", rig.tokyo.url()));
    assert!(tokyo["forward"]["body"].as_str().unwrap().contains("[redacted]"), "{tokyo}");
    let undo = &osaka["undo"];
    assert_eq!((&undo["request"]["method"], &undo["is_known_later"]), (&json!("DELETE"), &json!(true)));
    assert_eq!(undo["request"]["uri"], format!("{}/things/{{{{ response.json.id }}}}", rig.osaka.url()));
    assert!(undo["note"].as_str().unwrap().contains("known only after the answer"), "{undo}");

    let list = rig.http.get("/api/v1/operations").await.json();
    assert_eq!(list["operations"], json!([]));
    assert!(rig.tokyo.seen().is_empty() && rig.osaka.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_targets_are_taken_to_answer_goes_into_their_undos() {
    let rig = Rig::start().await;
    let answers = json!({ "tokyo": { "status": 201, "body": "{\"id\":\"a b\"}" }, "osaka": { "status": 201.0, "body": "no JSON" }, "nowhere": { "status": 201 } });
    let form = plan(&rig, json!({ "method": "POST", "uri": "/things", "body": "{}", "answers": answers })).await;
    let targets = &form["operation"]["targets"];
    let undo = &targets[0]["undo"];
    assert_eq!((&undo["is_known_later"], &undo["note"]), (&json!(false), &json!(null)));
    assert_eq!(undo["request"]["uri"], format!("{}/things/a%20b", rig.tokyo.url()));
    let undo = &targets[1]["undo"];
    assert_eq!(undo["request"], json!(null));
    assert!(undo["note"].as_str().unwrap().contains("with this answer the undo fails"), "{undo}");
    assert!(form["operation"]["notes"][0].as_str().unwrap().contains("nowhere"), "{form}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_undo_of_a_dry_run_is_the_one_that_is_sent() {
    let rig = Rig::start().await;
    rig.osaka.on("POST", "/things", fanfold_testkit::Answer::empty(409));
    let answers = json!({ "tokyo": { "status": 201, "body": "{\"id\":\"t\"}" } });
    let form = plan(&rig, json!({ "method": "POST", "uri": "/things", "body": "{}", "answers": answers })).await;
    let id = rig.accept("POST", "/things", &json!({})).await;
    assert_eq!(rig.ended(&id).await["consistency"], "rolled back");
    let undo = &form["operation"]["targets"][0]["undo"]["request"];
    let sent = rig.tokyo.seen().into_iter().find(|call| call.method == "DELETE").unwrap();
    assert_eq!(undo["uri"], format!("{}{}", rig.tokyo.url(), sent.uri));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_answers_a_request_is_told() {
    let rig = Rig::start().await;
    let connector = format!("{PLAS}/connectors");
    for (method, uri, outcome, part) in [
        ("GET", "/pass/x?y=1", "passed_through", "passed through"),
        ("GET", "/healthz", "own_path", "monitoring"),
        ("POST", "/api/v1/plan", "own_path", "native API"),
        ("GET", "/ui", "own_path", "console"),
        ("GET", "/v1/operations", "own_path", "a list of operations"),
        ("POST", &connector, "accepted", "becomes an operation"),
        ("POST", "/nowhere", "refused", "no route"),
        ("DELETE", "/things", "refused", "method"),
        ("POST", "/typed", "refused", "JSON"),
        ("POST", "/a/../b", "refused", "dot"),
    ] {
        let form = plan(&rig, json!({ "method": method, "uri": uri })).await;
        assert_eq!(form["outcome"], outcome, "{method} {uri}: {form}");
        assert!(form["detail"].as_str().unwrap().contains(part), "{method} {uri}: {form}");
    }
    let form = plan(&rig, json!({ "method": "GET", "uri": "/pass/x?y=1" })).await;
    assert_eq!(form["pass"], json!({ "target": "tokyo", "url": format!("{}/pass/x?y=1", rig.tokyo.url()) }));
    let secret = plan(&rig, json!({ "method": "GET", "uri": "/pass/x?token=s3cret" })).await;
    assert!(!secret.to_string().contains("s3cret") && secret.to_string().contains("[redacted]"), "{secret}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_the_one_that_the_client_would_get() {
    let rig = Rig::start().await;
    for (method, uri) in [("POST", "/v1/typed"), ("PATCH", "/v1/typed"), ("POST", "/nowhere")] {
        let form = plan(&rig, json!({ "method": method, "uri": uri })).await;
        let real = rig.http.request(method, uri, b"").await;
        let answer = &form["answer"];
        assert_eq!(
            (answer["status"].as_u64(), answer["body"].as_str()),
            (Some(u64::from(real.status)), Some(&*real.text()))
        );
    }
    // The same key for the same request repeats it, and for another one is refused.
    let client = rig.http.clone().with("idempotency-key", "k");
    let id = client.put("/things/1", &json!({})).await.json()["id"].clone();
    let headers = json!([["idempotency-key", "k"], ["content-type", "application/json"]]);
    let again = plan(&rig, json!({ "method": "PUT", "uri": "/things/1", "headers": headers, "body": "{}" })).await;
    assert_eq!(again["operation"]["repeats"], id, "{again}");
    let other = plan(&rig, json!({ "method": "PUT", "uri": "/things/2", "headers": headers, "body": "{}" })).await;
    assert_eq!(other["refusal"], "key_reused");

    rig.http.post("/api/v1/drain", &json!({})).await;
    let drained = plan(&rig, json!({ "method": "PUT", "uri": "/things/3" })).await;
    assert_eq!((&drained["refusal"], &drained["answer"]["status"]), (&json!("unavailable"), &json!(503)));
    // What was accepted before is answered with its operation all the same.
    let again = plan(&rig, json!({ "method": "PUT", "uri": "/things/1", "headers": headers, "body": "{}" })).await;
    assert_eq!((&again["outcome"], &again["operation"]["repeats"]), (&json!("accepted"), &id), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_retry_is_refused_as_it_would_be() {
    let rig = Rig::start().await;
    rig.tokyo.on("PUT", "/things/1", Answer::empty(409));
    let id = rig.http.put("/things/1", &json!({})).await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(rig.ended(&id).await["status"], "failed");
    let headers = json!([["fanfold-retry-of", id], ["content-type", "application/json"]]);
    let request = json!({ "method": "PUT", "uri": "/things/1", "headers": headers, "body": "{}" });
    let first = plan(&rig, request.clone()).await;
    assert_eq!(first["operation"]["retry_of"], json!(id), "{first}");
    let retried = rig.http.post(&format!("/api/v1/operations/{id}/retry"), &json!({})).await;
    assert_eq!(retried.status, 202, "{}", retried.text());
    let second = plan(&rig, request).await;
    assert_eq!((&second["refusal"], &second["answer"]["status"]), (&json!("not_possible"), &json!(409)), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_an_error_of_the_call() {
    let rig = Rig::start().await;
    for body in [
        json!({}),
        json!({ "method": "POST" }),
        json!({ "method": "P T", "uri": "/" }),
        json!({ "method": "POST", "uri": "things" }),
        json!({ "method": "POST", "uri": "/a b" }),
        json!({ "method": "POST", "uri": "/a#b" }),
        json!({ "method": "POST", "uri": "/", "headers": [["a b", "c"]] }),
        json!({ "method": "POST", "uri": "/", "headers": [["a", "c\n"]] }),
        json!({ "method": "POST", "uri": "/", "body": { "base64": "!" } }),
        json!({ "method": "POST", "uri": "/", "body": { "bytes": 3 } }),
        json!({ "method": "POST", "uri": "/", "answer": {} }),
        json!({ "method": "POST", "uri": "/", "answers": { "tokyo": { "status": 99 } } }),
        json!({ "method": "POST", "uri": "/", "answers": { "tokyo": { "status": 200.5 } } }),
        json!({ "method": "POST", "uri": "/", "answers": { "tokyo": { "status": 65_736 } } }),
        json!({ "method": "POST", "uri": "/", "answers": { "tokyo": { "status": "200" } } }),
        json!({ "method": "POST", "uri": "/", "answers": { "x": { "status": 200, "headers": [["a", "c\u{f}"]] } } }),
        json!({ "method": "POST", "uri": "/", "answers": { "x": { "status": 200, "headers": [["a b", "c"]] } } }),
    ] {
        let answer = rig.http.post("/api/v1/plan", &body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    let refused = rig.http.get("/api/v1/plan").await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")));
}
