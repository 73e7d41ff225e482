//! Canceling and retrying what options choose.

use fanfold_testkit::{Answer, FakeTarget, Home};
use serde_json::Value;

use crate::program::{Server, config, run, things};

#[tokio::test]
async fn what_options_choose_is_canceled_and_retried() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    server.run(&home, &["targets", "hold", "tokyo"]).await;
    let ids = [server.put("/things/1").await, server.put("/things/2").await];

    for arguments in
        [&["ops", "cancel"][..], &["ops", "retry", "--dry-run"], &["ops", "cancel", "--all", "--route", "x"]]
    {
        let usage = server.run(&home, arguments).await;
        assert_eq!((usage.code, usage.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", usage.stderr);
    }
    let both = server.run(&home, &["ops", "cancel", &ids[0], "--route", "put-thing"]).await;
    assert_eq!(both.code, Some(2), "{}", both.stderr);

    let dry = server.run(&home, &["ops", "cancel", "--target", "tokyo", "--dry-run"]).await;
    assert_eq!((dry.code, dry.stderr.as_str()), (Some(0), "2 of 2 would be canceled; nothing was changed\n"));
    for id in &ids {
        let line = dry.stdout.lines().find(|line| line.contains(id.as_str())).unwrap();
        assert!(line.contains("it ends canceled at once, and nothing is sent"), "{line}");
        assert_eq!(server.get(&format!("/api/v1/operations/{id}")).await.json()["status"], "executing");
    }
    let done = server.run(&home, &["ops", "cancel", "--all", "--output", "json"]).await;
    let form: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &form["done"], &form["refused"]), (Some(0), &2.into(), &serde_json::json!([])));
    let again = server.run(&home, &["ops", "cancel", "--all"]).await;
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), "canceled 0 of 0\n"));

    server.run(&home, &["targets", "release", "tokyo"]).await;
    let dry = server.run(&home, &["ops", "retry", "--status", "canceled", "--dry-run"]).await;
    assert_eq!((dry.code, dry.stderr.as_str()), (Some(0), "2 of 2 would be retried; nothing was changed\n"));
    assert_eq!(dry.stdout.matches("calls tokyo").count(), 2, "{}", dry.stdout);
    assert!(tokyo.seen().is_empty());
    let done = server.run(&home, &["ops", "retry", "--status", "canceled"]).await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), "retried 2 of 2\n"));
    tokyo.wait_for(2).await;
    let again = server.run(&home, &["ops", "retry", "--all"]).await;
    assert_eq!(again.code, Some(7), "each was retried once: {}", again.stderr);
    assert!(again.stderr.contains("retried 0 of 2"), "{}", again.stderr);
}

#[tokio::test]
async fn what_cannot_be_retried_is_told_and_keeps_nothing_back() {
    let tokyo = FakeTarget::start().await;
    tokyo.once("PUT", "/things/1", Answer::empty(409));
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let server = Server::start(&home).await;
    let (failed, good) = (server.put("/things/1").await, server.put("/things/2").await);
    server.end_of(&failed).await;
    server.end_of(&good).await;

    let done = server.run(&home, &["ops", "retry", "--status", "failed"]).await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), "retried 1 of 1\n"));
    assert!(done.stdout.contains(&failed), "{}", done.stdout);
    let again = server.run(&home, &["ops", "retry", "--status", "failed", "--status", "completed"]).await;
    assert_eq!(again.code, Some(7), "{}", again.stderr);
    assert!(again.stderr.contains(&format!("operation {failed}: ")), "{}", again.stderr);
    assert!(again.stderr.contains("retried 0 of 1\nfanfold: 1 of 1 were not done\n"), "{}", again.stderr);

    let named = server.run(&home, &["ops", "cancel", &failed, &good]).await;
    assert_eq!(named.code, Some(7), "{}", named.stderr);
    assert!(named.stderr.contains("2 of 2 were not done"), "{}", named.stderr);

    // Nobody refuses anything where there is no server.
    for command in [&["ops", "cancel"], &["ops", "retry"], &["ops", "release"], &["notices", "replay"]] {
        let nowhere = [&command[..], &[&failed, &good, "--server", "http://127.0.0.1:9"]].concat();
        let unreachable = run(home.path(), &nowhere).await;
        let said = "fanfold: cannot reach http://127.0.0.1:9";
        assert_eq!((unreachable.code, unreachable.stderr.lines().count()), (Some(4), 1), "{}", unreachable.stderr);
        assert!(unreachable.stderr.starts_with(said), "{}", unreachable.stderr);
    }
}
