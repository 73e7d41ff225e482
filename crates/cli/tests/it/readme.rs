//! Follows the README of an example from its first command to its last, with the programs that it says to start.

use fanfold_testkit::{Home, Http, Process};
use serde_json::Value;

use crate::callbacks::free_address;
use crate::example::{Example, folder};
use crate::shell::{Shell, commands, is_as_promised};

/// Starts sample targets (by name and the address that stands in the example) and servers (configuration and address, the lower
/// ones first), and runs every command. Gives what was answered to each; panics at an answer that is not a good one.
pub(crate) async fn follow(example: &str, targets: &[(&str, &str)], servers: &[(&str, &str)]) -> Vec<String> {
    let home = Home::new("");
    let (_targets, mut addresses) = start_targets(&home, targets).await;
    let mut running = Vec::new();
    // Each may know all the others.
    addresses.extend(servers.iter().map(|(_, address)| ((*address).to_owned(), free_address())));
    for (config, _) in servers {
        let ports: Vec<_> = addresses.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        let server = Example::start(&format!("{example}/{config}"), &ports).await;
        running.push(server);
    }
    let shell = Shell::new(folder().join(example));
    let mut shell = addresses.iter().fold(shell, |shell, (from, to)| shell.redirect(from, to));
    let readme = std::fs::read_to_string(folder().join(example).join("README.md")).unwrap();
    check_starts(&readme, targets, servers);
    let mut told = Vec::new();
    for command in commands(&readme) {
        let answer = shell.run(command).await;
        assert!(is_as_promised(command, &answer), "{command}: {} {}", answer.status, answer.text());
        // What was only accepted is asked about until it has ended, as the README says; nothing else needs a pause.
        if command.contains("=$(") && command.contains("--json") {
            for server in &running {
                idle(&server.http).await;
            }
        }
        told.push(answer.text());
    }
    told
}

/// The README starts just these targets and servers.
fn check_starts(readme: &str, targets: &[(&str, &str)], servers: &[(&str, &str)]) {
    let targets: Vec<_> = targets.iter().map(|(name, address)| format!("{name}={address}")).collect();
    let line = format!("fanfold demo --targets {}", targets.join(","));
    assert!(readme.lines().any(|one| one == line), "the README lacks {line:?}");
    for (config, _) in servers {
        let line = format!("fanfold serve --config {config}");
        assert!(readme.lines().any(|one| one == line), "the README lacks {line:?}");
    }
}

async fn start_targets(home: &Home, targets: &[(&str, &str)]) -> (Process, Vec<(String, String)>) {
    let list: Vec<_> = targets.iter().map(|(name, _)| format!("{name}=127.0.0.1:0")).collect();
    let process = home.start(env!("CARGO_BIN_EXE_fanfold"), &["demo", "--targets", &list.join(",")]);
    let mut addresses = Vec::new();
    for (name, address) in targets {
        let line = process.line(&format!("{name} is listening on http://")).await;
        let to = line.split("http://").nth(1).unwrap().trim().to_owned();
        addresses.push(((*address).to_owned(), to));
    }
    (process, addresses)
}

/// Waits until no operation of a server runs.
pub(crate) async fn idle(http: &Http) {
    loop {
        let list = http.get("/api/v1/operations?status=unexecuted&status=executing&limit=1").await;
        assert_eq!(list.status, 200, "{}", list.text());
        let list: Value = list.json();
        let Some(id) = list["operations"][0]["id"].as_str() else { return };
        let path = format!("/api/v1/operations/{id}");
        let seen = http.get(&path).await;
        if matches!(seen.json()["status"].as_str(), Some("unexecuted" | "executing")) {
            let unless = http.clone().with("if-none-match", seen.header("etag").expect("an operation has a version"));
            unless.get(&format!("{path}?wait=10s")).await;
        }
    }
}
