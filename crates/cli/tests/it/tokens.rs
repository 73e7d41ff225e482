//! Tokens by commands: made, shown in each way, listed and revoked; and what a server that asks for one says without.

use fanfold_testkit::{FakeTarget, Home};
use serde_json::Value;

use crate::program::{Ended, Server, config, run, things};

/// A server that asks for tokens, and the secret of the one in its configuration.
struct Rig {
    server: Server,
    home: Home,
    admin: String,
    _tokyo: FakeTarget,
}

impl Rig {
    async fn start() -> Self {
        let tokyo = FakeTarget::start().await;
        let home = Home::new("");
        let made = run(home.path(), &["token", "new", "--name", "ann"]).await;
        let (admin, section) = made.stdout.split_once('\n').expect("the secret, then what belongs into the file");
        home.configure(&config(&[("tokyo", &tokyo)], &format!("[auth]\n{section}\n{}", things(&["tokyo"]))));
        let server = Server::start(&home).await;
        Self { server, home, admin: admin.to_owned(), _tokyo: tokyo }
    }

    /// Runs a command as the one in the configuration.
    async fn as_admin(&self, arguments: &[&str]) -> Ended {
        self.server.run_as(&self.home, &self.admin, arguments).await
    }

    /// Runs a command with a token that is in a file.
    async fn with_file(&self, secret: &str, arguments: &[&str]) -> Ended {
        std::fs::write(self.home.path().join("token"), format!("{secret}\n")).unwrap();
        self.server.run(&self.home, &[arguments, &["--token-file", "token"]].concat()).await
    }

    /// Creates a token for those who submit, and gives its secret and its id.
    async fn create(&self, more: &[&str]) -> (String, String) {
        let words = ["token", "create", "ci", "--role", "submit,read", "--output", "json"];
        let made = self.as_admin(&[&words[..], more].concat()).await;
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        let made: Value = serde_json::from_str(&made.stdout).unwrap();
        (made["secret"].as_str().unwrap().to_owned(), made["token"]["id"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn a_token_is_made_used_and_revoked() {
    let rig = Rig::start().await;
    let (secret, id) = rig.create(&["--target", "tokyo", "--expires-in", "1h"]).await;
    let sent = rig.with_file(&secret, &["send", "PUT", "/things/1", "--data", "{}"]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let listed = rig.as_admin(&["ops", "list", "--output", "json"]).await;
    let operations: Value = serde_json::from_str(&listed.stdout).unwrap();
    let operation = operations[0]["id"].as_str().unwrap();
    let told = rig.as_admin(&["ops", "history", operation]).await;
    assert!(told.stdout.contains(&format!("as operation {operation}, submitted by ci\n")), "{}", told.stdout);
    let shown = rig.as_admin(&["ops", "get", operation]).await;
    let submitted = shown.stdout.lines().find(|line| line.starts_with("submitted by"));
    assert!(submitted.is_some_and(|line| line.ends_with(" ci")), "{}", shown.stdout);
    let who = rig.with_file(&secret, &["whoami"]).await;
    for part in ["ci", "submit, read", "targets tokyo", "known by  token"] {
        assert!(who.stdout.contains(part), "{part}: {}", who.stdout);
    }
    let listed = rig.as_admin(&["token", "list"]).await;
    assert!(listed.stdout.contains(&id) && listed.stdout.contains("good until"), "{}", listed.stdout);
    let held = rig.with_file(&secret, &["targets", "hold", "tokyo"]).await;
    assert_eq!(held.code, Some(6), "{}", held.stderr);

    let revoked = rig.as_admin(&["token", "revoke", &id]).await;
    assert_eq!((revoked.code, revoked.stderr.contains("is revoked")), (Some(0), true), "{}", revoked.stderr);
    let refused = rig.with_file(&secret, &["ops", "list"]).await;
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);
    assert!(refused.stderr.contains("FANFOLD_TOKEN") && !refused.stderr.contains(&secret), "{}", refused.stderr);
    let listed = rig.as_admin(&["token", "list"]).await;
    assert!(listed.stdout.contains("revoked 2"), "{}", listed.stdout);
    rig.server.stop().await;
}

#[tokio::test]
async fn the_secret_alone_goes_to_standard_output() {
    let rig = Rig::start().await;
    let made = rig.as_admin(&["token", "create", "ci", "--role", "read"]).await;
    let secret = made.stdout.strip_suffix('\n').expect("one line");
    assert!(secret.starts_with("fanfold_") && !secret.contains(char::is_whitespace), "{secret:?}");
    assert_eq!(rig.with_file(secret, &["ops", "list"]).await.code, Some(0));
    // The name is taken, and a person is told so.
    let again = rig.as_admin(&["token", "create", "ci", "--role", "read"]).await;
    assert_eq!((again.code, again.stderr.contains("has this name")), (Some(7), true), "{}", again.stderr);
    rig.server.stop().await;
}

#[tokio::test]
async fn what_was_done_is_in_the_audit_trail() {
    let rig = Rig::start().await;
    let (_, id) = rig.create(&[]).await;
    let trail = rig.as_admin(&["audit", "--action", "token_create"]).await;
    for part in ["ann", "127.0.0.1", "asked", "done", &id, "name \"ci\", tenant \"default\", roles submit read"] {
        assert!(trail.stdout.contains(part), "{part}: {}", trail.stdout);
    }
    rig.as_admin(&["token", "revoke", &id]).await;
    let trail = rig.as_admin(&["audit", "--by", "ann", "--limit", "1", "--output", "json"]).await;
    let entries: Value = serde_json::from_str(&trail.stdout).unwrap();
    assert_eq!((&entries[0]["action"], &entries[0]["subject"]), (&"token_revoke".into(), &id.into()), "{entries}");
    assert_eq!(rig.as_admin(&["audit", "--by", "bob"]).await.stderr.trim(), "no entries");
    rig.server.stop().await;
}

#[tokio::test]
async fn without_a_token_it_is_said_how_to_show_one() {
    let rig = Rig::start().await;
    for command in [&["ops", "list"][..], &["send", "PUT", "/things/1"], &["status"], &["ops", "watch"]] {
        let refused = rig.server.run(&rig.home, command).await;
        assert!(refused.stderr.contains("set FANFOLD_TOKEN"), "{command:?}: {}", refused.stderr);
        assert_eq!(refused.code, Some(7), "{command:?}");
    }
    // What a request shows by itself goes before.
    let header = format!("X-Auth-Token: {}", rig.admin);
    let sent = rig
        .server
        .run_as(&rig.home, "fanfold_wrong", &["send", "PUT", "/things/1", "-H", &header, "--no-follow"])
        .await;
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    rig.server.stop().await;
}

/// Who only submits is not told that all is well.
#[tokio::test]
async fn what_the_token_may_not_see_is_not_taken_for_done() {
    let rig = Rig::start().await;
    let made = rig.as_admin(&["token", "create", "ci", "--role", "submit"]).await;
    let secret = made.stdout.trim();
    let sent = rig.with_file(secret, &["send", "PUT", "/things/1"]).await;
    assert_eq!((sent.code, sent.stderr.contains("not for reading")), (Some(1), true), "{}", sent.stderr);
    assert_eq!(rig.with_file(secret, &["send", "PUT", "/things/1", "--no-follow"]).await.code, Some(0));
    rig.server.stop().await;
}

/// What all tenants together do is told to the house alone, and everything else to each.
#[tokio::test]
async fn another_tenant_is_told_what_is_theirs() {
    let rig = Rig::start().await;
    let words = ["token", "create", "portal", "--role", "operate", "--tenant", "acme"];
    let made = rig.as_admin(&words).await;
    let secret = made.stdout.trim();
    for (command, part) in [
        (&["targets"][..], "tokyo"),
        (&["targets", "show", "tokyo"], "tokyo"),
        (&["status"], "accepting"),
        (&["routes"], "put-thing"),
        (&["ops", "list"], ""),
        (&["attention", "list"], ""),
    ] {
        let shown = rig.with_file(secret, command).await;
        assert_eq!((shown.code, shown.stdout.contains(part)), (Some(0), true), "{command:?}: {}", shown.stderr);
    }
    rig.server.stop().await;
}

/// Nobody opens the door by taking the lock out.
#[tokio::test]
async fn a_reload_without_auth_changes_nothing() {
    let rig = Rig::start().await;
    let configured = std::fs::read_to_string(rig.home.config()).unwrap();
    let (before, rest) = configured.split_once("[[auth.tokens]]").unwrap();
    let (_, routes) = rest.split_once("[[routes]]").unwrap();
    rig.home.configure(&format!("{}[[routes]]{routes}", before.replace("[auth]\n", "")));
    rig.server.process.reload();
    rig.server.process.line("there is no [auth] any more").await;
    assert_eq!(rig.server.get("/api/v1/caller").await.status, 401);
    rig.server.stop().await;
}
