//! The undo of one step: waiting until the target has settled, seeing that nobody else changed the resource, attempts, and how it ended.

use crate::operation::{
    Course, Effect, Found, Gate, Image, Leg, Lower, Outcome, Purpose, Reading, Send, Sent, Stage, StepPhase, Trouble,
    TroubleKind, Undo, UndoEnd, UndoPhase,
};
use crate::plan::{OnUndoFailure, UndoRule, is_repeatable};
use crate::{Answer, Request, StepIndex};

use super::course::{Rules, Verdict, after_or_never};
use super::{Change, Illegal};

impl Change {
    fn undo(&mut self, index: StepIndex) -> Result<&mut Undo, Illegal> {
        self.step(index)?.undo.as_mut().ok_or(Illegal)
    }

    /// Enters the undo of a step into the record, to wait for its turn. A step without an undo rule cannot be undone.
    pub(super) fn queue_undo(&mut self, index: StepIndex) {
        let possible = self.policy(index).undo.is_some();
        let phase = if possible { UndoPhase::Queued } else { UndoPhase::Ended(UndoEnd::NotPossible) };
        let mut course = Course::default();
        if !possible {
            let detail = "the route has no undo".to_owned();
            course.trouble = Some(Trouble { kind: TroubleKind::NoUndo, detail });
        }
        self.op.steps[index.get()].undo = Some(Undo { phase, request: None, course });
    }

    /// The undo's turn has come. A target with an attempt that broke is left to settle first, even if a later attempt succeeded:
    /// it may still act on the one that broke, after the undo then.
    pub(super) fn begin_undo(&mut self, index: StepIndex) {
        let settle = self.policy(index).settle;
        let step = &self.op.steps[index.get()];
        let settled = step.course.unsettled_at.map(|at| after_or_never(at, settle));
        match settled {
            Some(until) if until > self.now => self.set_undo(index, UndoPhase::Settling { until }),
            Some(_) | None => self.approach_undo(index),
        }
    }

    /// Sends the undo, or reads the resource first where only a comparison tells whether somebody else changed it.
    fn approach_undo(&mut self, index: StepIndex) {
        let Some(UndoRule::Restore) = self.policy(index).undo else { return self.set_undo(index, due()) };
        let deletes = self.plan.steps[index.get()].request.method == http::Method::DELETE;
        let step = &self.op.steps[index.get()];
        let known = step.phase == StepPhase::Ended(Outcome::Succeeded);
        match (&step.before, &step.after) {
            // There was nothing to delete, so there is nothing to bring back.
            (Some(Image::Absent), _) if deletes => self.end_undo(index, UndoEnd::Undone),
            // `If-None-Match: *` guards the write of what our own `DELETE` removed.
            (Some(_), _) if deletes && known => self.set_undo(index, due()),
            (Some(_), Some(Image::Present { etag: Some(_), .. })) => self.set_undo(index, due()),
            (Some(_), _) => {
                self.set_undo(index, UndoPhase::reading(Purpose::Compare));
            }
            (None, _) => self.end_undo(index, UndoEnd::Failed),
        }
    }

    fn set_undo(&mut self, index: StepIndex, phase: UndoPhase) {
        if let Some(undo) = &mut self.op.steps[index.get()].undo {
            undo.phase = phase;
        }
    }

    fn end_undo(&mut self, index: StepIndex, end: UndoEnd) {
        self.set_undo(index, UndoPhase::Ended(end));
        let failed = match end {
            UndoEnd::Undone => false,
            UndoEnd::Failed | UndoEnd::Conflict | UndoEnd::Unknown | UndoEnd::NotPossible => true,
        };
        if failed && self.plan.policy.on_undo_failure == OnUndoFailure::Hold {
            let target = self.plan.steps[index.get()].target.clone();
            let reason = format!("an undo of operation {} failed", self.op.id);
            self.effects.push(Effect::HoldTarget { target, reason });
        }
    }

    fn undo_rules<'a>(&self, plan: &'a crate::Plan, index: StepIndex) -> Rules<'a> {
        let request = self.op.steps[index.get()].undo.as_ref().and_then(|undo| undo.request.as_ref());
        Rules {
            limits: &plan.step_policy(index).undo_limits,
            repeatable: request.is_some_and(|request| is_repeatable(&request.method)),
            open: true,
            now: self.now,
            jitter: self.jitter,
        }
    }

    pub(super) fn undo_started(&mut self, index: StepIndex, request: Option<Request>) -> Result<(), Illegal> {
        if !matches!(self.op.stage, Stage::RollingBack { .. }) {
            return Err(Illegal);
        }
        let now = self.now;
        let undo = self.undo(index)?;
        let UndoPhase::Sending(send @ Send::Due { .. }) = &mut undo.phase else { return Err(Illegal) };
        if request.is_none() && undo.request.is_none() {
            return Err(Illegal);
        }
        let due = std::mem::replace(send, Send::Calling { since: now });
        undo.request = request.or(undo.request.take());
        undo.course.started(now);
        self.note_target_is_back(index, &due);
        Ok(())
    }

    pub(super) fn undo_answered(
        &mut self,
        index: StepIndex,
        answer: Answer,
        reading: Reading,
        trouble: Option<Trouble>,
    ) -> Result<(), Illegal> {
        let UndoPhase::Sending(Send::Calling { .. }) = self.undo(index)?.phase else { return Err(Illegal) };
        self.undo_reading(index, answer, reading, trouble)
    }

    pub(super) fn undo_lower_ended(
        &mut self,
        index: StepIndex,
        answer: Answer,
        reading: Reading,
        trouble: Option<Trouble>,
    ) -> Result<(), Illegal> {
        let UndoPhase::Sending(Send::Following(_)) = self.undo(index)?.phase else { return Err(Illegal) };
        self.note_lower_is_back(index, Leg::Undo);
        self.undo_reading(index, answer, reading, trouble)
    }

    fn undo_reading(
        &mut self,
        index: StepIndex,
        answer: Answer,
        reading: Reading,
        trouble: Option<Trouble>,
    ) -> Result<(), Illegal> {
        let plan = std::sync::Arc::clone(&self.plan);
        let rules = self.undo_rules(&plan, index);
        let course = &mut self.undo(index)?.course;
        course.answer = Some(answer);
        course.trouble = trouble;
        let verdict = rules.answered(course, reading);
        self.undo_verdict(index, verdict)
    }

    pub(super) fn undo_broke(&mut self, index: StepIndex, sent: Sent, trouble: Trouble) -> Result<(), Illegal> {
        let UndoPhase::Sending(Send::Calling { since }) = self.undo(index)?.phase else { return Err(Illegal) };
        let plan = std::sync::Arc::clone(&self.plan);
        let rules = self.undo_rules(&plan, index);
        let course = &mut self.undo(index)?.course;
        course.answer = None;
        let verdict = rules.broke(course, sent, trouble, since);
        self.undo_verdict(index, verdict)
    }

    fn undo_verdict(&mut self, index: StepIndex, verdict: Verdict) -> Result<(), Illegal> {
        let restore = matches!(self.policy(index).undo, Some(UndoRule::Restore));
        let undo = self.undo(index)?;
        let tainted = undo.course.tainted_at.is_some();
        let deletes = undo.request.as_ref().is_some_and(|request| request.method == http::Method::DELETE);
        let refused = if tainted { UndoEnd::Unknown } else { UndoEnd::Failed };
        match verdict {
            Verdict::Succeeded { .. } => self.end_undo(index, UndoEnd::Undone),
            Verdict::Gone if deletes => self.end_undo(index, UndoEnd::Undone),
            // Our own undo may have changed the version: only a look tells.
            Verdict::PreconditionFailed if restore && tainted => {
                self.set_undo(index, UndoPhase::reading(Purpose::Settle));
            }
            Verdict::PreconditionFailed if restore => self.undo_conflict(index),
            Verdict::Gone | Verdict::PreconditionFailed | Verdict::NotApplied | Verdict::Spent => {
                self.end_undo(index, refused);
            }
            Verdict::NotConsistent => self.end_undo(index, UndoEnd::Failed),
            Verdict::InDoubt => self.end_undo(index, UndoEnd::Unknown),
            Verdict::Again { until } => self.set_undo(index, UndoPhase::Sending(Send::BackingOff { until })),
            Verdict::Lower { reference } => {
                let until = after_or_never(self.now, self.policy(index).undo_limits.lower);
                let lower = Lower::accepted(reference, self.now, until);
                self.set_undo(index, UndoPhase::Sending(Send::Following(lower)));
            }
        }
        Ok(())
    }

    fn undo_conflict(&mut self, index: StepIndex) {
        if let Some(undo) = &mut self.op.steps[index.get()].undo {
            let detail = "somebody else changed the resource since; their change was left alone".to_owned();
            undo.course.trouble = Some(Trouble { kind: TroubleKind::Conflict, detail });
        }
        self.end_undo(index, UndoEnd::Conflict);
    }

    pub(super) fn undo_not_rendered(&mut self, index: StepIndex, trouble: Trouble) -> Result<(), Illegal> {
        let undo = self.undo(index)?;
        let UndoPhase::Sending(Send::Due { gate }) = undo.phase else { return Err(Illegal) };
        undo.course.trouble = Some(trouble);
        self.note_gate_is_back(index, gate);
        // Once an attempt was made its request is fixed, so this one has never been sent.
        self.end_undo(index, UndoEnd::Failed);
        Ok(())
    }

    pub(super) fn undo_read(&mut self, index: StepIndex, asked: Purpose, found: Found) -> Result<(), Illegal> {
        let UndoPhase::Reading { purpose, tries, not_before: None, gate } = self.undo(index)?.phase else {
            return Err(Illegal);
        };
        if purpose != asked {
            return Err(Illegal);
        }
        self.note_gate_is_back(index, gate);
        match found {
            Found::Image(image) => self.undo_image(index, purpose, &image),
            Found::Failed { trouble, retry_after } => {
                let tries = tries + 1;
                match self.read_again(self.policy(index).undo_limits.clone(), tries, retry_after) {
                    Some(until) => {
                        let (not_before, gate) = (Some(until), Gate::Permit);
                        self.set_undo(index, UndoPhase::Reading { purpose, tries, not_before, gate });
                    }
                    None => self.undo_unread(index, purpose, trouble),
                }
            }
            Found::Unusable { trouble } => self.undo_unread(index, purpose, trouble),
        }
        Ok(())
    }

    fn undo_image(&mut self, index: StepIndex, purpose: Purpose, image: &Image) {
        let step = &self.op.steps[index.get()];
        let as_before = step.before.as_ref().is_some_and(|before| before.same(image));
        let as_ours = step.after.as_ref().is_some_and(|after| after.same(image));
        match purpose {
            // Back already: the change was never made, or somebody else took it back.
            Purpose::Compare | Purpose::Settle if as_before => self.end_undo(index, UndoEnd::Undone),
            Purpose::Compare if as_ours => self.set_undo(index, due()),
            Purpose::Compare | Purpose::Settle | Purpose::Before | Purpose::After => self.undo_conflict(index),
        }
    }

    fn undo_unread(&mut self, index: StepIndex, purpose: Purpose, trouble: Trouble) {
        let Some(undo) = &mut self.op.steps[index.get()].undo else { return };
        undo.course.trouble = Some(trouble);
        let tainted = undo.course.tainted_at.is_some();
        // After an ambiguous undo nothing is known; else none was carried out.
        let end = match purpose {
            Purpose::Settle => UndoEnd::Unknown,
            Purpose::Compare | Purpose::Before | Purpose::After if tainted => UndoEnd::Unknown,
            Purpose::Compare | Purpose::Before | Purpose::After => UndoEnd::Failed,
        };
        self.end_undo(index, end);
    }

    pub(super) fn undo_time_came(&mut self, index: StepIndex) -> Result<(), Illegal> {
        let now = self.now;
        let phase = &mut self.undo(index)?.phase;
        if let UndoPhase::Reading { not_before, .. } = phase {
            return not_before.take_if(|at| *at <= now).map(drop).ok_or(Illegal);
        }
        match *phase {
            UndoPhase::Settling { until } if until <= now => self.approach_undo(index),
            // Others may have changed the resource while nothing was sent, so it is looked at again where only that tells.
            UndoPhase::Sending(Send::BackingOff { until }) if until <= now => self.approach_undo(index),
            UndoPhase::Settling { .. }
            | UndoPhase::Sending(_)
            | UndoPhase::Queued
            | UndoPhase::Reading { .. }
            | UndoPhase::Ended(_) => return Err(Illegal),
        }
        Ok(())
    }

    pub(super) fn undo_lower_timed_out(&mut self, index: StepIndex) -> Result<(), Illegal> {
        let now = self.now;
        let undo = self.undo(index)?;
        let UndoPhase::Sending(Send::Following(lower)) = &undo.phase else { return Err(Illegal) };
        if !lower.is_over(now) {
            return Err(Illegal);
        }
        let detail = format!("the operation of the undo at the target did not end in time{}", lower.last_heard());
        undo.course.trouble = Some(Trouble { kind: TroubleKind::TimedOut, detail });
        self.end_undo(index, UndoEnd::Unknown);
        Ok(())
    }
}

fn due() -> UndoPhase {
    UndoPhase::Sending(Send::Due { gate: Gate::Permit })
}

impl UndoPhase {
    /// The resource is to be read for the first time.
    pub(super) fn reading(purpose: Purpose) -> Self {
        Self::Reading { purpose, tries: 0, not_before: None, gate: Gate::Permit }
    }
}

impl Image {
    /// Whether both are known to be the same representation: by strong entity tags where both have one, else by digest.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (Self::Present { etag: Some(one), .. }, Self::Present { etag: Some(two), .. }) if one == two => true,
            (Self::Present { digest: Some(one), .. }, Self::Present { digest: Some(two), .. }) => one == two,
            (Self::Absent | Self::Present { .. }, Self::Absent | Self::Present { .. }) => false,
        }
    }
}
