//! The one function that decides. An event is taken into a copy of the operation, what follows from it is drawn
//! (steps start, the requirement is judged, undos begin), and the difference in work is what is to begin.

mod course;
mod decide;
mod gate;
mod person;
mod restored;
mod step;
mod undo;

#[cfg(test)]
mod cancel_tests;
#[cfg(test)]
mod doubt_tests;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod held_read_tests;
#[cfg(test)]
mod hold_tests;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod restored_tests;
#[cfg(test)]
mod table;
#[cfg(test)]
mod walk;

use std::sync::Arc;

use jiff::Timestamp;

use super::effect::{Effect, Effects, Timer};
use super::event::{Event, Found, Leg};
use super::state::{Deadline, LockState, Operation, Stage, Step};
use super::{Context, IllegalEvent};
use crate::plan::TargetPolicy;
use crate::{Plan, StepIndex};

/// Takes `event` into `operation`.
///
/// # Errors
/// The event cannot happen to the operation as it is; nothing was changed, and the caller drops what it learned.
pub fn transition(operation: &Operation, event: Event, context: Context) -> Result<(Operation, Effects), IllegalEvent> {
    let name = event.in_words();
    let mut change = Change {
        plan: Arc::clone(&operation.plan),
        op: operation.clone(),
        effects: Effects::new(),
        now: context.now,
        jitter: context.jitter,
    };
    if change.take(event).is_err() {
        return Err(IllegalEvent { event: name, state: operation.in_words() });
    }
    change.advance();
    change.keep_deadline();
    change.op.updated_at = change.now;
    let before = operation.work();
    let begun = change.op.work().into_iter().filter(|work| !before.contains(work)).map(Effect::Begin);
    change.effects.extend(begun);
    Ok((change.op, change.effects))
}

/// The event does not fit the state.
#[derive(Debug)]
struct Illegal;

/// One change in the making.
struct Change {
    plan: Arc<Plan>,
    op: Operation,
    effects: Effects,
    now: Timestamp,
    jitter: f64,
}

impl Change {
    fn take(&mut self, event: Event) -> Result<(), Illegal> {
        if matches!(self.op.stage, Stage::Ended { .. }) {
            return Err(Illegal);
        }
        if self.op.restored.is_some() {
            return self.take_while_restored(event);
        }
        match event {
            Event::LockGranted => self.lock_granted(),
            Event::Dispatched => self.dispatched(),
            Event::TimeCame { timer } => self.time_came(timer),
            Event::CancelRequested { by } => {
                self.cancel(by);
                Ok(())
            }
            Event::DeadlineExtended { until, by: _ } => self.extend_deadline(until),
            Event::PersonResolved { step, applied, by, remark } => self.resolved(step, applied, by, remark),
            Event::PersonChose { choice, by, remark } => self.chose(choice, by, remark),
            Event::GateChanged { step, leg, gate } => self.gate_changed(step, leg, gate),
            Event::ResourceRead { step, purpose, found } => self.resource_read(step, purpose, found),
            Event::AttemptStarted { step, leg, request } => match leg {
                Leg::Forward => self.step_started(step),
                Leg::Probe => self.probe_started(step),
                Leg::Undo => self.undo_started(step, request),
            },
            Event::AttemptAnswered { step, leg, answer, reading, trouble } => match leg {
                Leg::Forward => self.step_answered(step, answer, reading, trouble),
                Leg::Undo => self.undo_answered(step, answer, reading, trouble),
                Leg::Probe => Err(Illegal),
            },
            Event::AttemptBroke { step, leg, sent, trouble } => match leg {
                Leg::Forward => self.step_broke(step, sent, trouble),
                Leg::Undo => self.undo_broke(step, sent, trouble),
                Leg::Probe => self.probe_broke(step, &trouble),
            },
            Event::ProbeAnswered { step, verdict, answer: _, retry_after } => {
                self.probe_answered(step, verdict, retry_after)
            }
            Event::PollsChanged { step, leg, trouble } => self.polls_changed(step, leg, trouble),
            Event::LowerEnded { step, leg, answer, reading, trouble } => match leg {
                Leg::Forward => self.step_lower_ended(step, answer, reading, trouble),
                Leg::Undo => self.undo_lower_ended(step, answer, reading, trouble),
                Leg::Probe => Err(Illegal),
            },
            Event::UndoNotRendered { step, trouble } => self.undo_not_rendered(step, trouble),
            Event::ResponseComposed { response } => self.end(response),
            Event::Restored { as_of } => {
                self.restored(as_of);
                Ok(())
            }
            Event::RestoreReleased { .. } => Err(Illegal),
        }
    }

    fn step(&mut self, index: StepIndex) -> Result<&mut Step, Illegal> {
        self.op.steps.get_mut(index.get()).ok_or(Illegal)
    }

    fn policy(&self, index: StepIndex) -> &TargetPolicy {
        self.plan.step_policy(index)
    }

    fn lock_granted(&mut self) -> Result<(), Illegal> {
        let Stage::Unexecuted { start_at: None, lock: lock @ LockState::Wanted } = &mut self.op.stage else {
            return Err(Illegal);
        };
        *lock = LockState::Held;
        Ok(())
    }

    fn dispatched(&mut self) -> Result<(), Illegal> {
        let Stage::Unexecuted { start_at: None, lock: LockState::NotNeeded | LockState::Held } = self.op.stage else {
            return Err(Illegal);
        };
        self.op.stage = Stage::Forward;
        self.op.started_at = Some(self.now);
        self.op.deadline = match self.op.deadline {
            Deadline::From(span) => Deadline::At(course::after_or_never(self.now, span)),
            other @ (Deadline::At(_) | Deadline::Paused(_) | Deadline::Passed) => other,
        };
        Ok(())
    }

    fn time_came(&mut self, timer: Timer) -> Result<(), Illegal> {
        let now = self.now;
        match timer {
            Timer::Start => {
                let Stage::Unexecuted { start_at, .. } = &mut self.op.stage else { return Err(Illegal) };
                start_at.take_if(|at| *at <= now).map(drop).ok_or(Illegal)
            }
            Timer::Deadline => self.deadline_passed(),
            Timer::Step(step) => self.step_time_came(step),
            Timer::Undo(step) => self.undo_time_came(step),
            Timer::Lower(step, Leg::Undo) => self.undo_lower_timed_out(step),
            Timer::Lower(step, Leg::Forward) => self.step_lower_timed_out(step),
            Timer::Lower(_, Leg::Probe) => Err(Illegal),
        }
    }

    fn resource_read(&mut self, index: StepIndex, purpose: super::Purpose, found: Found) -> Result<(), Illegal> {
        match purpose {
            super::Purpose::Before | super::Purpose::After => self.step_read(index, purpose, found),
            super::Purpose::Compare | super::Purpose::Settle => self.undo_read(index, purpose, found),
        }
    }

    fn open_attention(&mut self, step: Option<StepIndex>, reason: super::AttentionReason, detail: String) {
        let target = step.map(|step| self.plan.steps[step.get()].target.clone());
        self.effects.push(Effect::OpenAttention(super::Attention { step, target, reason, detail }));
    }

    fn close_attention(&mut self, step: Option<StepIndex>, by: &str, remark: Option<String>) {
        self.effects.push(Effect::CloseAttention { step, by: by.to_owned(), remark });
    }
}
