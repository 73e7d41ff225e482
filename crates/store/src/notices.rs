//! Notices: the durable outbox. A notice is recorded by a commit, and stays until it is delivered or given up; then it is
//! kept, to be shown and replayed, as long as its operation.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::{Headers, OperationId, Scope, TenantId};
use jiff::Timestamp;

use crate::{Error, Page};

/// Sends notices on their way.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Notices to send now, receiver by receiver: the receivers take turns in the order of their names, beginning with the
    /// one after [`DueNotices::after`] and going round, so that none is passed over for ever however much waits for the
    /// others. Of each receiver those first that have been due longest; of what one operation has for one receiver only the
    /// first that is still pending. Handing one out changes nothing: it stays due until [`Outbox::record_notice`].
    async fn due_notices(&self, wanted: DueNotices) -> Result<Vec<Notice>, Error>;

    /// The earliest time after `after` at which a notice is to be sent, whether or not another one stands before it.
    async fn next_notice(&self, after: Timestamp) -> Result<Option<Timestamp>, Error>;

    /// Records what became of sending a notice. On disk when answered.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] if it is not pending.
    async fn record_notice(&self, id: &NoticeId, outcome: NoticeOutcome) -> Result<(), Error>;

    /// Takes a dead notice up again: it is pending and due at `at`, its attempts counted anew; the node that takes it up sends it.
    /// On disk when answered.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] if it is not dead.
    async fn replay_notice(&self, id: &NoticeId, at: Timestamp) -> Result<(), Error>;
}

/// Reads notices.
#[async_trait]
pub trait ReadNotices: Send + Sync {
    /// One page of the notices that the filter lets through, in the order in which they were recorded. Dead letters are
    /// those of the state [`NoticeState::Dead`].
    async fn notices(&self, filter: &NoticeFilter, page: Page<u64>) -> Result<Vec<Notice>, Error>;

    /// How the outbox is doing.
    async fn outbox(&self) -> Result<OutboxState, Error>;

    /// One notice.
    async fn notice(&self, id: &NoticeId) -> Result<Option<Notice>, Error>;
}

/// Which due notices are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueNotices {
    /// What is due by then.
    pub now: Timestamp,
    /// The receiver whose turn was last; empty: begin with the first.
    pub after: String,
    /// At most so many for each receiver.
    pub each: usize,
    /// At most so many in all, and at most [`crate::DUE_MAX`].
    pub limit: usize,
}

/// How the outbox is doing, over all tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxState {
    /// When the oldest notice was recorded that is still pending.
    pub oldest_pending: Option<Timestamp>,
    /// Dead letters.
    pub dead: u64,
}

/// Identifies a notice: a text, unique, the same for every try to deliver it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoticeId(pub String);

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A notice to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    /// Its id.
    pub id: NoticeId,
    /// Its kind, for the one who sends it.
    pub kind: String,
    /// The method of the request.
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// Who gets it: the host and the port in [`NewNotice::url`]. Notices to one receiver are bounded together.
    pub receiver: String,
    /// The fields of the request; no secrets, they are shown.
    pub headers: Headers,
    /// The body of the request.
    pub body: Bytes,
    /// When it is to be sent first.
    pub due_at: Timestamp,
}

/// A recorded notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What was recorded; `due_at` is when it is to be sent next, if it is pending.
    pub notice: NewNotice,
    /// Numbers all notices in the order in which they were recorded; the key of list pages.
    pub number: u64,
    /// Whose operation it is about.
    pub tenant: TenantId,
    /// The operation.
    pub operation: OperationId,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// How far it is.
    pub state: NoticeState,
    /// How often it was sent, since it was recorded or replayed.
    pub attempts: u32,
    /// What was wrong with the last try.
    pub last_error: Option<String>,
    /// When it was delivered or given up.
    pub settled_at: Option<Timestamp>,
}

/// How far a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeState {
    /// To be sent, perhaps again.
    Pending,
    /// The receiver confirmed it.
    Delivered,
    /// Given up: a dead letter.
    Dead,
}

impl NoticeState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Dead];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// What became of sending a notice once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeOutcome {
    /// The receiver confirmed it.
    Delivered {
        /// When.
        at: Timestamp,
    },
    /// It did not; it is sent again.
    Failed {
        /// What was wrong.
        error: String,
        /// When it is sent again.
        again_at: Timestamp,
    },
    /// It did not, and it is not sent again unless a person replays it.
    Dead {
        /// What was wrong.
        error: String,
        /// When it was given up.
        at: Timestamp,
    },
}

/// Which notices a list shows: those that fit everything that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoticeFilter {
    /// Whose.
    pub tenant: TenantId,
    /// About operations that are seen at all ([`Scope::has`]). What is passed over takes its time, so whoever asks for somebody
    /// else reads in pieces ([`NoticeFilter::first`]).
    pub scope: Scope,
    /// Of this state.
    pub state: Option<NoticeState>,
    /// About this operation.
    pub operation: Option<OperationId>,
    /// Of this number, or a later one.
    pub first: Option<u64>,
}
