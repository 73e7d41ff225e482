//! The phase of an operation, and what it waits for.

use fanfold_core::operation::{
    Cause, Gate, Operation, Phase, Purpose, Send, Stage, StepPhase, UndoPhase, WaitingFor, phase, waiting_for,
};
use fanfold_core::plan::DialectName;

use crate::fixtures::{
    at, backing_off, begun, canceled, probing, refused, running, sending, skipped, succeeded, terminal, undoing,
    unexecuted,
};

fn forward(steps: Vec<fanfold_core::operation::Step>) -> Operation {
    begun(DialectName::Native, Stage::Forward, steps)
}

#[test]
fn the_first_phase_that_applies_counts() {
    let calling = || sending(Send::Calling { since: at(5) });
    let waiting = || sending(Send::Due { gate: Gate::Permit });
    let held = || sending(Send::Due { gate: Gate::Held });
    let awaiting = || fanfold_core::operation::Step { phase: StepPhase::AwaitingPerson { since: at(4) }, ..probing() };
    // Each step alone gives its phase, and hides all that come after it.
    let steps = [
        (awaiting(), Phase::NeedsAttention),
        (probing(), Phase::Probing),
        (held(), Phase::Held),
        (waiting(), Phase::Waiting),
        (backing_off(), Phase::BackingOff),
        (calling(), Phase::Calling),
    ];
    for (place, (first, word)) in steps.iter().enumerate() {
        for (other, _) in &steps[place..] {
            assert_eq!(phase(&forward(vec![other.clone(), first.clone()])), Some(*word));
        }
    }
}

#[test]
fn cancel_and_rollback_come_before_what_steps_do() {
    let cancel = Stage::Closing(canceled());
    assert_eq!(phase(&begun(DialectName::Native, cancel.clone(), vec![probing()])), Some(Phase::Canceling));
    let awaiting = fanfold_core::operation::Step { phase: StepPhase::AwaitingPerson { since: at(4) }, ..probing() };
    assert_eq!(phase(&begun(DialectName::Native, cancel, vec![awaiting])), Some(Phase::NeedsAttention));

    let undo = || vec![undoing(UndoPhase::Sending(Send::Due { gate: Gate::Held })), refused()];
    for (cause, word) in [
        (Cause::StepsFailed, Phase::RollingBack),
        (Cause::DeadlinePassed, Phase::RollingBack),
        (canceled(), Phase::Canceling),
    ] {
        let stage = Stage::RollingBack { cause, since: at(20) };
        assert_eq!(phase(&begun(DialectName::Native, stage, undo())), Some(word));
    }
}

#[test]
fn only_an_executing_operation_has_a_phase() {
    assert_eq!(phase(&unexecuted(DialectName::Native)), None);
    for (name, operation) in terminal(DialectName::Native) {
        assert_eq!(phase(&operation), None, "{name}");
    }
}

#[test]
fn the_final_response_being_composed_changes_no_phase() {
    for (name, mut operation) in terminal(DialectName::Native) {
        let end = operation.end().unwrap().clone();
        operation.stage = Stage::Finishing(end);
        let expected = match name {
            "completed" | "completed_by_quorum" => Some(Phase::Calling),
            "canceled" => Some(Phase::Canceling),
            "canceled_before_start" => None,
            "failed_without_rollback"
            | "failed_at_one_target"
            | "failed_unreachable"
            | "unknown_at_one_target"
            | "no_undo" => Some(Phase::Calling),
            _ => Some(Phase::RollingBack),
        };
        assert_eq!(phase(&operation), expected, "{name}");
        assert_eq!(waiting_for(&operation), [WaitingFor::Response]);
    }
}

#[test]
fn whatever_has_not_ended_waits_for_something_named() {
    for (name, operation) in running(DialectName::Native) {
        assert!(!waiting_for(&operation).is_empty(), "{name}");
    }
    for (name, operation) in terminal(DialectName::Native) {
        assert!(waiting_for(&operation).is_empty(), "{name}");
    }
    let accepted = crate::fixtures::accepted(DialectName::Native, 1);
    assert_eq!(waiting_for(&accepted), [WaitingFor::Dispatch]);
}

#[test]
fn what_is_waited_for_is_told_in_the_order_of_steps() {
    let reading = |purpose, not_before| UndoPhase::Reading { purpose, tries: 1, not_before, gate: Gate::Permit };
    let steps = vec![
        undoing(UndoPhase::Settling { until: at(30) }),
        undoing(reading(Purpose::Compare, None)),
        undoing(reading(Purpose::Settle, Some(at(40)))),
    ];
    let stage = Stage::RollingBack { cause: Cause::StepsFailed, since: at(20) };
    let operation = begun(DialectName::Native, stage, steps);
    insta::assert_snapshot!("waiting_for_undos", serde_json::to_string_pretty(&waiting_for(&operation)).unwrap());

    let all: Vec<_> = running(DialectName::Native)
        .iter()
        .map(|(name, operation)| format!("{name}: {}", serde_json::to_string(&waiting_for(operation)).unwrap()))
        .collect();
    insta::assert_snapshot!("waiting_for_running", all.join("\n"));
    assert!(waiting_for(&forward(vec![succeeded(), skipped()])).is_empty());
}
