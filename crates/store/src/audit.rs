//! The audit trail: who did what, when, from where, with which credential. Entries are only added; nothing changes one, and
//! nothing but retention deletes one.

use std::time::Duration;

use async_trait::async_trait;
use fanfold_core::access::audit::{Action, Outcome};
use fanfold_core::{OperationId, TargetName, TenantId};
use jiff::Timestamp;

use crate::{Error, Page, time};

/// Octets of each text of an entry at the most. What is beyond is cut off, which an ellipsis shows.
pub const AUDIT_TEXT_MAX: usize = 4 * 1024;

/// Adds to the trail.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Adds an entry, and gives its number. On disk when answered.
    async fn record_audit(&self, entry: NewAuditEntry) -> Result<AuditNumber, Error>;
}

/// Reads the trail.
#[async_trait]
pub trait ReadAudit: Send + Sync {
    /// One page of the entries that the filter lets through, in the order of their numbers.
    async fn audit(&self, filter: &AuditFilter, page: Page<AuditNumber>) -> Result<Vec<AuditEntry>, Error>;
}

/// Numbers all entries of a store in the order in which they were recorded. A number is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AuditNumber(pub u64);

/// An entry to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// When, by the clock of the node that records it: the times of entries are not always in the order of their numbers.
    pub at: Timestamp,
    /// Whose operations it is about; the house's own for what concerns the whole server.
    pub tenant: TenantId,
    /// Who did it, by the name that their credential has; what somebody called themselves who was refused.
    pub by: String,
    /// The kind of their credential, in one word.
    pub credential: String,
    /// The address that the request came from.
    pub from: String,
    /// What they did.
    pub action: Action,
    /// With which operation.
    pub operation: Option<OperationId>,
    /// With which target.
    pub target: Option<TargetName>,
    /// With what else: the id of a token, notice or note, the filter of a bulk action.
    pub subject: Option<String>,
    /// Their remark, or what else there is to tell.
    pub detail: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// A recorded entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number.
    pub number: AuditNumber,
    /// What was recorded.
    pub entry: NewAuditEntry,
}

/// Which entries a list shows: those that fit everything that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Whose; `None`: everybody's.
    pub tenant: Option<TenantId>,
    /// By this name.
    pub by: Option<String>,
    /// Of this action.
    pub action: Option<Action>,
    /// About this operation.
    pub operation: Option<OperationId>,
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// The entry as it is recorded: no text of it is longer than it may be.
pub(crate) fn bounded(entry: NewAuditEntry) -> NewAuditEntry {
    let outcome = match entry.outcome {
        Outcome::Refused { reason } => Outcome::Refused { reason: cut(reason) },
        Outcome::Asked | Outcome::Done => entry.outcome,
    };
    NewAuditEntry {
        by: cut(entry.by),
        credential: cut(entry.credential),
        from: cut(entry.from),
        subject: entry.subject.map(cut),
        detail: entry.detail.map(cut),
        outcome,
        ..entry
    }
}

fn cut(mut text: String) -> String {
    const ELLIPSIS: char = '…';
    if text.len() > AUDIT_TEXT_MAX {
        let room = AUDIT_TEXT_MAX - ELLIPSIS.len_utf8();
        let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push(ELLIPSIS);
    }
    text
}

/// Whatever was recorded by then, in microseconds, is kept no longer.
pub(crate) fn kept_no_longer(now: Timestamp, kept: Duration) -> i64 {
    time::floor(now).saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_off_between_characters() {
        let text = cut("é".repeat(AUDIT_TEXT_MAX));
        assert!(text.len() <= AUDIT_TEXT_MAX && text.ends_with("é…"), "{} octets", text.len());
        let fits = "x".repeat(AUDIT_TEXT_MAX);
        assert_eq!(cut(fits.clone()), fits);
    }
}
