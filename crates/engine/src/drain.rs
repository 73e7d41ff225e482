//! Draining: nothing is accepted any more, and once nothing is under way that is told.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Whether the engine drains, and how far that is.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    draining: bool,
    /// What was found by the latest search.
    drained: bool,
    /// Counts what was said about draining, so that a search does not tell about what has changed since it began.
    generation: u64,
    /// Requests that were let in and are not answered yet.
    accepting: usize,
}

/// A request that was let in. Dropping it says that it is accepted or refused.
#[derive(Debug)]
pub(crate) struct LetIn<'a>(&'a Drain);

/// A search for what is under way, which began when nothing was being accepted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Search(u64);

impl Drain {
    /// Accepts nothing any more, or again.
    pub(crate) fn set(&self, draining: bool) {
        let mut state = self.state();
        (state.draining, state.drained) = (draining, false);
        state.generation += 1;
        self.changed.notify_one();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.state().draining
    }

    /// Whether it drains, and nothing is under way any more.
    pub(crate) fn is_drained(&self) -> bool {
        let state = self.state();
        state.draining && state.drained
    }

    /// Ends when something was said about draining.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Lets a request in that may become an operation; `None` while nothing is accepted.
    pub(crate) fn let_in(&self) -> Option<LetIn<'_>> {
        let mut state = self.state();
        if state.draining {
            return None;
        }
        state.accepting += 1;
        Some(LetIn(self))
    }

    /// Begins to search for what is under way, or goes on with that; `None` while it does not drain, or requests that were let in
    /// before may still become operations.
    pub(crate) fn search(&self) -> Option<Search> {
        let state = self.state();
        (state.draining && state.accepting == 0).then_some(Search(state.generation))
    }

    /// A search has found whether anything is under way.
    pub(crate) fn found(&self, search: Search, drained: bool) {
        let mut state = self.state();
        if search == Search(state.generation) {
            state.drained = drained;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock and has changed half of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LetIn<'_> {
    fn drop(&mut self) {
        self.0.state().accepting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_not_drained_while_a_request_that_was_let_in_may_still_be_accepted() {
        let drain = Drain::default();
        let request = drain.let_in().unwrap();
        drain.set(true);
        assert!(drain.let_in().is_none());
        assert_eq!(drain.search(), None);
        drop(request);
        drain.found(drain.search().unwrap(), true);
        assert!(drain.is_drained());
    }

    #[test]
    fn a_search_that_is_out_of_date_tells_nothing() {
        let drain = Drain::default();
        drain.set(true);
        let old = drain.search().unwrap();
        drain.set(false);
        assert!(drain.search().is_none());
        drain.set(true);
        drain.found(old, true);
        assert!(!drain.is_drained());
    }
}
