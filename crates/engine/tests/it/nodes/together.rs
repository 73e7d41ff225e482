//! Nodes that are all there: each answers for all of them.

use fanfold_core::operation::{Deadline, Gate, Send, Status, StepPhase};
use fanfold_core::plan::{Monitor, OnUnknown};
use fanfold_engine::{CancelOutcome, Error, Resolution};
use fanfold_store::{NoteFilter, Page, ReadNotes as _};
use fanfold_testkit::fake::{Answer, Controller, Ending};

use super::super::stage::{NAMES, Setting};
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
    let locked = |setting: &mut Setting<'_>| {
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
async fn a_person_answers_at_any_node() {
    let cluster = Cluster::new(MIDDLE).await;
    cluster.fakes[0].on("POST", "/things", Answer::empty(500));
    let held = |setting: &mut Setting<'_>| setting.spec.on_unknown = OnUnknown::Hold;
    let (a, b) = (cluster.node("a", held).await, cluster.node("b", held).await);
    let id = a.accept("POST", "/things").await;
    a.stage.until(id, |operation| matches!(operation.deadline, Deadline::Paused(_))).await;
    let notes = b.store.notes(&NoteFilter::default(), Page::newest(1)).await.unwrap();
    let resolved = b.stage.engine.resolve(notes[0].id, Resolution::Applied, "ann".to_owned(), None);
    b.within(resolved).await.unwrap();
    assert_eq!(b.ended(id).await.end().unwrap().status, Status::Completed);
    assert_eq!(a.store.note(notes[0].id).await.unwrap().unwrap().closed.unwrap().by, "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_comes_to_the_wrong_node_is_passed_on() {
    let cluster = Cluster::new(MIDDLE).await;
    let controller = Controller::new().ends(Ending::Never);
    cluster.fakes[0].serve(controller.clone());
    let followed = |setting: &mut Setting<'_>| {
        setting.target.monitor = Monitor::Msf;
        setting.pattern = "/slices";
    };
    let (a, b) = (cluster.node("a", followed).await, cluster.node("b", followed).await);
    let unknown = |node: &Node| node.stage.engine.lower_notified("nobody's");
    b.knows(2).await;
    assert!(unknown(&b), "another node may know it");
    let id = a.accept("POST", "/slices").await;
    a.stage.until(id, |operation| matches!(operation.steps[0].phase, StepPhase::Sending(Send::Following(_)))).await;
    let lower = controller.operations().pop().unwrap();
    controller.finish(&lower, Ending::Completed(200, "{}".to_owned()));
    assert!(b.stage.engine.lower_notified(&lower));
    a.until("it hears of both", |node| node.wire.lowers() == 2).await;
    assert_eq!(b.ended(id).await.end().unwrap().status, Status::Completed);
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
