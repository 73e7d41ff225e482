//! What is to be done or awaited for an operation, read off its state. A process that starts again finds here all that the one
//! before it left behind.

use jiff::Timestamp;

use super::effect::{Timer, Work};
use super::event::Leg;
use super::gate::Gate;
use super::lower::LowerTime;
use super::state::{Deadline, LockState, Operation, Probing, Send, Stage, Step, StepPhase, Undo, UndoPhase};
use crate::StepIndex;

impl Operation {
    /// Everything that is to be done or awaited now, attempts on the wire excepted ([`Operation::calling`]).
    pub fn work(&self) -> Vec<Work> {
        if self.restored.is_some() {
            return vec![Work::AwaitPerson { step: None }];
        }
        let mut work = Vec::new();
        match &self.stage {
            // Before its start it does not queue for its lock: it would keep others waiting, and do nothing.
            Stage::Unexecuted { start_at: Some(until), .. } => {
                work.push(Work::Wait { timer: Timer::Start, until: *until });
            }
            Stage::Unexecuted { start_at: None, lock: LockState::Wanted } => work.push(Work::AwaitLock),
            Stage::Unexecuted { start_at: None, lock: LockState::NotNeeded | LockState::Held } => {
                work.push(Work::Dispatch);
            }
            Stage::Forward | Stage::Closing(_) => {
                if let Deadline::At(until) = self.deadline {
                    work.push(Work::Wait { timer: Timer::Deadline, until });
                }
                for (index, _, step) in self.indexed_steps() {
                    step_work(index, step, &mut work);
                }
            }
            Stage::Deciding { .. } => work.push(Work::AwaitPerson { step: None }),
            Stage::RollingBack { .. } => {
                for (index, _, step) in self.indexed_steps() {
                    if let Some(undo) = &step.undo {
                        undo_work(index, undo, &mut work);
                    }
                }
            }
            Stage::Finishing(_) => work.push(Work::Compose),
            Stage::Ended { .. } => {}
        }
        work
    }

    /// Whether it is to stand in the queue of its lock, or to hold it: from its start time on, not before. One that was restored
    /// keeps the place that it has.
    pub fn queues_for_lock(&self) -> bool {
        if self.restored.is_some() {
            return false;
        }
        match &self.stage {
            Stage::Unexecuted { start_at: None, lock: LockState::Wanted } => true,
            Stage::Unexecuted { .. }
            | Stage::Forward
            | Stage::Closing(_)
            | Stage::Deciding { .. }
            | Stage::RollingBack { .. }
            | Stage::Finishing(_)
            | Stage::Ended { .. } => false,
        }
    }

    /// What a request or a read that is due waits for, or, where that is a person, the next poll of one that is followed, as far
    /// as it was recorded; `None` if there is no such.
    pub fn due_gate(&self, index: StepIndex, leg: Leg) -> Option<Gate> {
        let step = self.steps.get(index.get())?;
        match (leg, &step.phase, step.undo.as_ref().map(|undo| &undo.phase)) {
            (
                Leg::Forward,
                StepPhase::Sending(Send::Due { gate }) | StepPhase::Reading { not_before: None, gate, .. },
                _,
            )
            | (Leg::Probe, StepPhase::Probing(Probing::Due { gate }), _)
            | (
                Leg::Undo,
                _,
                Some(UndoPhase::Sending(Send::Due { gate }) | UndoPhase::Reading { not_before: None, gate, .. }),
            ) => Some(*gate),
            (Leg::Forward, StepPhase::Sending(Send::Following(lower)), _)
            | (Leg::Undo, _, Some(UndoPhase::Sending(Send::Following(lower)))) => lower.closed().map(Gate::from),
            (Leg::Forward | Leg::Probe | Leg::Undo, ..) => None,
        }
    }

    /// The attempts on the wire, as far as the record knows: after a restart each of them has broken. Those of one that was
    /// restored have too, as soon as it is released.
    pub fn calling(&self) -> Vec<(StepIndex, Leg)> {
        let mut calling = Vec::new();
        if self.restored.is_some() {
            return calling;
        }
        for (index, _, step) in self.indexed_steps() {
            match &step.phase {
                StepPhase::Sending(Send::Calling { .. }) => calling.push((index, Leg::Forward)),
                StepPhase::Probing(Probing::Calling { .. }) => calling.push((index, Leg::Probe)),
                StepPhase::Planned
                | StepPhase::Reading { .. }
                | StepPhase::Sending(Send::Due { .. } | Send::BackingOff { .. } | Send::Following(_))
                | StepPhase::Probing(Probing::Due { .. } | Probing::Waiting { .. })
                | StepPhase::AwaitingPerson { .. }
                | StepPhase::Ended(_) => {}
            }
            if let Some(Undo { phase: UndoPhase::Sending(Send::Calling { .. }), .. }) = &step.undo {
                calling.push((index, Leg::Undo));
            }
        }
        calling
    }

    /// When the attempt of this request that is on the wire started.
    pub fn calling_since(&self, step: StepIndex, leg: Leg) -> Option<Timestamp> {
        let step = self.steps.get(step.get())?;
        match (leg, &step.phase, step.undo.as_ref().map(|undo| &undo.phase)) {
            (Leg::Forward, StepPhase::Sending(Send::Calling { since }), _)
            | (Leg::Probe, StepPhase::Probing(Probing::Calling { since }), _)
            | (Leg::Undo, _, Some(UndoPhase::Sending(Send::Calling { since }))) => Some(*since),
            (Leg::Forward | Leg::Probe | Leg::Undo, ..) => None,
        }
    }
}

fn step_work(index: StepIndex, step: &Step, work: &mut Vec<Work>) {
    let timer = Timer::Step(index);
    match &step.phase {
        StepPhase::Planned | StepPhase::Ended(_) => {}
        StepPhase::Reading { purpose, tries, not_before: None, .. } => {
            work.push(Work::Read { step: index, purpose: *purpose, tries: *tries });
        }
        StepPhase::Reading { not_before: Some(until), .. } => work.push(Work::Wait { timer, until: *until }),
        StepPhase::Sending(send) => send_work(index, Leg::Forward, send, step.course.attempts, timer, work),
        StepPhase::Probing(Probing::Due { .. }) => {
            work.push(Work::Send { step: index, leg: Leg::Probe, attempt: step.probes + 1 });
        }
        StepPhase::Probing(Probing::Calling { .. }) => {}
        StepPhase::Probing(Probing::Waiting { until }) => work.push(Work::Wait { timer, until: *until }),
        StepPhase::AwaitingPerson { .. } => work.push(Work::AwaitPerson { step: Some(index) }),
    }
}

fn undo_work(index: StepIndex, undo: &Undo, work: &mut Vec<Work>) {
    let timer = Timer::Undo(index);
    match &undo.phase {
        UndoPhase::Queued | UndoPhase::Ended(_) => {}
        UndoPhase::Settling { until } => work.push(Work::Wait { timer, until: *until }),
        UndoPhase::Reading { purpose, tries, not_before: None, .. } => {
            work.push(Work::Read { step: index, purpose: *purpose, tries: *tries });
        }
        UndoPhase::Reading { not_before: Some(until), .. } => work.push(Work::Wait { timer, until: *until }),
        UndoPhase::Sending(send) => send_work(index, Leg::Undo, send, undo.course.attempts, timer, work),
    }
}

fn send_work(step: StepIndex, leg: Leg, send: &Send, attempts: u32, timer: Timer, work: &mut Vec<Work>) {
    match send {
        Send::Due { .. } => work.push(Work::Send { step, leg, attempt: attempts + 1 }),
        Send::Calling { .. } => {}
        Send::BackingOff { until } => work.push(Work::Wait { timer, until: *until }),
        Send::Following(lower) => {
            work.push(Work::Follow { step, leg });
            match lower.time {
                LowerTime::Until(until) => work.push(Work::Wait { timer: Timer::Lower(step, leg), until }),
                LowerTime::Stopped { .. } => {}
            }
            if lower.cancel {
                work.push(Work::CancelLower { step });
            }
        }
    }
}
