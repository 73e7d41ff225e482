//! Goal: cancel is accepted in every status and phase but the last ones, asking twice changes nothing, and what follows is the
//! same after a restart. Method: an operation is brought into each of them, canceled, and read back from its record.

use super::fixtures::{Sketch, answer, at, request};
use super::transition;
use crate::operation::{
    Cause, Consistency, Context, Deadline, Effect, Event, Found, Gate, Image, Leg, Outcome, Phase, Probing, Purpose,
    Reading, Send, Sent, Stage, Status, StepPhase, Trouble, TroubleKind, UndoPhase, Work, phase, waiting_for,
};
use crate::plan::{OnFailure, OnUnknown, Order, Require, UndoRule};
use crate::{Operation, StepIndex};

const ONE: StepIndex = StepIndex(0);
const TWO: StepIndex = StepIndex(1);

fn take(operation: &Operation, event: Event) -> (Operation, Vec<Effect>) {
    let now = Context { now: at(6), jitter: 0.5 };
    transition(operation, event, now).unwrap_or_else(|illegal| panic!("{illegal}"))
}

fn run(sketch: &Sketch, events: impl IntoIterator<Item = Event>) -> Operation {
    events.into_iter().fold(sketch.operation(), |operation, event| take(&operation, event).0)
}

fn begun(sketch: &Sketch, events: impl IntoIterator<Item = Event>) -> Operation {
    run(sketch, [Event::Dispatched].into_iter().chain(events))
}

/// Requests twice that it be canceled, reads it back as a process does that starts again, and looks at what it waits for.
fn canceled(operation: &Operation) -> Operation {
    let cancel = |by: &str| Event::CancelRequested { by: by.to_owned() };
    let (once, _) = take(operation, cancel("ann"));
    let (twice, effects) = take(&once, cancel("bert"));
    assert_eq!(twice, once, "asking again changes nothing");
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Begin(_))), "{effects:?}");
    let record = serde_json::to_string(&once).unwrap();
    let mut read: Operation = serde_json::from_str(&record).unwrap();
    read.plan = operation.plan.clone();
    assert_eq!(read, once, "nothing about it is lost with the process");
    assert!(!waiting_for(&read).is_empty(), "it says what it waits for");
    read
}

#[test]
fn a_refusal_is_said_in_words_and_not_by_the_name_of_an_event() {
    let ended = canceled(&Sketch::default().operation());
    let ended = to_the_end(ended);
    let by = || "ann".to_owned();
    for (event, words) in [
        (Event::CancelRequested { by: by() }, "canceling is not possible while the operation is canceled"),
        (Event::DeadlineExtended { by: by(), until: at(9) }, "moving the deadline is not possible while"),
        (
            Event::PersonResolved { step: ONE, applied: true, by: by(), remark: None },
            "saying what became of a request is not possible while",
        ),
        (
            Event::PersonChose { choice: crate::operation::Choice::Retry, by: by(), remark: None },
            "choosing how to go on is not possible while",
        ),
    ] {
        let refused = transition(&ended, event, Context { now: at(1), jitter: 0.5 }).unwrap_err().to_string();
        assert!(refused.starts_with(words) && !refused.contains('_'), "{refused}");
    }
}

/// Lets everything that is awaited come out well, and ends it.
fn to_the_end(mut operation: Operation) -> Operation {
    for _ in 0..50 {
        let next = match operation.calling().first() {
            Some((step, Leg::Probe)) => Event::ProbeAnswered {
                step: *step,
                verdict: crate::operation::ProbeVerdict::Applied,
                answer: answer(200),
                retry_after: None,
            },
            Some((step, leg)) => answered(*step, *leg, 201),
            None => match next_of(&operation) {
                Some(event) => event,
                None => return operation,
            },
        };
        operation = take(&operation, next).0;
    }
    panic!("it does not end: {operation:?}");
}

fn next_of(operation: &Operation) -> Option<Event> {
    operation.work().into_iter().find_map(|work| match work {
        Work::Send { step, leg, .. } => Some(Event::AttemptStarted {
            step,
            leg,
            request: (leg != Leg::Forward).then(|| request(http::Method::DELETE)),
        }),
        Work::Follow { step, leg } => Some(Event::LowerEnded {
            step,
            leg,
            answer: answer(200),
            reading: Reading::Succeeded { etag: None },
            trouble: None,
        }),
        Work::Read { step, purpose, .. } => {
            Some(Event::ResourceRead { step, purpose, found: Found::Image(Image::Absent) })
        }
        Work::Compose => Some(Event::ResponseComposed { response: answer(500) }),
        Work::AwaitLock | Work::Dispatch | Work::CancelLower { .. } | Work::Wait { .. } | Work::AwaitPerson { .. } => {
            None
        }
    })
}

fn started(step: StepIndex) -> Event {
    Event::AttemptStarted { step, leg: Leg::Forward, request: None }
}

fn answered(step: StepIndex, leg: Leg, status: u16) -> Event {
    let reading = match status {
        200..=299 => Reading::Succeeded { etag: None },
        _ => Reading::NotApplied,
    };
    Event::AttemptAnswered { step, leg, answer: answer(status), reading, trouble: None }
}

fn not_taken_on(step: StepIndex) -> Event {
    let reading = Reading::NotTakenOn { retry_after: None };
    Event::AttemptAnswered { step, leg: Leg::Forward, answer: answer(503), reading, trouble: None }
}

fn broke(step: StepIndex, leg: Leg) -> Event {
    let trouble = Trouble { kind: TroubleKind::Broken, detail: "test".into() };
    Event::AttemptBroke { step, leg, sent: Sent::Maybe, trouble }
}

fn gate(gate: Gate) -> Event {
    Event::GateChanged { step: ONE, leg: Leg::Forward, gate }
}

/// How it ended, and what is known of the data.
fn end(operation: &Operation) -> (Status, Consistency) {
    let end = operation.end().unwrap_or_else(|| panic!("it has not ended: {operation:?}"));
    if end.status == Status::Canceled {
        assert_eq!(end.cause, Some(Cause::Canceled { by: "ann".to_owned() }), "the first one who asked counts");
    }
    (end.status, end.consistency)
}

const CLEAN: (Status, Consistency) = (Status::Canceled, Consistency::RolledBack);

#[test]
fn while_it_waits_for_its_start() {
    let operation = Sketch { scheduled: true, ..Sketch::default() }.operation();
    let operation = to_the_end(canceled(&operation));
    assert_eq!((end(&operation), operation.started_at), (CLEAN, None));
}

#[test]
fn while_it_waits_for_its_lock() {
    let operation = Sketch { lock: true, ..Sketch::default() }.operation();
    let canceled = canceled(&operation);
    let (operation, effects) = take(&canceled, Event::ResponseComposed { response: answer(500) });
    assert_eq!(end(&operation), CLEAN);
    assert!(effects.contains(&Effect::ReleaseLock), "its place in the queue is given up");
}

#[test]
fn before_it_is_taken_up() {
    assert_eq!(end(&to_the_end(canceled(&Sketch::default().operation()))), CLEAN);
}

#[test]
fn while_it_waits_for_a_permit_a_breaker_or_a_target_on_hold_or_missing() {
    let sketch = Sketch { targets: 1, ..Sketch::default() };
    for events in [vec![], vec![gate(Gate::Breaker)], vec![gate(Gate::Held)], vec![gate(Gate::Missing)]] {
        let operation = canceled(&begun(&sketch, events));
        assert_eq!(operation.steps[0].outcome(), Some(Outcome::Skipped), "it was never sent");
        assert_eq!(end(&to_the_end(operation)), CLEAN);
    }
}

#[test]
fn while_an_attempt_is_on_the_wire() {
    let operation = canceled(&begun(&Sketch::default(), [started(ONE)]));
    assert_eq!(phase(&operation), Some(Phase::Canceling));
    assert_eq!(operation.calling(), [(ONE, Leg::Forward)], "it is awaited");
    let operation = to_the_end(operation);
    assert_eq!(end(&operation), CLEAN, "what succeeded meanwhile is undone");
    assert_eq!(operation.steps[1].outcome(), Some(Outcome::Skipped));
}

#[test]
fn while_it_backs_off() {
    let sketch = Sketch { targets: 1, ..Sketch::default() };
    let operation = canceled(&begun(&sketch, [started(ONE), not_taken_on(ONE)]));
    assert_eq!(end(&to_the_end(operation)), CLEAN);
    // An attempt in doubt stays in doubt: what is not sent again cannot be known.
    let sketch = Sketch { method: http::Method::PUT, ..sketch };
    let backing_off = begun(&sketch, [started(ONE), broke(ONE, Leg::Forward)]);
    assert!(matches!(backing_off.steps[0].phase, StepPhase::Sending(Send::BackingOff { .. })));
    assert_eq!(end(&to_the_end(canceled(&backing_off))), (Status::Canceled, Consistency::Unknown));
}

#[test]
fn while_the_resource_is_read() {
    let sketch = Sketch { targets: 2, method: http::Method::PUT, undo: Some(UndoRule::Restore), ..Sketch::default() };
    let before = begun(&sketch, []);
    assert!(matches!(before.steps[0].phase, StepPhase::Reading { purpose: Purpose::Before, .. }));
    assert_eq!(end(&to_the_end(canceled(&before))), CLEAN);
    let read = |step| Event::ResourceRead { step, purpose: Purpose::Before, found: Found::Image(Image::Absent) };
    let after = begun(&sketch, [read(ONE), started(ONE), answered(ONE, Leg::Forward, 200)]);
    assert!(matches!(after.steps[0].phase, StepPhase::Reading { purpose: Purpose::After, .. }));
    let operation = canceled(&after);
    assert_eq!(operation.steps[0].phase, after.steps[0].phase, "the version to undo is still wanted");
}

#[test]
fn while_it_probes() {
    let sketch = Sketch { targets: 1, probe: true, ..Sketch::default() };
    let due = begun(&sketch, [started(ONE), broke(ONE, Leg::Forward)]);
    let probe = Event::AttemptStarted { step: ONE, leg: Leg::Probe, request: Some(request(http::Method::GET)) };
    let calling = take(&due, probe).0;
    let waiting = take(&calling, broke(ONE, Leg::Probe)).0;
    for operation in [due, calling, waiting] {
        assert!(matches!(operation.steps[0].phase, StepPhase::Probing(_)));
        let operation = canceled(&operation);
        assert!(matches!(operation.steps[0].phase, StepPhase::Probing(_)), "whether to undo it is still asked");
        assert_eq!(phase(&operation), Some(Phase::Canceling));
        if !matches!(operation.steps[0].phase, StepPhase::Probing(Probing::Waiting { .. })) {
            assert_eq!(end(&to_the_end(operation)), CLEAN, "it was applied, so it is undone");
        }
    }
}

#[test]
fn while_a_lower_operation_is_followed() {
    let sketch = Sketch { targets: 1, lower: true, ..Sketch::default() };
    let accepted = Event::AttemptAnswered {
        step: ONE,
        leg: Leg::Forward,
        answer: answer(202),
        reading: Reading::LowerAccepted { reference: "7".into() },
        trouble: None,
    };
    let operation = canceled(&begun(&sketch, [started(ONE), accepted]));
    let StepPhase::Sending(Send::Following(lower)) = &operation.steps[0].phase else { panic!("{operation:?}") };
    assert!(lower.cancel, "it is asked to cancel if its protocol can");
    assert_eq!(end(&to_the_end(operation)), CLEAN);
}

#[test]
fn while_it_awaits_a_person_about_a_step() {
    let sketch = Sketch { targets: 2, on_unknown: OnUnknown::Hold, ..Sketch::default() };
    let events = [started(ONE), started(TWO), answered(TWO, Leg::Forward, 201), broke(ONE, Leg::Forward)];
    let operation = canceled(&begun(&sketch, events));
    // Nothing but the person can tell whether it has to be undone: the question stays open, and shows.
    assert!(matches!(operation.steps[0].phase, StepPhase::AwaitingPerson { .. }));
    assert_eq!(phase(&operation), Some(Phase::NeedsAttention));
    assert!(matches!(operation.deadline, Deadline::Paused(_)));
    for applied in [true, false] {
        let resolved = Event::PersonResolved { step: ONE, applied, by: "carl".into(), remark: None };
        assert_eq!(end(&to_the_end(take(&operation, resolved).0)), CLEAN);
    }
}

#[test]
fn while_it_waits_for_what_it_has_started_after_a_failure() {
    let events = [started(ONE), started(TWO), answered(ONE, Leg::Forward, 409)];
    let closing = begun(&Sketch::default(), events);
    assert_eq!(closing.stage, Stage::Closing(Cause::StepsFailed));
    assert_eq!(end(&to_the_end(canceled(&closing))), CLEAN);
}

#[test]
fn while_a_person_is_to_choose() {
    let sketch = Sketch { on_failure: OnFailure::Hold, ..Sketch::default() };
    let events = [started(ONE), started(TWO), answered(ONE, Leg::Forward, 201), answered(TWO, Leg::Forward, 409)];
    let deciding = begun(&sketch, events);
    assert!(matches!(deciding.stage, Stage::Deciding { .. }));
    let (_, effects) = take(&deciding, Event::CancelRequested { by: "ann".into() });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::CloseAttention { step: None, .. })), "{effects:?}");
    assert_eq!(end(&to_the_end(canceled(&deciding))), CLEAN);
}

#[test]
fn while_it_rolls_back_its_cause_came_first() {
    let events = [started(ONE), started(TWO), answered(ONE, Leg::Forward, 201), answered(TWO, Leg::Forward, 409)];
    let rolling_back = begun(&Sketch::default(), events);
    assert!(matches!(rolling_back.stage, Stage::RollingBack { .. }));
    let operation = canceled(&rolling_back);
    assert!(matches!(operation.steps[0].undo.as_ref().unwrap().phase, UndoPhase::Sending(_)), "undos go on");
    assert_eq!(end(&to_the_end(operation)), (Status::Failed, Consistency::RolledBack));
}

#[test]
fn while_it_finishes_nothing_changes() {
    let sketch = Sketch { targets: 1, ..Sketch::default() };
    let failed = begun(&sketch, [started(ONE), answered(ONE, Leg::Forward, 409)]);
    assert!(matches!(failed.stage, Stage::Finishing(_)) && !failed.is_past_cancel());
    assert_eq!(end(&to_the_end(canceled(&failed))), (Status::Failed, Consistency::RolledBack));
    let completed = begun(&sketch, [started(ONE), answered(ONE, Leg::Forward, 201)]);
    assert!(matches!(completed.stage, Stage::Finishing(_)) && completed.is_past_cancel(), "too late: a 409");
    assert_eq!(end(&to_the_end(completed)).0, Status::Completed);
}

#[test]
fn once_enough_has_succeeded_it_is_too_late() {
    let sketch = Sketch { targets: 3, require: Require::AtLeast(1), order: Order::Sequence, ..Sketch::default() };
    let events = [started(ONE), answered(ONE, Leg::Forward, 201), started(TWO)];
    let operation = canceled(&begun(&sketch, events));
    assert!(operation.is_past_cancel(), "a 409");
    let operation = to_the_end(operation);
    assert_eq!(end(&operation).0, Status::Completed);
    assert_eq!(operation.steps[2].outcome(), Some(Outcome::Skipped), "no further step starts");
}

#[test]
fn once_it_has_ended_it_is_not_possible() {
    let sketch = Sketch { targets: 1, ..Sketch::default() };
    for status in [201, 409] {
        let ended = to_the_end(begun(&sketch, [started(ONE), answered(ONE, Leg::Forward, status)]));
        let now = Context { now: at(9), jitter: 0.5 };
        let refused = transition(&ended, Event::CancelRequested { by: "ann".into() }, now);
        assert!(refused.is_err(), "a 409");
    }
}

#[test]
fn the_deadline_stands_still_while_a_target_is_on_hold_or_missing() {
    let sketch = Sketch { targets: 1, ..Sketch::default() };
    for waits in [Gate::Held, Gate::Missing] {
        let Deadline::At(until) = begun(&sketch, []).deadline else { panic!("it runs from the start on") };
        let held = begun(&sketch, [gate(waits)]);
        assert!(matches!(held.deadline, Deadline::Paused(_)));
        let later = Context { now: at(7206), jitter: 0.5 };
        let (released, _) = transition(&held, gate(Gate::Permit), later).unwrap();
        assert_eq!(released.deadline, Deadline::At(until + jiff::SignedDuration::from_secs(7200)));
        let (sent, _) = transition(&held, started(ONE), later).unwrap();
        assert_eq!(sent.deadline, released.deadline, "it is sent at once when it is released");
    }
    assert!(matches!(begun(&sketch, [gate(Gate::Breaker)]).deadline, Deadline::At(_)), "no person is awaited");
}

#[test]
fn a_step_that_waits_at_an_open_breaker_does_not_fail_however_long_that_takes() {
    let sketch = Sketch { targets: 1, method: http::Method::PUT, ..Sketch::default() };
    let waiting = begun(&sketch, [started(ONE), not_taken_on(ONE)]);
    let StepPhase::Sending(Send::BackingOff { until }) = waiting.steps[0].phase else { panic!("{waiting:?}") };
    let came = Context { now: until, jitter: 0.5 };
    let timer = Event::TimeCame { timer: crate::operation::Timer::Step(ONE) };
    let due = transition(&waiting, timer, came).unwrap().0;
    let waiting = transition(&due, gate(Gate::Breaker), came).unwrap().0;
    assert!(
        !waiting
            .work()
            .iter()
            .any(|work| matches!(work, Work::Wait { timer, .. } if *timer != crate::operation::Timer::Deadline))
    );
    // Far beyond the budget of the step, which bounds when an attempt is planned, not how long its turn takes.
    let later = Context { now: at(3000), jitter: 0.5 };
    let (calling, _) = transition(&waiting, started(ONE), later).unwrap();
    assert_eq!((calling.calling(), calling.steps[0].course.attempts), (vec![(ONE, Leg::Forward)], 2));
}
