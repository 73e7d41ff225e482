use std::sync::Arc;

use super::*;
use crate::Headers;
use crate::dialect::Bodies;
use crate::operation::fixtures::{Sketch, at};
use crate::operation::{Course, End, Stage, StepPhase, Undo};
use crate::plan::{Lock, OnLocked, Order, Redaction};

/// How a step ended, and its undo.
type Ends = (Outcome, Option<UndoEnd>);

const DONE: Ends = (Outcome::Succeeded, None);
const UNDONE: Ends = (Outcome::Succeeded, Some(UndoEnd::Undone));
const REFUSED: Ends = (Outcome::Failed { consistency: Consistency::RolledBack }, None);
const SKIPPED: Ends = (Outcome::Skipped, None);
const UNKNOWN: Ends = (Outcome::Unknown, None);

fn ended(sketch: Sketch, status: Status, ends: &[Ends]) -> Operation {
    let mut operation = Sketch { targets: ends.len(), ..sketch }.operation();
    for (step, (outcome, undo)) in operation.steps.iter_mut().zip(ends) {
        step.phase = StepPhase::Ended(*outcome);
        let phase = undo.map(UndoPhase::Ended);
        step.undo = phase.map(|phase| Undo { phase, request: None, course: Course::default() });
    }
    let end =
        End { status, cause: None, at: at(9), consistency: operation.consistency(), rollback: None, rollback_at: None };
    operation.stage = Stage::Ended { end, response: crate::operation::fixtures::answer(500) };
    operation
}

fn failed(ends: &[Ends]) -> Operation {
    ended(Sketch::default(), Status::Failed, ends)
}

fn of(operation: &Operation, forced_by: Option<&str>) -> Result<Plan, NoRetry> {
    plan_of(View { operation, bodies: &Bodies::new() }, forced_by, None)
}

/// The targets that a retry calls, each with its wave.
fn called(operation: &Operation, forced_by: Option<&str>) -> Vec<(String, u16)> {
    let plan = of(operation, forced_by).unwrap();
    plan.steps.iter().map(|step| (step.target.to_string(), step.wave)).collect()
}

fn names_of(operation: &Operation) -> Vec<String> {
    called(operation, None).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn only_what_failed_or_was_canceled_is_retried() {
    let running = Sketch::default().operation();
    assert_eq!(of(&running, None), Err(NoRetry::NotEnded(running.id)));
    let done = ended(Sketch::default(), Status::Completed, &[DONE, DONE]);
    assert_eq!(of(&done, Some("ann")), Err(NoRetry::Completed(done.id)));
    for status in [Status::Failed, Status::Canceled] {
        assert_eq!(names_of(&ended(Sketch::default(), status, &[DONE, REFUSED])), ["osaka"]);
    }
}

#[test]
fn what_succeeded_and_was_not_undone_is_left_alone() {
    assert_eq!(names_of(&failed(&[DONE, REFUSED, SKIPPED, UNDONE])), ["osaka", "nagoya", "sapporo"]);
    // An undo that changed nothing leaves the target as it was requested: calling again would do it twice.
    for undo in [UndoEnd::Failed, UndoEnd::Conflict, UndoEnd::NotPossible] {
        assert_eq!(names_of(&failed(&[(Outcome::Succeeded, Some(undo)), REFUSED])), ["osaka"], "{undo:?}");
    }
    let halfway = (Outcome::Failed { consistency: Consistency::NotConsistent }, None);
    assert_eq!(names_of(&failed(&[halfway, (Outcome::Failed { consistency: Consistency::Updated }, None)])), ["tokyo"]);
    let nothing = failed(&[DONE, DONE]);
    assert_eq!(of(&nothing, Some("ann")), Err(NoRetry::NothingLeft(nothing.id)));
}

#[test]
fn what_is_unknown_is_called_again_by_force_only() {
    let lost_undo = (Outcome::Succeeded, Some(UndoEnd::Unknown));
    let operation = failed(&[UNKNOWN, REFUSED, lost_undo, DONE]);
    assert_eq!(of(&operation, None), Err(NoRetry::Unknown(vec!["tokyo".into(), "nagoya".into()])));
    let forced = of(&operation, Some("ann")).unwrap();
    assert_eq!(forced.front.attributes[FORCED_BY], "ann");
    assert_eq!(called(&operation, Some("ann")), [("tokyo".into(), 0), ("osaka".into(), 0), ("nagoya".into(), 0)]);
    // Who forced a retry does not speak for the next one.
    let again = Operation { plan: Arc::new(forced), ..failed(&[REFUSED, REFUSED, REFUSED]) };
    assert!(!of(&again, None).unwrap().front.attributes.contains_key(FORCED_BY));
    // An undo that was confirmed tells what the attempt did not.
    assert_eq!(names_of(&failed(&[(Outcome::Unknown, Some(UndoEnd::Undone)), DONE])), ["tokyo"]);
}

#[test]
fn a_retry_goes_on_as_planned() {
    let lock = Lock { key: "thing/1".into(), on_locked: OnLocked::Queue };
    let first = ended(Sketch { lock: true, scheduled: true, ..Sketch::default() }, Status::Failed, &[DONE, REFUSED]);
    let plan = of(&first, None).unwrap();
    assert_eq!((plan.retry_of, plan.first, plan.start_at), (Some(first.id), Some(first.id), None));
    assert_eq!((&plan.lock, &plan.policy), (&Some(lock), &first.plan.policy));
    assert_eq!((&plan.request, &plan.steps[0].request), (&first.plan.request, &first.plan.steps[1].request));
    // Templates go on to see the id with which the requests were rendered.
    let second = Operation { id: OperationId::from_bytes([2; 16]), plan: Arc::new(plan), ..failed(&[REFUSED]) };
    let third = of(&second, None).unwrap();
    assert_eq!((third.retry_of, third.first), (Some(second.id), Some(first.id)));
}

#[test]
fn waves_are_counted_anew() {
    let waves = |order, ends: &[Ends]| {
        let operation = ended(Sketch { order, ..Sketch::default() }, Status::Failed, ends);
        called(&operation, None).into_iter().map(|(_, wave)| wave).collect::<Vec<_>>()
    };
    assert_eq!(waves(Order::Sequence, &[UNDONE, DONE, REFUSED, SKIPPED]), [0, 1, 2]);
    assert_eq!(waves(Order::Sequence, &[DONE, REFUSED, DONE, SKIPPED]), [0, 1]);
    assert_eq!(waves(Order::Waves(vec![1, 2]), &[DONE, DONE, REFUSED, SKIPPED]), [0, 1]);
    assert_eq!(waves(Order::Waves(vec![1, 2]), &[DONE, REFUSED, REFUSED, DONE]), [0, 0]);
}

#[test]
fn those_that_are_there_count_for_the_requirement() {
    let required = |count, ends: &[Ends]| {
        let sketch = Sketch { require: Require::AtLeast(count), ..Sketch::default() };
        of(&ended(sketch, Status::Failed, ends), None).unwrap().policy.require
    };
    assert_eq!(required(3, &[DONE, DONE, REFUSED, REFUSED]), Require::AtLeast(1));
    assert_eq!(required(3, &[DONE, REFUSED, REFUSED, REFUSED]), Require::AtLeast(2));
    assert_eq!(required(3, &[UNDONE, REFUSED, REFUSED, UNDONE]), Require::AtLeast(3));
    // It may have been met, and be canceled all the same: one more is better than none.
    assert_eq!(required(1, &[DONE, DONE, REFUSED]), Require::AtLeast(1));
}

#[test]
fn bodies_come_along() {
    let mut operation = failed(&[DONE, REFUSED, REFUSED]);
    let plan = Arc::make_mut(&mut operation.plan);
    plan.request.body = Body(Content::Apart { bytes: 3 });
    plan.steps[1].request.body = Body(Content::Same(Slot::Request));
    plan.steps[2].request.body = Body(Content::Same(Slot::StepRequest(StepIndex(0))));
    plan.steps[0].request.body = Body(Content::Apart { bytes: 5 });
    let bodies =
        Bodies::from([(Slot::Request, "all"[..].into()), (Slot::StepRequest(StepIndex(0)), "other"[..].into())]);
    let plan = plan_of(View { operation: &operation, bodies: &bodies }, None, None).unwrap();
    assert_eq!(plan.request.body, Body::inline("all"));
    let bodies: Vec<_> = plan.steps.iter().map(|step| step.request.body.clone()).collect();
    assert_eq!(bodies, [Body(Content::Same(Slot::Request)), Body::inline("other")]);
}

#[test]
fn what_was_wiped_is_not_retried() {
    for step in [true, false] {
        let mut operation = failed(&[REFUSED, DONE]);
        let plan = Arc::make_mut(&mut operation.plan);
        let request = if step { &mut plan.steps[0].request } else { &mut plan.request };
        request.sealed = true;
        assert_eq!(of(&operation, None), Err(NoRetry::Wiped(operation.id)));
    }
}

/// A failed operation whose requests hold secrets, as its record is, and what the same request would be planned to again.
fn with_secrets(ends: &[Ends]) -> (Operation, Plan) {
    let mut operation = failed(ends);
    let plan = Arc::make_mut(&mut operation.plan);
    plan.policy = Arc::new(Policy { redaction: Redaction::standard(), ..Policy::clone(&plan.policy) });
    plan.request.body = Body::inline(r#"{"password":"p","size":1}"#);
    plan.steps[0].request.body = Body(Content::Same(Slot::Request));
    plan.steps[1].request.body = Body::inline(r#"{"token":"t","size":1}"#);
    let originals = plan.clone();
    operation.plan = Arc::new(seal(originals.clone()).0);
    (operation, originals)
}

#[test]
fn what_was_wiped_is_retried_with_the_request_that_came_again() {
    let (operation, mut again) = with_secrets(&[REFUSED, UNDONE, DONE]);
    let view = View { operation: &operation, bodies: &Bodies::new() };
    assert_eq!(plan_of(view, None, None), Err(NoRetry::Wiped(operation.id)));
    // What it wants of somebody else's rules now is not asked.
    again.policy = Arc::new(Policy { redaction: Redaction::default(), ..Policy::clone(&again.policy) });
    let plan = plan_of(view, None, Some(&again)).unwrap();
    assert_eq!(plan.request, again.request);
    let requests: Vec<&Request> = plan.steps.iter().map(|step| &step.request).collect();
    assert_eq!(requests, [&again.steps[0].request, &again.steps[1].request]);
    assert_eq!((plan.retry_of, &plan.policy), (Some(operation.id), &operation.plan.policy));
}

#[test]
fn fields_are_those_of_the_record_but_for_what_was_wiped() {
    let (mut operation, mut again) = with_secrets(&[REFUSED, UNDONE, DONE]);
    let fields = |fields: &[(&str, &str)]| -> Headers {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let plan = Arc::make_mut(&mut operation.plan);
    let recorded = fields(&[("cookie", REDACTED), ("x-mode", "dry"), ("cookie", REDACTED)]);
    plan.request.headers.clone_from(&recorded);
    plan.steps[0].request.headers = recorded;
    let sent = fields(&[("x-mode", "real"), ("cookie", "a"), ("x-request-id", "2"), ("cookie", "b")]);
    again.request.headers.clone_from(&sent);
    again.steps[0].request.headers = sent;
    let view = View { operation: &operation, bodies: &Bodies::new() };
    let plan = plan_of(view, None, Some(&again)).unwrap();
    let expected = fields(&[("cookie", "a"), ("x-mode", "dry"), ("cookie", "b")]);
    assert_eq!((&plan.request.headers, &plan.steps[0].request.headers), (&expected, &expected));
    again.steps[0].request.headers.pop();
    assert_eq!(plan_of(view, None, Some(&again)), Err(NoRetry::FieldMissing("cookie".to_owned())));
}

#[test]
fn a_request_that_is_rendered_otherwise_by_now_is_not_taken_for_the_one_to_be_retried() {
    let (operation, again) = with_secrets(&[REFUSED, UNDONE, DONE]);
    let view = View { operation: &operation, bodies: &Bodies::new() };
    let changes: [fn(&mut Plan); 4] = [
        |plan| plan.steps[1].request.body = Body::inline(r#"{"token":"t","size":2}"#),
        |plan| plan.steps[1].request.uri.push_str("/more"),
        |plan| plan.steps[1].request.method = http::Method::PATCH,
        |plan| drop(plan.steps.remove(1)),
    ];
    for change in changes {
        let mut changed = again.clone();
        change(&mut changed);
        assert_eq!(plan_of(view, None, Some(&changed)), Err(NoRetry::Changed("osaka".into())));
    }
    let mut changed = again.clone();
    changed.request.body = Body::inline(r#"{"password":"p","size":2}"#);
    assert_eq!(plan_of(view, None, Some(&changed)), Err(NoRetry::Changed("tokyo".into())), "it passes the body on");
    // What needs no call is free to change.
    let mut changed = again;
    changed.steps.remove(2);
    assert!(plan_of(view, None, Some(&changed)).is_ok());
}

#[test]
fn what_is_on_record_goes_before_what_came_again() {
    let operation = failed(&[REFUSED, DONE]);
    let mut again = Plan::clone(&operation.plan);
    again.steps[0].request.uri.push_str("/more");
    let plan = plan_of(View { operation: &operation, bodies: &Bodies::new() }, None, Some(&again)).unwrap();
    assert_eq!(plan.steps[0].request, operation.plan.steps[0].request);
}
