//! Streams of events: what a follower is sent, from the first block to the end of the stream. A stream reads on only when its
//! client takes what was sent, a batch at a time, so a slow client costs a batch and holds nobody up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fanfold_core::operation::Status;
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::{OperationId, TargetName, TenantId};
use fanfold_engine::Error;
use futures_util::stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::watch;

use super::feed::{Entry, Feed, Piece, Source};
use super::followers::{Follower, Followers};
use super::metrics::Metrics;
use super::outcome::BoxError;
use super::sse::Blocks;

/// How long a client pauses before it comes again.
const RETRY: Duration = Duration::from_secs(2);

/// What all streams share.
pub(super) struct Live {
    pub(super) source: Source,
    pub(super) followers: Arc<Followers>,
    pub(super) metrics: Metrics,
    pub(super) heartbeat: Duration,
    pub(super) stopping: watch::Receiver<bool>,
    /// One for each tenant that has followed.
    feeds: Mutex<BTreeMap<TenantId, Arc<Feed>>>,
}

/// Which events of all operations somebody wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    /// Of these names; empty: all.
    pub(super) events: BTreeSet<&'static str>,
    /// Those that ended an operation with one of these statuses; empty: all events.
    pub(super) statuses: BTreeSet<Status>,
    pub(super) route: Option<String>,
    pub(super) dialect: Option<DialectName>,
    pub(super) mount: Option<String>,
    pub(super) verb: Option<Verb>,
    pub(super) resource: Option<String>,
    pub(super) target: Option<TargetName>,
    /// What is meant for whoever asks.
    pub(super) scope: fanfold_core::Scope,
}

/// What is followed.
pub(super) enum Scope {
    /// One operation, until it has ended.
    Operation(OperationId),
    /// All of a tenant.
    All { feed: Arc<Feed>, wanted: Box<Wanted> },
}

/// A stream, and how far it is.
pub(super) struct Stream {
    live: Arc<Live>,
    scope: Scope,
    /// Notified of what is recorded.
    changes: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// The client has everything up to this number.
    after: u64,
    /// Missing events were told up to this number.
    told_to: u64,
    stage: Stage,
    _follower: Follower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Beginning,
    /// There may be something to read right away.
    Reading,
    Waiting,
    Ended,
}

impl Live {
    pub(super) fn new(
        source: Source,
        followers: Arc<Followers>,
        metrics: Metrics,
        heartbeat: Duration,
        stopping: watch::Receiver<bool>,
    ) -> Arc<Self> {
        Arc::new(Self { source, followers, metrics, heartbeat, stopping, feeds: Mutex::default() })
    }

    /// The feed of a tenant.
    pub(super) fn feed(&self, tenant: &TenantId) -> Arc<Feed> {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        let feed = feeds.entry(tenant.clone()).or_insert_with(|| Arc::new(Feed::new(tenant.clone())));
        Arc::clone(feed)
    }
}

impl Wanted {
    fn lets_through(&self, entry: &Entry) -> bool {
        let about = &*entry.about;
        let fits = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        (self.events.is_empty() || self.events.contains(entry.event))
            && (self.statuses.is_empty() || entry.status.is_some_and(|status| self.statuses.contains(&status)))
            && fits(&self.route, &about.route)
            && self.dialect.is_none_or(|dialect| dialect == about.dialect)
            && fits(&self.mount, &about.mount)
            && self.verb.is_none_or(|verb| verb == about.verb)
            && fits(&self.resource, &about.resource)
            && self.target.as_ref().is_none_or(|target| about.targets.contains(target))
            && self.scope.has_route(&about.route)
            && about.targets.iter().all(|target| self.scope.has_target(target))
    }
}

impl Stream {
    /// A stream of what follows number `after`.
    pub(super) fn new(live: &Arc<Live>, scope: Scope, after: u64, follower: Follower) -> Self {
        let changes = scope.changes(live);
        Self {
            live: Arc::clone(live),
            scope,
            changes,
            stopping: live.stopping.clone(),
            after,
            // Who begins at the beginning asks for what there is.
            told_to: if after == 0 { u64::MAX } else { after },
            stage: Stage::Beginning,
            _follower: follower,
        }
    }

    /// The body of the response.
    pub(super) fn body(self) -> UnsyncBoxBody<Bytes, BoxError> {
        let blocks = stream::try_unfold(self, |mut stream| async move {
            let block =
                stream.next().await.inspect_err(|error| tracing::error!(%error, "a stream of events breaks off"));
            Ok::<_, BoxError>(block?.map(|octets| (Frame::data(octets), stream)))
        });
        StreamBody::new(blocks).boxed_unsync()
    }

    /// The next octets of the stream; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.stage {
                Stage::Ended => return Ok(None),
                Stage::Beginning => {
                    self.stage = Stage::Reading;
                    return Ok(Some(self.beginning()));
                }
                Stage::Reading => {
                    // What was recorded before the stop is sent still.
                    let is_last = *self.stopping.borrow_and_update();
                    // On the heap, so that a stream that waits is small.
                    let octets = Box::pin(self.read()).await?;
                    if is_last && self.stage == Stage::Waiting {
                        self.stage = Stage::Ended;
                    }
                    if !octets.is_empty() {
                        return Ok(Some(octets));
                    }
                }
                Stage::Waiting => {
                    if let Some(heartbeat) = self.news().await {
                        return Ok(Some(heartbeat));
                    }
                }
            }
        }
    }

    fn beginning(&self) -> Bytes {
        let mut blocks = Blocks::default();
        blocks.begin(RETRY.as_millis(), self.after);
        blocks.into_text().into()
    }

    /// Waits until there may be something to read; gives a heartbeat if there is nothing for too long.
    async fn news(&mut self) -> Option<Bytes> {
        tokio::select! {
            changed = self.changes.changed() => {
                if changed.is_err() {
                    // Whoever changes it has let go of it; it may be taken up again.
                    self.changes = self.scope.changes(&self.live);
                }
            }
            // An error says that the server is gone.
            _ = self.stopping.wait_for(|stopping| *stopping) => {}
            () = tokio::time::sleep(self.live.heartbeat) => {
                let mut blocks = Blocks::default();
                blocks.heartbeat(self.after);
                return Some(blocks.into_text().into());
            }
        }
        self.stage = Stage::Reading;
        None
    }

    /// Reads a batch and moves on to the next stage.
    async fn read(&mut self) -> Result<Bytes, Error> {
        // Seen before it is read, so that no event gets lost in between.
        let as_of = *self.changes.borrow_and_update();
        let source = &self.live.source;
        let (piece, ended) = match &self.scope {
            Scope::All { feed, .. } => (feed.follow(source, self.after, as_of).await?, None),
            Scope::Operation(id) => {
                let Some(operation) = source.engine.operation(*id).await? else {
                    self.stage = Stage::Ended;
                    return Ok(Bytes::new());
                };
                // It was read first: if it has ended, its history is complete.
                let piece = source.history(*id, self.after).await?;
                let end = operation.end().map(|end| end.status).filter(|_| !piece.more);
                (piece, end.map(|status| (*id, status)))
            }
        };
        self.stage = if piece.more { Stage::Reading } else { Stage::Waiting };
        let mut octets = self.write(&piece);
        if let Some((id, status)) = ended {
            let mut blocks = Blocks::default();
            blocks.event(None, "end", &serde_json::json!({ "operation": id, "status": status }).to_string());
            octets.extend_from_slice(blocks.into_text().as_bytes());
            self.stage = Stage::Ended;
        }
        Ok(octets.freeze())
    }

    fn write(&mut self, piece: &Piece) -> BytesMut {
        let mut octets = BytesMut::new();
        if self.told_to == u64::MAX {
            self.told_to = piece.deleted_to;
        } else if piece.deleted_to > self.told_to.max(self.after) {
            self.told_to = piece.deleted_to;
            let mut blocks = Blocks::default();
            let data = serde_json::json!({ "after": self.after, "up_to": piece.deleted_to });
            blocks.event(None, "gap", &data.to_string());
            octets.extend_from_slice(blocks.into_text().as_bytes());
        }
        let mut sent = 0;
        for entry in piece.entries.iter().filter(|entry| self.scope.lets_through(entry)) {
            octets.extend_from_slice(&entry.block);
            sent += 1;
        }
        self.live.metrics.events_sent(sent);
        self.after = piece.upto;
        octets
    }
}

impl Scope {
    fn changes(&self, live: &Live) -> watch::Receiver<u64> {
        match self {
            Self::Operation(id) => live.source.engine.follow(*id),
            Self::All { .. } => live.source.engine.follow_all(),
        }
    }

    fn lets_through(&self, entry: &Entry) -> bool {
        match self {
            Self::Operation(_) => true,
            Self::All { wanted, .. } => wanted.lets_through(entry),
        }
    }
}
