//! What is known and cannot be recorded, because the store does not take it. Many tasks meet that at the same time, each again and
//! again; the log tells it once.

use std::sync::atomic::{AtomicUsize, Ordering};

use fanfold_store::Error;

/// How much waits to be recorded after its first try has failed.
#[derive(Debug, Default)]
pub(crate) struct Unrecorded(AtomicUsize);

/// Something that waits to be recorded. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a Unrecorded);

impl Unrecorded {
    /// Something could not be recorded, and will be tried again.
    pub(crate) fn wait(&self, error: &Error) -> Waiting<'_> {
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(%error, "the store cannot record what happens; it is tried again, and nothing new begins meanwhile; this is told once, until everything is recorded");
        }
        Waiting(self)
    }
}

impl Waiting<'_> {
    /// It is recorded, whether it had to wait or not.
    pub(crate) fn end(waiting: Option<Self>) {
        if waiting.is_some_and(|waiting| waiting.0.0.load(Ordering::Relaxed) == 1) {
            tracing::info!("everything that happened is recorded now");
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
