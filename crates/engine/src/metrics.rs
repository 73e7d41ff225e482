//! What the engine counts about operations and notices. Targets have metrics of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanfold_core::Operation;
use fanfold_core::dialect::Refusal;
use fanfold_core::operation::{End, Status};
use fanfold_core::plan::DialectName;
use fanfold_core::route::OperationRoute;
use fanfold_store::metric::{DIALECT, Label, Metric, ROUTE, Unit};
use fanfold_store::{NoticeOutcome, OutboxState};
use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The counters of the engine.
#[derive(Debug, Clone)]
pub struct Metrics {
    totals: Arc<Totals>,
    accepted: Family<RouteLabels, Counter>,
    refused: Family<RefusalLabels, Counter>,
    ended: Family<EndLabels, Counter>,
    duration: Family<EndLabels, Histogram>,
    repeated: Family<RouteLabels, Counter>,
    acceptance: Family<RouteLabels, Histogram>,
    notices: Family<NoticeLabels, Counter>,
    oldest_notice: Gauge<f64, AtomicU64>,
    dead_letters: Gauge,
    sealed_with_other_keys: Gauge,
    overdue: Gauge,
    clock_jumps: Counter,
    nodes: Gauge,
    nodes_differing: Gauge,
    adopted: Counter,
    leases_lost: Counter,
}

/// What this process has done with operations since it began, over all routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OperationTotals {
    /// Accepted, retries of others included.
    pub accepted: u64,
    /// Requests that a route would have accepted, and that were refused.
    pub refused: u64,
    /// Ended as completed.
    pub completed: u64,
    /// Ended as failed.
    pub failed: u64,
    /// Ended as canceled.
    pub canceled: u64,
}

/// The same while it is counted: families of counters cannot be summed up.
#[derive(Debug, Default)]
struct Totals {
    accepted: AtomicU64,
    refused: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    canceled: AtomicU64,
}

/// Routes are configured, so there are as many labels as routes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    dialect: DialectLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    route: String,
    dialect: DialectLabel,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    route: String,
    dialect: DialectLabel,
    status: StatusLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoticeLabels {
    result: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct DialectLabel(DialectName);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct StatusLabel(Status);

impl EncodeLabelValue for DialectLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0.as_str(), encoder)
    }
}

impl EncodeLabelValue for StatusLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0.as_str(), encoder)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            totals: Arc::default(),
            accepted: Family::default(),
            refused: Family::default(),
            ended: Family::default(),
            duration: Family::new_with_constructor(durations),
            repeated: Family::default(),
            acceptance: Family::new_with_constructor(acceptance_durations),
            notices: Family::default(),
            oldest_notice: Gauge::default(),
            dead_letters: Gauge::default(),
            sealed_with_other_keys: Gauge::default(),
            overdue: Gauge::default(),
            clock_jumps: Counter::default(),
            nodes: Gauge::default(),
            nodes_differing: Gauge::default(),
            adopted: Counter::default(),
            leases_lost: Counter::default(),
        }
    }
}

/// From 0.5 ms to about 30 s, which is longer than a client of a store in trouble waits.
fn acceptance_durations() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.5, 13))
}

/// From 5 ms to about 45 minutes.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 3.0, 13))
}

const STATUS: Label = Label { name: "status", bound: "`completed`, `failed`, `canceled`" };
const REASON: Label = Label {
    name: "reason",
    bound: "the rows of the refusal table: `bad_value`, `locked`, `unavailable`, `store_unreachable` and so on, 16 in all",
};
const RESULT: Label = Label { name: "result", bound: "`delivered`, `failed`, `dead`" };

const ACCEPTED: Metric =
    Metric::counter("fanfold_operations_accepted", "Operations accepted, retries included").by(&[ROUTE, DIALECT]);
const REPEATED: Metric = Metric::counter(
    "fanfold_operations_repeated",
    "Requests that came again with their idempotency key, and got the operation that they were accepted as",
)
.by(&[ROUTE, DIALECT]);
const REFUSED: Metric = Metric::counter("fanfold_operations_refused", "Requests that became no operation, by reason")
    .by(&[ROUTE, DIALECT, REASON]);
const ACCEPTANCE: Metric = Metric::histogram(
    "fanfold_operation_acceptance_duration",
    "From a whole request to its operation on disk, or to its refusal",
)
.in_unit(Unit::Seconds)
.by(&[ROUTE, DIALECT]);
const ENDED: Metric =
    Metric::counter("fanfold_operations_ended", "Operations ended, by status").by(&[ROUTE, DIALECT, STATUS]);
const DURATION: Metric = Metric::histogram(
    "fanfold_operation_duration",
    "From acceptance to the end, all waiting included (for locks, start times, targets, persons)",
)
.in_unit(Unit::Seconds)
.by(&[ROUTE, DIALECT, STATUS]);
const OVERDUE: Metric = Metric::gauge(
    "fanfold_operations_overdue",
    "Operations of this node that had something to do and were forgotten, as of the latest look: to be watched, it is 0",
);
const CLOCK_JUMPS: Metric = Metric::counter(
    "fanfold_clock_jumps",
    "How often the clock was set by more than a few seconds, or the machine slept",
);
const NODES: Metric = Metric::gauge(
    "fanfold_nodes",
    "Nodes on the store that have neither left nor been fenced off, as this one sees it; 0 where it has its store for itself",
)
.of_the_store();
const NODES_DIFFERING: Metric = Metric::gauge(
    "fanfold_nodes_differing",
    "Nodes whose mounts, targets or routes are configured otherwise than those of this one",
);
const ADOPTED: Metric =
    Metric::counter("fanfold_operations_adopted", "Operations that this node has taken over from nodes that are gone");
const LEASES_LOST: Metric =
    Metric::counter("fanfold_leases_lost", "How often other nodes fenced this one off, so that it had to join again");
const NOTICES: Metric = Metric::counter("fanfold_notice_tries", "Tries to deliver a notice, by result").by(&[RESULT]);
const OLDEST_NOTICE: Metric = Metric::gauge(
    "fanfold_notice_oldest_age",
    "Age of the oldest notice that is still to be delivered, 0 if there is none",
)
.in_unit(Unit::Seconds)
.of_the_store();
const DEAD_LETTERS: Metric =
    Metric::gauge("fanfold_notices_dead", "Dead letters: notices that were given up and not replayed").of_the_store();
const SEALED_WITH_OTHER_KEYS: Metric = Metric::gauge(
    "fanfold_sealed_with_other_keys",
    "Originals that are sealed with another key than the one that seals now, as of the latest look of this node; 0 before the key is changed, on nodes that do not seal with the new one yet, and when the others can be retired",
)
.of_the_store();

impl Metrics {
    /// All that the engine counts about operations, notices and nodes.
    pub const DESCRIBED: &[Metric] = &[
        ACCEPTED,
        REPEATED,
        REFUSED,
        ACCEPTANCE,
        ENDED,
        DURATION,
        OVERDUE,
        NOTICES,
        OLDEST_NOTICE,
        DEAD_LETTERS,
        SEALED_WITH_OTHER_KEYS,
        NODES,
        NODES_DIFFERING,
        ADOPTED,
        LEASES_LOST,
        CLOCK_JUMPS,
    ];

    /// Puts all of it under its names into a registry.
    pub fn register(&self, registry: &mut Registry) {
        ACCEPTED.register(registry, self.accepted.clone());
        REPEATED.register(registry, self.repeated.clone());
        REFUSED.register(registry, self.refused.clone());
        ACCEPTANCE.register(registry, self.acceptance.clone());
        ENDED.register(registry, self.ended.clone());
        DURATION.register(registry, self.duration.clone());
        OVERDUE.register(registry, self.overdue.clone());
        CLOCK_JUMPS.register(registry, self.clock_jumps.clone());
        NODES.register(registry, self.nodes.clone());
        NODES_DIFFERING.register(registry, self.nodes_differing.clone());
        ADOPTED.register(registry, self.adopted.clone());
        LEASES_LOST.register(registry, self.leases_lost.clone());
        NOTICES.register(registry, self.notices.clone());
        OLDEST_NOTICE.register(registry, self.oldest_notice.clone());
        DEAD_LETTERS.register(registry, self.dead_letters.clone());
        SEALED_WITH_OTHER_KEYS.register(registry, self.sealed_with_other_keys.clone());
    }

    /// How often the clock was set.
    pub fn clock_jumps(&self) -> u64 {
        self.clock_jumps.get()
    }

    /// So many originals are sealed with another key than the one that seals now.
    pub(crate) fn sealed_with_other_keys(&self, number: u64) {
        self.sealed_with_other_keys.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    pub(crate) fn clock_jumped(&self) {
        self.clock_jumps.inc();
    }

    /// How many operations the latest round found overdue.
    pub fn operations_overdue(&self) -> u64 {
        u64::try_from(self.overdue.get()).unwrap_or(0)
    }

    pub(crate) fn overdue(&self, number: i64) {
        self.overdue.set(number);
    }

    /// Nodes on the store, as of the latest beat.
    pub fn nodes(&self) -> u64 {
        u64::try_from(self.nodes.get()).unwrap_or(0)
    }

    pub(crate) fn nodes_alive(&self, number: usize, differing: usize) {
        self.nodes.set(i64::try_from(number).unwrap_or(i64::MAX));
        self.nodes_differing.set(i64::try_from(differing).unwrap_or(i64::MAX));
    }

    /// Operations that were taken over from other nodes.
    pub fn operations_adopted(&self) -> u64 {
        self.adopted.get()
    }

    pub(crate) fn adopted(&self, number: usize) {
        self.adopted.inc_by(u64::try_from(number).unwrap_or(u64::MAX));
    }

    /// How often other nodes fenced this one off.
    pub fn leases_lost(&self) -> u64 {
        self.leases_lost.get()
    }

    pub(crate) fn lease_lost(&self) {
        self.leases_lost.inc();
    }

    /// What this process has accepted, refused and ended since it began.
    pub fn totals(&self) -> OperationTotals {
        let Totals { accepted, refused, completed, failed, canceled } = &*self.totals;
        let [accepted, refused, completed, failed, canceled] =
            [accepted, refused, completed, failed, canceled].map(|total| total.load(Ordering::Relaxed));
        OperationTotals { accepted, refused, completed, failed, canceled }
    }

    /// A request that this route might have accepted was answered: with an operation, or with that of the same request before.
    pub(crate) fn answered(&self, of: &OperationRoute, repeated: Result<bool, &Refusal>, took: Duration) {
        let labels = RouteLabels { route: of.name().to_owned(), dialect: DialectLabel(of.dialect()) };
        self.acceptance.get_or_create(&labels).observe(took.as_secs_f64());
        match repeated {
            // What is accepted is counted where it is recorded, as retries are that have no request.
            Ok(false) => {}
            Ok(true) => {
                self.repeated.get_or_create(&labels).inc();
            }
            Err(refusal) => {
                self.totals.refused.fetch_add(1, Ordering::Relaxed);
                let RouteLabels { route, dialect } = labels;
                let labels = RefusalLabels { route, dialect, reason: refusal.as_str() };
                self.refused.get_or_create(&labels).inc();
            }
        }
    }

    pub(crate) fn accepted(&self, operation: &Operation) {
        self.totals.accepted.fetch_add(1, Ordering::Relaxed);
        self.accepted.get_or_create(&route(operation)).inc();
    }

    pub(crate) fn ended(&self, operation: &Operation, end: &End) {
        let total = match end.status {
            Status::Completed => Some(&self.totals.completed),
            Status::Failed => Some(&self.totals.failed),
            Status::Canceled => Some(&self.totals.canceled),
            // No end.
            Status::Unexecuted | Status::Executing => None,
        };
        if let Some(total) = total {
            total.fetch_add(1, Ordering::Relaxed);
        }
        let RouteLabels { route, dialect } = route(operation);
        let labels = EndLabels { route, dialect, status: StatusLabel(end.status) };
        let took = end.at.duration_since(operation.accepted_at).as_secs_f64();
        self.duration.get_or_create(&labels).observe(took.max(0.0));
        self.ended.get_or_create(&labels).inc();
    }

    pub(crate) fn outbox(&self, state: OutboxState, now: Timestamp) {
        let age = state.oldest_pending.map_or(0.0, |at| now.duration_since(at).as_secs_f64());
        self.oldest_notice.set(age.max(0.0));
        self.dead_letters.set(i64::try_from(state.dead).unwrap_or(i64::MAX));
    }

    pub(crate) fn noticed(&self, outcome: &NoticeOutcome) {
        let result = match outcome {
            NoticeOutcome::Delivered { .. } => "delivered",
            NoticeOutcome::Failed { .. } => "failed",
            NoticeOutcome::Dead { .. } => "dead",
        };
        self.notices.get_or_create(&NoticeLabels { result }).inc();
    }
}

fn route(operation: &Operation) -> RouteLabels {
    RouteLabels { route: operation.plan.route.clone(), dialect: DialectLabel(operation.plan.front.dialect) }
}
