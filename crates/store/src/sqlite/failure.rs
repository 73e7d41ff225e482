//! How SQLite's errors become the store's.

use rusqlite::ErrorCode;

use crate::Error;
use crate::failure::DatabaseError;

/// Why a request was not carried out.
pub(super) type Failure = crate::failure::Failure<rusqlite::Error>;

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl DatabaseError for rusqlite::Error {
    fn translate(&self, may_have_committed: bool) -> Error {
        let detail = self.to_string();
        let Some(code) = self.sqlite_error_code() else {
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
}

/// Whether the error says that the disk cannot take writes now.
pub(super) fn is_disk_trouble(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly))
}
