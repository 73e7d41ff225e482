//! Targets on hold: nothing of any kind is sent to them, what waits goes on when they are released.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::operation::{
    Consistency, Deadline, Gate, Leg, Outcome, Phase, Purpose, Status, StepPhase, WaitingFor, phase, waiting_for,
};
use fanfold_core::plan::{Monitor, UndoRule};
use fanfold_core::{Operation, OperationId, StepIndex};
use fanfold_engine::Clock;
use fanfold_engine::target::{PerKind, TargetState};
use fanfold_store::contract::Lossy;
use fanfold_store::model::Model;
use fanfold_store::{Filter, Page};
use fanfold_testkit::fake::{Answer, Controller, FakeTarget, Reply, Resources};
use fanfold_testkit::{Latch, PATIENCE};

use super::clock::{DAY, SetClock, noticed};
use super::stage::{NAMES, Setting, Stage, fakes, spec};

const ONE: StepIndex = StepIndex(0);

async fn hold(stage: &Stage) {
    stage.engine.hold(&NAMES[0].into(), "ann".to_owned(), "maintenance".to_owned()).await.unwrap();
}

async fn release(stage: &Stage) {
    stage.engine.release(&NAMES[0].into()).await.unwrap();
}

/// Waits until so many requests wait for the first target.
async fn waiting(stage: &Stage, wanted: PerKind) {
    let target = stage.engine.targets().get(&NAMES[0].into());
    let waiting = async {
        while target.status().waiting != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("so many wait");
}

const ONE_FORWARD: PerKind = PerKind { forward: 1, undo: 0, pass: 0 };

#[tokio::test(flavor = "multi_thread")]
async fn a_step_waits_and_its_deadline_stands_still() {
    let fakes = fakes().await;
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    hold(&stage).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    let is_held = |operation: &Operation| operation.due_gate(ONE, Leg::Forward) == Some(Gate::Held);
    let held = stage.until(id, is_held).await;
    assert!(matches!(held.deadline, Deadline::Paused(_)), "{:?}", held.deadline);
    let stage = stage.restarted().await;
    waiting(&stage, ONE_FORWARD).await;
    assert!(fakes[0].seen().is_empty());
    release(&stage).await;
    assert_eq!(stage.ended(id).await.status(), Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_waits() {
    let fakes = fakes().await;
    let first = Latch::new();
    fakes[1].on("POST", "/things", Reply::from(Answer::empty(409)).after(&first));
    let stage = Stage::new(&fakes[..2], spec(&NAMES[..2])).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    stage.until(id, |operation| operation.steps[0].outcome() == Some(Outcome::Succeeded)).await;
    hold(&stage).await;
    first.open();
    stage.until(id, |operation| operation.due_gate(ONE, Leg::Undo) == Some(Gate::Held)).await;
    assert_eq!(fakes[0].seen().len(), 1);
    release(&stage).await;
    assert_eq!(stage.ended(id).await.end().unwrap().consistency, Consistency::RolledBack);
    assert_eq!(fakes[0].seen().len(), 2);
}

/// Targets of a route that restores, and a clock that is set forward by more than all that is waited for.
async fn restoring(fakes: &[FakeTarget]) -> (Arc<SetClock>, Stage) {
    let clock = Arc::new(SetClock::default());
    let mut route = spec(&NAMES[..fakes.len()]);
    route.undo = Some(UndoRule::Restore);
    let mut setting = Setting::new(fakes, route);
    (setting.method, setting.pattern) = ("PUT", "/things/{id}");
    setting.config.sweep_every = Duration::from_millis(100);
    let clocked: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    setting.clock = clocked;
    (clock, Stage::of(setting).await)
}

/// The operations of this phase, as a list finds them.
async fn listed(stage: &Stage, phase: Phase) -> Vec<OperationId> {
    let filter = Filter { phases: [phase].into(), ..Filter::default() };
    let found = stage.store.list(&filter, Page::newest(9)).await.unwrap();
    found.into_iter().map(|operation| operation.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_for_a_later_restore_waits_and_its_deadline_stands_still() {
    for restarts in [false, true] {
        let fakes = fakes().await;
        fakes[0].serve(Resources::new());
        let (clock, mut stage) = restoring(&fakes[..1]).await;
        hold(&stage).await;
        let id = stage.accept("PUT", "/things/1", "{}").await.unwrap().operation.id;
        let held = stage.until(id, |operation| phase(operation) == Some(Phase::Held)).await;
        assert!(matches!(held.deadline, Deadline::Paused(_)), "{:?}", held.deadline);
        assert!(matches!(waiting_for(&held)[..], [WaitingFor::HeldTarget(_)]), "{:?}", waiting_for(&held));
        assert_eq!(listed(&stage, Phase::Held).await, [id]);
        if restarts {
            stage = stage.restarted().await;
        }
        waiting(&stage, ONE_FORWARD).await;
        clock.set(DAY);
        noticed(&stage).await;
        assert!(fakes[0].seen().is_empty());
        release(&stage).await;
        assert_eq!(stage.ended(id).await.status(), Status::Completed);
        assert_eq!(listed(&stage, Phase::Held).await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_before_the_change_is_read_and_one_before_it_is_compared_both_keep_what_was_there() {
    let fakes = fakes().await;
    let (changed, refused) = (Latch::new(), Latch::new());
    // Without tags it is read after the change and compared before the undo.
    let resources = Resources::with_weak_tags();
    resources.put("/things/1", "old");
    fakes[0].serve(resources.clone());
    fakes[0].once("PUT", "/things/1", Reply::from(Answer::empty(204)).after(&changed));
    fakes[1].on("GET", "/things/1", Answer::text(200, "old"));
    fakes[1].on("PUT", "/things/1", Reply::from(Answer::empty(422)).after(&refused));
    let (_, stage) = restoring(&fakes[..2]).await;
    let id = stage.accept("PUT", "/things/1", "new").await.unwrap().operation.id;
    fakes[0].wait_for(2).await;
    hold(&stage).await;
    resources.put("/things/1", "new");
    changed.open();
    let held = stage.until(id, |operation| operation.due_gate(ONE, Leg::Forward) == Some(Gate::Held)).await;
    assert!(matches!(held.steps[0].phase, StepPhase::Reading { purpose: Purpose::After, .. }), "{:?}", held.steps[0]);
    assert!(matches!(held.deadline, Deadline::Paused(_)), "{:?}", held.deadline);
    release(&stage).await;
    let read = stage.until(id, |operation| operation.steps[0].outcome() == Some(Outcome::Succeeded)).await;
    assert!(matches!(read.deadline, Deadline::At(_)), "{:?}", read.deadline);
    hold(&stage).await;
    refused.open();
    stage.until(id, |operation| operation.due_gate(ONE, Leg::Undo) == Some(Gate::Held)).await;
    let stage = stage.restarted().await;
    release(&stage).await;
    assert_eq!(stage.ended(id).await.end().unwrap().consistency, Consistency::RolledBack);
    assert_eq!(resources.get("/things/1").as_deref(), Some("old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_waits_for_a_breaker_says_so() {
    let fakes = fakes().await;
    fakes[0].on("GET", "/things/1", Reply::Reset { applied: false });
    let (_, stage) = restoring(&fakes[..1]).await;
    // Three reads of the first one and two of the second one break, and five in a row open the breaker.
    let first = stage.accept("PUT", "/things/1", "{}").await.unwrap().operation.id;
    assert_eq!(stage.ended(first).await.status(), Status::Failed);
    let second = stage.accept("PUT", "/things/1", "{}").await.unwrap().operation.id;
    let waits = stage.until(second, |operation| operation.due_gate(ONE, Leg::Forward) == Some(Gate::Breaker)).await;
    assert!(matches!(waits.deadline, Deadline::At(_)), "{:?}", waits.deadline);
    assert_eq!(listed(&stage, Phase::Waiting).await, [second]);
    stage.engine.cancel(second, "ann".to_owned()).await.unwrap();
    assert_eq!(stage.ended(second).await.status(), Status::Canceled);
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_of_a_lower_operation_wait() {
    let fakes = fakes().await;
    let lower = Controller::new().polls(3);
    fakes[0].serve(lower.clone());
    let mut route = spec(&NAMES[..1]);
    route.undo = None;
    let mut setting = Setting::new(&fakes[..1], route);
    (setting.pattern, setting.target.monitor) = ("/slices", Monitor::Msf);
    let stage = Stage::of(setting).await;
    let id = stage.accept("POST", "/slices", "{}").await.unwrap().operation.id;
    fakes[0].wait_for(2).await;
    hold(&stage).await;
    waiting(&stage, ONE_FORWARD).await;
    assert!(stage.engine.operation(id).await.unwrap().unwrap().end().is_none());
    // It ends when a person lets it, and a drain does not wait for that.
    stage.engine.drain(true);
    let drained = async {
        while !stage.engine.is_drained() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, drained).await.expect("nothing is under way");
    assert_eq!(stage.engine.metrics().operations_overdue(), 0);
    release(&stage).await;
    assert_eq!(stage.ended(id).await.status(), Status::Completed);
}

/// Targets that are followed by location, and a clock that is set forward by more than all that is waited for.
async fn followed(fakes: &[FakeTarget]) -> (Arc<SetClock>, Stage) {
    let clock = Arc::new(SetClock::default());
    let mut setting = Setting::new(fakes, spec(&NAMES[..fakes.len()]));
    setting.target.monitor = Monitor::Location;
    setting.config.sweep_every = Duration::from_millis(100);
    let clocked: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    setting.clock = clocked;
    (clock, Stage::of(setting).await)
}

fn taken_on() -> Answer {
    Answer::empty(202).header("location", "/jobs/1")
}

fn done() -> Answer {
    Answer::json(200, &serde_json::json!({ "status": "Succeeded" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_longer_than_a_lower_operation_is_followed_keeps_its_outcome() {
    for restarts in [false, true] {
        let fakes = fakes().await;
        fakes[0].on("POST", "/things", taken_on());
        fakes[0].on("GET", "/jobs/1", Answer::empty(202));
        let (clock, mut stage) = followed(&fakes[..1]).await;
        let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
        fakes[0].wait_for(2).await;
        hold(&stage).await;
        let held = stage.until(id, |operation| operation.due_gate(ONE, Leg::Forward) == Some(Gate::Held)).await;
        assert!(matches!(held.deadline, Deadline::Paused(_)), "{:?}", held.deadline);
        if restarts {
            stage = stage.restarted().await;
        }
        waiting(&stage, ONE_FORWARD).await;
        let seen = fakes[0].seen().len();
        clock.set(DAY);
        noticed(&stage).await;
        assert_eq!(fakes[0].seen().len(), seen);
        release(&stage).await;
        // It goes on there, so it is followed as if nothing had been.
        fakes[0].wait_for(seen + 1).await;
        let goes_on = |operation: &Operation| {
            matches!(waiting_for(operation)[..], [WaitingFor::LowerOperation { .. }])
                && matches!(operation.deadline, Deadline::At(_))
        };
        stage.until(id, goes_on).await;
        fakes[0].on("GET", "/jobs/1", done());
        let ended = stage.ended(id).await;
        assert_eq!((ended.status(), ended.steps[0].outcome()), (Status::Completed, Some(Outcome::Succeeded)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_is_longer_than_the_operation_of_an_undo_is_followed_keeps_its_end() {
    let fakes = fakes().await;
    let first = Latch::new();
    fakes[0].on("DELETE", "/things/*", taken_on());
    fakes[0].on("GET", "/jobs/1", Answer::empty(202));
    fakes[1].on("POST", "/things", Reply::from(Answer::empty(409)).after(&first));
    let (clock, stage) = followed(&fakes[..2]).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    stage.until(id, |operation| operation.steps[0].outcome() == Some(Outcome::Succeeded)).await;
    first.open();
    fakes[0].wait_for(3).await;
    hold(&stage).await;
    stage.until(id, |operation| operation.due_gate(ONE, Leg::Undo) == Some(Gate::Held)).await;
    fakes[0].on("GET", "/jobs/1", done());
    clock.set(DAY);
    noticed(&stage).await;
    release(&stage).await;
    assert_eq!(stage.ended(id).await.end().unwrap().consistency, Consistency::RolledBack);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_follows_the_record_though_the_answer_of_the_store_was_lost() {
    let fakes = fakes().await;
    let store = Lossy::new(Arc::new(Model::default()));
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    setting.store = Some(store.clone());
    let stage = Stage::of(setting).await;
    let gate = || stage.engine.targets().get(&NAMES[0].into()).status().state;
    store.lose_answers_to_holds(true);
    assert!(stage.engine.hold(&NAMES[0].into(), "ann".to_owned(), "maintenance".to_owned()).await.is_err());
    assert_eq!(gate(), TargetState::Held { reason: "maintenance".to_owned() });
    assert!(stage.engine.release(&NAMES[0].into()).await.is_err());
    assert_eq!(gate(), TargetState::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_while_a_request_is_made_ready_keeps_it_from_being_sent() {
    let fakes = fakes().await;
    let store = Lossy::new(Arc::new(Model::default()));
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    setting.store = Some(store.clone());
    let stage = Stage::of(setting).await;
    store.fail_reads(true);
    // Its body stands apart, and has to be read once the turn has come.
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(8 * 1024));
    let id = stage.accept("POST", "/things", &body).await.unwrap().operation.id;
    let target = stage.engine.targets().get(&NAMES[0].into());
    let has_permit = async {
        while target.status().in_flight.forward == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, has_permit).await.expect("its turn has come");
    hold(&stage).await;
    store.fail_reads(false);
    waiting(&stage, ONE_FORWARD).await;
    assert!(fakes[0].seen().is_empty());
    release(&stage).await;
    assert_eq!(stage.ended(id).await.status(), Status::Completed);
    assert_eq!(fakes[0].seen().len(), 1);
}
