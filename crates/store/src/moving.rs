//! Moving everything from one store into another: the rows as they stand between the two. They are read from a database in a
//! file ([`crate::sqlite::Source`]) and written to one that nodes share ([`crate::postgres::Destination`]).
//!
//! Operations go in the order of their ids, a batch at a time; what hangs on one goes with it. The audit trail follows, in
//! batches of its own. Whatever belongs to no single operation, or would have to be looked for, goes at the end ([`Rest`]).

use fanfold_core::access::TokenId;
use fanfold_core::{OperationId, Slot};
use sha2::{Digest as _, Sha256};

use crate::AuditNumber;
use crate::record::hex;
use crate::sealing::FingerprintKey;

/// Operations of one batch at the most.
pub(crate) const BATCH_MAX: usize = 500;

/// Entries of the audit trail of one batch at the most.
pub(crate) const AUDIT_BATCH_MAX: usize = 5_000;

/// From so many octets on a batch takes nothing further.
pub(crate) const BATCH_OCTETS: usize = 8 * 1024 * 1024;

/// Some operations, with all that hangs on them.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) operations: Vec<OperationRow>,
    pub(crate) bodies: Vec<BodyRow>,
    pub(crate) originals: Vec<OriginalRow>,
    pub(crate) events: Vec<EventRow>,
    pub(crate) notes: Vec<NoteRow>,
    pub(crate) notices: Vec<NoticeRow>,
    /// What is in memory of it, roughly.
    pub(crate) octets: usize,
}

impl Batch {
    /// The last operation; `None`: there are no more.
    pub fn last(&self) -> Option<OperationId> {
        self.operations.last().map(|row| row.id)
    }

    /// How many operations.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there are no more.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.operations.len() >= BATCH_MAX || self.octets >= BATCH_OCTETS
    }
}

/// Texts are as they were chosen, times are microseconds.
#[derive(Debug)]
pub(crate) struct OperationRow {
    pub(crate) id: OperationId,
    pub(crate) tenant: String,
    pub(crate) revision: i64,
    pub(crate) status: String,
    pub(crate) route: String,
    pub(crate) dialect: String,
    pub(crate) mount: String,
    pub(crate) owner: Option<String>,
    pub(crate) verb: String,
    pub(crate) resource: String,
    pub(crate) targets: String,
    pub(crate) lane: String,
    pub(crate) lock_key: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) fingerprint: Option<Vec<u8>>,
    pub(crate) retry_of: Option<OperationId>,
    pub(crate) accepted_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) wake_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) attention: i32,
    pub(crate) events: i32,
    /// Octets of everything that is recorded of it.
    pub(crate) used: i64,
    pub(crate) phase: Option<String>,
    pub(crate) searched: String,
    pub(crate) apart: String,
    pub(crate) state: String,
    pub(crate) policy: String,
    pub(crate) plan: String,
}

#[derive(Debug)]
pub(crate) struct BodyRow {
    pub(crate) operation: OperationId,
    pub(crate) slot: String,
    pub(crate) octets: Vec<u8>,
}

/// The original of a redacted message, opened.
#[derive(Debug)]
pub(crate) struct OriginalRow {
    pub(crate) operation: OperationId,
    pub(crate) tenant: String,
    pub(crate) slot: Slot,
    pub(crate) octets: bytes::Bytes,
}

#[derive(Debug)]
pub(crate) struct EventRow {
    pub(crate) number: i64,
    pub(crate) operation: OperationId,
    pub(crate) sequence: i32,
    pub(crate) at: i64,
    pub(crate) event: String,
}

#[derive(Debug)]
pub(crate) struct NoteRow {
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) operation: OperationId,
    pub(crate) step: Option<i32>,
    pub(crate) target: Option<String>,
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) opened_at: i64,
    pub(crate) closed_at: Option<i64>,
    pub(crate) closed_by: Option<String>,
    pub(crate) remark: Option<String>,
}

#[derive(Debug)]
pub(crate) struct NoticeRow {
    pub(crate) number: i64,
    pub(crate) id: String,
    pub(crate) tenant: String,
    pub(crate) operation: OperationId,
    pub(crate) state: String,
    pub(crate) kind: String,
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) receiver: String,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
    pub(crate) attempts: i32,
    pub(crate) due_at: i64,
    pub(crate) last_error: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) settled_at: Option<i64>,
}

/// What goes when all operations are there.
#[derive(Debug)]
pub struct Rest {
    pub(crate) policies: Vec<(String, String)>,
    pub(crate) locks: Vec<LockRow>,
    pub(crate) holds: Vec<HoldRow>,
    pub(crate) tokens: Vec<TokenRow>,
    /// Tenants, and the highest number of an event that was deleted.
    pub(crate) events_deleted: Vec<(String, i64)>,
    /// The last numbers that were given out.
    pub(crate) counters: Counters,
    /// What repeated requests are recognised by.
    pub(crate) fingerprints: FingerprintKey,
}

#[derive(Debug)]
pub(crate) struct LockRow {
    pub(crate) tenant: String,
    pub(crate) key: String,
    pub(crate) turn: i64,
    pub(crate) operation: OperationId,
}

#[derive(Debug)]
pub(crate) struct HoldRow {
    pub(crate) target: String,
    pub(crate) since: i64,
    pub(crate) by: String,
    pub(crate) reason: String,
}

#[derive(Debug)]
pub(crate) struct TokenRow {
    pub(crate) id: TokenId,
    pub(crate) tenant: String,
    pub(crate) name: String,
    pub(crate) access: String,
    pub(crate) digest: Vec<u8>,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    pub(crate) expires_at: Option<i64>,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) revoked_by: Option<String>,
    pub(crate) last_used_at: Option<i64>,
}

/// Some entries of the audit trail.
#[derive(Debug, Default)]
pub struct AuditBatch {
    pub(crate) entries: Vec<AuditRow>,
    /// What is in memory of it, roughly.
    pub(crate) octets: usize,
}

impl AuditBatch {
    /// The last entry; `None`: there are no more.
    pub fn last(&self) -> Option<AuditNumber> {
        self.entries.last().map(|row| AuditNumber(row.number.unsigned_abs()))
    }

    /// Whether there are no more.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn add(&mut self, row: AuditRow) {
        self.octets += row.texts().into_iter().flatten().map(str::len).sum::<usize>();
        self.entries.push(row);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= AUDIT_BATCH_MAX || self.octets >= BATCH_OCTETS
    }
}

#[derive(Debug)]
pub(crate) struct AuditRow {
    pub(crate) number: i64,
    pub(crate) at: i64,
    pub(crate) tenant: String,
    pub(crate) by: String,
    pub(crate) credential: String,
    pub(crate) peer: String,
    pub(crate) action: String,
    pub(crate) operation: Option<OperationId>,
    pub(crate) target: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) outcome: String,
    pub(crate) reason: Option<String>,
}

impl AuditRow {
    fn texts(&self) -> [Option<&str>; 10] {
        let given = [&self.tenant, &self.by, &self.credential, &self.peer, &self.action, &self.outcome];
        let [tenant, by, credential, peer, action, outcome] = given.map(|text| Some(text.as_str()));
        let perhaps = [&self.target, &self.subject, &self.detail, &self.reason];
        let [target, subject, detail, reason] = perhaps.map(Option::as_deref);
        [tenant, by, credential, peer, action, outcome, target, subject, detail, reason]
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) events: i64,
    pub(crate) notes: i64,
    pub(crate) notices: i64,
    /// How often tokens were changed.
    pub(crate) tokens: i64,
    pub(crate) audit: i64,
}

/// The tables whose rows are counted in both stores.
pub(crate) const TABLES: [&str; 13] = [
    "operations",
    "plans",
    "policies",
    "bodies",
    "sealed",
    "events",
    "events_deleted",
    "locks",
    "attention",
    "notices",
    "holds",
    "tokens",
    "audit",
];

/// How much there is in a store, and a checksum of what an export does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Rows of each table.
    pub rows: Vec<(&'static str, u64)>,
    /// Operations of each tenant and status, as they were counted while they changed.
    pub counts: Vec<(String, String, u64)>,
    /// Over idempotency keys, their fingerprints, what decides about deletion, originals, tokens, and the audit trail.
    pub hidden: String,
}

/// The checksum of what an export does not show. Every part is preceded by its length, so no two contents look the same.
#[derive(Debug, Default)]
pub(crate) struct Hidden(Sha256);

impl Hidden {
    pub(crate) fn operation(
        &mut self,
        id: OperationId,
        (key, fingerprint): (Option<&str>, Option<&[u8]>),
        times: [Option<i64>; 2],
    ) {
        self.part(id.as_bytes());
        self.part(key.unwrap_or_default().as_bytes());
        self.part(fingerprint.unwrap_or_default());
        for time in times {
            self.time(time);
        }
    }

    pub(crate) fn original(&mut self, id: OperationId, slot: Slot, octets: &[u8]) {
        self.part(id.as_bytes());
        self.part(slot.to_string().as_bytes());
        self.part(octets);
    }

    pub(crate) fn token(&mut self, row: &TokenRow) {
        self.part(row.id.as_bytes());
        for text in [&row.tenant, &row.name, &row.access, &row.created_by] {
            self.part(text.as_bytes());
        }
        self.part(&row.digest);
        self.part(row.revoked_by.as_deref().unwrap_or_default().as_bytes());
        for time in [Some(row.created_at), row.expires_at, row.revoked_at, row.last_used_at] {
            self.time(time);
        }
    }

    pub(crate) fn entry(&mut self, row: &AuditRow) {
        self.part(&row.number.to_be_bytes());
        self.part(&row.at.to_be_bytes());
        self.part(row.operation.as_ref().map_or(&[], |id| id.as_bytes()));
        for text in row.texts() {
            // One that is not given is told from an empty one.
            self.part(&[u8::from(text.is_some())]);
            self.part(text.unwrap_or_default().as_bytes());
        }
    }

    fn time(&mut self, micros: Option<i64>) {
        self.part(&micros.map(i64::to_be_bytes).map_or(Vec::new(), Vec::from));
    }

    fn part(&mut self, octets: &[u8]) {
        self.0.update((octets.len() as u64).to_be_bytes());
        self.0.update(octets);
    }

    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}
