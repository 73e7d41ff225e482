//! Rows to be written.

use bytes::Bytes;
use fanfold_core::{OperationId, Slot};
use uuid::Uuid;

use crate::NewNotice;

/// A new operation.
#[derive(Debug)]
pub(super) struct NewOperation {
    pub(super) id: OperationId,
    pub(super) tenant: String,
    pub(super) epoch: i64,
    pub(super) revision: i64,
    pub(super) status: &'static str,
    pub(super) phase: Option<&'static str>,
    pub(super) searched: String,
    pub(super) route: String,
    pub(super) dialect: &'static str,
    pub(super) mount: String,
    pub(super) owner: Option<String>,
    pub(super) verb: &'static str,
    pub(super) resource: String,
    pub(super) targets: String,
    pub(super) lane: String,
    pub(super) lock_key: Option<String>,
    pub(super) idempotency_key: Option<String>,
    pub(super) fingerprint: Option<Vec<u8>>,
    pub(super) retry_of: Option<Uuid>,
    pub(super) accepted_at: i64,
    pub(super) updated_at: i64,
    pub(super) wake_at: Option<i64>,
    pub(super) events: i32,
    pub(super) used: i64,
    pub(super) apart: String,
    pub(super) state: String,
    pub(super) policy: String,
    pub(super) plan: String,
}

/// The next state of an operation.
#[derive(Debug)]
pub(super) struct NextState {
    pub(super) id: OperationId,
    pub(super) revision: i64,
    pub(super) status: &'static str,
    pub(super) phase: Option<&'static str>,
    pub(super) searched: String,
    pub(super) updated_at: i64,
    pub(super) wake_at: Option<i64>,
    /// It came from a backup, and waits for a person.
    pub(super) restored: bool,
    pub(super) ended_at: Option<i64>,
    pub(super) expires_at: Option<i64>,
    /// By how much the number of open notes changes.
    pub(super) attention: i32,
    pub(super) events: i32,
    /// By how much what is recorded of it grows.
    pub(super) used: i64,
    pub(super) free_key: bool,
    pub(super) apart: String,
    pub(super) state: String,
}

#[derive(Debug)]
pub(super) struct NewEvent {
    pub(super) number: i64,
    pub(super) operation: OperationId,
    pub(super) sequence: i32,
    pub(super) at: i64,
    pub(super) json: String,
}

#[derive(Debug)]
pub(super) struct BodyRow {
    pub(super) operation: OperationId,
    pub(super) slot: Slot,
    pub(super) octets: Bytes,
}

#[derive(Debug)]
pub(super) struct SealedRow {
    pub(super) operation: OperationId,
    pub(super) slot: Slot,
    pub(super) key: String,
    pub(super) octets: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct LockRow {
    pub(super) tenant: String,
    pub(super) key: String,
    pub(super) turn: i64,
    pub(super) operation: OperationId,
}

#[derive(Debug)]
pub(super) struct NewNote {
    pub(super) id: i64,
    pub(super) tenant: String,
    pub(super) operation: OperationId,
    pub(super) step: Option<i32>,
    pub(super) target: Option<String>,
    pub(super) reason: &'static str,
    pub(super) detail: String,
    pub(super) opened_at: i64,
    pub(super) closed: Option<ClosedRow>,
}

/// How a note is closed; texts as they stand in columns.
#[derive(Debug, Clone)]
pub(super) struct ClosedRow {
    pub(super) at: i64,
    pub(super) by: String,
    pub(super) remark: Option<String>,
}

#[derive(Debug)]
pub(super) struct HoldRow {
    pub(super) target: String,
    pub(super) since: i64,
    pub(super) by: String,
    pub(super) reason: String,
}

#[derive(Debug)]
pub(super) struct NoticeRow {
    pub(super) number: i64,
    pub(super) tenant: String,
    pub(super) operation: OperationId,
    pub(super) epoch: i64,
    pub(super) notice: NewNotice,
    pub(super) headers: String,
    pub(super) created_at: i64,
}

/// What became of sending a notice.
#[derive(Debug)]
pub(super) struct NoticeState {
    pub(super) number: i64,
    pub(super) state: &'static str,
    /// How many more there were.
    pub(super) attempts: i32,
    /// `None`: as it was.
    pub(super) due_at: Option<i64>,
    pub(super) last_error: Option<String>,
    pub(super) settled_at: Option<i64>,
}

/// An entry of the audit trail.
#[derive(Debug)]
pub(super) struct AuditRow {
    pub(super) number: i64,
    pub(super) at: i64,
    pub(super) tenant: String,
    pub(super) by: String,
    pub(super) credential: String,
    pub(super) peer: String,
    pub(super) action: &'static str,
    pub(super) operation: Option<OperationId>,
    pub(super) target: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) outcome: &'static str,
    pub(super) reason: Option<String>,
}
