use std::sync::Arc;

use fanfold_core::operation::{LockState, Stage, Status};
use fanfold_core::plan::OnLocked;
use fanfold_core::{Effect, Operation, OperationId, Plan, TenantId};
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::Factory;
use super::fixtures::{
    LANE, accept, acceptance, at, begun, commit, end, ended, lock_noticed, locked_plan, released, restored,
};
use crate::{Acceptance, Accepted, Commit, Limits, LockOutcome, LockPlace, Store};

async fn queue_up(store: &dyn Store, number: u64) -> (Operation, LockOutcome) {
    let second = i64::try_from(number).unwrap();
    accept(store, acceptance(number, at(second), locked_plan("l", OnLocked::Queue))).await
}

async fn holder(store: &dyn Store) -> Option<OperationId> {
    store.lock_holder(&TenantId::default(), "l").await.unwrap()
}

pub(super) async fn a_held_lock_refuses(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (first, lock) = accept(&*store, acceptance(1, at(1), locked_plan("l", OnLocked::Reject))).await;
    assert_eq!(lock, LockOutcome::Granted);
    assert_eq!(store.lock_place(first.id).await.unwrap(), Some(LockPlace::Holder));
    let refused = store.accept(acceptance(2, at(2), locked_plan("l", OnLocked::Reject))).await;
    assert_eq!(refused, Ok(Accepted::Locked { holder: first.id }));
    accept(&*store, acceptance(3, at(3), locked_plan("another", OnLocked::Reject))).await;
    // Held from start to end, whatever happens between.
    let first = *commit(&*store, Commit::new(begun(&first, at(4)))).await.operation;
    assert_eq!(holder(&*store).await, Some(first.id));
    let granted = end(&*store, &first, at(5)).await.granted;
    assert_eq!((granted, holder(&*store).await), (None, None));
    assert_eq!(store.lock_place(first.id).await.unwrap(), None);
}

pub(super) async fn a_lock_is_queued_for_in_order(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (first, lock) = queue_up(&*store, 1).await;
    assert_eq!(lock, LockOutcome::Granted);
    let (second, lock) = queue_up(&*store, 2).await;
    assert_eq!(lock, LockOutcome::Queued);
    let (third, _) = queue_up(&*store, 3).await;
    assert_eq!(store.lock_place(second.id).await.unwrap(), Some(LockPlace::Waiting { position: 1 }));
    assert_eq!(store.lock_place(third.id).await.unwrap(), Some(LockPlace::Waiting { position: 2 }));
    assert_eq!(store.due(LANE, at(99), 10).await.unwrap(), [first.id], "who waits for a lock is not due");

    assert_eq!(end(&*store, &first, at(10)).await.granted, Some(second.id));
    assert_eq!(holder(&*store).await, Some(second.id));
    assert_eq!(store.due(LANE, at(10), 10).await.unwrap(), [second.id], "who was granted it is due at once");
    assert_eq!(store.lock_place(third.id).await.unwrap(), Some(LockPlace::Waiting { position: 1 }));
    assert_eq!(end(&*store, &second, at(11)).await.granted, Some(third.id));
    assert_eq!(end(&*store, &third, at(12)).await.granted, None);
    assert_eq!(holder(&*store).await, None);
}

pub(super) async fn a_waiting_operation_can_leave(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (first, _) = queue_up(&*store, 1).await;
    let (second, _) = queue_up(&*store, 2).await;
    let (third, _) = queue_up(&*store, 3).await;
    let canceled = commit(&*store, Commit::new(ended(&second, Status::Canceled, at(4)))).await;
    assert_eq!(canceled.granted, None);
    assert_eq!(holder(&*store).await, Some(first.id));
    assert_eq!(end(&*store, &first, at(5)).await.granted, Some(third.id));
}

pub(super) async fn a_lock_is_released_without_an_end(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (first, _) = queue_up(&*store, 1).await;
    let (second, _) = queue_up(&*store, 2).await;
    let released = Commit { effects: vec![Effect::ReleaseLock], ..Commit::new(begun(&first, at(3))) };
    let released = commit(&*store, released).await;
    assert_eq!(released.granted, Some(second.id));
    // Its own end later does not take the lock from the one that has it now.
    assert_eq!(end(&*store, &released.operation, at(4)).await.granted, None);
    assert_eq!(holder(&*store).await, Some(second.id));
}

pub(super) async fn locks_are_per_tenant(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    queue_up(&*store, 1).await;
    let mut other = acceptance(2, at(2), locked_plan("l", OnLocked::Reject));
    other.operation.tenant = TenantId::from("other");
    let (other, lock) = accept(&*store, other).await;
    assert_eq!(lock, LockOutcome::Granted);
    assert_eq!(store.lock_holder(&other.tenant, "l").await.unwrap(), Some(other.id));
}

pub(super) async fn one_of_many_gets_the_lock(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let mut tasks = JoinSet::new();
    for number in 0..64 {
        let store = Arc::clone(&store);
        let given = acceptance(number, at(1), locked_plan("l", OnLocked::Reject));
        tasks.spawn(async move { store.accept(given).await.unwrap() });
    }
    let mut holders = Vec::new();
    let mut seen = Vec::new();
    for accepted in tasks.join_all().await {
        match accepted {
            Accepted::New { operation, .. } => holders.push(operation.id),
            Accepted::Locked { holder } => seen.push(holder),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((holders.len(), seen.len()), (1, 63));
    assert!(seen.iter().all(|holder| *holder == holders[0]));
}

// Somebody else's end grants the lock between the reading and the writing of a change that knows nothing of it yet: the
// wake time of that change must not put the operation to sleep.
pub(super) async fn a_granted_lock_is_not_overslept(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (first, _) = queue_up(&*store, 1).await;
    let (second, _) = queue_up(&*store, 2).await;
    end(&*store, &first, at(3)).await;
    let unaware = Operation { revision: second.revision.next(), updated_at: at(4), ..second.clone() };
    let unaware = *commit(&*store, Commit::new(unaware)).await.operation;
    assert_eq!(store.due(LANE, at(4), 10).await.unwrap(), [second.id]);
    // Once it has noticed, it sleeps as it asks to.
    let noticed = Commit { wake_at: Some(at(60)), ..Commit::new(lock_noticed(&unaware, at(5))) };
    commit(&*store, noticed).await;
    assert!(store.due(LANE, at(59), 10).await.unwrap().is_empty());
    assert_eq!(store.due(LANE, at(60), 10).await.unwrap(), [second.id]);
}

pub(super) async fn a_lock_wakes_nothing_that_was_restored(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (first, _) = queue_up(&*store, 1).await;
    let (second, _) = queue_up(&*store, 2).await;
    let second = *commit(&*store, Commit::new(restored(&second, at(3)))).await.operation;
    assert_eq!(store.lock_place(second.id).await.unwrap(), Some(LockPlace::Waiting { position: 1 }));
    assert_eq!(end(&*store, &first, at(4)).await.granted, Some(second.id));
    assert_eq!(holder(&*store).await, Some(second.id));
    assert!(store.due(LANE, at(99), 10).await.unwrap().is_empty());
    commit(&*store, Commit::new(released(&second, at(5)))).await;
    assert_eq!(store.due(LANE, at(99), 10).await.unwrap(), [second.id]);
}

pub(super) async fn the_queue_of_a_lock_is_bounded(fresh: Factory<'_>) {
    let store = fresh(Limits { lock_queue_max: 2, ..Limits::default() });
    let (first, _) = queue_up(&*store, 1).await;
    queue_up(&*store, 2).await;
    let (third, _) = queue_up(&*store, 3).await;
    let fourth = acceptance(4, at(4), locked_plan("l", OnLocked::Queue));
    assert_eq!(store.accept(fourth.clone()).await, Ok(Accepted::LockQueueFull { waiting: 2 }));
    assert_eq!(store.operation(fourth.operation.id).await.unwrap(), None);
    // One that leaves makes room, wherever it stood.
    commit(&*store, Commit::new(ended(&third, Status::Canceled, at(5)))).await;
    assert_eq!(accept(&*store, fourth).await.1, LockOutcome::Queued);
    let fifth = acceptance(5, at(6), locked_plan("l", OnLocked::Queue));
    assert_eq!(store.accept(fifth.clone()).await, Ok(Accepted::LockQueueFull { waiting: 2 }));
    end(&*store, &first, at(7)).await;
    assert_eq!(accept(&*store, fifth).await.1, LockOutcome::Queued);
}

fn scheduled(number: u64, start_at: Timestamp, on_locked: OnLocked) -> Acceptance {
    let second = i64::try_from(number).unwrap();
    let plan = Plan { start_at: Some(start_at), ..locked_plan("l", on_locked) };
    Acceptance { wake_at: Some(start_at), ..acceptance(number, at(second), plan) }
}

// An operation that waits for its start time does nothing yet, so it keeps nobody waiting, and nobody keeps it from being
// accepted. From its start time on it waits its turn.
pub(super) async fn a_lock_is_queued_for_from_the_start_time_on(fresh: Factory<'_>) {
    let store = fresh(Limits { lock_queue_max: 1, ..Limits::default() });
    let (later, lock) = accept(&*store, scheduled(1, at(50), OnLocked::Reject)).await;
    assert_eq!((lock, holder(&*store).await), (LockOutcome::Later, None));
    assert_eq!(store.lock_place(later.id).await.unwrap(), None);
    assert_eq!(store.due(LANE, at(50), 10).await.unwrap(), [later.id], "it is due at its start time");
    let (first, lock) = queue_up(&*store, 2).await;
    assert_eq!(lock, LockOutcome::Granted);
    queue_up(&*store, 3).await;
    let (last, lock) = accept(&*store, scheduled(4, at(60), OnLocked::Queue)).await;
    assert_eq!(lock, LockOutcome::Later, "it is accepted although the lock is held and the queue is full");

    let due = Operation { revision: later.revision.next(), updated_at: at(50), ..later.clone() };
    let due = Operation { stage: Stage::Unexecuted { start_at: None, lock: LockState::Wanted }, ..due };
    let due = *commit(&*store, Commit { wake_at: Some(at(50)), ..Commit::new(due) }).await.operation;
    assert_eq!(store.lock_place(due.id).await.unwrap(), Some(LockPlace::Waiting { position: 2 }));
    assert_eq!(store.due(LANE, at(55), 10).await.unwrap(), [first.id], "who waits for a lock is not due");
    // Another write of the same state does not queue it again.
    let again = Operation { revision: due.revision.next(), updated_at: at(51), ..due.clone() };
    commit(&*store, Commit::new(again)).await;
    assert_eq!(store.lock_place(due.id).await.unwrap(), Some(LockPlace::Waiting { position: 2 }));
    // Canceled before its start time, it leaves nothing behind.
    commit(&*store, Commit::new(ended(&last, Status::Canceled, at(52)))).await;
    assert_eq!(store.lock_place(last.id).await.unwrap(), None);
}

// Where nobody holds it, the commit that queues it makes it the holder, due at once.
pub(super) async fn a_free_lock_is_taken_at_the_start_time(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (later, _) = accept(&*store, scheduled(1, at(50), OnLocked::Reject)).await;
    let due = Operation { revision: later.revision.next(), updated_at: at(50), ..later.clone() };
    let due = Operation { stage: Stage::Unexecuted { start_at: None, lock: LockState::Wanted }, ..due };
    commit(&*store, Commit::new(due)).await;
    assert_eq!(holder(&*store).await, Some(later.id));
    assert_eq!(store.due(LANE, at(50), 10).await.unwrap(), [later.id]);
    let refused = store.accept(acceptance(2, at(51), locked_plan("l", OnLocked::Reject))).await;
    assert_eq!(refused, Ok(Accepted::Locked { holder: later.id }));
}
