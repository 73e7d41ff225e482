use std::sync::Arc;

use fanfold_core::operation::Status;
use fanfold_core::plan::OnLocked;
use fanfold_core::{Effect, Operation, OperationId, TenantId};
use tokio::task::JoinSet;

use super::Factory;
use super::fixtures::{LANE, accept, acceptance, at, begun, commit, end, ended, lock_noticed, locked_plan};
use crate::{Accepted, Commit, Limits, LockOutcome, LockPlace, Store};

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
