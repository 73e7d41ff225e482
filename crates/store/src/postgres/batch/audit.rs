//! Adding to the audit trail.

use super::super::columns::escaped;
use super::Write;
use super::picture::{Picture, Wanted};
use super::rows::AuditRow;
use crate::{AuditNumber, Error, NewAuditEntry, time};

pub(in super::super) struct AuditWrite(pub(in super::super) NewAuditEntry);

impl Write for AuditWrite {
    type Answer = AuditNumber;

    fn wants(&self, wanted: &mut Wanted) {
        let texts = [Some(&self.0.by), self.0.subject.as_ref(), self.0.detail.as_ref()];
        wanted.octets += texts.into_iter().flatten().map(String::len).sum::<usize>();
    }

    fn decide(&self, picture: &mut Picture<'_>) -> Result<AuditNumber, Error> {
        let entry = &self.0;
        picture.changes.counters.audit += 1;
        let number = picture.changes.counters.audit;
        let text = |text: &str| escaped(text).into_owned();
        let optional = |given: Option<&str>| given.map(text);
        picture.changes.audit.push(AuditRow {
            number,
            at: time::floor(entry.at),
            tenant: text(entry.tenant.as_str()),
            by: text(&entry.by),
            credential: text(&entry.credential),
            peer: text(&entry.from),
            action: entry.action.as_str(),
            operation: entry.operation,
            target: optional(entry.target.as_ref().map(|target| target.as_str())),
            subject: optional(entry.subject.as_deref()),
            detail: optional(entry.detail.as_deref()),
            outcome: entry.outcome.as_str(),
            reason: optional(entry.outcome.reason()),
        });
        Ok(AuditNumber(number.unsigned_abs()))
    }
}
