//! Bodies of requests: read as a whole within limits, or passed on piece by piece.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fanfold_core::dialect::Refusal;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, timeout};

use super::outcome::Stop;

/// Room that is made for a body before any of it has come, at the most: a client may claim more than it sends.
const RESERVED_MAX: u64 = 64 * 1024;

/// Reads a whole body.
///
/// # Errors
/// If it is longer than `max` octets, breaks off, or does not come within `patience`.
pub(super) async fn read(body: Incoming, max: u64, patience: Duration) -> Result<Bytes, Stop> {
    if body.size_hint().lower() > max {
        return Err(Refusal::BodyTooLarge { max }.into());
    }
    match timeout(patience, collect(body, max)).await {
        Ok(read) => Ok(read?),
        Err(_) => Err(Stop::TooSlow),
    }
}

async fn collect(mut body: Incoming, max: u64) -> Result<Bytes, Refusal> {
    let reserved = body.size_hint().lower().min(RESERVED_MAX);
    let mut octets = BytesMut::with_capacity(usize::try_from(reserved).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::Unparsable { detail: "the request body broke off".to_owned() })?;
        // Trailers belong to the connection; nothing of ours asks for any.
        let Ok(data) = frame.into_data() else { continue };
        if (octets.len() as u64).saturating_add(data.len() as u64) > max {
            return Err(Refusal::BodyTooLarge { max });
        }
        octets.extend_from_slice(&data);
    }
    Ok(octets.freeze())
}

/// A body that is passed on as it comes, and breaks off if its client pauses for too long.
#[derive(Debug)]
pub(super) struct Upload {
    body: Incoming,
    idle: Duration,
    patience: Pin<Box<Sleep>>,
    stalled: Stalled,
}

/// Tells afterwards whether an upload broke off because its client paused for too long.
#[derive(Debug, Clone, Default)]
pub(super) struct Stalled(Arc<AtomicBool>);

/// The client paused for too long.
#[derive(Debug, thiserror::Error)]
#[error("nothing more of the request came within {0:?}")]
pub(super) struct Paused(Duration);

impl Upload {
    pub(super) fn new(body: Incoming, idle: Duration) -> Self {
        Self { body, idle, patience: Box::pin(tokio::time::sleep(idle)), stalled: Stalled::default() }
    }

    pub(super) fn stalled(&self) -> Stalled {
        self.stalled.clone()
    }
}

impl Stalled {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                // Its clock stands still while the target is the one that is awaited.
                this.patience.as_mut().reset(Instant::now() + this.idle);
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending if this.patience.as_mut().poll(cx).is_ready() => {
                this.stalled.0.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(Paused(this.idle).into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
