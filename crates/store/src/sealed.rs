//! Sealed messages: the originals of messages whose public form is redacted. They are written by acceptance and commits, and
//! wiped by the commit that ends the operation; those in [`Slot::LASTING`] go with the operation itself.

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::{OperationId, Slot};

use crate::Error;

/// Messages that one call of [`Sealed::reseal`] looks at, at the most.
pub const RESEAL_MAX: usize = 64;

/// Octets of messages that one call of [`Sealed::reseal`] seals anew, at the most; a message that is larger goes alone.
pub const RESEAL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Gives originals back, and seals them anew when the key is changed.
#[async_trait]
pub trait Sealed: Send + Sync {
    /// What was sealed under this slot; `None` if nothing was, or the operation has ended and the slot is none of
    /// [`Slot::LASTING`].
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it was tampered with or moved to another operation or slot.
    async fn sealed(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error>;

    /// Looks at the next [`RESEAL_MAX`] messages, at the most, and seals those anew with the key of now that another one sealed,
    /// [`RESEAL_BYTES_MAX`] at the most; nothing else about them changes. At the end it begins from the start, if there is one
    /// that another key has sealed. A store with one key has nothing to do, and so has a node while the node that started last
    /// seals with another key: there is one direction.
    /// One that does not open is told in the log, and left as it is.
    async fn reseal(&self) -> Result<Resealed, Error>;

    /// The keys, and how many messages each has sealed; the one that seals now first. A store that encrypts nothing has none.
    async fn sealing_keys(&self) -> Result<Vec<KeyCount>, Error>;
}

/// What [`Sealed::reseal`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resealed {
    /// There is nothing to be done as long as this store is open.
    Idle,
    /// There is nothing to be done for now: another node's key is the one to seal with, or none of the others was that ever.
    Later,
    /// No message is sealed with another key.
    Done,
    /// It is in the middle.
    Some {
        /// How many were sealed anew.
        resealed: usize,
    },
    /// It has come to the end, and would begin from the start.
    Whole {
        /// How many were sealed anew.
        resealed: usize,
    },
}

/// A sealing key, and what it has sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCount {
    /// Names the key.
    pub id: String,
    /// How many messages are sealed with it.
    pub messages: u64,
}
