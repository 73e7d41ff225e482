//! The newest events of all operations, read from the store once for all who follow them. Whoever lags behind them reads the
//! store alone, at their own pace.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use fanfold_core::dialect::native::{HistoryEntry, LiveEntry};
use fanfold_core::operation::Status;
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::{Event, Operation, OperationId, Scope, TargetName, TenantId};
use fanfold_engine::Engine;
use fanfold_store::{Error, EventNumber, Read, Recorded};
use tokio::sync::Mutex;

use super::sse::Blocks;

/// Events that are read from the store at once, and sent at once: what a stream holds in memory.
pub(super) const BATCH: usize = 64;

/// The newest events that are kept in memory for all followers together.
const RECENT_MAX: usize = 256;

/// Where events come from.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) engine: Engine,
    pub(super) store: Arc<dyn Read>,
}

/// An event that is ready to be sent, and what filters look at.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) event: &'static str,
    /// How the operation ended, on the event that ended it.
    pub(super) status: Option<Status>,
    pub(super) about: Arc<About>,
    pub(super) block: Bytes,
}

/// What is fixed about an operation.
#[derive(Debug)]
pub(super) struct About {
    pub(super) route: String,
    pub(super) dialect: DialectName,
    pub(super) mount: String,
    pub(super) verb: Verb,
    pub(super) resource: String,
    pub(super) targets: Vec<TargetName>,
}

/// Some events, one after the other.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) entries: Vec<Arc<Entry>>,
    /// All events up to this number are in it, or in those before it.
    pub(super) upto: u64,
    /// Events up to this number may be missing.
    pub(super) deleted_to: u64,
    /// Whether there may be more right away.
    pub(super) more: bool,
}

/// The events of one tenant.
#[derive(Debug)]
pub(super) struct Feed {
    tenant: TenantId,
    recent: Mutex<Recent>,
}

/// Every event after number `after`, up to `upto`.
#[derive(Debug, Default)]
struct Recent {
    after: u64,
    upto: u64,
    entries: VecDeque<Arc<Entry>>,
    /// Events up to this number may have been missing when they were read.
    deleted_to: u64,
    /// What the engine had recorded, by its own count, when the store had nothing further.
    as_of: Option<u64>,
}

impl Feed {
    pub(super) fn new(tenant: TenantId) -> Self {
        Self { tenant, recent: Mutex::default() }
    }

    /// The events that follow `after`. `as_of`: the engine's count of what is recorded, all of which has to be seen.
    pub(super) async fn follow(&self, source: &Source, after: u64, as_of: u64) -> Result<Piece, Error> {
        // Held while the store is read, so that many who are woken at once read it once.
        let mut recent = self.recent.lock().await;
        if after > recent.upto.saturating_add(RECENT_MAX as u64) {
            // Nobody has followed for a while, and nobody needs what was in between.
            *recent = Recent { after, upto: after, ..Recent::default() };
        }
        if after < recent.after {
            drop(recent);
            return self.read(source, after).await;
        }
        while recent.as_of < Some(as_of) && recent.upto <= after {
            // Before it is read, so that no event gets lost in between.
            let recorded = *source.engine.follow_all().borrow();
            let piece = self.read(source, recent.upto).await?;
            recent.as_of = if piece.more { None } else { Some(recorded) };
            recent.push(piece);
        }
        Ok(recent.piece(after, as_of))
    }

    async fn read(&self, source: &Source, after: u64) -> Result<Piece, Error> {
        let events = source.store.events(&self.tenant, &Scope::default(), EventNumber(after), BATCH).await?;
        let more = events.list.len() == BATCH;
        let upto = events.list.last().map_or(after, |last| last.number.0);
        // What was deleted since the events were read is missing as well.
        let (entries, deleted_to) = source.entries(events.list).await?;
        Ok(Piece { entries, upto, deleted_to: deleted_to.max(events.deleted_to.0), more })
    }
}

impl Recent {
    fn push(&mut self, piece: Piece) {
        self.upto = piece.upto;
        self.deleted_to = self.deleted_to.max(piece.deleted_to);
        self.entries.extend(piece.entries);
        while self.entries.len() > RECENT_MAX {
            if let Some(oldest) = self.entries.pop_front() {
                self.after = oldest.number;
            }
        }
    }

    fn piece(&self, after: u64, as_of: u64) -> Piece {
        let begin = self.entries.partition_point(|entry| entry.number <= after);
        let entries: Vec<_> = self.entries.iter().skip(begin).take(BATCH).cloned().collect();
        let is_last = begin + entries.len() == self.entries.len();
        let upto = entries.last().filter(|_| !is_last).map_or(self.upto.max(after), |last| last.number);
        Piece { entries, upto, deleted_to: self.deleted_to, more: !is_last || self.as_of < Some(as_of) }
    }
}

impl Source {
    /// Makes events ready to be sent. Those of operations that were deleted meanwhile are left out; gives the highest number of
    /// these, too, or 0.
    async fn entries(&self, events: Vec<Recorded>) -> Result<(Vec<Arc<Entry>>, u64), Error> {
        let mut known: HashMap<OperationId, (Arc<Operation>, Arc<About>)> = HashMap::new();
        let mut entries = Vec::with_capacity(events.len());
        let mut deleted_to = 0;
        for recorded in events {
            let id = recorded.operation;
            let is_end = matches!(recorded.event, Event::ResponseComposed { .. });
            let is_fit = |operation: &Operation| !is_end || operation.end().is_some();
            if !known.get(&id).is_some_and(|(operation, _)| is_fit(operation)) {
                // One that is not known there to have ended yet is read where its end is recorded already.
                let in_memory = self.engine.in_memory(id).filter(|operation| is_fit(operation));
                let found = match in_memory {
                    Some(operation) => Some(operation),
                    None => self.store.operation(id).await?.map(Arc::new),
                };
                let Some(operation) = found else {
                    deleted_to = recorded.number.0;
                    continue;
                };
                let about = Arc::new(About::of(&operation));
                known.insert(id, (operation, about));
            }
            if let Some((operation, about)) = known.get(&id) {
                entries.push(Arc::new(Entry::of(operation, about, &recorded)));
            }
        }
        Ok((entries, deleted_to))
    }

    /// The events of one operation that follow `after`, ready to be sent, and whether there may be more right away.
    pub(super) async fn history(&self, id: OperationId, after: u64) -> Result<Piece, Error> {
        let events = self.store.history(id, EventNumber(after), BATCH).await?;
        let more = events.len() == BATCH;
        let upto = events.last().map_or(after, |last| last.number.0);
        // If it was deleted meanwhile, the next look finds that.
        let (entries, _) = self.entries(events).await?;
        Ok(Piece { entries, upto, deleted_to: 0, more })
    }
}

impl About {
    fn of(operation: &Operation) -> Self {
        let plan = &operation.plan;
        Self {
            route: plan.route.clone(),
            dialect: plan.front.dialect,
            mount: plan.front.mount.clone(),
            verb: plan.verb,
            resource: plan.resource.clone(),
            targets: plan.steps.iter().map(|step| step.target.clone()).collect(),
        }
    }
}

impl Entry {
    fn of(operation: &Operation, about: &Arc<About>, recorded: &Recorded) -> Self {
        debug_assert!(
            Event::NAMES.contains(&recorded.event.name()),
            "{} is not among the names",
            recorded.event.name()
        );
        let Recorded { number, sequence, at, event, .. } = recorded;
        let is_end = matches!(event, Event::ResponseComposed { .. });
        let status = operation.end().filter(|_| is_end).map(|end| end.status);
        let entry = HistoryEntry::of(operation, *sequence, *at, event);
        let form = LiveEntry { number: number.0, operation: operation.id, status, entry };
        let mut block = Blocks::default();
        // Our own forms have text keys only, which JSON can carry.
        let data = serde_json::to_string(&form).expect("forms of ours are JSON");
        block.event(Some(number.0), event.name(), &data);
        let block = block.into_text().into();
        Self { number: number.0, event: event.name(), status, about: Arc::clone(about), block }
    }
}
