//! Committing the next state of an operation.

use std::collections::BTreeSet;

use bytes::Bytes;
use fanfold_core::operation::Status;
use fanfold_core::{Effect, OperationId, Slot};
use rusqlite::{OptionalExtension, params};

use super::failure::Failure;
use super::operations::{revision, slots_from, status};
use super::writer::{Tx, Write};
use super::{attention, holds, locks, notices};
use crate::prepared::{PreparedCommit, SealedMessages};
use crate::record::{self, EventRow, slots_text};
use crate::{Closed, Committed, Error, Hold, time};

pub(super) struct CommitWrite(pub(super) PreparedCommit);

/// What is recorded so far.
struct Recorded {
    serial: i64,
    revision: i64,
    status: Status,
    phase: Option<String>,
    apart: BTreeSet<Slot>,
    lock_key: Option<String>,
}

impl Write for CommitWrite {
    type Answer = Committed;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Committed, Failure> {
        let operation = &self.0.split.operation;
        let recorded = find(tx, operation.id)?.ok_or_else(|| Error::operation_not_found(operation.id))?;
        if recorded.revision.checked_add(1) != Some(revision(operation.revision)?) {
            return Err(Error::Conflict.into());
        }
        if recorded.status.is_terminal() {
            return Err(Error::invalid("an operation that has ended never changes again").into());
        }
        let superseded = self.0.split.superseded(&recorded.apart)?;
        notices::refuse_known(tx, &self.0.notices)?;

        let serial = recorded.serial;
        // The lock comes first, because when the operation is due may depend on it.
        self.queue_for_lock(tx, &recorded)?;
        let granted = self.release_lock(tx, &recorded)?;
        self.update_state(tx, &recorded)?;
        for slot in superseded {
            tx.execute("DELETE FROM bodies WHERE operation = ?1 AND slot = ?2", params![serial, slot.to_string()])?;
        }
        insert_bodies(tx, serial, &self.0.split.state_bodies)?;
        insert_sealed(tx, serial, &self.0.sealed)?;
        insert_events(tx, serial, &self.0.events)?;
        self.perform(tx, serial)?;
        notices::insert(tx, serial, operation, &self.0.notices)?;
        if operation.end().is_some() {
            self.end(tx, serial)?;
        }
        if self.0.free_idempotency_key {
            let free = "UPDATE operations SET idempotency_key = NULL, fingerprint = NULL WHERE serial = ?1";
            tx.execute(free, [serial])?;
        }
        Ok(Committed { operation: Box::new(operation.clone()), granted })
    }
}

fn find(tx: &Tx<'_>, id: OperationId) -> Result<Option<Recorded>, Failure> {
    let select = "SELECT serial, revision, status, apart, lock_key, phase FROM operations WHERE id = ?1";
    let mut statement = tx.sql().prepare_cached(select)?;
    let recorded = statement.query_row([id.as_bytes()], |row| {
        Ok(Recorded {
            serial: row.get(0)?,
            revision: row.get(1)?,
            status: status(row, 2)?,
            apart: slots_from(row, 3)?,
            lock_key: row.get(4)?,
            phase: row.get(5)?,
        })
    });
    Ok(recorded.optional()?)
}

impl CommitWrite {
    /// The row itself. Columns with indexes are named only where they change, because naming one means writing its index.
    fn update_state(&self, tx: &mut Tx<'_>, recorded: &Recorded) -> Result<(), Failure> {
        let operation = &self.0.split.operation;
        let holds_lock = match &recorded.lock_key {
            Some(key) => locks::holder(tx.sql(), &operation.tenant, key)? == Some(operation.id),
            None => false,
        };
        let wake_at = record::wake_at(operation, holds_lock, self.0.wake_at);
        let update = "UPDATE operations SET revision = ?2, updated_at = ?3, wake_at = ?4, apart = ?5, state = ?6
                      WHERE serial = ?1";
        tx.execute(
            update,
            params![
                recorded.serial,
                revision(operation.revision)?,
                time::floor(operation.updated_at),
                wake_at.map(time::ceil),
                slots_text(&self.0.split.apart),
                self.0.state
            ],
        )?;
        // An error that comes or goes; mostly it is the same.
        tx.execute(
            "UPDATE texts SET searched = ?3 WHERE tenant = ?1 AND operation = ?2 AND searched <> ?3",
            params![operation.tenant.as_str(), operation.id.as_bytes(), self.0.searched],
        )?;
        let phase = record::phase_word(operation);
        if phase != recorded.phase.as_deref() {
            tx.execute("UPDATE operations SET phase = ?2 WHERE serial = ?1", params![recorded.serial, phase])?;
        }
        let status = operation.status();
        if status != recorded.status {
            tx.execute(
                "UPDATE operations SET status = ?2 WHERE serial = ?1",
                params![recorded.serial, status.as_str()],
            )?;
            tx.count(&operation.tenant, recorded.status, -1);
            tx.count(&operation.tenant, status, 1);
        }
        Ok(())
    }

    /// Its start time has come, and with it its place in the queue.
    fn queue_for_lock(&self, tx: &Tx<'_>, recorded: &Recorded) -> Result<(), Failure> {
        let operation = &self.0.split.operation;
        if let Some(key) = recorded.lock_key.as_ref().filter(|_| operation.queues_for_lock())
            && !locks::is_queued(tx, &operation.tenant, key, recorded.serial)?
        {
            locks::enqueue(tx, &operation.tenant, key, recorded.serial)?;
        }
        Ok(())
    }

    fn release_lock(&self, tx: &Tx<'_>, recorded: &Recorded) -> Result<Option<OperationId>, Failure> {
        let operation = &self.0.split.operation;
        let is_released = operation.end().is_some() || self.0.effects.contains(&Effect::ReleaseLock);
        match &recorded.lock_key {
            Some(key) if is_released => {
                locks::release(tx, &operation.tenant, key, recorded.serial, time::ceil(operation.updated_at))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn perform(&self, tx: &Tx<'_>, serial: i64) -> Result<(), Failure> {
        let operation = &self.0.split.operation;
        let at = operation.updated_at;
        for effect in &self.0.effects {
            match effect {
                // Work follows from the state, the end from the status; the lock was released already.
                Effect::Begin(_) | Effect::Finish | Effect::ReleaseLock => {}
                Effect::OpenAttention(note) => attention::open(tx, serial, &operation.tenant, note, at)?,
                Effect::CloseAttention { step, by, remark } => {
                    let closed = Closed { at, by: by.clone(), remark: remark.clone() };
                    attention::close_of_step(tx, serial, *step, &closed)?;
                }
                Effect::HoldTarget { target, reason } => {
                    let by = format!("operation {}", operation.id);
                    holds::insert(tx, &Hold { target: target.clone(), since: at, by, reason: reason.clone() })?;
                }
            }
        }
        Ok(())
    }

    fn end(&self, tx: &Tx<'_>, serial: i64) -> Result<(), Failure> {
        let operation = &self.0.split.operation;
        let ended_at = operation.end().map(|end| time::floor(end.at));
        let expires_at = record::expires_at(operation).map(time::floor);
        let update = "UPDATE operations SET ended_at = ?2, expires_at = ?3 WHERE serial = ?1";
        tx.execute(update, params![serial, ended_at, expires_at])?;
        let [callback, webhook] = Slot::LASTING.map(|slot| slot.to_string());
        let wipe = "DELETE FROM sealed WHERE operation = ?1 AND slot NOT IN (?2, ?3)";
        tx.execute(wipe, params![serial, callback, webhook])?;
        Ok(())
    }
}

pub(super) fn insert_bodies(tx: &Tx<'_>, serial: i64, bodies: &[(Slot, Bytes)]) -> Result<(), Failure> {
    let insert = "INSERT INTO bodies (operation, slot, octets) VALUES (?1, ?2, ?3)
                  ON CONFLICT DO UPDATE SET octets = excluded.octets";
    for (slot, octets) in bodies {
        tx.execute(insert, params![serial, slot.to_string(), &octets[..]])?;
    }
    Ok(())
}

pub(super) fn insert_sealed(tx: &Tx<'_>, serial: i64, sealed: &SealedMessages) -> Result<(), Failure> {
    let insert = "INSERT INTO sealed (operation, slot, key, box) VALUES (?1, ?2, ?3, ?4)
                  ON CONFLICT DO UPDATE SET key = excluded.key, box = excluded.box";
    for message in &sealed.messages {
        tx.execute(insert, params![serial, message.slot.to_string(), sealed.key_id, message.octets])?;
    }
    Ok(())
}

pub(super) fn insert_events(tx: &Tx<'_>, serial: i64, events: &[EventRow]) -> Result<(), Failure> {
    let insert = "INSERT INTO events (operation, at, event) VALUES (?1, ?2, ?3)";
    for event in events {
        tx.execute(insert, params![serial, event.at, event.json])?;
    }
    Ok(())
}
