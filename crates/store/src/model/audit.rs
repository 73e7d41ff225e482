//! The audit trail.

use async_trait::async_trait;
use jiff::Timestamp;

use super::list::cut_page;
use super::{Model, State, cut};
use crate::audit::{bounded, kept_no_longer};
use crate::{Audit, AuditEntry, AuditFilter, AuditNumber, Error, NewAuditEntry, Page, ReadAudit, time};

#[async_trait]
impl Audit for Model {
    async fn record_audit(&self, entry: NewAuditEntry) -> Result<AuditNumber, Error> {
        let (mut state, _) = self.to_write()?;
        state.audit_total += 1;
        let number = AuditNumber(state.audit_total);
        let entry = NewAuditEntry { at: cut(entry.at), ..bounded(entry) };
        state.audit.insert(number, AuditEntry { number, entry });
        Ok(number)
    }
}

#[async_trait]
impl ReadAudit for Model {
    async fn audit(&self, filter: &AuditFilter, page: Page<AuditNumber>) -> Result<Vec<AuditEntry>, Error> {
        let state = self.state();
        let fitting = state.audit.iter().filter(|(_, found)| lets_through(filter, &found.entry));
        Ok(cut_page(fitting, page).into_iter().cloned().collect())
    }
}

fn lets_through(filter: &AuditFilter, entry: &NewAuditEntry) -> bool {
    filter.tenant.as_ref().is_none_or(|tenant| *tenant == entry.tenant)
        && filter.by.as_ref().is_none_or(|by| *by == entry.by)
        && filter.action.is_none_or(|action| action == entry.action)
        && filter.operation.is_none_or(|operation| entry.operation == Some(operation))
        && filter.since.is_none_or(|since| time::floor(entry.at) >= time::floor(since))
        && filter.until.is_none_or(|until| time::floor(entry.at) < time::floor(until))
}

impl State {
    /// Deletes entries that are kept no longer; gives how many those are, those beyond `batch` among them.
    pub(super) fn sweep_audit(&mut self, now: Timestamp, kept: std::time::Duration, batch: usize) -> usize {
        let until = kept_no_longer(now, kept);
        let all = self.audit.values().map(|found| (time::floor(found.entry.at), found.number));
        let mut old: Vec<_> = all.filter(|(at, _)| *at <= until).collect();
        old.sort_unstable();
        old.iter().take(batch).for_each(|(_, number)| drop(self.audit.remove(number)));
        old.len()
    }
}
