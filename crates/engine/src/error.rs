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
    /// A note does not take this answer; it says which ones it does.
    #[error("{0}")]
    WrongAnswer(String),
    /// A note takes no answer, or is not to be acknowledged yet; it says what it waits for.
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
