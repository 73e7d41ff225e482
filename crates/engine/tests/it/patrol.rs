//! What was forgotten is found while the engine runs; and draining.

use std::time::Duration;

use fanfold_core::dialect::Refusal;
use fanfold_core::operation::{Deadline, Gate, Leg, Status};
use fanfold_core::plan::{OnFailure, OnUnknown};
use fanfold_core::{Operation, OperationId, StepIndex};
use fanfold_engine::{Clock as _, Error, Extension, Resolution, SystemClock};
use fanfold_store::{AttentionId, Commit};
use fanfold_testkit::fake::{Answer, FakeTarget, Reply};
use fanfold_testkit::{Latch, PATIENCE};
use jiff::SignedDuration;

use super::stage::{NAMES, Setting, Stage, fakes, spec};

const ONE: StepIndex = StepIndex(0);

/// Long enough for a test to see what the latest look found.
const LOOK: Duration = Duration::from_millis(500);

async fn stage(fakes: &[FakeTarget]) -> Stage {
    let mut route = spec(&NAMES[..1]);
    route.on_unknown = OnUnknown::Hold;
    let mut setting = Setting::new(&fakes[..1], route);
    setting.config.look_after_every = LOOK;
    Stage::of(setting).await
}

async fn hold(stage: &Stage) {
    stage.engine.hold(&NAMES[0].into(), "ann".to_owned(), String::new()).await.unwrap();
}

async fn release(stage: &Stage) {
    stage.engine.release(&NAMES[0].into()).await.unwrap();
}

pub(crate) async fn soon(what: &str, mut fits: impl FnMut() -> bool) {
    let waiting = async {
        while !fits() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not so: {what}"));
}

async fn post(stage: &Stage) -> OperationId {
    stage.accept("POST", "/things", "{}").await.unwrap().operation.id
}

async fn held(stage: &Stage) -> OperationId {
    hold(stage).await;
    let id = post(stage).await;
    stage.until(id, |operation| operation.due_gate(ONE, Leg::Forward) == Some(Gate::Held)).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_was_forgotten_is_found_while_the_engine_runs() {
    let fakes = fakes().await;
    let stage = stage(&fakes).await;
    let id = held(&stage).await;
    stage.engine.stop(Duration::ZERO).await;
    // It has something to do, and nothing says when to look: no start and no sweep of the queue finds it.
    let mut forgotten: Operation = stage.store.operation(id).await.unwrap().unwrap();
    forgotten.revision = forgotten.revision.next();
    stage.store.commit(Commit { wake_at: None, ..Commit::new(forgotten) }).await.unwrap();

    let stage = stage.restarted().await;
    assert_eq!(stage.engine.running(), 0);
    let metrics = stage.engine.metrics().clone();
    soon("it is overdue", || metrics.operations_overdue() == 1).await;
    soon("it is in memory", || stage.engine.running() == 1).await;
    release(&stage).await;
    assert_eq!(stage.ended(id).await.status(), Status::Completed);
    soon("nothing is overdue any more", || metrics.operations_overdue() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_person_or_an_answer_is_not_overdue() {
    let fakes = fakes().await;
    let answer = Latch::new();
    fakes[0].once("POST", "/things", Reply::Reset { applied: true });
    fakes[0].once("POST", "/things", Reply::from(Answer::json(201, &serde_json::json!({ "id": "2" }))).after(&answer));
    let stage = stage(&fakes).await;
    let asked = post(&stage).await;
    stage.until(asked, |operation| matches!(operation.deadline, Deadline::Paused(_))).await;
    let calling = post(&stage).await;
    fakes[0].wait_for(2).await;
    let held = held(&stage).await;
    // Four rounds: what a second one would find is taken up in the third.
    let metrics = stage.engine.metrics().clone();
    let over = tokio::time::Instant::now() + LOOK * 4;
    soon("the rounds are over", || {
        assert_eq!(metrics.operations_overdue(), 0);
        tokio::time::Instant::now() > over
    })
    .await;
    answer.open();
    release(&stage).await;
    assert_eq!(stage.ended(calling).await.status(), Status::Completed, "its call was left alone");
    assert_eq!(stage.ended(held).await.status(), Status::Completed);
    assert_eq!(fakes[0].seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_what_runs_and_then_says_so() {
    let fakes = fakes().await;
    let answer = Latch::new();
    fakes[0].once("POST", "/things", Reply::from(Answer::json(201, &serde_json::json!({ "id": "1" }))).after(&answer));
    let stage = stage(&fakes).await;
    let calling = post(&stage).await;
    fakes[0].wait_for(1).await;
    let scheduled = in_two_days();
    stage.accept_with("POST", "/things", "{}", &[("fanfold-start-at", &scheduled)]).await.unwrap();
    for _ in 0..2 {
        stage.engine.drain(true);
    }
    let refused = stage.accept("POST", "/things", "{}").await;
    let Err(Refusal::Unavailable { detail, .. }) = refused else { panic!("{refused:?}") };
    assert!(detail.contains("draining") && detail.contains("resumes it"), "{detail}");
    assert!(stage.engine.is_draining() && !stage.engine.is_drained());
    answer.open();
    stage.ended(calling).await;
    soon("it is drained", || stage.engine.is_drained()).await;

    for _ in 0..2 {
        stage.engine.drain(false);
    }
    assert!(!stage.engine.is_draining() && !stage.engine.is_drained());
    assert_eq!(stage.post("{}").await.status(), Status::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_engine_still_cancels_and_resolves_and_goes_on_with_what_people_decide() {
    let fakes = fakes().await;
    fakes[0].once("POST", "/things", Reply::Reset { applied: true });
    let stage = stage(&fakes).await;
    let asked = post(&stage).await;
    stage.until(asked, |operation| matches!(operation.deadline, Deadline::Paused(_))).await;
    let first = held(&stage).await;
    let second = held(&stage).await;
    stage.engine.drain(true);
    soon("nothing but people is waited for", || stage.engine.is_drained()).await;

    stage.engine.cancel(first, "ann".to_owned()).await.unwrap();
    assert_eq!(stage.ended(first).await.status(), Status::Canceled);
    stage.engine.resolve(AttentionId(1), Resolution::Applied, "ann".to_owned(), None).await.unwrap();
    assert_eq!(stage.ended(asked).await.status(), Status::Completed);
    release(&stage).await;
    assert_eq!(stage.ended(second).await.status(), Status::Completed);
    soon("it is drained again", || stage.engine.is_drained()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_that_people_decide_about_all_at_once_stay_within_the_bounds() {
    const MANY: u64 = 6;
    let fakes = fakes().await;
    // One target refuses and the other has succeeded, so that there is something to decide.
    let mut route = spec(&NAMES[..2]);
    route.on_failure = OnFailure::Hold;
    let mut setting = Setting::new(&fakes[..2], route);
    setting.config.running_max = 2;
    let stage = Stage::of(setting).await;
    let mut asked = Vec::new();
    for _ in 0..MANY {
        fakes[0].once("POST", "/things", Answer::empty(409));
        let id = post(&stage).await;
        stage.until(id, |operation| matches!(operation.deadline, Deadline::Paused(_))).await;
        asked.push(id);
    }
    soon("all are parked", || stage.engine.running() == 0).await;
    // What is to be sent again waits, so that nothing of it leaves the memory by itself.
    hold(&stage).await;
    for number in 1..=MANY {
        stage.engine.resolve(AttentionId(number), Resolution::Retry, "ann".to_owned(), None).await.unwrap();
    }
    soon("no more are in memory than may be", || stage.engine.running() <= 2).await;
    release(&stage).await;
    for id in asked {
        assert_eq!(stage.ended(id).await.status(), Status::Completed);
    }
    assert_eq!(fakes[0].seen().len(), 2 * usize::try_from(MANY).unwrap());
}

fn in_two_days() -> String {
    (SystemClock.now() + SignedDuration::from_hours(48)).to_string()
}

fn deadline(operation: &Operation) -> jiff::Timestamp {
    let Deadline::At(at) = operation.deadline else { panic!("{:?}", operation.deadline) };
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_extended() {
    let fakes = fakes().await;
    let answer = Latch::new();
    fakes[0].once("POST", "/things", Reply::from(Answer::json(201, &serde_json::json!({ "id": "1" }))).after(&answer));
    let stage = stage(&fakes).await;
    let id = post(&stage).await;
    fakes[0].wait_for(1).await;
    let extend = |extension| stage.engine.extend(id, extension, "ann".to_owned());
    let first = deadline(&stage.engine.operation(id).await.unwrap().unwrap());
    let hour = SignedDuration::from_hours(1);
    let operation = extend(Extension::By(Duration::from_secs(3600))).await.unwrap();
    assert_eq!(deadline(&operation), first + hour);
    let until = first + hour * 2;
    for _ in 0..2 {
        assert_eq!(deadline(&extend(Extension::Until(until)).await.unwrap()), until, "asking again changes nothing");
    }
    for (extension, part) in [
        (Extension::Until(until - hour), "earlier than the present deadline"),
        (Extension::Until(first - hour * 5), "has passed already"),
        (Extension::By(Duration::from_secs(400 * 24 * 3600)), "366 days"),
    ] {
        let refused = extend(extension).await.unwrap_err();
        assert!(matches!(&refused, Error::NotAsked(text) if text.contains(part)), "{refused}");
    }
    let recorded = stage.store.operation(id).await.unwrap().unwrap();
    assert_eq!(deadline(&recorded), until, "it is kept over restarts");
    answer.open();
    stage.ended(id).await;
    let refused = extend(Extension::By(Duration::from_secs(1))).await.unwrap_err();
    assert!(matches!(&refused, Error::NotAsked(text) if text.contains("is completed")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_stands_still_is_extended_and_one_that_has_not_begun_is_not() {
    let fakes = fakes().await;
    let stage = stage(&fakes).await;
    let id = held(&stage).await;
    let left = |operation: &Operation| match operation.deadline {
        Deadline::Paused(left) => left,
        other => panic!("{other:?}"),
    };
    let before = left(&stage.engine.operation(id).await.unwrap().unwrap());
    let operation = stage.engine.extend(id, Extension::By(Duration::from_secs(3600)), "ann".to_owned()).await.unwrap();
    assert!(left(&operation) > before + Duration::from_secs(3500), "{:?}", operation.deadline);

    let scheduled = [("fanfold-start-at", in_two_days())];
    let headers = scheduled.each_ref().map(|(name, value)| (*name, value.as_str()));
    let scheduled = stage.accept_with("POST", "/things", "{}", &headers).await.unwrap().operation.id;
    let refused = stage.engine.extend(scheduled, Extension::By(Duration::from_secs(1)), "ann".to_owned()).await;
    let refused = refused.unwrap_err();
    assert!(matches!(&refused, Error::NotAsked(text) if text.contains("has not begun")), "{refused}");
}
