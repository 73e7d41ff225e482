use bytes::Bytes;
use fanfold_core::dialect::View;
use fanfold_core::operation::{Course, Undo, UndoPhase};
use fanfold_core::{Body, Content, Operation, Plan, Slot, StepIndex};

use super::Factory;
use super::fixtures::{accept, acceptance, answer, at, begun, commit, end, large, plan, request};
use crate::{Acceptance, Commit, Error, Limits, Store};

const FIRST: StepIndex = StepIndex(0);

fn with_answer(operation: &Operation, second: i64, body: Bytes) -> Operation {
    let mut next = begun(operation, at(second));
    next.steps[0].course.answer = Some(answer(201, body));
    next
}

/// Reads an operation back and gives the octets in a slot as everybody else sees them.
async fn octets(store: &dyn Store, operation: &Operation, slot: Slot) -> Vec<u8> {
    let operation = store.operation(operation.id).await.unwrap().unwrap();
    let bodies = store.bodies(operation.id).await.unwrap();
    View { operation: &operation, bodies: &bodies }.octets(slot).to_vec()
}

pub(super) async fn large_bodies_stand_apart(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let mut large_plan = Plan { request: request("/v1/things", large(b'r')), ..plan() };
    large_plan.steps[0].request.body = Body(Content::Same(Slot::Request));
    large_plan.steps[1].request.body = Body::inline(large(b's'));
    let (accepted, _) = accept(&*store, acceptance(1, at(1), large_plan)).await;
    assert_eq!(accepted.plan.request.body.0, Content::Apart { bytes: 5_000 });
    assert_eq!(store.operation(accepted.id).await.unwrap().as_ref(), Some(&accepted));

    let mut next = with_answer(&accepted, 2, large(b'a'));
    next.steps[1].undo = Some(Undo {
        phase: UndoPhase::Queued,
        request: Some(request("/undo", large(b'u'))),
        course: Course { answer: Some(answer(200, large(b'v'))), ..Course::default() },
    });
    let next = *commit(&*store, Commit::new(next)).await.operation;
    assert_eq!(store.operation(accepted.id).await.unwrap().as_ref(), Some(&next));
    let second = StepIndex(1);
    for (slot, fill) in [
        (Slot::Request, b'r'),
        (Slot::StepRequest(FIRST), b'r'),
        (Slot::StepRequest(second), b's'),
        (Slot::StepAnswer(FIRST), b'a'),
        (Slot::UndoRequest(second), b'u'),
        (Slot::UndoAnswer(second), b'v'),
    ] {
        assert_eq!(octets(&*store, &accepted, slot).await, large(fill), "{slot}");
    }
    let bodies = store.bodies(accepted.id).await.unwrap();
    assert_eq!(bodies.len(), 5);
    for (slot, octets) in bodies {
        assert_eq!(store.body(accepted.id, slot).await.unwrap(), Some(octets), "{slot}");
    }
    assert_eq!(store.body(accepted.id, Slot::StepRequest(FIRST)).await.unwrap(), None, "it is the same as another one");
}

// Whoever goes on with the recorded form, or with one read back, never hands a body in twice.
pub(super) async fn a_state_change_leaves_bodies_alone(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (accepted, _) = accept(&*store, acceptance(1, at(1), plan())).await;
    let answered = *commit(&*store, Commit::new(with_answer(&accepted, 2, large(b'a')))).await.operation;
    assert_eq!(answered.steps[0].course.answer.as_ref().unwrap().body.0, Content::Apart { bytes: 5_000 });
    let read = store.operation(accepted.id).await.unwrap().unwrap();
    commit(&*store, Commit::new(begun(&read, at(3)))).await;
    assert_eq!(octets(&*store, &accepted, Slot::StepAnswer(FIRST)).await, large(b'a'));
}

pub(super) async fn superseded_bodies_go(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let (accepted, _) = accept(&*store, acceptance(1, at(1), plan())).await;
    let first = *commit(&*store, Commit::new(with_answer(&accepted, 2, large(b'a')))).await.operation;
    let second = *commit(&*store, Commit::new(with_answer(&first, 3, large(b'b')))).await.operation;
    assert_eq!(octets(&*store, &accepted, Slot::StepAnswer(FIRST)).await, large(b'b'));
    commit(&*store, Commit::new(with_answer(&second, 4, Bytes::from_static(b"small")))).await;
    assert_eq!(octets(&*store, &accepted, Slot::StepAnswer(FIRST)).await, b"small");
    assert!(store.bodies(accepted.id).await.unwrap().is_empty());
}

pub(super) async fn a_body_that_was_never_recorded_is_refused(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let nowhere = || Body(Content::Apart { bytes: 5_000 });
    let mut bad = plan();
    bad.request.body = nowhere();
    let refused = store.accept(acceptance(1, at(1), bad)).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    let (accepted, _) = accept(&*store, acceptance(1, at(1), plan())).await;
    let mut next = with_answer(&accepted, 2, Bytes::new());
    next.steps[0].course.answer.as_mut().unwrap().body = nowhere();
    let refused = store.commit(Commit::new(next)).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert_eq!(store.operation(accepted.id).await.unwrap(), Some(accepted));
}

pub(super) async fn sealed_messages_come_back_until_the_end(fresh: Factory<'_>) {
    let store = fresh(Limits::default());
    let before = Slot::Before(FIRST);
    let sealed = [Slot::Request, Slot::Callback, Slot::Webhook].map(|slot| (slot, Bytes::from_static(b"original")));
    let given = Acceptance { sealed: sealed.into(), ..acceptance(1, at(1), plan()) };
    let (accepted, _) = accept(&*store, given).await;
    let read = |slot| store.sealed(accepted.id, slot);
    assert_eq!(read(Slot::Request).await.unwrap().unwrap(), "original");
    assert_eq!(read(before).await.unwrap(), None);

    let next = Commit { sealed: vec![(before, large(b'x'))], ..Commit::new(begun(&accepted, at(2))) };
    let next = *commit(&*store, next).await.operation;
    let replaced = Commit { sealed: vec![(before, large(b'y'))], ..Commit::new(begun(&next, at(3))) };
    let next = *commit(&*store, replaced).await.operation;
    assert_eq!(read(before).await.unwrap().unwrap(), large(b'y'));
    assert_eq!(read(Slot::Request).await.unwrap().unwrap(), "original");

    end(&*store, &next, at(4)).await;
    assert_eq!(read(before).await.unwrap(), None);
    assert_eq!(read(Slot::Request).await.unwrap(), None);
    for lasting in Slot::LASTING {
        assert_eq!(read(lasting).await.unwrap().unwrap(), "original", "it is needed after the end: {lasting}");
    }
}
