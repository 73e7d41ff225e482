//! What came from a backup, beyond what the walk tells.

use std::time::Duration;

use super::fixtures::{Sketch, answer, at, delete};
use super::transition;
use crate::operation::{
    AttentionReason, Consistency, Context, Deadline, Effect, Event, Lower, LowerTime, Outcome, Phase, Reading, Send,
    Sent, Stage, Status, StepPhase, Trouble, TroubleKind, WaitingFor, Work, phase, waiting_for,
};
use crate::operation::{Leg, Restored};
use crate::plan::OnFailure;
use crate::{Operation, StepIndex};

const FIRST: StepIndex = StepIndex(0);

/// A day after everything else.
const LATE: i64 = 86_400;

fn take(op: &Operation, event: Event, seconds: i64) -> (Operation, Vec<Effect>) {
    transition(op, event, Context { now: at(seconds), jitter: 0.5 }).unwrap()
}

fn after(op: &Operation, event: Event, seconds: i64) -> Operation {
    take(op, event, seconds).0
}

fn started(step: StepIndex) -> Event {
    Event::AttemptStarted { step, leg: Leg::Forward, request: None }
}

fn answered(step: StepIndex, reading: Reading) -> Event {
    Event::AttemptAnswered { step, leg: Leg::Forward, answer: answer(200), reading, trouble: None }
}

fn restored() -> Event {
    Event::Restored { as_of: at(10) }
}

fn released() -> Event {
    Event::RestoreReleased { by: "ops".into(), remark: Some("nothing had been sent".into()) }
}

fn cancel() -> Event {
    Event::CancelRequested { by: "ops".into() }
}

fn forward(sketch: &Sketch) -> Operation {
    after(&sketch.operation(), Event::Dispatched, 0)
}

#[test]
fn an_operation_that_was_restored_waits_for_a_person_and_tells_so() {
    for op in [Sketch::default().operation(), forward(&Sketch::default())] {
        let (restored, effects) = take(&op, restored(), LATE);
        assert_eq!(restored.restored, Some(Restored { since: at(LATE), as_of: at(10) }));
        assert_eq!((&restored.stage, &restored.steps), (&op.stage, &op.steps), "it is as the backup has it");
        assert_eq!(phase(&restored), Some(Phase::NeedsAttention));
        assert_eq!(waiting_for(&restored), [WaitingFor::Release { since: at(LATE), as_of: at(10) }]);
        let reasons: Vec<_> = effects.iter().filter_map(opened).collect();
        assert_eq!(reasons, [AttentionReason::Restored]);
        assert!(
            transition(&restored, Event::Restored { as_of: at(11) }, Context { now: at(LATE), jitter: 0.5 }).is_err()
        );
        let (going, effects) = take(&restored, released(), LATE + 5);
        assert!(effects.iter().any(|effect| matches!(effect, Effect::CloseAttention { step: None, .. })));
        assert_eq!(going.work().is_empty(), op.work().is_empty());
        assert_eq!((going.restored, phase(&going)), (None, phase(&op)));
    }
}

fn opened(effect: &Effect) -> Option<AttentionReason> {
    if let Effect::OpenAttention(note) = effect { Some(note.reason) } else { None }
}

#[test]
fn time_stands_still_from_the_backup_to_the_release() {
    let op = after(&forward(&Sketch { lower: true, ..Sketch::default() }), started(FIRST), 1);
    let op = after(&op, answered(FIRST, Reading::LowerAccepted { reference: "7".into() }), 2);
    let back = after(&op, restored(), LATE);
    assert_eq!(back.deadline, Deadline::Paused(Duration::from_secs(3_590)));
    let going = after(&back, released(), 2 * LATE);
    assert_eq!(going.deadline, Deadline::At(at(2 * LATE + 3_590)));
    let stood = 2 * LATE - 10;
    let StepPhase::Sending(Send::Following(Lower { time: LowerTime::Until(until), .. })) = going.steps[0].phase else {
        panic!("{going:#?}")
    };
    assert_eq!(until, at(1_802 + stood));
    assert_eq!(going.steps[0].course.first_at, Some(at(1 + stood)), "the budget runs on from there");
    assert!(going.work().contains(&Work::Follow { step: FIRST, leg: Leg::Forward }));
}

#[test]
fn an_attempt_that_was_on_the_wire_breaks_once_it_is_released() {
    let put = Sketch { method: http::Method::PUT, targets: 1, ..Sketch::default() };
    let op = after(&forward(&put), started(FIRST), 1);
    let back = after(&op, restored(), LATE);
    let trouble = Trouble { kind: TroubleKind::ProcessEnded, detail: "test".into() };
    let broke = Event::AttemptBroke { step: FIRST, leg: Leg::Forward, sent: Sent::Maybe, trouble };
    assert!(transition(&back, broke.clone(), Context { now: at(LATE), jitter: 0.5 }).is_err());
    let going = after(&back, released(), LATE);
    assert_eq!(going.calling(), [(FIRST, Leg::Forward)]);
    let going = after(&going, broke, LATE);
    assert!(matches!(going.steps[0].phase, StepPhase::Sending(Send::BackingOff { .. })), "{going:#?}");
    assert!(going.steps[0].course.tainted_at.is_some());
}

#[test]
fn what_is_canceled_instead_of_released_sends_nothing_and_claims_nothing() {
    let new = Sketch::default().operation();
    let half = after(&after(&forward(&Sketch::default()), started(FIRST), 1), answered(FIRST, succeeded()), 2);
    for op in [new, half] {
        let (ended, effects) = take(&after(&op, restored(), LATE), cancel(), LATE + 1);
        let Stage::Finishing(end) = &ended.stage else { panic!("{ended:#?}") };
        assert_eq!((end.status, end.consistency), (Status::Canceled, Consistency::Unknown));
        assert_eq!(ended.work(), [Work::Compose]);
        assert!(ended.steps.iter().all(|step| step.phase == StepPhase::Ended(Outcome::Unknown)));
        let noted = effects.iter().filter(|effect| opened(effect) == Some(AttentionReason::OutcomeUnknown)).count();
        assert_eq!(noted, ended.steps.len());
    }
}

fn succeeded() -> Reading {
    Reading::Succeeded { etag: None }
}

#[test]
fn an_undo_that_was_under_way_is_unknown_once_it_is_canceled() {
    let op = after(&forward(&Sketch { undo: Some(delete()), ..Sketch::default() }), started(FIRST), 1);
    let op = after(&op, started(StepIndex(1)), 1);
    let op = after(&op, answered(FIRST, succeeded()), 2);
    let op = after(&op, answered(StepIndex(1), Reading::NotApplied), 3);
    assert!(matches!(op.stage, Stage::RollingBack { .. }), "{op:#?}");
    let ended = after(&after(&op, restored(), LATE), cancel(), LATE + 1);
    let Stage::Finishing(end) = &ended.stage else { panic!("{ended:#?}") };
    assert_eq!((end.status, end.consistency), (Status::Failed, Consistency::Unknown));
}

#[test]
fn a_choice_that_was_asked_for_is_asked_for_again() {
    let sketch = Sketch { on_failure: OnFailure::Hold, ..Sketch::default() };
    let op = after(&after(&forward(&sketch), started(FIRST), 1), started(StepIndex(1)), 1);
    let op = after(&op, answered(FIRST, succeeded()), 2);
    let op = after(&op, answered(StepIndex(1), Reading::NotApplied), 3);
    assert!(matches!(op.stage, Stage::Deciding { .. }), "{op:#?}");
    let (going, effects) = take(&after(&op, restored(), LATE), released(), LATE + 1);
    assert_eq!(going.work(), [Work::AwaitPerson { step: None }]);
    let closes = effects.iter().position(|effect| matches!(effect, Effect::CloseAttention { step: None, .. }));
    let asks = effects.iter().position(|effect| opened(effect) == Some(AttentionReason::ChoiceNeeded));
    assert!(closes.is_some() && closes < asks, "{effects:#?}");
}
