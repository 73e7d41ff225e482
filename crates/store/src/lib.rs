//! Records operations and all that belongs to them: the traits (one per noun), SQLite ([`sqlite::Sqlite`]), PostgreSQL
//! ([`postgres::Postgres`]) and the in-memory reference model ([`model::Model`]).
//!
//! The store performs and records; it never decides. What an operation becomes is worked out by `fanfold-core`, and handed in
//! here as a finished record with the effects of the change, which are recorded in the same commit. Nothing of a database
//! driver crosses these traits.
//!
//! Where to look: [`Operations`] accepts and commits, [`Queue`] finds what is due, [`Locks`] says who holds what, [`Sealed`]
//! gives originals back, [`Outbox`] keeps notices, [`Notes`] keeps attention, [`Holds`] keeps target holds, [`Retention`]
//! deletes, [`Tokens`] keeps bearer tokens, [`Sessions`] sessions of people, [`Audit`] the audit trail. The `Read...` traits are what the HTTP server gets, together as [`Read`].
//!
//! Times beside the record (all but those within [`Operation`](fanfold_core::Operation) and its events) are kept to the
//! microsecond, cut off; wake times are rounded up, so that nothing is due early.

#![warn(missing_docs)]

mod attention;
mod audit;
#[cfg(feature = "contract")]
pub mod contract;
mod error;
pub mod export;
mod failure;
mod filing;
mod history;
mod holds;
mod limits;
mod locks;
pub mod metric;
mod metrics;
pub mod model;
pub mod moving;
mod nodes;
mod notices;
mod operations;
mod permits;
mod policies;
pub mod postgres;
mod prepared;
mod queue;
mod record;
mod retention;
mod sealed;
mod sealing;
mod searched;
mod sessions;
mod sharing;
pub mod sqlite;
mod time;
mod tokens;

pub use attention::{AttentionId, Closed, Note, NoteFilter, Notes, ReadNotes};
pub use audit::{AUDIT_TEXT_MAX, Audit, AuditEntry, AuditFilter, AuditNumber, NewAuditEntry, ReadAudit};
pub use error::Error;
pub use filing::{Filing, ReadAll, ReadFiling};
pub use history::{EventNumber, Events, ReadHistory, Recorded};
pub use holds::{Hold, Holds, ReadHolds};
pub use limits::{DUE_MAX, LIST_MAX, Limits, SWEEP_MAX};
pub use locks::{LockOutcome, LockPlace, Locks};
pub use metrics::Metrics;
pub use nodes::{
    ADOPT_MAX, Adopted, Answer, AskNumber, Asked, Epoch, NEWS_MAX, NewNode, News, Node, Nodes, Standing, WISHES_MAX,
    Word,
};
pub use notices::{
    DueNotices, NewNotice, Notice, NoticeFilter, NoticeId, NoticeOutcome, NoticeState, Outbox, OutboxState, ReadNotices,
};
pub use operations::{
    Acceptance, Accepted, Backlog, Commit, Committed, Counts, Filter, IdempotencyKey, KeyUse, Operations,
    ReadOperations,
};
pub use permits::{PermitShare, PermitWish, Pool};
pub use queue::Queue;
pub use retention::{ReadSize, Retention, Size, Swept};
pub use sealed::{KeyCount, RESEAL_BYTES_MAX, RESEAL_MAX, Resealed, Sealed};
pub use sealing::{SEALING_KEYS_MAX, SealingKey};
pub use sessions::{Session, SessionBegun, SessionOf, Sessions};
pub use tokens::{
    LiveTokens, NewToken, REVOKED_KEPT, ReadTokens, Revoked, Token, TokenChanges, TokenCreated, TokenUse, Tokens,
    USES_MAX,
};

/// All that a store does. The engine gets this.
pub trait Store:
    Operations + Queue + Sealed + Outbox + Notes + Holds + Tokens + Sessions + Audit + Retention + Read
{
}

impl<T> Store for T where
    T: Operations + Queue + Sealed + Outbox + Notes + Holds + Tokens + Sessions + Audit + Retention + Read
{
}

/// All that can be read without changing anything. The HTTP server gets this, and no more.
///
/// Every method sees all that was answered before it was called; each answer is one consistent picture.
pub trait Read:
    ReadOperations + ReadHistory + Locks + ReadNotes + ReadNotices + ReadHolds + ReadTokens + ReadAudit + ReadSize
{
}

impl<T> Read for T where
    T: ReadOperations + ReadHistory + Locks + ReadNotes + ReadNotices + ReadHolds + ReadTokens + ReadAudit + ReadSize
{
}

/// Whether a request that may be repeated changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It did.
    Made,
    /// It was so before; nothing was changed.
    AlreadySo,
}

/// In which direction a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// From the newest to the oldest.
    #[default]
    NewestFirst,
    /// From the oldest to the newest.
    OldestFirst,
}

/// One page of a list, by the key of the last entry of the page before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<K> {
    /// The direction.
    pub order: Order,
    /// The last entry of the page before; `None`: the first page. The entry itself need not exist any more.
    pub after: Option<K>,
    /// Entries at the most; more than [`LIST_MAX`] counts as that.
    pub limit: usize,
}

impl<K> Page<K> {
    /// The first page, the newest entries first.
    pub fn newest(limit: usize) -> Self {
        Self { order: Order::NewestFirst, after: None, limit }
    }
}
