//! Accepting and committing.

use std::collections::BTreeSet;

use async_trait::async_trait;
use fanfold_core::operation::{Attention, Status};
use fanfold_core::plan::OnLocked;
use fanfold_core::{Effect, Event, Operation, OperationId, Slot, StepIndex, TenantId};
use jiff::Timestamp;

use super::{Model, NO_NODE, Row, State, cut};
use crate::record::{self, Split};
use crate::{
    Acceptance, Accepted, AttentionId, Closed, Commit, Committed, Epoch, Error, EventNumber, Hold, IdempotencyKey,
    KeyUse, Limits, LockOutcome, NewNotice, Note, Notice, NoticeState, Operations, Recorded, time,
};

#[async_trait]
impl Operations for Model {
    async fn decided(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, Error> {
        let (mut state, epoch) = self.to_write()?;
        state.accept(acceptance, epoch, &self.limits)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, Error> {
        let (mut state, epoch) = self.to_write()?;
        state.commit(commit, epoch, &self.limits)
    }
}

impl State {
    fn accept(&mut self, acceptance: Acceptance, epoch: Epoch, limits: &Limits) -> Result<Accepted, Error> {
        let split = Split::accepted(acceptance.operation, limits.inline_max)?;
        let operation = split.operation;
        if let Some(given) = &acceptance.idempotency
            && let Some(used) = self.key_use(&operation.tenant, given)
        {
            self.claim(used, epoch);
            return Ok(used.into());
        }
        if self.operations.contains_key(&operation.id) {
            return Err(Error::Conflict);
        }
        if let Some(by) = self.retried_by(&operation) {
            return Ok(Accepted::Retried { by });
        }
        if let Some(refusal) = self.lock_refusal(&operation, limits) {
            return Ok(refusal);
        }
        if self.operations.values().filter(|row| row.is_open()).count() as u64 >= limits.waiting_max {
            return Ok(Accepted::TooManyWaiting);
        }
        if let Some(bound) = limits.waiting_max_of(&operation.tenant) {
            let own = self.operations.values().filter(|row| row.operation.tenant == operation.tenant);
            if own.filter(|row| row.is_open()).count() as u64 >= bound {
                return Ok(Accepted::TooManyOfTenant);
            }
        }
        if limits.size_hard.is_some_and(|bound| self.used() >= bound) {
            return Err(Error::Full { detail: "the hard bound is reached".to_owned(), may_have_committed: false });
        }
        let lock = self.queue_for_lock(&operation);
        let wake_at = record::wake_at(&operation, lock == LockOutcome::Granted, acceptance.wake_at);
        let row = Row {
            operation: operation.clone(),
            lane: acceptance.lane,
            owner: acceptance.owner,
            node: epoch,
            adopted_at: None,
            claimed: false,
            idempotency: acceptance.idempotency,
            wake_at: wake_at.map(time::ceil),
            bodies: split.plan_bodies.into_iter().chain(split.state_bodies).collect(),
            sealed: acceptance.sealed.into_iter().collect(),
        };
        self.operations.insert(operation.id, row);
        self.add_events(operation.id, acceptance.events, limits);
        Ok(Accepted::New { operation: Box::new(operation), lock })
    }

    pub(super) fn key_use(&self, tenant: &TenantId, given: &IdempotencyKey) -> Option<KeyUse> {
        let mut rows = self.operations.values().filter(|row| row.operation.tenant == *tenant);
        rows.find_map(|row| {
            let known = row.idempotency.as_ref().filter(|known| known.key == given.key)?;
            let id = row.operation.id;
            Some(if known.fingerprint == given.fingerprint { KeyUse::Same(id) } else { KeyUse::Other(id) })
        })
    }

    /// Whoever accepted it may have lost the answer, and must not take it back any more. Once anything is committed nobody does.
    pub(super) fn claim(&mut self, used: KeyUse, epoch: Epoch) {
        let KeyUse::Same(id) = used else { return };
        if let Some(row) = self.operations.get_mut(&id)
            && epoch != NO_NODE
            && row.operation.status() == Status::Unexecuted
        {
            row.claimed = true;
        }
    }

    fn retried_by(&self, operation: &Operation) -> Option<OperationId> {
        let retried = operation.plan.retry_of?;
        let mut others = self.operations.values().map(|row| &row.operation);
        let is_before = |other: &&Operation| other.tenant == operation.tenant && other.plan.retry_of == Some(retried);
        others.find(is_before).map(|other| other.id)
    }

    fn lock_refusal(&self, operation: &Operation, limits: &Limits) -> Option<Accepted> {
        let lock = operation.plan.lock.as_ref().filter(|_| operation.queues_for_lock())?;
        let queue = self.locks.get(&(operation.tenant.clone(), lock.key.clone()))?;
        let holder = queue.front().copied()?;
        let waiting = queue.len() as u64 - 1;
        match lock.on_locked {
            OnLocked::Reject => Some(Accepted::Locked { holder }),
            OnLocked::Queue if waiting >= limits.lock_queue_max => {
                // Counted no further than the bound.
                Some(Accepted::LockQueueFull { waiting: limits.lock_queue_max })
            }
            OnLocked::Queue => None,
        }
    }

    fn queue_for_lock(&mut self, operation: &Operation) -> LockOutcome {
        let Some(lock) = &operation.plan.lock else { return LockOutcome::NotNeeded };
        if !operation.queues_for_lock() {
            return LockOutcome::Later;
        }
        let queue = self.locks.entry((operation.tenant.clone(), lock.key.clone())).or_default();
        if !queue.contains(&operation.id) {
            queue.push_back(operation.id);
        }
        if queue.front() == Some(&operation.id) { LockOutcome::Granted } else { LockOutcome::Queued }
    }

    fn commit(&mut self, commit: Commit, epoch: Epoch, limits: &Limits) -> Result<Committed, Error> {
        record::check(&commit.operation).map_err(Error::invalid)?;
        let split = Split::state(commit.operation, limits.inline_max);
        let id = split.operation.id;
        let row = self.operations.get_mut(&id).ok_or_else(|| Error::operation_not_found(id))?;
        if row.operation.revision.next() != split.operation.revision || row.node != epoch {
            return Err(Error::Conflict);
        }
        if commit.free_idempotency_key && row.claimed {
            return Err(Error::Conflict);
        }
        if !row.is_open() {
            return Err(Error::invalid("an operation that has ended never changes again"));
        }
        let state_slots: BTreeSet<_> = row.bodies.keys().copied().filter(|slot| record::is_of_state(*slot)).collect();
        let superseded = split.superseded(&state_slots)?;
        if let Some(new) = commit.notices.iter().find(|new| self.notices.values().any(|old| old.notice.id == new.id)) {
            return Err(Error::invalid(format!("there is a notice {} already", new.id)));
        }

        superseded.iter().for_each(|slot| drop(row.bodies.remove(slot)));
        row.bodies.extend(split.state_bodies);
        row.sealed.extend(commit.sealed);
        if commit.free_idempotency_key {
            row.idempotency = None;
        }
        row.operation = split.operation.clone();
        let operation = split.operation;
        if operation.end().is_some() {
            row.sealed.retain(|slot, _| Slot::LASTING.contains(slot));
        }
        self.add_events(id, commit.events, limits);
        self.queue_for_lock(&operation);
        let granted = self.perform(&operation, commit.effects);
        for notice in commit.notices {
            self.add_notice(&operation, epoch, notice);
        }
        let wake_at = record::wake_at(&operation, self.holds_lock(&operation), commit.wake_at);
        if let Some(row) = self.operations.get_mut(&id) {
            row.wake_at = wake_at.map(time::ceil);
        }
        Ok(Committed { operation: Box::new(operation), granted })
    }

    /// Records the effects, and gives the operation that was granted the lock, if one was.
    fn perform(&mut self, operation: &Operation, effects: Vec<Effect>) -> Option<OperationId> {
        let at = operation.updated_at;
        let mut release = operation.end().is_some();
        for effect in effects {
            match effect {
                Effect::Begin(_) | Effect::Finish => {}
                Effect::ReleaseLock => release = true,
                Effect::OpenAttention(attention) => self.open_note(operation, attention),
                Effect::CloseAttention { step, by, remark } => {
                    self.close_notes(operation.id, step, &Closed { at: cut(at), by, remark });
                }
                Effect::HoldTarget { target, reason } => {
                    let by = format!("operation {}", operation.id);
                    self.hold(Hold { target, since: at, by, reason });
                }
            }
        }
        if release { self.release_lock(operation) } else { None }
    }

    fn holds_lock(&self, operation: &Operation) -> bool {
        let Some(lock) = &operation.plan.lock else { return false };
        let queue = self.locks.get(&(operation.tenant.clone(), lock.key.clone()));
        queue.and_then(|queue| queue.front()) == Some(&operation.id)
    }

    fn release_lock(&mut self, operation: &Operation) -> Option<OperationId> {
        let was_holder = self.holds_lock(operation);
        let name = (operation.tenant.clone(), operation.plan.lock.as_ref()?.key.clone());
        let queue = self.locks.get_mut(&name)?;
        queue.retain(|id| *id != operation.id);
        let Some(next) = queue.front().copied() else {
            self.locks.remove(&name);
            return None;
        };
        if !was_holder {
            return None;
        }
        if let Some(row) = self.operations.get_mut(&next).filter(|row| row.operation.restored.is_none()) {
            row.wake_at = Some(time::ceil(operation.updated_at));
        }
        Some(next)
    }

    fn add_events(&mut self, operation: OperationId, events: Vec<(Timestamp, Event)>, limits: &Limits) {
        let before = self.events.iter().filter(|event| event.operation == operation).count() as u64;
        for ((at, event), sequence) in events.into_iter().zip(before + 1..) {
            self.events_total += 1;
            let number = EventNumber(self.events_total);
            let event = record::history_form(event, limits.inline_max);
            self.events.push(Recorded { number, sequence, operation, at: cut(at), event });
        }
    }

    fn open_note(&mut self, operation: &Operation, attention: Attention) {
        self.notes_total += 1;
        let note = Note {
            id: AttentionId(self.notes_total),
            tenant: operation.tenant.clone(),
            operation: operation.id,
            attention,
            opened_at: cut(operation.updated_at),
            // Filled in whenever the note is read.
            ended: false,
            closed: None,
        };
        self.notes.insert(self.notes_total, note);
    }

    fn close_notes(&mut self, operation: OperationId, step: Option<StepIndex>, closed: &Closed) {
        for note in self.notes.values_mut() {
            if note.operation == operation && note.attention.step == step && note.closed.is_none() {
                note.closed = Some(closed.clone());
            }
        }
    }

    fn add_notice(&mut self, operation: &Operation, epoch: Epoch, new: NewNotice) {
        self.notices_total += 1;
        let due_at = time::timestamp(time::ceil(new.due_at)).unwrap_or(Timestamp::MAX);
        let notice = Notice {
            notice: NewNotice { due_at, ..new },
            number: self.notices_total,
            tenant: operation.tenant.clone(),
            operation: operation.id,
            created_at: cut(operation.updated_at),
            state: NoticeState::Pending,
            attempts: 0,
            last_error: None,
            settled_at: None,
        };
        self.notices.insert(self.notices_total, notice);
        self.notice_nodes.insert(self.notices_total, epoch);
    }
}
