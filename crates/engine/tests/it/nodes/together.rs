//! Nodes that are all there: each answers for all of them.

use fanfold_core::operation::{Gate, Status};
use fanfold_engine::{CancelOutcome, Error};

use super::super::stage::NAMES;
use super::cluster::{Cluster, LONG, MIDDLE, Node};

const KEY: &[(&str, &str)] = &[("idempotency-key", "k")];

/// Two nodes that know of each other.
async fn two() -> (Cluster, Node, Node) {
    let cluster = Cluster::new(MIDDLE).await;
    let (a, b) = (cluster.node("a", |_| {}).await, cluster.node("b", |_| {}).await);
    a.knows(2).await;
    b.knows(2).await;
    (cluster, a, b)
}

async fn hold(node: &Node) {
    node.stage.engine.hold(&NAMES[0].into(), "ann".to_owned(), "maintenance".to_owned()).await.unwrap();
}

async fn release(node: &Node) {
    node.stage.engine.release(&NAMES[0].into()).await.unwrap();
}

async fn follows(node: &Node, gate: Gate) {
    node.until("the hold is heard of", |node| node.stage.engine.targets().get(&NAMES[0].into()).gate() == gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_at_one_stops_all() {
    let (cluster, a, b) = two().await;
    hold(&b).await;
    follows(&a, Gate::Held).await;
    let id = a.accept("POST", "/things").await;
    a.stage.until(id, |operation| operation.started_at.is_some()).await;
    assert!(cluster.fakes[0].seen().is_empty());
    release(&b).await;
    follows(&a, Gate::Permit).await;
    assert_eq!(b.ended(id).await.end().unwrap().status, Status::Completed);
}

async fn cancel_at_the_other(a: &Node, b: &Node) {
    hold(a).await;
    follows(b, Gate::Held).await;
    let id = a.accept("POST", "/things").await;
    let canceled = b.within(b.stage.engine.cancel(id, "ann".to_owned())).await.unwrap();
    assert!(matches!(canceled, CancelOutcome::Accepted(_)), "{canceled:?}");
    assert_eq!(b.ended(id).await.end().unwrap().status, Status::Canceled);
    assert_eq!(a.ended(id).await.end().unwrap().status, Status::Canceled);
    let again = b.within(b.stage.engine.cancel(id, "ann".to_owned())).await;
    assert!(matches!(again, Err(Error::NotPossible(_))), "{again:?}");
    let missing = fanfold_store::contract::fixtures::id(fanfold_store::contract::fixtures::at(0), 9);
    assert!(matches!(b.stage.engine.cancel(missing, "ann".to_owned()).await, Err(Error::NotFound)));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_cancels() {
    let (cluster, a, b) = two().await;
    cancel_at_the_other(&a, &b).await;
    assert!(cluster.fakes[0].seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_words_cost_time_only() {
    let (_cluster, a, b) = two().await;
    a.wire.mute();
    b.wire.mute();
    cancel_at_the_other(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_at_one_hears_what_happens_at_the_other() {
    let (_cluster, a, b) = two().await;
    hold(&a).await;
    follows(&b, Gate::Held).await;
    let id = a.accept("POST", "/things").await;
    let (mut of_one, mut of_all) = (b.stage.engine.follow(id), b.stage.engine.follow_all());
    of_one.mark_unchanged();
    of_all.mark_unchanged();
    release(&b).await;
    for changes in [&mut of_one, &mut of_all] {
        tokio::time::timeout(fanfold_testkit::PATIENCE, changes.changed()).await.unwrap().unwrap();
    }
    assert_eq!(b.ended(id).await.end().unwrap().status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_handed_from_node_to_node() {
    let cluster = Cluster::new(MIDDLE).await;
    let locked = |setting: &mut super::super::stage::Setting<'_>| {
        setting.spec.lock = Some(("one".to_owned(), fanfold_core::plan::OnLocked::Queue));
        // Only being told makes it as quick as that.
        setting.config.sweep_every = LONG;
    };
    let (a, b) = (cluster.node("a", locked).await, cluster.node("b", locked).await);
    a.knows(2).await;
    b.knows(2).await;
    hold(&a).await;
    follows(&b, Gate::Held).await;
    let (first, second) = (a.accept("POST", "/things").await, b.accept("POST", "/things").await);
    release(&a).await;
    assert_eq!(a.ended(first).await.end().unwrap().status, Status::Completed);
    assert_eq!(b.ended(second).await.end().unwrap().status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_has_confirmed_is_not_taken_back() {
    let (cluster, a, b) = two().await;
    a.store.lose_answers(1);
    a.store.fail_reads(true);
    assert!(a.accept_with("POST", "/things", KEY).await.is_err(), "its answer is lost");
    let again = b.accept_with("POST", "/things", KEY).await.unwrap();
    assert!(again.repeated);
    a.store.fail_reads(false);
    assert_eq!(a.ended(again.operation.id).await.end().unwrap().status, Status::Completed);
    assert_eq!(cluster.fakes[0].seen().len(), 1);
}
