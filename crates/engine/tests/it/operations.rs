//! Operations from acceptance to their end, over real sockets.

use std::sync::Arc;

use fanfold_core::operation::{Cause, Consistency, Leg, Outcome, RollbackResult, Status, StepPhase};
use fanfold_core::plan::{DialectName, Monitor, Order, UndoRule};
use fanfold_core::{Event, Operation, Slot, StepIndex};
use fanfold_engine::{CancelOutcome, OperationTotals};
use fanfold_store::EventNumber;
use fanfold_testkit::Latch;
use fanfold_testkit::fake::{Answer, Controller, Ending, FakeTarget, Reply, Resources};

use super::stage::{NAMES, Setting, Stage, fakes, spec};

fn outcomes(operation: &Operation) -> Vec<Outcome> {
    operation
        .steps
        .iter()
        .map(|step| match step.phase {
            StepPhase::Ended(outcome) => outcome,
            _ => panic!("no outcome: {step:?}"),
        })
        .collect()
}

/// What was not called when another target fails is skipped; so the failure waits until all were.
async fn post_with_all_called(stage: &Stage, fakes: &[FakeTarget], latch: &Latch) -> Arc<Operation> {
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    for fake in fakes {
        fake.wait_for(1).await;
    }
    latch.open();
    stage.ended(id).await
}

const UNCHANGED: Outcome = Outcome::Failed { consistency: Consistency::RolledBack };

#[tokio::test(flavor = "multi_thread")]
async fn every_target_gets_the_request_as_it_came() {
    let fakes = fakes().await;
    let stage = Stage::new(&fakes, spec(&NAMES)).await;
    let body = "{ \"name\": \"größe\", \"x\": [null, 1.50] }";
    let operation = stage.post(body).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency, end.rollback), (Status::Completed, Consistency::Updated, None));
    for fake in &fakes {
        let seen = fake.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].body, body.as_bytes());
        assert_eq!(seen[0].header("content-type"), Some("application/json"));
        assert_eq!(seen[0].header("fanfold-operation-id"), Some(operation.id.to_string().as_str()));
        assert_eq!(seen[0].header("fanfold-attempt"), Some("1"));
        assert!(seen[0].header("traceparent").is_some());
    }
    let response = operation.response().unwrap();
    assert_eq!(response.status, 201);
    assert_eq!(response.body.0, fanfold_core::Content::Same(Slot::StepAnswer(StepIndex(0))));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_fails_and_the_others_are_undone() {
    let fakes = fakes().await;
    let all_called = Latch::new();
    let refusal = Answer::json(409, &serde_json::json!({ "why": "no" }));
    fakes[1].on("POST", "/things", Reply::from(refusal).after(&all_called));
    let stage = Stage::new(&fakes, spec(&NAMES)).await;
    let operation = post_with_all_called(&stage, &fakes, &all_called).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::RolledBack));
    assert_eq!(end.rollback, Some(RollbackResult::Completed));
    assert_eq!(outcomes(&operation), [Outcome::Succeeded, UNCHANGED, Outcome::Succeeded]);
    let requests = |index: usize| -> Vec<String> {
        fakes[index].seen().iter().map(|seen| format!("{} {}", seen.method, seen.uri)).collect()
    };
    assert_eq!(requests(0), ["POST /things", "DELETE /things/thing-0"]);
    assert_eq!(requests(1), ["POST /things"]);
    assert_eq!(requests(2), ["POST /things", "DELETE /things/thing-2"]);
    let keys: Vec<_> = fakes[0].seen().iter().map(|seen| seen.header("idempotency-key").unwrap().to_owned()).collect();
    assert_ne!(keys[0], keys[1], "the undo has a key of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_target_is_asked_again_with_the_same_key() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Answer::empty(503).header("retry-after", "0"));
    fakes[0].once("POST", "/things", Answer::empty(429));
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    let operation = stage.post("{}").await;
    assert_eq!(operation.end().unwrap().status, Status::Completed);
    let seen = fakes[0].seen();
    assert_eq!(seen.len(), 3);
    let keys: Vec<_> = seen.iter().map(|seen| seen.header("idempotency-key")).collect();
    assert!(keys.iter().all(|key| *key == keys[0] && key.is_some()));
    let attempts: Vec<_> = seen.iter().filter_map(|seen| seen.header("fanfold-attempt")).collect();
    assert_eq!(attempts, ["1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_was_not_answered_is_repeated() {
    let fakes = fakes().await;
    fakes[0].once("PUT", "/things/1", Reply::Reset { applied: true });
    fakes[0].on("PUT", "/things/1", Answer::empty(204));
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    (setting.method, setting.pattern) = ("PUT", "/things/{id}");
    let stage = Stage::of(setting).await;
    let accepted = stage.accept("PUT", "/things/1", "{}").await.unwrap();
    let operation = stage.ended(accepted.operation.id).await;
    assert_eq!(operation.end().unwrap().status, Status::Completed);
    assert_eq!(fakes[0].seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_writes_back_what_was_there() {
    let fakes = fakes().await;
    let resources = [Resources::new(), Resources::new()];
    for (fake, resources) in fakes.iter().zip(&resources) {
        resources.put("/things/1", "{\"size\":1}");
        fake.serve(resources.clone());
    }
    fakes[2].on("GET", "/things/1", Answer::text(200, "old"));
    let all_called = Latch::new();
    fakes[2].on("PUT", "/things/1", Reply::from(Answer::empty(422)).after(&all_called));
    let mut route = spec(&NAMES);
    route.undo = Some(UndoRule::Restore);
    let mut setting = Setting::new(&fakes, route);
    (setting.method, setting.pattern) = ("PUT", "/things/{id}");
    let stage = Stage::of(setting).await;
    let accepted = stage.accept("PUT", "/things/1", "{\"size\":2}").await.unwrap();
    for fake in &fakes {
        // The read before the change, and the change.
        fake.wait_for(2).await;
    }
    all_called.open();
    let operation = stage.ended(accepted.operation.id).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::RolledBack), "{operation:#?}");
    for resources in &resources {
        assert_eq!(resources.get("/things/1").as_deref(), Some("{\"size\":1}"));
    }
    let undo = fakes[0].seen().into_iter().rfind(|seen| seen.method == "PUT").unwrap();
    assert!(undo.header("if-match").is_some(), "a later change of somebody else is guarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_ends_the_roll_out() {
    let fakes = fakes().await;
    fakes[0].on("POST", "/things", Answer::empty(400));
    let mut route = spec(&NAMES);
    route.order = Order::Waves(vec![1]);
    let stage = Stage::new(&fakes, route).await;
    let operation = stage.post("{}").await;
    assert_eq!(outcomes(&operation), [UNCHANGED, Outcome::Skipped, Outcome::Skipped]);
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::RolledBack));
    assert_eq!(end.rollback, Some(RollbackResult::None));
    assert!(fakes[1].seen().is_empty() && fakes[2].seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_awaits_what_is_on_the_wire_and_undoes_it() {
    let fakes = fakes().await;
    let latch = Latch::new();
    let slow = Reply::from(Answer::json(201, &serde_json::json!({ "id": "late" }))).after(&latch);
    fakes[1].on("POST", "/things", slow);
    let stage = Stage::new(&fakes[..2], spec(&NAMES[..2])).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    fakes[1].wait_for(1).await;
    for _ in 0..2 {
        let outcome = stage.engine.cancel(id, "ann".into()).await.unwrap();
        assert!(matches!(outcome, CancelOutcome::Accepted(_)));
    }
    latch.open();
    let operation = stage.ended(id).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Canceled, Consistency::RolledBack));
    assert_eq!(end.cause, Some(Cause::Canceled { by: "ann".into() }));
    assert_eq!(fakes[1].seen()[1].uri, "/things/late");
    let refused = stage.engine.cancel(id, "ann".into()).await;
    assert!(matches!(refused, Err(fanfold_engine::Error::NotPossible(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_controller_is_followed_to_its_end() {
    let fakes = fakes().await;
    let controllers = [Controller::new().polls(2), Controller::new()];
    for (fake, controller) in fakes.iter().zip(&controllers) {
        fake.on("POST", "/things", Answer::empty(500));
        fake.serve(controller.clone());
    }
    let mut route = spec(&NAMES[..2]);
    route.undo = None;
    let mut setting = Setting::new(&fakes[..2], route);
    setting.pattern = "/slices";
    setting.target.monitor = Monitor::Msf;
    let stage = Stage::of(setting).await;
    let accepted = stage.accept("POST", "/slices", "{}").await.unwrap();
    let operation = stage.ended(accepted.operation.id).await;
    assert_eq!(outcomes(&operation), [Outcome::Succeeded, Outcome::Succeeded], "{operation:#?}");
    controllers[1].next_ends(Ending::Failed("060002", "rolled back"));
    let accepted = stage.accept("POST", "/slices", "{}").await.unwrap();
    let operation = stage.ended(accepted.operation.id).await;
    assert_eq!(outcomes(&operation), [Outcome::Succeeded, UNCHANGED]);
    let end = operation.end().unwrap();
    assert_eq!((end.consistency, end.rollback), (Consistency::NotConsistent, Some(RollbackResult::None)));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_the_targets_and_not_the_record() {
    let fakes = fakes().await;
    let secret = serde_json::json!({ "id": "7", "token": "hunter2" });
    fakes[0].on("POST", "/things", Answer::json(201, &secret));
    let all_called = Latch::new();
    fakes[1].on("POST", "/things", Reply::from(Answer::empty(400)).after(&all_called));
    let mut route = spec(&NAMES[..2]);
    if let Some(UndoRule::Request(undo)) = &mut route.undo {
        undo.path = Some("/things/{{ response.json.token }}".into());
    }
    let stage = Stage::new(&fakes[..2], route).await;
    let id = stage.accept("POST", "/things", "{\"password\":\"swordfish\",\"n\":1}").await.unwrap().operation.id;
    fakes[0].wait_for(1).await;
    all_called.open();
    let operation = stage.ended(id).await;
    assert_eq!(fakes[0].seen()[0].text(), "{\"password\":\"swordfish\",\"n\":1}");
    assert_eq!(fakes[0].seen()[1].uri, "/things/hunter2", "the undo sees what the target really answered");
    let history = stage.store.history(operation.id, EventNumber(0), 1000).await.unwrap();
    let record = format!("{operation:?} {}", serde_json::to_string(&operation.plan).unwrap());
    assert!(!record.contains("swordfish") && record.contains("[redacted]"));
    assert!(!format!("{history:?}").contains("swordfish"));
    assert!(!serde_json::to_string(&operation.steps[0].course).unwrap().contains("hunter2"));
    for slot in [Slot::Request, Slot::StepRequest(StepIndex(0)), Slot::StepAnswer(StepIndex(0)), Slot::Final] {
        assert_eq!(stage.store.sealed(operation.id, slot).await.unwrap(), None, "{slot} is wiped at the end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_left_behind_is_gone_on_with() {
    let fakes = fakes().await;
    fakes[0].once("PUT", "/things/1", Reply::Never { applied: true });
    fakes[0].on("PUT", "/things/1", Answer::empty(204));
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    (setting.method, setting.pattern) = ("PUT", "/things/{id}");
    let stage = Stage::of(setting).await;
    let id = stage.accept("PUT", "/things/1", "{}").await.unwrap().operation.id;
    fakes[0].wait_for(1).await;
    let stage = stage.restarted().await;
    let operation = stage.ended(id).await;
    assert_eq!(operation.end().unwrap().status, Status::Completed);
    assert_eq!(fakes[0].seen().len(), 2);
    let history = stage.store.history(id, EventNumber(0), 1000).await.unwrap();
    let broke = |event: &Event| matches!(event, Event::AttemptBroke { leg: Leg::Forward, .. });
    assert!(history.iter().any(|recorded| broke(&recorded.event)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gives_the_same_operation_once() {
    let fakes = fakes().await;
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    let header = [("idempotency-key", "\"k1\"")];
    let first = stage.accept_with("POST", "/things", "{}", &header).await.unwrap();
    let second = stage.accept_with("POST", "/things", "{}", &header).await.unwrap();
    assert_eq!((first.operation.id, second.repeated), (second.operation.id, true));
    let other = stage.accept_with("POST", "/things", "{\"a\":1}", &header).await;
    let reused = fanfold_core::dialect::Refusal::KeyReused { first: first.operation.id, by_route: false };
    assert_eq!(other.unwrap_err(), reused);
    stage.ended(first.operation.id).await;
    assert_eq!(fakes[0].seen().len(), 1);
    let counted = OperationTotals { accepted: 1, refused: 1, completed: 1, ..OperationTotals::default() };
    assert_eq!(stage.engine.metrics().totals(), counted, "what comes again is not accepted again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_route_passes_on_stands_in_place_of_ours() {
    let fakes = fakes().await;
    let mut passing = spec(&NAMES[..1]);
    passing.forward_headers = vec!["idempotency-key".to_owned()];
    let stage = Stage::new(&fakes[..1], passing).await;
    let header = [("idempotency-key", "\"k1\"")];
    let id = stage.accept_with("POST", "/things", "{}", &header).await.unwrap().operation.id;
    stage.ended(id).await;
    let seen = fakes[0].seen();
    let keys: Vec<_> = seen[0].headers.iter().filter(|(name, _)| name == "idempotency-key").collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(seen[0].header("idempotency-key"), Some("\"k1\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asked_to_be_told_is_told_even_if_late() {
    let fakes = fakes().await;
    fakes[1].once("PUT", "/v1/operations/*", Answer::empty(500));
    fakes[1].on("PUT", "/v1/operations/*", Answer::empty(200));
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    setting.dialect = DialectName::Msf;
    fakes[0].on("POST", "/v1/things", Answer::json(201, &serde_json::json!({ "id": "1" })));
    let stage = Stage::of(setting).await;
    let to = fakes[1].address();
    let uri = format!("/v1/things?a=1&notification_address={}&notification_port={}", to.ip(), to.port());
    let id = stage.accept("POST", &uri, "{}").await.unwrap().operation.id;
    let told = fakes[1].wait_for(2).await;
    assert_eq!(told[1].uri, format!("/v1/operations/{id}"));
    assert_eq!(told[1].json()["status"], "completed");
    assert_eq!(fakes[0].seen()[0].uri, "/v1/things?a=1", "the dialect's own parameters are not passed on");
    let elsewhere = "/v1/things?notification_address=192.0.2.1&notification_port=80";
    let refused = stage.accept("POST", elsewhere, "{}").await.unwrap_err();
    assert!(matches!(refused, fanfold_core::dialect::Refusal::BadValue { .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_target_gets_nothing_until_it_is_released() {
    let fakes = fakes().await;
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    stage.engine.hold(&"tokyo".into(), "ann".into(), "maintenance".into()).await.unwrap();
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    let held =
        |operation: &Operation| fanfold_core::operation::phase(operation) == Some(fanfold_core::operation::Phase::Held);
    stage.until(id, held).await;
    assert!(fakes[0].seen().is_empty());
    // The hold is durable.
    let stage = stage.restarted().await;
    stage.until(id, held).await;
    assert!(fakes[0].seen().is_empty());
    stage.engine.release(&"tokyo".into()).await.unwrap();
    assert_eq!(stage.ended(id).await.end().unwrap().status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_awaits_the_answer_that_is_on_its_way() {
    let fakes = fakes().await;
    let latch = Latch::new();
    fakes[0].on("POST", "/things", Reply::from(Answer::json(201, &serde_json::json!({ "id": "1" }))).after(&latch));
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    fakes[0].wait_for(1).await;
    let engine = stage.engine.clone();
    let mut stopping = tokio::task::JoinSet::new();
    stopping.spawn(async move { engine.stop(std::time::Duration::from_secs(20)).await });
    while !stage.engine.is_draining() {
        tokio::task::yield_now().await;
    }
    latch.open();
    assert_eq!(stopping.join_next().await.unwrap().unwrap(), 0);
    let operation = stage.store.operation(id).await.unwrap().unwrap();
    assert_eq!(operation.end().unwrap().status, Status::Completed);
    let refused = stage.accept("POST", "/things", "{}").await.unwrap_err();
    let fanfold_core::dialect::Refusal::Unavailable { detail, .. } = refused else { panic!("{refused:?}") };
    assert!(detail.contains("about to stop") && detail.contains("send the request again"), "{detail}");
}
