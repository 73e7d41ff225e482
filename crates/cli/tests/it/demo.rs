//! `fanfold demo`, as a real process.

use std::path::PathBuf;
use std::process::Command;

use fanfold_testkit::{Home, Http, Process};
use serde_json::json;

use crate::documents::{Session, idle};

/// The demo with its temporary folder in `home`, so that nothing is left behind where a test kills it.
fn demo(home: &Home, arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfold"));
    command.arg("demo").args(arguments).current_dir(home.path()).env("TMPDIR", home.path());
    Process::spawn(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn five_stories_are_told_and_verified() {
    let home = Home::new("");
    let (status, printed) = demo(&home, &["--once"]).ended().await;
    assert!(status.success(), "{printed}");
    assert!(printed.contains("5 stories") && printed.contains("everything is as it should be"), "{printed}");
    assert_eq!(printed.matches("Verified").count(), 5, "{printed}");
    for words in [
        "The data is updated",
        "The data is rolled back",
        "undo: is sent DELETE /v1/slices/green/cps/tokyo-",
        "undo: is sent PUT /profiles/gold",
        "fukuoka  was not called",
        "issued for it: the id ",
    ] {
        assert!(printed.contains(words), "{words:?} is missing:\n{printed}");
    }
    assert!(!printed.contains("correct horse"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_the_guide_offers_works_and_nothing_is_left_behind() {
    let home = Home::new("");
    let process = demo(&home, &["--listen", "127.0.0.1:0"]);
    let url = process.url().await;
    let folder = process.line("Its configuration and store are in ").await;
    let folder = PathBuf::from(folder.split(" are in ").nth(1).unwrap().split(',').next().unwrap());
    process.line("See it all").await;
    assert!(folder.join("fanfold.toml").is_file());
    let (printed, http, mut session) = (process.printed(), Http::new(&url), Session::where_addresses_hold());
    let mut count = 0;
    let commands = printed.lines().map(str::trim);
    let commands = commands
        .filter(|line| ["curl ", "ID=$(", "AT=$(", "fanfold ops watch "].iter().any(|begin| line.starts_with(begin)));
    for command in commands {
        // Nobody shall wait for the slow ones here.
        let command = command.replace("\"osaka\": 20", "\"osaka\": 1").replace("\"tokyo\": 2", "\"tokyo\": 0.1");
        let ran = session.run(&command).await;
        assert_eq!(ran.unexpected(&command), None, "{command}: {}{}", ran.stdout, ran.stderr);
        // What was only accepted is asked about right away, as somebody who pastes the lines does; nothing else needs a pause.
        if command.contains("/cancel") || command.starts_with("AT=") {
            idle(&http).await;
        }
        count += 1;
    }
    assert!(count >= 14, "{count} commands in:\n{printed}");
    let list = http.get("/api/v1/operations").await.json();
    let statuses: Vec<_> =
        list["operations"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    for (status, expected) in [("completed", 4), ("failed", 3), ("canceled", 1)] {
        assert_eq!(statuses.iter().filter(|one| **one == status).count(), expected, "{status}: {statuses:?}");
    }
    process.terminate();
    let (status, printed) = process.ended().await;
    assert!(status.success(), "{printed}");
    assert!(!folder.exists(), "{} is still there", folder.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn sample_targets_behave_as_the_request_says() {
    let home = Home::new("");
    let process = demo(&home, &["--listen", "127.0.0.1:0"]);
    let http = Http::new(&process.url().await).with("prefer", "wait=25");
    for (sample, status, consistency) in [
        (json!({}), 201, None),
        (json!({"osaka": "busy"}), 201, None),
        (json!({"osaka": "refuse"}), 500, Some("rolled back")),
        (json!({"osaka": "hang_up"}), 500, Some("unknown")),
        (json!({"osaka": "refuse", "tokyo": "keep"}), 500, Some("not consistent")),
        (json!({"osaka": "dance"}), 500, Some("rolled back")),
    ] {
        let answer = http.post("/v1/slices/s1/cps", &json!({ "sample": sample })).await;
        assert_eq!(answer.status, status, "{sample}: {}", answer.text());
        assert_eq!(answer.json()["data_consistency"].as_str(), consistency, "{sample}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_this_machine_may_reach_it_and_a_taken_address_is_named() {
    let home = Home::new("");
    let (status, printed) = demo(&home, &["--listen", "0.0.0.0:0"]).ended().await;
    assert_eq!(status.code(), Some(2));
    assert!(printed.contains("for this machine alone"), "{printed}");
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, printed) = demo(&home, &["--listen", &address]).ended().await;
    assert_eq!(status.code(), Some(1));
    assert!(printed.contains(&format!("cannot listen on {address}")), "{printed}");
}
