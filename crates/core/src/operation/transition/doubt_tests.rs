//! From when on a target counts as settled, and how often a probe that tells nothing is asked.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::fixtures::{CONNECT, RESPONSE, SETTLE, Sketch, answer, at, request};
use super::transition;
use crate::operation::{
    Choice, Context, Event, Leg, Outcome, ProbeVerdict, Probing, Reading, Send, Sent, Step, StepPhase, Timer, Trouble,
    TroubleKind, UndoPhase, Work,
};
use crate::plan::{OnFailure, OnUnknown};
use crate::{Operation, StepIndex};

const STEP: StepIndex = StepIndex(0);

fn take_at(operation: &Operation, event: Event, now: Timestamp) -> Operation {
    let taken = transition(operation, event, Context { now, jitter: 0.5 });
    taken.unwrap_or_else(|illegal| panic!("{illegal}: {operation:#?}")).0
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at + SignedDuration::try_from(by).unwrap()
}

fn started(leg: Leg) -> Event {
    Event::AttemptStarted { step: STEP, leg, request: (leg != Leg::Forward).then(|| request(http::Method::GET)) }
}

fn broke(leg: Leg, kind: TroubleKind) -> Event {
    Event::AttemptBroke { step: STEP, leg, sent: Sent::Maybe, trouble: Trouble { kind, detail: "test".into() } }
}

fn probe(verdict: ProbeVerdict, retry_after: Option<u64>) -> Event {
    let retry_after = retry_after.map(Duration::from_secs);
    Event::ProbeAnswered { step: STEP, verdict, answer: answer(503), retry_after }
}

fn sketch() -> Sketch {
    Sketch { targets: 1, probe: true, attempts: 3, ..Sketch::default() }
}

/// An operation whose only attempt began at second 0 and broke at this second.
fn broken(sketch: &Sketch, kind: TroubleKind, second: i64) -> Operation {
    let operation = take_at(&sketch.operation(), Event::Dispatched, at(0));
    let operation = take_at(&operation, started(Leg::Forward), at(0));
    take_at(&operation, broke(Leg::Forward, kind), at(second))
}

fn only(operation: &Operation) -> &Step {
    &operation.steps[0]
}

fn waits_until(operation: &Operation) -> Timestamp {
    let StepPhase::Probing(Probing::Waiting { until }) = only(operation).phase else {
        panic!("no probe is waited for: {operation:#?}")
    };
    until
}

/// Asks the probe at `now`, which is answered at once.
fn probed_at(operation: &Operation, event: Event, now: Timestamp) -> Operation {
    take_at(&take_at(operation, started(Leg::Probe), now), event, now)
}

/// When an attempt that began at second 0 has had its time, and its target the time to settle.
fn settled() -> Timestamp {
    later(at(0), CONNECT + RESPONSE + SETTLE)
}

#[test]
fn a_target_may_take_as_long_as_ever_though_nobody_waits_for_its_answer_any_more() {
    for kind in [TroubleKind::ProcessEnded, TroubleKind::Broken, TroubleKind::TimedOut] {
        let operation = broken(&sketch(), kind, 1);
        let operation = probed_at(&operation, probe(ProbeVerdict::NotApplied, None), at(12));
        assert_eq!(waits_until(&operation), settled(), "{kind:?}: longer ago than `settle`, and it may still act");
        let operation = take_at(&operation, Event::TimeCame { timer: Timer::Step(STEP) }, settled());
        let operation = probed_at(&operation, probe(ProbeVerdict::NotApplied, None), settled());
        assert!(matches!(only(&operation).phase, StepPhase::Sending(Send::Due { .. })), "{kind:?}: {operation:#?}");
    }
}

#[test]
fn an_attempt_that_took_its_time_counts_from_when_it_broke() {
    let operation = broken(&sketch(), TroubleKind::ProcessEnded, 1_000);
    let operation = probed_at(&operation, probe(ProbeVerdict::NotApplied, None), at(1_001));
    assert_eq!(waits_until(&operation), later(at(1_000), SETTLE));
}

#[test]
fn an_answer_that_leaves_doubt_counts_from_when_it_came() {
    let operation = take_at(&sketch().operation(), Event::Dispatched, at(0));
    let operation = take_at(&operation, started(Leg::Forward), at(0));
    let answered = Event::AttemptAnswered {
        step: STEP,
        leg: Leg::Forward,
        answer: answer(500),
        reading: Reading::Ambiguous,
        trouble: None,
    };
    let operation = take_at(&operation, answered, at(2));
    let operation = probed_at(&operation, probe(ProbeVerdict::NotApplied, None), at(3));
    assert_eq!(waits_until(&operation), later(at(2), SETTLE), "the target has said that it is over");
}

#[test]
fn an_undo_of_an_unknown_step_waits_as_long() {
    let sketch = Sketch { probe: false, on_unknown: OnUnknown::Undo, ..sketch() };
    let operation = broken(&sketch, TroubleKind::ProcessEnded, 1);
    let undo = only(&operation).undo.as_ref().unwrap();
    assert_eq!(undo.phase, UndoPhase::Settling { until: settled() });
    let wait = Work::Wait { timer: Timer::Undo(STEP), until: settled() };
    assert!(operation.work().contains(&wait));
}

#[test]
fn a_later_attempt_that_is_over_sooner_does_not_shorten_the_wait() {
    let sketch =
        Sketch { probe: false, method: http::Method::PUT, on_unknown: OnUnknown::Undo, attempts: 2, ..sketch() };
    let operation = broken(&sketch, TroubleKind::Broken, 1);
    let StepPhase::Sending(Send::BackingOff { until }) = only(&operation).phase else { panic!("{operation:#?}") };
    let operation = take_at(&operation, Event::TimeCame { timer: Timer::Step(STEP) }, until);
    let operation = take_at(&operation, started(Leg::Forward), until);
    let answered = Event::AttemptAnswered {
        step: STEP,
        leg: Leg::Forward,
        answer: answer(500),
        reading: Reading::Ambiguous,
        trouble: None,
    };
    let operation = take_at(&operation, answered, until);
    assert_eq!(only(&operation).undo.as_ref().unwrap().phase, UndoPhase::Settling { until: settled() });
}

#[test]
fn a_retry_by_a_person_forgets_no_attempt_that_may_still_be_carried_out() {
    let sketch = Sketch {
        targets: 3,
        probe: false,
        on_unknown: OnUnknown::Hold,
        on_failure: OnFailure::Hold,
        attempts: 1,
        ..Sketch::default()
    };
    let answered = |step: u16, reading: Reading| Event::AttemptAnswered {
        step: StepIndex(step),
        leg: Leg::Forward,
        answer: answer(200),
        reading,
        trouble: None,
    };
    let starts = |step: u16| Event::AttemptStarted { step: StepIndex(step), leg: Leg::Forward, request: None };
    let (by, done) = (|| "ann".to_owned(), || Reading::Succeeded { etag: None });
    let operation = [
        (0, Event::Dispatched),
        (0, starts(0)),
        (0, starts(1)),
        (0, starts(2)),
        (1, broke(Leg::Forward, TroubleKind::Broken)),
        (2, answered(1, done())),
        (2, answered(2, Reading::NotApplied)),
        (5, Event::PersonResolved { step: STEP, applied: false, by: by(), remark: None }),
        (6, Event::PersonChose { choice: Choice::Retry, by: by(), remark: None }),
        (6, starts(0)),
        (6, starts(2)),
        (7, answered(0, done())),
        (7, answered(2, Reading::NotApplied)),
        (8, Event::PersonChose { choice: Choice::RollBack, by: by(), remark: None }),
    ]
    .into_iter()
    .fold(sketch.operation(), |operation, (second, event)| take_at(&operation, event, at(second)));
    assert_eq!(only(&operation).undo.as_ref().unwrap().phase, UndoPhase::Settling { until: settled() });
}

#[test]
fn probes_that_tell_nothing_before_a_target_has_settled_leave_all_that_come_after() {
    let mut operation = broken(&sketch(), TroubleKind::ProcessEnded, 1);
    let mut now = at(1);
    let mut asked = Vec::new();
    while !matches!(only(&operation).phase, StepPhase::Ended(_)) {
        asked.push(now);
        operation = probed_at(&operation, probe(ProbeVerdict::Unclear, None), now);
        if let StepPhase::Probing(Probing::Waiting { until }) = only(&operation).phase {
            now = until;
            operation = take_at(&operation, Event::TimeCame { timer: Timer::Step(STEP) }, now);
        }
    }
    assert_eq!(only(&operation).phase, StepPhase::Ended(Outcome::Unknown));
    let late: Vec<_> = asked.iter().filter(|at| **at >= settled()).collect();
    assert_eq!((asked.len(), late.len()), (6, 3), "as many as attempts before, and as many after: {asked:?}");
    assert_eq!(*late[0], settled());
}

#[test]
fn a_probe_honours_retry_after_within_the_budget_of_a_step() {
    let operation = broken(&sketch(), TroubleKind::ProcessEnded, 1);
    let asked = probed_at(&operation, probe(ProbeVerdict::Unclear, Some(20)), at(1));
    assert_eq!(waits_until(&asked), at(21));
    let budget = asked.plan.step_policy(STEP).step.budget;
    let asked_too_much = probed_at(&operation, probe(ProbeVerdict::Unclear, Some(86_400)), at(1));
    assert_eq!(waits_until(&asked_too_much), later(at(1), budget));
}

#[test]
fn a_probe_that_cannot_be_rendered_is_not_asked_again() {
    let operation = broken(&sketch(), TroubleKind::ProcessEnded, 1);
    let operation = take_at(&operation, started(Leg::Probe), at(1));
    let operation = take_at(&operation, broke(Leg::Probe, TroubleKind::Template), at(1));
    assert_eq!(only(&operation).phase, StepPhase::Ended(Outcome::Unknown));
}
