//! `[limits]` and `[tenants.NAME]`.

use schemars::JsonSchema;
use serde::Deserialize;

/// `[limits]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// How many operations of one tenant may wait or run; from then on nothing new of it is accepted, and a request is a 503.
    /// Default: as many as of all together (`waiting_max` of the store).
    #[schemars(range(min = 1, max = 100_000_000))]
    pub(crate) tenant_waiting_max: Option<u32>,
    /// Who of one tenant may follow operations at the same time, by streams of events and by waits; further ones are a 503.
    /// Default: as many as of all together (`followers_max` of the server).
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) tenant_followers_max: Option<u32>,
    /// How many requests may be made with one token in each second, in the long run; a further one is a 429. Each node counts
    /// for itself. Default: 10,000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) requests_per_second: Option<u32>,
    /// How many of them may come at once, after a pause. Default: as many as in one second.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) requests_burst: Option<u32>,
    /// How many requests without good credentials may come from one address in each minute; further ones are answered with 429
    /// in place of 401. An IPv6 network of 64 bits counts as one address, and a proxy as the address of all its clients: who
    /// shows good credentials is let in all the same. Default: 60.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) failed_authentications_per_minute: Option<u32>,
}

/// `[tenants.NAME]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tenant {
    /// Its share when others want the same, in proportion to theirs: of permits of targets, of room in memory, and of turns to
    /// have something accepted. Default: 1.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) weight: Option<u32>,
    /// How many operations of this tenant may wait or run; from then on nothing new of it is accepted.
    /// Default: that of all tenants, `tenant_waiting_max` of `[limits]`.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub(crate) waiting_max: Option<u32>,
    /// Who of this tenant may follow operations at the same time. Default: that of all tenants, `tenant_followers_max` of
    /// `[limits]`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) followers_max: Option<u32>,
    /// How many requests may be made with each token of this tenant in each second. Default: that of `[limits]`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) requests_per_second: Option<u32>,
    /// How many of them may come at once, after a pause. Default: as many as in one second, or that of `[limits]` where
    /// `requests_per_second` is.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) requests_burst: Option<u32>,
}
