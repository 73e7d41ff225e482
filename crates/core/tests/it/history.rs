//! Entries of an operation's history.

use std::time::Duration;

use fanfold_core::dialect::native::HistoryEntry;
use fanfold_core::operation::{
    Choice, Event, Found, Gate, Image, Leg, ProbeVerdict, Purpose, Reading, Sent, Timer, TroubleKind,
};
use fanfold_core::plan::DialectName;
use fanfold_core::{Body, Content, Slot, StepIndex};
use http::Method;

use crate::fixtures::{accepted, answer, at, request, trouble};

const STEP: StepIndex = StepIndex(1);

/// Every kind of event.
fn events() -> Vec<Event> {
    let by = || "ops@example.com".to_owned();
    let broken = || trouble(TroubleKind::TimedOut, "no answer within 30 s");
    let mut apart = answer(500, "x");
    apart.body = Body(Content::Apart { bytes: 90_000 });
    vec![
        Event::LockGranted,
        Event::Dispatched,
        Event::TimeCame { timer: Timer::Lower(STEP, Leg::Undo) },
        Event::CancelRequested { by: by() },
        Event::DeadlineExtended { by: by(), until: at(7200) },
        Event::PersonResolved { step: STEP, applied: false, by: by(), remark: Some("looked at it".to_owned()) },
        Event::PersonChose { choice: Choice::RollBack, by: by(), remark: None },
        Event::GateChanged { step: STEP, leg: Leg::Forward, gate: Gate::Breaker },
        Event::ResourceRead { step: STEP, purpose: Purpose::Before, found: Found::Image(Image::Absent) },
        Event::ResourceRead {
            step: STEP,
            purpose: Purpose::Compare,
            found: Found::Failed { trouble: broken(), retry_after: Some(Duration::from_secs(2)) },
        },
        Event::AttemptStarted { step: STEP, leg: Leg::Undo, request: Some(request(Method::DELETE, "/cps/9", "")) },
        Event::AttemptAnswered {
            step: STEP,
            leg: Leg::Forward,
            answer: answer(202, "{}"),
            reading: Reading::LowerAccepted { reference: "7".to_owned() },
            trouble: None,
        },
        Event::AttemptBroke { step: STEP, leg: Leg::Forward, sent: Sent::Maybe, trouble: broken() },
        Event::ProbeAnswered {
            step: STEP,
            verdict: ProbeVerdict::NotApplied,
            answer: answer(404, ""),
            retry_after: None,
        },
        Event::PollsChanged {
            step: STEP,
            leg: Leg::Forward,
            trouble: Some(trouble(TroubleKind::Refused, "the poll was answered 401")),
        },
        Event::PollsChanged { step: STEP, leg: Leg::Undo, trouble: None },
        Event::LowerEnded {
            step: STEP,
            leg: Leg::Forward,
            answer: apart,
            reading: Reading::Ambiguous,
            trouble: Some(trouble(TroubleKind::LowerFailed, "it failed")),
        },
        Event::UndoNotRendered { step: STEP, trouble: trouble(TroubleKind::Template, "`cp_id` is undefined") },
        Event::ResponseComposed { response: answer(200, "done") },
        Event::Restored { as_of: at(60) },
        Event::RestoreReleased { by: by(), remark: Some("nothing was sent since".to_owned()) },
    ]
}

#[test]
fn every_event_is_shown_and_can_be_read_back() {
    let operation = accepted(DialectName::Native, 2);
    let mut shown = Vec::new();
    for (sequence, event) in (1..).zip(events()) {
        let entry = HistoryEntry::of(&operation, sequence, at(0), &event);
        let json = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<HistoryEntry>(&json).unwrap(), entry);
        shown.push(json);
    }
    insta::assert_snapshot!("history", shown.join("\n"));
}

// The record only says whose answer it is; whoever reads the history wants to see it.
#[test]
fn a_final_response_shows_the_answer_of_the_step_that_it_is_made_of() {
    let mut operation = accepted(DialectName::Native, 2);
    operation.steps[1].course.answer = Some(answer(201, "{\"id\": 7}"));
    let mut response = answer(201, "");
    response.body = Body(Content::Same(Slot::StepAnswer(STEP)));
    let shown = |operation: &fanfold_core::Operation, response: &fanfold_core::Answer| {
        let event = Event::ResponseComposed { response: response.clone() };
        serde_json::to_value(HistoryEntry::of(operation, 9, at(0), &event)).unwrap()["response"]["body"].clone()
    };
    assert_eq!(shown(&operation, &response), "{\"id\": 7}");
    operation.steps[1].course.answer.as_mut().unwrap().body = Body(Content::Apart { bytes: 90_000 });
    assert_eq!(shown(&operation, &response), serde_json::json!({ "bytes": 90_000 }));
}
