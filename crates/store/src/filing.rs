//! What is kept beside the record of an operation: by what it is found and taken up.

use async_trait::async_trait;
use fanfold_core::OperationId;
use jiff::Timestamp;

use crate::{Error, Read};

/// Reads what stands beside records.
#[async_trait]
pub trait ReadFiling: Send + Sync {
    /// How an operation is filed; `None` if it is not there.
    async fn filing(&self, id: OperationId) -> Result<Option<Filing>, Error>;
}

/// How an operation is filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filing {
    /// The lane of the dispatcher's queue that it waits in.
    pub lane: String,
    /// Whose resource it is, in dialects that list by owner.
    pub owner: Option<String>,
    /// Whether there is an idempotency key that stands for it. The key itself is its client's.
    pub has_idempotency_key: bool,
    /// When the dispatcher takes it up; `None`: never by itself.
    pub wake_at: Option<Timestamp>,
}

/// Everything that is not sealed. Whoever moves a store gets this.
pub trait ReadAll: Read + ReadFiling {}

impl<T> ReadAll for T where T: Read + ReadFiling {}
