//! Moving house: what is exported, backed up and restored, past the server and while it runs.

use fanfold_testkit::{FakeTarget, Home};
use serde_json::Value;

use crate::program::{Server, config, run, text, things};
use crate::restore::apart_from_the_mark;

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
    let device = home.path().join("device");
    std::os::unix::fs::symlink("/dev/null", &device).unwrap();
    let refused = run(home.path(), &["export", "--output", "device"]).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("not a file"), "{}", refused.stderr);
    assert!(device.is_symlink(), "it is left alone");
    server.stop().await;
    // Neither the configuration nor a server is needed, and the bytes are the same.
    let again = run(home.path(), &["export", "--database", "fanfold.db"]).await;
    assert_eq!((again.code, again.stdout), (Some(0), written));
    let audit = run(home.path(), &["export", "--audit", "--since", "1h", "--database", "fanfold.db"]).await;
    assert_eq!((audit.code, audit.stdout.as_str()), (Some(0), ""));
    assert!(audit.stderr.contains("exported 0 entries of the audit trail"), "{}", audit.stderr);
    let tokens = run(home.path(), &["export", "--tokens", "--tenant", "acme", "--database", "fanfold.db"]).await;
    assert!(tokens.stderr.contains("exported 0 tokens"), "{}", tokens.stderr);
    for unfit in [["--audit", "--attention"], ["--tokens", "--since=1h"], ["--tokens", "--audit"]] {
        assert_eq!(run(home.path(), &[&["export"], &unfit[..]].concat()).await.code, Some(2), "{unfit:?}");
    }
    let nothing = run(home.path(), &["export", "--database", "other.db"]).await;
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.stderr.contains("there is no such file"), "{}", nothing.stderr);
}

#[tokio::test]
async fn a_backup_is_made_beside_a_busy_server_and_never_in_place_of_another() {
    let (_tokyo, home, server) = one_target().await;
    let url = server.url.clone();
    let mut load = tokio::task::JoinSet::new();
    load.spawn(async move {
        let http = fanfold_testkit::Http::new(&url);
        for number in 0.. {
            let answer = http.put(&format!("/things/{number}"), &serde_json::json!({})).await;
            assert_eq!(answer.status, 202, "{}", answer.text());
        }
    });
    let first = server.put("/things/first").await;
    server.end_of(&first).await;
    let made = run(home.path(), &["backup", "--to", "copy.db"]).await;
    assert_eq!((made.code, made.stdout.as_str()), (Some(0), ""), "{}", made.stderr);
    assert!(made.stderr.contains("checked") && made.stderr.contains("the sealing key is not in it"), "{}", made.stderr);
    let taken = run(home.path(), &["backup", "--to", "copy.db"]).await;
    assert_eq!(taken.code, Some(1));
    assert!(taken.stderr.contains("is not overwritten"), "{}", taken.stderr);
    let with_key = run(home.path(), &["backup", "--to", "other.db", "--with-key"]).await;
    assert_eq!(with_key.code, Some(0), "{}", with_key.stderr);
    assert!(with_key.stderr.contains("WARNING: other.db.key"), "{}", with_key.stderr);
    load.abort_all();
    let key = |name: &str| std::fs::read(home.path().join(name)).unwrap();
    assert_eq!(key("other.db.key"), key("fanfold.db.key"));
    let exported = export(&home, &["--database", "copy.db"]).await;
    assert!(exported.iter().any(|line| line["id"] == first.as_str()), "what had been answered is in it");
    // What is made under load can be restored, and holds the same.
    let restored = run(home.path(), &["restore", "--from", "other.db", "--database", "elsewhere.db"]).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    let (before, after) =
        (export(&home, &["--database", "other.db"]).await, export(&home, &["--database", "elsewhere.db"]).await);
    assert!(before.len() >= exported.len());
    let bare = |lines: Vec<Value>| lines.into_iter().map(apart_from_the_mark).collect::<Vec<_>>();
    assert_eq!(bare(after), bare(before));
    let left = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().ends_with(".new")), "nothing is left lying about");
}
