//! The forward side of one step: reading before and after the change, attempts, lower operations, probes, and the outcome.

use std::time::Duration;

use jiff::Timestamp;

use crate::operation::{
    AttentionReason, Course, Found, Gate, Image, Leg, Lower, Outcome, ProbeVerdict, Probing, Purpose, Reading, Send,
    Sent, Stage, Step, StepPhase, Trouble, TroubleKind,
};
use crate::plan::{OnUnknown, UndoRule};
use crate::{Answer, StepIndex};

use super::course::{Rules, Verdict, after_or_never};
use super::{Change, Illegal};

impl Change {
    fn step_rules<'a>(&self, plan: &'a crate::Plan, index: StepIndex) -> Rules<'a> {
        Rules {
            limits: &plan.step_policy(index).step,
            repeatable: plan.safe_to_repeat(index),
            open: matches!(self.op.stage, Stage::Forward),
            now: self.now,
            jitter: self.jitter,
        }
    }

    /// The step's turn has come.
    pub(super) fn begin_step(&mut self, index: StepIndex) {
        let restore = matches!(self.policy(index).undo, Some(UndoRule::Restore));
        let phase = if restore { StepPhase::reading(Purpose::Before) } else { due() };
        self.op.steps[index.get()].phase = phase;
    }

    pub(super) fn step_started(&mut self, index: StepIndex) -> Result<(), Illegal> {
        if !matches!(self.op.stage, Stage::Forward) {
            return Err(Illegal);
        }
        let now = self.now;
        let step = self.step(index)?;
        let StepPhase::Sending(send @ Send::Due { .. }) = &mut step.phase else { return Err(Illegal) };
        let due = std::mem::replace(send, Send::Calling { since: now });
        step.course.started(now);
        self.note_target_is_back(index, &due);
        Ok(())
    }

    pub(super) fn step_answered(
        &mut self,
        index: StepIndex,
        answer: Answer,
        reading: Reading,
        trouble: Option<Trouble>,
    ) -> Result<(), Illegal> {
        let StepPhase::Sending(Send::Calling { .. }) = self.step(index)?.phase else { return Err(Illegal) };
        self.step_reading(index, answer, reading, trouble);
        Ok(())
    }

    pub(super) fn step_lower_ended(
        &mut self,
        index: StepIndex,
        answer: Answer,
        reading: Reading,
        trouble: Option<Trouble>,
    ) -> Result<(), Illegal> {
        let StepPhase::Sending(Send::Following(_)) = self.step(index)?.phase else { return Err(Illegal) };
        self.note_lower_is_back(index, Leg::Forward);
        self.step_reading(index, answer, reading, trouble);
        Ok(())
    }

    fn step_reading(&mut self, index: StepIndex, answer: Answer, reading: Reading, trouble: Option<Trouble>) {
        let plan = std::sync::Arc::clone(&self.plan);
        let rules = self.step_rules(&plan, index);
        let course = &mut self.op.steps[index.get()].course;
        course.answer = Some(answer);
        course.trouble = trouble;
        let verdict = rules.answered(course, reading);
        self.step_verdict(index, verdict);
    }

    pub(super) fn step_broke(&mut self, index: StepIndex, sent: Sent, trouble: Trouble) -> Result<(), Illegal> {
        let StepPhase::Sending(Send::Calling { since }) = self.step(index)?.phase else { return Err(Illegal) };
        let plan = std::sync::Arc::clone(&self.plan);
        let rules = self.step_rules(&plan, index);
        let course = &mut self.op.steps[index.get()].course;
        course.answer = None;
        let verdict = rules.broke(course, sent, trouble, since);
        self.step_verdict(index, verdict);
        Ok(())
    }

    fn step_verdict(&mut self, index: StepIndex, verdict: Verdict) {
        let deletes = self.plan.steps[index.get()].request.method == http::Method::DELETE;
        let tainted = self.op.steps[index.get()].course.tainted_at.is_some();
        match verdict {
            Verdict::Succeeded { etag } => self.step_succeeded(index, etag),
            Verdict::Gone if deletes && tainted => self.step_succeeded(index, None),
            Verdict::Gone | Verdict::NotApplied | Verdict::PreconditionFailed | Verdict::Spent => {
                self.step_spent(index)
            }
            Verdict::NotConsistent => {
                let consistency = crate::operation::Consistency::NotConsistent;
                self.set_phase(index, StepPhase::Ended(Outcome::Failed { consistency }));
            }
            Verdict::InDoubt => self.step_in_doubt(index),
            Verdict::Again { until } => self.set_phase(index, StepPhase::Sending(Send::BackingOff { until })),
            Verdict::Lower { reference } => {
                let until = after_or_never(self.now, self.policy(index).step.lower);
                // Accepted after the deciding failure: it is not wanted any more.
                let cancel = self.lower_unwanted();
                let lower = Lower { cancel, ..Lower::accepted(reference, self.now, until) };
                self.set_phase(index, StepPhase::Sending(Send::Following(lower)));
            }
        }
    }

    pub(super) fn set_phase(&mut self, index: StepIndex, phase: StepPhase) {
        self.op.steps[index.get()].phase = phase;
    }

    /// There is no further attempt. What is in doubt goes to the probe, then to `on_unknown`; the rest was not applied.
    pub(super) fn step_spent(&mut self, index: StepIndex) {
        if self.op.steps[index.get()].course.tainted_at.is_some() {
            self.step_in_doubt(index);
        } else {
            self.step_failed(index);
        }
    }

    fn step_failed(&mut self, index: StepIndex) {
        let consistency = crate::operation::Consistency::RolledBack;
        self.set_phase(index, StepPhase::Ended(Outcome::Failed { consistency }));
    }

    fn step_in_doubt(&mut self, index: StepIndex) {
        if self.policy(index).probe.is_some() {
            let step = &mut self.op.steps[index.get()];
            (step.probes_unclear, step.probes_early) = (0, 0);
            self.set_phase(index, StepPhase::Probing(Probing::Due { gate: Gate::Permit }));
        } else {
            self.step_unknown(index);
        }
    }

    fn step_unknown(&mut self, index: StepIndex) {
        match self.plan.policy.on_unknown {
            OnUnknown::Fail | OnUnknown::Undo => self.set_phase(index, StepPhase::Ended(Outcome::Unknown)),
            OnUnknown::Hold => {
                self.set_phase(index, StepPhase::AwaitingPerson { since: self.now });
                let target = self.plan.steps[index.get()].target.clone();
                let why = self.op.steps[index.get()].course.why();
                let detail = format!("it is not known whether {target} applied the request{why}; say whether it did");
                self.open_attention(Some(index), AttentionReason::OutcomeUnknown, detail);
            }
        }
    }

    /// The request was applied. A restore needs to know the version that our own change made, unless nothing can come
    /// after this step that would undo it.
    pub(super) fn step_succeeded(&mut self, index: StepIndex, etag: Option<String>) {
        let restore = matches!(self.policy(index).undo, Some(UndoRule::Restore));
        let alone = self.plan.steps.len() == 1;
        let deletes = self.plan.steps[index.get()].request.method == http::Method::DELETE;
        let step = &mut self.op.steps[index.get()];
        step.course.tainted_at = None;
        // It was the only one, and has been carried out: there is none that the target could still act on.
        if step.course.attempts <= 1 && !step.course.retried {
            step.course.unsettled_at = None;
        }
        step.phase = match (restore && !alone, etag) {
            (false, _) => StepPhase::Ended(Outcome::Succeeded),
            (true, _) if deletes => {
                step.after = Some(Image::Absent);
                StepPhase::Ended(Outcome::Succeeded)
            }
            (true, Some(etag)) => {
                step.after = Some(Image::Present { etag: Some(etag), digest: None, content_type: None });
                StepPhase::Ended(Outcome::Succeeded)
            }
            (true, None) => StepPhase::reading(Purpose::After),
        };
    }

    pub(super) fn step_read(&mut self, index: StepIndex, asked: Purpose, found: Found) -> Result<(), Illegal> {
        let StepPhase::Reading { purpose, tries, not_before: None, gate } = self.step(index)?.phase else {
            return Err(Illegal);
        };
        if purpose != asked {
            return Err(Illegal);
        }
        self.note_gate_is_back(index, gate);
        let before = purpose == Purpose::Before;
        match found {
            Found::Image(image) => {
                let step = self.step(index)?;
                if before {
                    step.before = Some(image);
                    step.phase = due();
                } else {
                    step.after = Some(image);
                    step.phase = StepPhase::Ended(Outcome::Succeeded);
                }
            }
            Found::Failed { trouble, retry_after } => {
                let tries = tries + 1;
                match self.read_again(self.policy(index).step.clone(), tries, retry_after) {
                    Some(until) => {
                        let (not_before, gate) = (Some(until), Gate::Permit);
                        self.set_phase(index, StepPhase::Reading { purpose, tries, not_before, gate });
                    }
                    None => self.step_unread(index, before, trouble),
                }
            }
            Found::Unusable { trouble } => self.step_unread(index, before, trouble),
        }
        Ok(())
    }

    /// Without the old representation there is no restore, so the change is not made. Without the new one the change
    /// stands; should it have to be undone, the undo will find no version to compare with.
    fn step_unread(&mut self, index: StepIndex, before: bool, trouble: Trouble) {
        if before {
            self.op.steps[index.get()].course.trouble = Some(trouble);
            self.step_failed(index);
        } else {
            self.set_phase(index, StepPhase::Ended(Outcome::Succeeded));
        }
    }

    /// When a read that failed `tries` times is tried again; `None`: not at all.
    pub(super) fn read_again(
        &self,
        limits: crate::plan::Limits,
        tries: u32,
        retry_after: Option<Duration>,
    ) -> Option<Timestamp> {
        if tries >= limits.attempts {
            return None;
        }
        let rules = Rules { limits: &limits, repeatable: true, open: true, now: self.now, jitter: self.jitter };
        let wait = rules.backoff(tries).max(retry_after.unwrap_or_default());
        (wait < limits.budget).then(|| after_or_never(self.now, wait))
    }

    pub(super) fn step_time_came(&mut self, index: StepIndex) -> Result<(), Illegal> {
        let now = self.now;
        let step = self.step(index)?;
        if let StepPhase::Reading { not_before, .. } = &mut step.phase {
            return not_before.take_if(|at| *at <= now).map(drop).ok_or(Illegal);
        }
        let (until, next) = if let StepPhase::Sending(Send::BackingOff { until }) = step.phase {
            (until, due())
        } else if let StepPhase::Probing(Probing::Waiting { until }) = step.phase {
            (until, StepPhase::Probing(Probing::Due { gate: Gate::Permit }))
        } else {
            return Err(Illegal);
        };
        if until > now {
            return Err(Illegal);
        }
        step.phase = next;
        Ok(())
    }

    pub(super) fn step_lower_timed_out(&mut self, index: StepIndex) -> Result<(), Illegal> {
        let now = self.now;
        let StepPhase::Sending(Send::Following(lower)) = &self.step(index)?.phase else { return Err(Illegal) };
        if !lower.is_over(now) {
            return Err(Illegal);
        }
        self.step_lower_lost(index, "the operation at the target did not end in time");
        Ok(())
    }

    /// The lower operation is not followed any longer: whether it was applied is in doubt.
    pub(super) fn step_lower_lost(&mut self, index: StepIndex, detail: &str) {
        let now = self.now;
        let step = &mut self.op.steps[index.get()];
        let heard = match &step.phase {
            StepPhase::Sending(Send::Following(lower)) => lower.last_heard(),
            StepPhase::Planned
            | StepPhase::Reading { .. }
            | StepPhase::Sending(Send::Due { .. } | Send::Calling { .. } | Send::BackingOff { .. })
            | StepPhase::Probing(_)
            | StepPhase::AwaitingPerson { .. }
            | StepPhase::Ended(_) => String::new(),
        };
        let course = &mut step.course;
        course.taint(now);
        course.answer = None;
        course.trouble = Some(Trouble { kind: TroubleKind::TimedOut, detail: format!("{detail}{heard}") });
        self.step_in_doubt(index);
    }

    pub(super) fn probe_started(&mut self, index: StepIndex) -> Result<(), Illegal> {
        let now = self.now;
        let step = self.step(index)?;
        let StepPhase::Probing(Probing::Due { gate }) = step.phase else { return Err(Illegal) };
        step.phase = StepPhase::Probing(Probing::Calling { since: now });
        step.probes += 1;
        self.note_gate_is_back(index, gate);
        Ok(())
    }

    pub(super) fn probe_broke(&mut self, index: StepIndex, trouble: &Trouble) -> Result<(), Illegal> {
        if trouble.kind != TroubleKind::Template {
            return self.probe_answered(index, ProbeVerdict::Unclear, None);
        }
        let StepPhase::Probing(Probing::Calling { .. }) = self.step(index)?.phase else { return Err(Illegal) };
        // It could not be rendered, and what it is rendered from does not change.
        self.step_unknown(index);
        Ok(())
    }

    pub(super) fn probe_answered(
        &mut self,
        index: StepIndex,
        verdict: ProbeVerdict,
        retry_after: Option<Duration>,
    ) -> Result<(), Illegal> {
        let StepPhase::Probing(Probing::Calling { since }) = self.step(index)?.phase else { return Err(Illegal) };
        let plan = std::sync::Arc::clone(&self.plan);
        let rules = self.step_rules(&plan, index);
        let step = &mut self.op.steps[index.get()];
        let settled = after_or_never(step.course.tainted_at.unwrap_or(since), plan.step_policy(index).settle);
        match verdict {
            ProbeVerdict::Applied => self.step_succeeded(index, None),
            // Asked too early, "not applied" proves nothing: the target may still act.
            ProbeVerdict::NotApplied if since < settled => {
                step.phase = StepPhase::Probing(Probing::Waiting { until: settled });
            }
            ProbeVerdict::NotApplied => {
                step.course.tainted_at = None;
                if rules.may_start(&step.course) {
                    step.phase = due();
                } else {
                    self.step_failed(index);
                }
            }
            ProbeVerdict::Unclear => match rules.probe_again(step, since < settled, settled, retry_after) {
                Some(until) => step.phase = StepPhase::Probing(Probing::Waiting { until }),
                None => self.step_unknown(index),
            },
        }
        Ok(())
    }
}

impl Rules<'_> {
    /// When a probe is asked again after one that told nothing; `None`: not at all. Those asked before the target has settled
    /// could not have shown that nothing was applied, so they do not count among those that may tell nothing.
    fn probe_again(
        &self,
        step: &mut Step,
        early: bool,
        settled: Timestamp,
        retry_after: Option<Duration>,
    ) -> Option<Timestamp> {
        let asked = if early { &mut step.probes_early } else { &mut step.probes_unclear };
        *asked = asked.saturating_add(1);
        let spent = *asked >= self.limits.attempts;
        if spent && !early {
            return None;
        }
        // A target cannot ask for more than a step of ours may take.
        let wait = self.backoff(*asked).max(retry_after.unwrap_or_default().min(self.limits.budget));
        let until = after_or_never(self.now, wait);
        Some(if spent { until.max(settled) } else { until })
    }
}

pub(super) fn due() -> StepPhase {
    StepPhase::Sending(Send::Due { gate: Gate::Permit })
}

impl StepPhase {
    /// The resource is to be read for the first time.
    pub(super) fn reading(purpose: Purpose) -> Self {
        Self::Reading { purpose, tries: 0, not_before: None, gate: Gate::Permit }
    }
}

impl Course {
    pub(super) fn started(&mut self, now: Timestamp) {
        self.attempts += 1;
        self.first_at.get_or_insert(now);
    }

    /// What was wrong in the end, as a part of a sentence.
    pub(super) fn why(&self) -> String {
        self.trouble.as_ref().map(|trouble| format!(" ({})", trouble.detail)).unwrap_or_default()
    }
}
