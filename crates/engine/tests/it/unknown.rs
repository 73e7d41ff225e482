//! Requests that may have been applied: what is sent again, what a probe settles, and what the policy for unknown outcomes does.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::operation::{
    AttentionReason, Consistency, Leg, Outcome, ProbeVerdict, RollbackResult, Status, StepPhase, UndoEnd, UndoPhase,
};
use fanfold_core::plan::{OnUnknown, ProbeRule, RequestTemplate, UndoRule};
use fanfold_core::route::spec::{LimitsOverride, OperationSpec};
use fanfold_core::{Event, Operation, OperationId};
use fanfold_store::{EventNumber, Note, NoteFilter, Page, Recorded};
use fanfold_testkit::Latch;
use fanfold_testkit::fake::{Answer, FakeTarget, Reply, Resources};
use serde_json::json;

use super::stage::{NAMES, SETTLE, Setting, Stage, fakes, spec};

const BODY: &str = "{\"id\":\"a\"}";

/// How long an answer may take, connecting included.
const ANSWER: Duration = Duration::from_millis(1_800);

/// Bounds of attempts whose answers are awaited for a moment only: a target that did not answer is left alone until then.
fn quick() -> LimitsOverride {
    let connect = Duration::from_millis(300);
    LimitsOverride { connect: Some(connect), response: Some(ANSWER - connect), ..LimitsOverride::default() }
}

/// A route to these targets whose undo does not need the answer.
fn undone_by_name(targets: &[&str], on_unknown: OnUnknown) -> OperationSpec {
    let undo = RequestTemplate {
        method: Some("DELETE".into()),
        path: Some("/things/{{ request.json.id }}".into()),
        ..RequestTemplate::default()
    };
    let undo = Some(UndoRule::Request(Box::new(undo)));
    OperationSpec { undo, on_unknown, step_limits: quick(), ..spec(targets) }
}

/// A route to one target that asks whether the thing is in the list.
fn probed(applied: &str) -> OperationSpec {
    let path = "/list?id={{ request.json.id }}".to_owned();
    let probe = Some(ProbeRule { path, applied: applied.to_owned() });
    OperationSpec { probe, step_limits: quick(), ..spec(&NAMES[..1]) }
}

/// Accepts a `POST`, lets go once both targets were called, and follows it to its end.
async fn post_to_both(stage: &Stage, fakes: &[FakeTarget], latch: &Latch) -> Arc<Operation> {
    let id = stage.accept("POST", "/things", BODY).await.unwrap().operation.id;
    for fake in fakes {
        fake.wait_for(1).await;
    }
    latch.open();
    stage.ended(id).await
}

/// Two targets, the second of which does it and does not say so.
async fn did_it_but_did_not_answer(fakes: &[FakeTarget], route: OperationSpec) -> (Stage, Latch) {
    let all_called = Latch::new();
    fakes[1].once("POST", "/things", Reply::Reset { applied: true }.after(&all_called));
    (Stage::new(fakes, route).await, all_called)
}

/// When probes were asked.
fn probed_at(history: &[Recorded]) -> Vec<jiff::Timestamp> {
    let asks = |event: &Event| matches!(event, Event::AttemptStarted { leg: Leg::Probe, .. });
    history.iter().filter(|recorded| asks(&recorded.event)).map(|recorded| recorded.at).collect()
}

fn outcomes(operation: &Operation) -> Vec<Outcome> {
    operation.steps.iter().map(|step| step.outcome().unwrap()).collect()
}

fn requests(fake: &FakeTarget) -> Vec<String> {
    fake.seen().iter().map(|seen| format!("{} {}", seen.method, seen.uri)).collect()
}

async fn notes(stage: &Stage) -> Vec<Note> {
    stage.store.notes(&NoteFilter::default(), Page::newest(9)).await.unwrap()
}

async fn history(stage: &Stage, id: OperationId) -> Vec<Recorded> {
    stage.store.history(id, EventNumber(0), 1000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn did_it_but_did_not_answer_and_unknown_is_a_failure() {
    let fakes = fakes().await;
    let (stage, latch) = did_it_but_did_not_answer(&fakes[..2], undone_by_name(&NAMES[..2], OnUnknown::Fail)).await;
    let operation = post_to_both(&stage, &fakes[..2], &latch).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::Unknown));
    assert_eq!(outcomes(&operation), [Outcome::Succeeded, Outcome::Unknown]);
    assert_eq!(requests(&fakes[0]), ["POST /things", "DELETE /things/a"]);
    assert_eq!(requests(&fakes[1]), ["POST /things"], "neither repeated nor undone");
    let notes = notes(&stage).await;
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].attention.reason, AttentionReason::OutcomeUnknown);
    assert_eq!(notes[0].attention.target.as_ref().unwrap().as_str(), "osaka");
}

#[tokio::test(flavor = "multi_thread")]
async fn did_it_but_did_not_answer_and_unknown_is_undone() {
    let fakes = fakes().await;
    let (stage, latch) = did_it_but_did_not_answer(&fakes[..2], undone_by_name(&NAMES[..2], OnUnknown::Undo)).await;
    let operation = post_to_both(&stage, &fakes[..2], &latch).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::RolledBack));
    assert_eq!(end.rollback, Some(RollbackResult::Completed));
    assert_eq!(requests(&fakes[1]), ["POST /things", "DELETE /things/a"]);
    assert_eq!(notes(&stage).await, []);
    let settle = operation.plan.step_policy(fanfold_core::StepIndex(1)).settle;
    let sent = operation.steps[1].course.first_at.unwrap();
    let undone = operation.steps[1].undo.as_ref().unwrap().course.first_at.unwrap();
    assert!(undone >= sent + ANSWER + settle, "the target had the time to answer, and was left to settle then");
}

#[tokio::test(flavor = "multi_thread")]
async fn did_it_but_did_not_answer_and_the_undo_needs_the_answer() {
    let fakes = fakes().await;
    let mut route = spec(&NAMES[..2]);
    route.on_unknown = OnUnknown::Undo;
    let (stage, latch) = did_it_but_did_not_answer(&fakes[..2], route).await;
    let operation = post_to_both(&stage, &fakes[..2], &latch).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::Unknown));
    assert_eq!(end.rollback, Some(RollbackResult::Failed));
    assert_eq!(requests(&fakes[1]), ["POST /things"]);
    assert_eq!(notes(&stage).await[0].attention.reason, AttentionReason::UndoFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn did_it_but_did_not_answer_and_a_person_is_asked() {
    let fakes = fakes().await;
    let (stage, latch) = did_it_but_did_not_answer(&fakes[..2], undone_by_name(&NAMES[..2], OnUnknown::Hold)).await;
    let id = stage.accept("POST", "/things", BODY).await.unwrap().operation.id;
    fakes[1].wait_for(1).await;
    latch.open();
    let is_asked = |operation: &Operation| matches!(operation.steps[1].phase, StepPhase::AwaitingPerson { .. });
    stage.until(id, is_asked).await;
    let note = notes(&stage).await.remove(0);
    assert_eq!(note.attention.reason, AttentionReason::OutcomeUnknown);
    let answer = fanfold_engine::Resolution::Applied;
    stage.engine.resolve(note.id, answer, "ann".to_owned(), None).await.unwrap();
    let end = stage.ended(id).await.end().unwrap().clone();
    assert_eq!((end.status, end.consistency), (Status::Completed, Consistency::Updated));
    assert_eq!(requests(&fakes[1]), ["POST /things"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn did_it_but_did_not_answer_and_a_probe_tells() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Reply::Reset { applied: true });
    fakes[0].on("GET", "/list", Answer::json(200, &json!({"found": ["a"]})));
    let stage = Stage::new(&fakes[..1], probed("'a' in response.json.found")).await;
    let operation = stage.post(BODY).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Completed, Consistency::Updated));
    assert_eq!(requests(&fakes[0]), ["POST /things", "GET /list?id=a"]);
    let probe = &fakes[0].seen()[1];
    assert_eq!(probe.header("fanfold-attempt"), Some("1"));
    assert_eq!(probe.header("fanfold-operation-id"), Some(operation.id.to_string().as_str()));
    assert_eq!(probe.header("idempotency-key"), None, "a read needs none");
    assert_eq!(notes(&stage).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn did_not_do_it_and_a_probe_lets_it_be_sent_again() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Reply::Reset { applied: false });
    fakes[0].on("GET", "/list", Answer::json(200, &json!({"found": []})));
    let stage = Stage::new(&fakes[..1], probed("response.json.found")).await;
    let operation = stage.post(BODY).await;
    assert_eq!(operation.end().unwrap().status, Status::Completed);
    let seen = fakes[0].seen();
    let posts: Vec<_> = seen.iter().filter(|seen| seen.method == "POST").collect();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0].header("idempotency-key"), posts[1].header("idempotency-key"));
    assert_eq!(posts[1].header("fanfold-attempt"), Some("2"));
    // Only a probe that was asked after the target had settled let it through.
    let history = history(&stage, operation.id).await;
    let probed = probed_at(&history);
    assert!(*probed.last().unwrap() >= operation.steps[0].course.first_at.unwrap() + ANSWER + SETTLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_answered_before_settle_does_not_count() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Reply::Reset { applied: true });
    // The target acts late: after the first look, and before it is to have settled.
    fakes[0].once("GET", "/list", Answer::json(200, &json!({"found": []})));
    fakes[0].on("GET", "/list", Answer::json(200, &json!({"found": ["a"]})));
    let mut setting = Setting::new(&fakes[..1], probed("response.json.found"));
    setting.target.settle = Duration::from_secs(1);
    let stage = Stage::of(setting).await;
    let operation = stage.post(BODY).await;
    assert_eq!(operation.end().unwrap().status, Status::Completed);
    assert_eq!(requests(&fakes[0]), ["POST /things", "GET /list?id=a", "GET /list?id=a"]);
    let history = history(&stage, operation.id).await;
    let verdicts: Vec<_> = history
        .iter()
        .filter_map(|recorded| match &recorded.event {
            Event::ProbeAnswered { verdict, .. } => Some(*verdict),
            _ => None,
        })
        .collect();
    assert_eq!(verdicts, [ProbeVerdict::NotApplied, ProbeVerdict::Applied]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_deciding_failure_a_probe_that_says_not_applied_ends_the_step() {
    let fakes = fakes().await;
    let all_called = Latch::new();
    fakes[0].once("POST", "/things", Reply::Reset { applied: false }.after(&all_called));
    fakes[0].on("GET", "/list", Answer::json(200, &json!({"found": []})));
    fakes[1].on("POST", "/things", Answer::empty(400));
    let mut route = probed("response.json.found");
    route.targets = spec(&NAMES[..2]).targets;
    let stage = Stage::new(&fakes[..2], route).await;
    let id = stage.accept("POST", "/things", BODY).await.unwrap().operation.id;
    fakes[0].wait_for(1).await;
    stage.until(id, |operation| operation.steps[1].outcome().is_some()).await;
    all_called.open();
    let operation = stage.ended(id).await;
    let unchanged = Outcome::Failed { consistency: Consistency::RolledBack };
    assert_eq!(outcomes(&operation), [unchanged, unchanged]);
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::RolledBack));
    assert_eq!(fakes[0].seen().iter().filter(|seen| seen.method == "POST").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_tells_nothing_is_asked_a_few_times_only() {
    let html = Answer::text(200, "<html>It works!</html>").header("content-type", "text/html");
    let replies: [(&str, Reply); 6] = [
        ("an error", Answer::empty(500).into()),
        ("no access", Answer::empty(401).into()),
        ("a page", html.into()),
        ("other JSON", Answer::json(200, &json!({"items": 5})).into()),
        ("half an answer", Reply::Half(Answer::json(200, &json!({"found": ["a"]})), 5)),
        ("nothing", Reply::Reset { applied: false }),
    ];
    for (what, reply) in replies {
        let fakes = fakes().await;
        fakes[0].once("POST", "/things", Reply::Reset { applied: true });
        fakes[0].on("GET", "/list", reply);
        let stage = Stage::new(&fakes[..1], probed("response.json.found | length > 0")).await;
        let operation = stage.post(BODY).await;
        assert_eq!(outcomes(&operation), [Outcome::Unknown], "{what}");
        assert_eq!(operation.end().unwrap().consistency, Consistency::Unknown, "{what}");
        let seen = fakes[0].seen();
        let probes = seen.iter().filter(|seen| seen.method == "GET").count();
        // As often as a step is sent, and no more often before, when it could not have told that nothing was applied.
        let settled = operation.steps[0].course.first_at.unwrap() + ANSWER + SETTLE;
        let probed = probed_at(&history(&stage, operation.id).await);
        let late = probed.iter().filter(|at| **at >= settled).count();
        assert_eq!((seen.len() - probes, late), (1, 3), "{what}");
        assert!(probes <= 6 && probes == probed.len(), "{what}: {probes}");
        assert_eq!(notes(&stage).await[0].attention.reason, AttentionReason::OutcomeUnknown, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_honours_retry_after() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Reply::Reset { applied: true });
    fakes[0].once("GET", "/list", Answer::empty(429).header("retry-after", "1"));
    fakes[0].on("GET", "/list", Answer::json(200, &json!({"found": ["a"]})));
    let stage = Stage::new(&fakes[..1], probed("response.json.found")).await;
    let operation = stage.post(BODY).await;
    assert_eq!(operation.end().unwrap().status, Status::Completed);
    let history = history(&stage, operation.id).await;
    let probed = probed_at(&history);
    assert!(probed.len() == 2 && probed[1] >= probed[0] + Duration::from_secs(1), "{history:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_cannot_be_rendered_leaves_the_outcome_unknown() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Reply::Reset { applied: true });
    let mut route = probed("true");
    route.probe = Some(ProbeRule { path: "/list/{{ response.json.id }}".into(), applied: "true".into() });
    let stage = Stage::new(&fakes[..1], route).await;
    let operation = stage.post(BODY).await;
    assert_eq!(outcomes(&operation), [Outcome::Unknown]);
    assert_eq!(requests(&fakes[0]), ["POST /things"]);
    let history = history(&stage, operation.id).await;
    let told = history.iter().any(|recorded| {
        matches!(&recorded.event, Event::AttemptBroke { leg: Leg::Probe, trouble, .. }
            if trouble.detail.contains("the probe could not be rendered"))
    });
    assert!(told, "the history says why: {history:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ended_under_post_is_followed_by_a_probe() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Reply::Never { applied: true });
    fakes[0].on("GET", "/list", Answer::json(200, &json!({"found": ["a"]})));
    let stage = Stage::new(&fakes[..1], probed("response.json.found")).await;
    let id = stage.accept("POST", "/things", BODY).await.unwrap().operation.id;
    fakes[0].wait_for(1).await;
    let stage = stage.restarted().await;
    let operation = stage.ended(id).await;
    assert_eq!(operation.end().unwrap().status, Status::Completed);
    assert_eq!(requests(&fakes[0]), ["POST /things", "GET /list?id=a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_target_under_a_process_that_ended_is_not_asked_twice() {
    let fakes = fakes().await;
    // It goes on with what nobody waits for any more, and is done with it after the first look.
    fakes[0].once("POST", "/things", Reply::Never { applied: true });
    fakes[0].once("GET", "/list", Answer::json(200, &json!({"found": []})));
    fakes[0].on("GET", "/list", Answer::json(200, &json!({"found": ["a"]})));
    let stage = Stage::new(&fakes[..1], probed("response.json.found")).await;
    let id = stage.accept("POST", "/things", BODY).await.unwrap().operation.id;
    fakes[0].wait_for(1).await;
    let stage = stage.restarted().await;
    let operation = stage.ended(id).await;
    assert_eq!(operation.end().unwrap().status, Status::Completed);
    assert_eq!(requests(&fakes[0]), ["POST /things", "GET /list?id=a", "GET /list?id=a"]);
    let probed = probed_at(&history(&stage, id).await);
    assert!(probed[1] >= operation.steps[0].course.first_at.unwrap() + ANSWER + SETTLE, "a restart is no answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answer_to_an_undo() {
    let fakes = fakes().await;
    let all_called = Latch::new();
    fakes[1].on("POST", "/things", Reply::from(Answer::empty(400)).after(&all_called));
    fakes[0].once("DELETE", "/things/*", Reply::Reset { applied: true });
    fakes[0].on("DELETE", "/things/*", Answer::empty(404));
    let stage = Stage::new(&fakes[..2], undone_by_name(&NAMES[..2], OnUnknown::Fail)).await;
    let operation = post_to_both(&stage, &fakes[..2], &all_called).await;
    let end = operation.end().unwrap();
    assert_eq!((end.rollback, end.consistency), (Some(RollbackResult::Completed), Consistency::RolledBack));
    assert_eq!(requests(&fakes[0]), ["POST /things", "DELETE /things/a", "DELETE /things/a"]);
    let seen = fakes[0].seen();
    assert_eq!(seen[1].header("idempotency-key"), seen[2].header("idempotency-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answer_to_an_undo_that_is_not_safe_to_repeat() {
    let fakes = fakes().await;
    let all_called = Latch::new();
    fakes[1].on("POST", "/things", Reply::from(Answer::empty(400)).after(&all_called));
    fakes[0].on("POST", "/things/a/remove", Reply::Reset { applied: true });
    let undo = RequestTemplate {
        method: Some("POST".into()),
        path: Some("/things/a/remove".into()),
        ..RequestTemplate::default()
    };
    let route = OperationSpec { undo: Some(UndoRule::Request(Box::new(undo))), ..spec(&NAMES[..2]) };
    let stage = Stage::new(&fakes[..2], route).await;
    let operation = post_to_both(&stage, &fakes[..2], &all_called).await;
    let end = operation.end().unwrap();
    assert_eq!((end.rollback, end.consistency), (Some(RollbackResult::Failed), Consistency::Unknown));
    assert_eq!(operation.steps[0].undo.as_ref().unwrap().phase, UndoPhase::Ended(UndoEnd::Unknown));
    assert_eq!(requests(&fakes[0]), ["POST /things", "POST /things/a/remove"]);
    assert_eq!(notes(&stage).await[0].attention.reason, AttentionReason::UndoFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_waits_for_an_attempt_that_broke_though_a_later_one_succeeded() {
    let fakes = fakes().await;
    let latch = Latch::new();
    fakes[0].once("PUT", "/things/1", Reply::Reset { applied: false });
    fakes[0].on("PUT", "/things/1", Answer::json(200, &json!({"id": 1})));
    fakes[1].on("PUT", "/things/1", Reply::from(Answer::empty(400)).after(&latch));
    let route = OperationSpec { step_limits: quick(), ..spec(&NAMES[..2]) };
    let mut setting = Setting::new(&fakes[..2], route);
    (setting.method, setting.pattern) = ("PUT", "/things/{id}");
    setting.target.settle = Duration::from_millis(700);
    let stage = Stage::of(setting).await;
    let id = stage.accept("PUT", "/things/1", "{}").await.unwrap().operation.id;
    fakes[1].wait_for(1).await;
    stage.until(id, |operation| operation.steps[0].outcome().is_some()).await;
    latch.open();
    let operation = stage.ended(id).await;
    assert_eq!(operation.end().unwrap().consistency, Consistency::RolledBack);
    let sent = operation.steps[0].course.first_at.unwrap();
    let undone = operation.steps[0].undo.as_ref().unwrap().course.first_at.unwrap();
    assert!(undone >= sent + ANSWER + Duration::from_millis(700), "the first attempt may still be carried out");
}

/// One target, and a route of this method to `/things/{id}`.
async fn one(fakes: &[FakeTarget], method: &str, route: OperationSpec) -> Stage {
    let mut setting = Setting::new(&fakes[..1], route);
    (setting.method, setting.pattern) = (method, "/things/{id}");
    Stage::of(setting).await
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_reset_then_404_is_success() {
    let fakes = fakes().await;
    fakes[0].once("DELETE", "/things/1", Reply::Reset { applied: true });
    fakes[0].on("DELETE", "/things/1", Answer::empty(404));
    let stage = one(&fakes, "DELETE", spec(&NAMES[..1])).await;
    let id = stage.accept("DELETE", "/things/1", "").await.unwrap().operation.id;
    let operation = stage.ended(id).await;
    assert_eq!(operation.end().unwrap().status, Status::Completed);
    assert_eq!(fakes[0].seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn put_timed_out_then_412() {
    let fakes = fakes().await;
    fakes[0].once("PUT", "/things/1", Reply::Never { applied: true });
    fakes[0].on("PUT", "/things/1", Answer::empty(412));
    let mut route = spec(&NAMES[..1]);
    route.forward_headers = vec!["if-match".to_owned()];
    route.step_limits.response = Some(Duration::from_millis(100));
    let stage = one(&fakes, "PUT", route).await;
    let version = [("if-match", "\"1\"")];
    let id = stage.accept_with("PUT", "/things/1", "{}", &version).await.unwrap().operation.id;
    let operation = stage.ended(id).await;
    // Our own first attempt may be what changed the version.
    assert_eq!(outcomes(&operation), [Outcome::Unknown]);
    assert_eq!(fakes[0].seen().len(), 2);
    assert_eq!(fakes[0].seen()[1].header("if-match"), Some("\"1\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn put_timed_out_then_412_and_a_probe_tells() {
    let fakes = fakes().await;
    fakes[0].once("PUT", "/things/1", Reply::Never { applied: true });
    fakes[0].on("PUT", "/things/1", Answer::empty(412));
    fakes[0].on("GET", "/things/1", Answer::json(200, &json!({"size": 2})));
    let mut route = spec(&NAMES[..1]);
    let applied = "response.json.size == request.json.size".to_owned();
    route.probe = Some(ProbeRule { path: "/things/{{ path.id }}".into(), applied });
    route.step_limits.response = Some(Duration::from_millis(100));
    let stage = one(&fakes, "PUT", route).await;
    let id = stage.accept("PUT", "/things/1", "{\"size\":2}").await.unwrap().operation.id;
    let operation = stage.ended(id).await;
    assert_eq!(operation.end().unwrap().status, Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_was_lost_and_then_answered_412_is_settled_by_a_look() {
    let fakes = fakes().await;
    let (all_called, resources) = (Latch::new(), Resources::new());
    resources.put("/things/1", "{\"size\":1}");
    fakes[0].serve(resources.clone());
    fakes[1].on("GET", "/things/1", Answer::text(200, "old"));
    fakes[1].on("PUT", "/things/1", Reply::from(Answer::empty(422)).after(&all_called));
    let mut route = spec(&NAMES[..2]);
    route.undo = Some(UndoRule::Restore);
    let mut setting = Setting::new(&fakes[..2], route);
    (setting.method, setting.pattern) = ("PUT", "/things/{id}");
    let stage = Stage::of(setting).await;
    let id = stage.accept("PUT", "/things/1", "{\"size\":2}").await.unwrap().operation.id;
    fakes[1].wait_for(2).await;
    stage.until(id, |operation| operation.steps[0].outcome().is_some()).await;
    // The undo is carried out, its answer lost: its own repetition finds another version than it expects.
    fakes[0].once("PUT", "/things/1", Reply::Reset { applied: true });
    resources.put("/things/1", "{\"size\":1}");
    all_called.open();
    let operation = stage.ended(id).await;
    assert_eq!(operation.steps[0].undo.as_ref().unwrap().phase, UndoPhase::Ended(UndoEnd::Undone));
    assert_eq!(operation.end().unwrap().consistency, Consistency::RolledBack);
    let puts: Vec<String> = requests(&fakes[0]).into_iter().filter(|request| request.starts_with("PUT")).collect();
    assert_eq!(puts.len(), 3, "the change, the undo, and the undo once more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_keep_alive_connection_under_post_makes_no_unknown() {
    let mut fakes = fakes().await;
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    for round in 1..=5 {
        assert_eq!(stage.post(BODY).await.end().unwrap().status, Status::Completed);
        assert_eq!(fakes[0].seen().len(), round);
        // The target closes what it keeps alive, and is there again.
        fakes[0].start_again().await;
        fakes[0].wait_until_left_alone().await;
    }
}
