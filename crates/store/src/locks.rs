//! Locks. An operation is queued for its lock by the write that makes it want one
//! ([`fanfold_core::Operation::queues_for_lock`]): its acceptance, or the commit that its start time has come. A commit gives
//! the lock back. So there is only reading here.

use async_trait::async_trait;
use fanfold_core::{OperationId, TenantId};

use crate::Error;

/// Reads locks. A key of a tenant has one holder at the most, and the others wait in the order in which they came.
#[async_trait]
pub trait Locks: Send + Sync {
    /// Who holds the lock.
    async fn lock_holder(&self, tenant: &TenantId, key: &str) -> Result<Option<OperationId>, Error>;

    /// Where an operation stands in the queue of its lock; `None` if it has none, or gave it back.
    async fn lock_place(&self, operation: OperationId) -> Result<Option<LockPlace>, Error>;
}

/// What became of the lock of an operation that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockOutcome {
    /// Its plan asks for none.
    NotNeeded,
    /// It holds it.
    Granted,
    /// Others are before it.
    Queued,
    /// Its start time has not come; it will be queued then.
    Later,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockPlace {
    /// It holds the lock.
    Holder,
    /// It waits.
    Waiting {
        /// 1: it is the next.
        position: u64,
    },
}
