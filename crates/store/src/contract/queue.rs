use jiff::{SignedDuration, Timestamp};

use super::Factory;
use super::fixtures::{LANE, accept, accept_plain, acceptance, at, begun, commit, end, plan, released, restored};
use crate::{Acceptance, Commit, Limits, Store};

async fn accept_in(store: &dyn Store, number: u64, lane: &str, wake_at: Option<Timestamp>) -> fanfold_core::Operation {
    let given = Acceptance { lane: lane.to_owned(), wake_at, ..acceptance(number, at(0), plan()) };
    accept(store, given).await.0
}

pub(super) async fn due_operations_come_in_order(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let late = accept_in(&*store, 1, LANE, Some(at(30))).await;
    let same_time = accept_in(&*store, 3, LANE, Some(at(10))).await;
    let early = accept_in(&*store, 2, LANE, Some(at(10))).await;
    accept_in(&*store, 4, LANE, None).await;
    accept_in(&*store, 5, "other", Some(at(10))).await;
    assert!(store.due(LANE, at(9), 10).await.unwrap().is_empty());
    assert_eq!(store.due(LANE, at(10), 10).await.unwrap(), [early.id, same_time.id]);
    assert_eq!(store.due(LANE, at(99), 10).await.unwrap(), [early.id, same_time.id, late.id]);
    assert_eq!(store.due(LANE, at(99), 1).await.unwrap(), [early.id]);
    // Another wake time, or none, takes it out; so does the end.
    let again = Commit { wake_at: Some(at(40)), ..Commit::new(begun(&early, at(11))) };
    commit(&*store, again).await;
    commit(&*store, Commit::new(begun(&same_time, at(11)))).await;
    assert_eq!(store.due(LANE, at(99), 10).await.unwrap(), [late.id, early.id]);
    end(&*store, &late, at(50)).await;
    assert_eq!(store.due(LANE, at(99), 10).await.unwrap(), [early.id]);
}

pub(super) async fn what_was_restored_is_not_due(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let new = accept_in(&*store, 1, LANE, Some(at(10))).await;
    let asked = Commit { wake_at: Some(at(12)), ..Commit::new(restored(&new, at(11))) };
    let waiting = *commit(&*store, asked).await.operation;
    assert!(store.due(LANE, at(99), 10).await.unwrap().is_empty());
    assert_eq!(store.open_operations(None, 10).await.unwrap(), [new.id]);
    assert_eq!(store.operation(new.id).await.unwrap().unwrap().restored, waiting.restored);
    commit(&*store, Commit { wake_at: Some(at(20)), ..Commit::new(released(&waiting, at(13))) }).await;
    assert_eq!(store.due(LANE, at(20), 10).await.unwrap(), [new.id]);
}

pub(super) async fn lanes_are_those_with_due_operations(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    assert!(store.lanes(at(99)).await.unwrap().is_empty());
    assert_eq!(store.next_wake(at(0)).await.unwrap(), None);
    accept_in(&*store, 1, "b", Some(at(20))).await;
    accept_in(&*store, 2, "b", Some(at(10))).await;
    accept_in(&*store, 3, "a", Some(at(15))).await;
    accept_in(&*store, 4, "c", None).await;
    assert!(store.lanes(at(9)).await.unwrap().is_empty());
    assert_eq!(store.lanes(at(10)).await.unwrap(), ["b"]);
    assert_eq!(store.lanes(at(99)).await.unwrap(), ["a", "b"]);
    for (after, expected) in [(0, Some(10)), (9, Some(10)), (10, Some(15)), (15, Some(20)), (20, None)] {
        assert_eq!(store.next_wake(at(after)).await.unwrap(), expected.map(at), "after {after}");
    }
}

/// What one tenant has in its lane does not stand before what another one has in its own, however long that waits already.
pub(super) async fn a_short_lane_is_found_beside_a_long_one(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    for number in 1..=50 {
        accept_in(&*store, number, "tokyo", Some(at(10))).await;
        accept_in(&*store, 100 + number, "flood:tokyo", Some(at(10))).await;
    }
    let one = accept_in(&*store, 200, "one:tokyo", Some(at(20))).await;
    assert_eq!(store.lanes(at(30)).await.unwrap(), ["flood:tokyo", "one:tokyo", "tokyo"]);
    assert_eq!(store.due("one:tokyo", at(30), 5).await.unwrap(), [one.id]);
    assert_eq!(store.due("flood:tokyo", at(30), 5).await.unwrap().len(), 5);
    assert_eq!(store.next_wake(at(10)).await.unwrap(), Some(at(20)));
}

// A time that the columns cannot hold exactly is rounded away from the present.
pub(super) async fn wake_times_are_never_early(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let exact = at(10) + SignedDuration::from_nanos(1_500);
    let operation = accept_in(&*store, 1, LANE, Some(exact)).await;
    assert!(store.due(LANE, at(10) + SignedDuration::from_nanos(1_499), 1).await.unwrap().is_empty());
    let next = store.next_wake(at(0)).await.unwrap().unwrap();
    assert!(next >= exact);
    assert_eq!(store.due(LANE, next, 1).await.unwrap(), [operation.id]);
}

pub(super) async fn open_operations_are_found_page_by_page(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let mut expected = Vec::new();
    for number in 1..=7 {
        let operation = accept_plain(&*store, number).await;
        match number {
            3 => drop(end(&*store, &operation, at(100)).await),
            5 => expected.push(commit(&*store, Commit::new(begun(&operation, at(100)))).await.operation.id),
            _ => expected.push(operation.id),
        }
    }
    let mut found = Vec::new();
    loop {
        let page = store.open_operations(found.last().copied(), 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, expected);
}
