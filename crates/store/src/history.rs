//! What happened to operations, event by event. Events are recorded by acceptance and commits, so there is only reading here.

use async_trait::async_trait;
use fanfold_core::{Event, OperationId, Scope, TenantId};
use jiff::Timestamp;

use crate::Error;

/// Reads events.
#[async_trait]
pub trait ReadHistory: Send + Sync {
    /// The events of one operation that follow number `after`, oldest first; at most `limit`, and at most [`crate::LIST_MAX`].
    async fn history(&self, id: OperationId, after: EventNumber, limit: usize) -> Result<Vec<Recorded>, Error>;

    /// The events of all operations of a tenant that a scope has and that follow number `after`, oldest first; at most `limit`,
    /// and at most [`crate::LIST_MAX`]. Events of operations that were deleted are gone.
    ///
    /// Events become visible in the order of their numbers: whoever has seen one never sees a lower one later that it has not
    /// seen before. So reading on after the last number misses nothing.
    async fn events(&self, tenant: &TenantId, scope: &Scope, after: EventNumber, limit: usize)
    -> Result<Events, Error>;

    /// The number of the latest event; 0 before the first.
    async fn latest_event(&self) -> Result<EventNumber, Error>;
}

/// Numbers all events of a store in the order in which they were committed. A number is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventNumber(pub u64);

/// Events of all operations, and how complete they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Events {
    /// The events, oldest first.
    pub list: Vec<Recorded>,
    /// The highest number of an event that went with its operation; 0 if none has. Up to it, some may be missing.
    pub deleted_to: EventNumber,
}

/// An event in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its number.
    pub number: EventNumber,
    /// Its place within its operation, from 1.
    pub sequence: u64,
    /// What it happened to.
    pub operation: OperationId,
    /// When.
    pub at: Timestamp,
    /// What happened. A body longer than `inline_max` is represented by its length alone.
    pub event: Event,
}
