//! The limits of the server. Everything that a client could make large or slow has one.

use std::time::Duration;

use fanfold_core::PerTenant;

use super::Pace;

/// The limits of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Octets of the request line and the header fields together. What is a little longer is refused in the words of the
    /// dialect, what is much longer by the parser itself.
    pub head_bytes_max: usize,
    /// Header fields of one request.
    pub header_fields_max: usize,
    /// Octets of a request body. Bodies that are passed through are not counted: they are never in memory as a whole.
    pub body_bytes_max: u64,
    /// For a client to come to an end with the handshake of TLS, where that is spoken. The time for its first head begins after it.
    pub handshake_time_max: Duration,
    /// For a client to send the next head on its connection, the time without any request included.
    pub head_time_max: Duration,
    /// For a client to send a whole request body.
    pub body_time_max: Duration,
    /// Between two pieces of a body that is passed through. A target's own response time bounds it too, to half of that, so
    /// that a slow client is never taken for a slow target.
    pub upload_idle_max: Duration,
    /// For a client to take the next piece of an answer.
    pub write_idle_max: Duration,
    /// Open connections. Further ones wait in the operating system's queue until one ends.
    pub connections_max: usize,
    /// What `Prefer: wait=N` can ask for; a larger N counts as this.
    pub prefer_wait_max: Duration,
    /// What `?wait=` of the native API can ask for.
    pub poll_wait_max: Duration,
    /// Who may follow at the same time, with streams of events and with waits: fewer than there may be connections, so that
    /// others are still answered. Further ones are refused.
    pub followers_max: usize,
    /// Of these, the followers of one tenant.
    pub tenant_followers_max: PerTenant<usize>,
    /// How fast requests may come with one token of a tenant. Pages for programs (`/healthz`, `/metrics`, ...) do not count.
    pub request_pace: PerTenant<Pace>,
    /// How fast requests without good credentials may come from one address.
    pub failure_pace: Pace,
    /// Who may follow one operation at the same time.
    pub operation_followers_max: usize,
    /// After this time without an event, a stream says that it is still there.
    pub heartbeat: Duration,
    /// For requests in progress to end once the server is asked to stop. Those that merely wait for an operation are answered
    /// at once.
    pub shutdown_grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            head_bytes_max: 32 * 1024,
            header_fields_max: 100,
            body_bytes_max: 1024 * 1024,
            handshake_time_max: Duration::from_secs(10),
            head_time_max: Duration::from_secs(30),
            body_time_max: Duration::from_secs(60),
            upload_idle_max: Duration::from_secs(10),
            write_idle_max: Duration::from_secs(30),
            connections_max: 16_384,
            prefer_wait_max: Duration::from_secs(300),
            poll_wait_max: Duration::from_secs(300),
            followers_max: 12_288,
            tenant_followers_max: PerTenant::same(usize::MAX),
            request_pace: PerTenant::same(Pace::new(10_000, Duration::from_secs(1), 10_000)),
            failure_pace: Pace::new(60, Duration::from_secs(60), 60),
            operation_followers_max: 1_024,
            heartbeat: Duration::from_secs(15),
            shutdown_grace: Duration::from_secs(30),
        }
    }
}
