//! A server that is asked to stop.

use std::time::Duration;

use fanfold_server::ServerConfig;
use fanfold_testkit::{Answer, Latch, PATIENCE, Reply};
use serde_json::json;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_progress_are_ended_and_new_connections_refused() {
    let mut rig = Rig::start().await;
    let latch = Latch::new();
    rig.tokyo.on("GET", "/pass/x", Reply::from(Answer::text(200, "late")).after(&latch));
    let mut passing = rig.http.open().await;
    passing.send(b"GET /pass/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    rig.tokyo.wait_for(1).await;
    let mut idle = rig.http.open().await;
    idle.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    idle.answer().await;
    rig.stop();
    // A connection without a request ends at once.
    assert_eq!(idle.rest().await, "");
    // The port is closed by another task than the one that closes connections.
    while rig.http.try_request("GET", "/healthz", b"").await.is_ok() {
        tokio::task::yield_now().await;
    }
    latch.open();
    let answer = passing.answer().await;
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("late", Some("close")));
    drop(passing);
    assert_eq!(rig.stopped().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_operation_is_answered_at_once() {
    let mut rig = Rig::start().await;
    let latch = Latch::new();
    rig.tokyo.on("PUT", "/things/7", Reply::from(Answer::empty(204)).after(&latch));
    let mut accepting = rig.http.open().await;
    let head = b"PUT /things/7 HTTP/1.1\r\nhost: localhost\r\nprefer: wait=300\r\ncontent-length: 2\r\n\r\n{}";
    accepting.send(head).await;
    rig.tokyo.wait_for(1).await;
    let list = rig.http.get("/api/v1/operations").await.json();
    let id = list["operations"][0]["id"].as_str().unwrap().to_owned();
    let mut polling = rig.http.open().await;
    polling.send(format!("GET /api/v1/operations/{id}?wait=5m HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await;
    // The third is the one that asks.
    let three = async { while !rig.http.get("/metrics").await.text().contains("fanfold_http_in_flight 3") {} };
    tokio::time::timeout(PATIENCE, three).await.expect("both requests are being answered");
    rig.stop();
    let accepted = accepting.answer().await;
    assert_eq!((accepted.status, accepted.json()["id"].as_str()), (202, Some(id.as_str())));
    let polled = polling.answer().await;
    assert_eq!((polled.status, &polled.json()["status"]), (200, &json!("executing")));
    drop((polling, accepting));
    assert_eq!(rig.stopped().await, 0);
    latch.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_cut_off() {
    let config = ServerConfig { shutdown_grace: Duration::from_millis(50), ..ServerConfig::default() };
    let mut rig = Rig::with(config).await;
    rig.tokyo.on("GET", "/pass/x", Reply::Never { applied: false });
    let mut passing = rig.http.open().await;
    passing.send(b"GET /pass/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    rig.tokyo.wait_for(1).await;
    rig.stop();
    assert_eq!(rig.stopped().await, 1);
    assert_eq!(passing.rest().await, "");
    rig.tokyo.wait_until_left_alone().await;
    let list = rig.engine.targets().get(&"tokyo".into()).status();
    assert_eq!(json!(list.in_flight.pass), json!(0));
}
