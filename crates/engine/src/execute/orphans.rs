//! Attempts that another process left on the wire: it ended in the middle, or another node was given its operations. They broke, and
//! nobody knows how far they came.
//!
//! A process that begins again knows that the old one is gone. An adopter does not: the old node sends nothing new, but what it sent
//! last may be on its way, and the target may act on it. So before it takes such an attempt for broken, from which a repeat or an
//! undo may follow, it lets as much time pass as the target may still take.

use std::time::Duration;

use fanfold_core::operation::{Leg, Sent, Trouble, TroubleKind};
use fanfold_core::{Event, StepIndex};
use jiff::Timestamp;
use tokio::time::Instant;

use super::Actor;

/// What is left to be taken in.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Whether it is known what there is.
    found: bool,
    waiting: Vec<(StepIndex, Leg, Instant)>,
}

impl Orphans {
    /// How long nothing is to be taken in.
    pub(super) fn pause(&self) -> Duration {
        let next = self.waiting.iter().map(|(.., at)| *at).min();
        next.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }
}

impl Actor {
    /// Finds what was left, once, and takes in what is certain by now.
    pub(super) async fn take_over(&mut self) -> Result<(), crate::Error> {
        if self.orphans.found {
            return Ok(());
        }
        // What came from a backup is taken in once a person has released it.
        let calling = if self.op.restored.is_some() { Vec::new() } else { self.op.calling() };
        let adopted_at = match &self.shared.members {
            Some(members) if !calling.is_empty() => members.nodes.adopted_at(self.op.id).await?,
            Some(_) | None => None,
        };
        let now = Instant::now();
        let waits = |(step, leg)| (step, leg, now + self.settles_in(step, adopted_at));
        self.orphans = Orphans { found: true, waiting: calling.into_iter().map(waits).collect() };
        self.take_orphans();
        self.shared.residents.settle(self.op.id, !self.orphans.waiting.is_empty());
        Ok(())
    }

    /// A person has released what came from a backup: what that has on the wire broke long ago.
    pub(super) fn take_released(&mut self) {
        let now = Instant::now();
        self.orphans.waiting = self.op.calling().into_iter().map(|(step, leg)| (step, leg, now)).collect();
        self.take_orphans();
    }

    /// How long the target may still act on what the old node sent. A clock that was set back does not make it longer.
    fn settles_in(&self, step: StepIndex, adopted_at: Option<Timestamp>) -> Duration {
        let Some(adopted_at) = adopted_at else { return Duration::ZERO };
        let passed = Duration::try_from(self.now().duration_since(adopted_at)).unwrap_or_default();
        self.op.plan.step_policy(step).settle.saturating_sub(passed)
    }

    /// Takes in what has become certain.
    pub(super) fn take_orphans(&mut self) {
        if self.orphans.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        let due: Vec<_> = self.orphans.waiting.extract_if(.., |(.., at)| *at <= now).collect();
        for (step, leg, _) in due {
            let detail = "the process that made the attempt ended before an answer was recorded".to_owned();
            let trouble = Trouble { kind: TroubleKind::ProcessEnded, detail };
            self.take(Event::AttemptBroke { step, leg, sent: Sent::Maybe, trouble });
        }
        if self.orphans.waiting.is_empty() {
            self.shared.residents.settle(self.op.id, false);
        }
    }
}
