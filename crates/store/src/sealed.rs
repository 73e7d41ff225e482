//! Sealed messages: the originals of messages whose public form is redacted. They are written by acceptance and commits, and
//! wiped by the commit that ends the operation; those in [`Slot::LASTING`] go with the operation itself.

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::{OperationId, Slot};

use crate::Error;

/// Gives originals back.
#[async_trait]
pub trait Sealed: Send + Sync {
    /// What was sealed under this slot; `None` if nothing was, or the operation has ended and the slot is none of
    /// [`Slot::LASTING`].
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it was tampered with or moved to another operation or slot.
    async fn sealed(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error>;
}
