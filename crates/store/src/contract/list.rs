use fanfold_core::operation::Status;
use fanfold_core::plan::{DialectName, Front, Verb};
use fanfold_core::{Effect, Operation, OperationId, Plan, TenantId};

use super::Factory;
use super::fixtures::{accept, accept_plain, acceptance, at, begun, commit, end, ended, id, note, plan};
use crate::{Acceptance, Commit, Counts, Filter, LIST_MAX, Limits, Order, Page, Store};

async fn ids(store: &dyn Store, filter: &Filter) -> Vec<OperationId> {
    let page = Page { order: Order::OldestFirst, after: None, limit: LIST_MAX };
    store.list(filter, page).await.unwrap().into_iter().map(|operation| operation.id).collect()
}

pub(super) async fn pages_follow_each_other(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let mut all = Vec::new();
    for number in 1..=9 {
        let accepted = accept_plain(&*store, number).await;
        // Different statuses, which must not change the order.
        all.push(match number % 3 {
            0 => accepted,
            1 => *end(&*store, &accepted, at(50)).await.operation,
            _ => *commit(&*store, Commit::new(begun(&accepted, at(50)))).await.operation,
        });
    }
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut found: Vec<Operation> = Vec::new();
        for length in [4, 4, 1, 0] {
            let after = found.last().map(|operation| operation.id);
            let page = store.list(&Filter::default(), Page { order, after, limit: 4 }).await.unwrap();
            assert_eq!(page.len(), length);
            found.extend(page);
        }
        assert_eq!(found, all, "{order:?}");
        all.reverse();
    }
}

fn named(route: &str, resource: &str, dialect: DialectName, mount: &str) -> Plan {
    let front = Front { dialect, mount: mount.to_owned(), ..plan().front };
    Plan { route: route.to_owned(), resource: resource.to_owned(), front, ..plan() }
}

pub(super) async fn filters_are_combined(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let msf = accept(&*store, acceptance(1, at(1), named("one", "/v1/a", DialectName::Msf, "/v1"))).await.0;
    let plas = Plan { verb: Verb::Delete, ..named("two", "/v1/b", DialectName::Plas, "/p") };
    let plas = Acceptance { owner: Some("o".to_owned()), ..acceptance(2, at(2), plas) };
    let plas = accept(&*store, plas).await.0;
    let mut alone = named("two", "/v1/a", DialectName::Msf, "/v2");
    alone.steps.pop();
    let alone = accept(&*store, acceptance(3, at(3), alone)).await.0;
    let opened =
        Commit { effects: vec![Effect::OpenAttention(note(Some(0), "tokyo"))], ..Commit::new(begun(&alone, at(4))) };
    commit(&*store, opened).await;
    end(&*store, &plas, at(5)).await;
    let again = acceptance(5, at(5), Plan { retry_of: Some(plas.id), ..plan() });
    let again = Acceptance { owner: Some("p".to_owned()), ..again };
    let again = accept(&*store, again).await.0.id;
    let mut foreign = acceptance(4, at(6), plan());
    foreign.operation.tenant = TenantId::from("other");
    let foreign = accept(&*store, foreign).await.0;

    let (msf, plas, alone) = (msf.id, plas.id, alone.id);
    let any = Filter::default;
    let cases: Vec<(Filter, Vec<OperationId>)> = vec![
        (any(), vec![msf, plas, alone, again]),
        (Filter { retry_of: Some(plas), ..any() }, vec![again]),
        (Filter { retry_of: Some(plas), owner: Some("p".to_owned()), ..any() }, vec![again]),
        (Filter { retry_of: Some(plas), owner: Some("o".to_owned()), ..any() }, vec![]),
        (Filter { retry_of: Some(plas), statuses: [Status::Completed].into(), ..any() }, vec![]),
        (Filter { retry_of: Some(msf), ..any() }, vec![]),
        (Filter { retry_of: Some(plas), tenant: foreign.tenant.clone(), ..any() }, vec![]),
        (Filter { tenant: foreign.tenant.clone(), ..any() }, vec![foreign.id]),
        (Filter { statuses: [Status::Completed, Status::Executing].into(), ..any() }, vec![plas, alone]),
        (Filter { route: Some("two".to_owned()), ..any() }, vec![plas, alone]),
        (Filter { dialect: Some(DialectName::Msf), ..any() }, vec![msf, alone]),
        (Filter { dialect: Some(DialectName::Msf), mount: Some("/v1".to_owned()), ..any() }, vec![msf]),
        (Filter { owner: Some("o".to_owned()), ..any() }, vec![plas]),
        (Filter { owner: Some("o".to_owned()), statuses: [Status::Executing].into(), ..any() }, vec![]),
        (Filter { verb: Some(Verb::Delete), ..any() }, vec![plas]),
        (Filter { resource: Some("/v1/a".to_owned()), ..any() }, vec![msf, alone]),
        (Filter { target: Some("osaka".into()), ..any() }, vec![msf, plas, again]),
        (Filter { target: Some("osa".into()), ..any() }, vec![]),
        (Filter { attention: Some(true), ..any() }, vec![alone]),
        (Filter { attention: Some(false), ..any() }, vec![msf, plas, again]),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(&*store, &filter).await, expected, "{filter:?}");
    }
}

pub(super) async fn times_and_texts_are_filtered(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let mut all = Vec::new();
    for (number, resource) in [(10, "/v1/Slices/7"), (20, "/v1/slices/100%"), (30, "/v1/other_1")] {
        let second = i64::try_from(number).unwrap();
        let plan = Plan { resource: resource.to_owned(), ..plan() };
        all.push(accept(&*store, acceptance(number, at(second), plan)).await.0.id);
    }
    let times = |since: Option<i64>, until: Option<i64>| Filter {
        since: since.map(at),
        until: until.map(at),
        ..Filter::default()
    };
    assert_eq!(ids(&*store, &times(Some(20), None)).await, all[1..]);
    assert_eq!(ids(&*store, &times(None, Some(20))).await, all[..1]);
    assert_eq!(ids(&*store, &times(Some(20), Some(30))).await, all[1..2]);
    assert!(ids(&*store, &times(Some(31), None)).await.is_empty());
    let last = id(at(30), 30).to_string();
    for (text, expected) in [
        ("SLICES", &all[..2]),
        ("%", &all[1..2]),
        ("_", &all[2..]),
        ("create", &all[..]),
        (&last[24..], &all[2..]),
        ("nowhere", &[]),
    ] {
        let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
        assert_eq!(ids(&*store, &filter).await, expected, "{text}");
    }
}

pub(super) async fn counts_follow_the_statuses(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    assert_eq!(store.counts(None).await.unwrap(), Counts::new());
    let first = accept_plain(&*store, 1).await;
    let second = accept_plain(&*store, 2).await;
    let mut foreign = acceptance(3, at(3), plan());
    foreign.operation.tenant = TenantId::from("other");
    accept(&*store, foreign).await;
    commit(&*store, Commit::new(begun(&first, at(4)))).await;
    commit(&*store, Commit::new(ended(&second, Status::Canceled, at(4)))).await;
    let own: Counts = [(Status::Executing, 1), (Status::Canceled, 1)].into();
    assert_eq!(store.counts(Some(&TenantId::default())).await.unwrap(), own);
    let all: Counts = [(Status::Unexecuted, 1), (Status::Executing, 1), (Status::Canceled, 1)].into();
    assert_eq!(store.counts(None).await.unwrap(), all);
}
