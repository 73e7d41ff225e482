//! Retries: what is left of an operation that failed or was canceled, as a new one.

use std::sync::Arc;

use fanfold_core::dialect::Refusal;
use fanfold_core::operation::{Consistency, Outcome, Stage as OperationStage, Status};
use fanfold_core::plan::{OnFailure, OnLocked, Order, RequestTemplate, Require, UndoRule};
use fanfold_core::route::spec::OperationSpec;
use fanfold_core::{Access, Operation, OperationId};
use fanfold_engine::{AcceptOutcome, Clock as _, Resolution, RetryRequest, SystemClock};
use fanfold_store::{LockPlace, NoteFilter, Page};
use fanfold_testkit::Latch;
use fanfold_testkit::fake::{Answer, FakeTarget, Reply};
use jiff::SignedDuration;

use super::stage::{NAMES, Setting, Stage, fakes, spec};
use super::webhooks::{OLD, secret};

async fn retry(stage: &Stage, id: OperationId, force: bool) -> Result<AcceptOutcome, Refusal> {
    retry_with(stage, id, force, &[]).await
}

pub(super) async fn retry_with(
    stage: &Stage,
    id: OperationId,
    force: bool,
    headers: &[(&str, &str)],
) -> Result<AcceptOutcome, Refusal> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    stage.engine.retry(RetryRequest { access: &Access::full(), id, force, by: "ann", headers }).await
}

/// Why a retry is not possible, in words.
pub(super) async fn refused(stage: &Stage, id: OperationId) -> String {
    match retry(stage, id, false).await {
        Err(Refusal::NotPossible { detail }) => detail,
        other => panic!("{other:?}"),
    }
}

/// The rules of a route where what succeeded stays, once a person has ended it as it is.
fn held(names: &[&str]) -> OperationSpec {
    OperationSpec { on_failure: OnFailure::Hold, ..spec(names) }
}

async fn ended_as_it_is(stage: &Stage, id: OperationId) -> Arc<Operation> {
    stage.until(id, |operation| matches!(operation.stage, OperationStage::Deciding { .. })).await;
    let note = stage.store.notes(&NoteFilter::default(), Page::newest(1)).await.unwrap()[0].id;
    stage.engine.resolve(note, Resolution::EndAsItIs, "ann".to_owned(), None).await.unwrap();
    stage.ended(id).await
}

/// Accepts an operation that fails at `osaka` after it has succeeded elsewhere.
async fn failing_at_osaka(stage: &Stage, fakes: &[FakeTarget]) -> OperationId {
    let others = Latch::new();
    fakes[1].once("POST", "/things", Reply::from(Answer::empty(409)).after(&others));
    let id = stage.accept("POST", "/things", "{\"n\":1}").await.unwrap().operation.id;
    let done = |operation: &Operation, step: usize| operation.steps[step].outcome() == Some(Outcome::Succeeded);
    stage.until(id, |operation| done(operation, 0) && done(operation, 2)).await;
    others.open();
    id
}

/// An operation that failed at `osaka`, and that a person ended as it is.
async fn half_done(fakes: &[FakeTarget]) -> (Stage, Arc<Operation>) {
    let stage = Stage::new(fakes, held(&NAMES)).await;
    let id = failing_at_osaka(&stage, fakes).await;
    let operation = ended_as_it_is(&stage, id).await;
    (stage, operation)
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_calls_only_what_is_not_there() {
    let fakes = fakes().await;
    let (stage, first) = half_done(&fakes).await;
    assert_eq!((first.status(), first.consistency()), (Status::Failed, Consistency::NotConsistent));
    let accepted = retry(&stage, first.id, false).await.unwrap().operation;
    assert_eq!(accepted.plan.retry_of, Some(first.id));
    let second = stage.ended(accepted.id).await;
    assert_eq!((second.status(), second.consistency()), (Status::Completed, Consistency::Updated));
    assert_eq!(fakes.each_ref().map(|fake| fake.seen().len()), [1, 2, 1]);
    let seen = fakes[1].seen();
    assert_eq!((&seen[1].uri, &seen[1].body), (&seen[0].uri, &seen[0].body));
    assert_ne!(seen[1].header("idempotency-key"), seen[0].header("idempotency-key"), "it is another operation");
    let again = refused(&stage, first.id).await;
    assert!(again.contains(&second.id.to_string()) && again.contains("nothing is left"), "{again}");
    assert!(refused(&stage, second.id).await.contains("was completed"));
    assert_eq!(stage.ended(second.id).await.plan.retry_of, Some(first.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_of_a_running_or_completed_one_is_refused() {
    let fakes = fakes().await;
    let answer = Latch::new();
    fakes[0].once("POST", "/things", Reply::from(Answer::json(201, &serde_json::json!({ "id": 1 }))).after(&answer));
    let stage = Stage::new(&fakes, spec(&NAMES)).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    fakes[0].wait_for(1).await;
    assert!(refused(&stage, id).await.contains("has not ended"));
    answer.open();
    stage.ended(id).await;
    assert!(refused(&stage, id).await.contains("was completed"));
    assert!(matches!(retry(&stage, OperationId::from_bytes([1; 16]), false).await, Err(Refusal::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_is_refused_while_unknown_and_can_be_forced() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Reply::Reset { applied: true });
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    let first = stage.post("{}").await;
    assert_eq!((first.status(), first.consistency()), (Status::Failed, Consistency::Unknown));
    let detail = refused(&stage, first.id).await;
    assert!(detail.contains("tokyo") && detail.contains("`force`"), "{detail}");
    assert_eq!(fakes[0].seen().len(), 1);
    let forced = retry(&stage, first.id, true).await.unwrap().operation;
    assert_eq!(forced.plan.front.attributes.get(fanfold_core::retry::FORCED_BY).map(String::as_str), Some("ann"));
    let retried = stage.ended(forced.id).await;
    assert_eq!(retried.status(), Status::Completed);
    assert_eq!((first.submitted_by.as_deref(), retried.submitted_by.as_deref()), (Some("a client"), Some("ann")));
    assert_eq!(fakes[0].seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_retries_at_once_one_is_accepted() {
    let fakes = fakes().await;
    let (stage, first) = half_done(&fakes).await;
    let answer = Latch::new();
    fakes[1].once("POST", "/things", Reply::from(Answer::empty(409)).after(&answer));
    let (one, other) = tokio::join!(retry(&stage, first.id, false), retry(&stage, first.id, false));
    let (one, other) = if one.is_ok() { (one, other) } else { (other, one) };
    let (Ok(accepted), Err(Refusal::NotPossible { detail })) = (&one, &other) else { panic!("{one:?} {other:?}") };
    assert!(detail.contains("has not ended yet"), "{detail}");
    let id = accepted.operation.id;
    answer.open();
    let second = stage.ended(id).await;
    assert_eq!((second.status(), second.consistency()), (Status::Failed, Consistency::RolledBack));
    assert!(refused(&stage, first.id).await.contains("retry that one"));
    let third = retry(&stage, id, false).await.unwrap().operation;
    assert_eq!(stage.ended(third.id).await.status(), Status::Completed);
    assert_eq!(fakes.each_ref().map(|fake| fake.seen().len()), [1, 3, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_calls_what_was_undone_again() {
    let fakes = fakes().await;
    let stage = Stage::new(&fakes, spec(&NAMES)).await;
    let id = failing_at_osaka(&stage, &fakes).await;
    assert_eq!(stage.ended(id).await.consistency(), Consistency::RolledBack);
    let second = retry(&stage, id, false).await.unwrap().operation.id;
    let second = stage.ended(second).await;
    assert_eq!((second.status(), second.consistency()), (Status::Completed, Consistency::Updated));
    assert_eq!(fakes.each_ref().map(|fake| fake.seen().len()), [3, 2, 3], "a change, an undo and a change again");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_goes_in_sequence() {
    let fakes = fakes().await;
    fakes[1].once("POST", "/things", Answer::empty(409));
    let stage = Stage::new(&fakes, OperationSpec { order: Order::Sequence, ..held(&NAMES) }).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    let first = ended_as_it_is(&stage, id).await;
    assert_eq!(first.steps[2].outcome(), Some(Outcome::Skipped));
    let answer = Latch::new();
    fakes[1].once("POST", "/things", Reply::from(Answer::empty(201)).after(&answer));
    let id = retry(&stage, first.id, false).await.unwrap().operation.id;
    fakes[1].wait_for(2).await;
    assert_eq!(fakes[2].seen().len(), 0, "its turn is after that of the one before it");
    answer.open();
    assert_eq!(stage.ended(id).await.status(), Status::Completed);
    assert_eq!(fakes.each_ref().map(|fake| fake.seen().len()), [1, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_needs_only_what_is_missing_to_the_quorum() {
    let fakes = fakes().await;
    for fake in &fakes[1..] {
        fake.once("POST", "/things", Answer::empty(409));
    }
    let stage = Stage::new(&fakes, OperationSpec { require: Require::AtLeast(2), ..held(&NAMES) }).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    let first = ended_as_it_is(&stage, id).await;
    assert_eq!(first.status(), Status::Failed);
    fakes[2].once("POST", "/things", Answer::empty(409));
    let second = retry(&stage, first.id, false).await.unwrap().operation.id;
    let second = stage.ended(second).await;
    assert_eq!((second.status(), second.consistency()), (Status::Completed, Consistency::NotConsistent));
    assert_eq!(fakes.each_ref().map(|fake| fake.seen().len()), [1, 2, 2]);
}

/// An operation that failed, and another one that holds the lock of both until its target answers.
async fn locked(fake: &FakeTarget, on_locked: OnLocked, answer: &Latch) -> (Stage, OperationId, OperationId) {
    fake.once("POST", "/things", Answer::empty(409));
    let lock = Some(("thing".to_owned(), on_locked));
    let stage = Stage::new(std::slice::from_ref(fake), OperationSpec { lock, ..spec(&NAMES[..1]) }).await;
    let first = stage.post("{}").await.id;
    fake.once("POST", "/things", Reply::from(Answer::empty(201)).after(answer));
    let holder = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    fake.wait_for(2).await;
    (stage, first, holder)
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_is_refused_while_somebody_else_holds_the_lock() {
    let (fake, answer) = (FakeTarget::start().await, Latch::new());
    let (stage, first, holder) = locked(&fake, OnLocked::Reject, &answer).await;
    assert!(matches!(retry(&stage, first, false).await, Err(Refusal::Locked { .. })));
    answer.open();
    stage.ended(holder).await;
    fake.once("POST", "/things", Answer::empty(201));
    let id = retry(&stage, first, false).await.unwrap().operation.id;
    assert_eq!(stage.ended(id).await.status(), Status::Completed, "what was refused left no trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_waits_its_turn_for_a_lock() {
    let (fake, answer) = (FakeTarget::start().await, Latch::new());
    let (stage, first, holder) = locked(&fake, OnLocked::Queue, &answer).await;
    let id = retry(&stage, first, false).await.unwrap().operation.id;
    assert_eq!(stage.store.lock_place(id).await.unwrap(), Some(LockPlace::Waiting { position: 1 }));
    assert_eq!(stage.engine.operation(id).await.unwrap().unwrap().status(), Status::Unexecuted);
    fake.once("POST", "/things", Answer::empty(201));
    answer.open();
    let (holder, second) = (stage.ended(holder).await, stage.ended(id).await);
    assert_eq!((holder.status(), second.status()), (Status::Completed, Status::Completed));
    assert!(second.started_at >= Some(holder.end().unwrap().at));
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_of_a_retry_see_the_first_id() {
    let fakes = fakes().await;
    for fake in &fakes[..2] {
        fake.on("PUT", "/things/*", Answer::empty(204));
    }
    let by_id = |method: &str| RequestTemplate {
        method: Some(method.into()),
        path: Some("/things/{{ operation.id }}".into()),
        ..RequestTemplate::default()
    };
    let undo = Some(UndoRule::Request(Box::new(by_id("DELETE"))));
    let route = OperationSpec { request: by_id("PUT"), undo, order: Order::Sequence, ..spec(&NAMES[..2]) };
    let stage = Stage::new(&fakes[..2], route).await;
    let mut id = None;
    let mut first = None;
    for _ in 0..3 {
        fakes[1].once("PUT", "/things/*", Answer::empty(409));
        let accepted = match id {
            None => stage.accept("POST", "/things", "{}").await,
            Some(id) => retry(&stage, id, false).await,
        };
        let ended = stage.ended(accepted.unwrap().operation.id).await;
        assert_eq!(ended.consistency(), Consistency::RolledBack);
        id = Some(ended.id);
        first = first.or(id);
    }
    let path = format!("/things/{}", first.unwrap());
    let seen: Vec<_> = fakes[0].seen().into_iter().map(|seen| (seen.method.clone(), seen.path().to_owned())).collect();
    let pair = [("PUT".to_owned(), path.clone()), ("DELETE".to_owned(), path)];
    assert_eq!(seen, [pair.clone(), pair.clone(), pair].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_keys_of_a_retry_are_its_own() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Answer::empty(409));
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    let key = [("idempotency-key", "k")];
    let first = stage.accept_with("POST", "/things", "{}", &key).await.unwrap().operation.id;
    stage.ended(first).await;
    assert!(matches!(retry_with(&stage, first, false, &key).await, Err(Refusal::KeyReused { .. })));
    let other = [("idempotency-key", "other")];
    let second = retry_with(&stage, first, false, &other).await.unwrap();
    let again = retry_with(&stage, first, false, &other).await.unwrap();
    assert_eq!((second.repeated, again.repeated, again.operation.id), (false, true, second.operation.id));
    stage.ended(second.operation.id).await;
    let misplaced = retry_with(&stage, first, false, &[("fanfold-retry-of", &first.to_string())]).await;
    assert!(matches!(misplaced, Err(Refusal::BadValue { .. })), "{misplaced:?}");
    // The key of the original still gives the original.
    let same = stage.accept_with("POST", "/things", "{}", &key).await.unwrap();
    assert_eq!((same.repeated, same.operation.id), (true, first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_tells_whom_the_first_told() {
    let (fakes, receiver) = (fakes().await, FakeTarget::start().await);
    receiver.on("POST", "/*", Answer::empty(204));
    fakes[0].once("POST", "/things", Answer::empty(409));
    fakes[0].once("POST", "/things", Answer::empty(409));
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    setting.config.notices.secrets = vec![secret(OLD)];
    let stage = Stage::of(setting).await;
    let mine = format!("{}/mine", receiver.url());
    let accepted = stage.accept_with("POST", "/things", "{}", &[("fanfold-callback-url", &mine)]).await;
    let first = stage.ended(accepted.unwrap().operation.id).await.id;
    let second = stage.ended(retry(&stage, first, false).await.unwrap().operation.id).await.id;
    let other = format!("{}/other", receiver.url());
    let third = retry_with(&stage, second, false, &[("fanfold-callback-url", &other)]).await.unwrap().operation.id;
    stage.ended(third).await;
    receiver.wait_for(3).await;
    let seen = receiver.seen();
    let told = |path: &str| -> Vec<String> {
        let seen = seen.iter().filter(|seen| seen.path() == path);
        let mut ids: Vec<_> = seen.map(|seen| seen.json()["data"]["id"].as_str().unwrap().to_owned()).collect();
        // Between operations notices have no order.
        ids.sort_unstable();
        ids
    };
    assert_eq!(told("/mine"), [first.to_string(), second.to_string()]);
    assert_eq!(told("/other"), [third.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_can_start_later() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Answer::empty(409));
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    let first = stage.post("{}").await.id;
    let start_at = "2999-01-01T00:00:00Z";
    assert!(matches!(
        retry_with(&stage, first, false, &[("fanfold-start-at", start_at)]).await,
        Err(Refusal::OutOfRange { .. })
    ));
    let start_at = SystemClock.now() + SignedDuration::from_hours(1);
    let second = retry_with(&stage, first, false, &[("fanfold-start-at", &start_at.to_string())]).await;
    let second = second.unwrap().operation;
    assert_eq!((second.status(), second.plan.start_at), (Status::Unexecuted, Some(start_at)));
}
