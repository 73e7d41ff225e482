use std::time::Duration;

use fanfold_core::access::audit::{Action, Outcome};
use fanfold_core::{OperationId, TenantId};
use futures_util::future::join_all;

use super::Factory;
use super::fixtures::{at, audit_entry, id};
use crate::{AUDIT_TEXT_MAX, AuditEntry, AuditFilter, AuditNumber, Limits, NewAuditEntry, Order, Page, Store, Swept};

async fn record(store: &dyn Store, entry: NewAuditEntry) -> AuditNumber {
    store.record_audit(entry).await.unwrap()
}

async fn all(store: &dyn Store, filter: &AuditFilter) -> Vec<AuditEntry> {
    let page = Page { order: Order::OldestFirst, ..Page::newest(999) };
    store.audit(filter, page).await.unwrap()
}

async fn numbers(store: &dyn Store, filter: &AuditFilter) -> Vec<u64> {
    all(store, filter).await.iter().map(|entry| entry.number.0).collect()
}

pub(super) async fn an_entry_comes_back_as_it_was_recorded(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let strange = "a\0b\u{10ffff}'\"\\%";
    let full = NewAuditEntry {
        tenant: strange.into(),
        credential: strange.to_owned(),
        from: strange.to_owned(),
        operation: Some(id(at(1), 1)),
        target: Some(strange.into()),
        subject: Some(strange.to_owned()),
        detail: Some(String::new()),
        outcome: Outcome::Refused { reason: strange.to_owned() },
        ..audit_entry(at(7), strange, Action::Cancel)
    };
    let plain = NewAuditEntry { outcome: Outcome::Asked, ..audit_entry(at(2), "", Action::SignIn) };
    let mut expected = Vec::new();
    for entry in [full, plain] {
        expected.push(AuditEntry { number: record(&*store, entry.clone()).await, entry });
    }
    assert_eq!(all(&*store, &AuditFilter::default()).await, expected, "in the order of recording, whatever the time");
    let by_strange =
        AuditFilter { by: Some(strange.to_owned()), tenant: Some(strange.into()), ..AuditFilter::default() };
    assert_eq!(all(&*store, &by_strange).await, expected[..1]);
    for action in Action::ALL {
        let of = AuditFilter { action: Some(action), since: Some(at(50)), ..AuditFilter::default() };
        let entry = audit_entry(at(50), "anna", action);
        let number = record(&*store, entry.clone()).await;
        assert_eq!(all(&*store, &of).await, [AuditEntry { number, entry }]);
    }
}

pub(super) async fn entries_are_filtered_and_paged(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (one, two): (OperationId, OperationId) = (id(at(1), 1), id(at(1), 2));
    let about = |operation| move |entry: NewAuditEntry| NewAuditEntry { operation: Some(operation), ..entry };
    let foreign = |entry| NewAuditEntry { tenant: TenantId::from("other"), ..entry };
    // Their numbers are the places from 1.
    for entry in [
        about(one)(audit_entry(at(10), "anna", Action::Cancel)),
        about(two)(audit_entry(at(20), "bert", Action::Cancel)),
        about(one)(foreign(audit_entry(at(30), "anna", Action::Retry))),
        audit_entry(at(25), "anna", Action::Drain),
        foreign(audit_entry(at(40), "carl", Action::SignInRefused)),
    ] {
        record(&*store, entry).await;
    }
    let any = AuditFilter::default;
    let own = || AuditFilter { tenant: Some(TenantId::default()), ..any() };
    let anna = || Some("anna".to_owned());
    for (filter, expected) in [
        (any(), &[1, 2, 3, 4, 5][..]),
        (own(), &[1, 2, 4]),
        (AuditFilter { tenant: Some("other".into()), ..any() }, &[3, 5]),
        (AuditFilter { tenant: Some("nobody".into()), ..any() }, &[]),
        (AuditFilter { by: anna(), ..any() }, &[1, 3, 4]),
        (AuditFilter { by: anna(), ..own() }, &[1, 4]),
        (AuditFilter { action: Some(Action::Cancel), ..any() }, &[1, 2]),
        (AuditFilter { action: Some(Action::Retry), ..own() }, &[]),
        (AuditFilter { operation: Some(one), ..any() }, &[1, 3]),
        (AuditFilter { operation: Some(one), by: anna(), action: Some(Action::Retry), ..any() }, &[3]),
        (AuditFilter { operation: Some(one), ..own() }, &[1]),
        (AuditFilter { since: Some(at(20)), ..any() }, &[2, 3, 4, 5]),
        (AuditFilter { until: Some(at(20)), ..any() }, &[1]),
        (AuditFilter { since: Some(at(20)), until: Some(at(40)), by: anna(), ..any() }, &[3, 4]),
        (AuditFilter { since: Some(at(20)), until: Some(at(30)), ..own() }, &[2, 4]),
        (AuditFilter { since: Some(at(99)), ..any() }, &[]),
    ] {
        assert_eq!(numbers(&*store, &filter).await, expected, "{filter:?}");
        let mut pieces: Vec<u64> = Vec::new();
        loop {
            let page = Page { after: pieces.last().copied().map(AuditNumber), ..Page::newest(2) };
            let found = store.audit(&filter, page).await.unwrap();
            pieces.extend(found.iter().map(|entry| entry.number.0));
            if found.len() < 2 {
                break;
            }
        }
        pieces.reverse();
        assert_eq!(pieces, expected, "the newest first, page by page: {filter:?}");
    }
}

/// More than are read and sorted at once where a span is few.
const MANY: u64 = 5_100;

pub(super) async fn many_entries_of_a_span_are_paged(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let entry = |number: u64| {
        let by = if number.is_multiple_of(1_000) { "anna" } else { "bert" };
        audit_entry(at(i64::try_from(number / 100).unwrap()), by, Action::SignIn)
    };
    let mut recorded: Vec<u64> = Vec::new();
    for some in (0..MANY).collect::<Vec<_>>().chunks(500) {
        let answers = join_all(some.iter().map(|number| store.record_audit(entry(*number)))).await;
        recorded.extend(answers.into_iter().map(|number| number.unwrap().0));
    }
    let span = AuditFilter { since: Some(at(0)), ..AuditFilter::default() };
    let newest = store.audit(&span, Page::newest(10)).await.unwrap();
    assert_eq!(
        newest.iter().map(|entry| entry.number.0).collect::<Vec<_>>(),
        (0..10).map(|back| MANY - back).collect::<Vec<_>>()
    );
    recorded.sort_unstable();
    assert_eq!(recorded, (1..=MANY).collect::<Vec<_>>(), "without a gap");
    let of_anna = AuditFilter { by: Some("anna".to_owned()), ..span };
    assert_eq!(all(&*store, &of_anna).await.len(), 6);
    let late = AuditFilter { since: Some(at(50)), ..AuditFilter::default() };
    assert_eq!(all(&*store, &late).await.len(), 100);
}

pub(super) async fn what_is_too_long_is_cut_off(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let long = || "x".repeat(AUDIT_TEXT_MAX + 1);
    let entry = NewAuditEntry {
        credential: long(),
        from: long(),
        subject: Some(long()),
        detail: Some(long()),
        outcome: Outcome::Refused { reason: long() },
        ..audit_entry(at(1), &long(), Action::SignInRefused)
    };
    record(&*store, entry).await;
    let found = all(&*store, &AuditFilter::default()).await.remove(0).entry;
    let texts =
        [Some(&found.by), Some(&found.credential), Some(&found.from), found.subject.as_ref(), found.detail.as_ref()];
    for text in texts.into_iter().flatten().map(String::as_str).chain(found.outcome.reason()) {
        assert!(text.len() <= AUDIT_TEXT_MAX && text.ends_with("x…"), "{} octets", text.len());
    }
}

pub(super) async fn old_entries_are_deleted_and_no_others(fresh: Factory<'_>) {
    const KEPT: Duration = Duration::from_secs(100);
    let store = fresh(Limits { audit_kept: KEPT, ..Limits::default() });
    // One of them by a clock that is behind the others.
    for second in [10, 20, 15, 30] {
        record(&*store, audit_entry(at(second), "anna", Action::Hold)).await;
    }
    let left = async || numbers(&*store, &AuditFilter::default()).await;
    let sweep = async |second: i64, batch| store.sweep_access(at(second) + KEPT, batch).await.unwrap();
    assert_eq!(sweep(9, 9).await, Swept::default());
    assert_eq!(sweep(10, 9).await, Swept { deleted: 1, more: false });
    assert_eq!(sweep(20, 1).await, Swept { deleted: 1, more: true });
    assert_eq!(left().await, [2, 4], "the oldest first");
    assert_eq!(sweep(29, 9).await, Swept { deleted: 1, more: false });
    assert_eq!(left().await, [4]);
    assert_eq!(sweep(30, 9).await, Swept { deleted: 1, more: false });
    // A number is not used again.
    assert_eq!(record(&*store, audit_entry(at(99), "anna", Action::Hold)).await, AuditNumber(5));
}
