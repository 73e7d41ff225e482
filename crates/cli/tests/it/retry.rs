//! Retries, over the API and the command line.

use fanfold_testkit::{Answer, FakeTarget, Home};
use serde_json::json;

use crate::program::{Server, config, text, things};

#[tokio::test]
async fn a_retry_shows_in_both_operations() {
    let tokyo = FakeTarget::start().await;
    tokyo.once("PUT", "/things/1", Answer::empty(409));
    tokyo.once("PUT", "/things/1", Answer::empty(409));
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let first = server.put("/things/1").await;
    assert_eq!(server.end_of(&first).await["status"], "failed");

    let accepted = server.http.post(&format!("/api/v1/operations/{first}/retry"), &json!({})).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let second = text(&accepted.json()["id"]);
    assert!(accepted.header("location").unwrap().ends_with(&format!("/api/v1/operations/{second}")));
    let end = server.end_of(&second).await;
    assert_eq!((&end["status"], &end["retry_of"]), (&json!("failed"), &json!(first)));

    let told = server.run(&home, &["ops", "retry", &second]).await;
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let shown = server.get(&format!("/api/v1/operations/{second}")).await.json();
    let third = text(&shown["retried_by"]);
    assert!(told.stderr.contains(&third), "{}", told.stderr);
    assert_eq!(server.end_of(&third).await["status"], "completed");
    let list = server.get(&format!("/api/v1/operations?retry_of={second}")).await.json();
    assert_eq!((&list["operations"][0]["id"], &list["operations"][1]), (&json!(third), &json!(null)));

    let again = server.run(&home, &["ops", "retry", &first, "--force"]).await;
    assert_eq!(again.code, Some(7), "{}", again.stderr);
    assert!(again.stderr.contains(&second), "{}", again.stderr);
}

#[tokio::test]
async fn a_request_with_secrets_is_sent_again_over_a_restart() {
    const BODY: &str = r#"{"password":"swordfish"}"#;
    let tokyo = FakeTarget::start().await;
    tokyo.once("PUT", "/things/1", Answer::empty(409));
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let accepted = server.http.put("/things/1", &json!({ "password": "swordfish" })).await;
    let first = text(&accepted.json()["id"]);
    assert_eq!(server.end_of(&first).await["status"], "failed");
    server.stop().await;

    let server = Server::start(&home).await;
    let refused = server.run(&home, &["ops", "retry", &first]).await;
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);
    let field = format!("Fanfold-Retry-Of: {first}");
    assert!(refused.stderr.contains(&field), "{}", refused.stderr);
    let send = async |body| server.run(&home, &["send", "PUT", "/things/1", "-H", &field, "-d", body]).await;
    let other = send(r#"{"password":"catfish"}"#).await;
    assert_eq!(other.code, Some(7), "{}", other.stderr);
    assert!(other.stderr.contains("not the request"), "{}", other.stderr);
    let again = send(BODY).await;
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let calls = tokyo.seen();
    assert_eq!(calls.iter().map(|call| &*call.body).collect::<Vec<_>>(), [BODY.as_bytes(); 2]);
}
