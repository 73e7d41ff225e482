//! Locks, start times and idempotency keys, as clients of the program see them.

use std::collections::BTreeSet;

use fanfold_testkit::{Answer, FakeTarget, Home, Http, Latch, Reply};
use serde_json::{Value, json};

use crate::program::{Server, config, text};

/// Two routes under one lock.
fn routes(more: &str) -> String {
    let route = |name: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\nmatch = \"PUT /{name}/{{id}}\"\ntargets = [\"tokyo\"]\n\
             lock = \"site/{{{{ path.id }}}}\"\n{more}\n"
        )
    };
    route("things") + &route("parts")
}

async fn start(more: &str) -> (FakeTarget, Home, Server) {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &routes(more)));
    let server = Server::start(&home).await;
    (tokyo, home, server)
}

async fn detail(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/v1/operations/{id}")).await.json()
}

fn uris(target: &FakeTarget) -> Vec<String> {
    target.seen().iter().map(|seen| seen.uri.clone()).collect()
}

#[tokio::test]
async fn two_operations_on_one_lock() {
    let (tokyo, home, server) = start("").await;
    let latch = Latch::new();
    tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&latch));
    let first = server.put("/things/1").await;
    tokyo.wait_for(1).await;
    // Across routes, and over a restart.
    let refused = server.http.put("/parts/1", &json!({})).await;
    assert_eq!((refused.status, text(&refused.json()["code"])), (409, "locked".to_owned()));
    assert_eq!(text(&refused.json()["blocked_by"]), first, "who holds it is told");
    server.process.kill();
    latch.open();
    let server = Server::start(&home).await;
    server.end_of(&first).await;
    // Its end hands the lock over.
    let second = server.put("/parts/1").await;
    assert_eq!(server.end_of(&second).await["status"], "completed");
}

#[tokio::test]
async fn a_queue_of_five_on_one_lock_over_a_restart() {
    let (tokyo, home, server) = start("on_locked = \"queue\"").await;
    let held = server.run(&home, &["targets", "hold", "tokyo", "--reason", "maintenance"]).await;
    assert_eq!(held.code, Some(0), "{}", held.stderr);
    let mut ids = Vec::new();
    for path in ["/things/1", "/parts/1", "/things/1?n=2", "/parts/1?n=3", "/things/1?n=4", "/parts/1?n=5"] {
        ids.push(server.put(path).await);
    }
    for (position, id) in ids.iter().enumerate().skip(1) {
        let waiting = json!([{ "for": "lock", "key": "site/1", "position": position, "holder": ids[0] }]);
        assert_eq!(detail(&server, id).await["waiting_for"], waiting);
    }
    let shown = server.run(&home, &["ops", "get", &ids[3]]).await;
    let words = format!("the lock site/1, at place 3, which operation {} holds", ids[0]);
    assert!(shown.stdout.contains(&words), "{}", shown.stdout);
    // One in the middle leaves; the others move up.
    let canceled = server.run(&home, &["ops", "cancel", &ids[2]]).await;
    assert_eq!(canceled.code, Some(0), "{}", canceled.stderr);
    assert_eq!(server.end_of(&ids[2]).await["status"], "canceled");
    server.process.kill();
    let server = Server::start(&home).await;
    assert_eq!(detail(&server, &ids[3]).await["waiting_for"][0]["position"], 2);
    // The holder leaves, too.
    let canceled = server.run(&home, &["ops", "cancel", &ids[0]]).await;
    assert_eq!(canceled.code, Some(0), "{}", canceled.stderr);
    let released = server.run(&home, &["targets", "release", "tokyo"]).await;
    assert_eq!(released.code, Some(0), "{}", released.stderr);
    for (id, status) in ids.iter().zip(["canceled", "completed", "canceled", "completed", "completed", "completed"]) {
        assert_eq!(server.end_of(id).await["status"], status);
    }
    assert_eq!(uris(&tokyo), ["/parts/1", "/parts/1?n=3", "/things/1?n=4", "/parts/1?n=5"], "first in, first out");
}

#[tokio::test]
async fn a_holder_that_fails_hands_the_lock_over() {
    let (tokyo, _home, server) = start("on_locked = \"queue\"").await;
    let latch = Latch::new();
    tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(409)).after(&latch));
    let (first, second) = (server.put("/things/1").await, server.put("/parts/1").await);
    tokyo.wait_for(1).await;
    latch.open();
    assert_eq!(server.end_of(&first).await["status"], "failed");
    assert_eq!(server.end_of(&second).await["status"], "completed");
}

#[tokio::test]
async fn the_queue_of_a_lock_has_an_end() {
    let tokyo = FakeTarget::start().await;
    let rest = format!("[store]\nlock_queue_max = 1\n{}", routes("on_locked = \"queue\""));
    let home = Home::new(&config(&[("tokyo", &tokyo)], &rest));
    let server = Server::start(&home).await;
    server.run(&home, &["targets", "hold", "tokyo", "--reason", "maintenance"]).await;
    server.put("/things/1").await;
    server.put("/parts/1").await;
    let refused = server.http.put("/things/1", &json!({})).await;
    assert_eq!((refused.status, text(&refused.json()["code"])), (409, "locked".to_owned()));
    assert!(text(&refused.json()["detail"]).contains("1 wait for it already"), "{}", refused.text());
}

#[tokio::test]
async fn a_delayed_operation_keeps_nobody_waiting_and_outlives_a_restart() {
    let (tokyo, home, server) = start("delay = \"3s\"").await;
    let first = server.put("/things/1").await;
    let waiting = detail(&server, &first).await;
    assert_eq!(
        (waiting["status"].as_str(), waiting["waiting_for"][0]["for"].as_str()),
        (Some("unexecuted"), Some("start_time"))
    );
    // What starts at once is not kept waiting by what starts later under the same lock.
    let at_once = server.http.clone().with("fanfold-start-at", "2020-01-01T00:00:00Z");
    let answer = at_once.put("/parts/1", &json!({})).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(server.end_of(&text(&answer.json()["id"])).await["status"], "completed");
    let canceled = server.put("/things/2").await;
    let done = server.run(&home, &["ops", "cancel", &canceled]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    server.process.kill();
    let server = Server::start(&home).await;
    let ended = server.end_of(&first).await;
    assert_eq!(ended["status"], "completed");
    let time = |name: &str| text(&ended[name]).parse::<jiff::Timestamp>().unwrap();
    assert!(time("started_at") >= time("accepted_at") + jiff::SignedDuration::from_secs(3), "{ended}");
    assert_eq!(server.end_of(&canceled).await["status"], "canceled");
    assert_eq!(uris(&tokyo), ["/parts/1", "/things/1"]);
}

#[tokio::test]
async fn clients_that_cannot_send_a_key_have_one_made() {
    let tokyo = FakeTarget::start().await;
    let route =
        "[[routes]]\nmatch = \"POST /orders\"\ntargets = [\"tokyo\"]\ndedupe = \"order/{{ request.json.id }}\"\n";
    let home = Home::new(&config(&[("tokyo", &tokyo)], route));
    let server = Server::start(&home).await;
    let post = async |http: &Http, body: Value| {
        let answer = http.post("/orders", &body).await;
        (answer.status, text(&answer.json()[if answer.status == 202 { "id" } else { "code" }]))
    };
    let plain = &server.http;
    let first = post(plain, json!({ "id": 17 })).await;
    server.end_of(&first.1).await;
    assert_eq!(post(plain, json!({ "id": 17 })).await, first, "the same request has the same answer");
    assert_eq!(post(plain, json!({ "id": 17, "x": 1 })).await, (422, "key_reused".to_owned()));
    let reused = plain.post("/orders", &json!({ "id": 17, "x": 1 })).await;
    assert_eq!(text(&reused.json()["blocked_by"]), first.1);
    assert!(text(&reused.json()["detail"]).contains("`dedupe`"), "{}", reused.text());
    assert_ne!(post(plain, json!({ "id": 18 })).await.1, first.1);
    // A key that is sent goes before it.
    let other = post(&plain.clone().with("idempotency-key", "mine"), json!({ "id": 17 })).await;
    assert_ne!(other, first);
    assert_eq!(post(&plain.clone().with("idempotency-key", "\"mine\""), json!({ "id": 17 })).await, other);
    server.end_of(&other.1).await;
}

#[tokio::test]
async fn many_at_once_with_one_key_make_one_operation() {
    let (tokyo, _home, server) = start("").await;
    let http = server.http.clone().with("idempotency-key", "k");
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let http = http.clone();
        requests.spawn(async move { http.put("/things/1", &json!({})).await });
    }
    let answers = requests.join_all().await;
    let ids: BTreeSet<String> = answers.iter().map(|answer| text(&answer.json()["id"])).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    for id in &ids {
        server.end_of(id).await;
    }
    assert_eq!(tokyo.seen().len(), 1);
}
