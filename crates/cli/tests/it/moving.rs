//! Moving house: what is exported, backed up and restored, past the server and while it runs.

use fanfold_testkit::{FakeTarget, Home};
use serde_json::Value;

use crate::program::{Server, config, run, text, things};

async fn one_target() -> (FakeTarget, Home, Server) {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    (tokyo, home, server)
}

/// The lines of an export.
async fn export(home: &Home, arguments: &[&str]) -> Vec<Value> {
    let exported = run(home.path(), &[&["export"], arguments].concat()).await;
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    exported.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn operations_are_exported_while_the_server_runs_and_when_it_does_not() {
    let (_tokyo, home, server) = one_target().await;
    let ids = [server.put("/things/1").await, server.put("/things/2").await];
    for id in &ids {
        server.end_of(id).await;
    }
    let lines = export(&home, &[]).await;
    assert_eq!(lines.iter().map(|line| text(&line["id"])).collect::<Vec<_>>(), ids);
    assert_eq!(lines[0]["plan"]["route"], "put-thing");
    assert!(lines[0]["events"].as_array().unwrap().iter().any(|event| event["event"] == "attempt_answered"));
    assert_eq!(export(&home, &["--status", "failed"]).await, [Value::Null; 0]);

    let whole = run(home.path(), &["export", "--output", "all.jsonl"]).await;
    assert_eq!((whole.code, whole.stdout.as_str()), (Some(0), ""));
    assert!(whole.stderr.contains("exported 2 operations"), "{}", whole.stderr);
    let written = std::fs::read_to_string(home.path().join("all.jsonl")).unwrap();
    server.stop().await;
    // Neither the configuration nor a server is needed, and the bytes are the same.
    let again = run(home.path(), &["export", "--database", "fanfold.db"]).await;
    assert_eq!((again.code, again.stdout), (Some(0), written));
    let nothing = run(home.path(), &["export", "--database", "other.db"]).await;
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.stderr.contains("there is no such file"), "{}", nothing.stderr);
}
