//! Starting, accepting, completing, stopping.

use fanfold_testkit::{Answer, FakeTarget, Home, Latch, Reply};

use crate::program::{PROGRAM, Server, config, things};

#[tokio::test]
async fn a_change_is_accepted_and_completed_at_every_target() {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    let home = Home::new(&config(&[("tokyo", &tokyo), ("osaka", &osaka)], &things(&["tokyo", "osaka"])));
    let server = Server::start(&home).await;

    let id = server.put("/things/1").await;
    let operation = server.end_of(&id).await;

    assert_eq!(operation["status"], "completed");
    assert_eq!(operation["consistency"], "updated");
    for target in [&tokyo, &osaka] {
        let seen = target.wait_for(1).await;
        assert_eq!((seen[0].method.as_str(), seen[0].path()), ("PUT", "/things/1"));
        assert_eq!(seen[0].header("fanfold-operation-id"), Some(id.as_str()));
    }
    let printed = server.stop().await;
    assert!(printed.contains("stopped"), "{printed}");
}

#[tokio::test]
async fn a_change_that_one_target_refuses_is_undone_at_the_other() {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    // Only once the other one was called: a target whose turn has not come at the refusal is not called at all.
    let called = Latch::new();
    osaka.on("PUT", "/things/1", Reply::from(Answer::empty(409)).after(&called));
    let home = Home::new(&config(&[("tokyo", &tokyo), ("osaka", &osaka)], &things(&["tokyo", "osaka"])));
    let server = Server::start(&home).await;

    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;
    called.open();
    let operation = server.end_of(&id).await;

    assert_eq!(operation["status"], "failed");
    assert_eq!(operation["consistency"], "rolled back");
    assert_eq!(tokyo.wait_for(2).await[1].method, "DELETE");
}

#[tokio::test]
async fn it_says_that_it_lives_is_ready_and_how_it_does() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    server.end_of(&id).await;

    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 200);
    let metrics = server.get("/metrics").await.text();
    for metric in ["fanfold_operations_accepted", "fanfold_operations_ended", "fanfold_target_attempts"] {
        assert!(metrics.contains(metric), "{metric} is missing in {metrics}");
    }
}

#[tokio::test]
async fn a_repeated_request_is_recognised_by_its_key_over_a_restart() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let keyed = |server: &Server| server.http.clone().with("idempotency-key", "abc");
    let body = serde_json::json!({ "size": 3 });

    let server = Server::start(&home).await;
    let first = keyed(&server).put("/things/1", &body).await.json();
    server.stop().await;
    let server = Server::start(&home).await;
    let again = keyed(&server).put("/things/1", &body).await;
    let other = keyed(&server).put("/things/2", &body).await;

    assert_eq!((again.status, &again.json()["id"]), (202, &first["id"]));
    assert_eq!(other.status, 422, "{}", other.text());
}

#[tokio::test]
async fn logs_can_be_read_by_programs() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let process = home.start(PROGRAM, &["serve", "--log-format", "json"]);
    process.url().await;
    process.terminate();
    let (_, printed) = process.ended().await;

    let logged = printed.lines().filter(|line| !line.starts_with("listening on "));
    let logged: Vec<serde_json::Value> = logged.map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = logged.last().unwrap();
    assert_eq!((&last["level"], &last["fields"]["message"]), (&"INFO".into(), &"stopped".into()));
}
