//! What is measured of outbound HTTP. The root registers it; labels are closed sets (configured targets and our own words).

use std::time::Duration;

use fanfold_core::TargetName;
use fanfold_store::metric::{Label, Metric, TARGET, Unit};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::admission::{Allowance, Counts, PermitKind};
use super::breaker::Position;

/// Upper bounds in seconds: from a device in the same rack to one that takes its 30 s, connecting included, or longer.
const ATTEMPT_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 35.0, 120.0];

/// All metrics of outbound HTTP. Clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    attempts: Family<AttemptLabels, Counter>,
    in_flight: Family<QueueLabels, Gauge>,
    waiting: Family<QueueLabels, Gauge>,
    max_in_flight: Family<QueueLabels, Gauge>,
    granted: Family<QueueLabels, Gauge>,
    breaker: Family<TargetLabels, Gauge>,
    breaks: Family<TargetLabels, Gauge>,
    held: Family<TargetLabels, Gauge>,
    duration: Family<AttemptLabels, Histogram, fn() -> Histogram>,
}

/// How an attempt ended, as the metrics tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptResult {
    /// 1xx to 3xx.
    Answered,
    /// 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// No byte of the request left.
    NotSent,
    /// A byte may have left, and no answer came.
    Broke,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    target: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    target: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    target: String,
    kind: &'static str,
    result: &'static str,
}

/// The gauges of one target, at hand so that no label is made up at each change.
#[derive(Debug, Clone)]
pub(super) struct Gauges {
    in_flight: [Gauge; 3],
    waiting: [Gauge; 3],
    /// Of steps (with what is passed through), and of undos.
    max_in_flight: [Gauge; 2],
    granted: [Gauge; 2],
    breaker: Gauge,
    breaks: Gauge,
    held: Gauge,
}

/// A target at one instant.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    pub(super) waiting: &'a Counts,
    pub(super) in_flight: &'a Counts,
    pub(super) breaker: Position,
    pub(super) breaks: u32,
    pub(super) held: bool,
    pub(super) allowance: Option<Allowance>,
    /// What this node may have on the wire: steps (with what is passed through), and undos.
    pub(super) granted: [usize; 2],
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            in_flight: Family::default(),
            waiting: Family::default(),
            max_in_flight: Family::default(),
            granted: Family::default(),
            breaker: Family::default(),
            breaks: Family::default(),
            held: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(ATTEMPT_BUCKETS)),
        }
    }
}

impl AttemptResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::NotSent => "not_sent",
            Self::Broke => "broke",
        }
    }
}

const KIND: Label =
    Label { name: "kind", bound: "`forward` (steps, their probes and reads), `undo`, `pass` (passed through)" };
const LIMITED: Label = Label { name: "kind", bound: "`forward` (with what is passed through), `undo`" };
const RESULT: Label = Label {
    name: "result",
    bound: "`answered` (any status below 400), `client_error`, `server_error`, `not_sent`, `broke` (a byte may have left, and no answer came)",
};

const ATTEMPTS: Metric =
    Metric::counter("fanfold_target_attempts", "Requests to targets, by how they ended").by(&[TARGET, KIND, RESULT]);
const DURATION: Metric = Metric::histogram(
    "fanfold_target_attempt_duration",
    "From the permit of a request to its end, connecting included (what is passed through: to the head of its answer)",
)
.in_unit(Unit::Seconds)
.by(&[TARGET, KIND, RESULT]);
const IN_FLIGHT: Metric = Metric::gauge("fanfold_target_in_flight", "Permits in use").by(&[TARGET, KIND]);
const WAITING: Metric =
    Metric::gauge("fanfold_target_waiting", "Requests that wait for their turn").by(&[TARGET, KIND]);
const MAX_IN_FLIGHT: Metric = Metric::gauge(
    "fanfold_target_max_in_flight",
    "Permits that all nodes have together, as this one is configured; 0: the target is not configured",
)
.by(&[TARGET, LIMITED]);
const GRANTED: Metric = Metric::gauge(
    "fanfold_target_granted",
    "Permits that this node has of them; the others are with other nodes on its store",
)
.by(&[TARGET, LIMITED]);
const BREAKER: Metric =
    Metric::gauge("fanfold_target_breaker", "What the breaker does: 0 closed, 1 half open, 2 open").by(&[TARGET]);
const BREAKS: Metric = Metric::gauge("fanfold_target_breaks", "Attempts in a row that broke").by(&[TARGET]);
const HELD: Metric =
    Metric::gauge("fanfold_target_held", "Whether the target is on hold, by a person or by a failed undo: 1 or 0")
        .by(&[TARGET]);

impl Metrics {
    /// All that is measured of outbound HTTP.
    pub const DESCRIBED: &[Metric] =
        &[ATTEMPTS, DURATION, IN_FLIGHT, WAITING, MAX_IN_FLIGHT, GRANTED, BREAKER, BREAKS, HELD];

    /// Puts all of it under its names into `registry`.
    pub fn register(&self, registry: &mut Registry) {
        ATTEMPTS.register(registry, self.attempts.clone());
        DURATION.register(registry, self.duration.clone());
        IN_FLIGHT.register(registry, self.in_flight.clone());
        WAITING.register(registry, self.waiting.clone());
        MAX_IN_FLIGHT.register(registry, self.max_in_flight.clone());
        GRANTED.register(registry, self.granted.clone());
        BREAKER.register(registry, self.breaker.clone());
        BREAKS.register(registry, self.breaks.clone());
        HELD.register(registry, self.held.clone());
    }

    pub(super) fn count(&self, target: &TargetName, kind: PermitKind, result: AttemptResult, took: Duration) {
        let labels = AttemptLabels { target: target.to_string(), kind: kind.as_str(), result: result.as_str() };
        self.attempts.get_or_create(&labels).inc();
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(super) fn gauges(&self, target: &TargetName) -> Gauges {
        let labels = TargetLabels { target: target.to_string() };
        let queue = |family: &Family<QueueLabels, Gauge>| {
            PermitKind::ALL.map(|kind| {
                family.get_or_create_owned(&QueueLabels { target: target.to_string(), kind: kind.as_str() })
            })
        };
        let pair = |family: &Family<QueueLabels, Gauge>| {
            [PermitKind::Forward, PermitKind::Undo].map(|kind| {
                family.get_or_create_owned(&QueueLabels { target: target.to_string(), kind: kind.as_str() })
            })
        };
        Gauges {
            in_flight: queue(&self.in_flight),
            waiting: queue(&self.waiting),
            max_in_flight: pair(&self.max_in_flight),
            granted: pair(&self.granted),
            breaker: self.breaker.get_or_create_owned(&labels),
            breaks: self.breaks.get_or_create_owned(&labels),
            held: self.held.get_or_create_owned(&labels),
        }
    }
}

impl Gauges {
    pub(super) fn publish(&self, picture: &Picture<'_>) {
        let Picture { waiting, in_flight, breaker, breaks, held, allowance, granted } = *picture;
        let max = allowance.map_or([0; 2], |allowance| [allowance.max_in_flight, allowance.undo_max_in_flight]);
        let counts = self.waiting.iter().zip(waiting).chain(self.in_flight.iter().zip(in_flight));
        for (gauge, &count) in
            counts.chain(self.max_in_flight.iter().zip(&max)).chain(self.granted.iter().zip(&granted))
        {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.breaks.set(i64::from(breaks));
        self.breaker.set(match breaker {
            Position::Closed => 0,
            Position::HalfOpen => 1,
            Position::Open { .. } => 2,
        });
        self.held.set(i64::from(held));
    }
}
