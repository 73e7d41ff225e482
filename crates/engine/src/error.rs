//! What can go wrong, by what the caller can do about it.

use fanfold_core::IllegalEvent;

/// An error of the engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such operation.
    #[error("there is no such operation")]
    NotFound,
    /// Not in the operation's present state.
    #[error(transparent)]
    NotPossible(#[from] IllegalEvent),
    /// Nothing of the kind is asked now: a note that takes no answer, or others, or is not to be acknowledged yet; a deadline that
    /// does not run, or is later already. It tells what is waited for, and what would fit.
    #[error("{0}")]
    NotAsked(String),
    /// The operation is being changed too quickly, or its changes cannot be recorded at the moment; try again.
    #[error("the operation is busy; try again")]
    Busy,
    /// The process is about to stop; try again later.
    #[error("the server is about to stop")]
    Stopping,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] fanfold_store::Error),
}
