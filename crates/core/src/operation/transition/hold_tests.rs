//! Goal: while polls of a lower operation wait for a target that is on hold or missing, no time of it passes, nor of the
//! deadline, and none of that depends on whether a step or an undo follows it.

use super::fixtures::{CONNECT, RESPONSE, Sketch, answer, at, request};
use super::transition;
use crate::operation::{
    AttentionReason, Consistency, Context, Deadline, Effect, Event, Gate, Leg, Lower, Outcome, Phase, Reading, Send,
    Status, StepPhase, Timer, Trouble, TroubleKind, UndoEnd, UndoPhase, WaitingFor, Work, phase, waiting_for,
};
use crate::{Operation, StepIndex};

const ONE: StepIndex = StepIndex(0);
const TWO: StepIndex = StepIndex(1);

/// How long lower operations are followed in these plans, in seconds.
const FOLLOWED: i64 = 1800;

fn take(operation: &Operation, seconds: i64, event: Event) -> (Operation, Vec<Effect>) {
    let now = Context { now: at(seconds), jitter: 0.5 };
    transition(operation, event, now).unwrap_or_else(|illegal| panic!("{illegal}: {operation:#?}"))
}

fn gate(operation: &Operation, seconds: i64, leg: Leg, gate: Gate) -> (Operation, Vec<Effect>) {
    take(operation, seconds, Event::GateChanged { step: ONE, leg, gate })
}

fn started(step: StepIndex, leg: Leg) -> Event {
    let request = (leg == Leg::Undo).then(|| request(http::Method::DELETE));
    Event::AttemptStarted { step, leg, request }
}

fn answered(step: StepIndex, leg: Leg, reading: Reading) -> Event {
    Event::AttemptAnswered { step, leg, answer: answer(202), reading, trouble: None }
}

fn ended(leg: Leg, reading: Reading) -> Event {
    Event::LowerEnded { step: ONE, leg, answer: answer(200), reading, trouble: None }
}

fn accepted() -> Reading {
    Reading::LowerAccepted { reference: "7".into() }
}

fn succeeded() -> Reading {
    Reading::Succeeded { etag: None }
}

/// One that follows a lower operation at its first target, since second 0.
fn following(leg: Leg) -> Operation {
    let lower = match leg {
        Leg::Forward => vec![started(ONE, leg), answered(ONE, leg, accepted())],
        Leg::Undo => vec![
            started(ONE, Leg::Forward),
            started(TWO, Leg::Forward),
            answered(ONE, Leg::Forward, succeeded()),
            answered(TWO, Leg::Forward, Reading::NotApplied),
            started(ONE, leg),
            answered(ONE, leg, accepted()),
        ],
        Leg::Probe => panic!("probes have no lower operations"),
    };
    let targets = if leg == Leg::Forward { 1 } else { 2 };
    let sketch = Sketch { targets, lower: true, ..Sketch::default() };
    [Event::Dispatched]
        .into_iter()
        .chain(lower)
        .fold(sketch.operation(), |operation, event| take(&operation, 0, event).0)
}

fn times_out(operation: &Operation, leg: Leg) -> Option<i64> {
    let until = |work: Work| if let Work::Wait { timer, until } = work { Some((timer, until)) } else { None };
    let mut times = operation.work().into_iter().filter_map(until);
    let (_, until) = times.find(|(timer, _)| *timer == Timer::Lower(ONE, leg))?;
    Some(until.duration_since(at(0)).as_secs())
}

fn follows(operation: &Operation, leg: Leg) -> bool {
    operation.work().contains(&Work::Follow { step: ONE, leg })
}

#[test]
fn a_hold_that_is_longer_than_a_lower_operation_is_followed_costs_it_no_time() {
    for leg in [Leg::Forward, Leg::Undo] {
        for closed in [Gate::Held, Gate::Missing] {
            let operation = following(leg);
            assert_eq!(times_out(&operation, leg), Some(FOLLOWED));
            let (held, _) = gate(&operation, 600, leg, closed);
            assert_eq!((times_out(&held, leg), follows(&held, leg)), (None, true), "{leg:?} {closed:?}");
            let time = Event::TimeCame { timer: Timer::Lower(ONE, leg) };
            let late = Context { now: at(10 * FOLLOWED), jitter: 0.5 };
            transition(&held, time, late).expect_err("no time passes");
            let (open, _) = gate(&held, 10 * FOLLOWED, leg, Gate::Permit);
            assert_eq!(times_out(&open, leg), Some(10 * FOLLOWED + FOLLOWED - 600), "{leg:?} {closed:?}");
            let (operation, _) = take(&open, 10 * FOLLOWED + 1, ended(leg, succeeded()));
            match leg {
                Leg::Forward => assert_eq!(operation.steps[0].outcome(), Some(Outcome::Succeeded)),
                Leg::Undo | Leg::Probe => {
                    assert_eq!(operation.steps[0].undo.as_ref().unwrap().phase, UndoPhase::Ended(UndoEnd::Undone));
                    assert_eq!(operation.consistency(), Consistency::RolledBack);
                }
            }
        }
    }
}

#[test]
fn the_deadline_stands_still_as_long() {
    let (held, _) = gate(&following(Leg::Forward), 600, Leg::Forward, Gate::Held);
    assert_eq!(held.deadline, Deadline::Paused(std::time::Duration::from_secs(3000)));
    let (open, _) = gate(&held, 9000, Leg::Forward, Gate::Breaker);
    assert_eq!(open.deadline, Deadline::At(at(12_000)), "a breaker is not a person");
}

#[test]
fn it_says_what_it_waits_for() {
    for leg in [Leg::Forward, Leg::Undo] {
        let operation = following(leg);
        let (held, _) = gate(&operation, 600, leg, Gate::Held);
        assert!(matches!(waiting_for(&held)[..], [WaitingFor::HeldTarget(_)]), "{:?}", waiting_for(&held));
        let (missing, _) = gate(&held, 700, leg, Gate::Missing);
        assert!(matches!(waiting_for(&missing)[..], [WaitingFor::MissingTarget(_)]), "{:?}", waiting_for(&missing));
        let (open, _) = gate(&missing, 800, leg, Gate::Permit);
        assert!(matches!(waiting_for(&open)[..], [WaitingFor::LowerOperation { .. }]), "{:?}", waiting_for(&open));
        assert_eq!(times_out(&open, leg), Some(FOLLOWED + 200), "from 600 to 800 it stood still");
        if leg == Leg::Forward {
            assert_eq!((phase(&held), phase(&missing)), (Some(Phase::Held), Some(Phase::Held)));
            assert_eq!(phase(&open), Some(Phase::Calling));
        }
    }
}

#[test]
fn a_note_about_a_missing_target_is_open_as_long_as_it_is_so() {
    let opened = |effects: &[Effect]| {
        effects.iter().any(
            |effect| matches!(effect, Effect::OpenAttention(note) if note.reason == AttentionReason::TargetMissing),
        )
    };
    let closed = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::CloseAttention { .. }));
    for leg in [Leg::Forward, Leg::Undo] {
        let (missing, effects) = gate(&following(leg), 600, leg, Gate::Missing);
        assert!(opened(&effects) && !closed(&effects), "{leg:?} {effects:?}");
        let (_, effects) = gate(&missing, 700, leg, Gate::Permit);
        assert!(closed(&effects) && !opened(&effects), "{leg:?} {effects:?}");
        let (_, effects) = take(&missing, 700, ended(leg, succeeded()));
        assert!(closed(&effects), "{leg:?} {effects:?}");
    }
    // It is followed to its end all the same, so its target has to come back.
    let (missing, _) = gate(&following(Leg::Forward), 600, Leg::Forward, Gate::Missing);
    let (canceled, effects) = take(&missing, 700, Event::CancelRequested { by: "ann".into() });
    assert!(!closed(&effects) && follows(&canceled, Leg::Forward), "{effects:?}");
}

#[test]
fn there_is_time_for_a_poll_after_a_hold_however_little_was_left() {
    let one_poll = i64::try_from((CONNECT + RESPONSE).as_secs()).unwrap();
    for leg in [Leg::Forward, Leg::Undo] {
        let (held, _) = gate(&following(leg), FOLLOWED, leg, Gate::Held);
        let (open, _) = gate(&held, 9000, leg, Gate::Permit);
        assert_eq!(times_out(&open, leg), Some(9000 + one_poll));
    }
}

#[test]
fn that_polls_tell_nothing_and_what_is_recorded_stay_over_a_hold() {
    let trouble = Trouble { kind: TroubleKind::Nonsense, detail: "html".into() };
    let unclear = Event::PollsChanged { step: ONE, leg: Leg::Forward, trouble: Some(trouble) };
    let (operation, _) = take(&following(Leg::Forward), 300, unclear);
    for operation in [&operation, &gate(&operation, 600, Leg::Forward, Gate::Held).0] {
        let record = serde_json::to_string(operation).unwrap();
        let mut read: Operation = serde_json::from_str(&record).unwrap();
        read.plan = operation.plan.clone();
        assert_eq!(&read, operation, "{record}");
        let StepPhase::Sending(Send::Following(lower)) = &read.steps[0].phase else { panic!("{read:?}") };
        assert!(lower.unclear.is_some());
    }
    assert_ne!(operation.status(), Status::Failed);
}

#[test]
fn a_record_from_before_there_were_gates_is_read() {
    let old = r#"{"reference":"7","since":"2026-01-01T00:00:00Z","until":"2026-01-01T00:30:00Z","cancel":true}"#;
    let lower: Lower = serde_json::from_str(old).unwrap();
    assert_eq!(serde_json::to_string(&lower).unwrap(), old, "and written so by one that is followed");
}
