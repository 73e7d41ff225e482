//! Nodes: several handles on one store.

use std::time::Duration;

use fanfold_core::access::audit::Action;
use fanfold_core::operation::Status;
use fanfold_core::plan::OnLocked;
use fanfold_core::{Event, Operation, PerTenant, Plan, TargetName, TenantId};
use futures_util::future::join_all;
use jiff::Timestamp;

use super::fixtures::{
    LANE, accept, accept_plain, acceptance, at, audit_entry, begun, commit, end, ended, keyed, locked_plan, note,
    notice, plan, session, token,
};
use super::{Handle, HandleFactory};
use crate::{
    Accepted, Adopted, Answer, AskNumber, Asked, AuditFilter, Change, Closed, Commit, DueNotices, Epoch, Error,
    EventNumber, Hold, IdempotencyKey, KeyUse, Limits, LockOutcome, LockPlace, NEWS_MAX, NewNode, NoteFilter, NoticeId,
    NoticeOutcome, Page, Revoked, SessionBegun, SessionOf, Standing, TokenCreated, Word,
};

pub(super) async fn run(fresh: HandleFactory<'_>) {
    joining_gives_rising_epochs(fresh).await;
    only_a_node_that_does_not_beat_is_fenced(fresh).await;
    what_a_fenced_node_writes_is_refused(fresh).await;
    a_node_sees_what_is_due_of_its_own(fresh).await;
    nobody_writes_on_what_is_anothers(fresh).await;
    Box::pin(adoption_goes_in_batches(fresh)).await;
    a_node_that_leaves_is_followed_at_once(fresh).await;
    what_was_nobodys_is_adopted(fresh).await;
    notices_are_adopted_and_replayed(fresh).await;
    a_lock_goes_from_node_to_node(fresh).await;
    keys_retries_and_bounds_hold_over_all_nodes(fresh).await;
    who_confirms_an_acceptance_keeps_it(fresh).await;
    news_tell_what_changed(fresh).await;
    Box::pin(a_question_is_answered_once(fresh)).await;
    a_question_goes_with_its_operation(fresh).await;
    words_are_heard_by_the_others(fresh).await;
    tokens_are_everybodys(fresh).await;
    one_trail_for_all(fresh).await;
    super::permits::run(fresh).await;
}

pub(super) fn named(name: &str) -> NewNode {
    let (configuration, version) = ("c0ffee".to_owned(), "1.0.0".to_owned());
    let lease = std::time::Duration::from_secs(7);
    NewNode { name: name.to_owned(), configuration, version, lease, joined_at: at(0) }
}

/// So many nodes on an empty store.
pub(super) async fn joined<const N: usize>(fresh: HandleFactory<'_>) -> [(Handle, Epoch); N] {
    let mut nodes = Vec::new();
    for handle in fresh(Limits::default(), N) {
        let epoch = handle.nodes.join(named("node")).await.unwrap();
        nodes.push((handle, epoch));
    }
    nodes.try_into().unwrap_or_else(|_| panic!("the factory gives as many handles as it is asked for"))
}

/// Fences `lost` off, as seen by `by`.
pub(super) async fn fence(by: &Handle, lost: Epoch) {
    let nodes = by.nodes.beat(at(1), "c0ffee").await.unwrap();
    let beat = nodes.iter().find(|node| node.epoch == lost).unwrap().beat;
    assert_eq!(by.nodes.fence(lost, beat).await, Ok(Change::Made));
}

async fn due(handle: &Handle) -> Vec<fanfold_core::OperationId> {
    handle.store.due(LANE, at(99), 10).await.unwrap()
}

async fn due_notices(handle: &Handle, now: Timestamp) -> Vec<String> {
    let wanted = DueNotices { now, after: String::new(), each: 100, limit: 100 };
    handle.store.due_notices(wanted).await.unwrap().into_iter().map(|due| due.notice.id.0).collect()
}

fn cancel(by: &str) -> Event {
    Event::CancelRequested { by: by.to_owned() }
}

fn retry_of(operation: &Operation) -> Plan {
    Plan { retry_of: Some(operation.id), ..plan() }
}

async fn joining_gives_rising_epochs(fresh: HandleFactory<'_>) {
    let [(a, first), (b, second)] = joined(fresh).await;
    assert!(first < second, "{first:?}, {second:?}");
    let nodes = a.nodes.beat(at(5), "c0ffee").await.unwrap();
    assert_eq!(nodes.iter().map(|node| node.epoch).collect::<Vec<_>>(), [first, second], "by epoch");
    assert!(nodes.iter().all(|node| node.standing == Standing::Member && node.node == named("node")));
    let [own, other] = &nodes[..] else { panic!("{nodes:?}") };
    assert_eq!((own.beat_at, own.beat > other.beat), (at(5), true));
    // A handle that joins again is another node; the old one is a member until it is fenced off.
    let third = a.nodes.join(named("again")).await.unwrap();
    assert!(second < third);
    let nodes = a.nodes.beat(at(6), "c0ffee").await.unwrap();
    assert_eq!(nodes.iter().map(|node| node.epoch).collect::<Vec<_>>(), [first, second, third]);
    assert_eq!(nodes[0], *own, "it was the new one that has beaten");
    assert_eq!(b.nodes.fence(first, own.beat).await, Ok(Change::Made));
    a.nodes.beat(at(7), "reloaded").await.unwrap();
    let nodes = b.nodes.beat(at(7), "c0ffee").await.unwrap();
    assert_eq!(
        nodes.iter().map(|node| node.node.configuration.as_str()).collect::<Vec<_>>()[1..],
        ["c0ffee", "reloaded"]
    );
}

async fn only_a_node_that_does_not_beat_is_fenced(fresh: HandleFactory<'_>) {
    let [(a, _), (b, lost)] = joined(fresh).await;
    let seen = async || {
        let nodes = a.nodes.beat(at(1), "c0ffee").await.unwrap();
        nodes.into_iter().find(|node| node.epoch == lost).unwrap()
    };
    let before = seen().await.beat;
    assert_eq!(seen().await.beat, before, "it beats for itself only");
    b.nodes.beat(at(2), "c0ffee").await.unwrap();
    assert_eq!(seen().await.beat, before + 1);
    assert_eq!(a.nodes.fence(lost, before).await, Ok(Change::AlreadySo), "it has beaten since");
    assert_eq!(seen().await.standing, Standing::Member);
    b.nodes.beat(at(3), "c0ffee").await.unwrap();
    let beat = seen().await.beat;
    assert_eq!(a.nodes.fence(lost, beat).await, Ok(Change::Made));
    assert_eq!(a.nodes.fence(lost, beat).await, Ok(Change::AlreadySo));
    assert_eq!(seen().await.standing, Standing::Fenced);
    assert_eq!(b.nodes.beat(at(4), "c0ffee").await, Err(Error::Fenced));
    assert_eq!(a.nodes.fence(Epoch(u64::from(u32::MAX)), 0).await, Ok(Change::AlreadySo), "there is no such node");
}

async fn what_a_fenced_node_writes_is_refused(fresh: HandleFactory<'_>) {
    let [(a, _), (b, lost)] = joined(fresh).await;
    let store = &*b.store;
    let operation = accept_plain(store, 1).await;
    let notices = vec![notice("pending", at(5)), notice("dead", at(5))];
    let open = vec![fanfold_core::Effect::OpenAttention(note(None, "tokyo"))];
    let begun_one = commit(store, Commit { notices, effects: open, ..Commit::new(begun(&operation, at(2))) }).await;
    let dead = NoticeOutcome::Dead { error: "too often".to_owned(), at: at(6) };
    store.record_notice(&NoticeId("dead".to_owned()), dead.clone()).await.unwrap();
    let noted = store.notes(&NoteFilter::default(), Page::newest(1)).await.unwrap().remove(0);
    fence(&a, lost).await;

    let next = begun(&begun_one.operation, at(7));
    let target = TargetName::from("tokyo");
    let hold = Hold { target: target.clone(), since: at(7), by: "me".to_owned(), reason: "so".to_owned() };
    let closed = Closed { at: at(7), by: "me".to_owned(), remark: None };
    assert_eq!(store.accept(acceptance(9, at(7), plan())).await, Err(Error::Fenced));
    assert_eq!(store.commit(Commit::new(next.clone())).await, Err(Error::Fenced));
    assert_eq!(store.record_notice(&NoticeId("pending".to_owned()), dead).await, Err(Error::Fenced));
    assert_eq!(store.replay_notice(&NoticeId("dead".to_owned()), at(7)).await, Err(Error::Fenced));
    assert_eq!(store.hold(hold).await, Err(Error::Fenced));
    assert_eq!(store.release(&target).await, Err(Error::Fenced));
    assert_eq!(store.acknowledge(noted.id, closed).await, Err(Error::Fenced));
    assert_eq!(store.sweep(at(7), 10).await, Err(Error::Fenced));
    assert_eq!(b.nodes.adopt(at(7), 10).await, Err(Error::Fenced));
    assert_eq!(b.nodes.beat(at(7), "c0ffee").await, Err(Error::Fenced));
    assert_eq!(store.operation(operation.id).await.unwrap().as_ref(), Some(&*begun_one.operation), "it may read");
    assert!(store.holds().await.unwrap().is_empty());

    // Under a new epoch it is a node like any other, and owns nothing yet.
    let epoch = b.nodes.join(named("again")).await.unwrap();
    assert!(epoch > lost);
    assert!(due(&b).await.is_empty() && due_notices(&b, at(99)).await.is_empty());
    assert_eq!(store.commit(Commit::new(next)).await, Err(Error::Conflict));
    accept_plain(store, 2).await;
}

async fn a_node_sees_what_is_due_of_its_own(fresh: HandleFactory<'_>) {
    let [(a, _), (b, _)] = joined(fresh).await;
    let first = accept_plain(&*a.store, 1).await;
    let second = accept_plain(&*b.store, 2).await;
    for (handle, own, due_at) in [(&a, &first, 1), (&b, &second, 2)] {
        assert_eq!(due(handle).await, [own.id]);
        assert_eq!(handle.store.next_wake(at(0)).await.unwrap(), Some(at(due_at)));
        assert_eq!(handle.store.open_operations(None, 10).await.unwrap(), [own.id]);
        assert_eq!(handle.store.lanes(at(99)).await.unwrap(), [LANE]);
    }
    assert!(a.store.open_operations(Some(first.id), 10).await.unwrap().is_empty());
    assert!(b.store.lanes(at(1)).await.unwrap().is_empty());
    let with_notice = Commit { notices: vec![notice("b1", at(10))], ..Commit::new(begun(&second, at(3))) };
    commit(&*b.store, with_notice).await;
    assert!(due_notices(&a, at(99)).await.is_empty());
    assert_eq!(due_notices(&b, at(99)).await, ["b1"]);
    assert_eq!((a.store.next_notice(at(0)).await, b.store.next_notice(at(0)).await), (Ok(None), Ok(Some(at(10)))));
    // Everything can be read by everybody.
    assert_eq!(a.store.list(&crate::Filter::default(), Page::newest(10)).await.unwrap().len(), 2);
    assert_eq!(a.store.counts(None).await, b.store.counts(None).await);
    assert!(a.store.notice(&NoticeId("b1".to_owned())).await.unwrap().is_some());
}

async fn nobody_writes_on_what_is_anothers(fresh: HandleFactory<'_>) {
    let [(a, _), (b, _)] = joined(fresh).await;
    let operation = accept_plain(&*a.store, 1).await;
    assert_eq!(b.store.commit(Commit::new(begun(&operation, at(2)))).await, Err(Error::Conflict));
    assert_eq!(b.store.operation(operation.id).await.unwrap(), Some(operation.clone()));
    commit(&*a.store, Commit::new(begun(&operation, at(2)))).await;
}

async fn adoption_goes_in_batches(fresh: HandleFactory<'_>) {
    let [(a, own), (b, lost)] = joined(fresh).await;
    let mut waiting = Vec::new();
    for number in 1..=5 {
        waiting.push(accept_plain(&*b.store, number).await);
    }
    end(&*b.store, &waiting.remove(0), at(6)).await;
    assert_eq!(a.nodes.adopt(at(10), 100).await, Ok(Adopted::default()), "they have an owner that lives");
    fence(&a, lost).await;
    assert_eq!(a.nodes.adopted_at(waiting[0].id).await, Ok(None));
    let mut adopted = 0;
    for batch in 0.. {
        let found = a.nodes.adopt(at(10 + batch), 3).await.unwrap();
        assert!(found.operations <= 3 && batch < 4, "{found:?}");
        adopted += found.operations;
        if !found.more {
            break;
        }
    }
    assert_eq!(adopted, waiting.len());
    assert_eq!(due(&a).await, waiting.iter().map(|operation| operation.id).collect::<Vec<_>>(), "they wait as before");
    assert!(due(&b).await.is_empty());
    let mut times = Vec::new();
    for operation in &waiting {
        times.push(a.nodes.adopted_at(operation.id).await.unwrap());
    }
    assert!(times.iter().all(|time| (Some(at(10))..=Some(at(13))).contains(time)), "{times:?}");
    assert!(times.contains(&Some(at(10))));
    let nodes = a.nodes.beat(at(20), "c0ffee").await.unwrap();
    assert_eq!(nodes.iter().map(|node| node.epoch).collect::<Vec<_>>(), [own], "it is forgotten");
    assert_eq!(b.nodes.beat(at(20), "c0ffee").await, Err(Error::Fenced), "and cannot come back");
    assert_eq!(b.store.commit(Commit::new(begun(&waiting[0], at(20)))).await, Err(Error::Fenced));
    commit(&*a.store, Commit::new(begun(&waiting[0], at(20)))).await;
}

async fn a_node_that_leaves_is_followed_at_once(fresh: HandleFactory<'_>) {
    let [(a, own), (b, _)] = joined(fresh).await;
    let operation = accept_plain(&*b.store, 1).await;
    b.nodes.leave().await.unwrap();
    b.nodes.leave().await.unwrap();
    assert_eq!(b.nodes.beat(at(2), "c0ffee").await, Err(Error::Fenced));
    assert_eq!(b.store.accept(acceptance(2, at(2), plan())).await, Err(Error::Fenced));
    assert_eq!(a.nodes.adopt(at(3), 10).await, Ok(Adopted { operations: 1, more: false }));
    assert_eq!(due(&a).await, [operation.id]);
    let nodes = a.nodes.beat(at(4), "c0ffee").await.unwrap();
    assert_eq!(nodes.iter().map(|node| node.epoch).collect::<Vec<_>>(), [own]);
}

async fn what_was_nobodys_is_adopted(fresh: HandleFactory<'_>) {
    let handles = fresh(Limits::default(), 2);
    let [a, b] = &handles[..] else { panic!("the factory gives as many handles as it is asked for") };
    let operation = accept_plain(&*a.store, 1).await;
    assert_eq!(due(a).await, [operation.id]);
    b.nodes.join(named("node")).await.unwrap();
    assert!(due(b).await.is_empty());
    assert_eq!(b.nodes.adopt(at(2), 10).await, Ok(Adopted { operations: 1, more: false }));
    assert_eq!(due(b).await, [operation.id]);
}

async fn notices_are_adopted_and_replayed(fresh: HandleFactory<'_>) {
    let [(a, _), (b, lost)] = joined(fresh).await;
    let operation = accept_plain(&*b.store, 1).await;
    let notices = vec![notice("b1", at(10)), notice("b2", at(10))];
    let done = Commit { notices, ..Commit::new(ended(&operation, Status::Completed, at(5))) };
    commit(&*b.store, done).await;
    let dead = NoticeOutcome::Dead { error: "too often".to_owned(), at: at(11) };
    b.store.record_notice(&NoticeId("b1".to_owned()), dead.clone()).await.unwrap();
    fence(&a, lost).await;
    let mut batches = 0;
    while a.nodes.adopt(at(12), 1).await.unwrap().more {
        batches += 1;
        assert!(batches < 4);
    }
    let rejoined = b.nodes.join(named("at once")).await.unwrap();
    let late = b.store.record_notice(&NoticeId("b2".to_owned()), dead.clone()).await;
    assert_eq!(late, Err(Error::Conflict), "who has joined again does not record what it began before");
    fence(&b, rejoined).await;
    assert_eq!(due_notices(&a, at(99)).await, ["b2"], "its operation has ended, and is nobody's to be carried out");
    // A dead one is sent by whoever takes it up again.
    let again = b.nodes.join(named("again")).await.unwrap();
    b.store.replay_notice(&NoticeId("b1".to_owned()), at(20)).await.unwrap();
    assert_eq!(due_notices(&b, at(20)).await, ["b1"]);
    b.store.record_notice(&NoticeId("b1".to_owned()), dead).await.unwrap();
    a.store.replay_notice(&NoticeId("b1".to_owned()), at(30)).await.unwrap();
    assert_eq!((due_notices(&a, at(30)).await, due_notices(&b, at(30)).await), (vec!["b1".to_owned()], vec![]));
    fence(&b, again).await;
}

async fn a_lock_goes_from_node_to_node(fresh: HandleFactory<'_>) {
    let [(a, _), (b, _)] = joined(fresh).await;
    let (holder, _) = accept(&*a.store, acceptance(1, at(1), locked_plan("l", OnLocked::Queue))).await;
    let (next, lock) = accept(&*b.store, acceptance(2, at(2), locked_plan("l", OnLocked::Queue))).await;
    assert_eq!(lock, LockOutcome::Queued);
    assert!(due(&b).await.is_empty());
    assert_eq!(a.store.lock_place(next.id).await.unwrap(), Some(LockPlace::Waiting { position: 1 }));
    let refused = b.store.accept(acceptance(3, at(3), locked_plan("l", OnLocked::Reject))).await;
    assert_eq!(refused, Ok(Accepted::Locked { holder: holder.id }));
    assert_eq!(end(&*a.store, &holder, at(5)).await.granted, Some(next.id));
    assert_eq!((due(&a).await, due(&b).await), (vec![], vec![next.id]));
}

async fn keys_retries_and_bounds_hold_over_all_nodes(fresh: HandleFactory<'_>) {
    let tenant_waiting_max = PerTenant { otherwise: 9, own: [(TenantId::from("other"), 1)].into() };
    let handles = fresh(Limits { waiting_max: 3, tenant_waiting_max, ..Limits::default() }, 2);
    let [a, b] = &handles[..] else { panic!("the factory gives as many handles as it is asked for") };
    for handle in [a, b] {
        handle.nodes.join(named("node")).await.unwrap();
    }
    let (first, _) = accept(&*a.store, keyed("k", 1, acceptance(1, at(1), plan()))).await;
    assert_eq!(b.store.accept(keyed("k", 1, acceptance(2, at(2), plan()))).await, Ok(Accepted::Same(first.id)));
    assert_eq!(b.store.accept(keyed("k", 2, acceptance(2, at(2), plan()))).await, Ok(Accepted::KeyReused(first.id)));
    assert_eq!(b.store.accept(acceptance(1, at(1), plan())).await, Err(Error::Conflict), "an id is an id everywhere");
    end(&*a.store, &first, at(3)).await;
    let (retry, _) = accept(&*a.store, acceptance(4, at(4), retry_of(&first))).await;
    let again = b.store.accept(acceptance(5, at(5), retry_of(&first))).await;
    assert_eq!(again, Ok(Accepted::Retried { by: retry.id }));
    let sixth = accept_plain(&*b.store, 6).await;
    let of_another = |number| {
        let mut given = acceptance(number, at(7), plan());
        given.operation.tenant = "other".into();
        given
    };
    accept(&*a.store, of_another(7)).await;
    assert_eq!(b.store.accept(of_another(8)).await, Ok(Accepted::TooManyWaiting), "the bound of all comes first");
    end(&*b.store, &sixth, at(8)).await;
    assert_eq!(b.store.accept(of_another(8)).await, Ok(Accepted::TooManyOfTenant));
    accept_plain(&*b.store, 9).await;
    assert_eq!(a.store.accept(acceptance(8, at(8), plan())).await, Ok(Accepted::TooManyWaiting));
    let counts = a.store.counts(None).await.unwrap();
    assert_eq!((counts.get(&Status::Unexecuted), counts.get(&Status::Completed)), (Some(&3), Some(&2)));
}

async fn who_confirms_an_acceptance_keeps_it(fresh: HandleFactory<'_>) {
    let [(a, _), (b, _)] = joined(fresh).await;
    let given = |key: &str| IdempotencyKey { key: key.to_owned(), fingerprint: [1; 32] };
    let taken_back = |operation: &Operation, second| Commit {
        free_idempotency_key: true,
        ..Commit::new(ended(operation, Status::Canceled, at(second)))
    };
    let (unclaimed, _) = accept(&*a.store, keyed("u", 1, acceptance(1, at(1), plan()))).await;
    let (by_accept, _) = accept(&*a.store, keyed("a", 1, acceptance(2, at(2), plan()))).await;
    let (by_look, _) = accept(&*a.store, keyed("l", 1, acceptance(3, at(3), plan()))).await;
    // Another request under the key claims nothing.
    let other = b.store.accept(keyed("u", 2, acceptance(4, at(4), plan()))).await;
    assert_eq!(other, Ok(Accepted::KeyReused(unclaimed.id)));
    let same = b.store.accept(keyed("a", 1, acceptance(5, at(5), plan()))).await;
    assert_eq!(same, Ok(Accepted::Same(by_accept.id)));
    let same = b.store.key_use(&TenantId::default(), &given("l")).await;
    assert_eq!(same, Ok(Some(KeyUse::Same(by_look.id))));
    commit(&*a.store, taken_back(&unclaimed, 6)).await;
    for claimed in [&by_accept, &by_look] {
        assert_eq!(a.store.commit(taken_back(claimed, 6)).await, Err(Error::Conflict));
        assert_eq!(a.store.operation(claimed.id).await.unwrap().as_ref(), Some(claimed));
        // It is canceled like any other, its key kept.
        commit(&*a.store, Commit::new(ended(claimed, Status::Canceled, at(7)))).await;
    }
    let kept = b.store.accept(keyed("a", 1, acceptance(8, at(8), plan()))).await;
    assert_eq!(kept, Ok(Accepted::Same(by_accept.id)));
}

async fn news_tell_what_changed(fresh: HandleFactory<'_>) {
    let [(a, _), (b, _)] = joined(fresh).await;
    let latest = a.store.latest_event().await.unwrap();
    let quiet = b.nodes.news(latest).await.unwrap();
    assert_eq!((quiet.changed, quiet.upto, quiet.more, quiet.asked), (vec![], latest, false, vec![]));
    let first = accept_plain(&*a.store, 1).await;
    let second = accept_plain(&*b.store, 2).await;
    let events = |by: &str| vec![(at(3), cancel(by)), (at(3), cancel(by))];
    let second = commit(&*b.store, Commit { events: events("x"), ..Commit::new(begun(&second, at(3))) }).await;
    commit(&*a.store, Commit { events: events("y"), ..Commit::new(begun(&first, at(4))) }).await;
    let news = a.nodes.news(latest).await.unwrap();
    assert_eq!(news.changed, [second.operation.id, first.id], "each once");
    assert_eq!((news.upto, news.more), (EventNumber(latest.0 + 4), false));
    assert!(a.nodes.news(news.upto).await.unwrap().changed.is_empty());
    // More than one look gives.
    let many = vec![(at(5), cancel("z")); NEWS_MAX + 1];
    let again = begun(&second.operation, at(5));
    commit(&*b.store, Commit { events: many, ..Commit::new(again) }).await;
    let part = a.nodes.news(news.upto).await.unwrap();
    assert_eq!((part.changed, part.more), (vec![second.operation.id], true));
    assert_eq!(part.upto.0, news.upto.0 + NEWS_MAX as u64);
    let rest = a.nodes.news(part.upto).await.unwrap();
    assert_eq!((rest.changed, rest.upto.0, rest.more), (vec![second.operation.id], part.upto.0 + 1, false));
}

async fn asked(handle: &Handle) -> Vec<Asked> {
    let latest = handle.store.latest_event().await.unwrap();
    handle.nodes.news(latest).await.unwrap().asked
}

async fn a_question_is_answered_once(fresh: HandleFactory<'_>) {
    let [(a, _), (b, _)] = joined(fresh).await;
    let operation = accept_plain(&*b.store, 1).await;
    let missing = a.nodes.ask(super::fixtures::id(at(1), 99), cancel("x")).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    let first = a.nodes.ask(operation.id, cancel("x")).await.unwrap();
    let second = a.nodes.ask(operation.id, cancel("y")).await.unwrap();
    let third = a.nodes.ask(operation.id, cancel("z")).await.unwrap();
    let question = |number, by| Asked { number, operation: operation.id, event: cancel(by) };
    assert_eq!(asked(&b).await, [question(first, "x"), question(second, "y"), question(third, "z")]);
    assert!(asked(&a).await.is_empty(), "they are the owner's");
    assert_eq!(a.nodes.answer(first).await, Ok(None));
    b.nodes.reply(first, Answer::Taken).await.unwrap();
    b.nodes.reply(third, Answer::Illegal("completed \u{0} over".to_owned())).await.unwrap();
    assert_eq!(asked(&b).await, [question(second, "y")]);
    assert_eq!(a.nodes.answer(first).await, Ok(Some(Answer::Taken)));
    assert_eq!(a.nodes.answer(first).await, Ok(None), "it was taken away");
    assert_eq!(a.nodes.take_back(third).await, Ok(false), "it is answered");
    assert_eq!(a.nodes.answer(third).await, Ok(Some(Answer::Illegal("completed \u{0} over".to_owned()))));
    assert_eq!(a.nodes.take_back(second).await, Ok(true));
    assert!(asked(&b).await.is_empty());
    // Too late: nobody waits for it any more.
    b.nodes.reply(second, Answer::Busy).await.unwrap();
    assert_eq!(a.nodes.answer(second).await, Ok(None));
    assert_eq!(a.nodes.take_back(AskNumber(u64::from(u32::MAX))).await, Ok(false));
}

async fn a_question_goes_with_its_operation(fresh: HandleFactory<'_>) {
    let [(a, _), (b, lost), (c, _)] = joined(fresh).await;
    let operation = accept_plain(&*b.store, 1).await;
    let number = a.nodes.ask(operation.id, cancel("x")).await.unwrap();
    fence(&c, lost).await;
    assert_eq!(c.nodes.adopt(at(3), 10).await.unwrap().operations, 1);
    assert_eq!(asked(&c).await, [Asked { number, operation: operation.id, event: cancel("x") }]);
    assert!(asked(&b).await.is_empty());
    c.nodes.reply(number, Answer::Busy).await.unwrap();
    assert_eq!(a.nodes.answer(number).await, Ok(Some(Answer::Busy)));
}

/// How long a word may take that was said again and again.
const HEARD_WITHIN: Duration = Duration::from_secs(30);

// Words may be lost, and a node may be told that there are news without anybody's having said so.
async fn words_are_heard_by_the_others(fresh: HandleFactory<'_>) {
    let [(a, _), (b, _)] = joined(fresh).await;
    let hears = async |handle: &Handle, wanted: Word| while handle.nodes.word().await != wanted {};
    for word in [Word::Lower("7 of 9".to_owned()), Word::News] {
        let said = async {
            loop {
                a.nodes.say(word.clone()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let heard = async {
            tokio::select! {
                () = hears(&b, word.clone()) => {}
                () = said => {}
            }
        };
        tokio::time::timeout(HEARD_WITHIN, heard).await.expect("it is said again and again");
    }
    // What one says oneself one does not hear. The other's word, said later, comes first.
    let last = Word::Lower("last".to_owned());
    let found = async {
        loop {
            b.nodes.say(last.clone()).await.unwrap();
            match tokio::time::timeout(Duration::from_millis(50), a.nodes.word()).await {
                Ok(Word::Lower(reference)) => return reference,
                Ok(Word::News) | Err(_) => {}
            }
        }
    };
    assert_eq!(tokio::time::timeout(HEARD_WITHIN, found).await.expect("it is said again and again"), "last");
}

async fn tokens_are_everybodys(fresh: HandleFactory<'_>) {
    let [(one, _), (other, lost)] = joined(fresh).await;
    let before = other.store.tokens_changed().await.unwrap();
    assert_eq!(one.store.create_token(token(1, "deploy")).await, Ok(TokenCreated::New));
    let seen = other.store.live_tokens().await.unwrap();
    assert!(seen.changes > before && seen.tokens == [token(1, "deploy").into()], "{seen:?}");
    let taken = TokenCreated::NameTaken { by: token(1, "").id };
    assert_eq!(other.store.create_token(token(2, "deploy")).await, Ok(taken));
    let begun = session(9, SessionOf::Token(token(1, "").id));
    assert_eq!(one.store.begin_session(begun.clone()).await, Ok(SessionBegun::New));
    let seen = other.store.live_tokens().await.unwrap();
    assert_eq!(seen.sessions.first(), Some(&begun));
    fence(&one, lost).await;
    assert_eq!(other.store.end_session(begun.digest).await, Err(Error::Fenced));
    let revoked = Revoked { at: at(9), by: "anna".to_owned() };
    assert_eq!(other.store.create_token(token(3, "more")).await, Err(Error::Fenced));
    assert_eq!(other.store.revoke_token(token(1, "").id, None, revoked).await, Err(Error::Fenced));
    assert_eq!(other.store.tokens_changed().await, Ok(seen.changes));
}

async fn one_trail_for_all(fresh: HandleFactory<'_>) {
    let [(one, _), (other, lost)] = joined(fresh).await;
    let entry = |by: &str| audit_entry(at(1), by, Action::Hold);
    let both = async {
        let mine = join_all((0..20).map(|_| one.store.record_audit(entry("anna"))));
        let theirs = join_all((0..20).map(|_| other.store.record_audit(entry("bert"))));
        futures_util::future::join(mine, theirs).await
    };
    let (mine, theirs) = both.await;
    let mut numbers: Vec<u64> = mine.into_iter().chain(theirs).map(|number| number.unwrap().0).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    for handle in [&one, &other] {
        let found = handle.store.audit(&AuditFilter::default(), Page::newest(99)).await.unwrap();
        assert_eq!(found.len(), 40);
    }
    fence(&one, lost).await;
    assert_eq!(other.store.record_audit(entry("bert")).await, Err(Error::Fenced));
}
