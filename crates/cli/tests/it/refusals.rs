//! Servers that do not start, and say why.

use std::os::unix::fs::PermissionsExt as _;

use fanfold_testkit::{FakeTarget, Home};

use crate::program::{Ended, Server, config, database, run, serve, things};

async fn refused(home: &Home) -> Ended {
    run(home.path(), &["serve"]).await
}

#[tokio::test]
async fn every_mistake_is_shown_before_anything_listens() {
    let home = Home::new(
        "[server]\nlisten = \"nowhere\"\n[targets.x]\nurl = 7\n[[routes]]\nmatch = \"GET /a\"\npass = \"y\"\n",
    );
    let ended = refused(&home).await;
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    for place in ["fanfold.toml:2:", "fanfold.toml:4:", "fanfold.toml:7:", "fanfold.toml: 3 mistakes"] {
        assert!(ended.stderr.contains(place), "{place} is missing in {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("listening"));
    assert!(!database(&home).exists(), "the store is not touched");
}

#[tokio::test]
async fn an_address_that_others_reach_is_refused() {
    let home = Home::new("[server]\nlisten = \"0.0.0.0:0\"\n");
    let ended = refused(&home).await;
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("would let everybody who reaches it start operations"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_second_process_does_not_share_the_store() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;

    let ended = refused(&home).await;

    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let told = format!("is locked by another process (process {})", server.process.id());
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    let id = server.put("/things/1").await;
    assert_eq!(server.end_of(&id).await["status"], "completed", "the first one goes on");
}

#[tokio::test]
async fn an_address_in_use_is_refused() {
    let tokyo = FakeTarget::start().await;
    let first = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&first).await;
    let address = server.url.trim_start_matches("http://");
    let second = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])).replace("127.0.0.1:0", address));

    let ended = refused(&second).await;

    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("cannot listen on {address}: Address already in use")), "{}", ended.stderr);
    assert!(ended.stderr.contains("another program listens there; choose another"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_store_that_cannot_be_written_is_refused() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    Server::start(&home).await.stop().await;
    std::fs::set_permissions(database(&home), std::fs::Permissions::from_mode(0o444)).unwrap();

    let ended = refused(&home).await;

    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot open the store"), "{}", ended.stderr);
    assert!(ended.stderr.contains("fanfold.db is read-only"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_damaged_store_is_refused() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    Server::start(&home).await.stop().await;
    let mut octets = std::fs::read(database(&home)).unwrap();
    // Everything after the header of the file, so that it still looks like a database.
    octets[100..].fill(0x5a);
    std::fs::write(database(&home), octets).unwrap();

    let ended = refused(&home).await;

    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot open the store"), "{}", ended.stderr);
    assert!(ended.stderr.contains("damaged"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    std::fs::write(database(&home), "a shopping list, long enough to be looked at: milk, bread, eggs, butter, salt")
        .unwrap();

    let ended = refused(&home).await;

    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot open the store"), "{}", ended.stderr);
    assert!(std::fs::read_to_string(database(&home)).unwrap().starts_with("a shopping list"));
}

#[tokio::test]
async fn a_file_that_is_not_there_is_said() {
    let home = Home::new("");
    std::fs::remove_file(home.config()).unwrap();
    let (status, printed) = serve(&home).ended().await;
    assert_eq!(status.code(), Some(3), "{printed}");
    assert!(printed.contains("there is no such file; \"fanfold init\" writes one"), "{printed}");
}
