//! A disk that fills up in the middle, and has room again. The limit on the size of files stands for it: a write beyond it fails,
//! or succeeds in part, while everything that is there can be read.

use fanfold_testkit::{Answer, FakeTarget, Home, HttpAnswer, Latch, Reply};
use serde_json::{Value, json};

use crate::program::{Server, config, text};

/// What the log may still grow by before the disk is full.
const ROOM_BYTES: u64 = 96 * 1024;

/// Requests that are refused in a row before the disk counts as full.
const REFUSED: usize = 10;

const ROUTES: &str = r#"
[[mounts]]
dialect = "msf"
prefix = "/v1"

[[routes]]
match = "PUT /things/{id}"
targets = ["tokyo"]

[[routes]]
match = "POST /things"
targets = ["tokyo"]

[[routes]]
match = "PUT /later"
targets = ["tokyo"]
delay = "1h"

[[routes]]
dialect = "msf"
match = "POST /v1/things"
targets = ["tokyo"]
"#;

/// What was under way when the disk filled up.
struct Full {
    home: Home,
    server: Server,
    tokyo: FakeTarget,
    /// Lets the two answers come.
    answers: Latch,
    /// On the wire.
    put: String,
    post: String,
    /// Waits for its start.
    later: String,
    /// Accepted until the disk was full.
    accepted: Vec<String>,
    /// Refused because it was, by their keys.
    refused: Vec<String>,
}

/// Two requests are on the wire, others come in, and the disk fills up.
async fn fill() -> Full {
    let tokyo = FakeTarget::start().await;
    let answers = Latch::new();
    tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&answers));
    tokyo.once("POST", "/things", Reply::from(Answer::empty(201)).after(&answers));
    let home = Home::new(&config(&[("tokyo", &tokyo)], ROUTES));
    let server = Server::start(&home).await;
    let put = server.put("/things/1").await;
    let post = text(&server.http.post("/things", &json!({})).await.json()["id"]);
    tokyo.wait_for(2).await;
    let later = server.put("/later").await;

    let log = home.path().join("fanfold.db-wal");
    let length = std::fs::metadata(log).expect("the store writes a log").len();
    server.process.bound_files(Some(length + ROOM_BYTES));
    let (mut accepted, mut refused, mut in_a_row) = (Vec::new(), Vec::new(), 0);
    while in_a_row < REFUSED {
        let key = (accepted.len() + refused.len()).to_string();
        let answer = create(&server, &key).await;
        if answer.status == 202 {
            accepted.push(text(&answer.json()["id"]));
            in_a_row = 0;
        } else {
            is_refused(&answer);
            refused.push(key);
            in_a_row += 1;
        }
    }
    // Others have taken the last of it.
    server.process.bound_files(Some(0));
    assert!(!accepted.is_empty(), "it filled up in the middle");
    Full { home, server, tokyo, answers, put, post, later, accepted, refused }
}

/// Sends one of many requests, which the keys tell apart.
async fn create(server: &Server, key: &str) -> HttpAnswer {
    let http = server.http.clone().with("idempotency-key", key);
    http.post("/things", &json!({ "padding": "x".repeat(3_000) })).await
}

fn is_refused(answer: &HttpAnswer) {
    let code = text(&answer.json()["code"]);
    let expected =
        matches!((answer.status, code.as_str()), (503, "store_unreachable" | "unavailable") | (500, "store_failing"));
    assert!(expected, "{}", answer.text());
}

async fn until_ready(server: &Server) {
    while server.get("/readyz").await.status != 200 {
        tokio::task::yield_now().await;
    }
}

/// The requests of each operation that reached the target, those of `PUT` apart.
fn posts(tokyo: &FakeTarget) -> Vec<String> {
    let posts = tokyo.seen().into_iter().filter(|seen| seen.method == "POST");
    posts.map(|seen| seen.header("fanfold-operation-id").expect("each carries it").to_owned()).collect()
}

/// How often the log says this.
fn said(printed: &str, words: &str) -> usize {
    printed.lines().filter(|line| line.contains(words)).count()
}

async fn status(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/v1/operations/{id}")).await.json()["status"].clone()
}

#[tokio::test]
async fn a_disk_that_fills_up_in_the_middle_stops_what_is_new_and_loses_nothing() {
    let Full { home, server, tokyo, answers, put, post, later, mut accepted, refused } = fill().await;
    answers.open();

    // While it is full: refused at once and in every dialect, readable as ever, not ready, and it says why.
    for _ in 0..20 {
        is_refused(&create(&server, "later").await);
        let ready = server.get("/readyz").await;
        assert_eq!(
            (ready.status, ready.json()["reasons"][0].as_str()),
            (503, Some("the store cannot be written")),
            "{}",
            ready.text()
        );
    }
    let msf = server.http.post("/v1/things", &json!({})).await;
    assert_eq!((msf.status, msf.json()["error_code"].as_str()), (500, Some("020001")), "{}", msf.text());
    for id in [&put, &post] {
        assert_eq!(status(&server, id).await, "executing", "its answer cannot be recorded");
    }
    let cancel = format!("/api/v1/operations/{later}/cancel");
    is_refused(&server.http.post(&cancel, &json!({})).await);
    let shown = server.run(&home, &["status"]).await;
    assert!(shown.stdout.contains("the store cannot be written"), "{}", shown.stdout);
    let before = posts(&tokyo).len();

    // There is room again: it goes on by itself.
    server.process.bound_files(None);
    until_ready(&server).await;
    assert!(posts(&tokyo).len() >= before);
    while !matches!(server.http.post(&cancel, &json!({})).await.status, 202 | 409) {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.end_of(&later).await["status"], "canceled");
    for key in &refused {
        accepted.push(text(&create(&server, key).await.json()["id"]));
    }
    accepted.push(post);
    for id in accepted.iter().chain([&put]) {
        let ended = server.end_of(id).await;
        assert_eq!((&ended["status"], &ended["targets"][0]["attempts"]), (&json!("completed"), &json!(1)), "{ended}");
    }
    let mut sent = posts(&tokyo);
    sent.sort();
    accepted.sort();
    assert_eq!(sent, accepted, "each that was accepted was sent once, and nothing else");

    let printed = server.stop().await;
    for words in ["does not take writes", "cannot record what happens", "does not take operations"] {
        assert_eq!(said(&printed, words), 1, "{words}: {printed}");
    }
    for words in ["takes writes again", "everything that happened is recorded", "takes operations again"] {
        assert_eq!(said(&printed, words), 1, "{words}: {printed}");
    }
    assert_eq!(said(&printed, " ERROR ") + said(&printed, " WARN "), 4, "and one for the cancel: {printed}");
}

#[tokio::test]
async fn killed_while_the_disk_is_full_it_goes_on_by_the_rules_once_there_is_room() {
    let Full { home, server, tokyo, answers, put, post, mut accepted, refused, later: _ } = fill().await;
    answers.open();
    is_refused(&create(&server, "later").await);
    server.process.kill();

    let server = Server::start(&home).await;
    until_ready(&server).await;
    let ended = server.end_of(&put).await;
    assert_eq!((&ended["status"], &ended["targets"][0]["attempts"]), (&json!("completed"), &json!(2)), "{ended}");
    let ended = server.end_of(&post).await;
    assert_eq!((&ended["status"], &ended["consistency"]), (&json!("failed"), &json!("unknown")), "{ended}");
    for key in &refused {
        accepted.push(text(&create(&server, key).await.json()["id"]));
    }
    for id in &accepted {
        let ended = server.end_of(id).await;
        let outcome = text(&ended["targets"][0]["outcome"]);
        // One whose answer could not be recorded is unknown, and not sent again.
        assert!(["succeeded", "unknown"].contains(&outcome.as_str()), "{ended}");
        assert_eq!(posts(&tokyo).iter().filter(|sent| *sent == id).count(), 1, "{ended}");
    }
    server.stop().await;
}
