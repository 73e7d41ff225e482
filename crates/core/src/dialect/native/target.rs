//! One target of an operation in native JSON: its step, and the undo of that step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::{AnswerForm, RequestForm};
use super::detail::TroubleForm;
use super::problem::OutcomeWord;
use crate::dialect::View;
use crate::operation::{Closed, Consistency, Gate, Send, Step, StepPhase, Undo, UndoEnd, UndoPhase};
use crate::plan::StepPlan;
use crate::{Slot, StepIndex};

/// One target of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "OperationTarget")]
pub struct TargetForm {
    /// Its name in the configuration.
    pub name: String,
    /// Its id, as clients of other dialects see it.
    pub id: String,
    /// The wave in which it starts, counted from 0.
    pub wave: u16,
    /// The outcome; null until there is one.
    pub outcome: Option<OutcomeWord>,
    /// What is going on until then; null afterwards.
    pub phase: Option<TargetPhase>,
    /// Attempts started.
    pub attempts: u32,
    /// Probes started.
    pub probes: u32,
    /// What is known of its data, undo included; null until there is an outcome.
    pub consistency: Option<Consistency>,
    /// What is sent.
    pub request: RequestForm,
    /// The latest answer, which is the deciding one once there is an outcome.
    pub response: Option<AnswerForm>,
    /// What was wrong with the latest attempt, or why there was none.
    pub error: Option<TroubleForm>,
    /// How far its undo is; null where there is none.
    pub undo: Option<UndoForm>,
}

/// How far the undo of one target is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Undo")]
pub struct UndoForm {
    /// How it ended; null until then.
    pub outcome: Option<UndoEnd>,
    /// What is going on until then; null afterwards.
    pub phase: Option<TargetPhase>,
    /// Attempts started.
    pub attempts: u32,
    /// What is sent; null before the first attempt.
    pub request: Option<RequestForm>,
    /// The latest answer.
    pub response: Option<AnswerForm>,
    /// What was wrong with the latest attempt, or why there was none.
    pub error: Option<TroubleForm>,
}

/// What is going on at one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetPhase {
    /// Its turn has not come.
    Planned,
    /// The resource is being read, or is to be.
    Reading,
    /// An attempt waits for a permit.
    Waiting,
    /// The target's breaker is open.
    BreakerOpen,
    /// The target is on hold.
    Held,
    /// The target is no longer configured.
    Missing,
    /// An attempt is on the wire.
    Calling,
    /// It is to be sent again after a while.
    BackingOff,
    /// A lower operation is followed to its end.
    Following,
    /// A probe finds out whether the request was applied.
    Probing,
    /// A person is asked whether it was.
    AwaitingPerson,
    /// An undo waits until the target cannot act any more on an attempt in doubt.
    Settling,
}

impl TargetForm {
    pub(super) fn of(view: View<'_>, index: StepIndex, plan: &StepPlan, step: &Step) -> Self {
        let outcome = step.outcome().map(OutcomeWord::from);
        let course = &step.course;
        Self {
            name: plan.target.to_string(),
            id: plan.target_id.clone(),
            wave: plan.wave,
            outcome,
            phase: step_phase(&step.phase),
            attempts: course.attempts,
            probes: step.probes,
            consistency: outcome.map(|_| step.consistency()),
            request: RequestForm::of(view, &plan.request, Slot::StepRequest(index)),
            response: course.answer.as_ref().map(|answer| AnswerForm::of(view, answer, Slot::StepAnswer(index))),
            error: course.trouble.as_ref().map(TroubleForm::from),
            undo: step.undo.as_ref().map(|undo| UndoForm::of(view, index, undo)),
        }
    }
}

impl UndoForm {
    fn of(view: View<'_>, index: StepIndex, undo: &Undo) -> Self {
        let (outcome, phase) = undo_phase(&undo.phase);
        let course = &undo.course;
        let request = undo.request.as_ref();
        Self {
            outcome,
            phase,
            attempts: course.attempts,
            request: request.map(|request| RequestForm::of(view, request, Slot::UndoRequest(index))),
            response: course.answer.as_ref().map(|answer| AnswerForm::of(view, answer, Slot::UndoAnswer(index))),
            error: course.trouble.as_ref().map(TroubleForm::from),
        }
    }
}

fn step_phase(phase: &StepPhase) -> Option<TargetPhase> {
    match phase {
        StepPhase::Planned => Some(TargetPhase::Planned),
        StepPhase::Reading { gate, .. } => Some(reading_phase(*gate)),
        StepPhase::Sending(send) => Some(send_phase(send)),
        StepPhase::Probing(_) => Some(TargetPhase::Probing),
        StepPhase::AwaitingPerson { .. } => Some(TargetPhase::AwaitingPerson),
        StepPhase::Ended(_) => None,
    }
}

fn undo_phase(phase: &UndoPhase) -> (Option<UndoEnd>, Option<TargetPhase>) {
    match phase {
        UndoPhase::Queued => (None, Some(TargetPhase::Planned)),
        UndoPhase::Settling { .. } => (None, Some(TargetPhase::Settling)),
        UndoPhase::Reading { gate, .. } => (None, Some(reading_phase(*gate))),
        UndoPhase::Sending(send) => (None, Some(send_phase(send))),
        UndoPhase::Ended(end) => (Some(*end), None),
    }
}

fn reading_phase(gate: Gate) -> TargetPhase {
    match gate {
        Gate::Permit => TargetPhase::Reading,
        Gate::Breaker => TargetPhase::BreakerOpen,
        Gate::Held => TargetPhase::Held,
        Gate::Missing => TargetPhase::Missing,
    }
}

fn send_phase(send: &Send) -> TargetPhase {
    match send {
        Send::Due { gate: Gate::Permit } => TargetPhase::Waiting,
        Send::Due { gate: Gate::Breaker } => TargetPhase::BreakerOpen,
        Send::Due { gate: Gate::Held } => TargetPhase::Held,
        Send::Due { gate: Gate::Missing } => TargetPhase::Missing,
        Send::Calling { .. } => TargetPhase::Calling,
        Send::BackingOff { .. } => TargetPhase::BackingOff,
        Send::Following(lower) => match lower.closed() {
            None => TargetPhase::Following,
            Some(Closed::Held) => TargetPhase::Held,
            Some(Closed::Missing) => TargetPhase::Missing,
        },
    }
}
