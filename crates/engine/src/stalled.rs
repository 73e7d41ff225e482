//! What waits for the store to record it, or to give it. Many tasks meet that at the same time, each again and again; the log
//! tells it once, and once when it is over.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How much waits for one service of the store after its first try has failed.
#[derive(Debug)]
pub(crate) struct Stalled {
    waiting: AtomicUsize,
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
            begun: "the store cannot record what happens; it is tried again, and nothing new begins meanwhile; this is told once, until everything is recorded",
            over: "everything that happened is recorded now",
        }
    }

    /// What is needed to go on and cannot be read.
    pub(crate) fn reading() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
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
}

impl Waiting<'_> {
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
