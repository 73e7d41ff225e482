//! Acceptances under way: so many at once are put to the store, and tenants take turns. Without that, whoever sends most would
//! have the writer's queue filled with theirs, and everybody else would wait behind it.
//!
//! Who waits here is bounded by whoever asks: the server by its connections, requests for many operations by their turns.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfold_core::TenantId;
use tokio::sync::Notify;

use crate::turns::{Called, Claimant, Turns};

#[derive(Debug)]
pub(crate) struct Accepting {
    state: Mutex<State>,
    max: usize,
}

#[derive(Debug, Default)]
struct State {
    turns: Turns<u64, Arc<Notify>>,
    /// Whose turn has come, and who has not noticed yet.
    called: HashSet<u64>,
    next: u64,
}

/// A turn. Dropping it gives it back, and a place in the queue as well.
#[derive(Debug)]
pub(crate) struct Turn {
    accepting: Arc<Accepting>,
    tenant: TenantId,
    place: u64,
    is_called: bool,
}

impl Accepting {
    /// `max`: so many at once, at least 1.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), max: max.max(1) })
    }

    /// Waits for the turn to have something accepted.
    pub(crate) async fn turn(self: &Arc<Self>, claimant: &Claimant) -> Turn {
        let wake = Arc::new(Notify::new());
        let place = self.update(|state| {
            state.next += 1;
            state.turns.queue(claimant, state.next, Arc::clone(&wake));
            state.next
        });
        let mut turn = Turn { accepting: Arc::clone(self), tenant: claimant.tenant.clone(), place, is_called: false };
        loop {
            if self.state().called.remove(&place) {
                turn.is_called = true;
                return turn;
            }
            wake.notified().await;
        }
    }

    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        while let Some(Called { place, waiter, .. }) = state.turns.call_within(self.max) {
            state.called.insert(place);
            waiter.notify_one();
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.accepting.update(|state| {
            if self.is_called || state.called.remove(&self.place) {
                state.turns.give_back(&self.tenant);
            } else {
                state.turns.leave(&self.tenant, &self.place);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::turns::Weight;

    fn of(tenant: &str) -> Claimant {
        Claimant { tenant: tenant.into(), weight: Weight::default() }
    }

    fn sizes(accepting: &Accepting) -> (usize, usize, usize) {
        let state = accepting.state();
        (state.turns.waiting(), state.turns.taken(), state.called.len())
    }

    #[tokio::test]
    async fn one_tenant_leaves_room_for_another_and_they_take_turns() {
        let accepting = Accepting::new(10);
        let (flood, other) = (of("flood"), of("other"));
        let mut held = Vec::new();
        while let Some(turn) = accepting.turn(&flood).now_or_never() {
            held.push(turn);
        }
        assert_eq!(held.len(), 8);
        let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(accepting.turn(&flood))).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        let [first, second] = [0, 1].map(|_| accepting.turn(&other).now_or_never().expect("there is room for it"));
        let mut third = Box::pin(accepting.turn(&other));
        assert!((&mut third).now_or_never().is_none());
        drop(held.pop());
        assert!((&mut third).now_or_never().is_some(), "it goes before a hundred of the other tenant");
        drop((first, second, third));
        drop(held);
        let gone = waiting.iter_mut().filter_map(|turn| turn.now_or_never()).count();
        assert!(gone >= 8, "{gone}");
        drop(waiting);
        assert_eq!(sizes(&accepting), (0, 0, 0));
    }

    #[tokio::test]
    async fn who_goes_away_gives_its_place_back() {
        let accepting = Accepting::new(1);
        let (a, b) = (of("a"), of("b"));
        let held = accepting.turn(&a).await;
        let mut waiting = [Box::pin(accepting.turn(&a)), Box::pin(accepting.turn(&b))];
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        let [first, second] = waiting;
        drop(held);
        // The turn of the one has come, whether it knows it or not; it goes on to the next one.
        assert_eq!(sizes(&accepting), (1, 1, 1));
        drop(first);
        drop(second.await);
        assert_eq!(sizes(&accepting), (0, 0, 0));
    }
}
