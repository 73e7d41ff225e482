//! Committing the next state of an operation.

use bytes::Bytes;
use fanfold_core::{Effect, Operation, OperationId, Slot};
use jiff::Timestamp;

use super::super::columns::{length, revision};
use super::Write;
use super::picture::{Known, Picture, Wanted};
use super::rows::NextState;
use crate::record::{self, EventRow, Split, json, slots_text};
use crate::sealing::{SealedMessage, Sealer};
use crate::{Closed, Commit, Committed, Error, Limits, NewNotice, time};

/// A commit with everything serialised and encrypted that can be before the writing task has it.
pub(in super::super) struct CommitWrite {
    split: Split,
    state: String,
    events: Vec<EventRow>,
    effects: Vec<Effect>,
    sealed: Vec<SealedMessage>,
    key_id: String,
    notices: Vec<NewNotice>,
    wake_at: Option<Timestamp>,
    free_idempotency_key: bool,
}

impl CommitWrite {
    pub(in super::super) fn prepare(limits: &Limits, sealer: &Sealer, commit: Commit) -> Result<Self, Error> {
        record::check(&commit.operation).map_err(Error::invalid)?;
        let split = Split::state(commit.operation, limits.inline_max);
        let Operation { id, tenant, .. } = &split.operation;
        // What ends is wiped in the same commit, so there is nothing to seal.
        let sealed = if split.operation.end().is_some() { Vec::new() } else { commit.sealed };
        let seal = |(slot, octets): &(_, Bytes)| sealer.seal((tenant, *id, *slot), octets);
        Ok(Self {
            state: json(&split.operation)?,
            events: EventRow::all(commit.events, limits.inline_max)?,
            effects: commit.effects,
            sealed: sealed.iter().map(seal).collect::<Result<_, _>>()?,
            key_id: sealer.key_id().to_owned(),
            notices: commit.notices,
            wake_at: commit.wake_at,
            free_idempotency_key: commit.free_idempotency_key,
            split,
        })
    }

    fn lock_key(&self) -> Option<&str> {
        self.split.operation.plan.lock.as_ref().map(|lock| lock.key.as_str())
    }
}

impl Write for CommitWrite {
    type Answer = Committed;

    fn wants(&self, wanted: &mut Wanted) {
        let operation = &self.split.operation;
        wanted.operations.insert(operation.id);
        if let Some(key) = self.lock_key() {
            wanted.lock(&operation.tenant, key, operation.id);
        }
        wanted.notices.extend(self.notices.iter().map(|notice| notice.id.0.clone()));
        if self.effects.iter().any(|effect| matches!(effect, Effect::CloseAttention { .. })) {
            wanted.notes.insert(operation.id);
        }
        wanted.octets += self.state.len();
        wanted.octets += self.split.state_bodies.iter().map(|(_, octets)| octets.len()).sum::<usize>();
    }

    fn decide(&self, picture: &mut Picture<'_>) -> Result<Committed, Error> {
        let operation = &self.split.operation;
        let known = picture.loaded.operations.get(&operation.id).cloned();
        let known = known.ok_or_else(|| Error::operation_not_found(operation.id))?;
        self.refuse_stale(picture, &known)?;
        let superseded = self.split.superseded(&known.apart)?;
        picture.refuse_known(&self.notices)?;

        // The lock comes first, because when the operation is due may depend on it.
        if let Some(key) = self.lock_key().filter(|_| operation.queues_for_lock()) {
            picture.enqueue(&operation.tenant, key, operation.id);
        }
        let granted = self.release_lock(picture);
        let (attention, used) = self.perform(picture)?;
        let (events, event_octets) = picture.add_events(operation.id, known.events, &self.events);
        let bodies = picture.add_bodies(operation.id, &self.split.state_bodies);
        picture.add_sealed(operation.id, &self.key_id, &self.sealed);
        picture.changes.superseded.extend(superseded.into_iter().map(|slot: Slot| (operation.id, slot)));
        let used = used + event_octets + bodies + length(self.state.len()) - known.state_octets;
        picture.changes.counters.used += used;
        if operation.end().is_some() {
            picture.changes.ended.push(operation.id);
        }
        if operation.status() != known.status {
            picture.count(&operation.tenant, known.status, -1);
            picture.count(&operation.tenant, operation.status(), 1);
        }
        let next = self.next_state(picture, (attention, events, used))?;
        picture.changes.wakes.remove(&operation.id);
        picture.changes.states.push(next);
        Ok(Committed { operation: Box::new(operation.clone()), granted })
    }
}

impl CommitWrite {
    fn refuse_stale(&self, picture: &Picture<'_>, known: &Known) -> Result<(), Error> {
        let next = revision(self.split.operation.revision)?;
        if known.revision.checked_add(1) != Some(next) || known.epoch != picture.changes.epoch {
            return Err(Error::Conflict);
        }
        if self.free_idempotency_key && known.claimed {
            return Err(Error::Conflict);
        }
        if known.status.is_terminal() {
            return Err(Error::invalid("an operation that has ended never changes again"));
        }
        Ok(())
    }

    fn release_lock(&self, picture: &mut Picture<'_>) -> Option<OperationId> {
        let operation = &self.split.operation;
        let is_released = operation.end().is_some() || self.effects.contains(&Effect::ReleaseLock);
        let key = self.lock_key().filter(|_| is_released)?;
        picture.release(&operation.tenant, key, operation.id, time::ceil(operation.updated_at))
    }

    /// Gives by how much the number of open notes changes, and the octets of what is added.
    fn perform(&self, picture: &mut Picture<'_>) -> Result<(i32, i64), Error> {
        let operation = &self.split.operation;
        let (of, at) = ((&operation.tenant, operation.id), operation.updated_at);
        let mut attention = 0;
        for effect in &self.effects {
            match effect {
                // Work follows from the state, the end from the status; the lock was released already.
                Effect::Begin(_) | Effect::Finish | Effect::ReleaseLock => {}
                Effect::OpenAttention(note) => {
                    picture.open_note(of, note, at);
                    attention += 1;
                }
                Effect::CloseAttention { step, by, remark } => {
                    let closed = Closed { at, by: by.clone(), remark: remark.clone() };
                    attention -= picture.close_notes(operation.id, *step, &closed);
                }
                Effect::HoldTarget { target, reason } => {
                    picture.add_hold(target, at, &format!("operation {}", operation.id), reason);
                }
            }
        }
        let octets = picture.add_notices(of, &self.notices, time::floor(at))?;
        Ok((attention, octets))
    }

    fn next_state(
        &self,
        picture: &Picture<'_>,
        (attention, events, used): (i32, i32, i64),
    ) -> Result<NextState, Error> {
        let operation = &self.split.operation;
        let queue = self.lock_key().and_then(|key| picture.queue(&operation.tenant, key));
        let holds_lock = queue.is_some_and(|queue| queue.holder() == Some(operation.id));
        let wake_at = record::wake_at(operation, holds_lock, self.wake_at);
        Ok(NextState {
            id: operation.id,
            revision: revision(operation.revision)?,
            status: operation.status().as_str(),
            updated_at: time::floor(operation.updated_at),
            wake_at: wake_at.map(time::ceil),
            restored: operation.restored.is_some(),
            ended_at: operation.end().map(|end| time::floor(end.at)),
            expires_at: record::expires_at(operation).map(time::floor),
            attention,
            events,
            used,
            free_key: self.free_idempotency_key,
            apart: slots_text(&self.split.apart),
            state: self.state.clone(),
        })
    }
}
