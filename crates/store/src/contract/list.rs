use fanfold_core::operation::{Phase, Send, Status, StepPhase, Trouble, TroubleKind};
use fanfold_core::plan::{DialectName, Front, Verb};
use fanfold_core::{Effect, Operation, OperationId, Plan, TenantId};

use super::Factory;
use super::fixtures::{accept, accept_plain, acceptance, at, begun, commit, end, ended, id, note, plan, restored};
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

pub(super) async fn phases_are_followed(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let waits = accept_plain(&*store, 1).await;
    let calls = begun(&accept_plain(&*store, 2).await, at(3));
    let calls = *commit(&*store, Commit::new(calls)).await.operation;
    let mut backs_off = begun(&accept_plain(&*store, 3).await, at(4));
    backs_off.steps[1].phase = StepPhase::Sending(Send::BackingOff { until: at(9) });
    let backs_off = *commit(&*store, Commit::new(backs_off)).await.operation;
    let released = accept_plain(&*store, 4).await;
    let released = *commit(&*store, Commit::new(restored(&released, at(5)))).await.operation;
    let of = |phases: &[Phase], statuses: &[Status]| Filter {
        phases: phases.iter().copied().collect(),
        statuses: statuses.iter().copied().collect(),
        ..Filter::default()
    };
    let both = [Phase::Calling, Phase::BackingOff];
    assert_eq!(ids(&*store, &of(&both, &[])).await, [calls.id, backs_off.id]);
    assert_eq!(ids(&*store, &of(&[Phase::BackingOff], &[])).await, [backs_off.id]);
    assert_eq!(ids(&*store, &of(&[Phase::NeedsAttention], &[])).await, [released.id]);
    assert_eq!(ids(&*store, &of(&Phase::ALL, &[Status::Unexecuted])).await, [released.id]);
    let foreign = Filter { tenant: "other".into(), ..of(&Phase::ALL, &[]) };
    assert!(ids(&*store, &foreign).await.is_empty());
    // It ends, goes on, begins: nothing is found by what it did before.
    end(&*store, &calls, at(10)).await;
    let goes_on = begun(&backs_off, at(10));
    let goes_on = Operation { steps: waits.steps.clone(), ..goes_on };
    commit(&*store, Commit::new(goes_on)).await;
    commit(&*store, Commit::new(super::fixtures::released(&released, at(10)))).await;
    assert_eq!(ids(&*store, &of(&Phase::ALL, &[])).await, [backs_off.id]);
    assert_eq!(ids(&*store, &of(&[Phase::Calling], &[])).await, [backs_off.id]);
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
        ("?DRY=0", &all[..]),
        ("100%\ncreate", &all[1..2]),
        ("size", &[]),
        ("nowhere", &[]),
    ] {
        let filter = Filter { text: Some(text.to_owned()), ..Filter::default() };
        assert_eq!(ids(&*store, &filter).await, expected, "{text}");
    }
}

pub(super) async fn the_latest_errors_and_what_is_related_are_found(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let first = accept_plain(&*store, 1).await;
    let retried = Plan { retry_of: Some(first.id), resource_id: Some("Res-7".to_owned()), ..plan() };
    let second = accept(&*store, acceptance(2, at(2), retried)).await.0;
    let broken = |operation: &Operation, detail: &str| {
        let mut next = begun(operation, at(3));
        next.steps[1].course.trouble = Some(Trouble { kind: TroubleKind::Refused, detail: detail.to_owned() });
        next
    };
    let failing = *commit(&*store, Commit::new(broken(&first, "Quota EXCEEDED"))).await.operation;
    let find = async |text: &str| ids(&*store, &Filter { text: Some(text.to_owned()), ..Filter::default() }).await;
    assert_eq!(find("quota exc").await, [first.id]);
    assert_eq!(find("res-7").await, [second.id]);
    assert_eq!(find(&first.id.to_string()).await, [first.id, second.id]);
    // Another error has come in its place; and what the final response says is a body.
    let failing = *commit(&*store, Commit::new(broken(&failing, "no route"))).await.operation;
    assert!(find("quota").await.is_empty());
    end(&*store, &failing, at(9)).await;
    assert_eq!(find("NO ROUTE").await, [first.id]);
    assert!(find("done").await.is_empty());
    let both = Filter { text: Some("no route".to_owned()), target: Some("osaka".into()), ..Filter::default() };
    assert_eq!(ids(&*store, &both).await, [first.id]);
    let few = Filter { text: Some("no route".to_owned()), statuses: [Status::Executing].into(), ..Filter::default() };
    assert!(ids(&*store, &few).await.is_empty());
}

pub(super) async fn a_search_is_done_in_pieces(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let mut all = Vec::new();
    for number in 1..=7 {
        all.push(accept_plain(&*store, number).await.id);
    }
    let mut foreign = acceptance(8, at(8), plan());
    foreign.operation.tenant = TenantId::from("other");
    accept(&*store, foreign).await;
    let tenant = TenantId::default();
    assert_eq!(store.place(&tenant, None, 1).await, Ok(Some(all[6])));
    assert_eq!(store.place(&tenant, None, 3).await, Ok(Some(all[4])));
    assert_eq!(store.place(&tenant, Some(all[4]), 4).await, Ok(Some(all[0])));
    assert_eq!(store.place(&tenant, Some(all[4]), 5).await, Ok(None));
    for text in [None, Some("create".to_owned())] {
        let filter = Filter { first: Some(all[2]), text, ..Filter::default() };
        assert_eq!(ids(&*store, &filter).await, all[2..]);
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
