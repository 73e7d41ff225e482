//! Performs what core decides: accepts operations, takes them from the store into memory, calls targets, follows lower
//! operations, rolls back, sends notices, and recovers what an ended process left behind.
//!
//! Where to look: [`Engine`] is the handle; `accept` makes operations, `repeated` recognises requests that come again;
//! `dispatch` takes them up, lane by lane (`lane`); `turns` are those of tenants; `execute` carries one out; [`target`] is everything towards back ends; `notify` sends notices;
//! [`identity`] tells who somebody is that others vouch for; [`pem`] reads certificates and keys;
//! `tell` hands an operation a fact; `members` and `membership` are about other nodes on its store; `patrol` looks for what was forgotten; `settle` cancels what was accepted without an answer; `access` writes tokens and the audit trail; `upkeep` does the chores. The
//! engine never decides what an operation becomes (that is core's `transition`), serves no HTTP, and knows no SQL.

mod accept;
mod accepting;
mod access;
mod allow;
mod attention;
mod bulk;
mod clock;
mod config;
mod dispatch;
mod doubts;
mod drain;
mod dry_run;
mod engine;
mod error;
mod execute;
mod extend;
mod fingerprint;
mod given;
mod hold;
pub mod identity;
mod lane;
mod lookup;
mod lowers;
mod members;
mod membership;
mod metrics;
mod network;
mod notify;
mod patrol;
pub mod pem;
mod policies;
mod receiver;
mod repeated;
mod resealing;
mod residents;
mod restored;
mod retry;
mod settle;
mod shared;
mod span_sink;
mod stalled;
pub mod target;
mod tell;
mod traces;
mod turns;
mod upkeep;

pub use accept::{AcceptOutcome, AcceptRequest};
pub use access::{SessionOutcome, TokenOutcome, TokenRequest};
pub use allow::{AllowRule, AllowedHost};
pub use attention::Resolution;
pub use bulk::{BULK_MAX, BulkOutcome, BulkRequest, Deed, Done};
pub use clock::{Clock, SystemClock};
pub use config::{Config, NoticeRules, RouteCallback};
pub use dry_run::DryRun;
pub use engine::{CancelOutcome, Engine};
pub use error::Error;
pub use extend::Extension;
pub use lookup::{Resolve, Resolved, SystemResolver};
pub use members::Membership;
pub use metrics::{Metrics, OperationTotals};
pub use network::{Connecting, Network, Socket};
pub use receiver::{BadSecret, BadWebhookUrl, SigningSecret, WebhookUrl, is_host_name};
pub use restored::{ReleaseRequest, Released, mark_restored};
pub use retry::RetryRequest;
pub use span_sink::SpanSink;
pub use turns::{Claimant, Weight};
