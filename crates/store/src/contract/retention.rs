use std::time::Duration;

use bytes::Bytes;
use fanfold_core::{Effect, Operation, Plan, Scope, Slot, StepIndex, TenantId};

use super::Factory;
use super::fixtures::{
    RETENTION, accept, accept_plain, acceptance, answer, at, begun, commit, end, ended, keyed, large, note, notice,
    plan, policy,
};
use crate::{
    Acceptance, Closed, Commit, Counts, EventNumber, Events, Filter, Limits, NoteFilter, NoticeFilter, NoticeId,
    NoticeOutcome, Page, Store, Swept,
};

const DAY: i64 = 24 * 60 * 60;

async fn ids(store: &dyn Store) -> Vec<fanfold_core::OperationId> {
    let all = store.list(&Filter::default(), Page::newest(100)).await.unwrap();
    all.into_iter().rev().map(|operation| operation.id).collect()
}

/// Everything that can hang on an operation, which then has ended at second 10.
async fn laden(store: &dyn Store) -> Operation {
    let mut large_plan = plan();
    large_plan.request.body = fanfold_core::Body::inline(large(b'r'));
    let given = Acceptance {
        sealed: [Slot::Request, Slot::Callback].map(|slot| (slot, Bytes::from_static(b"original"))).into(),
        owner: Some("o".to_owned()),
        events: vec![(at(1), fanfold_core::Event::LockGranted)],
        ..keyed("k", 1, acceptance(1, at(1), large_plan))
    };
    let accepted = accept(store, given).await.0;
    let mut next = begun(&accepted, at(2));
    next.steps[0].course.answer = Some(answer(200, large(b'a')));
    let effects = vec![Effect::OpenAttention(note(Some(0), "tokyo"))];
    let notices = vec![notice("n", at(2))];
    let next = *commit(store, Commit { effects, notices, ..Commit::new(next) }).await.operation;
    let close = Effect::CloseAttention { step: Some(StepIndex(0)), by: "anna".to_owned(), remark: None };
    let last = Commit {
        effects: vec![close, Effect::Finish],
        ..Commit::new(ended(&next, fanfold_core::operation::Status::Failed, at(10)))
    };
    store.record_notice(&NoticeId("n".to_owned()), NoticeOutcome::Delivered { at: at(3) }).await.unwrap();
    *commit(store, last).await.operation
}

pub(super) async fn what_has_expired_is_deleted(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let operation = laden(&*store).await;
    let expiry = at(10) + jiff::SignedDuration::try_from(RETENTION).unwrap();
    let just_before = expiry - jiff::SignedDuration::from_secs(1);
    assert_eq!(store.sweep(just_before, 10).await.unwrap(), Swept::default());
    assert_eq!(store.sweep(expiry, 10).await.unwrap(), Swept { deleted: 1, more: false });
    assert_eq!(store.operation(operation.id).await.unwrap(), None);
    assert!(store.bodies(operation.id).await.unwrap().is_empty());
    assert!(store.history(operation.id, EventNumber::default(), 9).await.unwrap().is_empty());
    assert!(store.notes(&NoteFilter::default(), Page::newest(9)).await.unwrap().is_empty());
    assert!(store.notices(&NoticeFilter::default(), Page::newest(9)).await.unwrap().is_empty());
    assert_eq!(store.counts(Some(&TenantId::default())).await.unwrap(), Counts::new());
    assert_eq!(store.latest_event().await.unwrap(), EventNumber(1), "numbers are not used again");
    let left = store.events(&TenantId::default(), &Scope::default(), EventNumber::default(), 9).await.unwrap();
    assert_eq!(left, Events { list: Vec::new(), deleted_to: EventNumber(1) }, "what is missing is told");
    // The idempotency key went with it.
    accept(&*store, keyed("k", 2, acceptance(2, expiry, plan()))).await;
}

pub(super) async fn what_is_needed_is_kept(fresh: Factory<'_>) {
    let store = fresh(Limits { size_soft: Some(0), keep_min: Duration::ZERO, ..Limits::default() });
    let open = accept_plain(&*store, 1).await;
    let running = accept_plain(&*store, 2).await;
    commit(&*store, Commit::new(begun(&running, at(5)))).await;
    let flagged = accept_plain(&*store, 3).await;
    let effects = vec![Effect::OpenAttention(note(None, "tokyo"))];
    commit(&*store, Commit { effects, ..Commit::new(ended(&flagged, fanfold_core::operation::Status::Failed, at(5))) })
        .await;
    let untold = accept_plain(&*store, 4).await;
    let notices = vec![notice("n", at(5))];
    commit(
        &*store,
        Commit { notices, ..Commit::new(ended(&untold, fanfold_core::operation::Status::Completed, at(5))) },
    )
    .await;
    let far = at(10_000 * DAY);
    assert_eq!(store.sweep(far, 10).await.unwrap(), Swept::default());
    assert_eq!(ids(&*store).await, [open.id, running.id, flagged.id, untold.id]);

    let page = Page::newest(1);
    let attention = store.notes(&NoteFilter::default(), page).await.unwrap()[0].id;
    store.acknowledge(attention, Closed { at: far, by: "anna".to_owned(), remark: None }).await.unwrap();
    store
        .record_notice(&NoticeId("n".to_owned()), NoticeOutcome::Dead { error: "gone".to_owned(), at: far })
        .await
        .unwrap();
    assert_eq!(store.sweep(far, 10).await.unwrap(), Swept { deleted: 2, more: false });
    assert_eq!(ids(&*store).await, [open.id, running.id]);
}

pub(super) async fn a_store_that_is_too_large_deletes_the_oldest(fresh: Factory<'_>) {
    let store = fresh(Limits { size_soft: Some(0), keep_min: Duration::from_secs(100), ..Limits::default() });
    let size = store.size().await.unwrap();
    assert_eq!((size.soft, size.hard), (Some(0), None));
    let mut all = Vec::new();
    for (number, ended_at, retention_days) in [(1, 300, 30), (2, 100, 30), (3, 200, 1), (4, 900, 30)] {
        let plan =
            Plan { policy: policy(&["tokyo", "osaka"], Duration::from_secs(retention_days * 24 * 60 * 60)), ..plan() };
        let operation = accept(&*store, acceptance(number, at(1), plan)).await.0;
        all.push(end(&*store, &operation, at(ended_at)).await.operation.id);
    }
    assert!(store.size().await.unwrap().used > 0);
    // At second 450 those that ended at second 350 or before may go, the longest ended first.
    assert_eq!(store.sweep(at(450), 1).await.unwrap(), Swept { deleted: 1, more: true });
    assert_eq!(ids(&*store).await, [all[0], all[2], all[3]]);
    // What has expired goes before what has not.
    assert_eq!(store.sweep(at(200 + DAY), 1).await.unwrap(), Swept { deleted: 1, more: true });
    assert_eq!(ids(&*store).await, [all[0], all[3]]);
    assert_eq!(store.sweep(at(450), 9).await.unwrap(), Swept { deleted: 1, more: false });
    assert_eq!(ids(&*store).await, [all[3]]);
    assert_eq!(store.sweep(at(999), 9).await.unwrap(), Swept::default(), "too young");
}
