//! The lease: until when this process may take it that what it owns is its own. Without other nodes that is for ever.

use std::sync::Arc;
use std::time::Duration;

use fanfold_store::Epoch;
use tokio::sync::watch;

use crate::clock::Clock;

/// Under which epoch something is done, as its task knew it when it began. What was begun in an earlier one does nothing any
/// more. A process without other nodes has but one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Term(Epoch);

/// The lease of this process. It ends by itself unless it is extended, on a clock that goes on while the machine sleeps; and it is
/// over for good once another node has fenced this one off.
#[derive(Debug)]
pub(crate) struct Lease {
    clock: Arc<dyn Clock>,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    term: Term,
    /// Since boot; `None`: for ever.
    until: Option<Duration>,
    is_over: bool,
}

impl Lease {
    /// The lease of the only process.
    pub(crate) fn for_ever(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: watch::Sender::new(State { term: Term(Epoch(0)), until: None, is_over: false }) }
    }

    /// The lease of a node that has joined.
    pub(crate) fn of(clock: Arc<dyn Clock>, epoch: Epoch, until: Duration) -> Self {
        let lease = Self::for_ever(clock);
        lease.begin(epoch, until);
        lease
    }

    pub(crate) fn term(&self) -> Term {
        self.state.borrow().term
    }

    /// Whether this process may act on what it owned in `term`: asked last before anything is sent.
    pub(crate) fn holds(&self, term: Term) -> bool {
        self.state.borrow().holds(term, &*self.clock)
    }

    /// Whether it may act on what it owns now.
    pub(crate) fn holds_now(&self) -> bool {
        let state = self.state.borrow();
        state.holds(state.term, &*self.clock)
    }

    /// Whether nothing of `term` is to be done any more, ever.
    pub(crate) fn is_over(&self, term: Term) -> bool {
        let state = self.state.borrow();
        state.is_over || state.term != term
    }

    /// Ends once the lease holds in `term`; never if that is over.
    pub(crate) async fn until_held(&self, term: Term) {
        let mut changes = self.state.subscribe();
        while !changes.borrow_and_update().holds(term, &*self.clock) {
            if changes.changed().await.is_err() {
                // The lease lives as long as everything that asks it.
                std::future::pending().await
            }
        }
    }

    /// Ends once the lease is over for good.
    pub(crate) async fn until_over(&self) {
        // An error would say that the lease is gone, which lives as long as everything that asks it.
        drop(self.state.subscribe().wait_for(|state| state.is_over).await);
    }

    /// A beat of `term` was recorded.
    pub(crate) fn extend(&self, term: Term, until: Duration) {
        self.state.send_modify(|state| {
            if state.term == term && !state.is_over {
                state.until = Some(until);
            }
        });
    }

    /// Another node has fenced this one off, or it has left. `false` if that is known already.
    pub(crate) fn end(&self, term: Term) -> bool {
        self.state.send_if_modified(|state| state.term == term && !std::mem::replace(&mut state.is_over, true))
    }

    /// It has joined, or again.
    pub(crate) fn begin(&self, epoch: Epoch, until: Duration) {
        self.state.send_replace(State { term: Term(epoch), until: Some(until), is_over: false });
    }
}

impl Term {
    pub(crate) fn epoch(self) -> Epoch {
        self.0
    }
}

impl State {
    fn holds(&self, term: Term, clock: &dyn Clock) -> bool {
        self.term == term && !self.is_over && self.until.is_none_or(|until| clock.boot_time() < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::StoppedClock;

    #[tokio::test]
    async fn it_ends_by_itself_and_is_over_once_it_is_lost() {
        let clock = Arc::new(StoppedClock::default());
        let lease = Lease::of(Arc::clone(&clock) as _, Epoch(1), Duration::from_secs(10));
        let first = lease.term();
        assert!(lease.holds(first) && lease.holds_now());
        clock.pass(Duration::from_secs(10));
        assert!(!lease.holds(first) && !lease.is_over(first), "it may be extended");
        lease.extend(first, Duration::from_secs(20));
        lease.until_held(first).await;
        assert!(lease.end(first) && !lease.end(first));
        lease.extend(first, Duration::from_secs(90));
        assert!(!lease.holds(first) && lease.is_over(first), "a late beat does not bring it back");
        lease.until_over().await;
        lease.begin(Epoch(2), Duration::from_secs(90));
        assert!(lease.holds_now() && !lease.holds(first) && lease.is_over(first));
        assert!(!lease.end(first), "what is said of the old one does not touch the new one");
        assert!(lease.holds(lease.term()));
    }

    #[tokio::test]
    async fn without_others_it_is_for_ever() {
        let clock = Arc::new(StoppedClock::default());
        let lease = Lease::for_ever(Arc::clone(&clock) as _);
        clock.pass(Duration::MAX);
        assert!(lease.holds_now());
        lease.until_held(lease.term()).await;
    }
}
