//! Stopping with attempts on the wire, ending without a stop, and going on afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fanfold_testkit::{Answer, FakeTarget, Home, Http, Latch, Reply};
use serde_json::json;

use crate::program::{PROGRAM, Server, config, text, things};

async fn slow_target(latch: &Latch) -> FakeTarget {
    let target = FakeTarget::start().await;
    target.once("PUT", "/things/1", Reply::from(Answer::empty(200)).after(latch));
    target
}

#[tokio::test]
async fn a_stop_waits_for_the_attempt_on_the_wire_and_records_its_answer() {
    let latch = Latch::new();
    let tokyo = slow_target(&latch).await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;

    server.process.terminate();
    server.process.line("stopping").await;
    let refused = server.http.put("/things/2", &serde_json::json!({})).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(server.get("/readyz").await.status, 503);
    assert_eq!(server.get(&format!("/api/v1/operations/{id}")).await.json()["status"], "executing");
    latch.open();
    let (status, printed) = server.process.ended().await;
    assert_eq!(status.code(), Some(0), "{printed}");

    let server = Server::start(&home).await;
    assert_eq!(server.end_of(&id).await["status"], "completed");
    assert_eq!(tokyo.seen().len(), 1, "it was sent once, before the restart");
}

#[tokio::test]
async fn a_killed_server_goes_on_where_it_was() {
    let latch = Latch::new();
    let tokyo = slow_target(&latch).await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;

    server.process.kill();
    let server = Server::start(&home).await;
    let operation = server.end_of(&id).await;

    // PUT is safe to repeat, so what may have been applied is sent again, under the same key.
    assert_eq!(operation["status"], "completed");
    assert_eq!(operation["targets"][0]["attempts"], 2);
    let seen = tokyo.wait_for(2).await;
    assert_eq!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let latch = Latch::new();
    let tokyo = slow_target(&latch).await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;

    server.process.terminate();
    server.process.line("stopping").await;
    server.process.terminate();
    let (status, printed) = server.process.ended().await;
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains("ended at once by a second signal"), "{printed}");

    let server = Server::start(&home).await;
    assert_eq!(server.end_of(&id).await["status"], "completed");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_neither_stops_the_server_nor_makes_unknowns() {
    let latch = Latch::new();
    let tokyo = slow_target(&latch).await;
    // The line that tells the port goes to the full disk as well, so the port is chosen here.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it is bound");
    let file = config(&[("tokyo", &tokyo)], &things(&["tokyo"])).replace("127.0.0.1:0", &free.to_string());
    let home = Home::new(&file);
    let script = format!("exec {PROGRAM} --log debug serve --config fanfold.toml 2>/dev/full");
    let process = home.start("sh", &["-c", &script]);
    let http = fanfold_testkit::Http::new(&format!("http://{free}"));
    while http.try_request("GET", "/healthz", b"").await.is_err() {
        tokio::task::yield_now().await;
    }
    let accepted = http.put("/things/1", &serde_json::json!({})).await;
    assert_eq!(accepted.status, 202);
    tokyo.wait_for(1).await;
    process.reload();
    assert_eq!(http.get("/healthz").await.status, 200);
    process.terminate();
    latch.open();
    let (status, printed) = process.ended().await;
    assert_eq!(status.code(), Some(0), "{printed}");

    home.configure(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let id = accepted.json()["id"].as_str().expect("an operation has an id").to_owned();
    assert_eq!(server.end_of(&id).await["status"], "completed");
    assert_eq!(tokyo.seen().len(), 1);
}

/// The most requests that one client sends.
const POSTS_MAX: usize = 2_000;

/// Sends requests until it is enough, each until it is accepted, and gives the ids: what a careful client does while a server
/// is replaced.
async fn post_until(enough: Arc<AtomicBool>, url: String, client: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..POSTS_MAX {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let http = Http::new(&url).with("idempotency-key", &format!("{client}-{number}"));
        let id = loop {
            match http.try_request("POST", "/things", b"{}").await {
                Ok(answer) if answer.status == 202 => break text(&answer.json()["id"]),
                // About to stop, or not there.
                Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                Err(_) => tokio::task::yield_now().await,
            }
        };
        ids.push(id);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_post_load_makes_no_unknown() {
    const RESTARTS: usize = 3;
    let tokyo = FakeTarget::start().await;
    tokyo.on("POST", "/things", Answer::empty(201));
    let route = "[[routes]]\nmatch = \"POST /things\"\ntargets = [\"tokyo\"]\n";
    let file = config(&[("tokyo", &tokyo)], route);
    let home = Home::new(&file);
    let mut server = Server::start(&home).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    home.configure(&file.replace("127.0.0.1:0", &address));

    let enough = Arc::new(AtomicBool::new(false));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..4 {
        clients.spawn(post_until(Arc::clone(&enough), server.url.clone(), client));
    }
    for _ in 0..RESTARTS {
        // At least this one is on the wire when the server is asked to stop.
        let answer = Latch::new();
        let before = tokyo.seen().len();
        tokyo.once("POST", "/things", Reply::from(Answer::empty(201)).after(&answer));
        tokyo.wait_for(before + 2).await;
        server.process.terminate();
        server.process.line("stopping").await;
        answer.open();
        let (status, printed) = server.process.ended().await;
        assert_eq!(status.code(), Some(0), "{printed}");
        server = Server::start(&home).await;
    }
    enough.store(true, Ordering::Relaxed);
    let ids: Vec<String> = clients.join_all().await.into_iter().flatten().collect();
    for id in &ids {
        let ended = server.end_of(id).await;
        assert_eq!((&ended["status"], &ended["targets"][0]["attempts"]), (&json!("completed"), &json!(1)), "{ended}");
    }
    let mut sent: Vec<_> =
        tokyo.seen().iter().map(|seen| seen.header("fanfold-operation-id").map(str::to_owned)).collect();
    sent.sort();
    let mut accepted: Vec<_> = ids.into_iter().map(Some).collect();
    accepted.sort();
    assert_eq!(sent, accepted, "each of them was sent exactly once");
    let notes = server.get("/api/v1/attention?state=all").await.json();
    assert_eq!(notes["attention"], json!([]), "nothing is unknown");
}
