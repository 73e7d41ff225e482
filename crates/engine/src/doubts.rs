//! Acceptances whose outcome is not known, because the store's answer was lost (G1). Whoever asked was told that the request
//! may have been accepted; so such an operation is canceled before it is dispatched, and its idempotency key is freed in the
//! same commit. If the same request comes again before that, it accepts the operation, which is dispatched like any other.
//!
//! An operation is listed here from before the store is asked to accept it, so that the dispatcher does not find one whose
//! answer is just being lost. The list is in memory: if the process ends first, the operation runs, as the answer said it may.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfold_core::OperationId;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Everything that is not to be dispatched yet.
#[derive(Debug)]
pub(crate) struct Doubts {
    entries: Mutex<BTreeMap<OperationId, Entry>>,
    /// Doubtful ones at the most. Those that the store is being asked about when it is reached may come on top.
    max: usize,
    /// There is something new to settle.
    pub(crate) news: Notify,
    /// Changes whenever something was settled.
    settled: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// The store is being asked. `claimed`: the same request came again meanwhile, and was answered with this operation.
    Asked { claimed: bool },
    /// The answer was lost.
    Doubtful { since: Instant },
    /// It was found in the store, and is being canceled.
    Canceling { since: Instant },
}

/// What became of an operation that the same request, come again, was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// There is no doubt about it, or none yet. Or not any more: then [`Doubts::settled`] has changed.
    Known,
    /// It was doubtful, and is accepted now: it is not canceled, and may be dispatched.
    Accepted,
    /// Too late: it is being canceled just now. Then the key is free.
    Canceling,
}

impl Doubts {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), max, news: Notify::new(), settled: watch::Sender::new(0) })
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<OperationId, Entry>> {
        // No code panics while it holds the lock and has changed half of it.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists an operation that the store is about to be asked to accept; `None` if too many are doubtful.
    pub(crate) fn ask(self: &Arc<Self>, id: OperationId) -> Option<Asking> {
        let mut entries = self.entries();
        // Looked through only where there is more than usual.
        if entries.len() >= self.max
            && entries.values().filter(|entry| !matches!(entry, Entry::Asked { .. })).count() >= self.max
        {
            return None;
        }
        entries.insert(id, Entry::Asked { claimed: false });
        Some(Asking { doubts: Arc::clone(self), id })
    }

    /// Whether an operation is not to be dispatched now.
    pub(crate) fn hold_back(&self, id: OperationId) -> bool {
        self.entries().contains_key(&id)
    }

    /// The same request came again, and the store named this operation.
    pub(crate) fn claim(&self, id: OperationId) -> Claim {
        let mut entries = self.entries();
        match entries.get_mut(&id) {
            None => Claim::Known,
            Some(Entry::Asked { claimed }) => {
                *claimed = true;
                Claim::Known
            }
            Some(Entry::Doubtful { .. }) => {
                entries.remove(&id);
                Claim::Accepted
            }
            Some(Entry::Canceling { .. }) => Claim::Canceling,
        }
    }

    /// Changes whenever something was settled from now on.
    pub(crate) fn settled(&self) -> watch::Receiver<u64> {
        self.settled.subscribe()
    }

    /// What is doubtful, and since when.
    pub(crate) fn doubtful(&self) -> Vec<(OperationId, Instant)> {
        let entries = self.entries();
        let doubtful = entries.iter().filter_map(|(id, entry)| match entry {
            Entry::Doubtful { since } => Some((*id, *since)),
            Entry::Asked { .. } | Entry::Canceling { .. } => None,
        });
        doubtful.collect()
    }

    /// What this process owned is not its own any more, and so not its own to take back. What the store is being asked about now
    /// it answers by itself.
    pub(crate) fn forget_all(&self) {
        let mut entries = self.entries();
        entries.retain(|_, entry| matches!(entry, Entry::Asked { .. }));
        self.note_settled(entries);
    }

    /// Takes a doubtful operation off the list, unless it was claimed meanwhile.
    pub(crate) fn forget(&self, id: OperationId) {
        let mut entries = self.entries();
        if matches!(entries.get(&id), Some(Entry::Doubtful { .. })) {
            entries.remove(&id);
            self.note_settled(entries);
        }
    }

    /// Tells it under the lock, so that whoever does not find an entry any more finds that something was settled.
    fn note_settled(&self, entries: MutexGuard<'_, BTreeMap<OperationId, Entry>>) {
        self.settled.send_modify(|changes| *changes += 1);
        drop(entries);
    }

    /// From now on nobody can claim it; `None` if somebody has.
    pub(crate) fn cancel(self: &Arc<Self>, id: OperationId) -> Option<Canceling> {
        let mut entries = self.entries();
        let entry = entries.get_mut(&id)?;
        let Entry::Doubtful { since } = *entry else { return None };
        *entry = Entry::Canceling { since };
        Some(Canceling { doubts: Arc::clone(self), id, has_ended: false })
    }
}

/// An operation that the store is being asked to accept. Dropping it says that the answer is known.
#[derive(Debug)]
pub(crate) struct Asking {
    doubts: Arc<Doubts>,
    id: OperationId,
}

impl Asking {
    /// The answer was lost. `false` if somebody has claimed the operation already: it is accepted.
    pub(crate) fn lost(self) -> bool {
        let mut entries = self.doubts.entries();
        if entries.get(&self.id) != Some(&Entry::Asked { claimed: false }) {
            return false;
        }
        entries.insert(self.id, Entry::Doubtful { since: Instant::now() });
        self.doubts.news.notify_one();
        true
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut entries = self.doubts.entries();
        if matches!(entries.get(&self.id), Some(Entry::Asked { .. })) {
            entries.remove(&self.id);
        }
    }
}

/// An operation that is being canceled. Dropping it before it has ended makes it doubtful again.
#[derive(Debug)]
pub(crate) struct Canceling {
    doubts: Arc<Doubts>,
    id: OperationId,
    has_ended: bool,
}

impl Canceling {
    /// It is recorded as canceled, and its key is free.
    pub(crate) fn ended(mut self) {
        self.has_ended = true;
    }

    /// It is not this process's to take back any more: another node has answered the same request with it, or has taken it over.
    pub(crate) fn refused(mut self) {
        self.has_ended = true;
    }
}

impl Drop for Canceling {
    fn drop(&mut self) {
        let mut entries = self.doubts.entries();
        if let Some(Entry::Canceling { since }) = entries.remove(&self.id)
            && !self.has_ended
        {
            entries.insert(self.id, Entry::Doubtful { since });
            self.doubts.news.notify_one();
        }
        self.doubts.note_settled(entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> OperationId {
        OperationId::from_bytes([number; 16])
    }

    #[tokio::test]
    async fn an_answer_that_came_leaves_nothing_behind() {
        let doubts = Doubts::new(1);
        let asking = doubts.ask(id(1)).unwrap();
        assert!(doubts.hold_back(id(1)));
        drop(asking);
        assert!(!doubts.hold_back(id(1)));
    }

    #[tokio::test]
    async fn who_comes_again_accepts_it_unless_it_is_being_canceled() {
        let doubts = Doubts::new(9);
        // While the store is still being asked.
        let asking = doubts.ask(id(1)).unwrap();
        assert_eq!(doubts.claim(id(1)), Claim::Known);
        assert!(!asking.lost());
        assert!(!doubts.hold_back(id(1)));
        // While it is doubtful.
        assert!(doubts.ask(id(2)).unwrap().lost());
        assert!(doubts.hold_back(id(2)));
        assert_eq!(doubts.claim(id(2)), Claim::Accepted);
        assert!(!doubts.hold_back(id(2)) && doubts.cancel(id(2)).is_none());
        // While it is canceled; if that does not succeed it can be claimed again.
        assert!(doubts.ask(id(3)).unwrap().lost());
        let canceling = doubts.cancel(id(3)).unwrap();
        assert_eq!(doubts.claim(id(3)), Claim::Canceling);
        drop(canceling);
        assert_eq!(doubts.doubtful().len(), 1);
        doubts.cancel(id(3)).unwrap().ended();
        assert!(!doubts.hold_back(id(3)));
    }

    #[tokio::test]
    async fn only_so_many_may_be_doubtful() {
        let doubts = Doubts::new(2);
        let asking: Vec<_> = (1..=3).map(|number| doubts.ask(id(number)).unwrap()).collect();
        let mut asking = asking.into_iter();
        assert!(asking.next().unwrap().lost());
        assert!(doubts.ask(id(4)).is_some());
        assert!(asking.next().unwrap().lost());
        assert!(doubts.ask(id(5)).is_none());
        doubts.forget(id(1));
        assert!(doubts.ask(id(5)).is_some());
    }
}
