//! Nodes that are lost, stand still, or stop; what becomes of their operations.

use std::time::Duration;

use fanfold_core::Event;
use fanfold_core::operation::{Cause, Consistency, Outcome, Sent, Stage, Status, StepPhase};
use fanfold_engine::RouteCallback;
use fanfold_testkit::Latch;
use fanfold_testkit::fake::{Answer, Reply};
use jiff::{SignedDuration, Timestamp};

use super::super::stage::{NAMES, Setting};
use super::super::webhooks::{OLD, secret};
use super::cluster::{Cluster, LONG, MIDDLE, SHORT};

/// How long a target may act on what the lost node sent.
const SETTLE: Duration = Duration::from_millis(1_500);

fn settling(setting: &mut Setting<'_>) {
    setting.target.settle = SETTLE;
}

fn put(setting: &mut Setting<'_>) {
    settling(setting);
    (setting.method, setting.pattern) = ("PUT", "/things/7");
    setting.spec.undo = None;
}

fn settled(adopted_at: Timestamp) -> Timestamp {
    adopted_at + SignedDuration::try_from(SETTLE).unwrap()
}

/// When attempts began, and when they broke.
fn times(history: &[(Timestamp, Event)]) -> (Vec<Timestamp>, Vec<Timestamp>) {
    let of = |fits: fn(&Event) -> bool| history.iter().filter(|(_, event)| fits(event)).map(|(at, _)| *at).collect();
    let broke = |event: &Event| matches!(event, Event::AttemptBroke { sent: Sent::Maybe, .. });
    (of(|event| matches!(event, Event::AttemptStarted { .. })), of(broke))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_had_on_the_wire_is_unknown_once_the_target_has_settled() {
    let cluster = Cluster::new(SHORT).await;
    cluster.fakes[0].on("POST", "/things", Reply::from(Answer::empty(201)).after(&Latch::new()));
    let (a, b) = (cluster.node("a", settling).await, cluster.node("b", settling).await);
    let id = a.accept("POST", "/things").await;
    cluster.fakes[0].wait_for(1).await;
    a.kill();
    b.adopted(1).await;
    let ended = b.ended(id).await;
    let end = ended.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::Unknown));
    assert_eq!(ended.steps[0].phase, StepPhase::Ended(Outcome::Unknown));
    let (started, broke) = times(&cluster.history(id).await);
    assert_eq!((started.len(), broke.len(), cluster.fakes[0].seen().len()), (1, 1, 1));
    assert!(broke[0] >= settled(cluster.adopted_at(id).await), "the target may have acted until then");
    b.knows(1).await;
    assert_eq!(b.stage.engine.metrics().leases_lost(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_repeated_is_repeated_once_the_target_has_settled() {
    let cluster = Cluster::new(SHORT).await;
    let first = Latch::new();
    cluster.fakes[0].on("PUT", "/things/7", Reply::from(Answer::empty(204)).after(&first));
    let (a, b) = (cluster.node("a", put).await, cluster.node("b", put).await);
    let id = a.accept("PUT", "/things/7").await;
    cluster.fakes[0].wait_for(1).await;
    a.kill();
    first.open();
    let ended = b.ended(id).await;
    assert_eq!(ended.end().unwrap().status, Status::Completed);
    let (started, broke) = times(&cluster.history(id).await);
    let adopted_at = cluster.adopted_at(id).await;
    assert_eq!((started.len(), broke.len(), cluster.fakes[0].seen().len()), (2, 1, 2));
    assert!(broke[0] >= settled(adopted_at) && started[1] >= settled(adopted_at));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_operation_takes_a_cancel_in_before_its_target_has_settled() {
    let cluster = Cluster::new(SHORT).await;
    cluster.fakes[0].on("POST", "/things", Reply::from(Answer::empty(201)).after(&Latch::new()));
    let long = |setting: &mut Setting<'_>| setting.target.settle = LONG;
    let (a, b) = (cluster.node("a", long).await, cluster.node("b", long).await);
    let id = a.accept("POST", "/things").await;
    cluster.fakes[0].wait_for(1).await;
    a.kill();
    b.adopted(1).await;
    b.within(b.stage.engine.cancel(id, "ann".to_owned())).await.unwrap();
    let canceling =
        b.stage.until(id, |operation| matches!(operation.stage, Stage::Closing(Cause::Canceled { .. }))).await;
    assert_eq!((canceling.end(), canceling.calling().len()), (None, 1), "it waits for what may still be on its way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stood_still_sends_nothing_and_joins_again() {
    let cluster = Cluster::new(SHORT).await;
    let (a, b) = (cluster.node("a", settling).await, cluster.node("b", settling).await);
    b.knows(2).await;
    // It has not been fenced off yet, so the store takes the operation; but for all it knows it may be any moment.
    a.wire.cut(true);
    a.clock.stand_still(2 * SHORT);
    let id = a.accept("POST", "/things").await;
    b.adopted(1).await;
    assert_eq!(b.ended(id).await.end().unwrap().status, Status::Completed);
    let seen = cluster.fakes[0].seen();
    assert_eq!(seen.len(), 1, "only the adopter has sent it");
    // What it knows from before is not shown any more.
    assert!(a.stage.engine.in_memory(id).is_none());
    assert_eq!(a.ended(id).await.end().unwrap().status, Status::Completed);
    a.wire.cut(false);
    a.until("it notices", |node| node.stage.engine.metrics().leases_lost() == 1).await;
    a.knows(2).await;
    let next = a.accept("POST", "/things").await;
    assert_eq!(a.ended(next).await.end().unwrap().status, Status::Completed);
    assert_eq!(cluster.fakes[0].seen().len(), 2);
    a.until("it has forgotten what was its own", |node| node.stage.engine.running() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fenced_node_hears_from_its_target_is_not_recorded() {
    let cluster = Cluster::new(SHORT).await;
    let (first, latch) = (Latch::new(), Reply::from(Answer::empty(204)));
    cluster.fakes[0].on("PUT", "/things/7", latch.after(&first));
    let (a, b) = (cluster.node("a", put).await, cluster.node("b", put).await);
    b.knows(2).await;
    let id = a.accept("PUT", "/things/7").await;
    cluster.fakes[0].wait_for(1).await;
    a.wire.cut(true);
    b.adopted(1).await;
    first.open();
    // Its answer comes while the adopter waits.
    a.until("it notices by its refused write", |node| node.stage.engine.metrics().leases_lost() == 1).await;
    a.wire.cut(false);
    assert_eq!(b.ended(id).await.end().unwrap().status, Status::Completed);
    let (started, broke) = times(&cluster.history(id).await);
    assert_eq!((started.len(), broke.len()), (2, 1));
    a.knows(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_of_a_lost_node_is_sent_by_the_adopter() {
    let cluster = Cluster::new(SHORT).await;
    let first = Latch::new();
    cluster.fakes[2].on("POST", "/hooks", Reply::from(Answer::empty(204)).after(&first));
    let url = format!("{}/hooks", cluster.fakes[2].url());
    let told = move |setting: &mut Setting<'_>| {
        let callback = RouteCallback { url: url.parse().unwrap(), secrets: Vec::new() };
        setting.config.notices.callbacks.insert("things".to_owned(), callback);
        setting.config.notices.secrets = vec![secret(OLD)];
    };
    let (a, b) = (cluster.node("a", told.clone()).await, cluster.node("b", told).await);
    let id = a.accept("POST", "/things").await;
    b.ended(id).await;
    cluster.fakes[2].wait_for(1).await;
    a.kill();
    first.open();
    let told = cluster.fakes[2].wait_for(2).await;
    assert_eq!(told[0].header("webhook-id"), told[1].header("webhook-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_hands_over_at_once() {
    let cluster = Cluster::new(MIDDLE).await;
    let (a, b) = (cluster.node("a", |_| {}).await, cluster.node("b", |_| {}).await);
    a.stage.engine.hold(&NAMES[0].into(), "ann".to_owned(), "maintenance".to_owned()).await.unwrap();
    let id = a.accept("POST", "/things").await;
    a.within(a.stage.engine.stop(Duration::ZERO)).await;
    b.adopted(1).await;
    assert_eq!(b.wire.fences(), 0, "nobody waits for its lease to end");
    b.stage.engine.release(&NAMES[0].into()).await.unwrap();
    assert_eq!(b.ended(id).await.end().unwrap().status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_away_for_everybody_costs_nobody_anything() {
    let cluster = Cluster::new(SHORT).await;
    let (a, b) = (cluster.node("a", |_| {}).await, cluster.node("b", |_| {}).await);
    a.knows(2).await;
    b.knows(2).await;
    for node in [&a, &b] {
        node.wire.cut(true);
        node.clock.stand_still(10 * SHORT);
    }
    // The store takes operations again a moment before anybody has beaten.
    let id = a.accept("POST", "/things").await;
    for node in [&a, &b] {
        node.wire.cut(false);
    }
    assert_eq!(a.ended(id).await.end().unwrap().status, Status::Completed);
    let beaten = [a.wire.beats(), b.wire.beats()];
    for (node, before) in [&a, &b].into_iter().zip(beaten) {
        node.until("it beats", |node| node.wire.beats() >= before + 8).await;
    }
    for node in [&a, &b] {
        let metrics = node.stage.engine.metrics();
        assert_eq!((metrics.leases_lost(), metrics.nodes(), metrics.operations_adopted()), (0, 2, 0));
    }
    assert_eq!(cluster.fakes[0].seen().len(), 1);
}
