//! The limits of the engine, as configuration gives them. Everything that could grow has one.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::PerTenant;

use crate::allow::AllowRule;
use crate::lookup::{Resolve, SystemResolver};
use crate::network::Network;
use crate::receiver::{SigningSecret, WebhookUrl};
use crate::span_sink::SpanSink;
use crate::target::Tls;
use crate::turns::Weight;

/// The limits of the engine. Everything that could grow has one.
#[derive(Debug, Clone)]
pub struct Config {
    /// Operations in memory at once; the others wait in the store. One tenant alone leaves a fifth of it free.
    pub running_max: usize,
    /// Operations in memory at once that call the same targets: one sick target must not take all the room. One tenant alone
    /// leaves a fifth of it free.
    pub lane_running_max: usize,
    /// The share of each tenant, in proportion to those of others, of the room in memory, of the permits of targets, and of
    /// acceptances under way.
    pub weights: PerTenant<Weight>,
    /// Acceptances that the store is asked for at once; further ones wait for their turn, tenant by tenant.
    pub accepting_max: usize,
    /// How long they wait at the most; then they are refused.
    pub accepting_wait_max: Duration,
    /// Operations at the most whose acceptance could not be answered, and that have not been looked for yet (G1); while there
    /// are as many, nothing is accepted.
    pub doubtful_max: usize,
    /// Ended operations that are kept in memory to answer questions about them.
    pub ended_max: usize,
    /// An operation that has nothing to do for longer than this leaves the memory.
    pub park_after: Duration,
    /// How often the store is searched for what is due, beside being told.
    pub sweep_every: Duration,
    /// How often, at the most, all operations that have not ended are looked at for one that was forgotten. More than twice
    /// as long as a task sleeps before it looks at the clock.
    pub look_after_every: Duration,
    /// How often ended operations whose retention has passed are deleted.
    pub retention_every: Duration,
    /// How notices are sent.
    pub notices: NoticeRules,
    /// How the hosts of webhooks are found. Targets bring theirs along.
    pub resolver: Arc<dyn Resolve>,
    /// What lower `msf` controllers are told to notify of the ends of their operations; `None`: they are only asked.
    pub callback: Option<SocketAddrV4>,
    /// Where traces go; `None`: nowhere.
    pub traces: Option<Arc<dyn SpanSink>>,
    /// The network that notices go over; `None`: the machine's own. Targets bring theirs along.
    pub network: Option<Arc<dyn Network>>,
    /// The key of idempotency fingerprints; the same over restarts.
    pub fingerprint_key: [u8; 32],
}

impl Config {
    /// The documented defaults.
    pub fn new(fingerprint_key: [u8; 32]) -> Self {
        Self {
            running_max: 16_384,
            lane_running_max: 2_048,
            weights: PerTenant::default(),
            accepting_max: 256,
            accepting_wait_max: Duration::from_secs(10),
            doubtful_max: 4_096,
            ended_max: 4_096,
            park_after: Duration::from_secs(60),
            sweep_every: Duration::from_secs(5),
            look_after_every: Duration::from_secs(65),
            retention_every: Duration::from_secs(60),
            notices: NoticeRules::default(),
            resolver: Arc::new(SystemResolver),
            traces: None,
            callback: None,
            network: None,
            fingerprint_key,
        }
    }
}

/// How notices are sent.
#[derive(Debug, Clone)]
pub struct NoticeRules {
    /// Where notices may go that a caller asked for. Empty: nowhere.
    pub allow: Vec<AllowRule>,
    /// Tries before a notice is given up; at least 1.
    pub attempts: u32,
    /// The wait after the first failed try is drawn from zero to this; it doubles with each further one.
    pub backoff: Duration,
    /// The longest wait between two tries.
    pub backoff_max: Duration,
    /// How long one try may take.
    pub timeout: Duration,
    /// What webhooks are signed with that have no secrets of their own, all of them at once. Empty: callers may ask for none.
    pub secrets: Vec<SigningSecret>,
    /// Who is told of every end of a route's operations, by the name of the route.
    pub callbacks: BTreeMap<String, RouteCallback>,
    /// What stands before a path to make a link absolute; empty: links are relative.
    pub public_url: String,
    /// How certificates are checked; `None`: as the platform does.
    pub tls: Option<Tls>,
}

/// Who is told of every end of a route's operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCallback {
    /// Where.
    pub url: WebhookUrl,
    /// What is signed with; empty: [`NoticeRules::secrets`].
    pub secrets: Vec<SigningSecret>,
}

impl Default for NoticeRules {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            attempts: 20,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(600),
            timeout: Duration::from_secs(13),
            secrets: Vec::new(),
            callbacks: BTreeMap::new(),
            public_url: String::new(),
            tls: None,
        }
    }
}

impl NoticeRules {
    /// Whether a caller may ask for notices to this address, as that of the host of this name (`None`: the address itself was
    /// given).
    pub(crate) fn permit(&self, name: Option<&str>, to: std::net::SocketAddr) -> bool {
        self.allow.iter().any(|rule| rule.permits(name, to))
    }

    /// Whether it depends on the address of the host of this name whether a caller may ask for notices to it: where it does not,
    /// none is permitted, and the name need not be looked up.
    pub(crate) fn may_permit(&self, name: &str, port: u16) -> bool {
        self.allow.iter().any(|rule| rule.may_permit(name, port))
    }

    /// What the webhooks of this route are signed with.
    pub(crate) fn secrets_of(&self, route: &str) -> &[SigningSecret] {
        self.own_secrets(route).unwrap_or(&self.secrets)
    }

    /// The secrets that this route alone signs with, if it has any.
    pub(crate) fn own_secrets(&self, route: &str) -> Option<&[SigningSecret]> {
        let own = self.callbacks.get(route).map(|callback| callback.secrets.as_slice());
        own.filter(|secrets| !secrets.is_empty())
    }
}
