//! Acceptances whose answer the store loses (G1): canceled before they are dispatched, unless the same request comes first.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::Operation;
use fanfold_core::dialect::Refusal;
use fanfold_core::operation::Status;
use fanfold_store::contract::Lossy;
use fanfold_store::model::Model;
use fanfold_store::{Filter, Page, Store};
use fanfold_testkit::fake::FakeTarget;

use super::stage::{NAMES, Setting, Stage, fakes, spec};

const KEY: &[(&str, &str)] = &[("idempotency-key", "k")];

pub(super) async fn lossy(fakes: &[FakeTarget]) -> (Arc<Lossy>, Arc<dyn Store>, Stage) {
    let below: Arc<dyn Store> = Arc::new(Model::default());
    let store = Lossy::new(Arc::clone(&below));
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    setting.store = Some(Arc::clone(&store) as Arc<dyn Store>);
    (store, below, Stage::of(setting).await)
}

async fn post(stage: &Stage, body: &str) -> Result<Arc<Operation>, Refusal> {
    stage.accept_with("POST", "/things", body, KEY).await.map(|outcome| outcome.operation)
}

fn detail(refused: Result<Arc<Operation>, Refusal>) -> String {
    let Err(Refusal::StoreUnreachable { detail }) = refused else { panic!("it is not ambiguous: {refused:?}") };
    detail
}

/// What is recorded, the newest first.
async fn recorded(below: &Arc<dyn Store>) -> Vec<Operation> {
    below.list(&Filter::default(), Page::newest(10)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_whose_answer_was_lost_is_canceled_before_dispatch_and_its_key_is_free() {
    let fakes = fakes().await;
    let (store, below, stage) = lossy(&fakes).await;
    store.lose_answers(1);
    store.fail_reads(true);
    let detail = detail(post(&stage, "{\"n\":1}").await);
    assert!(detail.contains("may have been accepted"), "{detail}");
    let lost = recorded(&below).await.remove(0);
    // Nobody can make it run in between; it is canceled once the store is back.
    assert!(stage.engine.cancel(lost.id, "anna".to_owned()).await.is_err());
    assert_eq!(recorded(&below).await[0].status(), Status::Unexecuted);
    store.fail_reads(false);
    let ended = stage.ended(lost.id).await;
    let end = ended.end().unwrap();
    assert_eq!((end.status, ended.started_at), (Status::Canceled, None));
    assert!(fakes[0].seen().is_empty(), "it was never dispatched");
    // Another request may have the key now.
    let other = stage.ended(post(&stage, "{\"n\":2}").await.unwrap().id).await;
    assert_eq!(other.end().unwrap().status, Status::Completed);
    assert_eq!(fakes[0].seen().len(), 1);
}

// Nothing goes over a socket here, so that time can be skipped.
#[tokio::test(start_paused = true)]
async fn an_acceptance_that_comes_true_late_is_canceled_all_the_same() {
    let fakes = fakes().await;
    let (store, below, stage) = lossy(&fakes).await;
    store.lose_answers(1);
    store.decide_late();
    detail(post(&stage, "{}").await);
    let ended = async {
        while recorded(&below).await[0].end().is_none() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), ended).await.expect("it is looked for until that is decided");
    let lost = recorded(&below).await.remove(0);
    assert_eq!((lost.status(), lost.started_at), (Status::Canceled, None));
    assert!(fakes[0].seen().is_empty());
    drop(stage);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_accepts_what_was_lost_if_it_comes_first() {
    let fakes = fakes().await;
    let (store, below, stage) = lossy(&fakes).await;
    store.lose_answers(1);
    store.fail_reads(true);
    detail(post(&stage, "{}").await);
    let lost = recorded(&below).await.remove(0);
    // The key is enough to accept it, also while it cannot be read.
    assert!(detail(post(&stage, "{}").await).contains("accepted before"));
    store.fail_reads(false);
    let outcome = stage.accept_with("POST", "/things", "{}", KEY).await.unwrap();
    assert_eq!((outcome.operation.id, outcome.repeated), (lost.id, true));
    assert_eq!(stage.ended(lost.id).await.end().unwrap().status, Status::Completed);
    assert_eq!((recorded(&below).await.len(), fakes[0].seen().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_while_the_lost_one_is_canceled_starts_another() {
    let fakes = fakes().await;
    let (store, below, stage) = lossy(&fakes).await;
    store.lose_answers(1);
    store.fail_commits(true);
    detail(post(&stage, "{}").await);
    let lost = recorded(&below).await.remove(0);
    // In memory: its cancel is under way, and cannot be recorded yet.
    while stage.engine.in_memory(lost.id).is_none() {
        tokio::task::yield_now().await;
    }
    let (again, ()) = tokio::join!(post(&stage, "{}"), async {
        tokio::task::yield_now().await;
        store.fail_commits(false);
    });
    let again = again.unwrap();
    assert_ne!(again.id, lost.id);
    assert_eq!(stage.ended(lost.id).await.end().unwrap().status, Status::Canceled);
    assert_eq!(stage.ended(again.id).await.end().unwrap().status, Status::Completed);
    assert_eq!(fakes[0].seen().len(), 1);
}

// On one thread, so that the one who settles has gone to sleep before the cancel fails.
#[tokio::test]
async fn a_cancel_that_fails_is_tried_again() {
    let fakes = fakes().await;
    let (store, below, stage) = lossy(&fakes).await;
    store.lose_answers(1);
    store.refuse_commits(1);
    detail(post(&stage, "{\"n\":1}").await);
    let lost = recorded(&below).await.remove(0);
    assert_eq!(stage.ended(lost.id).await.end().unwrap().status, Status::Canceled);
    let other = stage.ended(post(&stage, "{\"n\":2}").await.unwrap().id).await;
    assert_eq!(other.end().unwrap().status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_answered_with_the_lost_one_after_that_was_canceled_starts_another() {
    let fakes = fakes().await;
    let (store, below, stage) = lossy(&fakes).await;
    store.lose_answers(1);
    store.fail_reads(true);
    detail(post(&stage, "{}").await);
    let lost = recorded(&below).await.remove(0);
    // The store names the lost one, and the word of it takes longer than the cancel.
    store.keep_answers(true);
    let (again, ()) = tokio::join!(post(&stage, "{}"), async {
        store.fail_reads(false);
        stage.ended(lost.id).await;
        // Its task has left, and nothing tells any more that it was canceled.
        while stage.engine.running() > 0 {
            tokio::task::yield_now().await;
        }
        store.keep_answers(false);
    });
    let again = again.unwrap();
    assert_ne!(again.id, lost.id);
    assert_eq!(stage.ended(again.id).await.end().unwrap().status, Status::Completed);
    assert_eq!(fakes[0].seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_runs_if_the_process_ends_first() {
    let fakes = fakes().await;
    let (store, below, stage) = lossy(&fakes).await;
    store.lose_answers(1);
    store.fail_reads(true);
    detail(post(&stage, "{}").await);
    let lost = recorded(&below).await.remove(0);
    let stage = stage.restarted().await;
    store.fail_reads(false);
    assert_eq!(stage.ended(lost.id).await.end().unwrap().status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_while_too_much_is_doubtful() {
    let fakes = fakes().await;
    let store = Lossy::new(Arc::new(Model::default()));
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    setting.store = Some(Arc::clone(&store) as Arc<dyn Store>);
    setting.config.doubtful_max = 2;
    let stage = Stage::of(setting).await;
    store.lose_answers(2);
    store.fail_reads(true);
    for _ in 0..2 {
        assert!(stage.accept("POST", "/things", "{}").await.is_err());
    }
    let refused = stage.accept("POST", "/things", "{}").await;
    assert!(matches!(refused, Err(Refusal::Unavailable { .. })), "{refused:?}");
    store.fail_reads(false);
    let accepted = async {
        loop {
            if let Ok(accepted) = stage.accept("POST", "/things", "{}").await {
                return accepted.operation.id;
            }
            tokio::task::yield_now().await;
        }
    };
    let id = tokio::time::timeout(Duration::from_secs(30), accepted).await.unwrap();
    assert_eq!(stage.ended(id).await.end().unwrap().status, Status::Completed);
    assert_eq!(fakes[0].seen().len(), 1);
}
