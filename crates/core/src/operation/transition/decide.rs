//! What follows from the state of all steps together: whose turn it is, whether the requirement can still be reached,
//! when undos begin, and how the operation ends.

use crate::operation::{
    AttentionReason, Cause, Consistency, Deadline, Effect, End, Gate, Leg, LockState, Outcome, Purpose, RollbackResult,
    Send, Stage, Status, StepPhase, UndoEnd, UndoPhase,
};
use crate::plan::{OnFailure, OnUnknown, Order};
use crate::{Answer, StepIndex};

use super::course::after_or_never;
use super::{Change, Illegal};

impl Change {
    /// Draws all that follows without a further event. Every round either changes the stage or starts something, so it ends.
    pub(super) fn advance(&mut self) {
        if self.op.restored.is_some() {
            return;
        }
        loop {
            let moved = match &self.op.stage {
                Stage::Forward => self.advance_forward(),
                Stage::Closing(cause) => {
                    let cause = cause.clone();
                    self.advance_closing(cause)
                }
                Stage::RollingBack { cause, since } => {
                    let (cause, since) = (cause.clone(), *since);
                    self.advance_rollback(cause, since)
                }
                Stage::Unexecuted { .. } | Stage::Deciding { .. } | Stage::Finishing(_) | Stage::Ended { .. } => false,
            };
            if !moved {
                return;
            }
        }
    }

    pub(super) fn indices(&self) -> impl Iterator<Item = StepIndex> + use<> {
        let steps =
            u16::try_from(self.op.steps.len()).expect("a plan has at most 65,536 steps, `targets_max` sees to it");
        (0..steps).map(StepIndex)
    }

    fn outcome(&self, index: StepIndex) -> Option<Outcome> {
        self.op.steps[index.get()].outcome()
    }

    fn all_ended(&self) -> bool {
        self.indices().all(|index| self.outcome(index).is_some())
    }

    fn advance_forward(&mut self) -> bool {
        if self.all_ended() {
            let cause = if self.op.requirement_met() { Cause::RequirementMet } else { Cause::StepsFailed };
            self.close(cause);
            return true;
        }
        let lost = self.indices().filter(|&index| self.outcome(index).is_some_and(|o| o != Outcome::Succeeded)).count();
        if self.op.steps.len() - lost < self.plan.required() {
            self.close(Cause::StepsFailed);
            return true;
        }
        let Some(wave) = self.next_wave() else { return false };
        if !self.may_follow(wave) {
            self.close(Cause::StepsFailed);
            return true;
        }
        for index in self.indices() {
            // After a person chose to retry, a part of the wave has ended already.
            let planned = self.op.steps[index.get()].phase == StepPhase::Planned;
            if planned && self.plan.steps[index.get()].wave == wave {
                self.begin_step(index);
            }
        }
        true
    }

    /// The wave whose turn it is: the first one that is planned, once all before it have ended.
    fn next_wave(&self) -> Option<u16> {
        let planned = |index: &StepIndex| self.op.steps[index.get()].phase == StepPhase::Planned;
        let wave = self.indices().filter(planned).map(|index| self.plan.steps[index.get()].wave).min()?;
        let ready = self
            .indices()
            .filter(|index| self.plan.steps[index.get()].wave < wave)
            .all(|index| self.outcome(index).is_some());
        ready.then_some(wave)
    }

    /// Whether the wave before `wave` allows it to start.
    fn may_follow(&self, wave: u16) -> bool {
        match self.plan.policy.order {
            Order::Parallel | Order::Sequence => true,
            Order::Waves(_) => {
                let Some(last) = wave.checked_sub(1) else { return true };
                let lost = self
                    .indices()
                    .filter(|index| self.plan.steps[index.get()].wave == last)
                    .filter(|&index| self.outcome(index) != Some(Outcome::Succeeded))
                    .count();
                lost <= usize::try_from(self.plan.policy.wave_failures).unwrap_or(usize::MAX)
            }
        }
    }

    /// Ends forward work: what has not started is skipped, what waits to be repeated ends by the fold, what is on the
    /// wire is awaited, lower operations are asked to cancel.
    pub(super) fn close(&mut self, cause: Cause) {
        self.op.stage = Stage::Closing(cause);
        let unwanted = self.lower_unwanted();
        for index in self.indices() {
            if let StepPhase::Sending(Send::Due { gate: Gate::Missing })
            | StepPhase::Reading { purpose: Purpose::Before, gate: Gate::Missing, .. } =
                self.op.steps[index.get()].phase
            {
                self.close_attention(Some(index), "fanfold", Some("the step is not wanted any more".to_owned()));
            }
            let step = &mut self.op.steps[index.get()];
            match &mut step.phase {
                StepPhase::Planned | StepPhase::Reading { purpose: Purpose::Before, .. } => {
                    step.phase = StepPhase::Ended(Outcome::Skipped);
                }
                StepPhase::Sending(Send::Due { .. }) if step.course.attempts == 0 => {
                    step.phase = StepPhase::Ended(Outcome::Skipped);
                }
                StepPhase::Sending(Send::Due { .. } | Send::BackingOff { .. }) => self.step_spent(index),
                StepPhase::Sending(Send::Following(lower)) => lower.cancel |= unwanted,
                StepPhase::Sending(Send::Calling { .. })
                | StepPhase::Reading { .. }
                | StepPhase::Probing(_)
                | StepPhase::AwaitingPerson { .. }
                | StepPhase::Ended(_) => {}
            }
        }
    }

    /// Whether what a lower operation does is going to be undone anyway.
    pub(super) fn lower_unwanted(&self) -> bool {
        match &self.op.stage {
            Stage::Closing(Cause::StepsFailed | Cause::DeadlinePassed | Cause::Canceled { .. }) => {
                !self.op.requirement_met()
            }
            Stage::Closing(Cause::RequirementMet)
            | Stage::Unexecuted { .. }
            | Stage::Forward
            | Stage::Deciding { .. }
            | Stage::RollingBack { .. }
            | Stage::Finishing(_)
            | Stage::Ended { .. } => false,
        }
    }

    fn advance_closing(&mut self, cause: Cause) -> bool {
        if !self.all_ended() {
            return false;
        }
        let canceled = matches!(cause, Cause::Canceled { .. });
        if self.op.requirement_met() && !canceled {
            self.finish(Status::Completed, None, None, self.now);
            return true;
        }
        let to_undo = self.indices().filter(|&index| self.wants_undo(index)).count();
        let hold = self.plan.policy.on_failure == OnFailure::Hold && !canceled;
        if hold && to_undo > 0 {
            self.op.stage = Stage::Deciding { cause, since: self.now };
            self.ask_for_choice();
        } else {
            self.roll_back(cause);
        }
        true
    }

    pub(super) fn ask_for_choice(&mut self) {
        let detail = "some targets are changed and some are not; choose: retry, roll back, or end as it is";
        self.open_attention(None, AttentionReason::ChoiceNeeded, detail.to_owned());
    }

    fn wants_undo(&self, index: StepIndex) -> bool {
        match self.outcome(index) {
            Some(Outcome::Succeeded) => true,
            Some(Outcome::Unknown) => self.plan.policy.on_unknown == OnUnknown::Undo,
            Some(Outcome::Failed { .. } | Outcome::Skipped) | None => false,
        }
    }

    /// Begins the rollback, or ends the operation where there is nothing that could be undone.
    pub(super) fn roll_back(&mut self, cause: Cause) {
        for index in self.indices() {
            if self.wants_undo(index) {
                self.queue_undo(index);
            }
        }
        let queued = self.op.steps.iter().flat_map(|step| &step.undo).any(|undo| undo.phase == UndoPhase::Queued);
        if queued {
            self.op.stage = Stage::RollingBack { cause, since: self.now };
            return;
        }
        let status = end_status(&cause);
        self.finish(status, Some(cause), Some(RollbackResult::None), self.now);
    }

    fn advance_rollback(&mut self, cause: Cause, since: jiff::Timestamp) -> bool {
        let open = |index: &StepIndex| {
            let undo = &self.op.steps[index.get()].undo;
            undo.as_ref().is_some_and(|undo| !matches!(undo.phase, UndoPhase::Ended(_)))
        };
        // Last wave first, together within a wave; `parallel` is one wave, in a sequence each step is its own.
        let Some(wave) = self.indices().filter(open).map(|index| self.plan.steps[index.get()].wave).max() else {
            let status = end_status(&cause);
            let result = self.rollback_result();
            self.finish(status, Some(cause), Some(result), since);
            return true;
        };
        let mut moved = false;
        for index in self.indices() {
            let queued = self.op.steps[index.get()].undo.as_ref().is_some_and(|undo| undo.phase == UndoPhase::Queued);
            if queued && self.plan.steps[index.get()].wave == wave {
                self.begin_undo(index);
                moved = true;
            }
        }
        moved
    }

    pub(super) fn rollback_result(&self) -> RollbackResult {
        let ends = self.op.steps.iter().flat_map(|step| &step.undo).map(|undo| &undo.phase);
        let all_undone = ends.into_iter().all(|phase| *phase == UndoPhase::Ended(UndoEnd::Undone));
        if all_undone { RollbackResult::Completed } else { RollbackResult::Failed }
    }

    /// Fixes how the operation ends; only the final response is still to be composed.
    pub(super) fn finish(
        &mut self,
        status: Status,
        cause: Option<Cause>,
        rollback: Option<RollbackResult>,
        rollback_at: jiff::Timestamp,
    ) {
        let consistency = self.op.consistency();
        for index in self.indices() {
            self.note_what_is_left(index);
        }
        let rollback_at = rollback.map(|_| rollback_at);
        self.op.stage = Stage::Finishing(End { status, cause, at: self.now, consistency, rollback, rollback_at });
    }

    /// Opens attention for a target that is left in a state that nobody asked for.
    fn note_what_is_left(&mut self, index: StepIndex) {
        let step = &self.op.steps[index.get()];
        let target = &self.plan.steps[index.get()].target;
        let undo = step.undo.as_ref().map(|undo| &undo.phase);
        let (reason, detail) = match (step.consistency(), undo) {
            (Consistency::RolledBack | Consistency::Updated, _) => return,
            (_, Some(UndoPhase::Ended(UndoEnd::NotPossible))) => {
                (AttentionReason::NoUndo, format!("{target} stays changed: the route has no undo"))
            }
            (_, Some(UndoPhase::Ended(_))) => {
                (AttentionReason::UndoFailed, format!("the undo at {target} failed; see its answer"))
            }
            (Consistency::NotConsistent, _) => {
                let detail = format!("{target} says that its data is neither old nor new");
                (AttentionReason::NotConsistent, detail)
            }
            (Consistency::Unknown, _) => {
                let detail = format!("it is not known whether {target} applied the request{}", step.course.why());
                (AttentionReason::OutcomeUnknown, detail)
            }
        };
        self.open_attention(Some(index), reason, detail);
    }

    pub(super) fn end(&mut self, response: Answer) -> Result<(), Illegal> {
        let Stage::Finishing(end) = &self.op.stage else { return Err(Illegal) };
        self.op.stage = Stage::Ended { end: end.clone(), response };
        if self.plan.lock.is_some() {
            self.effects.push(Effect::ReleaseLock);
        }
        self.effects.push(Effect::Finish);
        Ok(())
    }

    pub(super) fn cancel(&mut self, by: String) {
        let cause = Cause::Canceled { by };
        match &self.op.stage {
            Stage::Unexecuted { lock: LockState::NotNeeded | LockState::Wanted | LockState::Held, .. } => {
                for step in &mut self.op.steps {
                    step.phase = StepPhase::Ended(Outcome::Skipped);
                }
                self.finish(Status::Canceled, Some(cause), None, self.now);
            }
            // Too late: nothing further starts, and it will be completed.
            Stage::Forward if self.op.requirement_met() => self.close(Cause::RequirementMet),
            Stage::Forward => self.close(cause),
            Stage::Closing(Cause::StepsFailed | Cause::DeadlinePassed) if !self.op.requirement_met() => {
                self.close(cause)
            }
            Stage::Deciding { .. } => {
                let Cause::Canceled { by } = &cause else { return };
                self.close_attention(None, &by.clone(), Some("cancel was requested".to_owned()));
                self.roll_back(cause);
            }
            // Asked before, or so late that it changes nothing.
            Stage::Closing(_) | Stage::RollingBack { .. } | Stage::Finishing(_) | Stage::Ended { .. } => {}
        }
    }

    pub(super) fn deadline_passed(&mut self) -> Result<(), Illegal> {
        match self.op.deadline {
            Deadline::At(until) if until <= self.now => {}
            Deadline::At(_) | Deadline::From(_) | Deadline::Paused(_) | Deadline::Passed => return Err(Illegal),
        }
        match self.op.stage {
            Stage::Forward => {
                let met = self.op.requirement_met();
                self.close(if met { Cause::RequirementMet } else { Cause::DeadlinePassed });
            }
            Stage::Closing(_) => {}
            Stage::Unexecuted { .. }
            | Stage::Deciding { .. }
            | Stage::RollingBack { .. }
            | Stage::Finishing(_)
            | Stage::Ended { .. } => return Err(Illegal),
        }
        self.op.deadline = Deadline::Passed;
        for index in self.indices() {
            if let StepPhase::Sending(Send::Following(_)) = self.op.steps[index.get()].phase {
                self.step_lower_lost(index, "the operation's deadline passed before the lower operation ended");
            }
        }
        Ok(())
    }

    pub(super) fn extend_deadline(&mut self, until: jiff::Timestamp) -> Result<(), Illegal> {
        if !matches!(self.op.stage, Stage::Forward | Stage::Closing(_) | Stage::Deciding { .. }) || until <= self.now {
            return Err(Illegal);
        }
        match &mut self.op.deadline {
            Deadline::At(at) if *at <= until => *at = until,
            Deadline::Paused(left) => {
                let wanted = std::time::Duration::try_from(until.duration_since(self.now)).map_err(|_| Illegal)?;
                *left = wanted.max(*left);
            }
            Deadline::At(_) | Deadline::From(_) | Deadline::Passed => return Err(Illegal),
        }
        Ok(())
    }

    /// The deadline stands still while a person is awaited: their answer about a step, their choice, a target that they hold
    /// back to be released, or a missing one to be configured again. It goes on once none of that is so.
    pub(super) fn keep_deadline(&mut self) {
        match (self.op.deadline, self.awaits_person()) {
            (Deadline::At(until), true) => {
                let left = std::time::Duration::try_from(until.duration_since(self.now)).unwrap_or_default();
                self.op.deadline = Deadline::Paused(left);
            }
            (Deadline::Paused(left), false) => self.op.deadline = Deadline::At(after_or_never(self.now, left)),
            (Deadline::At(_) | Deadline::Paused(_) | Deadline::From(_) | Deadline::Passed, _) => {}
        }
    }

    fn awaits_person(&self) -> bool {
        if self.op.restored.is_some() {
            return true;
        }
        match &self.op.stage {
            Stage::Deciding { .. } => true,
            Stage::Forward | Stage::Closing(_) => self.indices().any(|index| {
                let asked = matches!(self.op.steps[index.get()].phase, StepPhase::AwaitingPerson { .. });
                let gates = [Leg::Forward, Leg::Probe].map(|leg| self.op.due_gate(index, leg));
                asked || gates.iter().any(|gate| matches!(gate, Some(Gate::Held | Gate::Missing)))
            }),
            Stage::Unexecuted { .. } | Stage::RollingBack { .. } | Stage::Finishing(_) | Stage::Ended { .. } => false,
        }
    }
}

pub(super) fn end_status(cause: &Cause) -> Status {
    match cause {
        Cause::Canceled { .. } => Status::Canceled,
        Cause::StepsFailed | Cause::DeadlinePassed => Status::Failed,
        Cause::RequirementMet => Status::Completed,
    }
}
