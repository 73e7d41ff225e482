//! What the engine counts about operations and notices. Targets have metrics of their own.

use fanfold_core::Operation;
use fanfold_core::operation::{End, Status};
use fanfold_core::plan::DialectName;
use fanfold_store::{NoticeOutcome, OutboxState};
use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The counters of the engine.
#[derive(Debug, Clone)]
pub struct Metrics {
    accepted: Family<RouteLabels, Counter>,
    ended: Family<EndLabels, Counter>,
    duration: Family<RouteLabels, Histogram>,
    notices: Family<NoticeLabels, Counter>,
    oldest_notice: Gauge<f64, std::sync::atomic::AtomicU64>,
    dead_letters: Gauge,
    overdue: Gauge,
    clock_jumps: Counter,
    nodes: Gauge,
    nodes_differing: Gauge,
    adopted: Counter,
    leases_lost: Counter,
}

/// Routes are configured, so there are as many labels as routes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    dialect: DialectLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    route: String,
    dialect: DialectLabel,
    status: StatusLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoticeLabels {
    result: NoticeResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct DialectLabel(DialectName);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct StatusLabel(Status);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum NoticeResult {
    Delivered,
    Failed,
    Dead,
}

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
            accepted: Family::default(),
            ended: Family::default(),
            duration: Family::new_with_constructor(durations),
            notices: Family::default(),
            oldest_notice: Gauge::default(),
            dead_letters: Gauge::default(),
            overdue: Gauge::default(),
            clock_jumps: Counter::default(),
            nodes: Gauge::default(),
            nodes_differing: Gauge::default(),
            adopted: Counter::default(),
            leases_lost: Counter::default(),
        }
    }
}

/// From 5 ms to about 45 minutes.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 3.0, 13))
}

impl Metrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("fanfold_operations_accepted", "Operations accepted", self.accepted.clone());
        registry.register("fanfold_operations_ended", "Operations ended, by status", self.ended.clone());
        registry.register_with_unit(
            "fanfold_operation_duration",
            "From acceptance to the end",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register(
            "fanfold_operations_overdue",
            "Operations that had something to do and were forgotten, as of the latest look",
            self.overdue.clone(),
        );
        registry.register(
            "fanfold_clock_jumps",
            "How often the clock was set by more than a few seconds, or the machine slept",
            self.clock_jumps.clone(),
        );
        registry.register(
            "fanfold_nodes",
            "Nodes on the store that have neither left nor been fenced off, as this one sees it; 0 without nodes",
            self.nodes.clone(),
        );
        registry.register(
            "fanfold_nodes_differing",
            "Nodes whose mounts, targets or routes are configured otherwise than this one's",
            self.nodes_differing.clone(),
        );
        registry.register(
            "fanfold_operations_adopted",
            "Operations that this node has taken over from nodes that are gone",
            self.adopted.clone(),
        );
        registry.register(
            "fanfold_leases_lost",
            "How often other nodes fenced this one off, so that it had to join again",
            self.leases_lost.clone(),
        );
        registry.register("fanfold_notice_tries", "Tries to deliver a notice, by result", self.notices.clone());
        registry.register_with_unit(
            "fanfold_notice_oldest_age",
            "Age of the oldest notice that is still to be delivered, 0 if there is none",
            Unit::Seconds,
            self.oldest_notice.clone(),
        );
        registry.register(
            "fanfold_notices_dead",
            "Dead letters: notices that were given up and not replayed",
            self.dead_letters.clone(),
        );
    }

    /// How often the clock was set.
    pub fn clock_jumps(&self) -> u64 {
        self.clock_jumps.get()
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

    pub(crate) fn accepted(&self, operation: &Operation) {
        self.accepted.get_or_create(&route(operation)).inc();
    }

    pub(crate) fn ended(&self, operation: &Operation, end: &End) {
        let labels = route(operation);
        let took = end.at.duration_since(operation.accepted_at).as_secs_f64();
        self.duration.get_or_create(&labels).observe(took);
        let RouteLabels { route, dialect } = labels;
        self.ended.get_or_create(&EndLabels { route, dialect, status: StatusLabel(end.status) }).inc();
    }

    pub(crate) fn outbox(&self, state: OutboxState, now: Timestamp) {
        let age = state.oldest_pending.map_or(0.0, |at| now.duration_since(at).as_secs_f64());
        self.oldest_notice.set(age.max(0.0));
        self.dead_letters.set(i64::try_from(state.dead).unwrap_or(i64::MAX));
    }

    pub(crate) fn noticed(&self, outcome: &NoticeOutcome) {
        let result = match outcome {
            NoticeOutcome::Delivered { .. } => NoticeResult::Delivered,
            NoticeOutcome::Failed { .. } => NoticeResult::Failed,
            NoticeOutcome::Dead { .. } => NoticeResult::Dead,
        };
        self.notices.get_or_create(&NoticeLabels { result }).inc();
    }
}

fn route(operation: &Operation) -> RouteLabels {
    RouteLabels { route: operation.plan.route.clone(), dialect: DialectLabel(operation.plan.front.dialect) }
}
