//! A node's share of the limits of a target that several nodes send to.

use fanfold_core::operation::Gate;
use tokio::time::Instant;

use super::{Admission, Allowance, PermitKind, State};

/// What this node may have on the wire at once, beside what is configured. What is over it when it is lowered ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::target) struct Share {
    pub(in crate::target) forward: usize,
    pub(in crate::target) undo: usize,
}

/// What is wanted and in use of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Demand {
    /// As it is configured.
    pub(crate) limit: usize,
    /// Requests on the wire, and those that could go if there was a permit.
    pub(crate) wants: usize,
    /// What may be used until the share is changed, and what is in use.
    pub(crate) keeps: usize,
    /// Whether the share is less than the limit.
    pub(crate) is_short: bool,
}

impl Admission {
    pub(in crate::target) fn share(&self, share: Share) {
        self.update(|state| state.share = Some(share));
    }

    /// Of steps and passed-through requests together, and of undos.
    pub(in crate::target) fn demand(&self) -> [Demand; 2] {
        let state = self.lock();
        let gate = state.signal(Instant::now()).gate;
        let limits =
            state.allowance.map_or([0; 2], |allowance| [allowance.max_in_flight, allowance.undo_max_in_flight]);
        let share = state.share.map_or(limits, |share| [share.forward, share.undo]);
        let kinds: [&[PermitKind]; 2] = [&[PermitKind::Forward, PermitKind::Pass], &[PermitKind::Undo]];
        [0, 1].map(|which| {
            let count = |counts: super::Counts| kinds[which].iter().map(|kind| counts[kind.index()]).sum::<usize>();
            let (in_flight, waiting) = (count(state.in_flight()), count(state.waiting()));
            let could_go = match gate {
                Gate::Permit => waiting,
                // One tries the target out.
                Gate::Breaker => waiting.min(1),
                Gate::Held | Gate::Missing => 0,
            };
            Demand {
                limit: limits[which],
                wants: in_flight + could_go,
                keeps: in_flight.max(share[which]),
                is_short: share[which] < limits[which],
            }
        })
    }
}

impl State {
    /// How many may be on the wire at once: of steps and passed-through requests together, and of undos.
    pub(super) fn maxima(&self, allowance: &Allowance) -> [usize; 2] {
        let share = self.share.unwrap_or(Share { forward: usize::MAX, undo: usize::MAX });
        [allowance.max_in_flight.min(share.forward), allowance.undo_max_in_flight.min(share.undo)]
    }
}
