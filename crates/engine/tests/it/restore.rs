//! `undo = "restore"` never overwrites what somebody else wrote meanwhile.

use fanfold_core::operation::{AttentionReason, Consistency, RollbackResult, UndoEnd, UndoPhase};
use fanfold_core::plan::UndoRule;
use fanfold_store::{NoteFilter, Page};
use fanfold_testkit::Latch;
use fanfold_testkit::fake::{Answer, FakeTarget, Reply, Resources};

use super::stage::{NAMES, Setting, Stage, fakes, spec};

/// The first target is changed, then by somebody else too; only then does the second one refuse.
async fn changed_meanwhile(fakes: &[FakeTarget], resources: &Resources) -> UndoEnd {
    resources.put("/things/1", "{\"size\":1}");
    fakes[0].serve(resources.clone());
    let refuse = Latch::new();
    fakes[1].on("GET", "/things/1", Answer::text(200, "old"));
    fakes[1].on("PUT", "/things/1", Reply::from(Answer::empty(422)).after(&refuse));
    let mut route = spec(&NAMES[..2]);
    route.undo = Some(UndoRule::Restore);
    let mut setting = Setting::new(&fakes[..2], route);
    (setting.method, setting.pattern) = ("PUT", "/things/{id}");
    let stage = Stage::of(setting).await;
    let id = stage.accept("PUT", "/things/1", "{\"size\":2}").await.unwrap().operation.id;
    stage.until(id, |operation| operation.steps[0].outcome().is_some()).await;
    resources.put("/things/1", "{\"size\":3}");
    refuse.open();

    let operation = stage.ended(id).await;
    let end = operation.end().unwrap();
    assert_eq!((end.consistency, end.rollback), (Consistency::NotConsistent, Some(RollbackResult::Failed)));
    assert_eq!(resources.get("/things/1").as_deref(), Some("{\"size\":3}"), "what somebody else wrote stays");
    let notes = stage.store.notes(&NoteFilter::default(), Page::newest(9)).await.unwrap();
    assert_eq!(notes[0].attention.reason, AttentionReason::UndoFailed);
    let UndoPhase::Ended(end) = operation.steps[0].undo.as_ref().unwrap().phase else { panic!("{operation:?}") };
    end
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_conflict_on_restore() {
    let fakes = fakes().await;
    assert_eq!(changed_meanwhile(&fakes, &Resources::new()).await, UndoEnd::Conflict);
    let undo = fakes[0].seen().into_iter().rfind(|seen| seen.method == "PUT").unwrap();
    assert!(undo.header("if-match").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_on_restore_without_strong_tags() {
    let fakes = fakes().await;
    assert_eq!(changed_meanwhile(&fakes, &Resources::with_weak_tags()).await, UndoEnd::Conflict);
    let puts = fakes[0].seen().iter().filter(|seen| seen.method == "PUT").count();
    assert_eq!(puts, 1, "the comparison showed it: nothing was written");
}
