//! Connections: how many there may be, what stays open, and what a reload changes under them.

use fanfold_core::plan::DialectName;
use fanfold_engine::{Config, RouteCallback, SigningSecret};
use fanfold_server::ServerConfig;
use fanfold_testkit::FakeTarget;
use serde_json::json;

use crate::rig::{Rig, front, routes};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_carries_many_requests() {
    let rig = Rig::start().await;
    let mut connection = rig.http.open().await;
    for _ in 0..3 {
        connection.send(HEALTH).await;
        assert_eq!(connection.answer().await.status, 200);
    }
    connection.send(&[HEALTH, HEALTH].concat()).await;
    assert_eq!(connection.answer().await.status, 200);
    assert_eq!(connection.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_waits_for_another_to_end() {
    let rig = Rig::with(ServerConfig { connections_max: 1, ..ServerConfig::default() }).await;
    let mut first = rig.http.open().await;
    first.send(HEALTH).await;
    first.answer().await;
    let mut second = rig.http.open().await;
    second.send(HEALTH).await;
    first.send(HEALTH).await;
    assert_eq!(first.answer().await.status, 200);
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_replaces_all_routes_at_once() {
    let rig = Rig::start().await;
    let mut connection = rig.http.open().await;
    connection.send(HEALTH).await;
    connection.answer().await;
    let mut fewer = routes();
    fewer.retain(|route| route.dialect == DialectName::Msf);
    rig.server.replace_front(front(fewer));
    assert_eq!(rig.http.post("/things", &json!({})).await.status, 404);
    assert_eq!(rig.http.post("/v1/slices/7/cps", &json!({})).await.status, 202);
    connection.send(b"POST /things HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}").await;
    assert_eq!(connection.answer().await.status, 404);
    let routes = rig.http.get("/api/v1/routes").await.json();
    assert_eq!(routes["routes"].as_array().map(Vec::len), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_a_reload_overtakes_is_promised_what_the_route_had_when_it_came() {
    let receiver = FakeTarget::start().await;
    // The rules of notices are those of the new configuration already, which knows no such route.
    let mut config = Config::new([7; 32]);
    config.notices.secrets = vec![SigningSecret::read(&format!("whsec_{}", "A".repeat(32))).unwrap()];
    let rig = Rig::of(ServerConfig::default(), config).await;
    let callback = RouteCallback { url: receiver.url().parse().unwrap(), secrets: Vec::new() };
    rig.server.replace_front(front(routes()).with_callbacks([("things".to_owned(), callback)].into()));
    let mut connection = rig.http.open().await;
    let head = "POST /things HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    connection.send(head.as_bytes()).await;
    connection.until("100 Continue\r\n\r\n").await;
    rig.server.replace_front(front(routes()));
    connection.send(b"{}").await;
    assert_eq!(connection.answer().await.status, 202);
    receiver.wait_for(1).await;
    let later = rig.http.post("/things", &json!({})).await.json();
    let id = later["id"].as_str().unwrap();
    rig.ended(id).await;
    let notices = rig.http.get(&format!("/api/v1/notices?operation={id}")).await.json();
    assert_eq!(notices["notices"], json!([]));
}
