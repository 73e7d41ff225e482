//! What all tasks of the engine share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use fanfold_core::dialect::Mount;
use fanfold_core::{OperationId, TenantId};
use fanfold_store::Store;
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use crate::accepting::Accepting;
use crate::clock::{Clock, Steady};
use crate::config::{Config, NoticeRules};
use crate::doubts::Doubts;
use crate::drain::Drain;
use crate::lookup::{FOR_ACCEPTANCE_MAX, FOR_NOTICES_MAX, Lookups};
use crate::lowers::Lowers;
use crate::members::{Lease, Members};
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::residents::{Bounds, Residents};
use crate::span_sink::Traces;
use crate::stalled::Stalled;
use crate::target::Targets;
use crate::turns::Claimant;

/// Requests that do something with many operations at the same time; others wait for their turn.
const BULKS_MAX: usize = 4;

/// What the engine's tasks share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) targets: Arc<Targets>,
    pub(crate) clock: Arc<dyn Clock>,
    /// For what must not go back: ids, and the waits of notices.
    steady: Steady,
    pub(crate) config: Config,
    pub(crate) lease: Lease,
    /// What other nodes there are; `None`: this process has its store for itself.
    pub(crate) members: Option<Arc<Members>>,
    pub(crate) residents: Arc<Residents>,
    /// What is not to be dispatched yet.
    pub(crate) doubts: Arc<Doubts>,
    pub(crate) drain: Drain,
    pub(crate) accepting: Arc<Accepting>,
    /// What waits for the store to record it.
    pub(crate) unrecorded: Stalled,
    /// What waits for the store to give it.
    pub(crate) unread: Stalled,
    pub(crate) policies: Policies,
    pub(crate) lowers: Arc<Lowers>,
    /// Of hosts that clients name in what is to be accepted.
    pub(crate) lookups_for_acceptance: Lookups,
    /// Of receivers.
    pub(crate) lookups_for_notices: Lookups,
    pub(crate) metrics: Metrics,
    pub(crate) traces: Traces,
    /// Turns of requests that do something with many operations.
    pub(crate) bulks: Semaphore,
    pub(crate) mounts: ArcSwap<Vec<Mount>>,
    pub(crate) notices: ArcSwap<NoticeRules>,
    /// The tasks of operations.
    actors: Mutex<JoinSet<()>>,
    /// Held by whoever changes which targets are on hold, so that record and memory change in the same order.
    pub(crate) holding: tokio::sync::Mutex<()>,
    /// Whether the last acceptance failed because of the store, so that it is told once.
    store_in_trouble: AtomicBool,
    last_id: Mutex<Option<OperationId>>,
    stopping: watch::Sender<bool>,
    clock_set: watch::Sender<()>,
    dispatcher: Notify,
    notifier: Notify,
}

impl Shared {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        targets: Arc<Targets>,
        clock: Arc<dyn Clock>,
        mounts: Vec<Mount>,
        config: Config,
        (lease, members): (Lease, Option<Arc<Members>>),
    ) -> Self {
        Self {
            store,
            targets,
            steady: Steady::from(clock.now()),
            clock,
            lease,
            members,
            residents: Residents::new(config.ended_max),
            doubts: Doubts::new(config.doubtful_max),
            drain: Drain::default(),
            accepting: Accepting::new(config.accepting_max),
            unrecorded: Stalled::recording(),
            unread: Stalled::reading(),
            policies: Policies::default(),
            lowers: Arc::default(),
            lookups_for_acceptance: Lookups::new(Arc::clone(&config.resolver), FOR_ACCEPTANCE_MAX),
            lookups_for_notices: Lookups::new(Arc::clone(&config.resolver), FOR_NOTICES_MAX),
            metrics: Metrics::default(),
            traces: Traces::new(config.traces.clone()),
            bulks: Semaphore::new(BULKS_MAX),
            mounts: ArcSwap::from_pointee(mounts),
            notices: ArcSwap::from_pointee(config.notices.clone()),
            actors: Mutex::default(),
            holding: tokio::sync::Mutex::default(),
            store_in_trouble: AtomicBool::new(false),
            last_id: Mutex::default(),
            stopping: watch::Sender::new(false),
            clock_set: watch::Sender::new(()),
            dispatcher: Notify::new(),
            notifier: Notify::new(),
            config,
        }
    }

    /// The tasks of operations.
    pub(crate) fn actors(&self) -> MutexGuard<'_, JoinSet<()>> {
        // A set of tasks has no half-way state.
        self.actors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was recorded that other nodes should hear of, if there are any.
    pub(crate) fn tell_others(&self) {
        if let Some(members) = &self.members {
            members.tell_news();
        }
    }

    /// Notes whether the store takes operations, and gives what was so before.
    pub(crate) fn set_store_in_trouble(&self, in_trouble: bool) -> bool {
        self.store_in_trouble.swap(in_trouble, Ordering::Relaxed)
    }

    /// The time of day, which does not go back even if the clock is set back.
    pub(crate) fn steady_now(&self) -> Timestamp {
        self.steady.now(self.clock.now())
    }

    /// Moves an id behind the last one that was given, if it is of the same millisecond.
    pub(crate) fn in_order(&self, id: OperationId) -> OperationId {
        let mut last = self.last_id.lock().unwrap_or_else(PoisonError::into_inner);
        let id = last.map_or(id, |last| id.behind(last));
        *last = Some(id);
        id
    }

    /// From now on no attempt starts.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Becomes true when no attempt may start any more.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// The time of day was set: who waits for one looks again.
    pub(crate) fn clock_was_set(&self) {
        self.clock_set.send_replace(());
        self.wake_dispatcher();
        self.wake_notifier();
    }

    /// Changes when the time of day was set.
    pub(crate) fn clock_set(&self) -> watch::Receiver<()> {
        self.clock_set.subscribe()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// How many operations may be in memory, for one more of this tenant.
    pub(crate) fn bounds(&self, tenant: &TenantId) -> Bounds {
        let Config { running_max, lane_running_max, weights, .. } = &self.config;
        Bounds { running_max: *running_max, lane_running_max: *lane_running_max, weight: *weights.of(tenant) }
    }

    /// Whom something is done for.
    pub(crate) fn claimant(&self, tenant: &TenantId) -> Claimant {
        Claimant { tenant: tenant.clone(), weight: *self.config.weights.of(tenant) }
    }

    pub(crate) fn wake_dispatcher(&self) {
        self.dispatcher.notify_one();
    }

    pub(crate) async fn dispatcher_woken(&self) {
        self.dispatcher.notified().await;
    }

    pub(crate) fn wake_notifier(&self) {
        self.notifier.notify_one();
    }

    pub(crate) async fn notifier_woken(&self) {
        self.notifier.notified().await;
    }
}
