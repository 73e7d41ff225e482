//! What the server counts about requests and connections.

use std::time::Duration;

use fanfold_core::dialect::Refusal;
use fanfold_core::plan::DialectName;
use fanfold_core::route::Handling;
use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::door::Door;
use super::outcome::Stop;

/// The metrics of the server.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<DoorLabels, Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    rejected: Family<RejectedLabels, Counter>,
    followers: Family<FollowerLabels, Gauge>,
    events_sent: Counter,
}

/// What kind of request it is: a closed set, whatever is configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DoorLabels {
    dialect: Dialect,
    door: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    dialect: Dialect,
    door: Kind,
    class: Class,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectedLabels {
    reason: Rejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Dialect(DialectName);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Kind {
    System,
    Api,
    Own,
    Operation,
    Pass,
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FollowerLabels {
    kind: Following,
}

/// How somebody follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Following {
    /// All operations, by a stream of events.
    All,
    /// One operation, by a stream of events.
    Operation,
    /// One operation, by a request that waits.
    Wait,
}

/// The first digit of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Class {
    Success,
    Redirection,
    ClientError,
    ServerError,
}

/// Why a request got no further than the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum Rejected {
    /// No credentials, or bad ones.
    Unauthenticated,
    /// Another host or origin than ours.
    Foreign,
    /// The head is too large.
    HeadTooLarge,
    /// The body is too large.
    BodyTooLarge,
    /// The head or the body did not come in time.
    TooSlow,
    /// Not HTTP.
    Malformed,
    /// Too many follow already.
    TooManyFollowers,
}

/// A request that is being answered. Counts it as long as it is not dropped.
#[derive(Debug)]
pub(super) struct InFlight(Gauge);

impl EncodeLabelValue for Dialect {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0.as_str(), encoder)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(durations),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            rejected: Family::default(),
            followers: Family::default(),
            events_sent: Counter::default(),
        }
    }
}

/// From 1 ms to about 5 minutes, which is as long as a request may wait.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 3.0, 13))
}

impl Metrics {
    /// Adds the metrics to a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        let requests = "Requests by dialect, kind and class of their status";
        registry.register("fanfold_http_requests", requests, self.requests.clone());
        registry.register_with_unit(
            "fanfold_http_request_duration",
            "From the head of a request to the head of its response",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register("fanfold_http_in_flight", "Requests that are being answered", self.in_flight.clone());
        registry.register("fanfold_http_connections", "Open connections", self.connections.clone());
        registry.register("fanfold_http_rejected", "Requests turned away at the door", self.rejected.clone());
        let followers = "Who follows operations, by streams of events and by waits";
        registry.register("fanfold_http_followers", followers, self.followers.clone());
        registry.register("fanfold_http_events_sent", "Events sent in streams", self.events_sent.clone());
    }

    pub(super) fn begun(&self) -> InFlight {
        InFlight::counted_by(&self.in_flight)
    }

    pub(super) fn connected(&self) -> InFlight {
        InFlight::counted_by(&self.connections)
    }

    pub(super) fn follows(&self, kind: Following) -> InFlight {
        InFlight::counted_by(&self.followers.get_or_create(&FollowerLabels { kind }))
    }

    pub(super) fn events_sent(&self, count: usize) {
        self.events_sent.inc_by(count as u64);
    }

    pub(super) fn answered(&self, labels: DoorLabels, status: StatusCode, took: Duration) {
        let DoorLabels { dialect, door } = labels;
        let class = match status.as_u16() {
            500.. => Class::ServerError,
            400.. => Class::ClientError,
            300.. => Class::Redirection,
            _ => Class::Success,
        };
        self.requests.get_or_create(&RequestLabels { dialect, door, class }).inc();
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(super) fn rejected(&self, reason: Rejected) {
        self.rejected.get_or_create(&RejectedLabels { reason }).inc();
    }

    /// Counts a request that was turned away for what it is, and not for what it asks.
    pub(super) fn stopped(&self, stop: &Stop) {
        match stop {
            Stop::TooSlow => self.rejected(Rejected::TooSlow),
            Stop::Refused(Refusal::Unauthenticated) => self.rejected(Rejected::Unauthenticated),
            Stop::Refused(Refusal::HeadTooLarge { .. }) => self.rejected(Rejected::HeadTooLarge),
            Stop::Refused(Refusal::BodyTooLarge { .. }) => self.rejected(Rejected::BodyTooLarge),
            Stop::Refused(_) => {}
        }
    }
}

impl DoorLabels {
    pub(super) fn of(door: &Door, dialect: DialectName) -> Self {
        let kind = match door {
            Door::System(_) => Kind::System,
            Door::Native => Kind::Api,
            Door::Own(_) => Kind::Own,
            Door::Route { route, .. } => match route.handling {
                Handling::Operation(_) => Kind::Operation,
                Handling::Pass(_) => Kind::Pass,
            },
            Door::Closed(_) => Kind::Nothing,
        };
        Self { dialect: Dialect(dialect), door: kind }
    }
}

impl InFlight {
    fn counted_by(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
