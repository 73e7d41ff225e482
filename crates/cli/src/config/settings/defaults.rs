//! What holds where the file says nothing, and how levels go before each other: built in < `[defaults]` < target < route.

use std::time::Duration;

use fanfold_core::plan::Limits;
use fanfold_core::route::spec::LimitsOverride;

use crate::config::file::{Retry, Timeouts};
use crate::config::value::{Size, Span, Text};

pub(super) const REQUEST_HEAD_MAX: u64 = 32 * 1024;
pub(super) const REQUEST_BODY_MAX: u64 = 1024 * 1024;
pub(super) const CONNECTIONS_MAX: u32 = 16_384;
pub(super) const REQUESTS_PER_SECOND: u32 = 10_000;
pub(super) const FAILURES_PER_MINUTE: u32 = 60;
pub(super) const SESSION: Duration = Duration::from_secs(12 * 60 * 60);
pub(super) const LEASE: Duration = Duration::from_secs(10);
pub(super) const READERS: u32 = 8;
pub(super) const RESPONSE_BODY_MAX: u64 = 1024 * 1024;
/// What a graceful stop waits beyond the longest attempt, for its answer to be recorded.
pub(super) const GRACE_MARGIN: Duration = Duration::from_secs(2);
pub(super) const NOTICE_ATTEMPTS: u32 = 20;
pub(super) const NOTICE_BACKOFF: Duration = Duration::from_secs(1);
pub(super) const NOTICE_BACKOFF_MAX: Duration = Duration::from_secs(600);
pub(super) const NOTICE_RESPONSE: Duration = Duration::from_secs(10);
pub(super) const CONNECT: Duration = Duration::from_secs(3);
pub(super) const KEYSTONE_CACHE: Duration = Duration::from_secs(60);
pub(super) const SETTLE: Duration = Duration::from_secs(10);
pub(super) const TARGETS_MAX: usize = 64;
pub(super) const DEADLINE: Duration = Duration::from_secs(3600);
pub(super) const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// The built-in bounds of a step, and of an undo.
pub(super) fn limits() -> Limits {
    Limits {
        attempts: 5,
        backoff: Duration::from_millis(500),
        backoff_max: Duration::from_secs(30),
        budget: Duration::from_secs(5 * 60),
        connect: CONNECT,
        response: Duration::from_secs(30),
        lower: Duration::from_secs(30 * 60),
        response_body_max: RESPONSE_BODY_MAX,
    }
}

/// What one level says about bounds.
pub(super) fn level(retry: Option<&Retry>, timeouts: Option<&Timeouts>, body_max: Option<Size>) -> LimitsOverride {
    let (retry, timeouts) = (retry.unwrap_or(&Retry::NOTHING), timeouts.unwrap_or(&Timeouts::NOTHING));
    LimitsOverride {
        attempts: retry.attempts,
        backoff: span(&retry.backoff),
        backoff_max: span(&retry.backoff_max),
        budget: span(&retry.budget),
        connect: span(&timeouts.connect),
        response: span(&timeouts.response),
        lower: span(&timeouts.lower),
        response_body_max: body_max.map(|size| size.0),
    }
}

/// The plain value of a field.
pub(super) fn span(field: &Option<Text<Span>>) -> Option<Duration> {
    field.as_ref().map(|text| text.0.0)
}
