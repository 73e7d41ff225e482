//! What came from a backup, once a person releases it.

use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::operation::{Consistency, Status};
use fanfold_engine::{Clock as _, ReleaseRequest, SystemClock, mark_restored};
use fanfold_store::Filter;
use fanfold_testkit::Latch;
use fanfold_testkit::fake::{Answer, Reply};

use super::stage::{NAMES, Setting, Stage, fakes, spec};

async fn post(stage: &Stage) -> OperationId {
    stage.accept("POST", "/things", "{}").await.unwrap().operation.id
}

/// Another process on the same store, which has been restored in between.
async fn restored(stage: Stage) -> Stage {
    stage.engine.stop(Duration::ZERO).await;
    let now = SystemClock.now();
    mark_restored(stage.store.as_ref(), now, now).await.unwrap();
    // It is the same if it was broken off and is gone on with.
    assert_eq!(mark_restored(stage.store.as_ref(), now, now).await.unwrap(), 0);
    stage.restarted().await
}

fn all(dry_run: bool) -> ReleaseRequest {
    ReleaseRequest { filter: Filter::default(), after: None, dry_run, by: "ann".to_owned(), remark: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_are_released_at_once_stay_within_the_bounds() {
    const MANY: u64 = 6;
    let fakes = fakes().await;
    let mut setting = Setting::new(&fakes[..1], spec(&NAMES[..1]));
    setting.config.running_max = 2;
    let stage = Stage::of(setting).await;
    stage.engine.hold(&NAMES[0].into(), "ann".to_owned(), "test".to_owned()).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..MANY {
        ids.push(post(&stage).await);
    }
    let stage = restored(stage).await;
    assert_eq!(stage.engine.release_all_restored(all(true)).await.unwrap().found, MANY);
    let released = stage.engine.release_all_restored(all(false)).await.unwrap();
    assert_eq!((released.found, released.released, released.next), (MANY, MANY, None));
    // Those for which there is no room have not begun, so that their deadlines do not run.
    let counts = stage.store.counts(None).await.unwrap();
    assert!(counts.get(&Status::Unexecuted).is_some_and(|count| *count >= MANY - 4), "{counts:?}");
    assert!(fakes[0].seen().is_empty());
    stage.engine.release(&NAMES[0].into()).await.unwrap();
    for id in ids {
        assert_eq!(stage.ended(id).await.status(), Status::Completed);
    }
    assert!(stage.engine.release_all_restored(all(false)).await.unwrap().found == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_was_on_the_wire_in_the_backup_is_not_sent_again() {
    let fakes = fakes().await;
    let never = Latch::new();
    fakes[0].once("POST", "/things", Reply::from(Answer::empty(201)).after(&never));
    let stage = Stage::new(&fakes[..1], spec(&NAMES[..1])).await;
    let id = post(&stage).await;
    fakes[0].wait_for(1).await;
    let stage = restored(stage).await;
    let refused = stage.engine.release_restored(OperationId::from_bytes([1; 16]), "ann".to_owned(), None).await;
    assert!(matches!(refused, Err(fanfold_engine::Error::NotFound)));
    stage.engine.release_restored(id, "ann".to_owned(), None).await.unwrap();
    let operation = stage.ended(id).await;
    assert_eq!(operation.end().unwrap().consistency, Consistency::Unknown);
    assert_eq!(fakes[0].seen().len(), 1);
    let again = stage.engine.release_restored(id, "ann".to_owned(), None).await;
    assert!(matches!(again, Err(fanfold_engine::Error::NotPossible(_))));
}
