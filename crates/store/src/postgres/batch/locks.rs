//! Queues of locks: the lowest turn of a key holds it, so there is never more than one holder, and never none while somebody
//! waits.

use std::collections::VecDeque;

use fanfold_core::{OperationId, TenantId};

use super::super::columns::escaped;
use super::picture::{Name, Picture};
use super::rows::LockRow;

/// The queue of a lock, as far as it was read: its front, and how long it is.
#[derive(Debug, Default, Clone)]
pub(super) struct Queue {
    pub(super) front: VecDeque<(i64, OperationId)>,
    /// Counted up to a bound.
    pub(super) length: i64,
    pub(super) last_turn: i64,
}

impl Queue {
    pub(super) fn holder(&self) -> Option<OperationId> {
        self.front.front().map(|(_, holder)| *holder)
    }

    /// How many wait, the holder apart.
    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(self.length - 1).unwrap_or(0)
    }
}

impl Picture<'_> {
    pub(super) fn queue(&self, tenant: &TenantId, key: &str) -> Option<&Queue> {
        self.loaded.locks.get(&name(tenant, key))
    }

    /// Puts an operation at the end of the queue of a lock, unless it stands in it; the first one holds it.
    pub(super) fn enqueue(&mut self, tenant: &TenantId, key: &str, operation: OperationId) {
        if self.loaded.turns.contains_key(&operation) {
            return;
        }
        let name = name(tenant, key);
        let queue = self.loaded.locks.entry(name.clone()).or_default();
        queue.last_turn += 1;
        let turn = queue.last_turn;
        // Behind a front that was cut off it cannot come to stand in it.
        if i64::try_from(queue.front.len()) == Ok(queue.length) {
            queue.front.push_back((turn, operation));
        }
        queue.length += 1;
        self.loaded.turns.insert(operation, turn);
        let (tenant, key) = name;
        self.changes.locked.push(LockRow { tenant, key, turn, operation });
    }

    /// Takes an operation out of the queue. If it was the holder, the next one holds the lock now, is due, and is answered.
    pub(super) fn release(
        &mut self,
        tenant: &TenantId,
        key: &str,
        operation: OperationId,
        due_at: i64,
    ) -> Option<OperationId> {
        let turn = self.loaded.turns.remove(&operation)?;
        let name = name(tenant, key);
        let queue = self.loaded.locks.get_mut(&name)?;
        let was_holder = queue.holder() == Some(operation);
        queue.front.retain(|(_, other)| *other != operation);
        queue.length -= 1;
        if queue.length == 0 {
            // Turns begin anew, as they do where nothing of the queue is left.
            queue.last_turn = 0;
        }
        let next = queue.holder().filter(|_| was_holder);
        // One that came and went in the same batch was never written.
        let before = self.changes.locked.len();
        self.changes.locked.retain(|row| row.operation != operation);
        if self.changes.locked.len() == before {
            let (tenant, key) = name;
            self.changes.released.push(LockRow { tenant, key, turn, operation });
        }
        if let Some(next) = next {
            self.wake(next, due_at);
        }
        next
    }

    /// Makes an operation due, whatever else this batch records of it.
    fn wake(&mut self, operation: OperationId, at: i64) {
        let new = self.changes.operations.iter_mut().find(|new| new.id == operation).map(|new| &mut new.wake_at);
        let next = self.changes.states.iter_mut().find(|next| next.id == operation);
        if next.as_ref().is_some_and(|next| next.restored) {
            return;
        }
        match new.or(next.map(|next| &mut next.wake_at)) {
            Some(wake_at) => *wake_at = Some(at),
            None => drop(self.changes.wakes.insert(operation, at)),
        }
    }
}

pub(super) fn name(tenant: &TenantId, key: &str) -> Name {
    (tenant.as_str().to_owned(), escaped(key).into_owned())
}
