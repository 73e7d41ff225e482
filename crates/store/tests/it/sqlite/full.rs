//! Bounds on the size. SQLite itself refuses to grow the file beyond the reserve, which is as a full disk is.

use std::sync::Arc;

use bytes::Bytes;
use fanfold_core::Operation;
use fanfold_store::contract::fixtures::{accept, acceptance, answer, at, begun, end, plan, request};
use fanfold_store::sqlite::{Config, Sqlite};
use fanfold_store::{
    Accepted, Commit, Error, Limits, Operations as _, ReadOperations as _, ReadSize as _, Retention as _,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::directory;

const KIB: usize = 1_024;

fn open_bounded(directory: &TempDir, size_hard: usize, size_reserve: usize) -> Arc<Sqlite> {
    let limits = Limits { size_hard: Some(size_hard as u64), ..Limits::default() };
    let config =
        Config { limits, size_reserve: size_reserve as u64, ..Config::new(directory.path().join("fanfold.db")) };
    Sqlite::open(config).expect("an empty directory can be used")
}

fn answered(operation: &Operation, octets: usize) -> Commit {
    let mut next = begun(operation, at(100));
    next.steps[0].course.answer = Some(answer(200, Bytes::from(vec![b'x'; octets])));
    Commit::new(next)
}

/// Accepts operations with bodies of 16 KiB until it is refused.
async fn fill(store: &Sqlite) -> Vec<Operation> {
    let mut accepted = Vec::new();
    loop {
        let number = accepted.len() as u64 + 1;
        let mut plan = plan();
        plan.request = request("/v1/things", vec![b'r'; 16 * KIB]);
        match store.accept(acceptance(number, at(1), plan)).await {
            Ok(Accepted::New { operation, .. }) => accepted.push(*operation),
            Err(Error::Full { may_have_committed: false, .. }) => return accepted,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn beyond_the_hard_bound_what_runs_can_end() {
    let directory = directory();
    let store = open_bounded(&directory, 1_024 * KIB, 512 * KIB);
    let accepted = fill(&store).await;
    assert!(accepted.len() > 30, "{} were accepted", accepted.len());
    assert!(store.size().await.expect("it can be read").used >= 1_024 * KIB as u64);
    for operation in &accepted {
        end(&*store, operation, at(2)).await;
    }
    // What is deleted makes room.
    let far = at(1_000_000_000);
    store.sweep(far, 1_000).await.expect("there is something to delete");
    let size = store.size().await.expect("it can be read");
    assert!(size.free > 512 * KIB as u64, "{size:?}");
    accept(&*store, acceptance(900, far, plan())).await;
}

// One request does not fit: it alone fails, also when it shares a transaction with others.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_fit_fails_alone() {
    let directory = directory();
    let store = open_bounded(&directory, 512 * KIB, 512 * KIB);
    let accepted = fill(&store).await;
    let mut tasks = JoinSet::new();
    for (position, operation) in accepted.iter().enumerate() {
        let commit = if position == 5 { answered(operation, 4_096 * KIB) } else { answered(operation, 10) };
        let store = Arc::clone(&store);
        tasks.spawn(async move { (position, store.commit(commit).await) });
    }
    for (position, outcome) in tasks.join_all().await {
        match position {
            5 => assert!(matches!(outcome, Err(Error::Full { may_have_committed: false, .. })), "{outcome:?}"),
            _ => assert!(outcome.is_ok(), "{outcome:?}"),
        }
    }
    let untouched = store.operation(accepted[5].id).await.expect("it can be read");
    assert_eq!(untouched.as_ref(), Some(&accepted[5]));
    // The next smaller one goes through.
    assert!(store.commit(answered(&accepted[5], 10)).await.is_ok());
}

// Trouble with one write is no reason to refuse others for longer than it lasts.
#[tokio::test]
async fn a_failed_write_leaves_the_store_usable() {
    let directory = directory();
    let store = open_bounded(&directory, 10_000 * KIB, 0);
    let (running, _) = accept(&*store, acceptance(1, at(1), plan())).await;
    assert!(matches!(store.commit(answered(&running, 20_000 * KIB)).await, Err(Error::Full { .. })));
    assert!(matches!(store.trouble(), Some(Error::Full { .. })), "readiness tells");
    accept(&*store, acceptance(2, at(2), plan())).await;
    assert_eq!(store.trouble(), None);
    // Nor does it take a write to find out: it is looked for whenever somebody asks.
    assert!(matches!(store.commit(answered(&running, 20_000 * KIB)).await, Err(Error::Full { .. })));
    while store.trouble().is_some() {
        tokio::task::yield_now().await;
    }
    assert!(store.commit(answered(&running, 10)).await.is_ok());
}
