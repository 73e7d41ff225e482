//! Reading operations and their history.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::dialect::Bodies;
use fanfold_core::operation::phase;
use fanfold_core::{Operation, OperationId, Scope, Slot, TenantId};

use super::{Model, Row, State};
use crate::{
    Backlog, Counts, Error, EventNumber, Events, Filter, IdempotencyKey, KeyUse, LIST_MAX, Order, Page, ReadHistory,
    ReadOperations, Recorded, searched, time,
};

#[async_trait]
impl ReadOperations for Model {
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, Error> {
        Ok(self.state().operations.get(&id).map(|row| row.operation.clone()))
    }

    async fn operation_of(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>, Error> {
        Ok(self.operation(id).await?.filter(|operation| operation.tenant == *tenant))
    }

    async fn bodies(&self, id: OperationId) -> Result<Bodies, Error> {
        Ok(self.state().operations.get(&id).map(|row| row.bodies.clone()).unwrap_or_default())
    }

    async fn body(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        Ok(self.state().operations.get(&id).and_then(|row| row.bodies.get(&slot).cloned()))
    }

    async fn list(&self, filter: &Filter, page: Page<OperationId>) -> Result<Vec<Operation>, Error> {
        let state = self.state();
        let fitting = state.operations.iter().filter(|(_, row)| state.lets_through(filter, row));
        Ok(cut_page(fitting, page).into_iter().map(|row| row.operation.clone()).collect())
    }

    async fn place(
        &self,
        tenant: &TenantId,
        after: Option<OperationId>,
        places: usize,
    ) -> Result<Option<OperationId>, Error> {
        let state = self.state();
        let older = state.operations.iter().rev().filter(|(id, _)| after.is_none_or(|after| **id < after));
        let mut of_tenant = older.filter(|(_, row)| row.operation.tenant == *tenant);
        Ok(of_tenant.nth(places.saturating_sub(1)).map(|(id, _)| *id))
    }

    async fn counts(&self, tenant: Option<&TenantId>) -> Result<Counts, Error> {
        let mut counts = Counts::new();
        for row in self.state().operations.values() {
            if tenant.is_none_or(|tenant| *tenant == row.operation.tenant) {
                *counts.entry(row.operation.status()).or_default() += 1;
            }
        }
        Ok(counts)
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        let counts = self.counts(None).await?;
        let state = self.state();
        let mut oldest = BTreeMap::new();
        for operation in state.operations.values().map(|row| &row.operation) {
            let status = operation.status();
            if !status.is_terminal() {
                let accepted_at = oldest.entry(status).or_insert(operation.accepted_at);
                *accepted_at = operation.accepted_at.min(*accepted_at);
            }
        }
        let mut attention = BTreeMap::new();
        for note in state.notes.values().filter(|note| note.closed.is_none()).take(Backlog::NOTES_MAX) {
            *attention.entry(note.attention.reason).or_default() += 1;
        }
        Ok(Backlog { counts, oldest, attention })
    }

    async fn key_use(&self, tenant: &TenantId, idempotency: &IdempotencyKey) -> Result<Option<KeyUse>, Error> {
        // Only what a node claims is written.
        let (mut state, epoch) = self.to_write()?;
        let used = state.key_use(tenant, idempotency);
        used.into_iter().for_each(|used| state.claim(used, epoch));
        Ok(used)
    }
}

/// The entries of one page, taken from all entries in ascending order of their keys.
pub(super) fn cut_page<'a, K: Copy + Ord + 'a, V>(
    all: impl DoubleEndedIterator<Item = (&'a K, &'a V)>,
    page: Page<K>,
) -> Vec<&'a V> {
    let limit = page.limit.min(LIST_MAX);
    match page.order {
        Order::OldestFirst => all
            .filter(|(key, _)| page.after.is_none_or(|after| **key > after))
            .take(limit)
            .map(|(_, value)| value)
            .collect(),
        Order::NewestFirst => all
            .rev()
            .filter(|(key, _)| page.after.is_none_or(|after| **key < after))
            .take(limit)
            .map(|(_, value)| value)
            .collect(),
    }
}

impl State {
    fn lets_through(&self, filter: &Filter, row: &Row) -> bool {
        let operation = &row.operation;
        let plan = &operation.plan;
        let fits = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let needs_attention =
            || self.notes.values().any(|note| note.operation == operation.id && note.closed.is_none());
        operation.tenant == filter.tenant
            && filter.scope.has(&operation.plan)
            && (filter.statuses.is_empty() || filter.statuses.contains(&operation.status()))
            && (filter.phases.is_empty() || phase(operation).is_some_and(|phase| filter.phases.contains(&phase)))
            && fits(&filter.route, &plan.route)
            && filter.dialect.is_none_or(|dialect| dialect == plan.front.dialect)
            && fits(&filter.mount, &plan.front.mount)
            && filter.owner.as_ref().is_none_or(|owner| row.owner.as_ref() == Some(owner))
            && filter.verb.is_none_or(|verb| verb == plan.verb)
            && fits(&filter.resource, &plan.resource)
            && filter.target.as_ref().is_none_or(|target| plan.steps.iter().any(|step| step.target == *target))
            && filter.retry_of.is_none_or(|wanted| plan.retry_of == Some(wanted))
            && filter.attention.is_none_or(|wanted| wanted == needs_attention())
            && filter.since.is_none_or(|since| time::floor(operation.accepted_at) >= time::floor(since))
            && filter.until.is_none_or(|until| time::floor(operation.accepted_at) < time::floor(until))
            && filter.first.is_none_or(|first| operation.id >= first)
            && filter.text.as_ref().is_none_or(|text| {
                let text = searched::wanted(text);
                searched::searched(operation).contains(&text) || operation.id.to_string().contains(&text)
            })
    }
}

#[async_trait]
impl ReadHistory for Model {
    async fn history(&self, id: OperationId, after: EventNumber, limit: usize) -> Result<Vec<Recorded>, Error> {
        let state = self.state();
        let events = state.events.iter().filter(|event| event.operation == id && event.number > after);
        Ok(events.take(limit.min(LIST_MAX)).cloned().collect())
    }

    async fn events(
        &self,
        tenant: &TenantId,
        scope: &Scope,
        after: EventNumber,
        limit: usize,
    ) -> Result<Events, Error> {
        let state = self.state();
        let is_meant = |event: &&Recorded| {
            let operation = state.operations.get(&event.operation).map(|row| &row.operation);
            operation.is_some_and(|operation| operation.tenant == *tenant && scope.has(&operation.plan))
        };
        let events = state.events.iter().filter(|event| event.number > after).filter(is_meant);
        Ok(Events {
            list: events.take(limit.min(LIST_MAX)).cloned().collect(),
            deleted_to: state.events_deleted.get(tenant).copied().unwrap_or_default(),
        })
    }

    async fn latest_event(&self) -> Result<EventNumber, Error> {
        Ok(EventNumber(self.state().events_total))
    }
}
