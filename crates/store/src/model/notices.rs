//! Notices.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::list::cut_page;
use super::{Model, State, cut};
use crate::{
    DUE_MAX, DueNotices, Error, Notice, NoticeFilter, NoticeId, NoticeOutcome, NoticeState, Outbox, OutboxState, Page,
    ReadNotices, time,
};

#[async_trait]
impl Outbox for Model {
    async fn due_notices(&self, wanted: DueNotices) -> Result<Vec<Notice>, Error> {
        let state = self.state();
        let epoch = self.epoch();
        let pending = || state.notices.values().filter(|notice| notice.state == NoticeState::Pending);
        let is_own = |notice: &&Notice| state.notice_nodes.get(&notice.number) == Some(&epoch);
        let is_first = |notice: &&Notice| {
            !pending().any(|other| {
                other.operation == notice.operation
                    && other.notice.receiver == notice.notice.receiver
                    && other.number < notice.number
            })
        };
        let mut receivers: BTreeMap<(bool, &str), Vec<&Notice>> = BTreeMap::new();
        for notice in pending().filter(is_own).filter(|notice| notice.notice.due_at <= wanted.now).filter(is_first) {
            let receiver = notice.notice.receiver.as_str();
            receivers.entry((receiver <= wanted.after.as_str(), receiver)).or_default().push(notice);
        }
        let mut due = Vec::new();
        for (_, mut of_receiver) in receivers {
            of_receiver.sort_by_key(|notice| (notice.notice.due_at, notice.number));
            due.extend(of_receiver.into_iter().take(wanted.each).cloned());
        }
        due.truncate(wanted.limit.min(DUE_MAX));
        Ok(due)
    }

    async fn next_notice(&self, after: Timestamp) -> Result<Option<Timestamp>, Error> {
        let state = self.state();
        let epoch = self.epoch();
        let is_own = |notice: &&Notice| state.notice_nodes.get(&notice.number) == Some(&epoch);
        let pending = state.notices.values().filter(|notice| notice.state == NoticeState::Pending).filter(is_own);
        Ok(pending.map(|notice| notice.notice.due_at).filter(|due_at| *due_at > after).min())
    }

    async fn record_notice(&self, id: &NoticeId, outcome: NoticeOutcome) -> Result<(), Error> {
        let (mut state, epoch) = self.to_write()?;
        let number = state.notice_of_state(id, NoticeState::Pending)?.number;
        if state.notice_nodes.get(&number) != Some(&epoch) {
            return Err(Error::Conflict);
        }
        let notice = state.notice_of_state(id, NoticeState::Pending)?;
        notice.attempts += 1;
        match outcome {
            NoticeOutcome::Delivered { at } => {
                notice.state = NoticeState::Delivered;
                notice.settled_at = Some(cut(at));
                notice.last_error = None;
            }
            NoticeOutcome::Failed { error, again_at } => {
                notice.last_error = Some(error);
                notice.notice.due_at = round_up(again_at);
            }
            NoticeOutcome::Dead { error, at } => {
                notice.state = NoticeState::Dead;
                notice.last_error = Some(error);
                notice.settled_at = Some(cut(at));
            }
        }
        Ok(())
    }

    async fn replay_notice(&self, id: &NoticeId, at: Timestamp) -> Result<(), Error> {
        let (mut state, epoch) = self.to_write()?;
        let notice = state.notice_of_state(id, NoticeState::Dead)?;
        notice.state = NoticeState::Pending;
        notice.attempts = 0;
        notice.settled_at = None;
        notice.notice.due_at = round_up(at);
        let number = notice.number;
        state.notice_nodes.insert(number, epoch);
        Ok(())
    }
}

fn round_up(at: Timestamp) -> Timestamp {
    time::timestamp(time::ceil(at)).unwrap_or(Timestamp::MAX)
}

impl State {
    fn notice_of_state(&mut self, id: &NoticeId, state: NoticeState) -> Result<&mut Notice, Error> {
        let found = self.notices.values_mut().find(|notice| notice.notice.id == *id);
        let notice = found.ok_or_else(|| Error::NotFound { what: format!("notice {id}") })?;
        if notice.state == state { Ok(notice) } else { Err(Error::Conflict) }
    }
}

#[async_trait]
impl ReadNotices for Model {
    async fn notices(&self, filter: &NoticeFilter, page: Page<u64>) -> Result<Vec<Notice>, Error> {
        let state = self.state();
        let lets_through = |notice: &Notice| {
            notice.tenant == filter.tenant
                && state.is_meant(&filter.scope, notice.operation)
                && filter.state.is_none_or(|state| state == notice.state)
                && filter.first.is_none_or(|first| notice.number >= first)
                && filter.operation.is_none_or(|operation| operation == notice.operation)
        };
        Ok(cut_page(state.notices.iter().filter(|(_, notice)| lets_through(notice)), page)
            .into_iter()
            .cloned()
            .collect())
    }

    async fn outbox(&self) -> Result<OutboxState, Error> {
        let state = self.state();
        let of = |wanted| state.notices.values().filter(move |notice| notice.state == wanted);
        let dead = of(NoticeState::Dead).count();
        Ok(OutboxState {
            oldest_pending: of(NoticeState::Pending).map(|notice| notice.created_at).min(),
            dead: u64::try_from(dead).unwrap_or(u64::MAX),
        })
    }

    async fn notice(&self, id: &NoticeId) -> Result<Option<Notice>, Error> {
        Ok(self.state().notices.values().find(|notice| notice.notice.id == *id).cloned())
    }
}
