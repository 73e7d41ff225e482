//! Retention: what the store deletes, and how large it is.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::Error;

/// Deletes ended operations with all that belongs to them, and what of access is not needed any more.
#[async_trait]
pub trait Retention: Send + Sync {
    /// Deletes up to `batch` operations (at most [`crate::SWEEP_MAX`]): first those whose retention has passed, the longest
    /// passed first; then, while the store is larger than `size_soft`, the longest ended beyond `keep_min`.
    ///
    /// Never deleted are: an operation that has not ended, one with open attention, one with a pending notice.
    async fn sweep(&self, now: Timestamp, batch: usize) -> Result<Swept, Error>;

    /// Deletes up to `batch` tokens (at most [`crate::SWEEP_MAX`]) that were revoked [`crate::REVOKED_KEPT`] ago or longer, the
    /// longest revoked first, and up to as many entries of the audit trail that are as old as `audit_kept` ([`crate::Limits`])
    /// or older, the oldest first.
    async fn sweep_access(&self, now: Timestamp, batch: usize) -> Result<Swept, Error>;
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
    /// How many were deleted.
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

impl Swept {
    /// What follows from deleting `batch` of those that were `found`.
    pub(crate) fn of(found: usize, batch: usize) -> Self {
        Self { deleted: found.min(batch), more: found > batch }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { deleted: self.deleted + other.deleted, more: self.more || other.more }
    }
}
