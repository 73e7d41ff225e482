use super::*;
use crate::operation::fixtures::{Sketch, answer, at, delete, request};
use crate::operation::{Found, Gate, Purpose, Reading, Sent, Timer, Trouble, TroubleKind, transition};
use crate::plan::UndoRule;
use crate::{Context, Event};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn started(step: u16, leg: Leg) -> Event {
    let undo = (leg == Leg::Undo).then(|| request(http::Method::DELETE));
    Event::AttemptStarted { step: StepIndex(step), leg, request: undo }
}

fn answered(step: u16, leg: Leg, status: u16, reading: Reading) -> Event {
    Event::AttemptAnswered { step: StepIndex(step), leg, answer: answer(status), reading, trouble: None }
}

/// Two targets: the first one's first attempt breaks off and its second one succeeds, the other one refuses, and the first one is
/// undone.
fn history() -> (Operation, Vec<(Timestamp, Event)>) {
    let sketch =
        Sketch { targets: 2, method: http::Method::PUT, undo: Some(delete()), attempts: 3, ..Sketch::default() };
    let mut operation = sketch.operation();
    let done = Reading::Succeeded { etag: None };
    let trouble = Trouble { kind: TroubleKind::Unreachable, detail: "the connection broke".to_owned() };
    let events = [
        Event::Dispatched,
        started(0, Leg::Forward),
        started(1, Leg::Forward),
        Event::AttemptBroke { step: StepIndex(0), leg: Leg::Forward, sent: Sent::No, trouble },
        Event::TimeCame { timer: Timer::Step(StepIndex(0)) },
        started(0, Leg::Forward),
        answered(0, Leg::Forward, 201, done.clone()),
        answered(1, Leg::Forward, 409, Reading::NotApplied),
        started(0, Leg::Undo),
        answered(0, Leg::Undo, 204, done),
        Event::ResponseComposed { response: answer(500) },
    ];
    let mut history = Vec::new();
    for (second, event) in (1..).zip(events) {
        let now = at(second * 3);
        operation = transition(&operation, event.clone(), Context { now, jitter: 0.0 }).unwrap().0;
        history.push((now, event));
    }
    (operation, history)
}

#[test]
fn only_a_valid_traceparent_is_taken_on() {
    let read = TraceContext::read(CALLER).unwrap();
    assert_eq!((hex(&read.trace.0).as_str(), read.sampled), ("4bf92f3577b34da6a3ce929d0e0e4736", Some(true)));
    assert!(TraceContext::read(&format!("{}-more", CALLER.replace("00-4", "01-4"))).is_some());
    for bad in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
    ] {
        assert_eq!(TraceContext::read(bad), None, "{bad}");
    }
}

#[test]
fn the_spans_of_an_operation_are_one_tree_within_its_time() {
    let (operation, history) = history();
    let spans = spans(&operation, &history);
    let root = &spans[0];
    assert_eq!((root.parent, root.kind), (None, SpanKind::Server));
    assert_eq!(root.status, SpanStatus::Error("failed".to_owned()));
    for span in &spans[1..] {
        let parent = spans.iter().find(|other| Some(other.id) == span.parent).unwrap_or_else(|| panic!("{span:?}"));
        assert!(parent.start <= span.start && span.end <= parent.end, "{span:?} in {parent:?}");
        assert_eq!(span.trace, root.trace);
    }
    let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| span.id).collect();
    assert_eq!(ids.len(), spans.len(), "each has an id of its own");
    let attempts: Vec<_> = spans.iter().filter(|span| span.kind == SpanKind::Client).collect();
    let told = [
        SpanId::of(operation.id, &About::Attempt(StepIndex(0), Leg::Forward, at(6))),
        SpanId::of(operation.id, &About::Attempt(StepIndex(1), Leg::Forward, at(9))),
        SpanId::of(operation.id, &About::Attempt(StepIndex(0), Leg::Forward, at(18))),
        SpanId::of(operation.id, &About::Attempt(StepIndex(0), Leg::Undo, at(27))),
    ];
    assert_eq!(attempts.iter().map(|span| span.id).collect::<Vec<_>>(), told);
    assert_eq!(attempts[0].status, SpanStatus::Error("the connection broke".to_owned()));
    assert!(attempts[2].attributes.contains(&("http.request.resend_count", Value::Number(1))));
    assert_eq!(attempts[3].name, "DELETE");
}

/// A lower operation is given up when its time is over, a probe is asked, and a person says what became of it.
#[test]
fn what_is_followed_ends_when_it_is_given_up() {
    let sketch = Sketch { lower: true, probe: true, polls: true, attempts: 1, ..Sketch::default() };
    let mut operation = sketch.operation();
    let (step, leg) = (StepIndex(0), Leg::Forward);
    let accepted = Reading::LowerAccepted { reference: "/ops/5?token=s3cret".to_owned() };
    let events = [
        Event::Dispatched,
        started(0, leg),
        answered(0, leg, 202, accepted),
        Event::TimeCame { timer: Timer::Lower(step, leg) },
    ];
    let mut history = Vec::new();
    for (now, event) in [at(3), at(6), at(9), at(90_000)].into_iter().zip(events) {
        operation = transition(&operation, event.clone(), Context { now, jitter: 0.0 }).unwrap().0;
        history.push((now, event));
    }
    let mut teller = spans::Teller::new(&operation, at(100_000));
    history.iter().for_each(|(at, event)| teller.take(*at, event));
    let told = teller.told();
    let follow = told.iter().find(|span| span.name == "follow").unwrap();
    let part = told.iter().find(|span| Some(span.id) == follow.parent).unwrap();
    assert_eq!((follow.start, follow.end, part.end), (at(9), at(90_000), at(90_000)));
    assert!(matches!(follow.status, SpanStatus::Error(_)));
    assert!(!format!("{told:?}").contains("s3cret"));
}

/// A read waits for a hold, and then its target refuses it: the step is told from when it began to wait, with the reason.
#[test]
fn a_read_that_failed_tells_why() {
    let sketch = Sketch {
        targets: 1,
        method: http::Method::PUT,
        undo: Some(UndoRule::Restore),
        attempts: 1,
        ..Sketch::default()
    };
    let mut operation = sketch.operation();
    let (step, leg) = (StepIndex(0), Leg::Forward);
    let trouble = Trouble { kind: TroubleKind::Snapshot, detail: "reading the resource was answered 403".to_owned() };
    let events = [
        Event::Dispatched,
        Event::GateChanged { step, leg, gate: Gate::Held },
        Event::GateChanged { step, leg, gate: Gate::Permit },
        Event::ResourceRead { step, purpose: Purpose::Before, found: Found::Unusable { trouble } },
        Event::ResponseComposed { response: answer(500) },
    ];
    let mut history = Vec::new();
    for (second, event) in (1..).zip(events) {
        operation = transition(&operation, event.clone(), Context { now: at(second), jitter: 0.0 }).unwrap().0;
        history.push((at(second), event));
    }
    let spans = spans(&operation, &history);
    let part = spans.iter().find(|span| span.name == "step").unwrap();
    assert_eq!((part.start, part.end), (at(2), at(4)));
    let read = part.events.last().unwrap();
    assert_eq!((read.at, read.name.as_str()), (at(4), "the resource could not be read"));
    let text = |text: &str| Value::Text(text.to_owned());
    let told = [
        ("fanfold.purpose", text("before")),
        ("fanfold.found", text("unusable")),
        ("fanfold.trouble", text("reading the resource was answered 403")),
    ];
    assert_eq!(read.attributes, told);
}

#[test]
fn a_share_of_what_nobody_traces_is_recorded() {
    let of = |last: u8| TraceContext { trace: TraceId([last; 16]), parent: None, sampled: None, state: None };
    assert!(!of(1).is_recorded(0.0) && of(0xff).is_recorded(1.0) && of(1).is_recorded(0.5));
    assert!(!TraceContext { sampled: Some(false), ..of(1) }.is_recorded(1.0), "the caller goes first");
    assert!(TraceContext { sampled: Some(true), ..of(1) }.is_recorded(0.0));
    assert!(of(1).traceparent(SpanId([2; 8]), 0.0).ends_with("-0202020202020202-00"));
}
