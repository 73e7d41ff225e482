//! Operations that came from a backup, which does not know what has happened since it was made. Nothing follows from them and
//! nothing is sent for them until a person releases them: then they go on from where the backup has them, and the time in
//! between counts for nothing. Or a person cancels them: then they end without a byte, and claim nothing.

use jiff::{SignedDuration, Timestamp};

use crate::StepIndex;
use crate::operation::{
    AttentionReason, Cause, Course, Deadline, Event, Gate, Leg, Lower, LowerTime, Outcome, Restored, Send, Stage,
    Status, StepPhase, UndoEnd, UndoPhase,
};

use super::course::after_or_never;
use super::decide::end_status;
use super::{Change, Illegal};

impl Change {
    /// The operation as the backup has it; only that it came from there is added. What it waits for stands still.
    pub(super) fn restored(&mut self, as_of: Timestamp) {
        if let Deadline::At(until) = self.op.deadline {
            let left = std::time::Duration::try_from(until.duration_since(as_of)).unwrap_or_default();
            self.op.deadline = Deadline::Paused(left);
        }
        self.op.restored = Some(Restored { since: self.now, as_of });
        let detail = format!(
            "the operation came from a backup as of {as_of}; nobody knows what has happened to it since, and nothing is sent \
             for it until it is released"
        );
        self.open_attention(None, AttentionReason::Restored, detail);
    }

    /// Nothing can have happened to one that nothing is sent for.
    pub(super) fn take_while_restored(&mut self, event: Event) -> Result<(), Illegal> {
        match event {
            Event::RestoreReleased { by, remark } => self.released(&by, remark),
            Event::CancelRequested { by } => self.given_up(by),
            Event::LockGranted
            | Event::Dispatched
            | Event::TimeCame { .. }
            | Event::DeadlineExtended { .. }
            | Event::PersonResolved { .. }
            | Event::PersonChose { .. }
            | Event::GateChanged { .. }
            | Event::ResourceRead { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptAnswered { .. }
            | Event::AttemptBroke { .. }
            | Event::ProbeAnswered { .. }
            | Event::PollsChanged { .. }
            | Event::LowerEnded { .. }
            | Event::UndoNotRendered { .. }
            | Event::ResponseComposed { .. }
            | Event::Restored { .. } => Err(Illegal),
        }
    }

    /// It goes on as after a stop of the process: budgets and the time of lower operations have what was left of them.
    fn released(&mut self, by: &str, remark: Option<String>) -> Result<(), Illegal> {
        let Restored { as_of, .. } = self.op.restored.take().ok_or(Illegal)?;
        let stood = self.now.duration_since(as_of).max(SignedDuration::ZERO);
        for index in self.indices() {
            let least = [Leg::Forward, Leg::Undo].map(|leg| self.time_for_a_poll(index, leg));
            let now = self.now;
            let step = &mut self.op.steps[index.get()];
            go_on(&mut step.course, stood);
            if let StepPhase::Sending(Send::Following(lower)) = &mut step.phase {
                follow_on(lower, stood, after_or_never(now, least[0]));
            }
            if let Some(undo) = &mut step.undo {
                go_on(&mut undo.course, stood);
                if let UndoPhase::Sending(Send::Following(lower)) = &mut undo.phase {
                    follow_on(lower, stood, after_or_never(now, least[1]));
                }
            }
        }
        self.close_attention(None, by, remark);
        // The same answer closed what had been asked about the operation as a whole before.
        if let Stage::Deciding { .. } = self.op.stage {
            self.ask_for_choice();
        }
        Ok(())
    }

    /// It is canceled: nothing is sent for it, and whatever the backup has not as final is unknown.
    fn given_up(&mut self, by: String) -> Result<(), Illegal> {
        self.op.restored = None;
        self.close_attention(None, &by, Some("cancel was requested".to_owned()));
        match self.op.stage.clone() {
            // It is decided, and only its final response is to be composed.
            Stage::Finishing(_) => {}
            Stage::RollingBack { cause, since } => {
                for index in self.indices() {
                    self.close_notes_about(index, &by);
                    let undo = self.op.steps[index.get()].undo.as_mut();
                    if let Some(undo) = undo.filter(|undo| !matches!(undo.phase, UndoPhase::Ended(_))) {
                        undo.phase = UndoPhase::Ended(UndoEnd::Unknown);
                    }
                }
                let result = self.rollback_result();
                self.finish(end_status(&cause), Some(cause), Some(result), since);
            }
            Stage::Unexecuted { .. } | Stage::Forward | Stage::Closing(_) | Stage::Deciding { .. } => {
                for index in self.indices() {
                    self.close_notes_about(index, &by);
                    self.op.steps[index.get()].phase = StepPhase::Ended(Outcome::Unknown);
                }
                self.finish(Status::Canceled, Some(Cause::Canceled { by }), None, self.now);
            }
            Stage::Ended { .. } => return Err(Illegal),
        }
        Ok(())
    }

    /// Closes what was asked about a step that is given up.
    fn close_notes_about(&mut self, index: StepIndex, by: &str) {
        let asked = matches!(self.op.steps[index.get()].phase, StepPhase::AwaitingPerson { .. });
        let missing = [Leg::Forward, Leg::Probe, Leg::Undo]
            .iter()
            .any(|leg| self.op.due_gate(index, *leg) == Some(Gate::Missing));
        if asked || missing {
            self.close_attention(Some(index), by, Some("cancel was requested".to_owned()));
        }
    }
}

/// The time for which the backup lay counts for no budget.
fn go_on(course: &mut Course, stood: SignedDuration) {
    course.first_at = course.first_at.map(|first| first.checked_add(stood).unwrap_or(Timestamp::MAX));
}

/// Nor for what is followed at a target; there is time for a poll in any case.
fn follow_on(lower: &mut Lower, stood: SignedDuration, least: Timestamp) {
    match &mut lower.time {
        LowerTime::Until(until) => *until = until.checked_add(stood).unwrap_or(Timestamp::MAX).max(least),
        LowerTime::Stopped { .. } => {}
    }
}
