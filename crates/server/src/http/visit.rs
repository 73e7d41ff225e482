//! One request that was let in.

use std::sync::Arc;

use http::request::Parts;
use hyper::body::Incoming;

use super::Front;
use super::auth::Caller;
use super::wire::Peer;

/// A request, and who makes it. There is none without a caller, so no handler can forget to ask.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) caller: Caller,
    /// Where it comes from.
    pub(super) peer: Peer,
    /// The front as it was when the request came.
    pub(super) front: Arc<Front>,
    pub(super) head: Parts,
    pub(super) body: Incoming,
}

impl Visit {
    /// The raw path.
    pub(super) fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The raw query, without the `?`.
    pub(super) fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }
}
