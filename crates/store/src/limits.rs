//! The bounds that every store keeps to.

use std::time::Duration;

/// Entries that one page of a list holds at the most.
pub const LIST_MAX: usize = 1_000;

/// Due operations or notices that are handed out at once at the most.
pub const DUE_MAX: usize = 10_000;

/// Operations that one sweep deletes at the most, so that a sweep never keeps other writes waiting for long.
pub const SWEEP_MAX: usize = 1_000;

/// The bounds of a store that configuration sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bodies of more octets than this stand apart from the record, so that a state change does not rewrite them.
    pub inline_max: usize,
    /// Operations that have not ended, at the most. A further one is not accepted.
    pub waiting_max: u64,
    /// Operations that wait for one lock, its holder apart, at the most. A further one is not accepted.
    pub lock_queue_max: u64,
    /// From this many octets on, ended operations are deleted before their time, the oldest first.
    pub size_soft: Option<u64>,
    /// From this many octets on, no operation is accepted. What runs can still be recorded.
    pub size_hard: Option<u64>,
    /// How long an ended operation is kept even when the store is larger than `size_soft`.
    pub keep_min: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inline_max: 4 * 1024,
            waiting_max: 1_000_000,
            lock_queue_max: 1_000,
            size_soft: None,
            size_hard: None,
            keep_min: Duration::from_secs(24 * 60 * 60),
        }
    }
}
