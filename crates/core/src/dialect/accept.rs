//! What a dialect reads from a request that a route accepts.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::Operation;

/// A request that a route accepts, as far as a dialect reads it.
#[derive(Debug, Clone, Copy)]
pub struct Accepting<'a> {
    /// The raw query, without the `?`.
    pub query: Option<&'a str>,
    /// What the route's pattern captured, decoded.
    pub captures: &'a BTreeMap<String, String>,
}

/// What the dialect makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acceptance {
    /// What the dialect needs again later; goes into [`crate::plan::Front::attributes`].
    pub attributes: BTreeMap<String, String>,
    /// The raw query without the dialect's own parameters, every other octet as it came. What is sent to targets and what
    /// idempotency keys are compared by; the record keeps the request as the client sent it.
    pub query: Option<String>,
    /// Whether an id is to be issued for the resource that is created ([`crate::Plan::resource_id`]).
    pub issues_resource_id: bool,
    /// The address that the caller wants to be told at. Whether that is allowed is for the engine to check, now and when sending.
    pub notify: Option<SocketAddr>,
}

/// An attribute that [`Acceptance::attributes`] set.
pub(super) fn attribute<'a>(operation: &'a Operation, name: &str) -> Option<&'a str> {
    operation.plan.front.attributes.get(name).map(String::as_str)
}
