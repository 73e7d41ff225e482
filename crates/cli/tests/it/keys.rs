//! The sealing key is changed while operations wait that need it: on one node with the file of the embedded store, and on two,
//! one after the other, with the configuration.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfold_store::sqlite::{key_beside, list_keys};
use fanfold_testkit::postgres::Cluster;
use fanfold_testkit::{FakeTarget, Home, Http, PATIENCE};
use serde_json::json;

use crate::program::{Server, config, database, run, serve, text, things};

/// Operations that wait: some batches of what is sealed anew at a time.
const WAITING: usize = 400;

/// Each has what was asked, and what is to be sent.
const MESSAGES: u64 = 2 * WAITING as u64;

/// The test is over when it was seen in the middle; so often it may come too late.
const TRIES: usize = 6;

fn password(number: usize) -> String {
    format!("s3cret-{number}-s3cret")
}

/// Puts things with a password each, and an address to be told at that has one.
async fn put(http: &Http, numbers: impl Iterator<Item = usize>) -> Vec<String> {
    let mut ids = Vec::new();
    for number in numbers {
        let answer = http.put(&format!("/things/{number}"), &json!({ "password": password(number) })).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        ids.push(text(&answer.json()["id"]));
    }
    ids
}

async fn hold(server: &Server, home: &Home, word: &str) {
    let held = server.run(home, &["targets", word, "tokyo"]).await;
    assert_eq!(held.code, Some(0), "{}", held.stderr);
}

/// Every target got what it should, and once.
fn all_got_originals(tokyo: &FakeTarget, number: usize) {
    let seen: Vec<String> = tokyo.seen().iter().map(|seen| text(&seen.json()["password"])).collect();
    assert_eq!(seen.len(), number);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), (0..number).map(password).collect());
}

/// How many messages the key that seals has sealed, and how many the others.
fn counts(home: &Home) -> (u64, u64) {
    let keys = list_keys(&database(home)).unwrap();
    (keys[0].messages, keys[1..].iter().map(|key| key.messages).sum())
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

async fn key(home: &Home, word: &str) -> (Option<i32>, String) {
    let ended = run(home.path(), &["key", word]).await;
    (ended.code, ended.stdout + &ended.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_while_operations_wait_and_the_server_is_killed_in_the_middle() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    hold(&server, &home, "hold").await;
    let with_key = server.http.clone().with("idempotency-key", "k");
    let first = put(&with_key, 0..1).await;
    let mut ids = put(&server.http, 1..WAITING).await;
    let (code, busy) = key(&home, "rotate").await;
    assert!(code == Some(1) && busy.contains("is locked by another process"), "{busy}");
    server.process.kill();

    let mut tries = 0;
    let (sealed, left) = loop {
        let (code, rotated) = key(&home, "rotate").await;
        assert!(code == Some(0) && rotated.contains("made the key"), "{rotated}");
        let process = serve(&home);
        until("some are sealed anew", async || counts(&home).0 > 0).await;
        process.kill();
        let (sealed, left) = counts(&home);
        tries += 1;
        if left > 0 {
            break (sealed, left);
        }
        assert!(tries < TRIES, "it is never seen in the middle");
    };
    assert_eq!(sealed + left, MESSAGES, "none is lost");
    let (code, refused) = key(&home, "retire").await;
    assert!(code == Some(1) && refused.contains(&format!("{left} messages are sealed with the key")), "{refused}");
    // Without it nobody would start, either.
    let all = std::fs::read(key_beside(&database(&home))).unwrap();
    std::fs::write(key_beside(&database(&home)), &all[..32]).unwrap();
    let (status, refused) = serve(&home).ended().await;
    assert!(status.code() == Some(1) && refused.contains(&format!("{left} messages are sealed")), "{refused}");
    std::fs::write(key_beside(&database(&home)), &all).unwrap();

    let server = Server::start(&home).await;
    server.process.line("the others can be retired").await;
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.contains("\nfanfold_sealed_with_other_keys 0\n"), "{metrics}");
    let (_, listed) = key(&home, "list").await;
    assert!(listed.contains("seals") && listed.contains("not needed") && !listed.contains("opens"), "{listed}");
    let backup = run(home.path(), &["backup", "--to", "with.db", "--with-key"]).await;
    assert_eq!(backup.code, Some(0), "{}", backup.stderr);
    server.stop().await;
    let (code, retired) = key(&home, "retire").await;
    assert!(code == Some(0) && retired.contains("took out of"), "{retired}");
    assert_eq!(std::fs::read(key_beside(&database(&home))).unwrap().len(), 32);

    let server = Server::start(&home).await;
    let again = put(&server.http.clone().with("idempotency-key", "k"), 0..1).await;
    assert_eq!(again, first, "requests that are repeated are recognised still");
    hold(&server, &home, "release").await;
    ids.extend(first);
    for id in &ids {
        assert_eq!(server.end_of(id).await["status"], "completed");
    }
    all_got_originals(&tokyo, WAITING);
    server.stop().await;

    // A backup of the time in between is restored with what it has of keys.
    let restored = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let from = home.path().join("with.db");
    let ended = run(restored.path(), &["restore", "--from", from.to_str().unwrap()]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(counts(&restored), (MESSAGES, 0));
}

/// Keys as configuration has them.
fn key_of(octet: u8) -> String {
    STANDARD.encode([octet; 32])
}

fn of_node(tokyo: &FakeTarget, url: &str, keys: &[u8]) -> String {
    let others: Vec<String> = keys[1..].iter().map(|other| format!("\"{}\"", key_of(*other))).collect();
    let others = others.join(", ");
    let key = key_of(keys[0]);
    let store = format!("[store]\nurl = \"{url}\"\nkey = \"{key}\"\nother_keys = [{others}]\nlease = \"2s\"\n\n");
    config(&[("tokyo", tokyo)], &(store + &things(&["tokyo"])))
}

/// Goal: two nodes change the key one after the other while operations wait, and no operation fails. Method: the three rounds of
/// the manual, with new operations at each node in between; one node is killed in the last but one, and adopted.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_change_the_key_one_after_the_other() {
    let Some(cluster) = Cluster::shared() else { return };
    let url = cluster.url(&cluster.create_database());
    let tokyo = FakeTarget::start().await;
    let homes = [(); 2].map(|()| Home::new(&of_node(&tokyo, &url, &[1])));
    let mut servers = vec![Server::start(&homes[0]).await, Server::start(&homes[1]).await];
    hold(&servers[0], &homes[0], "hold").await;
    let mut ids = Vec::new();

    homes[1].configure(&of_node(&tokyo, &url, &[2, 1]));
    let (status, refused) = serve(&homes[1]).ended().await;
    assert!(
        status.code() == Some(1) && refused.contains("give it to every node as one of `[store] other_keys` first"),
        "{refused}"
    );

    for keys in [&[1, 2][..], &[2, 1], &[2]] {
        for (place, home) in homes.iter().enumerate() {
            home.configure(&of_node(&tokyo, &url, keys));
            let server = servers.remove(place);
            if keys == [2, 1] && place == 0 {
                server.process.kill();
            } else {
                server.stop().await;
            }
            servers.insert(place, Server::start(home).await);
            for server in &servers {
                let from = ids.len();
                ids.extend(put(&server.http, from..from + 20).await);
            }
        }
        if keys == [2, 1] {
            // The node that was killed counts until it is fenced off: what it seals nobody knows.
            until("nothing needs the former key", async || {
                let metrics = servers[1].get("/metrics").await.text();
                ["fanfold_sealed_with_other_keys 0", "fanfold_nodes 2"]
                    .iter()
                    .all(|line| metrics.lines().any(|found| found == *line))
            })
            .await;
            let listed = run(homes[1].path(), &["key", "list"]).await;
            assert!(listed.code == Some(0) && listed.stdout.contains("not needed"), "{listed:?}");
        }
    }
    hold(&servers[1], &homes[1], "release").await;
    for id in &ids {
        assert_eq!(servers[0].end_of(id).await["status"], "completed");
    }
    all_got_originals(&tokyo, ids.len());
    let (code, misplaced) = key(&homes[0], "rotate").await;
    assert!(code == Some(2) && misplaced.contains("other_keys"), "{misplaced}");
    for server in servers {
        server.stop().await;
    }
}
