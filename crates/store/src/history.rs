//! What happened to operations, event by event. Events are recorded by acceptance and commits, so there is only reading here.

use async_trait::async_trait;
use fanfold_core::{Event, OperationId, TenantId};
use jiff::Timestamp;

use crate::Error;

/// Reads events.
#[async_trait]
pub trait ReadHistory: Send + Sync {
    /// The events of one operation that follow number `after`, oldest first; at most `limit`, and at most [`crate::LIST_MAX`].
    async fn history(&self, id: OperationId, after: EventNumber, limit: usize) -> Result<Vec<Recorded>, Error>;

    /// The events of all operations of a tenant that follow number `after`, oldest first; at most `limit`, and at most
    /// [`crate::LIST_MAX`]. Events of operations that were deleted are gone.
    async fn events(&self, tenant: &TenantId, after: EventNumber, limit: usize) -> Result<Vec<Recorded>, Error>;

    /// The number of the latest event; 0 before the first.
    async fn latest_event(&self) -> Result<EventNumber, Error>;
}

/// Numbers all events of a store in the order in which they were committed. A number is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventNumber(pub u64);

/// An event in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its number.
    pub number: EventNumber,
    /// What it happened to.
    pub operation: OperationId,
    /// When.
    pub at: Timestamp,
    /// What happened. A body longer than `inline_max` is represented by its length alone.
    pub event: Event,
}
