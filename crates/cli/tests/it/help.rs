//! The help of every command, as it is read: a change of it is a change that users see.

use fanfold_testkit::Home;

use crate::program::run;

async fn help(arguments: &[&str]) -> String {
    let home = Home::new("");
    let shown = run(home.path(), arguments).await;
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    shown.stdout
}

#[tokio::test]
async fn help_of_the_program() {
    insta::assert_snapshot!(help(&["--help"]).await);
}

#[tokio::test]
async fn help_of_serve() {
    insta::assert_snapshot!(help(&["serve", "--help"]).await);
}

#[tokio::test]
async fn help_of_ops_and_its_list() {
    insta::assert_snapshot!(format!("{}\n{}", help(&["ops", "--help"]).await, help(&["ops", "list", "--help"]).await));
}

#[tokio::test]
async fn help_of_targets() {
    insta::assert_snapshot!(format!(
        "{}\n{}",
        help(&["targets", "--help"]).await,
        help(&["targets", "hold", "--help"]).await
    ));
}

#[tokio::test]
async fn help_of_notices() {
    insta::assert_snapshot!(format!(
        "{}\n{}\n{}",
        help(&["notices", "--help"]).await,
        help(&["notices", "list", "--help"]).await,
        help(&["notices", "replay", "--help"]).await
    ));
}

#[tokio::test]
async fn help_of_drain_and_extend() {
    insta::assert_snapshot!(format!(
        "{}\n{}",
        help(&["drain", "--help"]).await,
        help(&["ops", "extend", "--help"]).await
    ));
}

#[tokio::test]
async fn help_of_attention() {
    insta::assert_snapshot!(format!(
        "{}\n{}",
        help(&["attention", "--help"]).await,
        help(&["attention", "resolve", "--help"]).await
    ));
}

#[tokio::test]
async fn help_of_keys() {
    insta::assert_snapshot!(format!(
        "{}\n{}\n{}\n{}",
        help(&["key", "--help"]).await,
        help(&["key", "list", "--help"]).await,
        help(&["key", "rotate", "--help"]).await,
        help(&["key", "retire", "--help"]).await
    ));
}

#[tokio::test]
async fn help_of_moving_house() {
    insta::assert_snapshot!(format!(
        "{}\n{}\n{}\n{}\n{}",
        help(&["export", "--help"]).await,
        help(&["backup", "--help"]).await,
        help(&["restore", "--help"]).await,
        help(&["migrate", "--help"]).await,
        help(&["ops", "release", "--help"]).await
    ));
}

#[tokio::test]
async fn help_of_send() {
    insta::assert_snapshot!(help(&["send", "--help"]).await);
}

#[tokio::test]
async fn help_of_plan() {
    insta::assert_snapshot!(help(&["plan", "--help"]).await);
}

#[tokio::test]
async fn versions_are_told() {
    assert_eq!(help(&["--version"]).await, concat!("fanfold ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test]
async fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = help(&["completions", shell]).await;
        for command in ["serve", "check", "ops", "attention", "targets", "notices", "send"] {
            assert!(script.contains(command), "{shell} lacks {command}");
        }
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_usage() {
    let home = Home::new("");
    for arguments in [
        &["fold"][..],
        &["ops", "list", "--status", "done"],
        &["ops", "list", "--verb", "foo"],
        &["ops", "list", "--dialect", "foo"],
        &["ops", "list", "--limit", "0"],
        &["notices", "list", "--state", "lost"],
        &["notices", "replay"],
        &["notices", "replay", "x", "--all-dead"],
        &["send", "PUT", "things"],
        &["status", "--server", "x"],
        &["status", "--log", "loud"],
    ] {
        let ended = run(home.path(), arguments).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
    }
}
