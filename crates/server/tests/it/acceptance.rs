//! From a request to the end of its operation, in each dialect.

use fanfold_testkit::{Answer, Latch, Reply};
use serde_json::{Value, json};

use crate::rig::{PLAS, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_accepted_and_completed_in_the_native_api() {
    let rig = Rig::start().await;
    let accepted = rig.http.post("/things?x=1", &json!({ "n": 1 })).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let body = accepted.json();
    let id = body["id"].as_str().unwrap();
    let location = format!("https://fanfold.example/api/v1/operations/{id}");
    assert_eq!(accepted.header("location"), Some(location.as_str()));
    let detail = rig.ended(id).await;
    assert_eq!((&detail["status"], &detail["consistency"]), (&json!("completed"), &json!("updated")));
    assert_eq!(detail["response"]["status"], 201);
    assert_eq!(detail["request"]["uri"], "/things?x=1");
    assert_eq!(detail["request"]["body"], "{\"n\":1}");
    assert_eq!(rig.tokyo.seen()[0].uri, "/things?x=1");
    assert_eq!(rig.osaka.seen()[0].text(), "{\"n\":1}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_accepted_and_completed_in_msf() {
    let rig = Rig::start().await;
    let accepted = rig.http.post("/v1/slices/7/cps", &json!({ "n": 1 })).await;
    assert_eq!(accepted.status, 202);
    let body = accepted.json();
    let id = body["operation_id"].as_str().unwrap();
    assert_eq!(body, json!({ "operation_id": id }));
    rig.ended(id).await;
    let detail = rig.http.get(&format!("/v1/operations/{id}")).await;
    assert_eq!(detail.status, 200);
    let detail = detail.json();
    assert_eq!(detail["status"], "completed");
    assert_eq!(detail["response"], json!({ "status_code": 201, "body": "{\"id\":\"t\"}" }));
    assert_eq!(detail["request"]["uri"], "/v1/slices/7/cps");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_accepted_and_completed_in_plas() {
    let rig = Rig::start().await;
    let accepted = rig.http.post(&format!("{PLAS}/connectors"), &json!({ "n": 1 })).await;
    assert_eq!((accepted.status, accepted.header("cache-control")), (202, Some("no-cache")));
    let location = accepted.json()["location"].as_str().unwrap().to_owned();
    let id = location.rsplit('/').next().unwrap();
    rig.ended(id).await;
    let detail = rig.http.get(&location).await;
    assert_eq!(detail.status, 200);
    let detail = detail.json();
    assert_eq!((&detail["finished"], &detail["operationType"]), (&json!(true), &json!("Create")));
    assert_eq!(detail["result"]["result"], "success");
    let elsewhere = rig.http.get(&format!("{PLAS}/connectors/other/operations/{id}")).await;
    assert_eq!((elsewhere.status, &elsewhere.json()["error_code"]), (400, &json!("PLAS.0404")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_shows_only_what_was_accepted_through_it() {
    let rig = Rig::start().await;
    let id = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&id).await;
    let elsewhere = rig.http.get(&format!("/v1/operations/{id}")).await;
    assert_eq!((elsewhere.status, &elsewhere.json()["error_code"]), (404, &json!("030001")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_accepted_like_any_other() {
    let rig = Rig::start().await;
    let mut connection = rig.http.open().await;
    let head = "POST /things HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n";
    connection.send(head.as_bytes()).await;
    assert!(connection.until("\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    connection.send(b"3\r\n{\"n\r\n5\r\n\":1}\n\r\n0\r\n\r\n").await;
    let accepted = connection.answer().await;
    assert_eq!(accepted.status, 202);
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(rig.ended(&id).await["request"]["body"], "{\"n\":1}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gives_the_same_operation_and_another_request_is_refused() {
    let rig = Rig::start().await;
    let http = rig.http.clone().with("idempotency-key", "k1");
    let first = http.post("/things", &json!({ "n": 1 })).await.json();
    let again = http.post("/things", &json!({ "n": 1 })).await;
    assert_eq!((again.status, &again.json()["id"]), (202, &first["id"]));
    let other = http.post("/things", &json!({ "n": 2 })).await;
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("key_reused")));
    assert_eq!(other.json()["blocked_by"], first["id"]);
    let listed = rig.http.get("/api/v1/operations").await.json();
    assert_eq!(listed["operations"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_come_back_as_they_went() {
    let rig = Rig::start().await;
    let large = "x".repeat(100_000);
    rig.tokyo.on("POST", "/things", Answer::text(200, large.clone()));
    let id = rig.accept("POST", "/v1/slices/7/cps", &json!({ "large": large })).await;
    rig.ended(&id).await;
    let detail: Value = rig.http.get(&format!("/v1/operations/{id}")).await.json();
    assert_eq!(detail["response"]["body"], large.as_str());
    assert_eq!(detail["request"]["body"], json!({ "large": large }).to_string());
    let native = rig.detail(&id).await.json();
    assert_eq!(native["response"]["body"], large.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_after_its_request_leaves_an_operation() {
    let rig = Rig::start().await;
    let latch = Latch::new();
    rig.tokyo.on("PUT", "/things/7", Reply::from(Answer::empty(204)).after(&latch));
    let mut connection = rig.http.open().await;
    let head = "PUT /things/7 HTTP/1.1\r\nhost: localhost\r\nprefer: wait=30\r\ncontent-length: 2\r\n\r\n{}";
    connection.send(head.as_bytes()).await;
    rig.tokyo.wait_for(1).await;
    drop(connection);
    latch.open();
    let listed = rig.http.get("/api/v1/operations").await.json();
    let id = listed["operations"][0]["id"].as_str().unwrap();
    assert_eq!(rig.ended(id).await["status"], "completed");
}
