//! How SQLite's errors become the store's.

use rusqlite::ErrorCode;

use crate::Error;

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) enum Failure {
    /// By a rule of the store; the request changed nothing, and the transaction may go on.
    Refused(Error),
    /// By the database; the transaction is spoilt.
    Database(rusqlite::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Database(error) => translate(&error, false),
        }
    }
}

/// Tells what the caller can do about an error of the database. `may_have_committed`: it came while committing.
pub(super) fn translate(error: &rusqlite::Error, may_have_committed: bool) -> Error {
    let detail = error.to_string();
    let Some(code) = error.sqlite_error_code() else {
        // Everything that SQLite itself did not report is about what was found in a row.
        return Error::Corrupt { detail };
    };
    match code {
        ErrorCode::DiskFull => Error::Full { detail, may_have_committed },
        ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::ConstraintViolation
        | ErrorCode::TypeMismatch
        | ErrorCode::SchemaChanged => Error::Corrupt { detail },
        // All that is left passes by, or is for the operator: read-only, IO failure, cannot open, busy, out of memory...
        _ => Error::Unavailable { detail, may_have_committed },
    }
}

/// Whether the error says that the disk cannot take writes now.
pub(super) fn is_disk_trouble(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly))
}
