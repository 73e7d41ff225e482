//! The dispatcher's queue: which operations are due, and when the next one will be.

use async_trait::async_trait;
use fanfold_core::OperationId;
use jiff::Timestamp;

use crate::Error;

/// Finds operations to take up. Handing one out changes nothing: it stays due until a commit gives it another wake time.
#[async_trait]
pub trait Queue: Send + Sync {
    /// The due operations of a lane, those first that have been due longest, then by id. At most `limit`, and at most
    /// [`crate::DUE_MAX`].
    async fn due(&self, lane: &str, now: Timestamp, limit: usize) -> Result<Vec<OperationId>, Error>;

    /// The names of the lanes that have due operations, in their order. Costs as much as there are lanes, however long they are.
    async fn lanes(&self, now: Timestamp) -> Result<Vec<String>, Error>;

    /// The earliest wake time after `after`.
    async fn next_wake(&self, after: Timestamp) -> Result<Option<Timestamp>, Error>;

    /// Operations that have not ended, by id, from the one that follows `after` on: what a start finds to recover. At most
    /// `limit`, and at most [`crate::DUE_MAX`].
    async fn open_operations(&self, after: Option<OperationId>, limit: usize) -> Result<Vec<OperationId>, Error>;
}
