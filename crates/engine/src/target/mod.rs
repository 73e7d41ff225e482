//! Outbound HTTP: how a request gets to a target and what comes back.
//!
//! Owned here: the configured targets and their replacement at a reload ([`Targets`]), who may send when (permits, breaker,
//! hold: [`Ticket`]), connections and the exact knowledge whether a byte of a request may have left ([`Target::send`]), and
//! requests that are passed through ([`Target::forward`]).
//!
//! Not here: what an answer means, retries, backoff and monitors. One call of [`Target::send`] is one attempt on the wire;
//! nothing is sent again behind the caller's back, and redirects are not followed.

mod admission;
mod breaker;
mod config;
mod connection;
mod failure;
mod forward;
mod headers;
mod line;
mod link;
mod metrics;
mod registry;
mod send;
mod tally;
mod tls;
mod url;

pub(crate) use admission::Demand;
pub use admission::{Permit, PermitKind, Ticket, Turn};
pub use breaker::BreakerConfig;
pub use config::TargetConfig;
pub use forward::{ForwardError, PassBody, PassBroke, PassLimits};
pub use headers::{BadHeader, from_wire, is_hop_by_hop, to_wire};
pub(crate) use line::Line;
pub use metrics::Metrics;
pub use registry::{BadTarget, BreakerStatus, PerKind, Target, TargetLimits, TargetState, TargetStatus, Targets};
pub use send::{Broke, Outgoing, Received};
pub use tally::{Latency, Totals};
pub use tls::{BadTls, Tls};
pub use url::{BadPath, BadUrl, TargetUrl};
