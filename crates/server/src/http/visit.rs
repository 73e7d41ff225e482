//! One request that was let in.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use hyper::body::Incoming;

use super::auth::Caller;
use super::auth::rules::SAFE;
use super::outcome::Stop;
use super::wire::Peer;
use super::{Front, ServerConfig, body};

/// A body that has come, or why it has not.
pub(super) type Whole = Result<Bytes, Stop>;

/// A request, and who makes it. There is none without a caller, so no handler can forget to ask.
#[derive(Debug)]
pub(super) struct Visit<B = Whole> {
    pub(super) caller: Caller,
    /// Where it comes from.
    pub(super) peer: Peer,
    /// The front as it was when the request came.
    pub(super) front: Arc<Front>,
    pub(super) head: Parts,
    pub(super) body: B,
}

/// A request whose body is still to come.
pub(super) type Arriving = Visit<Incoming>;

impl<B> Visit<B> {
    /// The raw path.
    pub(super) fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// The raw query, without the `?`.
    pub(super) fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }
}

impl Arriving {
    /// The same once its body has come. One that only reads has none that anybody looks at.
    pub(super) async fn whole(self, config: &ServerConfig) -> Visit {
        let Self { caller, peer, front, head, body } = self;
        let body = if SAFE.contains(&head.method) {
            Ok(Bytes::new())
        } else {
            body::read(body, config.body_bytes_max, config.body_time_max).await
        };
        Visit { caller, peer, front, head, body }
    }
}
