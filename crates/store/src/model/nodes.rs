//! Nodes: handles that share the state.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use fanfold_core::{Event, OperationId};
use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;

use super::{Ask, Model, NO_NODE, State, cut};
use crate::{
    ADOPT_MAX, Adopted, Answer, AskNumber, Asked, Change, Epoch, Error, EventNumber, NEWS_MAX, NewNode, News, Node,
    Nodes, NoticeState, PermitShare, PermitWish, Standing, WISHES_MAX, Word,
};

#[async_trait]
impl Nodes for Model {
    async fn join(&self, node: NewNode) -> Result<Epoch, Error> {
        let mut state = self.state();
        state.epochs_total += 1;
        let epoch = Epoch(state.epochs_total);
        let joined_at = cut(node.joined_at);
        let node = NewNode { joined_at, ..node };
        state.nodes.insert(epoch, Node { epoch, node, beat: 0, beat_at: joined_at, standing: Standing::Member });
        // Under the lock, so that nothing is written half as the one and half as the other.
        self.epoch.store(epoch.0, Ordering::SeqCst);
        Ok(epoch)
    }

    async fn beat(&self, now: Timestamp, configuration: &str) -> Result<Vec<Node>, Error> {
        let mut state = self.state();
        let own = state.nodes.get_mut(&self.epoch()).filter(|node| node.standing == Standing::Member);
        let own = own.ok_or(Error::Fenced)?;
        own.beat += 1;
        own.beat_at = cut(now);
        configuration.clone_into(&mut own.node.configuration);
        Ok(state.nodes.values().cloned().collect())
    }

    async fn fence(&self, epoch: Epoch, beat: u64) -> Result<Change, Error> {
        let (mut state, _) = self.to_write()?;
        let is_silent = |node: &&mut Node| node.standing == Standing::Member && node.beat == beat;
        match state.nodes.get_mut(&epoch).filter(is_silent) {
            Some(node) => {
                node.standing = Standing::Fenced;
                Ok(Change::Made)
            }
            None => Ok(Change::AlreadySo),
        }
    }

    async fn leave(&self) -> Result<(), Error> {
        let mut state = self.state();
        let own = state.nodes.get_mut(&self.epoch()).filter(|node| node.standing == Standing::Member);
        own.into_iter().for_each(|node| node.standing = Standing::Left);
        Ok(())
    }

    async fn adopt(&self, now: Timestamp, limit: usize) -> Result<Adopted, Error> {
        let (mut state, epoch) = self.to_write()?;
        Ok(state.adopt(epoch, cut(now), limit.clamp(1, ADOPT_MAX)))
    }

    async fn adopted_at(&self, id: OperationId) -> Result<Option<Timestamp>, Error> {
        Ok(self.state().operations.get(&id).and_then(|row| row.adopted_at))
    }

    async fn share_permits(&self, wishes: Vec<PermitWish>) -> Result<Vec<PermitShare>, Error> {
        let (mut state, epoch) = self.to_write()?;
        if epoch == NO_NODE {
            return Err(Error::Fenced);
        }
        Ok(wishes.iter().take(WISHES_MAX).map(|wish| state.share_out(wish, epoch)).collect())
    }

    async fn news(&self, after: EventNumber) -> Result<News, Error> {
        let state = self.state();
        let mut news = News { upto: after, ..News::default() };
        let mut seen = BTreeSet::new();
        for event in state.events.iter().filter(|event| event.number > after).take(NEWS_MAX) {
            news.upto = event.number;
            if seen.insert(event.operation) {
                news.changed.push(event.operation);
            }
        }
        news.more = state.events.last().is_some_and(|last| last.number > news.upto);
        let epoch = self.epoch();
        let is_own = |ask: &Ask| state.operations.get(&ask.operation).is_some_and(|row| row.node == epoch);
        let asked = state.asks.iter().filter(|(_, ask)| ask.answer.is_none() && is_own(ask)).take(NEWS_MAX);
        news.asked = asked
            .map(|(number, ask)| Asked { number: *number, operation: ask.operation, event: ask.event.clone() })
            .collect();
        Ok(news)
    }

    async fn word(&self) -> Word {
        let mut heard = self.heard.lock().await;
        loop {
            match heard.recv().await {
                Ok((by, word)) if by != self.epoch() => return word,
                Ok(_) => {}
                // Some are lost; what they said is to be looked for.
                Err(RecvError::Lagged(_)) => return Word::News,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    async fn say(&self, word: Word) -> Result<(), Error> {
        // That nobody listens is no error.
        drop(self.said.send((self.epoch(), word)));
        Ok(())
    }

    async fn ask(&self, operation: OperationId, event: Event) -> Result<AskNumber, Error> {
        let mut state = self.state();
        if !state.operations.contains_key(&operation) {
            return Err(Error::operation_not_found(operation));
        }
        state.asks_total += 1;
        let number = AskNumber(state.asks_total);
        state.asks.insert(number, Ask { operation, event, answer: None });
        Ok(number)
    }

    async fn answer(&self, number: AskNumber) -> Result<Option<Answer>, Error> {
        let mut state = self.state();
        let answer = state.asks.get(&number).and_then(|ask| ask.answer.clone());
        if answer.is_some() {
            state.asks.remove(&number);
        }
        Ok(answer)
    }

    async fn take_back(&self, number: AskNumber) -> Result<bool, Error> {
        let mut state = self.state();
        let is_open = state.asks.get(&number).is_some_and(|ask| ask.answer.is_none());
        if is_open {
            state.asks.remove(&number);
        }
        Ok(is_open)
    }

    async fn reply(&self, number: AskNumber, answer: Answer) -> Result<(), Error> {
        if let Some(ask) = self.state().asks.get_mut(&number) {
            ask.answer = Some(answer);
        }
        Ok(())
    }
}

impl State {
    fn adopt(&mut self, epoch: Epoch, now: Timestamp, limit: usize) -> Adopted {
        let gone = |nodes: &std::collections::BTreeMap<Epoch, Node>, owner: Epoch| {
            // What was recorded by a process that was no node belongs to nobody.
            owner == NO_NODE || nodes.get(&owner).is_some_and(|node| node.standing != Standing::Member)
        };
        let rows = self.operations.values_mut().filter(|row| row.is_open() && gone(&self.nodes, row.node));
        let mut operations = 0;
        for row in rows.take(limit) {
            row.node = epoch;
            row.adopted_at = Some(now);
            operations += 1;
        }
        let notices = &self.notices;
        let is_pending = |number: &u64| notices.get(number).is_some_and(|notice| notice.state == NoticeState::Pending);
        let pending = self.notice_nodes.iter_mut().filter(|(number, _)| is_pending(number));
        let mut taken = 0;
        for (_, node) in pending.filter(|(_, node)| gone(&self.nodes, **node)).take(limit) {
            *node = epoch;
            taken += 1;
        }
        let more = operations == limit || taken == limit;
        if !more {
            self.nodes.retain(|_, node| node.standing == Standing::Member);
            self.forget_permits();
        }
        Adopted { operations, more }
    }
}
