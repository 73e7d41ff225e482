//! The bounds that every store keeps to.

use std::time::Duration;

use fanfold_core::{PerTenant, TenantId};

/// Entries that one page of a list holds at the most.
pub const LIST_MAX: usize = 1_000;

/// Due operations or notices that are handed out at once at the most.
pub const DUE_MAX: usize = 10_000;

/// Operations, tokens or entries of the audit trail that one sweep deletes at the most, so that a sweep never keeps other writes waiting for long.
pub const SWEEP_MAX: usize = 1_000;

/// The bounds of a store that configuration sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bodies of more octets than this stand apart from the record, so that a state change does not rewrite them.
    pub inline_max: usize,
    /// Operations that have not ended, at the most. A further one is not accepted.
    pub waiting_max: u64,
    /// The same for the operations of one tenant. More than `waiting_max` is as much.
    pub tenant_waiting_max: PerTenant<u64>,
    /// Operations that wait for one lock, its holder apart, at the most. A further one is not accepted.
    pub lock_queue_max: u64,
    /// From this many octets on, ended operations are deleted before their time, the oldest first.
    pub size_soft: Option<u64>,
    /// From this many octets on, no operation is accepted. What runs can still be recorded.
    pub size_hard: Option<u64>,
    /// How long an ended operation is kept even when the store is larger than `size_soft`.
    pub keep_min: Duration,
    /// Tokens that are not revoked, over all tenants, at the most; expired ones count. A further one is not created.
    pub tokens_max: u64,
    /// The same for the tokens of one tenant, so that none takes them all from the others. The house's own is bounded by
    /// `tokens_max` alone.
    pub tenant_tokens_max: u64,
    /// Sessions at the most, of all holders. With a further one the oldest ends of the tenant that has most.
    pub sessions_max: u64,
    /// The same for those of one tenant, the house's own apart. A further one is not begun.
    pub tenant_sessions_max: u64,
    /// The same for those that were begun with one credential. With a further one the oldest ends.
    pub sessions_each_max: u64,
    /// How long an entry of the audit trail is kept.
    pub audit_kept: Duration,
}

impl Limits {
    /// The bound of a tenant, where it has one that is tighter than that of all.
    pub(crate) fn waiting_max_of(&self, tenant: &TenantId) -> Option<u64> {
        Some(*self.tenant_waiting_max.of(tenant)).filter(|bound| *bound < self.waiting_max)
    }

    /// The bound of a tenant's tokens; none for the house's own.
    pub(crate) fn tokens_max_of(&self, tenant: &TenantId) -> u64 {
        if *tenant == TenantId::default() { u64::MAX } else { self.tenant_tokens_max }
    }

    /// The bound of a tenant's sessions; none for the house's own.
    pub(crate) fn sessions_max_of(&self, tenant: &TenantId) -> u64 {
        if *tenant == TenantId::default() { u64::MAX } else { self.tenant_sessions_max }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inline_max: 4 * 1024,
            waiting_max: 1_000_000,
            tenant_waiting_max: PerTenant::same(u64::MAX),
            lock_queue_max: 1_000,
            size_soft: None,
            size_hard: None,
            keep_min: Duration::from_secs(24 * 60 * 60),
            tokens_max: 10_000,
            tenant_tokens_max: 1_000,
            sessions_max: 10_000,
            tenant_sessions_max: 1_000,
            sessions_each_max: 20,
            audit_kept: Duration::from_secs(400 * 24 * 60 * 60),
        }
    }
}
