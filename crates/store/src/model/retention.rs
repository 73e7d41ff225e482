//! Deleting, and the size: here the octets of all records and bodies.

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::OperationId;
use jiff::Timestamp;

use super::{Model, Row, State, cut};
use crate::{Error, NoticeState, ReadSize, Retention, SWEEP_MAX, Size, Swept, record};

#[async_trait]
impl Retention for Model {
    async fn sweep(&self, now: Timestamp, batch: usize) -> Result<Swept, Error> {
        let batch = batch.min(SWEEP_MAX);
        let now = cut(now);
        let (mut state, _) = self.to_write()?;
        let mut doomed = state.deletable(|row| record::expires_at(&row.operation).map(cut).filter(|time| *time <= now));
        if self.limits.size_soft.is_some_and(|bound| state.takes_up_more_than(bound)) {
            let keep_min = self.limits.keep_min;
            let is_old = |end: &Timestamp| end.checked_add(keep_min).is_ok_and(|kept_until| kept_until <= now);
            let oldest = state.deletable(|row| row.operation.end().map(|end| cut(end.at)).filter(is_old));
            doomed.extend(oldest.into_iter().filter(|id| !doomed.contains(id)).collect::<Vec<_>>());
        }
        let more = doomed.len() > batch;
        doomed.truncate(batch);
        doomed.iter().for_each(|id| state.delete(*id));
        Ok(Swept { deleted: doomed.len(), more })
    }

    async fn sweep_access(&self, now: Timestamp, batch: usize) -> Result<Swept, Error> {
        let batch = batch.min(SWEEP_MAX);
        let (mut state, _) = self.to_write()?;
        let tokens = Swept::of(state.sweep_tokens(now, batch), batch);
        Ok(tokens.and(Swept::of(state.sweep_audit(now, self.limits.audit_kept, batch), batch)))
    }
}

impl State {
    /// The operations that may be deleted and have such a time, in its order.
    fn deletable(&self, time: impl Fn(&Row) -> Option<Timestamp>) -> Vec<OperationId> {
        let is_free = |id: OperationId| {
            !self.notes.values().any(|note| note.operation == id && note.closed.is_none())
                && !self.notices.values().any(|notice| notice.operation == id && notice.state == NoticeState::Pending)
        };
        let rows = self.operations.values().filter(|row| is_free(row.operation.id));
        let mut found: Vec<_> = rows.filter_map(|row| Some((time(row)?, row.operation.id))).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    fn delete(&mut self, id: OperationId) {
        let last = self.events.iter().rev().find(|event| event.operation == id).map(|event| event.number);
        if let (Some(row), Some(last)) = (self.operations.remove(&id), last) {
            let deleted_to = self.events_deleted.entry(row.operation.tenant).or_default();
            *deleted_to = last.max(*deleted_to);
        }
        self.events.retain(|event| event.operation != id);
        self.notes.retain(|_, note| note.operation != id);
        self.notices.retain(|_, notice| notice.operation != id);
        self.notice_nodes.retain(|number, _| self.notices.contains_key(number));
        self.asks.retain(|_, ask| ask.operation != id);
    }

    /// The octets of all records and bodies.
    pub(super) fn used(&self) -> u64 {
        self.operations.values().map(octets).sum()
    }

    /// As [`State::used`], but stops counting as soon as it knows.
    fn takes_up_more_than(&self, bound: u64) -> bool {
        let mut sums = self.operations.values().scan(0, |sum, row| {
            *sum += octets(row);
            Some(*sum)
        });
        sums.any(|sum| sum > bound)
    }
}

fn octets(row: &Row) -> u64 {
    let state = serde_json::to_vec(&row.operation).map_or(0, |json| json.len());
    let plan = serde_json::to_vec(&row.operation.plan).map_or(0, |json| json.len());
    let bodies: usize = row.bodies.values().map(Bytes::len).sum();
    (state + plan + bodies) as u64
}

#[async_trait]
impl ReadSize for Model {
    async fn size(&self) -> Result<Size, Error> {
        let used = self.state().used();
        Ok(Size { used, free: 0, log: 0, soft: self.limits.size_soft, hard: self.limits.size_hard })
    }

    fn trouble(&self) -> Option<Error> {
        None
    }
}
