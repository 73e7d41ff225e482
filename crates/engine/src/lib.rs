//! Performs what core decides: accepts operations, takes them from the store into memory, calls targets, follows lower
//! operations, rolls back, sends notices, and recovers what an ended process left behind.
//!
//! Where to look: [`Engine`] is the handle; `accept` makes operations, `repeated` recognises requests that come again;
//! `dispatch` takes them up; `execute` carries one out; [`target`] is everything towards back ends; `notify` sends notices;
//! `tell` hands an operation a fact; `members` and `membership` are about other nodes on its store; `patrol` looks for what was forgotten; `settle` cancels what was accepted without an answer; `upkeep` does the chores. The
//! engine never decides what an operation becomes (that is core's `transition`), serves no HTTP, and knows no SQL.

mod accept;
mod allow;
mod attention;
mod clock;
mod config;
mod dispatch;
mod doubts;
mod drain;
mod engine;
mod error;
mod execute;
mod extend;
mod fingerprint;
mod given;
mod hold;
mod lookup;
mod lowers;
mod members;
mod membership;
mod metrics;
mod network;
mod notify;
mod patrol;
mod policies;
mod receiver;
mod repeated;
mod residents;
mod restored;
mod retry;
mod settle;
mod shared;
mod stalled;
pub mod target;
mod tell;
mod upkeep;

pub use accept::{AcceptOutcome, AcceptRequest};
pub use allow::{AllowRule, AllowedHost};
pub use attention::Resolution;
pub use clock::{Clock, SystemClock};
pub use config::{Config, NoticeRules, RouteCallback};
pub use engine::{CancelOutcome, Engine};
pub use error::Error;
pub use extend::Extension;
pub use lookup::{Resolve, Resolved, SystemResolver};
pub use members::Membership;
pub use metrics::Metrics;
pub use network::{Connecting, Network, Socket};
pub use receiver::{BadSecret, BadWebhookUrl, SigningSecret, WebhookUrl};
pub use restored::{ReleaseRequest, Released, mark_restored};
pub use retry::RetryRequest;
