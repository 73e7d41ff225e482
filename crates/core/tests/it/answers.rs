//! Acceptances, final responses and notices.

use std::sync::Arc;

use fanfold_core::dialect::{Bodies, View};
use fanfold_core::operation::{Outcome, Status, Step, StepPhase, TroubleKind};
use fanfold_core::plan::DialectName;
use fanfold_core::{Content, Operation, Slot, StepIndex};
use serde_json::Value;

use crate::fixtures::{
    CLUSTERS, accepted, answer, ended, indented, mount, not_consistent, refused, scenarios, show, show_final,
    succeeded, terminal, trouble, unknown,
};

const ALL: [DialectName; 3] = [DialectName::Native, DialectName::Msf, DialectName::Plas];

fn completed(name: DialectName, steps: Vec<Step>) -> Operation {
    ended(name, Status::Completed, None, steps)
}

#[test]
fn acceptances() {
    for name in ALL {
        let mount = mount(name);
        let reply = mount.wire().accepted(&mount, &accepted(name, 1));
        insta::assert_snapshot!(format!("{name}_accepted"), show(&reply));
    }
}

#[test]
fn a_plas_location_is_safe_in_a_path_and_fits() {
    let mut operation = accepted(DialectName::Plas, 1);
    let plan = Arc::make_mut(&mut operation.plan);
    plan.front.attributes.insert("connector_id".to_owned(), "a/é ?".to_owned());
    let mount = mount(DialectName::Plas);
    let body: Value = serde_json::from_slice(&mount.wire().accepted(&mount, &operation).body).unwrap();
    let expected = format!("/v1.0/plasconnector/connectors/a%2F%C3%A9%20%3F/operations/{}", operation.id);
    assert_eq!(body["location"], expected);
}

#[test]
fn final_responses() {
    for name in ALL {
        let shown: Vec<_> = terminal(name)
            .iter()
            .map(|(scenario, operation)| format!("=== {scenario}\n{}\n", show_final(operation)))
            .collect();
        insta::assert_snapshot!(format!("{name}_final_responses"), shown.join("\n"));
    }
}

#[test]
fn a_completed_operation_answers_as_its_first_succeeded_target_did() {
    for name in ALL {
        let first = completed(name, vec![unknown(), succeeded(), succeeded()]);
        let response = first.response().unwrap();
        assert_eq!(response.status, 201);
        assert_eq!(response.body.0, Content::Same(Slot::StepAnswer(StepIndex(1))));
        assert_eq!(response.headers, [("content-type".to_owned(), "application/json".to_owned())]);
    }
}

#[test]
fn a_success_that_was_learned_later_is_no_error() {
    // A probe found it applied, although the last answer was an error; or there was no answer at all.
    let mut overtaken = not_consistent();
    overtaken.phase = StepPhase::Ended(Outcome::Succeeded);
    let mut unanswered = unknown();
    unanswered.phase = StepPhase::Ended(Outcome::Succeeded);
    for step in [overtaken, unanswered] {
        let operation = completed(DialectName::Msf, vec![step]);
        let response = operation.response().unwrap();
        assert_eq!((response.status, &response.body.0), (200, &Content::Empty));
    }
}

#[test]
fn a_success_condition_may_accept_any_status() {
    let mut step = succeeded();
    step.course.answer = Some(answer(409, "exists"));
    let mut operation = accepted(DialectName::Msf, 1);
    let plan = Arc::make_mut(&mut operation.plan);
    let policy = Arc::make_mut(&mut plan.policy);
    policy.targets.get_mut(&CLUSTERS[0].0.into()).unwrap().success = Some("response.status == 409".to_owned());
    operation.steps = vec![step];
    let end = completed(DialectName::Msf, vec![succeeded()]).end().unwrap().clone();
    let operation = crate::fixtures::finish(operation, end);
    assert_eq!(operation.response().unwrap().status, 409);
}

#[test]
fn msf_does_not_repeat_an_error_body_that_is_no_valid_one() {
    for body in ["oops", "{}", r#"{"error_code":"3","error_message":"m","data_consistency":"unknown"}"#] {
        let mut step = not_consistent();
        step.course.answer = Some(answer(500, body));
        let operation = ended(DialectName::Msf, Status::Failed, None, vec![step]);
        let octets = View { operation: &operation, bodies: &Bodies::new() }.octets(Slot::Final).to_vec();
        let error: Value = serde_json::from_slice(&octets).unwrap();
        assert_eq!(error["error_code"], "300001", "{body}");
        assert_eq!(error["data_consistency"], "not consistent", "{body}");
    }
}

#[test]
fn an_error_of_an_earlier_attempt_is_not_the_cause() {
    let mut step = refused();
    step.course.trouble = Some(trouble(TroubleKind::Unreachable, "connection refused"));
    let operation = ended(DialectName::Msf, Status::Failed, None, vec![step]);
    let octets = View { operation: &operation, bodies: &Bodies::new() }.octets(Slot::Final).to_vec();
    let error: Value = serde_json::from_slice(&octets).unwrap();
    assert_eq!(error["error_code"], "060001");
}

#[test]
fn only_msf_has_a_notice_of_its_own() {
    for name in ALL {
        let mount = mount(name);
        let (_, operation) = scenarios(name).into_iter().find(|(name, _)| *name == "failed_with_rollback").unwrap();
        let view = View { operation: &operation, bodies: &Bodies::new() };
        let notice = mount.wire().notice(&mount, view);
        let Some(notice) = notice else {
            assert_ne!(name, DialectName::Msf);
            continue;
        };
        assert_eq!(notice.body, mount.wire().detail(&mount, view).body);
        let shown = format!("{} {}\n{:?}\n\n{}", notice.method, notice.url, notice.headers, indented(&notice.body));
        insta::assert_snapshot!(format!("{name}_notice"), shown);
    }
}

#[test]
fn nobody_is_told_who_did_not_ask() {
    let mut operation = completed(DialectName::Msf, vec![succeeded()]);
    Arc::make_mut(&mut operation.plan).front.attributes.clear();
    let mount = mount(DialectName::Msf);
    assert_eq!(mount.wire().notice(&mount, View { operation: &operation, bodies: &Bodies::new() }), None);
}
