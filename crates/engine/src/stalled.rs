//! What waits for the store to record it, or to give it. Many tasks meet that at the same time, each again and again; the log
//! tells it once, and once when it is over.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many of those that wait try again at once when one of them, or anything else, was served. Each of them lets as many
/// go on in its turn: what has piled up comes back quickly, but not all at the same time.
const SERVED_NEXT: usize = 2;

/// How much waits for one service of the store after its first try has failed.
#[derive(Debug)]
pub(crate) struct Stalled {
    waiting: AtomicUsize,
    served: Notify,
    begun: &'static str,
    over: &'static str,
}

/// Something that waits. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Stalled);

impl Stalled {
    /// What is known and cannot be recorded.
    pub(crate) fn recording() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            served: Notify::new(),
            begun: "the store cannot record what happens; it is tried again, and nothing new begins meanwhile; this is told once, until everything is recorded",
            over: "everything that happened is recorded now",
        }
    }

    /// What is needed to go on and cannot be read.
    pub(crate) fn reading() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            served: Notify::new(),
            begun: "the store cannot give what operations need to go on; it is asked again; this is told once, until everything is read",
            over: "everything that operations need to go on is read now",
        }
    }

    /// Something could not be done, and will be tried again.
    pub(crate) fn wait(&self, error: &impl fmt::Display) -> Waiting<'_> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(%error, "{}", self.begun);
        }
        Waiting(self)
    }

    /// The store has done something: who waits for it need not wait any longer.
    pub(crate) fn served(&self) {
        for _ in 0..SERVED_NEXT.min(self.waiting.load(Ordering::Relaxed)) {
            self.served.notify_one();
        }
    }
}

impl Waiting<'_> {
    /// Ends when it is worth a try before the wait is over.
    pub(crate) async fn served(&self) {
        self.0.served.notified().await;
    }

    /// It is done, whether it had to wait or not.
    pub(crate) fn end(waiting: Option<Self>) {
        if let Some(Waiting(stalled)) = &waiting
            && stalled.waiting.load(Ordering::Relaxed) == 1
        {
            tracing::info!("{}", stalled.over);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_waits_comes_back_by_and_by_once_something_is_served() {
        let stalled = Stalled::recording();
        stalled.served();
        let waiting = [(); 5].map(|()| stalled.wait(&"the store is away"));
        let mut again = waiting.each_ref().map(|waiting| Box::pin(waiting.served()));
        let mut count = || again.iter_mut().filter_map(|waiting| waiting.as_mut().now_or_never()).count();
        assert_eq!(count(), 0, "what was served before it began to wait is no sign");
        stalled.served();
        assert_eq!(count(), 2);
    }
}
