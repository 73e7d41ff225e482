//! Operations: accepting, committing, reading.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::dialect::Bodies;
use fanfold_core::operation::{AttentionReason, Phase, Status};
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::{Effect, Event, Operation, OperationId, Scope, Slot, TargetName, TenantId};
use jiff::Timestamp;

use crate::{Error, LockOutcome, NewNotice, Page};

/// Writes operations.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Records a new operation with its plan, its lock and its idempotency key: all of it or nothing.
    ///
    /// [`Accepted::New`] is answered only after the record has reached the disk: it is there after a loss of power at any
    /// later instant. The other answers changed nothing. They are tried in this order: idempotency key, retry,
    /// lock, `waiting_max`, that of the tenant, size. An operation is retried once. The lock stands against nothing whose start time has not come.
    ///
    /// # Errors
    /// [`Error::Conflict`] if there is an operation of this id; [`Error::Fenced`] for a node that was fenced off, as for every
    /// write; [`Error::Full`] from `size_hard` on; where
    /// [`Error::may_have_committed`] is true, the operation may be found recorded later.
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, Error>;

    /// Records the next state of an operation with everything that belongs to the change: all of it or nothing, and only
    /// if the recorded revision is the one before it. Answered only after it has reached the disk.
    ///
    /// An operation that ends loses its sealed messages and its lock in the same commit.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the recorded revision is another one, the operation is another node's, or its key is to be freed
    /// and another node has claimed it; [`Error::NotFound`]; [`Error::Invalid`] if the
    /// recorded operation has ended, which never changes again.
    async fn commit(&self, commit: Commit) -> Result<Committed, Error>;

    /// Ends once it is decided of everything that was asked of this store before whether it is recorded: what is not found
    /// after that never will be.
    async fn decided(&self) -> Result<(), Error>;
}

/// Reads operations.
#[async_trait]
pub trait ReadOperations: Send + Sync {
    /// The operation, its plan and policy joined; large bodies stand apart ([`ReadOperations::bodies`]).
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, Error>;

    /// The same, if it is of this tenant. Of one that is not, no more is read than of one that is not there, so that the time
    /// does not tell which it is.
    async fn operation_of(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>, Error>;

    /// The bodies that stand apart from the record; nothing for an operation that is not there.
    async fn bodies(&self, id: OperationId) -> Result<Bodies, Error>;

    /// One of them; `None` if no body stands apart in this slot.
    async fn body(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error>;

    /// One page of the operations that the filter lets through, in the order of their ids (which is that of acceptance).
    async fn list(&self, filter: &Filter, page: Page<OperationId>) -> Result<Vec<Operation>, Error>;

    /// The operation that is so many places older than `after`, or than the newest, among all of a tenant; `None` if there are not so
    /// many. With it a search is done in pieces, each of which takes a bounded time ([`Filter::first`]). Places count from 1.
    async fn place(
        &self,
        tenant: &TenantId,
        after: Option<OperationId>,
        places: usize,
    ) -> Result<Option<OperationId>, Error>;

    /// How many operations there are of each status, of one tenant or of all. Cheap.
    async fn counts(&self, tenant: Option<&TenantId>) -> Result<Counts, Error>;

    /// What has not ended and what people are needed for, over all tenants and nodes. Cheap, however much there is.
    async fn backlog(&self) -> Result<Backlog, Error>;

    /// What an idempotency key was used for before, just as [`Operations::accept`] would find it; `None` if it is free. The
    /// operation that it tells of has reached the disk. A node claims it with that, just as by [`Operations::accept`] (see
    /// [`crate::Nodes`]).
    async fn key_use(&self, tenant: &TenantId, idempotency: &IdempotencyKey) -> Result<Option<KeyUse>, Error>;
}

/// A new operation.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// The operation, its bodies inline, in their public form.
    pub operation: Operation,
    /// The originals of messages whose public form differs. They are encrypted before they are written.
    pub sealed: Vec<(Slot, Bytes)>,
    /// The key under which the same request again is recognised.
    pub idempotency: Option<IdempotencyKey>,
    /// The lane of the dispatcher's queue that it waits in.
    pub lane: String,
    /// Whose resource it is, in dialects that list by owner.
    pub owner: Option<String>,
    /// When the dispatcher takes it up. While it waits for its lock it is not due; once it has it, it is due at once.
    pub wake_at: Option<Timestamp>,
    /// What happened to it already.
    pub events: Vec<(Timestamp, Event)>,
}

/// An idempotency key, and what identifies the request that it was first used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key; one per tenant, kept as long as the operation.
    pub key: String,
    /// The fingerprint of the request.
    pub fingerprint: [u8; 32],
}

/// What an idempotency key was used for before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// For this request, which became this operation.
    Same(OperationId),
    /// For another request, which became this operation.
    Other(OperationId),
}

impl From<KeyUse> for Accepted {
    fn from(used: KeyUse) -> Self {
        match used {
            KeyUse::Same(id) => Self::Same(id),
            KeyUse::Other(id) => Self::KeyReused(id),
        }
    }
}

/// What became of an acceptance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is recorded, on disk.
    New {
        /// The operation as it is recorded: large bodies stand apart now. Go on with this one.
        operation: Box<Operation>,
        /// What became of its lock.
        lock: LockOutcome,
    },
    /// This request was accepted before, as this operation.
    Same(OperationId),
    /// The key was used before, for another request, which became this operation.
    KeyReused(OperationId),
    /// The operation that the plan retries has been retried before, by this one.
    Retried {
        /// The retry.
        by: OperationId,
    },
    /// This operation holds the lock, and the plan does not wait for it.
    Locked {
        /// The holder.
        holder: OperationId,
    },
    /// The plan waits for the lock, but as many as allowed (`lock_queue_max`) do so already.
    LockQueueFull {
        /// How many.
        waiting: u64,
    },
    /// As many operations as allowed (`waiting_max`) have not ended.
    TooManyWaiting,
    /// As many operations of the tenant as allowed (`tenant_waiting_max`) have not ended.
    TooManyOfTenant,
}

/// The next state of an operation, and what belongs to the change.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The operation; its revision is the recorded one plus 1. New bodies are inline, in their public form.
    pub operation: Operation,
    /// What happened, oldest first. Bodies longer than `inline_max` are left out of the history; the latest ones stand in
    /// the record.
    pub events: Vec<(Timestamp, Event)>,
    /// What the change asks for. [`Effect::Begin`] follows from the state and is not recorded; [`Effect::Finish`] neither,
    /// because the status says it.
    pub effects: Vec<Effect>,
    /// The originals of messages whose public form differs, in place of what is sealed under the same slot.
    pub sealed: Vec<(Slot, Bytes)>,
    /// Notices to send, in this order after those of the operation that are there.
    pub notices: Vec<NewNotice>,
    /// When the dispatcher takes it up again; `None`: never by itself. While its state wants a lock this counts for nothing:
    /// it is due at once if it holds the lock, and not due if not. Nor is one due that was restored and not released.
    pub wake_at: Option<Timestamp>,
    /// Whether its idempotency key is free from now on.
    pub free_idempotency_key: bool,
}

impl Commit {
    /// A commit of this state and nothing else.
    pub fn new(operation: Operation) -> Self {
        Self {
            operation,
            events: Vec::new(),
            effects: Vec::new(),
            sealed: Vec::new(),
            notices: Vec::new(),
            wake_at: None,
            free_idempotency_key: false,
        }
    }
}

/// A state that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The operation as it is recorded: large bodies stand apart now. Go on with this one.
    pub operation: Box<Operation>,
    /// The operation that this commit gave the released lock to. It is due from now on, in its lane, unless it was restored and
    /// nobody has released it.
    pub granted: Option<OperationId>,
}

/// Which operations a list shows: those that fit everything that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Whose.
    pub tenant: TenantId,
    /// What of theirs is seen at all ([`Scope::has`]). Where it names targets, operations that have others too are passed over,
    /// which takes its time: whoever asks for somebody else reads in pieces ([`Filter::first`]).
    pub scope: Scope,
    /// Of one of these statuses; empty: of any.
    pub statuses: BTreeSet<Status>,
    /// In one of these phases; empty: in any, or in none.
    pub phases: BTreeSet<Phase>,
    /// Of this route.
    pub route: Option<String>,
    /// Accepted in this dialect.
    pub dialect: Option<DialectName>,
    /// Accepted through the mount of this prefix.
    pub mount: Option<String>,
    /// Of this owner.
    pub owner: Option<String>,
    /// Of this kind.
    pub verb: Option<Verb>,
    /// Changing exactly this resource.
    pub resource: Option<String>,
    /// Calling this target.
    pub target: Option<TargetName>,
    /// Having open attention, or having none.
    pub attention: Option<bool>,
    /// Accepted at this time or later.
    pub since: Option<Timestamp>,
    /// Accepted before this time.
    pub until: Option<Timestamp>,
    /// Whose address, resource, route, latest errors or ids (its own, that of its resource, of what it retries, of what follows
    /// from it at targets) contain this text, letters of ASCII compared without case. Bodies are not looked at.
    pub text: Option<String>,
    /// Of this id, or a later one.
    pub first: Option<OperationId>,
    /// Retrying this operation.
    pub retry_of: Option<OperationId>,
}

/// What has not ended, and what people are needed for, over all tenants and nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backlog {
    /// How many operations there are of each status.
    pub counts: Counts,
    /// When the oldest operation of each status was accepted that is no end; a status without any is left out.
    pub oldest: BTreeMap<Status, Timestamp>,
    /// How many notes are open for each reason; a reason without any is left out. Of more than [`Backlog::NOTES_MAX`] notes in
    /// all only so many are counted.
    pub attention: BTreeMap<AttentionReason, u64>,
}

impl Backlog {
    /// How many open notes are counted at the most: counting takes as long as there are notes.
    pub const NOTES_MAX: usize = 10_000;
}

/// How many operations there are of each status; a status without any is left out.
pub type Counts = BTreeMap<Status, u64>;
