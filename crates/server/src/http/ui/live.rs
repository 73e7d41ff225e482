//! Tells pages that something has changed, at the most once a second: they ask for what they show themselves.

use std::time::Duration;

use bytes::Bytes;
use fanfold_core::OperationId;
use fanfold_core::dialect::Reply;
use futures_util::stream;
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::http::followers::Follower;
use crate::http::metrics::Following;
use crate::http::outcome::{self, BoxError, Response, Stop};
use crate::http::server::Shared;
use crate::http::sse::{Blocks, EVENT_STREAM};
use crate::http::visit::Visit;

/// Between two words to a page.
const PACE: Duration = Duration::from_secs(1);

/// A page that looks at more than operations (breakers, queues, the time) looks again after this time anyway.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// When a browser comes again that was cut off.
const RETRY_MS: u128 = 2_000;

/// A stream of words to one page.
struct Words {
    changes: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// How long it may be silent.
    idle: Duration,
    is_first: bool,
    _follower: Follower,
}

/// `GET /ui/live`: of everything; `GET /ui/live/{id}`: of one operation.
pub(super) async fn stream(shared: &Shared, visit: &Visit, id: Option<OperationId>) -> Result<Response, Stop> {
    if let Some(id) = id {
        shared.operation(&visit.caller, id).await?;
    }
    let reply = Reply { status: StatusCode::OK, headers: Vec::new(), body: Bytes::new() };
    let reply =
        reply.with("content-type", EVENT_STREAM).with("cache-control", "no-store").with("x-accel-buffering", "no");
    let mut response = outcome::reply(reply);
    if visit.head.method == Method::HEAD {
        return Ok(response);
    }
    let kind = if id.is_some() { Following::Operation } else { Following::All };
    let words = Words {
        changes: id.map_or_else(|| shared.engine.follow_all(), |id| shared.engine.follow(id)),
        stopping: shared.live.stopping.clone(),
        idle: if id.is_some() { shared.config.heartbeat } else { IDLE_MAX },
        is_first: true,
        _follower: shared.live.followers.admit(kind, &visit.caller.access.tenant, id)?,
    };
    let blocks = stream::unfold(words, |mut words| async move {
        let block = words.next().await?;
        Some((Ok::<_, BoxError>(Frame::data(block)), words))
    });
    *response.body_mut() = StreamBody::new(blocks).boxed_unsync();
    Ok(response)
}

impl Words {
    /// The next word; `None` once the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        let mut blocks = Blocks::default();
        if std::mem::take(&mut self.is_first) {
            blocks.begin(RETRY_MS, 0);
            return Some(blocks.into_text().into());
        }
        let paced = async {
            sleep(PACE).await;
            let changed = async {
                if self.changes.changed().await.is_err() {
                    // Whoever changes it has let go of it: it has ended, or another node goes on with it.
                    sleep(self.idle).await;
                }
            };
            drop(tokio::time::timeout(self.idle, changed).await);
        };
        tokio::select! {
            () = paced => {}
            // An error says that the server is gone.
            _ = self.stopping.wait_for(|stopping| *stopping) => return None,
        }
        blocks.event(None, "change", "");
        Some(blocks.into_text().into())
    }
}
