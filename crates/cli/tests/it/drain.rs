//! Draining a server and starting again, and moving deadlines, from outside.

use fanfold_testkit::{Answer, FakeTarget, Home, Latch, Reply};
use serde_json::{Value, json};

use crate::program::{Server, config, text, things};

#[tokio::test]
async fn a_server_is_drained_and_accepts_again() {
    let answer = Latch::new();
    let tokyo = FakeTarget::start().await;
    tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&answer));
    let msf = "[[mounts]]\ndialect = \"msf\"\nprefix = \"/v1\"\n\n[[mounts]]\ndialect = \"plas\"\nprefix = \"/plas\"\n\n\
               [[routes]]\ndialect = \"msf\"\nmatch = \"POST /v1/slices\"\ntargets = [\"tokyo\"]\n\n\
               [[routes]]\ndialect = \"plas\"\nmatch = \"POST /plas/connectors\"\ntargets = [\"tokyo\"]\n\n";
    let home = Home::new(&config(&[("tokyo", &tokyo)], &(msf.to_owned() + &things(&["tokyo"]))));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;

    for _ in 0..2 {
        let drained = server.run(&home, &["drain"]).await;
        let told = "draining: nothing more is accepted, what is under way goes on\n";
        assert_eq!((drained.code, drained.stderr.as_str()), (Some(0), told));
    }
    let status = server.get("/api/v1/status").await.json();
    assert_eq!((&status["draining"], &status["drained"]), (&json!(true), &json!(false)));
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["reasons"]), (503, &json!(["the server is draining"])));
    for (path, status) in [("/things/2", 503), ("/v1/slices", 500), ("/plas/connectors", 500)] {
        let method = if status == 503 { "PUT" } else { "POST" };
        let refused = server.http.request(method, path, b"{}").await;
        assert_eq!(refused.status, status, "{}", refused.text());
        assert!(refused.header("retry-after").is_some());
    }

    let url = server.url.clone();
    let waiting = home.start(crate::program::PROGRAM, &["drain", "--wait", "--server", &url]);
    waiting.line("waiting for what is under way").await;
    answer.open();
    let (status, printed) = waiting.ended().await;
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(printed.contains("drained: nothing is under way any more"), "{printed}");
    assert_eq!(server.end_of(&id).await["status"], "completed");
    let shown = server.run(&home, &["status"]).await.stdout;
    assert!(shown.contains("drained, nothing is under way any more"), "{shown}");
    let reasons = server.get("/readyz").await.json()["reasons"].clone();
    assert_eq!(reasons, json!(["the server is draining, and nothing is under way any more"]));

    let resumed = server.run(&home, &["resume"]).await;
    assert_eq!((resumed.code, resumed.stderr.as_str()), (Some(0), "accepting\n"));
    assert_eq!(server.get("/readyz").await.status, 200);
    let id = server.put("/things/3").await;
    assert_eq!(server.end_of(&id).await["status"], "completed");
    for path in ["/api/v1/drain", "/api/v1/resume"] {
        let refused = server.get(path).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")));
        assert_eq!(server.http.post(path, &json!({ "x": 1 })).await.status, 400);
    }
}

#[tokio::test]
async fn a_request_that_comes_again_is_answered_while_the_server_drains() {
    let tokyo = FakeTarget::start().await;
    tokyo.on("POST", "/*", Answer::empty(409));
    let plas = "[[mounts]]\ndialect = \"plas\"\nprefix = \"/plas\"\n\n\
                [[routes]]\ndialect = \"plas\"\nmatch = \"POST /plas/connectors\"\ntargets = [\"tokyo\"]\n\n";
    let home = Home::new(&config(&[("tokyo", &tokyo)], &(plas.to_owned() + &things(&["tokyo"]))));
    let server = Server::start(&home).await;
    let with = |key: &str| server.http.clone().with("idempotency-key", key);
    let failed = server.http.post("/plas/connectors", &json!({})).await;
    let failed = text(&failed.json()["location"]).rsplit('/').next().unwrap().to_owned();
    assert_eq!(server.end_of(&failed).await["status"], "failed");
    let retry = format!("/api/v1/operations/{failed}/retry");
    let requests = [("native", "PUT", "/things/1"), ("plas", "POST", "/plas/connectors"), ("retry", "POST", &retry)];
    let mut first = Vec::new();
    for (key, method, path) in requests {
        let accepted = with(key).request(method, path, b"{}").await;
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        first.push((accepted.header("location").map(str::to_owned), accepted.json()["location"].clone()));
    }
    assert_eq!(server.run(&home, &["drain"]).await.code, Some(0));
    for ((key, method, path), first) in requests.into_iter().zip(first) {
        let again = with(key).request(method, path, b"{}").await;
        let location = (again.header("location").map(str::to_owned), again.json()["location"].clone());
        assert_eq!((again.status, location), (202, first), "{}", again.text());
        let new = with("new").request(method, path, b"{}").await;
        assert!(new.status >= 500 && new.header("retry-after").is_some(), "{}", new.text());
    }
    let other = with("native").request("PUT", "/things/2", b"{}").await;
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("key_reused")), "{}", other.text());
}

#[tokio::test]
async fn a_drain_that_somebody_ends_is_not_told_to_be_done() {
    let answer = Latch::new();
    let tokyo = FakeTarget::start().await;
    tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&answer));
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;
    let url = server.url.clone();
    let waiting = home.start(crate::program::PROGRAM, &["drain", "--wait", "--server", &url]);
    waiting.line("waiting for what is under way").await;
    assert_eq!(server.run(&home, &["resume"]).await.code, Some(0));
    let (status, printed) = waiting.ended().await;
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains("the server does not drain any more"), "{printed}");
    answer.open();
    assert_eq!(server.end_of(&id).await["status"], "completed");
}

#[tokio::test]
async fn a_drain_is_not_kept_over_a_restart() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    server.http.post("/api/v1/drain", &json!({})).await;
    server.stop().await;
    let server = Server::start(&home).await;
    assert_eq!(server.get("/api/v1/status").await.json()["draining"], false);
    let id = server.put("/things/1").await;
    assert_eq!(server.end_of(&id).await["status"], "completed");
}

#[tokio::test]
async fn a_deadline_is_extended_from_outside() {
    let answer = Latch::new();
    let tokyo = FakeTarget::start().await;
    tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&answer));
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;
    let path = format!("/api/v1/operations/{id}");
    let before = server.get(&path).await.json()["deadline_at"].clone();
    let extended = server.run(&home, &["ops", "extend", &id, "--by", "30m"]).await;
    assert_eq!(extended.code, Some(0), "{}", extended.stderr);
    assert!(extended.stderr.starts_with(&format!("the deadline of operation {id} is 20")), "{}", extended.stderr);
    let after = server.get(&path).await.json()["deadline_at"].clone();
    let at = |value: &Value| text(value).parse::<jiff::Timestamp>().unwrap();
    assert_eq!(at(&after).duration_since(at(&before)).as_secs(), 1800);
    let until = server.run(&home, &["ops", "extend", &id, "--until", &text(&after), "--output", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&until.stdout).unwrap()["deadline_at"], after);

    for (body, status, code) in [
        (json!({}), 400, "bad_value"),
        (json!({ "by": "soon" }), 400, "bad_value"),
        (json!({ "to": "x" }), 400, "unparsable"),
        (json!({ "until": before }), 409, "not_possible"),
        (json!({ "until": "2020-01-01T00:00:00Z" }), 409, "not_possible"),
        (json!({ "by": "367d" }), 409, "not_possible"),
    ] {
        let refused = server.http.post(&format!("{path}/extend"), &body).await;
        assert_eq!((refused.status, &refused.json()["code"]), (status, &json!(code)), "{}", refused.text());
    }
    let history = server.run(&home, &["ops", "history", &id]).await.stdout;
    assert!(history.contains("deadline"), "{history}");
    answer.open();
    server.end_of(&id).await;
    let late = server.run(&home, &["ops", "extend", &id, "--by", "1h"]).await;
    assert_eq!(late.code, Some(7));
    assert!(late.stderr.contains("the deadline cannot be moved: the operation is completed"), "{}", late.stderr);
    assert_eq!(server.run(&home, &["ops", "extend", &id]).await.code, Some(2));
}
