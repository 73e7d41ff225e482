//! A process that is killed: everything that was answered is there afterwards.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use fanfold_core::plan::OnLocked;
use fanfold_core::{OperationId, TenantId};
use fanfold_store::contract::fixtures::{acceptance, at, ended, id, locked_plan, plan};
use fanfold_store::{Accepted, Commit, Limits, Locks as _, Operations as _, ReadOperations as _};

use tokio::task::JoinSet;

use super::{directory, open};

/// Tells the test below to be the process that is killed, and in which directory.
const VICTIM: &str = "FANFOLD_CRASH_VICTIM";

/// Answers that are awaited before the process is killed in the middle of its work.
const ANSWERS: usize = 300;

/// Accepts and ends operations for ever, from several tasks, and prints each answer once it has it.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
#[expect(clippy::print_stdout, reason = "this is how the process that kills this one hears of answers")]
async fn victim() {
    let Ok(directory) = std::env::var(VICTIM) else { return };
    let config = fanfold_store::sqlite::Config::new(std::path::Path::new(&directory).join("fanfold.db"));
    let store = fanfold_store::sqlite::Sqlite::open(config).expect("an empty directory can be used");
    let mut tasks = JoinSet::new();
    for task in 0..8_u64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for number in 0_u64.. {
                let plan = if number % 2 == 0 { plan() } else { locked_plan("l", OnLocked::Queue) };
                let given = acceptance(number * 8 + task, at(1), plan);
                let Ok(Accepted::New { operation, .. }) = store.accept(given).await else { return };
                println!("\naccepted {}", operation.id);
                if number % 3 == 0 {
                    let end = ended(&operation, fanfold_core::operation::Status::Completed, at(2));
                    let Ok(committed) = store.commit(Commit::new(end)).await else { return };
                    println!("\nended {}", committed.operation.id);
                }
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let directory = directory();
    let mut child = Command::new(std::env::current_exe().expect("this test runs"))
        .args(["--exact", "sqlite::crash::victim", "--nocapture"])
        .env(VICTIM, directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test can be run again");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut answers: Vec<(String, OperationId)> = Vec::new();
    for line in output.lines() {
        let line = line.expect("answers are text");
        let parsed = line.split_once(' ').and_then(|(what, id)| Some((what.to_owned(), id.parse().ok()?)));
        answers.extend(parsed);
        if answers.len() == ANSWERS {
            child.kill().expect("it runs for ever");
        }
    }
    child.wait().expect("it was killed");
    assert!(answers.len() >= ANSWERS, "{} answers", answers.len());

    let store = open(&directory, Limits::default());
    for (what, id) in &answers {
        let operation = store.operation(*id).await.expect("it can be read").expect("it was answered");
        assert!(what == "accepted" || operation.end().is_some(), "{what} {id}");
    }
    // The lock has exactly one holder, which has not ended.
    let holder = store.lock_holder(&TenantId::default(), "l").await.expect("it can be read");
    let holder = store.operation(holder.expect("many still wait for it")).await.expect("it can be read");
    assert!(holder.is_some_and(|holder| holder.end().is_none()));
    let numbers = store.counts(None).await.expect("it can be read");
    assert!(numbers.values().sum::<u64>() >= answers.iter().filter(|(what, _)| what == "accepted").count() as u64);
    // And it goes on.
    let next = acceptance(1_000_000, at(3), plan());
    assert_eq!(next.operation.id, id(at(3), 1_000_000));
    assert!(matches!(store.accept(next).await, Ok(Accepted::New { .. })));
}
