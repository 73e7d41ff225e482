//! A database in a file is moved into one that nodes share, and the program goes on there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfold_testkit::postgres::Cluster;
use fanfold_testkit::{Answer, FakeTarget, Home, Http, HttpAnswer, Reply};
use serde_json::json;

use crate::program::{Server, config, database, run, serve, text, things};

/// An empty database of its own; `None` where there is no PostgreSQL to be had.
fn empty() -> Option<String> {
    let cluster = Cluster::shared()?;
    Some(cluster.url(&cluster.create_database()))
}

/// Runs a command, and gives its exit code and what it said.
async fn said(home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let ended = run(home.path(), arguments).await;
    (ended.code, ended.stderr)
}

async fn exported(home: &Home, arguments: &[&str]) -> String {
    let exported = run(home.path(), &[&["export"], arguments].concat()).await;
    assert_eq!(exported.code, Some(0), "{}", exported.stderr);
    exported.stdout
}

async fn put_with_key(server: &Server) -> HttpAnswer {
    Http::new(&server.url).with("idempotency-key", "k").put("/things/2", &json!({})).await
}

fn shared(tokyo: &FakeTarget, url: &str, key: &str) -> String {
    let store = format!("[store]\nurl = \"{url}\"\nkey = \"{key}\"\nlease = \"1s\"\n\n");
    config(&[("tokyo", tokyo)], &(store + &things(&["tokyo"])))
}

#[tokio::test]
async fn a_database_is_migrated_and_a_node_goes_on_with_it() {
    let Some(url) = empty() else { return };
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let ended = server.put("/things/1").await;
    server.end_of(&ended).await;
    let first = text(&put_with_key(&server).await.json()["id"]);
    server.end_of(&first).await;
    tokyo.on("PUT", "/things/3", Reply::Never { applied: false });
    let open = server.put("/things/3").await;

    let from = "sqlite:fanfold.db";
    let (code, busy) = said(&home, &["migrate", "--from", from, "--to", &url]).await;
    assert_eq!(code, Some(1));
    assert!(busy.contains("is locked by another process"), "{busy}");
    server.process.kill();
    tokyo.on("PUT", "/things/3", Answer::empty(200));

    // What stands there needs the key of before, and it goes to another one than either.
    assert_eq!(said(&home, &["key", "rotate", "--database", "fanfold.db"]).await.0, Some(0));
    home.configure(&shared(&tokyo, &url, &STANDARD.encode([9; 32])));
    let before = exported(&home, &["--database", "fanfold.db"]).await;
    let (code, migrated) = said(&home, &["migrate", "--from", from]).await;
    assert_eq!(code, Some(0), "{migrated}");
    assert!(migrated.contains(": 3 operations"), "{migrated}");
    assert_eq!(exported(&home, &[]).await, before);
    let (code, again) = said(&home, &["migrate", "--from", from]).await;
    assert_eq!(code, Some(1));
    assert!(again.contains("it is not empty"), "{again}");

    let alone = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    for name in ["fanfold.db", "fanfold.db.key", "fanfold.db.migrated"] {
        std::fs::copy(home.path().join(name), alone.path().join(name)).unwrap();
    }
    let (status, refused) = serve(&alone).ended().await;
    assert!(status.code() == Some(1) && refused.contains("it was migrated to postgres://"), "{refused}");

    std::fs::remove_file(database(&home)).unwrap();
    let server = Server::start(&home).await;
    assert!(["completed", "failed"].contains(&text(&server.end_of(&open).await["status"]).as_str()));
    let repeated = put_with_key(&server).await;
    assert_eq!(text(&repeated.json()["id"]), first, "{}", repeated.text());
    server.stop().await;
}
