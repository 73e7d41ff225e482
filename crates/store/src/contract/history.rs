use std::sync::Arc;

use fanfold_core::operation::{Leg, Reading};
use fanfold_core::{Content, Event, Scope, Slot, StepIndex, TenantId};
use tokio::task::JoinSet;

use super::Factory;
use super::fixtures::{accept, accept_plain, acceptance, answer, at, begun, commit, large, plan};
use crate::{Acceptance, Commit, EventNumber, Events, Limits};

pub(super) async fn events_are_numbered_and_kept(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    assert_eq!(store.latest_event().await.unwrap(), EventNumber(0));
    let canceled = Event::CancelRequested { by: "somebody".to_owned() };
    let given = Acceptance { events: vec![(at(1), canceled.clone())], ..acceptance(1, at(1), plan()) };
    let first = accept(&*store, given).await.0;
    let second = accept_plain(&*store, 2).await;
    let events = vec![(at(3), Event::LockGranted), (at(4), Event::Dispatched)];
    commit(&*store, Commit { events, ..Commit::new(begun(&second, at(4))) }).await;
    commit(&*store, Commit { events: vec![(at(5), Event::Dispatched)], ..Commit::new(begun(&first, at(5))) }).await;

    let history = store.history(first.id, EventNumber::default(), 10).await.unwrap();
    let seen: Vec<_> = history.iter().map(|recorded| (recorded.at, recorded.event.clone())).collect();
    assert_eq!(seen, [(at(1), canceled), (at(5), Event::Dispatched)]);
    assert!(history.iter().all(|recorded| recorded.operation == first.id));
    assert_eq!(store.history(first.id, history[0].number, 10).await.unwrap(), history[1..]);
    assert_eq!(store.history(first.id, EventNumber::default(), 1).await.unwrap(), history[..1]);

    assert_eq!(history.iter().map(|recorded| recorded.sequence).collect::<Vec<_>>(), [1, 2]);
    let all = store.events(&TenantId::default(), &Scope::default(), EventNumber::default(), 10).await.unwrap().list;
    assert_eq!(all.iter().map(|recorded| recorded.number.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(all.iter().map(|recorded| recorded.sequence).collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert_eq!(store.events(&TenantId::default(), &Scope::default(), EventNumber(2), 1).await.unwrap().list, all[2..3]);
    let other = store.events(&TenantId::from("other"), &Scope::default(), EventNumber::default(), 10).await.unwrap();
    assert_eq!(other, Events::default());
    assert_eq!(store.latest_event().await.unwrap(), EventNumber(4));
}

/// Many write at the same time while one reads on after the last number it has seen, again and again.
pub(super) async fn events_become_visible_in_their_order(fresh: Factory<'_>) {
    const WRITERS: u64 = 8;
    const COMMITS: u64 = 20;
    const TOTAL: u64 = WRITERS * COMMITS * 2;
    let store = fresh(Limits::default());
    let mut writers = JoinSet::new();
    for number in 1..=WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let mut operation = accept_plain(&*store, number).await;
            for _ in 0..COMMITS {
                let events = vec![(at(2), Event::LockGranted), (at(2), Event::Dispatched)];
                operation =
                    *commit(&*store, Commit { events, ..Commit::new(begun(&operation, at(2))) }).await.operation;
            }
        });
    }
    let mut seen: Vec<u64> = Vec::new();
    while (seen.len() as u64) < TOTAL {
        let after = EventNumber(seen.last().copied().unwrap_or(0));
        let events = store.events(&TenantId::default(), &Scope::default(), after, 7).await.unwrap();
        seen.extend(events.list.iter().map(|recorded| recorded.number.0));
        while let Some(ended) = writers.try_join_next() {
            ended.unwrap();
        }
        tokio::task::yield_now().await;
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen, (1..=TOTAL).collect::<Vec<_>>(), "none is passed over");
}

pub(super) async fn large_bodies_are_left_out_of_the_history(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let operation = accept_plain(&*store, 1).await;
    let answered = |body| Event::AttemptAnswered {
        step: StepIndex(0),
        leg: Leg::Forward,
        answer: answer(200, body),
        reading: Reading::NotApplied,
        trouble: None,
    };
    let events = vec![(at(2), answered(large(b'x'))), (at(2), answered("small".into()))];
    let mut next = begun(&operation, at(2));
    next.steps[0].course.answer = Some(answer(200, large(b'x')));
    commit(&*store, Commit { events, ..Commit::new(next) }).await;
    let history = store.history(operation.id, EventNumber::default(), 10).await.unwrap();
    let bodies: Vec<_> = history
        .into_iter()
        .map(|recorded| match recorded.event {
            Event::AttemptAnswered { answer, .. } => answer.body.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bodies, [Content::Apart { bytes: 5_000 }, Content::Inline("small".into())]);
    assert_eq!(store.bodies(operation.id).await.unwrap()[&Slot::StepAnswer(StepIndex(0))], large(b'x'));
}
