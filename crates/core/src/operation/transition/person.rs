//! What people decide while an operation runs.

use crate::StepIndex;
use crate::operation::{
    Choice, Consistency, Course, Deadline, Outcome, RollbackResult, Stage, Status, Step, StepPhase,
};

use super::course::after_or_never;
use super::{Change, Illegal};

impl Change {
    pub(super) fn resolved(
        &mut self,
        index: StepIndex,
        applied: bool,
        by: String,
        remark: Option<String>,
    ) -> Result<(), Illegal> {
        let StepPhase::AwaitingPerson { .. } = self.step(index)?.phase else { return Err(Illegal) };
        if applied {
            self.step_succeeded(index, None);
        } else {
            let step = self.step(index)?;
            step.course.tainted_at = None;
            step.phase = StepPhase::Ended(Outcome::Failed { consistency: Consistency::RolledBack });
        }
        self.close_attention(Some(index), &by, remark);
        Ok(())
    }

    pub(super) fn chose(&mut self, choice: Choice, by: String, remark: Option<String>) -> Result<(), Illegal> {
        let Stage::Deciding { cause, .. } = &self.op.stage else { return Err(Illegal) };
        let cause = cause.clone();
        match choice {
            Choice::Retry => self.retry_what_failed(),
            Choice::RollBack => self.roll_back(cause),
            Choice::EndAsItIs => self.finish(Status::Failed, Some(cause), Some(RollbackResult::None), self.now),
        }
        self.close_attention(None, &by, remark);
        Ok(())
    }

    /// Steps that are known to have changed nothing start from nothing again; a target whose state is unknown, or neither
    /// old nor new, is left as it is.
    fn retry_what_failed(&mut self) {
        for step in &mut self.op.steps {
            let unchanged = Outcome::Failed { consistency: Consistency::RolledBack };
            if step.phase == StepPhase::Ended(unchanged) || step.phase == StepPhase::Ended(Outcome::Skipped) {
                // A person knows what is; what is still to come of an attempt that broke, an undo waits for.
                let unsettled_at = step.course.unsettled_at;
                let course = Course { unsettled_at, retried: unsettled_at.is_some(), ..Course::default() };
                *step = Step { course, ..Step::default() };
            }
        }
        self.op.stage = Stage::Forward;
        if self.op.deadline == Deadline::Passed {
            self.op.deadline = Deadline::At(after_or_never(self.now, self.plan.policy.deadline));
        }
    }
}
