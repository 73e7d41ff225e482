//! Canceling from outside, in whatever an operation is doing, over restarts too; and targets held back with their queue.

use std::time::Duration;

use fanfold_engine::{Clock as _, SystemClock};
use fanfold_testkit::{Answer, FakeTarget, Home, Http, Latch, Reply};
use serde_json::{Value, json};

use crate::program::{Server, config, text, things};

impl Server {
    /// The operation once this fits.
    async fn until(&self, id: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let detail = self.get(&format!("/api/v1/operations/{id}?wait=50ms")).await.json();
            if fits(&detail) {
                return detail;
            }
            assert_eq!(detail["ended_at"], Value::Null, "it ended before: {detail}");
        }
    }

    async fn in_phase(&self, id: &str, phase: &str) -> Value {
        self.until(id, |detail| detail["phase"] == phase).await
    }
}

/// Cancels, starts the server anew, cancels again, and gives the server.
async fn cancel_over_a_restart(home: &Home, server: Server, id: &str) -> Server {
    let path = format!("/api/v1/operations/{id}/cancel");
    let canceled = server.http.post(&path, &json!({})).await;
    assert!(matches!(canceled.status, 200 | 202), "{}", canceled.text());
    let ended = canceled.status == 200;
    server.process.kill();
    let server = Server::start(home).await;
    let again = server.http.post(&path, &json!({})).await;
    // It may have ended in between.
    assert!(matches!(again.status, 200 | 202 | 409) && (!ended || again.status == 409), "{}", again.text());
    server
}

fn home(tokyo: &FakeTarget, osaka: &FakeTarget, more: &str) -> Home {
    let targets = config(&[("tokyo", tokyo), ("osaka", osaka)], &things(&["tokyo", "osaka"]));
    Home::new(&format!("{targets}{more}"))
}

#[tokio::test]
async fn cancel_before_the_start_time() {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    let home = home(&tokyo, &osaka, "");
    let server = Server::start(&home).await;
    let later = SystemClock.now() + Duration::from_secs(7 * 24 * 3600);
    let http = Http::new(&server.url).with("fanfold-start-at", &later.to_string());
    let id = text(&http.put("/things/1", &json!({})).await.json()["id"]);
    assert_eq!(server.until(&id, |_| true).await["waiting_for"][0]["for"], "start_time");
    let server = cancel_over_a_restart(&home, server, &id).await;
    let end = server.end_of(&id).await;
    assert_eq!((&end["status"], &end["consistency"]), (&json!("canceled"), &json!("rolled back")));
    assert!(tokyo.seen().is_empty());
}

#[tokio::test]
async fn cancel_while_it_waits_for_a_held_target() {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    osaka.on("DELETE", "/things/*", Answer::empty(204));
    let home = home(&tokyo, &osaka, "");
    let server = Server::start(&home).await;
    server.http.post("/api/v1/targets/tokyo/hold", &json!({})).await;
    let id = server.put("/things/1").await;
    server.in_phase(&id, "held").await;
    osaka.wait_for(1).await;
    let server = cancel_over_a_restart(&home, server, &id).await;
    let end = server.end_of(&id).await;
    assert_eq!(end["status"], "canceled", "{end}");
    assert!(tokyo.seen().is_empty());
}

#[tokio::test]
async fn cancel_while_it_calls_and_while_it_backs_off() {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    for target in [&tokyo, &osaka] {
        target.on("DELETE", "/things/*", Answer::empty(204));
    }
    let answer = Latch::new();
    tokyo.on("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&answer));
    osaka.on("PUT", "/things/1", Answer::empty(503).header("retry-after", "200"));
    let home = home(&tokyo, &osaka, "");
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;
    server.until(&id, |detail| detail["targets"][1]["phase"] == "backing_off").await;
    let canceled = server.http.post(&format!("/api/v1/operations/{id}/cancel"), &json!({})).await;
    assert_eq!((canceled.status, &canceled.json()["phase"]), (202, &json!("canceling")));
    answer.open();
    let end = server.end_of(&id).await;
    assert_eq!((&end["status"], &end["consistency"]), (&json!("canceled"), &json!("rolled back")));
    assert_eq!(tokyo.seen().len(), 2, "what succeeded is undone");
}

#[tokio::test]
async fn cancel_while_a_person_is_to_answer() {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    tokyo.once("POST", "/asked", Reply::Reset { applied: true });
    osaka.on("POST", "/asked", Answer::empty(201));
    let more = "[[routes]]\nmatch = \"POST /asked\"\ntargets = [\"tokyo\", \"osaka\"]\non_unknown = \"hold\"\n\
                undo = { method = \"DELETE\", path = \"/asked\" }\n";
    let home = home(&tokyo, &osaka, more);
    let server = Server::start(&home).await;
    let id = text(&server.http.post("/asked", &json!({})).await.json()["id"]);
    server
        .until(&id, |detail| detail["phase"] == "needs attention" && detail["targets"][1]["outcome"] == "succeeded")
        .await;
    let told = server.run(&home, &["ops", "cancel", &id]).await;
    assert!(told.stderr.contains("a person has to answer first"), "{}", told.stderr);
    let server = cancel_over_a_restart(&home, server, &id).await;
    let waiting = server.in_phase(&id, "needs attention").await;
    assert_eq!((&waiting["cause"]["kind"], &waiting["waiting_for"][0]["for"]), (&json!("canceled"), &json!("person")));
    let notes = server.get("/api/v1/attention").await.json();
    assert_eq!(notes["attention"][0]["answers"], json!(["applied", "not_applied"]), "the question stays open");
    server.http.post("/api/v1/attention/1/resolve", &json!({ "answer": "applied" })).await;
    let end = server.end_of(&id).await;
    assert_eq!((&end["status"], &end["consistency"]), (&json!("canceled"), &json!("rolled back")), "{end}");
}

#[tokio::test]
async fn cancel_while_it_rolls_back_changes_nothing_and_afterwards_is_refused() {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    let (first, undo) = (Latch::new(), Latch::new());
    osaka.on("PUT", "/things/1", Reply::from(Answer::empty(409)).after(&first));
    tokyo.on("DELETE", "/things/1", Reply::from(Answer::empty(204)).after(&undo));
    let home = home(&tokyo, &osaka, "");
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;
    server.until(&id, |detail| detail["targets"][0]["outcome"] == "succeeded").await;
    first.open();
    server.in_phase(&id, "rolling back").await;
    let path = format!("/api/v1/operations/{id}/cancel");
    let canceled = server.http.post(&path, &json!({})).await;
    assert_eq!((canceled.status, &canceled.json()["phase"]), (202, &json!("rolling back")));
    undo.open();
    assert_eq!(server.end_of(&id).await["status"], "failed", "its cause came first");
    let late = server.http.post(&path, &json!({})).await;
    assert_eq!((late.status, &late.json()["code"]), (409, &json!("not_possible")));
}

#[tokio::test]
async fn cancel_once_enough_has_succeeded_is_refused() {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    let answer = Latch::new();
    osaka.on("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&answer));
    let one = things(&["tokyo", "osaka"]) + "require = 1\n";
    let home = Home::new(&config(&[("tokyo", &tokyo), ("osaka", &osaka)], &one));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    osaka.wait_for(1).await;
    server.until(&id, |detail| detail["targets"][0]["outcome"] == "succeeded").await;
    let late = server.http.post(&format!("/api/v1/operations/{id}/cancel"), &json!({})).await;
    assert_eq!((late.status, &late.json()["code"]), (409, &json!("not_possible")), "{}", late.text());
    answer.open();
    assert_eq!(server.end_of(&id).await["status"], "completed");
}

#[tokio::test]
async fn hold_and_release_in_order() {
    let tokyo = FakeTarget::start().await;
    let file = config(&[("tokyo", &tokyo)], &things(&["tokyo"]));
    let home = Home::new(&file.replace("monitor = \"none\"", "monitor = \"none\"\nmax_in_flight = 1"));
    let server = Server::start(&home).await;
    server.http.post("/api/v1/targets/tokyo/hold", &json!({ "reason": "maintenance" })).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push((server.put(&format!("/things/{number}")).await, number));
    }
    server.in_phase(&ids[4].0, "held").await;
    server.process.kill();
    let server = Server::start(&home).await;
    for number in 5..8 {
        ids.push((server.put(&format!("/things/{number}")).await, number));
    }
    loop {
        let target = server.get("/api/v1/targets/tokyo").await.json();
        assert_eq!(target["state"], "held", "holds are kept over a restart");
        if target["waiting"]["forward"] == 8 {
            break;
        }
    }
    assert!(tokyo.seen().is_empty());
    server.http.post("/api/v1/targets/tokyo/release", &json!({})).await;
    for (id, _) in &ids {
        assert_eq!(server.end_of(id).await["status"], "completed");
    }
    // Ids sort by the time of acceptance, to the millisecond.
    ids.sort_unstable();
    let accepted: Vec<String> = ids.iter().map(|(_, number)| format!("/things/{number}")).collect();
    let sent: Vec<String> = tokyo.seen().iter().map(|seen| seen.uri.clone()).collect();
    assert_eq!(sent, accepted);
}
