//! A connection whose requests are followed by [`Framing`] as they are read.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{BrokenBody, Doubt, Framing};

/// A stream that tells of its requests whether one is in doubt.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    framing: Framing,
    broken: Option<BrokenBody>,
    found: Arc<OnceLock<(u64, Doubt)>>,
}

/// What is found, for whoever answers the requests in their order. What the head of a request says is known before it is
/// answered, because whoever parses it has read it from the stream.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    found: Arc<OnceLock<(u64, Doubt)>>,
    answered: AtomicU64,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> (Self, Doubts) {
        let doubts = Doubts::default();
        let found = Arc::clone(&doubts.found);
        (Self { stream, framing: Framing::default(), broken: None, found }, doubts)
    }

    /// The bare stream.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl Doubts {
    /// Whether the next request is in doubt. To be asked once for each.
    pub(super) fn of_next(&self) -> Option<Doubt> {
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        self.found.get().filter(|(first, _)| *first == number).map(|(_, doubt)| *doubt)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(broken) = this.broken {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, broken)));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if let Err(broken) = this.framing.take(&buf.filled()[before..]) {
            this.broken = Some(broken);
            buf.set_filled(before + broken.usable);
            // A read that gives nothing would be the end of the stream.
            if broken.usable == 0 {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, broken)));
            }
        }
        if let Some(doubt) = this.framing.doubt() {
            // It stays the first one.
            let _ = this.found.set(doubt);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
