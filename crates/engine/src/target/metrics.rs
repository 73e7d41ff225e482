//! What is measured of outbound HTTP. The root registers it; labels are closed sets (configured targets and our own words).

use std::time::Duration;

use fanfold_core::TargetName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::admission::{Allowance, Counts, PermitKind};
use super::breaker::Position;

/// Upper bounds in seconds: from a device in the same rack to one that takes its 30 s.
const RESPONSE_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0];

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
    response: Family<TargetLabels, Histogram, fn() -> Histogram>,
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
            response: Family::new_with_constructor(|| Histogram::new(RESPONSE_BUCKETS)),
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

impl Metrics {
    /// Puts all of it under its names into `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("fanfold_target");
        registry.register("attempts", "Requests to targets, by how they ended", self.attempts.clone());
        registry.register("in_flight", "Permits in use", self.in_flight.clone());
        registry.register("waiting", "Requests that wait for their turn", self.waiting.clone());
        let permits = "Permits there are; those of `forward` serve what is passed through too; 0: not configured";
        registry.register("max_in_flight", permits, self.max_in_flight.clone());
        let granted = "Permits that this node has of them; the others are with other nodes on its store";
        registry.register("granted", granted, self.granted.clone());
        registry.register("breaks", "Attempts in a row that broke", self.breaks.clone());
        registry.register("breaker", "0: closed, 1: half open, 2: open", self.breaker.clone());
        registry.register("held", "1: held by a person or a failed undo", self.held.clone());
        registry.register(
            "response_seconds",
            "From the first byte sent to the last byte received (passed-through requests: to the head)",
            self.response.clone(),
        );
    }

    pub(super) fn count(&self, target: &TargetName, kind: PermitKind, result: AttemptResult) {
        let labels = AttemptLabels { target: target.to_string(), kind: kind.as_str(), result: result.as_str() };
        self.attempts.get_or_create(&labels).inc();
    }

    pub(super) fn observe(&self, target: &TargetName, took: Duration) {
        self.response.get_or_create(&TargetLabels { target: target.to_string() }).observe(took.as_secs_f64());
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
