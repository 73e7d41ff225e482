//! What can go wrong, by what the caller can do about it.

use std::path::PathBuf;

use fanfold_core::OperationId;

/// An error of the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The record was written meanwhile, or is there already. Nothing was changed: read it again and decide again.
    #[error("the record was changed meanwhile")]
    Conflict,
    /// Another node has fenced this one off: what it owned is others' by now, and nothing that it writes is recorded. It has to
    /// join again.
    #[error("another node has taken over the work of this one; it has to join again")]
    Fenced,
    /// What the request names is not there. Nothing was changed.
    #[error("{what} is not in the store")]
    NotFound {
        /// What it names.
        what: String,
    },
    /// The request contradicts the record or itself: a mistake in the program. Nothing was changed.
    #[error("the request cannot be recorded: {detail}")]
    Invalid {
        /// What is wrong with it.
        detail: String,
    },
    /// The store cannot be reached or cannot write now; the same request may work later.
    #[error("the store is not available: {detail}{}", ambiguity(*.may_have_committed))]
    Unavailable {
        /// What happened.
        detail: String,
        /// Whether the request may have been recorded all the same.
        may_have_committed: bool,
    },
    /// There is no room: the disk is full, or the store has reached its bound. Old records have to go, or the bound be raised.
    #[error("the store is full: {detail}{}", ambiguity(*.may_have_committed))]
    Full {
        /// Which room is used up.
        detail: String,
        /// Whether the request may have been recorded all the same.
        may_have_committed: bool,
    },
    /// The files may not be written.
    #[error("{} is read-only; the account that runs Fanfold must be able to write it and its directory", .path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// Another process has the database open.
    #[error("{} is locked by another process{}; one database serves one process at a time", .path.display(), by(.holder))]
    Locked {
        /// The database.
        path: PathBuf,
        /// The id of that process, if it is known.
        holder: Option<u32>,
    },
    /// What is stored is damaged. Restore a backup.
    #[error("the database is damaged: {detail}")]
    Corrupt {
        /// What was found.
        detail: String,
    },
    /// The file cannot be used as it is: it is no Fanfold database, or it cannot be opened.
    #[error("{} cannot be used: {detail}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// A newer version of Fanfold has written the database.
    #[error("{} has schema version {found}, this program knows versions up to {known}; use a newer program", .path.display())]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// A migration that was applied to the database is not the one that this program has under its number.
    #[error("{} was set up by a different build: migration {version} is not the same as in this program", .path.display())]
    ChangedMigration {
        /// The database.
        path: PathBuf,
        /// The migration's number.
        version: u32,
    },
    /// The key that sealed messages are encrypted with is missing or is not the right one. Put the right one back.
    #[error("the sealing key {} cannot be used: {detail}", .path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
}

fn ambiguity(may_have_committed: bool) -> &'static str {
    if may_have_committed { "; the request may have been recorded" } else { "" }
}

fn by(holder: &Option<u32>) -> String {
    holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

impl Error {
    /// Whether the request may have been recorded although this error was answered. Everything else changed nothing.
    pub fn may_have_committed(&self) -> bool {
        match self {
            Self::Unavailable { may_have_committed, .. } | Self::Full { may_have_committed, .. } => *may_have_committed,
            Self::Conflict
            | Self::Fenced
            | Self::NotFound { .. }
            | Self::Invalid { .. }
            | Self::ReadOnly { .. }
            | Self::Locked { .. }
            | Self::Corrupt { .. }
            | Self::Unusable { .. }
            | Self::NewerSchema { .. }
            | Self::ChangedMigration { .. }
            | Self::Key { .. } => false,
        }
    }

    /// The same where an earlier try of the request may have been recorded.
    #[must_use]
    pub fn after_ambiguous_try(mut self) -> Self {
        if let Self::Unavailable { may_have_committed, .. } | Self::Full { may_have_committed, .. } = &mut self {
            *may_have_committed = true;
        }
        self
    }

    pub(crate) fn operation_not_found(id: OperationId) -> Self {
        Self::NotFound { what: format!("operation {id}") }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid { detail: detail.into() }
    }

    pub(crate) fn corrupt(detail: impl Into<String>) -> Self {
        Self::Corrupt { detail: detail.into() }
    }

    /// Unavailable, and certainly not recorded.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::Unavailable { detail: detail.into(), may_have_committed: false }
    }
}
