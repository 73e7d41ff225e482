//! What is about to be written, the same in every database: everything is serialised and encrypted that can be before a store's
//! writer has it, since that serves one request at a time.

use bytes::Bytes;
use fanfold_core::operation::Operation;
use fanfold_core::{Effect, PolicyHash, Slot};
use jiff::Timestamp;

use crate::policies::PolicyHashes;
use crate::record::{self, EventRow, Split, json};
use crate::sealing::{SealedMessage, Sealer};
use crate::searched::searched;
use crate::{Acceptance, Commit, Error, IdempotencyKey, NewNotice};

/// Messages, sealed.
pub(crate) struct SealedMessages {
    pub(crate) key_id: String,
    pub(crate) messages: Vec<SealedMessage>,
}

/// An acceptance.
pub(crate) struct PreparedAcceptance {
    pub(crate) split: Split,
    pub(crate) policy: PolicyHash,
    pub(crate) state: String,
    /// What a search looks at.
    pub(crate) searched: String,
    pub(crate) plan: String,
    pub(crate) sealed: SealedMessages,
    pub(crate) events: Vec<EventRow>,
    pub(crate) idempotency: Option<IdempotencyKey>,
    pub(crate) lane: String,
    pub(crate) owner: Option<String>,
    pub(crate) wake_at: Option<Timestamp>,
}

/// A commit.
pub(crate) struct PreparedCommit {
    pub(crate) split: Split,
    pub(crate) state: String,
    /// What a search looks at.
    pub(crate) searched: String,
    pub(crate) sealed: SealedMessages,
    pub(crate) events: Vec<EventRow>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) notices: Vec<NewNotice>,
    pub(crate) wake_at: Option<Timestamp>,
    pub(crate) free_idempotency_key: bool,
}

impl SealedMessages {
    fn of(operation: &Operation, messages: &[(Slot, Bytes)], sealer: &Sealer) -> Result<Self, Error> {
        let seal = |(slot, octets): &(_, Bytes)| sealer.seal((&operation.tenant, operation.id, *slot), octets);
        let messages = messages.iter().map(seal).collect::<Result<_, _>>()?;
        Ok(Self { key_id: sealer.key_id().to_owned(), messages })
    }
}

impl PreparedAcceptance {
    pub(crate) fn of(
        acceptance: Acceptance,
        (sealer, hashes): (&Sealer, &PolicyHashes),
        inline_max: usize,
    ) -> Result<Self, Error> {
        let split = Split::accepted(acceptance.operation, inline_max)?;
        let operation = &split.operation;
        Ok(Self {
            policy: hashes.of(&operation.plan.policy),
            state: json(operation)?,
            searched: searched(operation),
            plan: json(&operation.plan)?,
            sealed: SealedMessages::of(operation, &acceptance.sealed, sealer)?,
            events: EventRow::all(acceptance.events, inline_max)?,
            idempotency: acceptance.idempotency,
            lane: acceptance.lane,
            owner: acceptance.owner,
            wake_at: acceptance.wake_at,
            split,
        })
    }

    /// The key of the lock that it wants now. Before its start time an operation has nothing to do with it.
    pub(crate) fn lock_key(&self) -> Option<&str> {
        let operation = &self.split.operation;
        operation.plan.lock.as_ref().filter(|_| operation.queues_for_lock()).map(|lock| lock.key.as_str())
    }
}

impl PreparedCommit {
    pub(crate) fn of(commit: Commit, sealer: &Sealer, inline_max: usize) -> Result<Self, Error> {
        record::check(&commit.operation).map_err(Error::invalid)?;
        let split = Split::state(commit.operation, inline_max);
        let operation = &split.operation;
        // What ends is wiped in the same commit, so there is nothing to seal.
        let sealed = if operation.end().is_some() { Vec::new() } else { commit.sealed };
        Ok(Self {
            state: json(operation)?,
            searched: searched(operation),
            sealed: SealedMessages::of(operation, &sealed, sealer)?,
            events: EventRow::all(commit.events, inline_max)?,
            effects: commit.effects,
            notices: commit.notices,
            wake_at: commit.wake_at,
            free_idempotency_key: commit.free_idempotency_key,
            split,
        })
    }
}
