//! A restore at a target without entity tags: only a comparison tells whether somebody else has changed the resource.

use super::fixtures::{Sketch, answer, at, request};
use super::transition;
use crate::operation::{
    Context, Event, Found, Image, Leg, Purpose, Reading, Sent, Timer, Trouble, TroubleKind, UndoEnd, UndoPhase,
};
use crate::plan::UndoRule;
use crate::{Operation, StepIndex};

const RESTORED: StepIndex = StepIndex(0);
const REFUSED: StepIndex = StepIndex(1);

fn take(operation: &Operation, event: Event, second: i64) -> Operation {
    let taken = transition(operation, event, Context { now: at(second), jitter: 0.5 });
    taken.unwrap_or_else(|illegal| panic!("{illegal}: {operation:#?}")).0
}

fn started(step: StepIndex, leg: Leg) -> Event {
    Event::AttemptStarted { step, leg, request: (leg == Leg::Undo).then(|| request(http::Method::PUT)) }
}

fn answered(step: StepIndex, leg: Leg, status: u16, reading: Reading) -> Event {
    Event::AttemptAnswered { step, leg, answer: answer(status), reading, trouble: None }
}

fn read(step: StepIndex, purpose: Purpose, digest: &str) -> Event {
    let image = Image::Present { etag: None, digest: Some(digest.to_owned()), content_type: None };
    Event::ResourceRead { step, purpose, found: Found::Image(image) }
}

/// One step has succeeded and the other was refused; the comparison before the undo of the first shows nobody else's change.
fn about_to_restore() -> Operation {
    let sketch = Sketch { method: http::Method::PUT, undo: Some(UndoRule::Restore), attempts: 3, ..Sketch::default() };
    [
        Event::Dispatched,
        read(RESTORED, Purpose::Before, "old"),
        read(REFUSED, Purpose::Before, "old"),
        started(RESTORED, Leg::Forward),
        answered(RESTORED, Leg::Forward, 200, Reading::Succeeded { etag: None }),
        read(RESTORED, Purpose::After, "new"),
        started(REFUSED, Leg::Forward),
        answered(REFUSED, Leg::Forward, 409, Reading::NotApplied),
        read(RESTORED, Purpose::Compare, "new"),
    ]
    .into_iter()
    .fold(sketch.operation(), |operation, event| take(&operation, event, 0))
}

/// The first undo did not do it, and the time of the next one has come.
fn to_be_sent_again(ended: Event) -> Operation {
    let operation = take(&take(&about_to_restore(), started(RESTORED, Leg::Undo), 0), ended, 0);
    take(&operation, Event::TimeCame { timer: Timer::Undo(RESTORED) }, 100)
}

fn not_taken_on() -> Event {
    answered(RESTORED, Leg::Undo, 503, Reading::NotTakenOn { retry_after: None })
}

fn broke() -> Event {
    let trouble = Trouble { kind: TroubleKind::Broken, detail: "test".into() };
    Event::AttemptBroke { step: RESTORED, leg: Leg::Undo, sent: Sent::Maybe, trouble }
}

fn undo_phase(operation: &Operation) -> &UndoPhase {
    &operation.steps[0].undo.as_ref().expect("it is undone").phase
}

#[test]
fn the_resource_is_compared_again_before_a_restore_is_sent_again() {
    for ended in [not_taken_on(), broke()] {
        let operation = to_be_sent_again(ended);
        assert_eq!(*undo_phase(&operation), UndoPhase::reading(Purpose::Compare));
        let untouched = take(&operation, read(RESTORED, Purpose::Compare, "new"), 101);
        assert!(matches!(undo_phase(&untouched), UndoPhase::Sending(_)), "{untouched:#?}");
        let changed = take(&operation, read(RESTORED, Purpose::Compare, "theirs"), 101);
        assert_eq!(*undo_phase(&changed), UndoPhase::Ended(UndoEnd::Conflict), "a change by others was left alone");
        let back = take(&operation, read(RESTORED, Purpose::Compare, "old"), 101);
        assert_eq!(*undo_phase(&back), UndoPhase::Ended(UndoEnd::Undone));
    }
}

#[test]
fn a_resource_that_cannot_be_read_after_an_ambiguous_undo_is_unknown() {
    let unusable = || {
        let trouble = Trouble { kind: TroubleKind::Nonsense, detail: "test".into() };
        Event::ResourceRead { step: RESTORED, purpose: Purpose::Compare, found: Found::Unusable { trouble } }
    };
    let operation = take(&to_be_sent_again(broke()), unusable(), 101);
    assert_eq!(*undo_phase(&operation), UndoPhase::Ended(UndoEnd::Unknown));
    let operation = take(&to_be_sent_again(not_taken_on()), unusable(), 101);
    assert_eq!(*undo_phase(&operation), UndoPhase::Ended(UndoEnd::Failed));
}
