//! Lower controllers that notify us: a notification makes the next poll come at once, and nothing else.

use std::sync::Arc;

use fanfold_core::operation::{Consistency, Leg, Outcome, RollbackResult, Send, Status, StepPhase};
use fanfold_core::plan::Monitor;
use fanfold_core::{Event, Operation, OperationId};
use fanfold_store::EventNumber;
use fanfold_testkit::Latch;
use fanfold_testkit::fake::{Answer, Controller, Ending, FakeTarget, Reply};
use serde_json::json;

use super::stage::{NAMES, Setting, Stage, fakes, spec};

async fn stage(fakes: &[FakeTarget], monitor: &Monitor, change: impl FnOnce(&mut Setting<'_>)) -> Stage {
    let mut setting = Setting::new(fakes, spec(&NAMES[..fakes.len()]));
    setting.target.monitor = monitor.clone();
    change(&mut setting);
    Stage::of(setting).await
}

fn outcomes(operation: &Operation) -> Vec<Outcome> {
    operation.steps.iter().map(|step| step.outcome().unwrap()).collect()
}

fn count(fake: &FakeTarget, method: &str, path: &str) -> usize {
    fake.seen().iter().filter(|seen| seen.method == method && seen.path().starts_with(path)).count()
}

fn is_following(operation: &Operation) -> bool {
    matches!(operation.steps[0].phase, StepPhase::Sending(Send::Following(_)))
}

const UNCHANGED: Outcome = Outcome::Failed { consistency: Consistency::RolledBack };

#[tokio::test(flavor = "multi_thread")]
async fn the_undo_at_a_lower_controller_is_followed() {
    let fakes = fakes().await;
    let (controller, all_called) = (Controller::new().polls(1), Latch::new());
    controller.next_ends(Ending::Completed(201, "{\"id\":\"a\"}".to_owned()));
    fakes[0].on("POST", "/things", Answer::empty(500));
    fakes[0].serve(controller.clone());
    fakes[1].on("POST", "/slices", Reply::from(Answer::empty(400)).after(&all_called));
    let stage = stage(&fakes[..2], &Monitor::Msf, |setting| setting.pattern = "/slices").await;
    let id = stage.accept("POST", "/slices", "{}").await.unwrap().operation.id;
    stage.until(id, |operation| operation.steps[0].outcome().is_some()).await;
    // The scripted answers to DELETE would be final.
    fakes[0].on("DELETE", "/things/*", Answer::json(202, &json!({"operation_id": "undo-1"})));
    let running = json!({"status": "executing"});
    fakes[0].once("GET", "/v1/operations/undo-1", Answer::json(200, &running));
    let completed = json!({"status": "completed", "response": {"status_code": 204, "body": ""}});
    fakes[0].on("GET", "/v1/operations/undo-1", Answer::json(200, &completed));
    all_called.open();
    let end = stage.ended(id).await.end().unwrap().clone();
    assert_eq!((end.rollback, end.consistency), (Some(RollbackResult::Completed), Consistency::RolledBack));
    assert_eq!(count(&fakes[0], "DELETE", "/things/a"), 1);
    assert_eq!(count(&fakes[0], "GET", "/v1/operations/undo-1"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_waits_as_long_as_the_target_asks() {
    let fakes = fakes().await;
    let accepted = Answer::empty(202).header("location", "/jobs/7").header("retry-after", "1");
    fakes[0].on("POST", "/things", accepted);
    fakes[0].once("GET", "/jobs/7", Answer::empty(202).header("retry-after", "1"));
    fakes[0].on("GET", "/jobs/7", Answer::empty(204));
    let stage = stage(&fakes[..1], &Monitor::Location, |_| {}).await;
    let operation = stage.post("{}").await;
    let history = stage.store.history(operation.id, EventNumber(0), 100).await.unwrap();
    let at = |wanted: &dyn Fn(&Event) -> bool| history.iter().find(|recorded| wanted(&recorded.event)).unwrap().at;
    let accepted = at(&|event| matches!(event, Event::AttemptAnswered { leg: Leg::Forward, .. }));
    let ended = at(&|event| matches!(event, Event::LowerEnded { .. }));
    assert!(ended.duration_since(accepted) >= jiff::SignedDuration::from_secs(2), "one second each");
    assert_eq!(count(&fakes[0], "GET", "/jobs/7"), 2);
}

/// An engine over one lower controller that can notify it.
async fn notified(controller: &Controller, fakes: &[FakeTarget]) -> Stage {
    fakes[0].serve(controller.clone());
    stage(&fakes[..1], &Monitor::Msf, |setting| {
        setting.pattern = "/slices";
        setting.config.callback = Some("127.0.0.1:9".parse().unwrap());
    })
    .await
}

async fn accepted(stage: &Stage, controller: &Controller) -> (OperationId, String) {
    let id = stage.accept("POST", "/slices?x=1", "{}").await.unwrap().operation.id;
    stage.until(id, is_following).await;
    (id, controller.operations().pop().unwrap())
}

/// Asks again and again until a follower listens.
async fn say(stage: &Stage, lower: &str) {
    while !stage.engine.lower_notified(lower) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lower_controllers_are_told_whom_to_notify() {
    let (fakes, controller) = (fakes().await, Controller::new().ends(Ending::Never));
    let stage = notified(&controller, &fakes).await;
    let (id, lower) = accepted(&stage, &controller).await;
    controller.finish(&lower, Ending::Completed(200, "{}".to_owned()));
    let operation = stage.ended(id).await;
    assert_eq!(fakes[0].seen()[0].uri, "/slices?x=1&notification_address=127.0.0.1&notification_port=9");
    assert_eq!(operation.plan.steps[0].request.uri, "/slices?x=1", "it belongs to the process, not to the operation");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_callback_does_not_hang() {
    let (fakes, controller) = (fakes().await, Controller::new().ends(Ending::Never));
    let stage = notified(&controller, &fakes).await;
    let (id, lower) = accepted(&stage, &controller).await;
    controller.finish(&lower, Ending::Completed(200, "{}".to_owned()));
    assert_eq!(stage.ended(id).await.end().unwrap().status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_callback_ends_nothing() {
    let (fakes, controller) = (fakes().await, Controller::new().ends(Ending::Never));
    let stage = notified(&controller, &fakes).await;
    let (id, lower) = accepted(&stage, &controller).await;
    say(&stage, &lower).await;
    // It has asked, once more at the least, and was told that the operation goes on.
    let polls = count(&fakes[0], "GET", "/v1/operations");
    fakes[0].wait_for(polls + 2).await;
    assert!(is_following(&stage.engine.operation(id).await.unwrap().unwrap()));
    controller.finish(&lower, Ending::Failed("060002", "rolled back"));
    assert_eq!(outcomes(&*stage.ended(id).await), [UNCHANGED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_makes_the_next_poll_come_at_once() {
    let (fakes, controller) = (fakes().await, Controller::new().ends(Ending::Never));
    // Without a word nothing would be asked before the test has lost its patience.
    let later = json!({"status": "executing"});
    fakes[0].once("GET", "/v1/operations/*", Answer::json(200, &later).header("retry-after", "600"));
    let stage = notified(&controller, &fakes).await;
    let (id, lower) = accepted(&stage, &controller).await;
    fakes[0].wait_for(2).await;
    controller.finish(&lower, Ending::Completed(200, "{}".to_owned()));
    for _ in 0..3 {
        stage.engine.lower_notified(&lower);
    }
    assert_eq!(stage.ended(id).await.end().unwrap().status, Status::Completed);
    assert_eq!(count(&fakes[0], "GET", "/v1/operations"), 2, "three words in a row are one poll");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_for_an_operation_that_nobody_knows_is_refused() {
    let (fakes, controller) = (fakes().await, Controller::new());
    let latch = Latch::new();
    fakes[0].once("POST", "/slices", Reply::from(Answer::json(202, &json!({"operation_id": "early"}))).after(&latch));
    fakes[0].on("GET", "/v1/operations/early", Answer::json(200, &json!({"status": "completed"})));
    let stage = notified(&controller, &fakes).await;
    let id = stage.accept("POST", "/slices", "{}").await.unwrap().operation.id;
    fakes[0].wait_for(1).await;
    assert!(!stage.engine.lower_notified("early"), "it came before its 202");
    latch.open();
    assert_eq!(stage.ended(id).await.end().unwrap().status, Status::Completed, "and nothing is lost");
    assert!(!stage.engine.lower_notified("unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_for_an_ended_operation_or_a_second_one_is_taken_and_changes_nothing() {
    let (fakes, controller) = (fakes().await, Controller::new().ends(Ending::Never));
    let stage = notified(&controller, &fakes).await;
    let (id, lower) = accepted(&stage, &controller).await;
    controller.finish(&lower, Ending::Completed(200, "{}".to_owned()));
    say(&stage, &lower).await;
    let ended = stage.ended(id).await;
    let seen = fakes[0].seen().len();
    for _ in 0..2 {
        assert!(stage.engine.lower_notified(&lower), "so that its sender does not come again");
    }
    assert_eq!(stage.engine.operation(id).await.unwrap().unwrap(), ended);
    assert_eq!(fakes[0].seen().len(), seen, "nobody asks about it any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_callbacks_is_no_flood_of_polls() {
    let (fakes, controller) = (fakes().await, Controller::new().ends(Ending::Never));
    let stage = Arc::new(notified(&controller, &fakes).await);
    let (id, lower) = accepted(&stage, &controller).await;
    say(&stage, &lower).await;
    let began = fakes[0].seen().len();
    let mut said = 0;
    while fakes[0].seen().len() < began + 4 {
        said += u32::from(stage.engine.lower_notified(&lower));
        tokio::task::yield_now().await;
    }
    assert!(said > 100, "{said} words for four polls");
    controller.finish(&lower, Ending::Completed(200, "{}".to_owned()));
    stage.ended(id).await;
}
