//! Sending changes in every dialect, and following them.

use fanfold_testkit::{Answer, FakeTarget, Home, Reply};
use serde_json::Value;

use crate::program::{Ended, PROGRAM, Server, config, text, things};

/// One route of each kind.
const DIALECTS: &str = r#"
[[mounts]]
dialect = "msf"
prefix = "/v1"

[[mounts]]
dialect = "plas"
prefix = "/plas"

[[routes]]
name = "msf-thing"
dialect = "msf"
match = "PUT /v1/things/{id}"
targets = ["tokyo"]

[[routes]]
name = "plas-thing"
dialect = "plas"
match = "PUT /plas/connectors/{connector_id}/things/{id}"
targets = ["tokyo"]

[[routes]]
match = "GET /things/{*rest}"
pass = "tokyo"
"#;

async fn server() -> (FakeTarget, Home, Server) {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{DIALECTS}{}", things(&["tokyo"]))));
    let server = Server::start(&home).await;
    (tokyo, home, server)
}

#[tokio::test]
async fn a_change_in_any_dialect_is_followed_to_its_end() {
    let (tokyo, home, server) = server().await;
    for path in ["/things/1", "/v1/things/1", "/plas/connectors/c/things/1"] {
        let sent = server.run(&home, &["send", "PUT", path, "--data", "{\"size\":3}", "--output", "json"]).await;
        assert_eq!(sent.code, Some(0), "{path}: {}", sent.stderr);
        assert!(sent.stderr.contains("accepted as operation"), "{}", sent.stderr);
        let operation: Value = serde_json::from_str(&sent.stdout).unwrap();
        assert_eq!(
            (text(&operation["status"]), text(&operation["resource"])),
            ("completed".to_owned(), path.to_owned())
        );
        let seen = tokyo.seen();
        let last = seen.last().unwrap();
        assert_eq!(
            (last.path(), last.header("content-type"), last.text().as_str()),
            (path, Some("application/json"), "{\"size\":3}")
        );
    }
}

#[tokio::test]
async fn a_change_that_fails_gives_its_own_exit_code_and_tells_each_targets_fate() {
    let (tokyo, home, server) = server().await;
    tokyo.on("PUT", "/things/1", Answer::empty(409));
    let sent = server.run(&home, &["send", "put", "/things/1", "--data", "{}"]).await;
    assert_eq!(sent.code, Some(5), "{}", sent.stderr);
    assert!(sent.stderr.contains("ended failed"), "{}", sent.stderr);
    assert!(sent.stdout.contains("tokyo") && sent.stdout.contains("409"), "{}", sent.stdout);
}

#[tokio::test]
async fn a_client_that_prefers_to_wait_gets_the_final_response_and_the_exit_code_of_its_operation() {
    let (tokyo, home, server) = server().await;
    tokyo.on("PUT", "/things/2", Answer::empty(409));
    for (path, code, status) in [("/things/1", 0, "200"), ("/things/2", 5, "500")] {
        let sent = server.run(&home, &["send", "PUT", path, "--data", "{}", "-H", "Prefer: wait=30"]).await;
        assert_eq!(sent.code, Some(code), "{}", sent.stderr);
        assert!(sent.stderr.contains(&format!("has ended, and was answered {status}")), "{}", sent.stderr);
    }
    let failed = server.run(&home, &["send", "PUT", "/things/2", "-H", "Prefer: wait=30", "--data", "{}"]).await;
    let problem: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(text(&problem["code"]), "operation_failed");
    assert!(failed.stderr.ends_with("ended failed\n"), "{}", failed.stderr);
}

#[tokio::test]
async fn bodies_come_from_files_and_headers_are_sent() {
    let (tokyo, home, server) = server().await;
    std::fs::write(home.path().join("thing.xml"), "<thing/>").unwrap();
    let arguments = ["send", "PUT", "/things/1", "--data", "@thing.xml", "-H", "Content-Type: application/xml"];
    let sent: Ended = server.run(&home, &arguments).await;
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let seen = tokyo.wait_for(1).await;
    assert_eq!((seen[0].header("content-type"), seen[0].text().as_str()), (Some("application/xml"), "<thing/>"));

    let missing = server.run(&home, &["send", "PUT", "/things/1", "--data", "@nothing"]).await;
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);
    assert!(missing.stderr.contains("cannot read the body to send from nothing: No such file"), "{}", missing.stderr);
}

#[tokio::test]
async fn what_needs_no_following_is_printed_as_it_is() {
    let (tokyo, home, server) = server().await;
    tokyo.on("GET", "/things/1", Answer::text(200, "a thing"));
    let passed = server.run(&home, &["send", "GET", "/things/1"]).await;
    assert_eq!((passed.code, passed.stdout.as_str()), (Some(0), "a thing\n"));

    let lower = "{\"operation_id\":\"01900000-0000-7000-8000-000000000001\"}";
    tokyo.on("GET", "/things/2", Answer::text(202, lower));
    let passed = server.run(&home, &["send", "GET", "/things/2"]).await;
    assert_eq!((passed.code, passed.stdout), (Some(0), format!("{lower}\n")), "an operation of the target's own");

    let accepted = server.run(&home, &["send", "PUT", "/things/1", "--no-follow"]).await;
    assert_eq!(accepted.code, Some(0), "{}", accepted.stderr);
    let id = text(&serde_json::from_str::<Value>(&accepted.stdout).unwrap()["id"]);
    assert_eq!(server.end_of(&id).await["status"], "completed");
}

#[tokio::test]
async fn a_refusal_is_printed_and_has_its_exit_code() {
    let (_tokyo, home, server) = server().await;
    let unknown = server.run(&home, &["send", "PUT", "/elsewhere"]).await;
    assert_eq!(unknown.code, Some(6), "{}", unknown.stderr);
    let problem: Value = serde_json::from_str(&unknown.stdout).unwrap();
    assert_eq!(problem["code"], "not_found");
    assert_eq!(unknown.stderr, format!("fanfold: the server answered 404: {}\n", text(&problem["detail"])));
    let refused = server.run(&home, &["send", "POST", "/things/1"]).await;
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);
    assert!(refused.stderr.contains("the server answered 405: "), "{}", refused.stderr);
}

#[tokio::test]
async fn whoever_follows_is_told_that_a_person_is_needed() {
    let tokyo = FakeTarget::start().await;
    tokyo.once("POST", "/things", Reply::Reset { applied: true });
    let route = "[[routes]]\nmatch = \"POST /things\"\ntargets = [\"tokyo\"]\non_unknown = \"hold\"\n";
    let home = Home::new(&config(&[("tokyo", &tokyo)], route));
    let server = Server::start(&home).await;
    let sending = home.start(PROGRAM, &["send", "POST", "/things", "--data", "{}", "--server", &server.url]);
    let line = sending.line("a person is needed").await;
    let note = line.rsplit(' ').next().unwrap();
    assert!(line.ends_with(&format!("fanfold attention show {note}")), "{line}");
    let resolved = server.run(&home, &["attention", "resolve", note, "applied"]).await;
    assert_eq!(resolved.code, Some(0), "{}", resolved.stderr);
    let (status, printed) = sending.ended().await;
    assert_eq!(status.code(), Some(0), "{printed}");
    assert_eq!(printed.matches("a person is needed").count(), 1, "{printed}");
}
