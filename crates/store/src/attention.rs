//! Attention: durable notes that a person is needed. They are opened by commits; those of running operations are closed by
//! commits too, those of ended ones are acknowledged.

use std::fmt;

use async_trait::async_trait;
use fanfold_core::operation::Attention;
use fanfold_core::{OperationId, Scope, TargetName, TenantId};
use jiff::Timestamp;

use crate::{Change, Error, Page};

/// Writes notes.
#[async_trait]
pub trait Notes: Send + Sync {
    /// Closes a note. On disk when answered.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    async fn acknowledge(&self, id: AttentionId, closed: Closed) -> Result<Change, Error>;
}

/// Reads notes.
#[async_trait]
pub trait ReadNotes: Send + Sync {
    /// One page of the notes that the filter lets through, in the order in which they were opened.
    async fn notes(&self, filter: &NoteFilter, page: Page<AttentionId>) -> Result<Vec<Note>, Error>;

    /// One note.
    async fn note(&self, id: AttentionId) -> Result<Option<Note>, Error>;
}

/// Identifies a note. The store gives them out in ascending order; none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttentionId(pub u64);

impl fmt::Display for AttentionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its id.
    pub id: AttentionId,
    /// Whose operation it is about.
    pub tenant: TenantId,
    /// The operation.
    pub operation: OperationId,
    /// What it says.
    pub attention: Attention,
    /// Since when.
    pub opened_at: Timestamp,
    /// Whether the operation has ended, as of when this was read.
    pub ended: bool,
    /// That it is closed.
    pub closed: Option<Closed>,
}

/// How a note was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Their remark.
    pub remark: Option<String>,
}

/// Which notes a list shows: those that fit everything that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoteFilter {
    /// Whose.
    pub tenant: TenantId,
    /// About operations that are seen at all ([`Scope::has`]). What is passed over takes its time, so whoever asks for somebody
    /// else reads in pieces ([`NoteFilter::first`]).
    pub scope: Scope,
    /// Open ones, or closed ones.
    pub open: Option<bool>,
    /// About this operation.
    pub operation: Option<OperationId>,
    /// About this target.
    pub target: Option<TargetName>,
    /// Of this id, or a later one.
    pub first: Option<AttentionId>,
}
