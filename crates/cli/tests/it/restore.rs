//! What becomes of a backup that is restored: nothing is sent for anything in it until a person says so.

use std::path::Path;

use fanfold_testkit::{Answer, FakeTarget, Home, Latch, PATIENCE, Reply};
use serde_json::{Value, json};

use crate::program::{PROGRAM, Server, config, database, run, serve, text, things};

/// What stands beside a database, and in its place.
const FILES: [&str; 4] = ["fanfold.db", "fanfold.db-wal", "fanfold.db-shm", "fanfold.db.key"];

fn lose_the_database(home: &Home) {
    for file in FILES {
        // Not all of them are there at all times.
        drop(std::fs::remove_file(home.path().join(file)));
    }
}

/// Runs a command that has to succeed, and gives what it said.
async fn done(home: &Path, arguments: &[&str]) -> String {
    let ended = run(home, arguments).await;
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stderr + &ended.stdout
}

async fn exported(home: &Home, database: &str) -> Vec<Value> {
    let lines = run(home.path(), &["export", "--database", database]).await.stdout;
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An exported operation without what a restore adds and changes.
pub(crate) fn apart_from_the_mark(mut line: Value) -> Value {
    let operation = line["operation"].as_object_mut().unwrap();
    for member in ["restored", "deadline", "revision", "updated_at"] {
        operation.remove(member);
    }
    line.as_object_mut().unwrap().remove("wake_at");
    line["events"].as_array_mut().unwrap().retain(|event| event["event"] != "restored");
    line["notes"].as_array_mut().unwrap().retain(|note| note["reason"] != "restored");
    for notice in line["notices"].as_array_mut().unwrap() {
        for member in ["state", "last_error", "settled_at", "due_at"] {
            notice.as_object_mut().unwrap().remove(member);
        }
    }
    line
}

/// Targets `tokyo` and `osaka`, a route to each, and `msf` clients that may be told at this machine.
fn two_targets(tokyo: &FakeTarget, osaka: &FakeTarget) -> String {
    let rest = "[notices]\nallow = [\"127.0.0.1\"]\nbackoff = \"1h\"\nbackoff_max = \"1h\"\n\n\
                [[mounts]]\ndialect = \"msf\"\nprefix = \"/v1\"\n\n\
                [[routes]]\nname = \"msf-thing\"\ndialect = \"msf\"\nmatch = \"PUT /v1/things/{id}\"\ntargets = [\"tokyo\"]\n\n\
                [[routes]]\nname = \"put-other\"\nmatch = \"PUT /others/{id}\"\ntargets = [\"osaka\"]\n\n";
    config(&[("tokyo", tokyo), ("osaka", osaka)], &(rest.to_owned() + &things(&["tokyo"])))
}

/// Puts a thing and asks to be told at the receiver, which refuses; gives the id once it has.
async fn ended_with_a_pending_notice(server: &Server, receiver: &FakeTarget) -> String {
    receiver.on("PUT", "*", Answer::empty(500));
    let address = receiver.address();
    let path = format!("/v1/things/1?notification_address={}&notification_port={}", address.ip(), address.port());
    let id = text(&server.http.put(&path, &json!({})).await.json()["operation_id"]);
    let tried =
        async { while server.get("/api/v1/notices?state=pending").await.json()["notices"][0]["attempts"] != 1 {} };
    tokio::time::timeout(PATIENCE, tried).await.unwrap();
    id
}

#[tokio::test]
async fn nothing_is_sent_for_what_was_restored_until_a_person_releases_it() {
    let (tokyo, osaka, receiver) = (FakeTarget::start().await, FakeTarget::start().await, FakeTarget::start().await);
    let never = Latch::new();
    tokyo.once("PUT", "/things/wire", Reply::from(Answer::empty(200)).after(&never));
    let home = Home::new(&two_targets(&tokyo, &osaka));
    let server = Server::start(&home).await;
    let ended = ended_with_a_pending_notice(&server, &receiver).await;
    server.run(&home, &["targets", "hold", "osaka", "--reason", "test"]).await;
    let (held, given_up) = (server.put("/others/1").await, server.put("/others/2").await);
    let wire = server.put("/things/wire").await;
    tokyo.wait_for(2).await;
    done(home.path(), &["backup", "--to", "copy.db", "--with-key"]).await;
    let later = server.put("/things/later").await;
    server.end_of(&later).await;
    let refused = run(home.path(), &["restore", "--from", "copy.db"]).await;
    assert!(refused.stderr.contains("locked by another process"), "{}", refused.stderr);
    server.process.kill();
    let refused = run(home.path(), &["restore", "--from", "copy.db"]).await;
    assert!(refused.stderr.contains("takes the place of no database"), "{}", refused.stderr);
    lose_the_database(&home);

    let said = done(home.path(), &["restore", "--from", "copy.db"]).await;
    assert!(said.contains("3 operations had not ended") && said.contains("1 notices"), "{said}");
    let (before, after) = (exported(&home, "copy.db").await, exported(&home, "fanfold.db").await);
    assert_eq!(before.len(), 4, "what came after the backup is not in it");
    for (before, after) in before.into_iter().zip(after) {
        let is_open = text(&before["id"]) != ended;
        assert_eq!(after["operation"].get("restored").is_some(), is_open);
        assert!(is_open || after["notices"][0]["state"] == "dead", "{after}");
        assert_eq!(apart_from_the_mark(after), apart_from_the_mark(before));
    }

    // Neither a start, nor a target that is released, nor anything else that goes on makes it send.
    let seen = |tokyo: &FakeTarget| (tokyo.seen().len(), osaka.seen().len(), receiver.seen().len());
    let sent = seen(&tokyo);
    let server = Server::start(&home).await;
    server.run(&home, &["targets", "release", "osaka"]).await;
    let new = server.put("/things/new").await;
    assert_eq!(server.end_of(&new).await["status"], "completed");
    let drained = server.run(&home, &["drain", "--wait"]).await;
    assert_eq!(drained.code, Some(0), "{}", drained.stderr);
    server.run(&home, &["resume"]).await;
    assert_eq!(seen(&tokyo), (sent.0 + 1, sent.1, sent.2));
    for id in [&held, &given_up, &wire] {
        let shown = server.get(&format!("/api/v1/operations/{id}")).await.json();
        assert_eq!((&shown["phase"], &shown["waiting_for"][0]["for"]), (&json!("needs attention"), &json!("release")));
    }
    let notes = server.get("/api/v1/attention").await.json();
    assert!(notes["attention"].as_array().unwrap().iter().all(|note| note["reason"] == "restored"), "{notes}");
    let refused = server.run(&home, &["ops", "extend", &wire, "--by", "1h"]).await;
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);

    // Given up, it ends without a byte and claims nothing.
    server.run(&home, &["ops", "cancel", &given_up]).await;
    let end = server.end_of(&given_up).await;
    assert_eq!((&end["status"], &end["consistency"]), (&json!("canceled"), &json!("unknown")));
    assert_eq!(seen(&tokyo), (sent.0 + 1, sent.1, sent.2));

    let dry = server.run(&home, &["ops", "release", "--all", "--dry-run"]).await;
    assert!(dry.stderr.contains("2 of 2 would be released; nothing was changed"), "{}", dry.stderr);
    assert_eq!(server.run(&home, &["ops", "release"]).await.code, Some(2), "all must be said");
    let released = server.run(&home, &["ops", "release", "--route", "put-other", "--remark", "not sent"]).await;
    assert!(released.stderr.contains("released 1 of 1"), "{}", released.stderr);
    assert_eq!(server.end_of(&held).await["status"], "completed");
    assert_eq!(osaka.seen().len(), 1);
    // What was on the wire is in doubt, and sent again where that is safe.
    let released = server.run(&home, &["ops", "release", &wire]).await;
    assert_eq!(released.code, Some(0), "{}", released.stderr);
    assert_eq!(server.end_of(&wire).await["status"], "completed");
    let attempts: Vec<_> = tokyo.seen().into_iter().filter(|seen| seen.path() == "/things/wire").collect();
    assert_eq!(attempts.iter().map(|seen| seen.header("fanfold-attempt").unwrap()).collect::<Vec<_>>(), ["1", "2"]);
    let again = server.run(&home, &["ops", "release", &wire]).await;
    assert_eq!(again.code, Some(7), "{}", again.stderr);
    let open = server.get("/api/v1/attention").await.json()["attention"].as_array().unwrap().len();
    assert_eq!(open, 1, "that of the one that was given up");

    receiver.on("PUT", "*", Answer::empty(204));
    done(home.path(), &["notices", "replay", "--all-dead", "--server", &server.url]).await;
    assert_eq!(receiver.wait_for(sent.2 + 1).await.len(), sent.2 + 1);
}

/// How often a restore is killed before one that was in the middle must have been among them.
const KILLS_MAX: usize = 50;

#[tokio::test]
async fn a_restore_that_is_killed_is_gone_on_with_and_served_only_then() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    server.run(&home, &["targets", "hold", "tokyo", "--reason", "test"]).await;
    for number in 0..300 {
        server.put(&format!("/things/{number}")).await;
    }
    done(home.path(), &["backup", "--to", "copy.db", "--with-key"]).await;
    server.process.kill();

    let mut was_in_the_middle = false;
    for _ in 0..KILLS_MAX {
        lose_the_database(&home);
        let restoring = home.start(PROGRAM, &["restore", "--from", "copy.db"]);
        while !database(&home).exists() {
            tokio::task::yield_now().await;
        }
        restoring.kill();
        let backup = run(home.path(), &["backup", "--to", "unfinished.db"]).await;
        if backup.code == Some(0) {
            std::fs::remove_file(home.path().join("unfinished.db")).unwrap();
            continue;
        }
        was_in_the_middle = true;
        let was_writing = backup.stderr.contains("was killed in the middle");
        assert!(was_writing || backup.stderr.contains("is not finished"), "{}", backup.stderr);
        let (status, printed) = serve(&home).ended().await;
        assert_eq!(status.code(), Some(1));
        assert!(printed.contains("run the restore again"), "{printed}");
        break;
    }
    assert!(was_in_the_middle, "no restore was killed in the middle");
    let said = done(home.path(), &["restore", "--from", "copy.db"]).await;
    assert!(said.contains("broken off") && said.contains("300 operations had not ended"), "{said}");
    let lines = exported(&home, "fanfold.db").await;
    assert_eq!(lines.len(), 300);
    for line in lines {
        let marks = line["events"].as_array().unwrap().iter().filter(|event| event["event"] == "restored").count();
        assert_eq!((marks, line["operation"].get("restored").is_some()), (1, true), "{line}");
    }
    let server = Server::start(&home).await;
    let released = server.run(&home, &["ops", "release", "--all", "--output", "json"]).await;
    let form: serde_json::Value = serde_json::from_str(&released.stdout).unwrap();
    let whole = json!({ "found": 300, "released": 300, "refused": [], "next_page_token": null });
    assert_eq!((released.code, form, released.stderr.as_str()), (Some(0), whole, ""), "what the server answers");
    assert!(tokyo.seen().is_empty(), "its target is on hold still");
}

#[tokio::test]
async fn what_is_no_backup_or_has_no_key_is_not_restored() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let id = server.put("/things/1").await;
    server.end_of(&id).await;
    done(home.path(), &["backup", "--to", "copy.db"]).await;
    server.stop().await;
    lose_the_database(&home);
    std::fs::write(home.path().join("other.db"), "no database").unwrap();
    for (from, told) in
        [("none.db", "no such file"), ("other.db", "not a database"), ("copy.db", "put the sealing key")]
    {
        let refused = run(home.path(), &["restore", "--from", from]).await;
        assert_eq!(refused.code, Some(1), "{from}");
        assert!(refused.stderr.contains(told), "{from}: {}", refused.stderr);
        assert!(!database(&home).exists(), "{from}");
        assert!(!home.path().join("fanfold.db.restoring").exists(), "{from}: what is refused begins nothing");
    }
    // One that was broken off before anything was in place leaves this.
    std::fs::copy(home.path().join("copy.db"), home.path().join("fanfold.db.restoring")).unwrap();
    let (status, refused) = serve(&home).ended().await;
    assert!(status.code() == Some(1) && refused.contains("run the restore again"), "{refused}");
    assert!(!home.path().join("fanfold.db.key").exists(), "no key is made for an empty database");
}
