//! What was taken in and is not recorded yet.

use std::sync::Arc;

use bytes::Bytes;
use fanfold_core::operation::Leg;
use fanfold_core::{Effect, Event, IllegalEvent, Operation, Slot, StepIndex};
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::prepare::Ready;

#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) events: Vec<(Timestamp, Event)>,
    pub(super) effects: Vec<Effect>,
    pub(super) sealed: Vec<(Slot, Bytes)>,
    /// Notices to record with the end.
    pub(super) notices: Vec<fanfold_store::NewNotice>,
    /// Whether it is to be recorded now. Being taken up by a process is not worth a commit of its own: after a restart
    /// another process takes the operation up again.
    urgent: bool,
    /// Attempts whose first byte may leave once their start is recorded, and when that is.
    pub(super) sends: Vec<(StepIndex, Leg, Ready, Instant)>,
    /// Who is told once it is recorded.
    pub(super) replies: Vec<oneshot::Sender<Result<Arc<Operation>, IllegalEvent>>>,
}

impl Draft {
    pub(super) fn add(&mut self, at: Timestamp, event: Event, effects: Vec<Effect>) {
        self.urgent |= !matches!(event, Event::Dispatched | Event::LockGranted);
        self.events.push((at, event));
        self.effects.extend(effects.into_iter().filter(|effect| !matches!(effect, Effect::Begin(_))));
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.urgent
    }

    pub(super) fn seal(&mut self, slot: Slot, original: Bytes) {
        self.sealed.retain(|(other, _)| *other != slot);
        self.sealed.push((slot, original));
    }

    pub(super) fn send_when_recorded(&mut self, step: StepIndex, leg: Leg, ready: Ready) {
        self.sends.push((step, leg, ready, Instant::now()));
    }

    pub(super) fn reply_when_recorded(&mut self, reply: oneshot::Sender<Result<Arc<Operation>, IllegalEvent>>) {
        self.replies.push(reply);
    }
}
