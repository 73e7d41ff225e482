//! The recorded form of operations, the same in every store: what is checked before it is written, which bodies stand apart,
//! when an operation is due, and what is checked again when it is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use fanfold_core::operation::{LockState, Phase, Stage, phase};
use fanfold_core::plan::Policy;
use fanfold_core::{Body, Content, Event, Operation, OperationId, Plan, Slot, StepIndex};
use jiff::Timestamp;
use serde::Serialize;

use crate::{Error, time};

/// An operation whose large bodies were taken out.
#[derive(Debug)]
pub(crate) struct Split {
    /// The record: a large body is [`Content::Apart`].
    pub(crate) operation: Operation,
    /// The bodies taken out of the plan; written once, at acceptance.
    pub(crate) plan_bodies: Vec<(Slot, Bytes)>,
    /// The bodies taken out of the state.
    pub(crate) state_bodies: Vec<(Slot, Bytes)>,
    /// Every slot of the state whose body stands apart, also those from earlier commits.
    pub(crate) apart: BTreeSet<Slot>,
}

impl Split {
    /// Takes bodies of more than `inline_max` octets out of an operation that is to be accepted, plan included.
    pub(crate) fn accepted(operation: Operation, inline_max: usize) -> Result<Self, Error> {
        check(&operation).map_err(Error::invalid)?;
        if operation.status().is_terminal() {
            return Err(Error::invalid("an operation that is accepted has not ended"));
        }
        if let Some(slot) = operation.bodies_apart().next() {
            return Err(Error::invalid(format!("the body of {slot} is said to stand apart, but was never recorded")));
        }
        let mut split = Self::state(operation, inline_max);
        split.plan_bodies = take_plan_bodies(&mut split.operation.plan, inline_max);
        Ok(split)
    }

    /// Takes bodies of more than `inline_max` octets out of the next state of an operation. Its plan is recorded already.
    pub(crate) fn state(mut operation: Operation, inline_max: usize) -> Self {
        let mut state_bodies = Vec::new();
        let mut apart = BTreeSet::new();
        for (slot, body) in state_messages(&mut operation) {
            state_bodies.extend(take_out(body, inline_max).map(|octets| (slot, octets)));
            if matches!(body.0, Content::Apart { .. }) {
                apart.insert(slot);
            }
        }
        Self { operation, plan_bodies: Vec::new(), state_bodies, apart }
    }

    /// Which recorded bodies are superseded by this state, where those in `recorded` stand apart so far.
    pub(crate) fn superseded(&self, recorded: &BTreeSet<Slot>) -> Result<Vec<Slot>, Error> {
        let written = |slot: &Slot| self.state_bodies.iter().any(|(other, _)| other == slot);
        if let Some(slot) = self.apart.iter().find(|slot| !recorded.contains(slot) && !written(slot)) {
            return Err(Error::invalid(format!("the body of {slot} is said to stand apart, but was never recorded")));
        }
        Ok(recorded.difference(&self.apart).copied().collect())
    }
}

/// Replaces a large inline body by its length, and gives the octets.
fn take_out(body: &mut Body, inline_max: usize) -> Option<Bytes> {
    match &body.0 {
        Content::Inline(octets) if octets.len() > inline_max => {
            let octets = octets.clone();
            body.0 = Content::Apart { bytes: octets.len() as u64 };
            Some(octets)
        }
        Content::Inline(_) | Content::Empty | Content::Apart { .. } | Content::Same(_) => None,
    }
}

fn take_plan_bodies(plan: &mut Arc<Plan>, inline_max: usize) -> Vec<(Slot, Bytes)> {
    let is_large = |body: &Body| matches!(&body.0, Content::Inline(octets) if octets.len() > inline_max);
    // Most plans have no large body, and are shared rather than copied.
    if !is_large(&plan.request.body) && !plan.steps.iter().any(|step| is_large(&step.request.body)) {
        return Vec::new();
    }
    let mut taken = Vec::new();
    for (slot, body) in plan_messages(Arc::make_mut(plan)) {
        taken.extend(take_out(body, inline_max).map(|octets| (slot, octets)));
    }
    taken
}

fn plan_messages(plan: &mut Plan) -> Vec<(Slot, &mut Body)> {
    let steps = plan.steps.iter_mut().enumerate();
    let requests = steps.map(|(position, step)| (Slot::StepRequest(index(position)), &mut step.request.body));
    std::iter::once((Slot::Request, &mut plan.request.body)).chain(requests).collect()
}

fn state_messages(operation: &mut Operation) -> Vec<(Slot, &mut Body)> {
    let mut messages = Vec::new();
    for (position, step) in operation.steps.iter_mut().enumerate() {
        let index = index(position);
        messages.extend(step.course.answer.as_mut().map(|answer| (Slot::StepAnswer(index), &mut answer.body)));
        if let Some(undo) = &mut step.undo {
            messages.extend(undo.request.as_mut().map(|request| (Slot::UndoRequest(index), &mut request.body)));
            messages.extend(undo.course.answer.as_mut().map(|answer| (Slot::UndoAnswer(index), &mut answer.body)));
        }
    }
    if let Stage::Ended { response, .. } = &mut operation.stage {
        messages.push((Slot::Final, &mut response.body));
    }
    messages
}

fn index(position: usize) -> StepIndex {
    StepIndex(u16::try_from(position).expect("`check` refuses a plan of more than 65,536 steps"))
}

/// What must be true of every operation in a store, checked when it is written and again when it is read.
pub(crate) fn check(operation: &Operation) -> Result<(), String> {
    let plan = &operation.plan;
    if plan.steps.len() > usize::from(u16::MAX) {
        return Err(format!("operation {} has {} steps", operation.id, plan.steps.len()));
    }
    if plan.steps.len() != operation.steps.len() {
        let (planned, recorded) = (plan.steps.len(), operation.steps.len());
        return Err(format!("operation {} has {recorded} steps, {planned} were planned", operation.id));
    }
    match plan.steps.iter().find(|step| !plan.policy.targets.contains_key(&step.target)) {
        Some(step) => Err(format!("the policy of operation {} does not cover target {}", operation.id, step.target)),
        None => Ok(()),
    }
}

/// The operation of this id, from the columns that it is recorded in.
pub(crate) fn read(id: OperationId, state: &str, plan: &str, policy: Arc<Policy>) -> Result<Operation, Error> {
    let broken = |error: serde_json::Error| Error::corrupt(format!("operation {id} cannot be read: {error}"));
    let mut operation: Operation = serde_json::from_str(state).map_err(broken)?;
    let mut plan: Plan = serde_json::from_str(plan).map_err(broken)?;
    plan.policy = policy;
    operation.plan = Arc::new(plan);
    if operation.id != id {
        return Err(Error::corrupt(format!("the record of operation {id} is that of {}", operation.id)));
    }
    check(&operation).map_err(Error::corrupt)?;
    Ok(operation)
}

/// Octets as they are shown.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// When an operation is due: never once it has ended, or while a person has not released it after a restore; while it queues for a lock as soon as it holds it, so that a lock granted
/// by somebody else's commit is noticed even if the process ends right after; otherwise as the caller asks.
pub(crate) fn wake_at(operation: &Operation, holds_lock: bool, asked: Option<Timestamp>) -> Option<Timestamp> {
    if operation.restored.is_some() {
        return None;
    }
    match &operation.stage {
        Stage::Ended { .. } => None,
        Stage::Unexecuted { start_at: None, lock: LockState::Wanted } => holds_lock.then_some(operation.updated_at),
        Stage::Unexecuted { start_at: Some(_), .. }
        | Stage::Unexecuted { start_at: None, lock: LockState::NotNeeded | LockState::Held }
        | Stage::Forward
        | Stage::Closing(_)
        | Stage::Deciding { .. }
        | Stage::RollingBack { .. }
        | Stage::Finishing(_) => asked,
    }
}

/// When the record of an ended operation may be deleted.
pub(crate) fn expires_at(operation: &Operation) -> Option<Timestamp> {
    let end = operation.end()?;
    // A retention beyond the calendar is a retention for ever, as near as a timestamp comes to it.
    Some(end.at.checked_add(operation.plan.policy.retention).unwrap_or(Timestamp::MAX))
}

/// The form in which an event stands in the history: bodies of more than `inline_max` octets are represented by their length.
pub(crate) fn history_form(mut event: Event, inline_max: usize) -> Event {
    let body = match &mut event {
        Event::AttemptStarted { request, .. } => request.as_mut().map(|request| &mut request.body),
        Event::AttemptAnswered { answer, .. }
        | Event::ProbeAnswered { answer, .. }
        | Event::LowerEnded { answer, .. }
        | Event::ResponseComposed { response: answer } => Some(&mut answer.body),
        Event::LockGranted
        | Event::Dispatched
        | Event::TimeCame { .. }
        | Event::CancelRequested { .. }
        | Event::DeadlineExtended { .. }
        | Event::PersonResolved { .. }
        | Event::PersonChose { .. }
        | Event::GateChanged { .. }
        | Event::ResourceRead { .. }
        | Event::PollsChanged { .. }
        | Event::AttemptBroke { .. }
        | Event::UndoNotRendered { .. }
        | Event::Restored { .. }
        | Event::RestoreReleased { .. } => None,
    };
    if let Some(body) = body {
        // The octets are dropped on purpose: the latest body of each message stands in the record.
        let _ = take_out(body, inline_max);
    }
    event
}

/// Whether the message of this slot belongs to the state, and not to the plan, which never changes.
pub(crate) fn is_of_state(slot: Slot) -> bool {
    match slot {
        Slot::Request | Slot::StepRequest(_) | Slot::Callback | Slot::Webhook => false,
        Slot::StepAnswer(_) | Slot::UndoRequest(_) | Slot::UndoAnswer(_) | Slot::Before(_) | Slot::Final => true,
    }
}

/// An event as it is written.
pub(crate) struct EventRow {
    pub(crate) at: i64,
    pub(crate) json: String,
}

impl EventRow {
    pub(crate) fn all(events: Vec<(Timestamp, Event)>, inline_max: usize) -> Result<Vec<Self>, Error> {
        let row = |(at, event)| Ok(Self { at: time::floor(at), json: json(&history_form(event, inline_max))? });
        events.into_iter().map(row).collect()
    }
}

/// Slots in one column, separated by commas.
pub(crate) fn slots_text(slots: &BTreeSet<Slot>) -> String {
    slots.iter().map(Slot::to_string).collect::<Vec<_>>().join(",")
}

/// Back.
pub(crate) fn slots_from(text: &str) -> Result<BTreeSet<Slot>, String> {
    let slots = text.split(',').filter(|slot| !slot.is_empty()).map(str::parse).collect::<Result<_, _>>();
    slots.map_err(|error: fanfold_core::message::BadSlot| error.to_string())
}

/// The word of the phase that an operation is in, as it stands in a column: it follows from the state alone.
pub(crate) fn phase_word(operation: &Operation) -> Option<&'static str> {
    phase(operation).map(Phase::as_str)
}

/// The same of a state as it is recorded. What cannot be read is found out where it is read to be used.
pub(crate) fn phase_word_of(state: &str) -> Option<&'static str> {
    let operation: Operation = serde_json::from_str(state).ok()?;
    phase_word(&operation)
}

/// The names of all targets of a plan in one column, each between line feeds.
pub(crate) fn targets_text(plan: &Plan) -> String {
    plan.steps.iter().fold("\n".to_owned(), |names, step| names + step.target.as_str() + "\n")
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::invalid(format!("it cannot be written as JSON: {error}")))
}
