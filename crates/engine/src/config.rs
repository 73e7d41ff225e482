//! The limits of the engine, as configuration gives them. Everything that could grow has one.

use std::time::Duration;

use crate::allow::AllowRule;

/// The limits of the engine. Everything that could grow has one.
#[derive(Debug, Clone)]
pub struct Config {
    /// Operations in memory at once, over all lanes; the others wait in the store.
    pub running_max: usize,
    /// Operations in memory at once that call the same targets: one sick target must not take all the room.
    pub lane_running_max: usize,
    /// Ended operations that are kept in memory to answer questions about them.
    pub ended_max: usize,
    /// An operation that has nothing to do for longer than this leaves the memory.
    pub park_after: Duration,
    /// How often the store is searched for what is due, beside being told.
    pub sweep_every: Duration,
    /// How often ended operations whose retention has passed are deleted.
    pub retention_every: Duration,
    /// How notices are sent.
    pub notices: NoticeRules,
    /// The key of idempotency fingerprints; the same over restarts.
    pub fingerprint_key: [u8; 32],
}

impl Config {
    /// The documented defaults.
    pub fn new(fingerprint_key: [u8; 32]) -> Self {
        Self {
            running_max: 16_384,
            lane_running_max: 2_048,
            ended_max: 4_096,
            park_after: Duration::from_secs(60),
            sweep_every: Duration::from_secs(5),
            retention_every: Duration::from_secs(60),
            notices: NoticeRules::default(),
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
}

impl Default for NoticeRules {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            attempts: 20,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(600),
            timeout: Duration::from_secs(13),
        }
    }
}

impl NoticeRules {
    /// Whether a caller may ask for notices to this address.
    pub fn permit(&self, to: std::net::SocketAddr) -> bool {
        self.allow.iter().any(|rule| rule.permits(to))
    }
}
