//! Commands that ask a running server about operations, targets and itself.

use fanfold_testkit::{Answer, FakeTarget, Home, Latch, Process, Reply};
use serde_json::Value;

use crate::program::{Server, config, run, text, things};

const NO_ID: &str = "01900000-0000-7000-8000-000000000001";

async fn one_target() -> (FakeTarget, Home, Server) {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    (tokyo, home, server)
}

#[tokio::test]
async fn operations_are_listed_filtered_and_shown() {
    let (tokyo, home, server) = one_target().await;
    tokyo.on("PUT", "/things/2", Answer::empty(409));
    let (good, bad) = (server.put("/things/1").await, server.put("/things/2").await);
    server.end_of(&good).await;
    server.end_of(&bad).await;

    let list = server.run(&home, &["ops", "list"]).await;
    assert_eq!((list.code, list.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = list.stdout.lines().collect();
    assert!(lines[0].starts_with("ID "), "{}", list.stdout);
    for (id, status) in [(&good, "completed"), (&bad, "failed")] {
        let line = lines.iter().find(|line| line.contains(id.as_str()));
        assert!(line.is_some_and(|line| line.contains(status)), "{id} is not {status}: {}", list.stdout);
    }
    assert!(!list.stdout.contains('\x1b'), "no colour without a terminal");

    let failed = server.run(&home, &["ops", "list", "--status", "failed", "--output", "json"]).await;
    let failed: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(failed.as_array().unwrap().len(), 1);
    assert_eq!(text(&failed[0]["id"]), bad);

    let none = server.run(&home, &["ops", "list", "--route", "other", "--output", "json"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), "[]\n"));

    let shown = server.run(&home, &["ops", "get", &bad]).await;
    for part in [bad.as_str(), "failed", "rolled back", "PUT /things/2", "tokyo", "409", "final response: 500"] {
        assert!(shown.stdout.contains(part), "{part} is missing in {}", shown.stdout);
    }
    let json = server.run(&home, &["ops", "get", &good, "--output", "json"]).await;
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((text(&json["id"]), text(&json["status"])), (good, "completed".to_owned()));
}

#[tokio::test]
async fn a_list_longer_than_a_page_is_read_page_by_page() {
    let (_tokyo, home, server) = one_target().await;
    let mut ids = Vec::new();
    for number in 0..510 {
        ids.push(server.put(&format!("/things/{number}")).await);
    }
    let listed = server.run(&home, &["ops", "list", "--limit", "505", "--output", "json"]).await;
    let listed: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    let listed: Vec<String> = listed.iter().map(|operation| text(&operation["id"])).collect();
    // In the order of acceptance, the newest first.
    ids.reverse();
    assert!(listed == ids[..505], "{} of {} operations were listed", listed.len(), ids.len());
}

#[tokio::test]
async fn history_shows_every_attempt() {
    let (tokyo, home, server) = one_target().await;
    tokyo.once("PUT", "/things/1", Answer::empty(503).header("retry-after", "0"));
    let id = server.put("/things/1").await;
    server.end_of(&id).await;

    let history = server.run(&home, &["ops", "history", &id]).await;
    assert_eq!(history.code, Some(0), "{}", history.stderr);
    assert_eq!(history.stdout.matches("is sent PUT /things/1").count(), 2, "{}", history.stdout);
    assert!(history.stdout.contains("answers 503: not now"), "{}", history.stdout);
    assert!(history.stdout.contains("The data is updated"), "{}", history.stdout);
    let json = server.run(&home, &["ops", "history", &id, "--output", "json"]).await;
    let entries: Vec<Value> = serde_json::from_str(&json.stdout).unwrap();
    let sequence: Vec<u64> = entries.iter().filter_map(|entry| entry["sequence"].as_u64()).collect();
    assert_eq!(sequence, (1..=entries.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn watching_follows_an_operation_to_its_end() {
    let latch = Latch::new();
    let (tokyo, home, server) = one_target().await;
    tokyo.once("PUT", "/things/1", Reply::from(Answer::empty(200)).after(&latch));
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;

    let watching = watch(&home, &server, &id);
    watching.line("is sent PUT /things/1").await;
    latch.open();
    let (status, printed) = watching.ended().await;

    assert_eq!(status.code(), Some(0), "{printed}");
    for part in [id.as_str(), "tokyo  answers 200: done", "Completed after"] {
        assert!(printed.contains(part), "{part} is missing in {printed}");
    }
    let told = server.run(&home, &["ops", "watch", &id]).await.stdout;
    let story = server.run(&home, &["ops", "history", &id]).await.stdout;
    assert_eq!(told, story, "what has ended is told in the same words");
    let json = server.run(&home, &["ops", "watch", &id, "--output", "json"]).await.stdout;
    let last: Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["status"]), (&"response_composed".into(), &"completed".into()));
}

#[tokio::test]
async fn the_undo_of_a_target_is_shown_apart_from_its_own_answer() {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    let both_called = Latch::new();
    osaka.on("PUT", "/things/1", Reply::from(Answer::empty(409)).after(&both_called));
    tokyo.on("PUT", "/things/1", Answer::empty(201));
    tokyo.on("DELETE", "/things/1", Answer::empty(403));
    let home = Home::new(&config(&[("tokyo", &tokyo), ("osaka", &osaka)], &things(&["tokyo", "osaka"])));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    tokyo.wait_for(1).await;
    both_called.open();

    let watched = server.run(&home, &["ops", "watch", &id]).await;
    assert!(watched.stdout.contains("tokyo  undo: answers 403"), "{}", watched.stdout);
    let shown = server.run(&home, &["ops", "get", &id]).await.stdout;
    let row = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{shown}"));
    assert!(row("tokyo ").contains("succeeded") && row("tokyo ").contains("201"), "{shown}");
    assert!(row("  undo ").contains("403"), "{shown}");
    assert!(row("osaka ").contains("failed") && row("osaka ").contains("409"), "{shown}");
}

#[tokio::test]
async fn something_that_is_no_fanfold_is_told_to_be_none() {
    let other = FakeTarget::start().await;
    other.on("GET", "/api/v1/status", Answer::text(404, "<html>not here</html>"));
    let home = Home::new("");
    let ended = run(home.path(), &["status", "--server", &other.url()]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("is it a Fanfold"), "{}", ended.stderr);
}

#[tokio::test]
async fn an_operation_that_waits_for_a_held_target_can_be_canceled() {
    let (tokyo, home, server) = one_target().await;
    let held = server.run(&home, &["targets", "hold", "tokyo", "--reason", "maintenance"]).await;
    assert_eq!((held.code, held.stderr.as_str()), (Some(0), "tokyo is on hold\n"));
    let listed = server.run(&home, &["targets"]).await;
    assert!(listed.stdout.contains("held by local") && listed.stdout.contains("maintenance"), "{}", listed.stdout);
    let id = server.put("/things/1").await;

    let canceled = server.run(&home, &["ops", "cancel", &id]).await;
    assert_eq!(canceled.code, Some(0), "{}", canceled.stderr);
    let watched = server.run(&home, &["ops", "watch", &id]).await;
    assert_eq!(watched.code, Some(5), "{}", watched.stderr);
    assert!(watched.stderr.contains(&format!("operation {id} ended canceled")), "{}", watched.stderr);
    let again = server.run(&home, &["ops", "cancel", &id]).await;
    assert_eq!(again.code, Some(7), "it has ended: {}", again.stderr);

    let released = server.run(&home, &["targets", "release", "tokyo"]).await;
    assert_eq!(released.code, Some(0), "{}", released.stderr);
    let id = server.put("/things/2").await;
    assert_eq!(server.end_of(&id).await["status"], "completed");
    assert_eq!(tokyo.seen().len(), 1, "nothing was sent for the first one");
}

#[tokio::test]
async fn a_server_tells_its_routes_and_how_it_does() {
    let (_tokyo, home, server) = one_target().await;
    let id = server.put("/things/1").await;
    server.end_of(&id).await;

    let routes = server.run(&home, &["routes"]).await;
    assert!(routes.stdout.contains("put-thing  PUT     /things/{id}  native   operation  tokyo"), "{}", routes.stdout);
    let status = server.run(&home, &["status"]).await;
    assert!(status.stdout.contains("accepting"), "{}", status.stdout);
    let json = server.run(&home, &["status", "--output", "json"]).await;
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["operations"]["completed"], 1);
    let targets = server.run(&home, &["targets", "list", "--output", "json"]).await;
    let targets: Value = serde_json::from_str(&targets.stdout).unwrap();
    assert_eq!(targets["targets"][0]["name"], "tokyo");
}

#[tokio::test]
async fn what_is_not_there_has_an_exit_code_of_its_own() {
    let (_tokyo, home, server) = one_target().await;
    for arguments in
        [&["ops", "get", NO_ID][..], &["ops", "watch", NO_ID], &["ops", "cancel", NO_ID], &["ops", "history", NO_ID]]
    {
        let ended = server.run(&home, arguments).await;
        assert_eq!(ended.code, Some(6), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stderr, "fanfold: there is no such operation\n");
    }
    let ended = server.run(&home, &["targets", "hold", "kyoto"]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(6), "fanfold: there is no such target\n"));
    for arguments in [
        &["ops", "get", "nope"][..],
        &["ops", "watch", "17"],
        &["ops", "extend", "nope", "--by", "1d"],
        &["attention", "show", "nope"],
        &["attention", "show", "17"],
        &["notices", "show", "nope"],
    ] {
        let ended = server.run(&home, arguments).await;
        assert_eq!(ended.code, Some(6), "{arguments:?}: {}", ended.stderr);
    }
    let ended = server.run(&home, &["ops", "get", "nope"]).await;
    assert!(ended.stderr.starts_with("fanfold: nothing has the id \"nope\": "), "{}", ended.stderr);
    let ended = server.run(&home, &["ops", "list", "--status", "nope"]).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_so() {
    let home = Home::new("");
    let ended = run(home.path(), &["ops", "list", "--server", "http://127.0.0.1:9"]).await;
    assert_eq!(ended.code, Some(4));
    let told = "fanfold: cannot reach http://127.0.0.1:9: connection refused; is the server running?\n";
    assert_eq!(ended.stderr, told);
}

fn watch(home: &Home, server: &Server, id: &str) -> Process {
    home.start(crate::program::PROGRAM, &["ops", "watch", id, "--server", &server.url])
}
