//! Goal: whatever a read for a restore waits for is known of its operation, as it is of attempts and polls: the deadline stands
//! still for a person and for nobody else, and the phase, what is waited for and the notes tell of it.

use super::fixtures::{Sketch, answer, at, request};
use super::transition;
use crate::operation::{
    AttentionReason, Context, Deadline, Effect, Event, Found, Gate, Image, Leg, Outcome, Phase, Purpose, Reading, Sent,
    StepPhase, Trouble, TroubleKind, UndoPhase, WaitingFor, Work, phase, waiting_for,
};
use crate::plan::UndoRule;
use crate::{Operation, StepIndex};

const ONE: StepIndex = StepIndex(0);
const TWO: StepIndex = StepIndex(1);

const PURPOSES: [Purpose; 4] = [Purpose::Before, Purpose::After, Purpose::Compare, Purpose::Settle];

fn take(operation: &Operation, seconds: i64, event: Event) -> (Operation, Vec<Effect>) {
    let now = Context { now: at(seconds), jitter: 0.5 };
    transition(operation, event, now).unwrap_or_else(|illegal| panic!("{illegal}: {operation:#?}"))
}

fn gate(operation: &Operation, seconds: i64, leg: Leg, gate: Gate) -> (Operation, Vec<Effect>) {
    take(operation, seconds, Event::GateChanged { step: ONE, leg, gate })
}

fn started(step: StepIndex, leg: Leg) -> Event {
    Event::AttemptStarted { step, leg, request: (leg == Leg::Undo).then(|| request(http::Method::PUT)) }
}

fn answered(step: StepIndex, leg: Leg, status: u16, reading: Reading) -> Event {
    Event::AttemptAnswered { step, leg, answer: answer(status), reading, trouble: None }
}

fn trouble() -> Trouble {
    Trouble { kind: TroubleKind::Broken, detail: "test".into() }
}

fn read(step: StepIndex, purpose: Purpose, digest: &str) -> Event {
    let image = Image::Present { etag: None, digest: Some(digest.to_owned()), content_type: None };
    Event::ResourceRead { step, purpose, found: Found::Image(image) }
}

fn failed(purpose: Purpose) -> Event {
    Event::ResourceRead { step: ONE, purpose, found: Found::Failed { trouble: trouble(), retry_after: None } }
}

/// One that reads at its first target for this purpose, since second 0.
fn reading(purpose: Purpose) -> Operation {
    let done = Reading::Succeeded { etag: None };
    let changed = vec![
        read(ONE, Purpose::Before, "old"),
        read(TWO, Purpose::Before, "old"),
        started(ONE, Leg::Forward),
        answered(ONE, Leg::Forward, 200, done),
    ];
    let refused = vec![
        read(ONE, Purpose::After, "new"),
        started(TWO, Leg::Forward),
        answered(TWO, Leg::Forward, 409, Reading::NotApplied),
    ];
    // The first undo broke off, and the one after it was answered 412.
    let in_doubt = vec![
        read(ONE, Purpose::Compare, "new"),
        started(ONE, Leg::Undo),
        Event::AttemptBroke { step: ONE, leg: Leg::Undo, sent: Sent::Maybe, trouble: trouble() },
        Event::TimeCame { timer: crate::operation::Timer::Undo(ONE) },
        read(ONE, Purpose::Compare, "new"),
        started(ONE, Leg::Undo),
        answered(ONE, Leg::Undo, 412, Reading::PreconditionFailed),
    ];
    let events = match purpose {
        Purpose::Before => Vec::new(),
        Purpose::After => changed,
        Purpose::Compare => [changed, refused].concat(),
        Purpose::Settle => [changed, refused, in_doubt].concat(),
    };
    let sketch = Sketch { method: http::Method::PUT, undo: Some(UndoRule::Restore), attempts: 3, ..Sketch::default() };
    let operation = [Event::Dispatched].into_iter().chain(events).fold(sketch.operation(), |operation, event| {
        let second = if matches!(event, Event::TimeCame { .. }) { 100 } else { 0 };
        take(&operation, second, event).0
    });
    assert!(reads(&operation, purpose), "{operation:#?}");
    operation
}

fn reads(operation: &Operation, purpose: Purpose) -> bool {
    operation.work().contains(&Work::Read { step: ONE, purpose, tries: 0 })
}

#[test]
fn the_deadline_stands_still_while_a_read_waits_for_a_person() {
    for purpose in [Purpose::Before, Purpose::After] {
        for closed in [Gate::Held, Gate::Missing] {
            let (held, _) = gate(&reading(purpose), 600, Leg::Forward, closed);
            assert_eq!(held.deadline, Deadline::Paused(std::time::Duration::from_secs(3000)), "{purpose:?} {closed:?}");
            assert!(reads(&held, purpose), "it waits on, and is begun again by the next process");
            let (open, _) = gate(&held, 9000, Leg::Forward, Gate::Breaker);
            assert_eq!(open.deadline, Deadline::At(at(12_000)), "a breaker is not a person");
            let (read, _) = take(&held, 9000, read(ONE, purpose, "seen"));
            assert_eq!(read.deadline, Deadline::At(at(12_000)), "it was read, so it does not wait any more");
        }
    }
}

#[test]
fn it_says_what_it_waits_for() {
    for purpose in PURPOSES {
        let leg = purpose.leg();
        let operation = reading(purpose);
        let phases = [Gate::Held, Gate::Missing, Gate::Breaker, Gate::Permit].map(|to| {
            let (gated, _) = gate(&operation, 600, leg, to);
            let waits = waiting_for(&gated);
            let told = match to {
                Gate::Held => matches!(waits[0], WaitingFor::HeldTarget(_)),
                Gate::Missing => matches!(waits[0], WaitingFor::MissingTarget(_)),
                Gate::Breaker => matches!(waits[0], WaitingFor::Breaker(_)),
                Gate::Permit => matches!(waits[0], WaitingFor::Resource { .. }),
            };
            assert!(told, "{purpose:?} {to:?} {waits:?}");
            assert_eq!(gated.due_gate(ONE, leg), Some(to));
            phase(&gated).unwrap()
        });
        let forward = match purpose {
            Purpose::Before => [Phase::Held, Phase::Held, Phase::Waiting, Phase::Calling],
            // The other target's request has its turn at the same time.
            Purpose::After => [Phase::Held, Phase::Held, Phase::Waiting, Phase::Waiting],
            Purpose::Compare | Purpose::Settle => [Phase::RollingBack; 4],
        };
        assert_eq!(phases, forward, "{purpose:?}");
    }
}

#[test]
fn a_note_about_a_missing_target_is_open_as_long_as_a_read_waits_for_it() {
    let opened = |effects: &[Effect]| {
        effects.iter().any(
            |effect| matches!(effect, Effect::OpenAttention(note) if note.reason == AttentionReason::TargetMissing),
        )
    };
    let closed = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::CloseAttention { .. }));
    for purpose in PURPOSES {
        let (missing, effects) = gate(&reading(purpose), 600, purpose.leg(), Gate::Missing);
        assert!(opened(&effects) && !closed(&effects), "{purpose:?} {effects:?}");
        for event in [
            Event::GateChanged { step: ONE, leg: purpose.leg(), gate: Gate::Permit },
            read(ONE, purpose, "old"),
            failed(purpose),
        ] {
            let (_, effects) = take(&missing, 700, event);
            assert!(closed(&effects) && !opened(&effects), "{purpose:?} {effects:?}");
        }
    }
}

#[test]
fn a_cancel_skips_what_was_not_sent_and_lets_what_was_be_read() {
    let cancel = || Event::CancelRequested { by: "ann".into() };
    let (missing, _) = gate(&reading(Purpose::Before), 600, Leg::Forward, Gate::Missing);
    let (canceled, effects) = take(&missing, 700, cancel());
    assert_eq!(canceled.steps[0].outcome(), Some(Outcome::Skipped));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::CloseAttention { step: Some(ONE), .. })));
    let (missing, _) = gate(&reading(Purpose::After), 600, Leg::Forward, Gate::Missing);
    let (canceled, effects) = take(&missing, 700, cancel());
    assert!(reads(&canceled, Purpose::After) && !effects.iter().any(|it| matches!(it, Effect::CloseAttention { .. })));
}

#[test]
fn a_read_that_is_not_due_waits_for_no_gate() {
    for purpose in PURPOSES {
        let (held, _) = gate(&reading(purpose), 600, purpose.leg(), Gate::Held);
        let (backing_off, _) = take(&held, 700, failed(purpose));
        assert_eq!(backing_off.due_gate(ONE, purpose.leg()), None);
        let changed = Event::GateChanged { step: ONE, leg: purpose.leg(), gate: Gate::Held };
        transition(&backing_off, changed, Context { now: at(701), jitter: 0.5 }).expect_err("it is not due");
    }
}

#[test]
fn a_record_from_before_reads_had_gates_is_read() {
    let old = r#"{"reading":{"purpose":"before","tries":1,"not_before":null}}"#;
    let step: StepPhase = serde_json::from_str(old).unwrap();
    assert_eq!(step, StepPhase::Reading { purpose: Purpose::Before, tries: 1, not_before: None, gate: Gate::Permit });
    assert_eq!(serde_json::to_string(&step).unwrap(), old, "and written so by one that waits for nothing else");
    let undo: UndoPhase = serde_json::from_str(old).unwrap();
    assert_eq!(serde_json::to_string(&undo).unwrap(), old);
    let (held, _) = gate(&reading(Purpose::Before), 600, Leg::Forward, Gate::Held);
    let mut read: Operation = serde_json::from_str(&serde_json::to_string(&held).unwrap()).unwrap();
    read.plan = held.plan.clone();
    assert_eq!(read, held);
}
