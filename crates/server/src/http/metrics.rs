//! What the server counts about requests and connections.

use std::time::Duration;

use fanfold_core::dialect::Refusal;
use fanfold_core::plan::DialectName;
use fanfold_core::route::Handling;
use fanfold_store::metric::{DIALECT, Label, Metric, Unit};
use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::ServerConfig;
use super::door::Door;
use super::outcome::Stop;

/// The metrics of the server.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<DoorLabels, Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    connections_max: Gauge,
    rejected: Family<RejectedLabels, Counter>,
    followers: Family<FollowerLabels, Gauge>,
    followers_max: Gauge,
    events_sent: Counter,
}

/// What kind of request it is: a closed set, but for the routes, which are configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DoorLabels {
    /// Empty where no route is asked.
    route: String,
    dialect: Dialect,
    door: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    dialect: Dialect,
    door: &'static str,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectedLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Dialect(DialectName);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FollowerLabels {
    kind: &'static str,
}

/// How somebody follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Following {
    /// All operations, by a stream of events.
    All,
    /// One operation, by a stream of events.
    Operation,
    /// One operation, by a request that waits.
    Wait,
}

/// Why a request got no further than the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// No handshake of TLS, where that is spoken.
    NoHandshake,
    /// Too many follow already.
    TooManyFollowers,
    /// Too many requests with one token.
    TooManyRequests,
    /// Too many without good credentials from one address.
    TooManyFailures,
}

/// A request that is being answered. Counts it as long as it is not dropped.
#[derive(Debug)]
pub(super) struct InFlight(Gauge);

impl EncodeLabelValue for Dialect {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0.as_str(), encoder)
    }
}

/// From 1 ms to about 5 minutes, which is as long as a request may wait.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 3.0, 13))
}

const ASKED: Label = Label {
    name: "route",
    bound: "names of routes that are or were configured since the process started; empty where no route is asked",
};
const DOOR: Label = Label {
    name: "door",
    bound: "`operation` (a route that accepts), `pass` (a route that passes through), `own` (the paths of a mount), `api`, `console`, `system`, `nothing`",
};
const CLASS: Label =
    Label { name: "class", bound: "`success` (below 300), `redirection`, `client_error`, `server_error`" };
const WHY: Label = Label {
    name: "reason",
    bound: "`unauthenticated`, `foreign`, `head_too_large`, `body_too_large`, `too_slow`, `malformed`, `no_handshake` (a connection without one of TLS, where that is spoken), `too_many_followers`, `too_many_requests` (of one token), `too_many_failures` (without good credentials, from one address)",
};
const FOLLOWING: Label =
    Label { name: "kind", bound: "`all` and `operation` (streams), `wait` (`?wait=` and `Prefer`)" };

const REQUESTS: Metric = Metric::counter("fanfold_http_requests", "Requests answered, by the class of their status")
    .by(&[ASKED, DIALECT, DOOR, CLASS]);
const DURATION: Metric = Metric::histogram(
    "fanfold_http_request_duration",
    "From the head of a request to the head of its response, which may have been waited for (`Prefer: wait`, `?wait=`)",
)
.in_unit(Unit::Seconds)
.by(&[ASKED, DIALECT, DOOR]);
const IN_FLIGHT: Metric = Metric::gauge("fanfold_http_in_flight", "Requests that are being answered");
const CONNECTIONS: Metric = Metric::gauge("fanfold_http_connections", "Open connections");
const CONNECTIONS_MAX: Metric =
    Metric::gauge("fanfold_http_connections_max", "Connections that may be open (`[server] connections_max`)");
const REJECTED: Metric = Metric::counter("fanfold_http_rejected", "Requests turned away at the door").by(&[WHY]);
const FOLLOWERS: Metric =
    Metric::gauge("fanfold_http_followers", "Who follows operations, by streams of events and by waits")
        .by(&[FOLLOWING]);
const FOLLOWERS_MAX: Metric =
    Metric::gauge("fanfold_http_followers_max", "How many may follow at once (`[server] followers_max`)");
const EVENTS_SENT: Metric = Metric::counter("fanfold_http_events_sent", "Events sent in streams");

impl Metrics {
    /// All that is counted about requests and connections.
    pub(super) const DESCRIBED: &[Metric] =
        &[REQUESTS, DURATION, IN_FLIGHT, CONNECTIONS, CONNECTIONS_MAX, REJECTED, FOLLOWERS, FOLLOWERS_MAX, EVENTS_SENT];

    /// Of a server with these limits.
    pub(super) fn new(config: &ServerConfig) -> Self {
        let fixed = |value: usize| {
            let gauge = Gauge::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            gauge
        };
        Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(durations),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            connections_max: fixed(config.connections_max),
            rejected: Family::default(),
            followers: Family::default(),
            followers_max: fixed(config.followers_max),
            events_sent: Counter::default(),
        }
    }

    /// Adds the metrics to a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        REQUESTS.register(registry, self.requests.clone());
        DURATION.register(registry, self.duration.clone());
        IN_FLIGHT.register(registry, self.in_flight.clone());
        CONNECTIONS.register(registry, self.connections.clone());
        CONNECTIONS_MAX.register(registry, self.connections_max.clone());
        REJECTED.register(registry, self.rejected.clone());
        FOLLOWERS.register(registry, self.followers.clone());
        FOLLOWERS_MAX.register(registry, self.followers_max.clone());
        EVENTS_SENT.register(registry, self.events_sent.clone());
    }

    pub(super) fn begun(&self) -> InFlight {
        InFlight::counted_by(&self.in_flight)
    }

    pub(super) fn connected(&self) -> InFlight {
        InFlight::counted_by(&self.connections)
    }

    pub(super) fn follows(&self, kind: Following) -> InFlight {
        InFlight::counted_by(&self.followers.get_or_create(&FollowerLabels { kind: kind.as_str() }))
    }

    pub(super) fn events_sent(&self, count: usize) {
        self.events_sent.inc_by(count as u64);
    }

    pub(super) fn answered(&self, labels: DoorLabels, status: StatusCode, took: Duration) {
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
        let DoorLabels { route, dialect, door } = labels;
        let class = match status.as_u16() {
            500.. => "server_error",
            400.. => "client_error",
            300.. => "redirection",
            _ => "success",
        };
        self.requests.get_or_create(&RequestLabels { route, dialect, door, class }).inc();
    }

    pub(super) fn rejected(&self, reason: Rejected) {
        self.rejected.get_or_create(&RejectedLabels { reason: reason.as_str() }).inc();
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
        let (door, route) = match door {
            Door::System(_) => ("system", ""),
            Door::Native => ("api", ""),
            Door::Console => ("console", ""),
            Door::Own(_) => ("own", ""),
            Door::Route { route, .. } => match route.handling {
                Handling::Operation(_) => ("operation", route.name.as_str()),
                Handling::Pass(_) => ("pass", route.name.as_str()),
            },
            Door::Closed(_) => ("nothing", ""),
        };
        Self { route: route.to_owned(), dialect: Dialect(dialect), door }
    }
}

impl Following {
    fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Operation => "operation",
            Self::Wait => "wait",
        }
    }
}

impl Rejected {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Foreign => "foreign",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::TooSlow => "too_slow",
            Self::Malformed => "malformed",
            Self::NoHandshake => "no_handshake",
            Self::TooManyFollowers => "too_many_followers",
            Self::TooManyRequests => "too_many_requests",
            Self::TooManyFailures => "too_many_failures",
        }
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
