use fanfold_core::{Effect, StepIndex};

use super::Factory;
use super::fixtures::{accept_plain, at, begun, commit, end, note};
use crate::{AttentionId, Change, Closed, Commit, Error, Filter, Hold, Limits, NoteFilter, Order, Page, Store};

fn by(name: &str, second: i64) -> Closed {
    Closed { at: at(second), by: name.to_owned(), remark: Some("looked at it".to_owned()) }
}

async fn open_notes(store: &dyn Store) -> Vec<AttentionId> {
    let filter = NoteFilter { open: Some(true), ..NoteFilter::default() };
    let page = Page { order: Order::OldestFirst, after: None, limit: 100 };
    store.notes(&filter, page).await.unwrap().into_iter().map(|note| note.id).collect()
}

pub(super) async fn notes_are_opened_closed_and_acknowledged(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let operation = accept_plain(&*store, 1).await;
    let opened = [note(Some(0), "tokyo"), note(Some(1), "osaka"), note(None, "tokyo")];
    let effects = opened.iter().cloned().map(Effect::OpenAttention).collect();
    let operation = *commit(&*store, Commit { effects, ..Commit::new(begun(&operation, at(2))) }).await.operation;
    let ids = open_notes(&*store).await;
    assert_eq!(ids.len(), 3);
    let backlog = store.backlog().await.unwrap();
    assert_eq!(backlog.attention.values().sum::<u64>(), 3);
    assert_eq!(backlog.attention.get(&opened[0].reason), Some(&3));
    let first = store.note(ids[0]).await.unwrap().unwrap();
    assert_eq!((first.operation, &first.attention, first.opened_at), (operation.id, &opened[0], at(2)));
    assert!(!first.ended);

    // A commit closes what is open about one step.
    let close = Effect::CloseAttention { step: Some(StepIndex(0)), by: "anna".to_owned(), remark: None };
    let closing = Commit { effects: vec![close], ..Commit::new(begun(&operation, at(3))) };
    let operation = *commit(&*store, closing).await.operation;
    assert_eq!(open_notes(&*store).await, ids[1..]);
    let closed = store.note(ids[0]).await.unwrap().unwrap().closed;
    assert_eq!(closed, Some(Closed { at: at(3), by: "anna".to_owned(), remark: None }));

    // A person acknowledges what an ended operation left open; the first one counts.
    end(&*store, &operation, at(4)).await;
    assert!(store.note(ids[0]).await.unwrap().unwrap().ended);
    assert_eq!(store.acknowledge(ids[1], by("bert", 5)).await, Ok(Change::Made));
    assert_eq!(store.acknowledge(ids[1], by("carl", 6)).await, Ok(Change::AlreadySo));
    assert_eq!(store.note(ids[1]).await.unwrap().unwrap().closed, Some(by("bert", 5)));
    let needing = Filter { attention: Some(true), ..Filter::default() };
    assert_eq!(store.list(&needing, Page::newest(9)).await.unwrap().len(), 1);
    assert_eq!(store.acknowledge(ids[2], by("bert", 7)).await, Ok(Change::Made));
    assert!(store.list(&needing, Page::newest(9)).await.unwrap().is_empty());
    let missing = store.acknowledge(AttentionId(999), by("bert", 8)).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    assert_eq!(store.note(AttentionId(999)).await.unwrap(), None);
}

pub(super) async fn notes_are_listed(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let mut operations = Vec::new();
    for number in 1..=2 {
        let operation = accept_plain(&*store, number).await;
        let effects =
            vec![Effect::OpenAttention(note(Some(0), "tokyo")), Effect::OpenAttention(note(Some(1), "osaka"))];
        operations
            .push(commit(&*store, Commit { effects, ..Commit::new(begun(&operation, at(9))) }).await.operation.id);
    }
    let all = store.notes(&NoteFilter::default(), Page::newest(9)).await.unwrap();
    assert_eq!(all.len(), 4);
    assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id));
    let next = Page { order: Order::NewestFirst, after: Some(all[1].id), limit: 1 };
    assert_eq!(store.notes(&NoteFilter::default(), next).await.unwrap(), all[2..3]);
    store.acknowledge(all[0].id, by("anna", 10)).await.unwrap();
    let filter = NoteFilter { operation: Some(operations[1]), open: Some(true), ..NoteFilter::default() };
    assert_eq!(store.notes(&filter, Page::newest(9)).await.unwrap(), all[1..2]);
    let filter = NoteFilter { target: Some("osaka".into()), open: Some(false), ..NoteFilter::default() };
    assert_eq!(store.notes(&filter, Page::newest(9)).await.unwrap().len(), 1);
    let filter = NoteFilter { tenant: "other".into(), ..NoteFilter::default() };
    assert!(store.notes(&filter, Page::newest(9)).await.unwrap().is_empty());
}

pub(super) async fn targets_are_held_and_released(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let tokyo = Hold { target: "tokyo".into(), since: at(1), by: "anna".to_owned(), reason: "broken".to_owned() };
    assert_eq!(store.hold(tokyo.clone()).await, Ok(Change::Made));
    let again = Hold { reason: "still broken".to_owned(), ..tokyo.clone() };
    assert_eq!(store.hold(again).await, Ok(Change::AlreadySo));
    let operation = accept_plain(&*store, 1).await;
    let hold = |target: &str| Effect::HoldTarget { target: target.into(), reason: "undo failed".to_owned() };
    let effects = vec![hold("osaka"), hold("tokyo")];
    commit(&*store, Commit { effects, ..Commit::new(begun(&operation, at(2))) }).await;
    let by = format!("operation {}", operation.id);
    let osaka = Hold { target: "osaka".into(), since: at(2), by, reason: "undo failed".to_owned() };
    assert_eq!(store.holds().await.unwrap(), [osaka.clone(), tokyo]);
    assert_eq!(store.release(&"tokyo".into()).await, Ok(Change::Made));
    assert_eq!(store.release(&"tokyo".into()).await, Ok(Change::AlreadySo));
    assert_eq!(store.holds().await.unwrap(), [osaka]);
}
