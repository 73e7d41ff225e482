//! Notes that a person is needed: resolved while the operation runs, acknowledged once it has ended.

use std::sync::Arc;

use fanfold_core::operation::{Consistency, Deadline, Outcome, RollbackResult, Stage as OperationStage, Status};
use fanfold_core::plan::{OnFailure, OnUndoFailure, OnUnknown};
use fanfold_core::{Operation, OperationId};
use fanfold_engine::target::TargetState;
use fanfold_engine::{Error, Resolution};
use fanfold_store::{AttentionId, Note, NoteFilter, Page};
use fanfold_testkit::Latch;
use fanfold_testkit::fake::{Answer, FakeTarget, Reply};

use super::stage::{NAMES, Stage, fakes, spec};

/// The only note that is open.
async fn open_note(stage: &Stage) -> Note {
    let filter = NoteFilter { open: Some(true), ..NoteFilter::default() };
    let mut notes = stage.store.notes(&filter, Page::newest(9)).await.unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    notes.remove(0)
}

async fn resolve(stage: &Stage, note: AttentionId, answer: Resolution) -> Result<Arc<Operation>, Error> {
    stage.engine.resolve(note, answer, "ann".to_owned(), Some("looked at it".to_owned())).await
}

/// Two targets, the second of which did it, perhaps, and did not say so: a person is asked.
async fn asked(fakes: &[FakeTarget]) -> (Stage, OperationId) {
    fakes[1].once("POST", "/things", Reply::Reset { applied: true });
    let mut route = spec(&NAMES[..2]);
    route.on_unknown = OnUnknown::Hold;
    let stage = Stage::new(&fakes[..2], route).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    let is_asked = |operation: &Operation| {
        operation.steps[0].outcome().is_some() && matches!(operation.deadline, Deadline::Paused(_))
    };
    stage.until(id, is_asked).await;
    (stage, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_says_that_it_was_applied() {
    let fakes = fakes().await;
    let (stage, id) = asked(&fakes).await;
    let note = open_note(&stage).await;
    assert_eq!(Resolution::taken_by(&note), [Resolution::Applied, Resolution::NotApplied]);
    let wrong = resolve(&stage, note.id, Resolution::Retry).await.unwrap_err();
    assert!(matches!(&wrong, Error::NotAsked(text) if text.ends_with("applied, not_applied")), "{wrong}");
    let early = stage.engine.acknowledge(note.id, "ann".to_owned(), None).await.unwrap_err();
    assert!(matches!(&early, Error::NotAsked(text) if text.contains("resolve the note with")), "{early}");

    resolve(&stage, note.id, Resolution::Applied).await.unwrap();
    let operation = stage.ended(id).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Completed, Consistency::Updated));
    let closed = stage.store.note(note.id).await.unwrap().unwrap().closed.unwrap();
    assert_eq!((closed.by.as_str(), closed.remark.as_deref()), ("ann", Some("looked at it")));
    let twice = resolve(&stage, note.id, Resolution::NotApplied).await.unwrap_err();
    assert!(matches!(&twice, Error::NotAsked(text) if text.contains("closed already, by ann")), "{twice}");
    assert_eq!(fakes[1].seen().len(), 1, "nothing was sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_says_after_a_restart_that_it_was_not_applied() {
    let fakes = fakes().await;
    let (stage, id) = asked(&fakes).await;
    let stage = stage.restarted().await;
    let note = open_note(&stage).await;
    assert!(matches!(stage.engine.operation(id).await.unwrap().unwrap().deadline, Deadline::Paused(_)));
    resolve(&stage, note.id, Resolution::NotApplied).await.unwrap();
    let operation = stage.ended(id).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::RolledBack));
    let methods: Vec<_> = fakes[0].seen().iter().map(|seen| seen.method.clone()).collect();
    assert_eq!(methods, ["POST", "DELETE"], "what succeeded is undone");
    assert_eq!(fakes[1].seen().len(), 1);
}

/// The first target succeeds, the second one refuses as long as it is told to: a person chooses.
async fn choosing(fakes: &[FakeTarget]) -> (Stage, OperationId, AttentionId) {
    let first = Latch::new();
    fakes[1].once("POST", "/things", Reply::from(Answer::empty(409)).after(&first));
    let mut route = spec(&NAMES[..2]);
    route.on_failure = OnFailure::Hold;
    let stage = Stage::new(&fakes[..2], route).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    stage.until(id, |operation| operation.steps[0].outcome() == Some(Outcome::Succeeded)).await;
    first.open();
    stage.until(id, |operation| matches!(operation.stage, OperationStage::Deciding { .. })).await;
    let note = open_note(&stage).await;
    assert_eq!(Resolution::taken_by(&note), [Resolution::Retry, Resolution::RollBack, Resolution::EndAsItIs]);
    let wrong = resolve(&stage, note.id, Resolution::Applied).await.unwrap_err();
    assert!(matches!(&wrong, Error::NotAsked(text) if text.ends_with("retry, roll_back, end_as_it_is")), "{wrong}");
    (stage, id, note.id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_what_failed_sent_again() {
    let fakes = fakes().await;
    let (stage, id, note) = choosing(&fakes).await;
    resolve(&stage, note, Resolution::Retry).await.unwrap();
    let operation = stage.ended(id).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Completed, Consistency::Updated));
    assert_eq!((fakes[0].seen().len(), fakes[1].seen().len()), (1, 2), "what succeeded is not sent again");
    let keys: Vec<_> = fakes[1].seen().iter().map(|seen| seen.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_what_succeeded_undone() {
    let fakes = fakes().await;
    let (stage, id, note) = choosing(&fakes).await;
    let stage = stage.restarted().await;
    resolve(&stage, note, Resolution::RollBack).await.unwrap();
    let operation = stage.ended(id).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::RolledBack));
    assert_eq!(end.rollback, Some(RollbackResult::Completed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_ends_it_as_it_is() {
    let fakes = fakes().await;
    let (stage, id, note) = choosing(&fakes).await;
    resolve(&stage, note, Resolution::EndAsItIs).await.unwrap();
    let operation = stage.ended(id).await;
    let end = operation.end().unwrap();
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::NotConsistent));
    assert_eq!(end.rollback, Some(RollbackResult::None));
    assert_eq!(fakes[0].seen().len(), 1, "nothing is undone");
    let late = resolve(&stage, note, Resolution::Retry).await.unwrap_err();
    assert!(matches!(late, Error::NotAsked(_)), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_undo_holds_its_target_until_a_person_releases_it() {
    let fakes = fakes().await;
    fakes[0].once("DELETE", "/things/*", Answer::empty(403));
    let first = Latch::new();
    fakes[1].once("POST", "/things", Reply::from(Answer::empty(409)).after(&first));
    let mut route = spec(&NAMES[..2]);
    route.on_undo_failure = OnUndoFailure::Hold;
    let stage = Stage::new(&fakes[..2], route).await;
    let id = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    stage.until(id, |operation| operation.steps[0].outcome() == Some(Outcome::Succeeded)).await;
    first.open();
    assert_eq!(stage.ended(id).await.end().unwrap().consistency, Consistency::NotConsistent);
    let state = |stage: &Stage| stage.engine.targets().get(&NAMES[0].into()).status().state;
    assert!(matches!(state(&stage), TargetState::Held { .. }));

    let stage = stage.restarted().await;
    assert!(matches!(state(&stage), TargetState::Held { .. }), "holds are kept over restarts");
    let next = stage.accept("POST", "/things", "{}").await.unwrap().operation.id;
    stage.until(next, |operation| operation.steps[1].outcome() == Some(Outcome::Succeeded)).await;
    assert_eq!(fakes[0].seen().len(), 2, "nothing goes to a target on hold");
    stage.engine.release(&NAMES[0].into()).await.unwrap();
    assert_eq!(stage.ended(next).await.status(), Status::Completed);

    let note = open_note(&stage).await;
    assert_eq!(Resolution::taken_by(&note), []);
    let late = resolve(&stage, note.id, Resolution::Applied).await.unwrap_err();
    assert!(matches!(&late, Error::NotAsked(text) if text.contains("acknowledge")), "{late}");
    stage.engine.acknowledge(note.id, "ann".to_owned(), None).await.unwrap();
}
