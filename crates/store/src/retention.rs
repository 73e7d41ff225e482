//! Retention: what the store deletes, and how large it is.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::Error;

/// Deletes ended operations with all that belongs to them.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Deletes up to `batch` operations (at most [`crate::SWEEP_MAX`]): first those whose retention has passed, the longest
    /// passed first; then, while the store is larger than `size_soft`, the longest ended beyond `keep_min`.
    ///
    /// Never deleted are: an operation that has not ended, one with open attention, one with a pending notice.
    async fn sweep(&self, now: Timestamp, batch: usize) -> Result<Swept, Error>;
}

/// Reads the size.
#[async_trait]
pub trait ReadSize: Send + Sync {
    /// How large the store is.
    async fn size(&self) -> Result<Size, Error>;

    /// Why nothing can be written at the moment: the disk does not take it, or the store is closed. Does not wait; a store in
    /// trouble looks again whenever it is asked, so that it is over as soon as it can be, even if nobody writes.
    fn trouble(&self) -> Option<Error>;
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Operations deleted.
    pub deleted: usize,
    /// Whether another sweep would find more right away.
    pub more: bool,
}

/// The size of a store, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// What the records take up; the bounds are about this.
    pub used: u64,
    /// What is free for reuse within the file. Deleting records adds to it; the file itself does not shrink.
    pub free: u64,
    /// What is written but not yet in the file proper (the write-ahead log).
    pub log: u64,
    /// The soft bound.
    pub soft: Option<u64>,
    /// The hard bound.
    pub hard: Option<u64>,
}
