//! What a batch has read, and what changes by it. Requests are decided on it one after the other, each on what those before it
//! have left.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use fanfold_core::operation::{Attention, Status};
use fanfold_core::{OperationId, PolicyHash, Slot, StepIndex, TargetName, TenantId};
use jiff::Timestamp;

use super::super::columns::{at_most, escaped, length};
use super::locks::Queue;
use super::rows::{
    AuditRow, BodyRow, ClosedRow, HoldRow, LockRow, NewEvent, NewNote, NewOperation, NextState, NoticeRow, NoticeState,
    SealedRow,
};
use crate::prepared::SealedMessages;
use crate::record::{EventRow, json};
use crate::sealing::SealedMessage;
use crate::{Closed, Error, KeyUse, Limits, NewNotice, time};

/// A tenant and the name of something of it, as it stands in a column.
pub(super) type Name = (String, String);

/// What has to be read.
#[derive(Debug, Default)]
pub(in super::super) struct Wanted {
    /// Also names what a request is about: no two requests about one operation are carried out together.
    pub(in super::super) operations: HashSet<OperationId>,
    /// Whose open operations are counted, where they are bounded.
    pub(super) tenants: BTreeSet<TenantId>,
    pub(super) keys: BTreeSet<Name>,
    pub(super) retries: Vec<(String, OperationId)>,
    /// How many places from the front of each queue.
    pub(super) locks: BTreeMap<Name, i64>,
    pub(super) members: HashSet<OperationId>,
    pub(super) notices: HashSet<String>,
    /// Whose open notes.
    pub(super) notes: HashSet<OperationId>,
    /// What is to be written, roughly.
    pub(in super::super) octets: usize,
}

impl Wanted {
    /// A request may take an operation out of the queue of this lock.
    pub(super) fn lock(&mut self, tenant: &TenantId, key: &str, operation: OperationId) {
        let name = (tenant.as_str().to_owned(), escaped(key).into_owned());
        // The holder, and the next one for each that may leave.
        *self.locks.entry(name).or_insert(1) += 1;
        self.members.insert(operation);
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(in super::super) struct Loaded {
    pub(super) counters: Counters,
    /// Operations that have not ended.
    pub(super) open: i64,
    /// Those of the tenants that have a bound of their own.
    pub(super) open_of: HashMap<String, i64>,
    pub(super) operations: HashMap<OperationId, Known>,
    pub(super) keys: HashMap<Name, KeyRow>,
    pub(super) retries: HashMap<(String, OperationId), OperationId>,
    pub(super) locks: HashMap<Name, Queue>,
    /// The turns of operations that stand in a queue.
    pub(super) turns: HashMap<OperationId, i64>,
    pub(super) notices: HashMap<String, KnownNotice>,
    pub(super) notes: HashMap<OperationId, Vec<(i64, Option<i32>)>>,
}

/// What is recorded of a notice.
#[derive(Debug)]
pub(super) struct KnownNotice {
    pub(super) number: i64,
    /// The node that sends it.
    pub(super) epoch: i64,
    pub(super) state: String,
}

/// Numbers that are given out, and what the records take up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) events: i64,
    pub(super) notes: i64,
    pub(super) notices: i64,
    pub(super) audit: i64,
    pub(super) used: i64,
}

/// What is recorded of an operation so far.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) epoch: i64,
    pub(super) revision: i64,
    pub(super) status: Status,
    pub(super) apart: BTreeSet<Slot>,
    pub(super) events: i32,
    pub(super) state_octets: i64,
    pub(super) claimed: bool,
}

#[derive(Debug, Clone)]
pub(super) struct KeyRow {
    pub(super) operation: OperationId,
    pub(super) fingerprint: Vec<u8>,
    /// It has not begun, so far as is recorded.
    pub(super) unexecuted: bool,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(in super::super) struct Changes {
    pub(super) epoch: i64,
    pub(super) operations: Vec<NewOperation>,
    pub(super) states: Vec<NextState>,
    /// Operations that were given a lock and are not among the others, and when they are due.
    pub(super) wakes: BTreeMap<OperationId, i64>,
    pub(super) claimed: Vec<OperationId>,
    pub(super) policies: Vec<(PolicyHash, String)>,
    pub(super) bodies: Vec<BodyRow>,
    pub(super) superseded: Vec<(OperationId, Slot)>,
    pub(super) sealed: Vec<SealedRow>,
    pub(super) ended: Vec<OperationId>,
    pub(super) events: Vec<NewEvent>,
    pub(super) locked: Vec<LockRow>,
    pub(super) released: Vec<LockRow>,
    pub(super) notes: Vec<NewNote>,
    pub(super) closed: Vec<(i64, ClosedRow)>,
    pub(super) holds: Vec<HoldRow>,
    pub(super) notices: Vec<NoticeRow>,
    pub(super) notice_states: Vec<NoticeState>,
    pub(super) audit: Vec<AuditRow>,
    pub(super) counts: BTreeMap<(String, &'static str), i64>,
    pub(super) counters: Counters,
    pub(super) counters_before: Counters,
}

impl Changes {
    pub(in super::super) fn new_policies(&self) -> Vec<PolicyHash> {
        self.policies.iter().map(|(hash, _)| hash.clone()).collect()
    }
}

/// What was read, and what changes.
pub(in super::super) struct Picture<'a> {
    pub(super) limits: &'a Limits,
    pub(super) loaded: Loaded,
    pub(super) changes: Changes,
    policies: &'a HashSet<PolicyHash>,
}

impl<'a> Picture<'a> {
    pub(in super::super) fn new(
        loaded: Loaded,
        limits: &'a Limits,
        epoch: u64,
        policies: &'a HashSet<PolicyHash>,
    ) -> Self {
        let (counters, counters_before) = (loaded.counters, loaded.counters);
        let changes = Changes { epoch: at_most(epoch), counters, counters_before, ..Changes::default() };
        Self { limits, loaded, changes, policies }
    }

    pub(in super::super) fn into_changes(self) -> Changes {
        self.changes
    }

    /// Whether the process is a node among others.
    pub(super) fn is_node(&self) -> bool {
        self.changes.epoch != 0
    }

    pub(super) fn knows_policy(&self, hash: &PolicyHash) -> bool {
        self.policies.contains(hash) || self.changes.policies.iter().any(|(known, _)| known == hash)
    }

    /// What an idempotency key was used for before.
    pub(super) fn key_use(&self, name: &Name, fingerprint: &[u8; 32]) -> Option<(KeyUse, bool)> {
        let known = self.loaded.keys.get(name)?;
        let is_same = known.fingerprint == fingerprint;
        let used = if is_same { KeyUse::Same(known.operation) } else { KeyUse::Other(known.operation) };
        Some((used, known.unexecuted))
    }

    /// How many operations have not ended of a tenant that has a bound of its own.
    pub(super) fn open_of(&self, tenant: &TenantId) -> u64 {
        let open = self.loaded.open_of.get(tenant.as_str()).copied().unwrap_or(0);
        u64::try_from(open).unwrap_or(0)
    }

    /// Notes that there is one operation of this status more (1) or less (-1).
    pub(super) fn count(&mut self, tenant: &TenantId, status: Status, change: i64) {
        *self.changes.counts.entry((tenant.as_str().to_owned(), status.as_str())).or_default() += change;
        if !status.is_terminal() {
            self.loaded.open += change;
            *self.loaded.open_of.entry(tenant.as_str().to_owned()).or_default() += change;
        }
    }

    /// Adds events after the `before` that the operation has; gives how many it has then, and their octets.
    pub(super) fn add_events(&mut self, operation: OperationId, before: i32, events: &[EventRow]) -> (i32, i64) {
        let (mut sequence, mut octets) = (before, 0);
        for event in events {
            self.changes.counters.events += 1;
            sequence += 1;
            octets += length(event.json.len());
            let number = self.changes.counters.events;
            self.changes.events.push(NewEvent { number, operation, sequence, at: event.at, json: event.json.clone() });
        }
        (sequence, octets)
    }

    pub(super) fn add_bodies(&mut self, operation: OperationId, bodies: &[(Slot, bytes::Bytes)]) -> i64 {
        let row = |(slot, octets): &(Slot, bytes::Bytes)| BodyRow { operation, slot: *slot, octets: octets.clone() };
        self.changes.bodies.extend(bodies.iter().map(row));
        bodies.iter().map(|(_, octets)| length(octets.len())).sum()
    }

    pub(super) fn add_sealed(&mut self, operation: OperationId, sealed: &SealedMessages) {
        let row = |message: &SealedMessage| SealedRow {
            operation,
            slot: message.slot,
            key: sealed.key_id.clone(),
            octets: message.octets.clone(),
        };
        self.changes.sealed.extend(sealed.messages.iter().map(row));
    }

    /// Opens a note.
    pub(super) fn open_note(&mut self, (tenant, operation): (&TenantId, OperationId), note: &Attention, at: Timestamp) {
        self.changes.counters.notes += 1;
        let (id, step) = (self.changes.counters.notes, note.step.map(|step| i32::from(step.0)));
        self.changes.notes.push(NewNote {
            id,
            tenant: tenant.as_str().to_owned(),
            operation,
            step,
            target: note.target.as_ref().map(TargetName::as_str).map(str::to_owned),
            reason: note.reason.as_str(),
            detail: escaped(&note.detail).into_owned(),
            opened_at: time::floor(at),
            closed: None,
        });
        self.loaded.notes.entry(operation).or_default().push((id, step));
    }

    /// Closes what is open about one step, or about the operation as a whole; gives how many notes that were.
    pub(super) fn close_notes(&mut self, operation: OperationId, step: Option<StepIndex>, closed: &Closed) -> i32 {
        let Some(open) = self.loaded.notes.get_mut(&operation) else { return 0 };
        let step = step.map(|step| i32::from(step.0));
        let ids: Vec<i64> = open.iter().filter(|(_, of)| *of == step).map(|(id, _)| *id).collect();
        open.retain(|(_, of)| *of != step);
        let row = ClosedRow {
            at: time::floor(closed.at),
            by: escaped(&closed.by).into_owned(),
            remark: closed.remark.as_deref().map(|remark| escaped(remark).into_owned()),
        };
        for id in &ids {
            match self.changes.notes.iter_mut().find(|note| note.id == *id) {
                Some(new) => new.closed = Some(row.clone()),
                None => self.changes.closed.push((*id, row.clone())),
            }
        }
        i32::try_from(ids.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn add_hold(&mut self, target: &TargetName, since: Timestamp, by: &str, reason: &str) {
        let (by, reason) = (escaped(by).into_owned(), escaped(reason).into_owned());
        let target = target.as_str().to_owned();
        self.changes.holds.push(HoldRow { target, since: time::floor(since), by, reason });
    }

    /// Refuses a notice whose id is taken.
    pub(super) fn refuse_known(&self, notices: &[NewNotice]) -> Result<(), Error> {
        match notices.iter().find(|notice| self.loaded.notices.contains_key(&notice.id.0)) {
            Some(known) => Err(Error::invalid(format!("there is a notice {} already", known.id))),
            None => Ok(()),
        }
    }

    /// Gives their octets.
    pub(super) fn add_notices(
        &mut self,
        (tenant, operation): (&TenantId, OperationId),
        notices: &[NewNotice],
        created_at: i64,
    ) -> Result<i64, Error> {
        let mut octets = 0;
        for notice in notices {
            self.changes.counters.notices += 1;
            let (number, epoch) = (self.changes.counters.notices, self.changes.epoch);
            let headers = json(&notice.headers)?;
            octets += length(notice.body.len() + headers.len());
            let known = KnownNotice { number, epoch, state: crate::NoticeState::Pending.as_str().to_owned() };
            self.loaded.notices.insert(notice.id.0.clone(), known);
            let tenant = tenant.as_str().to_owned();
            let notice = notice.clone();
            self.changes.notices.push(NoticeRow { number, tenant, operation, epoch, notice, headers, created_at });
        }
        Ok(octets)
    }
}
