//! Why a request to a database was not carried out.

use crate::Error;

/// An error on the way through a request: by whom it came decides what becomes of the transaction.
#[derive(Debug)]
pub(crate) enum Failure<D> {
    /// By a rule of the store; the request changed nothing, and the transaction may go on.
    Refused(Error),
    /// By the database; the transaction is spoilt.
    Database(D),
}

/// An error of a database.
pub(crate) trait DatabaseError {
    /// Tells what the caller can do about it. `may_have_committed`: it came while committing.
    fn translate(&self, may_have_committed: bool) -> Error;
}

impl<D> From<Error> for Failure<D> {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl<D: DatabaseError> From<Failure<D>> for Error {
    fn from(failure: Failure<D>) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Database(error) => error.translate(false),
        }
    }
}
