use fanfold_core::Operation;
use jiff::Timestamp;

use super::Factory;
use super::fixtures::{accept_plain, at, begun, commit, notice};
use crate::{
    Commit, DueNotices, Error, Limits, NewNotice, NoticeFilter, NoticeId, NoticeOutcome, NoticeState, Order,
    OutboxState, Page, Store,
};

fn name(id: &str) -> NoticeId {
    NoticeId(id.to_owned())
}

/// Accepts operation `number` and records notices of it, due at second 10.
async fn with_notices(store: &dyn Store, number: u64, ids: &[&str]) -> Operation {
    let operation = accept_plain(store, number).await;
    let notices = ids.iter().map(|id| notice(id, at(10))).collect();
    *commit(store, Commit { notices, ..Commit::new(begun(&operation, at(5))) }).await.operation
}

async fn due(store: &dyn Store, now: Timestamp) -> Vec<String> {
    store.due_notices(wanted(now)).await.unwrap().into_iter().map(|due| due.notice.id.0).collect()
}

fn wanted(now: Timestamp) -> DueNotices {
    DueNotices { now, after: String::new(), each: 100, limit: 100 }
}

fn delivered(second: i64) -> NoticeOutcome {
    NoticeOutcome::Delivered { at: at(second) }
}

fn failed(again_second: i64) -> NoticeOutcome {
    NoticeOutcome::Failed { error: "connection refused".to_owned(), again_at: at(again_second) }
}

fn dead(second: i64) -> NoticeOutcome {
    NoticeOutcome::Dead { error: "too often".to_owned(), at: at(second) }
}

pub(super) async fn notices_of_an_operation_go_in_order(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    with_notices(&*store, 1, &["a1", "a2", "a3"]).await;
    with_notices(&*store, 2, &["b1"]).await;
    assert!(due(&*store, at(9)).await.is_empty());
    assert_eq!(store.next_notice(at(0)).await.unwrap(), Some(at(10)));
    assert_eq!(due(&*store, at(10)).await, ["a1", "b1"]);
    // A failed one keeps those behind it waiting, but not other operations'.
    store.record_notice(&name("a1"), failed(20)).await.unwrap();
    assert_eq!(due(&*store, at(19)).await, ["b1"]);
    assert_eq!(store.next_notice(at(10)).await.unwrap(), Some(at(20)));
    let again = store.due_notices(wanted(at(20))).await.unwrap();
    let a1 = again.iter().find(|notice| notice.notice.id == name("a1")).unwrap();
    assert_eq!((a1.attempts, a1.last_error.as_deref()), (1, Some("connection refused")));
    store.record_notice(&name("a1"), delivered(21)).await.unwrap();
    assert_eq!(due(&*store, at(21)).await, ["b1", "a2"].map(str::to_owned).into_iter().rev().collect::<Vec<_>>());
    // A dead one lets those behind it pass.
    store.record_notice(&name("a2"), dead(22)).await.unwrap();
    store.record_notice(&name("b1"), delivered(22)).await.unwrap();
    assert_eq!(due(&*store, at(22)).await, ["a3"]);
    assert_eq!(store.due_notices(DueNotices { limit: 0, ..wanted(at(22)) }).await.unwrap(), []);
    store.record_notice(&name("a3"), delivered(23)).await.unwrap();
    assert!(due(&*store, at(99)).await.is_empty());
    assert_eq!(store.next_notice(at(0)).await.unwrap(), None);
}

/// As `with_notices`, with the receiver of each.
async fn with_receivers(store: &dyn Store, number: u64, notices: &[(&str, &str, i64)]) {
    let operation = accept_plain(store, number).await;
    let to = |(id, receiver, due): &(&str, &str, i64)| NewNotice {
        receiver: (*receiver).to_owned(),
        ..notice(id, at(*due))
    };
    let notices = notices.iter().map(to).collect();
    commit(store, Commit { notices, ..Commit::new(begun(&operation, at(5))) }).await;
}

pub(super) async fn receivers_take_turns(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let ids = async |after: &str, each, limit| {
        let wanted = DueNotices { now: at(50), after: after.to_owned(), each, limit };
        let due = store.due_notices(wanted).await.unwrap();
        due.into_iter().map(|due| due.notice.id.0).collect::<Vec<_>>()
    };
    // A backlog that has been due for long, at a receiver that does not answer.
    for number in 1..=5 {
        with_receivers(&*store, number, &[(&format!("b{number}"), "b:80", 10 + i64::try_from(number).unwrap())]).await;
    }
    with_receivers(&*store, 6, &[("c1", "c:80", 40), ("a1", "a:80", 41), ("a2", "a:80", 20), ("d1", "d:80", 90)]).await;
    with_receivers(&*store, 7, &[("a3", "a:80", 30)]).await;
    // Each gets its turn, with so many at the most; what is first of an operation for a receiver keeps the next one waiting.
    assert_eq!(ids("", 2, 100).await, ["a3", "a1", "b1", "b2", "c1"]);
    assert_eq!(ids("", 2, 3).await, ["a3", "a1", "b1"]);
    assert_eq!(ids("a:80", 2, 3).await, ["b1", "b2", "c1"]);
    assert_eq!(ids("b:80", 1, 2).await, ["c1", "a3"], "they go round");
    assert_eq!(ids("c:80", 1, 100).await, ["a3", "b1", "c1"], "one with nothing due is passed over");
    assert_eq!(ids("b", 1, 1).await, ["b1"], "the last one may be gone");
    // One that is not delivered holds up nothing but what the operation has for the same receiver.
    store.record_notice(&name("a1"), failed(99)).await.unwrap();
    assert_eq!(ids("", 9, 100).await, ["a3", "b1", "b2", "b3", "b4", "b5", "c1"]);
}

pub(super) async fn the_outbox_tells_how_it_is(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    assert_eq!(store.outbox().await.unwrap(), OutboxState::default());
    with_notices(&*store, 1, &["a1", "a2"]).await;
    assert_eq!(store.outbox().await.unwrap(), OutboxState { oldest_pending: Some(at(5)), dead: 0 });
    store.record_notice(&name("a1"), delivered(11)).await.unwrap();
    store.record_notice(&name("a2"), dead(12)).await.unwrap();
    assert_eq!(store.outbox().await.unwrap(), OutboxState { oldest_pending: None, dead: 1 });
    store.replay_notice(&name("a2"), at(13)).await.unwrap();
    assert_eq!(store.outbox().await.unwrap(), OutboxState { oldest_pending: Some(at(5)), dead: 0 });
}

pub(super) async fn a_dead_notice_is_replayed(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    with_notices(&*store, 1, &["a1", "a2"]).await;
    assert_eq!(store.replay_notice(&name("a1"), at(11)).await, Err(Error::Conflict), "it is pending");
    store.record_notice(&name("a1"), dead(11)).await.unwrap();
    assert_eq!(store.record_notice(&name("a1"), delivered(12)).await, Err(Error::Conflict), "it is dead");
    store.replay_notice(&name("a1"), at(30)).await.unwrap();
    let replayed = store.notice(&name("a1")).await.unwrap().unwrap();
    assert_eq!((replayed.state, replayed.attempts, replayed.settled_at), (NoticeState::Pending, 0, None));
    assert_eq!(replayed.last_error.as_deref(), Some("too often"), "why it died is still of interest");
    assert!(due(&*store, at(29)).await.is_empty(), "it stands before the second one again");
    assert_eq!(due(&*store, at(30)).await, ["a1"]);
    store.record_notice(&name("a1"), delivered(31)).await.unwrap();
    assert_eq!(store.replay_notice(&name("a1"), at(32)).await, Err(Error::Conflict), "it is delivered");
    for missing in [store.replay_notice(&name("x"), at(1)).await, store.record_notice(&name("x"), dead(1)).await] {
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    }
    assert_eq!(store.notice(&name("x")).await.unwrap(), None);
}

pub(super) async fn notices_are_listed(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let first = with_notices(&*store, 1, &["a1", "a2"]).await;
    with_notices(&*store, 2, &["b1"]).await;
    store.record_notice(&name("a1"), dead(11)).await.unwrap();
    let list = async |filter: NoticeFilter, page| {
        let found = store.notices(&filter, page).await.unwrap();
        found.into_iter().map(|notice| notice.notice.id.0).collect::<Vec<_>>()
    };
    let any = NoticeFilter::default;
    assert_eq!(list(any(), Page::newest(9)).await, ["b1", "a2", "a1"]);
    let after = store.notice(&name("a1")).await.unwrap().unwrap();
    assert_eq!((&after.notice, after.operation, after.created_at), (&notice("a1", at(10)), first.id, at(5)));
    let next = Page { order: Order::OldestFirst, after: Some(after.number), limit: 1 };
    assert_eq!(list(any(), next).await, ["a2"]);
    assert_eq!(list(NoticeFilter { state: Some(NoticeState::Dead), ..any() }, Page::newest(9)).await, ["a1"]);
    assert_eq!(list(NoticeFilter { operation: Some(first.id), ..any() }, Page::newest(9)).await, ["a2", "a1"]);
    assert!(list(NoticeFilter { tenant: "other".into(), ..any() }, Page::newest(9)).await.is_empty());
}

pub(super) async fn a_notice_is_recorded_once(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let operation = with_notices(&*store, 1, &["a1"]).await;
    let again = Commit { notices: vec![notice("a1", at(9))], ..Commit::new(begun(&operation, at(9))) };
    let refused = store.commit(again).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert_eq!(store.operation(operation.id).await.unwrap(), Some(operation), "nothing of that commit was recorded");
}
