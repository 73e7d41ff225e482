//! What requests, reads and polls wait for before they may be sent. While a poll of a lower operation waits for a person, the time of
//! that stands still: it could not be seen to end.

use std::time::Duration;

use jiff::Timestamp;

use crate::StepIndex;
use crate::operation::{
    AttentionReason, Closed, Gate, Leg, Lower, LowerTime, Probing, Send, StepPhase, Trouble, Unclear, UndoPhase,
};

use super::course::after_or_never;
use super::{Change, Illegal};

impl Change {
    pub(super) fn gate_changed(&mut self, index: StepIndex, leg: Leg, new: Gate) -> Result<(), Illegal> {
        let target = self.plan.steps.get(index.get()).ok_or(Illegal)?.target.clone();
        let now = self.now;
        let least = self.time_for_a_poll(index, leg);
        let (old, way_out) = match self.lower(index, leg) {
            Ok(lower) => {
                let old = lower.closed().map_or(Gate::Permit, Gate::from);
                lower.time = after_gate(&lower.time, new.closed(), least, now);
                (old, "its operation there is followed again once it is configured")
            }
            Err(Illegal) => {
                let old = std::mem::replace(self.due_gate_mut(index, leg)?, new);
                (old, "configure it again, or cancel the operation")
            }
        };
        match (old, new) {
            (Gate::Missing, Gate::Missing) => {}
            (_, Gate::Missing) => self.open_attention(
                Some(index),
                AttentionReason::TargetMissing,
                format!("target {target} is no longer configured; {way_out}"),
            ),
            (Gate::Missing, _) => self.note_back(index),
            (_, Gate::Permit | Gate::Breaker | Gate::Held) => {}
        }
        Ok(())
    }

    pub(super) fn polls_changed(
        &mut self,
        index: StepIndex,
        leg: Leg,
        trouble: Option<Trouble>,
    ) -> Result<(), Illegal> {
        let now = self.now;
        self.lower(index, leg)?.unclear = trouble.map(|trouble| Unclear { since: now, trouble });
        Ok(())
    }

    /// A request that waited for a missing target has started: the note about it is settled.
    pub(super) fn note_target_is_back(&mut self, index: StepIndex, due: &Send) {
        if let Send::Due { gate } = due {
            self.note_gate_is_back(index, *gate);
        }
    }

    /// The same for what waited for this, and does not any more.
    pub(super) fn note_gate_is_back(&mut self, index: StepIndex, gate: Gate) {
        if gate == Gate::Missing {
            self.note_back(index);
        }
    }

    /// The same for a poll, which told of the end of a lower operation.
    pub(super) fn note_lower_is_back(&mut self, index: StepIndex, leg: Leg) {
        if self.op.due_gate(index, leg) == Some(Gate::Missing) {
            self.note_back(index);
        }
    }

    fn note_back(&mut self, index: StepIndex) {
        self.close_attention(Some(index), "fanfold", Some("the target is back".to_owned()));
    }

    /// The gate before a request or a read that is due.
    fn due_gate_mut(&mut self, index: StepIndex, leg: Leg) -> Result<&mut Gate, Illegal> {
        let step = self.step(index)?;
        match (leg, &mut step.phase, step.undo.as_mut().map(|undo| &mut undo.phase)) {
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
            ) => Ok(gate),
            (Leg::Forward | Leg::Probe | Leg::Undo, ..) => Err(Illegal),
        }
    }

    /// The lower operation that is followed.
    fn lower(&mut self, index: StepIndex, leg: Leg) -> Result<&mut Lower, Illegal> {
        let step = self.step(index)?;
        match (leg, &mut step.phase, step.undo.as_mut().map(|undo| &mut undo.phase)) {
            (Leg::Forward, StepPhase::Sending(Send::Following(lower)), _)
            | (Leg::Undo, _, Some(UndoPhase::Sending(Send::Following(lower)))) => Ok(lower),
            (Leg::Forward | Leg::Undo | Leg::Probe, ..) => Err(Illegal),
        }
    }

    /// How long a poll may take, as far as a lower operation may be followed at all.
    pub(super) fn time_for_a_poll(&self, index: StepIndex, leg: Leg) -> Duration {
        let policy = self.policy(index);
        let limits = match leg {
            Leg::Undo => &policy.undo_limits,
            Leg::Forward | Leg::Probe => &policy.step,
        };
        limits.connect.saturating_add(limits.response).min(limits.lower)
    }
}

/// The time of a lower operation, from now on. When it goes on there is time for a poll at the `least`: what ended meanwhile is
/// to be seen.
fn after_gate(time: &LowerTime, closed: Option<Closed>, least: Duration, now: Timestamp) -> LowerTime {
    match (time, closed) {
        (LowerTime::Until(until), Some(gate)) => {
            let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            LowerTime::Stopped { gate, left }
        }
        (LowerTime::Stopped { left, .. }, Some(gate)) => LowerTime::Stopped { gate, left: *left },
        (LowerTime::Stopped { left, .. }, None) => LowerTime::Until(after_or_never(now, (*left).max(least))),
        (LowerTime::Until(until), None) => LowerTime::Until(*until),
    }
}
