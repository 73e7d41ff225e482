//! How the database's errors become the store's.

use std::error::Error as _;

use tokio_postgres::error::SqlState;

use crate::Error;
use crate::failure::DatabaseError;

/// Why a request was not carried out.
pub(super) type Failure = crate::failure::Failure<tokio_postgres::Error>;

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl DatabaseError for tokio_postgres::Error {
    fn translate(&self, may_have_committed: bool) -> Error {
        let detail = words(self);
        let Some(code) = self.code() else {
            // What was found in a row is not what belongs there; everything else is about the connection.
            return match self.source() {
                Some(source) if source.is::<tokio_postgres::types::WrongType>() || source.is::<Unreadable>() => {
                    Error::Corrupt { detail }
                }
                _ => Error::Unavailable { detail, may_have_committed },
            };
        };
        match code.code().get(..2) {
            Some("53") if *code == SqlState::DISK_FULL => Error::Full { detail, may_have_committed },
            // Integrity constraints, data that does not fit its column, damaged pages and indexes.
            Some("22" | "23") => Error::Corrupt { detail },
            Some("XX") if *code != SqlState::INTERNAL_ERROR => Error::Corrupt { detail },
            // All that is left passes by, or is for the operator: connections, rights, tables that are not there, time-outs,
            // shutdowns, read-only servers.
            _ => Error::Unavailable { detail, may_have_committed },
        }
    }
}

/// The error and what it is due to, which the library's own text leaves out, and what to do about the likeliest.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => {
            let told = format!("{} ({})", error.message(), error.code().code());
            match advice(error.code()) {
                Some(advice) => format!("{told}; {advice}"),
                None => told,
            }
        }
        None => match error.source() {
            Some(source) if source.to_string() == "password missing" => {
                format!("{error}: {source}; give it with password = \"${{env:NAME}}\" in [store]")
            }
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

fn advice(code: &SqlState) -> Option<&'static str> {
    [
        (
            SqlState::INSUFFICIENT_PRIVILEGE,
            "the role has to own its tables and be allowed to make them: let it own the database (ALTER DATABASE ... OWNER TO ...)",
        ),
        (SqlState::UNDEFINED_DATABASE, "make it first: CREATE DATABASE ... OWNER ... ENCODING 'UTF8'"),
        (SqlState::INVALID_PASSWORD, "look at the user in the url of the store, and at [store] password"),
        (SqlState::INVALID_AUTHORIZATION_SPECIFICATION, "look at the user in the url of the store, and at pg_hba.conf"),
        (SqlState::LOCK_NOT_AVAILABLE, "somebody holds a lock on a table, or writes for long: look into pg_stat_activity"),
    ]
    .into_iter()
    .find_map(|(of, advice)| (of == *code).then_some(advice))
}

/// A value in a column that is none of those that can stand there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) String);

/// Whether the session is of no use any more.
pub(super) fn ends_session(error: &tokio_postgres::Error) -> bool {
    error.is_closed()
        || error.code().is_none()
        || error.code().is_some_and(|code| {
            // The server is being shut down, or has become one that only reads: another one may take writes by now.
            code.code().starts_with("57P")
                || *code == SqlState::READ_ONLY_SQL_TRANSACTION
                || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        })
}
