use std::sync::Arc;

use fanfold_core::operation::Status;
use fanfold_core::plan::OnLocked;
use fanfold_core::{Operation, PerTenant, Plan, Revision, TenantId};
use tokio::task::JoinSet;

use super::Factory;
use super::fixtures::{
    LANE, accept, accept_plain, acceptance, at, begun, commit, end, ended, id, keyed, locked_plan, plan,
};
use crate::{Acceptance, Accepted, Backlog, Commit, Error, IdempotencyKey, KeyUse, Limits, LockOutcome, Page};

pub(super) async fn an_accepted_operation_is_there(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let given = acceptance(1, at(1), plan());
    let (recorded, lock) = accept(&*store, given.clone()).await;
    assert_eq!(recorded, given.operation, "nothing is large, so it is recorded as it was given");
    assert_eq!(lock, LockOutcome::NotNeeded);
    assert_eq!(store.operation(recorded.id).await.unwrap(), Some(recorded.clone()), "plan and policy are joined again");
    assert_eq!(store.operation(id(at(1), 2)).await.unwrap(), None);
    assert!(store.bodies(recorded.id).await.unwrap().is_empty());
}

pub(super) async fn the_backlog_tells_what_has_not_ended(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    assert_eq!(store.backlog().await, Ok(Backlog::default()));
    let (first, second) = (accept_plain(&*store, 1).await, accept_plain(&*store, 2).await);
    let oldest = |status: Status, operation: &Operation| [(status, operation.accepted_at)].into();
    let backlog = store.backlog().await.unwrap();
    assert_eq!(backlog.oldest, oldest(Status::Unexecuted, &first));
    assert_eq!(backlog.counts, [(Status::Unexecuted, 2)].into());
    let first = *commit(&*store, Commit::new(begun(&first, at(5)))).await.operation;
    end(&*store, &first, at(6)).await;
    let backlog = store.backlog().await.unwrap();
    assert_eq!(backlog.oldest, oldest(Status::Unexecuted, &second));
    assert!(backlog.attention.is_empty());
}

pub(super) async fn an_id_is_accepted_once(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    accept_plain(&*store, 1).await;
    assert_eq!(store.accept(acceptance(1, at(1), plan())).await, Err(Error::Conflict));
}

pub(super) async fn an_idempotency_key_gives_the_same_answer(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (first, _) = accept(&*store, keyed("k", 1, acceptance(1, at(1), plan()))).await;
    let again = store.accept(keyed("k", 1, acceptance(2, at(2), plan()))).await;
    assert_eq!(again, Ok(Accepted::Same(first.id)));
    let other = store.accept(keyed("k", 2, acceptance(3, at(3), plan()))).await;
    assert_eq!(other, Ok(Accepted::KeyReused(first.id)));
    // Kept as long as the operation, so also after its end.
    end(&*store, &first, at(4)).await;
    let late = store.accept(keyed("k", 1, acceptance(4, at(5), plan()))).await;
    assert_eq!(late, Ok(Accepted::Same(first.id)));
    assert_eq!(store.list(&crate::Filter::default(), Page::newest(10)).await.unwrap().len(), 1);
}

pub(super) async fn what_a_key_was_used_for_can_be_read(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let tenant = TenantId::default();
    let given = |key: &str, fingerprint| IdempotencyKey { key: key.to_owned(), fingerprint: [fingerprint; 32] };
    assert_eq!(store.key_use(&tenant, &given("k", 1)).await, Ok(None));
    let (first, _) = accept(&*store, keyed("k", 1, acceptance(1, at(1), plan()))).await;
    for _ in 0..2 {
        assert_eq!(store.key_use(&tenant, &given("k", 1)).await, Ok(Some(KeyUse::Same(first.id))));
        assert_eq!(store.key_use(&tenant, &given("k", 2)).await, Ok(Some(KeyUse::Other(first.id))));
        // It was not used by asking.
        assert_eq!(store.key_use(&tenant, &given("K", 1)).await, Ok(None));
        assert_eq!(store.key_use(&TenantId::from("other"), &given("k", 1)).await, Ok(None));
    }
    let canceled = Commit { free_idempotency_key: true, ..Commit::new(ended(&first, Status::Canceled, at(2))) };
    commit(&*store, canceled).await;
    assert_eq!(store.key_use(&tenant, &given("k", 1)).await, Ok(None));
    // Kept as long as the operation, so also after its end.
    let (second, _) = accept(&*store, keyed("k", 1, acceptance(2, at(3), plan()))).await;
    end(&*store, &second, at(4)).await;
    assert_eq!(store.key_use(&tenant, &given("k", 1)).await, Ok(Some(KeyUse::Same(second.id))));
}

pub(super) async fn a_freed_idempotency_key_can_be_used_again(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (first, _) = accept(&*store, keyed("k", 1, acceptance(1, at(1), plan()))).await;
    let canceled = Commit { free_idempotency_key: true, ..Commit::new(ended(&first, Status::Canceled, at(2))) };
    commit(&*store, canceled).await;
    let (second, _) = accept(&*store, keyed("k", 1, acceptance(2, at(3), plan()))).await;
    let again = store.accept(keyed("k", 1, acceptance(3, at(4), plan()))).await;
    assert_eq!(again, Ok(Accepted::Same(second.id)));
}

pub(super) async fn idempotency_keys_are_per_tenant(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    accept(&*store, keyed("k", 1, acceptance(1, at(1), plan()))).await;
    let mut other = keyed("k", 2, acceptance(2, at(2), plan()));
    other.operation.tenant = TenantId::from("other");
    accept(&*store, other).await;
}

pub(super) async fn an_operation_is_its_tenants(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (own, other) = (TenantId::default(), TenantId::from("other"));
    let operation = accept_plain(&*store, 1).await;
    assert_eq!(store.operation_of(&own, operation.id).await, Ok(Some(operation.clone())));
    assert_eq!(store.operation_of(&other, operation.id).await, Ok(None));
    assert_eq!(store.operation_of(&own, id(at(0), 2)).await, Ok(None));
}

pub(super) async fn an_operation_is_retried_once(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let first = accept_plain(&*store, 1).await;
    let retry = |number: u64| acceptance(number, at(2), Plan { retry_of: Some(first.id), ..plan() });
    let (second, _) = accept(&*store, keyed("k", 1, retry(2))).await;
    assert_eq!(store.accept(retry(3)).await, Ok(Accepted::Retried { by: second.id }));
    // A repetition is answered as such.
    assert_eq!(store.accept(keyed("k", 1, retry(4))).await, Ok(Accepted::Same(second.id)));
    end(&*store, &second, at(3)).await;
    assert_eq!(store.accept(retry(5)).await, Ok(Accepted::Retried { by: second.id }));
    // The retry can be retried, and nobody else's operations are in the way.
    accept(&*store, acceptance(6, at(4), Plan { retry_of: Some(second.id), ..plan() })).await;
    let mut other = retry(7);
    other.operation.tenant = TenantId::from("other");
    accept(&*store, other).await;
}

pub(super) async fn one_of_many_retries_is_accepted(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let first = accept_plain(&*store, 1).await;
    let mut retries = JoinSet::new();
    for number in 2..18 {
        let store = Arc::clone(&store);
        let retry = acceptance(number, at(2), Plan { retry_of: Some(first.id), ..plan() });
        retries.spawn(async move { store.accept(retry).await.unwrap() });
    }
    let answers = retries.join_all().await;
    let accepted: Vec<_> = answers
        .iter()
        .filter_map(|answer| if let Accepted::New { operation, .. } = answer { Some(operation.id) } else { None })
        .collect();
    let [by] = accepted.as_slice() else { panic!("{answers:?}") };
    assert_eq!(answers.iter().filter(|answer| **answer == Accepted::Retried { by: *by }).count(), 15);
}

// What is refused leaves no trace: no lock, no key, no operation.
pub(super) async fn a_refusal_changes_nothing(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let tenant = TenantId::default();
    let (holder, _) = accept(&*store, acceptance(1, at(1), locked_plan("l", OnLocked::Reject))).await;
    let refused = keyed("k", 1, acceptance(2, at(2), locked_plan("l", OnLocked::Reject)));
    assert_eq!(store.accept(refused.clone()).await, Ok(Accepted::Locked { holder: holder.id }));
    assert_eq!(store.operation(refused.operation.id).await.unwrap(), None);
    assert_eq!(store.lock_place(refused.operation.id).await.unwrap(), None);
    end(&*store, &holder, at(3)).await;
    assert_eq!(store.lock_holder(&tenant, "l").await.unwrap(), None);
    assert_eq!(accept(&*store, refused).await.1, LockOutcome::Granted);
}

pub(super) async fn waiting_operations_are_bounded(fresh: Factory<'_>) {
    let store = fresh(Limits { waiting_max: 2, ..Limits::default() });
    let first = accept_plain(&*store, 1).await;
    accept(&*store, keyed("k", 1, acceptance(2, at(2), plan()))).await;
    let third = acceptance(3, at(3), plan());
    assert_eq!(store.accept(third.clone()).await, Ok(Accepted::TooManyWaiting));
    // A repetition is answered all the same.
    let again = store.accept(keyed("k", 1, acceptance(4, at(4), plan()))).await;
    assert!(matches!(again, Ok(Accepted::Same(_))));
    // What has begun has not ended; only an end makes room.
    let first = *commit(&*store, Commit::new(begun(&first, at(5)))).await.operation;
    assert_eq!(store.accept(third.clone()).await, Ok(Accepted::TooManyWaiting));
    end(&*store, &first, at(6)).await;
    accept(&*store, third).await;
}

pub(super) async fn waiting_operations_are_bounded_for_each_tenant(fresh: Factory<'_>) {
    let own = [("small".into(), 1), ("large".into(), 99)].into();
    let tenant_waiting_max = PerTenant { otherwise: 2, own };
    let store = fresh(Limits { waiting_max: 4, tenant_waiting_max, ..Limits::default() });
    let of = |tenant: &str, number: i64| {
        let mut given = acceptance(number.unsigned_abs(), at(number), plan());
        given.operation.tenant = tenant.into();
        given
    };
    let (first, _) = accept(&*store, of("small", 1)).await;
    assert_eq!(store.accept(of("small", 2)).await, Ok(Accepted::TooManyOfTenant));
    accept(&*store, of("other", 3)).await;
    let (second, _) = accept(&*store, keyed("k", 1, of("other", 4))).await;
    assert_eq!(store.accept(of("other", 5)).await, Ok(Accepted::TooManyOfTenant));
    let again = store.accept(keyed("k", 1, of("other", 6))).await;
    assert!(matches!(again, Ok(Accepted::Same(_))), "a repetition is answered all the same");
    // What has begun has not ended; only an end makes room.
    let first = *commit(&*store, Commit::new(begun(&first, at(7)))).await.operation;
    assert_eq!(store.accept(of("small", 8)).await, Ok(Accepted::TooManyOfTenant));
    end(&*store, &first, at(9)).await;
    accept(&*store, of("small", 10)).await;
    // The bound of all goes before a larger one of a tenant, and one that goes makes room for another one.
    accept(&*store, of("large", 11)).await;
    assert_eq!(store.accept(of("large", 12)).await, Ok(Accepted::TooManyWaiting));
    end(&*store, &second, at(13)).await;
    accept(&*store, of("large", 14)).await;
}

/// Those that are asked for at once are decided one after the other.
pub(super) async fn the_bound_of_a_tenant_holds_for_many_at_once(fresh: Factory<'_>) {
    let store = fresh(Limits { tenant_waiting_max: PerTenant::same(3), ..Limits::default() });
    let of = |tenant: &'static str, number: u64| {
        let store = Arc::clone(&store);
        async move {
            let mut given = acceptance(number, at(1), plan());
            given.operation.tenant = tenant.into();
            store.accept(given).await.unwrap()
        }
    };
    let asked = (0..20).map(|number| of(if number % 2 == 0 { "a" } else { "b" }, number));
    let answers = futures_util::future::join_all(asked).await;
    let accepted = answers.iter().filter(|answer| matches!(answer, Accepted::New { .. })).count();
    let refused = answers.iter().filter(|answer| **answer == Accepted::TooManyOfTenant).count();
    assert_eq!((accepted, refused), (6, 14));
}

pub(super) async fn the_hard_bound_refuses_new_operations_only(fresh: Factory<'_>) {
    let store = fresh(Limits { size_hard: Some(1), ..Limits::default() });
    // An empty model is below any bound; a file never is.
    let first = store.accept(keyed("k", 1, acceptance(1, at(1), plan()))).await;
    let Ok(Accepted::New { operation, .. }) = first else {
        assert!(matches!(first, Err(Error::Full { may_have_committed: false, .. })), "{first:?}");
        return;
    };
    let second = store.accept(acceptance(2, at(2), plan())).await;
    assert!(matches!(second, Err(Error::Full { may_have_committed: false, .. })), "{second:?}");
    let again = store.accept(keyed("k", 1, acceptance(3, at(3), plan()))).await;
    assert_eq!(again, Ok(Accepted::Same(operation.id)));
    end(&*store, &operation, at(4)).await;
}

pub(super) async fn a_commit_follows_the_recorded_revision(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let accepted = accept_plain(&*store, 1).await;
    let next = begun(&accepted, at(2));
    let committed = commit(&*store, Commit::new(next.clone())).await;
    assert_eq!((&*committed.operation, committed.granted), (&next, None));
    assert_eq!(store.operation(next.id).await.unwrap(), Some(next.clone()));
    assert_eq!(store.commit(Commit::new(next.clone())).await, Err(Error::Conflict), "the same again is stale");
    let skipping = Operation { revision: Revision(5), ..next.clone() };
    assert_eq!(store.commit(Commit::new(skipping)).await, Err(Error::Conflict));
    assert_eq!(store.operation(next.id).await.unwrap(), Some(next.clone()), "refused commits change nothing");
    let missing = Operation { id: id(at(1), 9), revision: next.revision.next(), ..next };
    assert!(matches!(store.commit(Commit::new(missing)).await, Err(Error::NotFound { .. })));
}

pub(super) async fn one_of_many_commits_of_a_revision_wins(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let accepted = accept_plain(&*store, 1).await;
    let mut tasks = JoinSet::new();
    for second in 0..32 {
        let store = std::sync::Arc::clone(&store);
        let next = begun(&accepted, at(100 + second));
        tasks.spawn(async move { store.commit(Commit::new(next)).await });
    }
    let mut winners = Vec::new();
    for outcome in tasks.join_all().await {
        match outcome {
            Ok(committed) => winners.push(*committed.operation),
            Err(error) => assert_eq!(error, Error::Conflict),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(store.operation(accepted.id).await.unwrap(), winners.pop());
}

pub(super) async fn an_ended_operation_never_changes(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let accepted = accept_plain(&*store, 1).await;
    let ended = *end(&*store, &accepted, at(2)).await.operation;
    let changed = store.commit(Commit::new(begun(&ended, at(3)))).await;
    assert!(matches!(changed, Err(Error::Invalid { .. })), "{changed:?}");
    assert_eq!(store.operation(ended.id).await.unwrap(), Some(ended));
}

// A store checks at its own door what it would otherwise find broken when it reads.
pub(super) async fn contradictions_are_refused(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let good = acceptance(1, at(1), plan());
    let mut fewer_steps = good.clone();
    fewer_steps.operation.steps.pop();
    let mut unknown_target = plan();
    unknown_target.steps[0].target = "kyoto".into();
    let over = Acceptance { operation: ended(&good.operation, Status::Failed, at(2)), ..good.clone() };
    for bad in [fewer_steps, acceptance(2, at(1), unknown_target), over] {
        let refused = store.accept(bad).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    let (accepted, _) = accept(&*store, good).await;
    let mut fewer_steps = begun(&accepted, at(3));
    fewer_steps.steps.pop();
    let refused = store.commit(Commit::new(fewer_steps)).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert_eq!(store.due(LANE, at(9), 10).await.unwrap(), [accepted.id]);
}
