//! Committing the next state of an operation.

use fanfold_core::{Effect, OperationId, Slot};

use super::super::columns::{escaped, length, revision};
use super::Write;
use super::picture::{Known, Picture, Wanted};
use super::rows::NextState;
use crate::prepared::PreparedCommit;
use crate::record::{self, slots_text};
use crate::{Closed, Committed, Error, time};

pub(in super::super) struct CommitWrite(pub(in super::super) PreparedCommit);

impl CommitWrite {
    fn lock_key(&self) -> Option<&str> {
        self.0.split.operation.plan.lock.as_ref().map(|lock| lock.key.as_str())
    }
}

impl Write for CommitWrite {
    type Answer = Committed;

    fn wants(&self, wanted: &mut Wanted) {
        let operation = &self.0.split.operation;
        wanted.operations.insert(operation.id);
        if let Some(key) = self.lock_key() {
            wanted.lock(&operation.tenant, key, operation.id);
        }
        wanted.notices.extend(self.0.notices.iter().map(|notice| notice.id.0.clone()));
        if self.0.effects.iter().any(|effect| matches!(effect, Effect::CloseAttention { .. })) {
            wanted.notes.insert(operation.id);
        }
        wanted.octets += self.0.state.len();
        wanted.octets += self.0.split.state_bodies.iter().map(|(_, octets)| octets.len()).sum::<usize>();
    }

    fn decide(&self, picture: &mut Picture<'_>) -> Result<Committed, Error> {
        let operation = &self.0.split.operation;
        let known = picture.loaded.operations.get(&operation.id).cloned();
        let known = known.ok_or_else(|| Error::operation_not_found(operation.id))?;
        self.refuse_stale(picture, &known)?;
        let superseded = self.0.split.superseded(&known.apart)?;
        picture.refuse_known(&self.0.notices)?;

        // The lock comes first, because when the operation is due may depend on it.
        if let Some(key) = self.lock_key().filter(|_| operation.queues_for_lock()) {
            picture.enqueue(&operation.tenant, key, operation.id);
        }
        let granted = self.release_lock(picture);
        let (attention, used) = self.perform(picture)?;
        let (events, event_octets) = picture.add_events(operation.id, known.events, &self.0.events);
        let bodies = picture.add_bodies(operation.id, &self.0.split.state_bodies);
        picture.add_sealed(operation.id, &self.0.sealed);
        picture.changes.superseded.extend(superseded.into_iter().map(|slot: Slot| (operation.id, slot)));
        let used = used + event_octets + bodies + length(self.0.state.len()) - known.state_octets;
        picture.changes.counters.used += used;
        if operation.end().is_some() {
            picture.changes.ended.push(operation.id);
        }
        if operation.status() != known.status {
            picture.count(&operation.tenant, known.status, -1);
            picture.count(&operation.tenant, operation.status(), 1);
        }
        if self.0.free_idempotency_key {
            picture.loaded.keys.retain(|_, key| key.operation != operation.id);
        }
        let next = self.next_state(picture, (attention, events, used))?;
        picture.changes.wakes.remove(&operation.id);
        picture.changes.states.push(next);
        Ok(Committed { operation: Box::new(operation.clone()), granted })
    }
}

impl CommitWrite {
    fn refuse_stale(&self, picture: &Picture<'_>, known: &Known) -> Result<(), Error> {
        let next = revision(self.0.split.operation.revision)?;
        if known.revision.checked_add(1) != Some(next) || known.epoch != picture.changes.epoch {
            return Err(Error::Conflict);
        }
        let is_claimed = known.claimed || picture.changes.claimed.contains(&self.0.split.operation.id);
        if self.0.free_idempotency_key && is_claimed {
            return Err(Error::Conflict);
        }
        if known.status.is_terminal() {
            return Err(Error::invalid("an operation that has ended never changes again"));
        }
        Ok(())
    }

    fn release_lock(&self, picture: &mut Picture<'_>) -> Option<OperationId> {
        let operation = &self.0.split.operation;
        let is_released = operation.end().is_some() || self.0.effects.contains(&Effect::ReleaseLock);
        let key = self.lock_key().filter(|_| is_released)?;
        picture.release(&operation.tenant, key, operation.id, time::ceil(operation.updated_at))
    }

    /// Gives by how much the number of open notes changes, and the octets of what is added.
    fn perform(&self, picture: &mut Picture<'_>) -> Result<(i32, i64), Error> {
        let operation = &self.0.split.operation;
        let (of, at) = ((&operation.tenant, operation.id), operation.updated_at);
        let mut attention = 0;
        for effect in &self.0.effects {
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
        let octets = picture.add_notices(of, &self.0.notices, time::floor(at))?;
        Ok((attention, octets))
    }

    fn next_state(
        &self,
        picture: &Picture<'_>,
        (attention, events, used): (i32, i32, i64),
    ) -> Result<NextState, Error> {
        let operation = &self.0.split.operation;
        let queue = self.lock_key().and_then(|key| picture.queue(&operation.tenant, key));
        let holds_lock = queue.is_some_and(|queue| queue.holder() == Some(operation.id));
        let wake_at = record::wake_at(operation, holds_lock, self.0.wake_at);
        Ok(NextState {
            id: operation.id,
            revision: revision(operation.revision)?,
            status: operation.status().as_str(),
            phase: record::phase_word(operation),
            searched: escaped(&self.0.searched).into_owned(),
            updated_at: time::floor(operation.updated_at),
            wake_at: wake_at.map(time::ceil),
            restored: operation.restored.is_some(),
            ended_at: operation.end().map(|end| time::floor(end.at)),
            expires_at: record::expires_at(operation).map(time::floor),
            attention,
            events,
            used,
            free_key: self.0.free_idempotency_key,
            apart: slots_text(&self.0.split.apart),
            state: self.0.state.clone(),
        })
    }
}
