//! What is seen of lists by whoever sees not all.

use std::sync::Arc;

use fanfold_core::operation::{Phase, Status};
use fanfold_core::plan::{DialectName, StepPlan};
use fanfold_core::{Effect, Event, Operation, OperationId, Plan, Scope, TargetName, TenantId};

use super::Factory;
use super::fixtures::{RETENTION, accept, acceptance, at, begun, commit, ended, note, notice, plan, policy};
use crate::{
    Acceptance, AttentionId, Commit, EventNumber, Filter, Limits, NoteFilter, NoticeFilter, Order, Page, Store,
};

fn scope(routes: Option<&[&str]>, targets: Option<&[&str]>) -> Scope {
    Scope {
        routes: routes.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        targets: targets.map(|names| names.iter().map(|name| TargetName::from(*name)).collect()),
    }
}

fn on(route: &str, targets: &[&str]) -> Plan {
    let steps = targets.iter().zip(0..).map(|(target, wave)| StepPlan {
        target: (*target).into(),
        wave,
        ..plan().steps[0].clone()
    });
    Plan { route: route.to_owned(), steps: steps.collect(), policy: policy(targets, RETENTION), ..plan() }
}

/// Operations of two routes at one target or several, in two statuses; each with an event, a note and a notice.
async fn filled(fresh: Factory<'_>) -> (Arc<dyn Store>, Vec<Operation>) {
    let store = fresh(Limits::default());
    let mut all = Vec::new();
    let plans = [
        on("one", &["tokyo"]),
        on("one", &["tokyo", "osaka"]),
        on("two", &["osaka"]),
        on("two", &["osaka", "tokyo"]),
        on("two", &["tokyo", "tokyo"]),
        on("one", &["kyoto", "tok"]),
        on("three", &["tokyo", "osaka", "kyoto"]),
        on("one", &["tokyo"]),
    ];
    for (plan, number) in plans.into_iter().zip(1..) {
        let second = i64::try_from(number).unwrap();
        let mut new = acceptance(number, at(second), plan);
        new.events = vec![(at(second), Event::Dispatched)];
        if number == 8 {
            new.operation.tenant = TenantId::from("other");
        }
        let accepted = accept(&*store, Acceptance { owner: Some("o".to_owned()), ..new }).await.0;
        let next = match number % 3 {
            0 => ended(&accepted, Status::Completed, at(50)),
            _ => begun(&accepted, at(50)),
        };
        let changed = Commit {
            effects: vec![Effect::OpenAttention(note(Some(0), "tokyo"))],
            notices: vec![notice(&format!("n{number}"), at(60))],
            ..Commit::new(next)
        };
        all.push(*commit(&*store, changed).await.operation);
    }
    (store, all)
}

fn scopes() -> Vec<Scope> {
    let many: Vec<String> = (0..100).map(|number| format!("t{number}")).chain(["tokyo".to_owned()]).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    vec![
        Scope::default(),
        scope(Some(&["one"]), None),
        scope(Some(&["one", "three", "none"]), None),
        scope(Some(&[]), None),
        scope(None, Some(&["tokyo"])),
        scope(None, Some(&["tokyo", "osaka"])),
        scope(None, Some(&["osaka", "kyoto"])),
        scope(None, Some(&["tok", "kyoto", "tokyo", "osaka"])),
        scope(None, Some(&many)),
        scope(None, Some(&[])),
        scope(Some(&["two"]), Some(&["tokyo", "osaka"])),
        scope(Some(&["one"]), Some(&["osaka"])),
        scope(Some(&["o'\"\0ne"]), Some(&["to\n'\"\0kyo"])),
    ]
}

/// What lists are led by, and a little more.
fn filters() -> Vec<Filter> {
    let any = Filter::default;
    vec![
        any(),
        Filter { tenant: "other".into(), ..any() },
        Filter { statuses: [Status::Executing].into(), ..any() },
        Filter { statuses: [Status::Completed, Status::Failed].into(), ..any() },
        Filter { phases: [Phase::Calling].into(), ..any() },
        Filter { attention: Some(true), ..any() },
        Filter { attention: Some(false), ..any() },
        Filter { route: Some("two".to_owned()), ..any() },
        Filter { dialect: Some(DialectName::Native), ..any() },
        Filter { owner: Some("o".to_owned()), ..any() },
        Filter { resource: Some("/v1/things".to_owned()), ..any() },
        Filter { target: Some("osaka".into()), ..any() },
        Filter { text: Some("things".to_owned()), ..any() },
        Filter { since: Some(at(2)), until: Some(at(7)), ..any() },
    ]
}

async fn listed(store: &dyn Store, filter: &Filter, order: Order) -> Vec<OperationId> {
    let mut ids: Vec<OperationId> = Vec::new();
    loop {
        let found = store.list(filter, Page { order, after: ids.last().copied(), limit: 2 }).await.unwrap();
        ids.extend(found.iter().map(|operation| operation.id));
        if found.len() < 2 {
            return ids;
        }
    }
}

pub(super) async fn a_list_has_what_a_scope_has(fresh: Factory<'_>) {
    let (store, all) = filled(fresh).await;
    let mut seen = 0;
    for filter in filters() {
        let full = listed(&*store, &filter, Order::OldestFirst).await;
        for scope in scopes() {
            let filter = Filter { scope, ..filter.clone() };
            let has = |id: &&OperationId| {
                all.iter().any(|operation| operation.id == **id && filter.scope.has(&operation.plan))
            };
            let mut expected: Vec<OperationId> = full.iter().filter(has).copied().collect();
            seen += expected.len();
            assert_eq!(listed(&*store, &filter, Order::OldestFirst).await, expected, "{filter:?}");
            expected.reverse();
            assert_eq!(listed(&*store, &filter, Order::NewestFirst).await, expected, "{filter:?}");
        }
    }
    assert!(seen > 200, "there is something to be seen: {seen}");
}

pub(super) async fn notes_notices_and_events_follow_their_operations(fresh: Factory<'_>) {
    let (store, all) = filled(fresh).await;
    let tenant = TenantId::default();
    for scope in scopes() {
        let meant = all.iter().filter(|operation| operation.tenant == tenant && scope.has(&operation.plan));
        let expected: Vec<OperationId> = meant.map(|operation| operation.id).collect();
        let filter = NoteFilter { scope: scope.clone(), target: Some("tokyo".into()), ..NoteFilter::default() };
        let page = Page { order: Order::OldestFirst, after: None, limit: 99 };
        let notes = store.notes(&filter, page).await.unwrap();
        assert_eq!(notes.iter().map(|note| note.operation).collect::<Vec<_>>(), expected, "{scope:?}");
        let filter = NoticeFilter { scope: scope.clone(), ..NoticeFilter::default() };
        let page = Page { order: Order::OldestFirst, after: None, limit: 99 };
        let notices = store.notices(&filter, page).await.unwrap();
        assert_eq!(notices.iter().map(|notice| notice.operation).collect::<Vec<_>>(), expected, "{scope:?}");
        let events = store.events(&tenant, &scope, EventNumber::default(), 99).await.unwrap().list;
        assert_eq!(events.iter().map(|event| event.operation).collect::<Vec<_>>(), expected, "{scope:?}");
        if let [.., before, last] = &events[..] {
            let rest = store.events(&tenant, &scope, before.number, 99).await.unwrap().list;
            assert_eq!(rest, std::slice::from_ref(last), "{scope:?}");
        }
    }
}

pub(super) async fn notes_and_notices_are_read_in_pieces(fresh: Factory<'_>) {
    let (store, _) = filled(fresh).await;
    let narrow = || scope(Some(&["two"]), None);
    let notes = store.notes(&NoteFilter { scope: narrow(), ..NoteFilter::default() }, Page::newest(9)).await.unwrap();
    let first = notes[1].id;
    let piece = NoteFilter { scope: narrow(), first: Some(first), ..NoteFilter::default() };
    assert_eq!(store.notes(&piece, Page::newest(9)).await.unwrap(), notes[..2]);
    let beyond = NoteFilter { first: Some(AttentionId(first.0 + 1)), ..piece };
    assert_eq!(store.notes(&beyond, Page::newest(9)).await.unwrap(), notes[..1]);

    let filter = NoticeFilter { scope: narrow(), ..NoticeFilter::default() };
    let notices = store.notices(&filter, Page::newest(9)).await.unwrap();
    let piece = NoticeFilter { first: Some(notices[1].number), ..filter };
    assert_eq!(store.notices(&piece, Page::newest(9)).await.unwrap(), notices[..2]);
    let page = Page { after: Some(notices[0].number), ..Page::newest(9) };
    assert_eq!(store.notices(&piece, page).await.unwrap(), notices[1..2]);
}
