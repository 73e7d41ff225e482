//! What must hold of [`Framing`] whatever a client sends. hyper reads the same octets here: wherever both take a request, both
//! have to see the same beginning and the same end of it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Framing, State};

/// Where one request was seen.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Where its first line begins.
    begin: usize,
    /// What follows its head.
    body: usize,
    /// What follows its body, if that has come to its end.
    end: Option<usize>,
    is_chunked: bool,
}

/// A request as hyper took it.
struct Taken {
    method: String,
    /// `None` if it broke off.
    body: Option<Bytes>,
}

/// Reads the octets in pieces of several sizes, and beside hyper.
pub(in crate::http) fn follow(octets: &[u8]) {
    let whole = outcome(octets, octets.len().max(1));
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(outcome(octets, piece), whole, "in pieces of {piece}");
    }
    // What is broken is not handed on.
    let octets = &octets[..whole.2.unwrap_or(octets.len())];
    let (framing, seen) = one_by_one(octets);
    let doubt = framing.doubt().map(|(number, _)| usize::try_from(number).unwrap_or(usize::MAX));
    for (at, taken) in by_hyper(octets).into_iter().enumerate() {
        if doubt.is_some_and(|doubtful| doubtful <= at) {
            // It is refused with the connection, and nothing behind it is answered.
            return;
        }
        let Some(seen) = seen.get(at) else {
            panic!("hyper takes request {at} ({}), which was not seen", taken.method);
        };
        let text = &octets[seen.begin..seen.body];
        assert!(text.starts_with(taken.method.as_bytes()), "request {at} begins elsewhere: {seen:?}, {}", taken.method);
        let Some(body) = taken.body else { return };
        match seen.end {
            Some(end) if !seen.is_chunked => assert_eq!(&octets[seen.body..end], &body[..], "the body of request {at}"),
            // Its chunks are around it.
            Some(end) => assert!(end - seen.body >= body.len() + 5, "the body of request {at} ends elsewhere"),
            None => panic!("hyper has read request {at} to its end, which was not seen"),
        }
    }
}

/// Heads, doubt and the place of a broken body, read in pieces of this size.
fn outcome(octets: &[u8], piece: usize) -> (u64, Option<(u64, super::Doubt)>, Option<usize>) {
    let mut framing = Framing::default();
    let mut at = 0;
    for part in octets.chunks(piece) {
        if let Err(broken) = framing.take(part) {
            assert!(broken.usable <= part.len(), "more is usable than there is");
            return (framing.heads, framing.doubt(), Some(at + broken.usable));
        }
        at += part.len();
    }
    (framing.heads, framing.doubt(), None)
}

fn one_by_one(octets: &[u8]) -> (Framing, Vec<Seen>) {
    let mut framing = Framing::default();
    let mut seen: Vec<Seen> = Vec::new();
    let mut begin = None;
    for (at, octet) in octets.iter().enumerate() {
        let (heads, state) = (framing.heads, framing.state);
        if state == State::First && begin.is_none() && !matches!(octet, b'\r' | b'\n') {
            begin = Some(at);
        }
        if framing.take(&[*octet]).is_err() {
            break;
        }
        let is_over = framing.state == State::First;
        if framing.heads > heads {
            let is_chunked = matches!(framing.state, State::Size { .. });
            let (begin, body) = (begin.take().unwrap_or(at), at + 1);
            seen.push(Seen { begin, body, end: is_over.then_some(body), is_chunked });
        } else if is_over
            && state != State::First
            && let Some(last) = seen.last_mut()
        {
            last.end = Some(at + 1);
        }
    }
    (framing, seen)
}

/// The requests that hyper takes, as this server has it read them.
fn by_hyper(octets: &[u8]) -> Vec<Taken> {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime without IO and time needs nothing");
    }
    let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
    let kept = Arc::clone(&taken);
    let service = service_fn(move |request: Request<Incoming>| {
        let kept = Arc::clone(&kept);
        async move {
            let method = request.method().to_string();
            let body = request.into_body().collect().await.ok().map(http_body_util::Collected::to_bytes);
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(Taken { method, body });
            // Anything else would be the end of HTTP after a `CONNECT`.
            Ok::<_, Infallible>(Response::builder().status(400).body(Empty::<Bytes>::new()).expect("400 is a status"))
        }
    });
    let wire = Wire { octets: octets.to_vec().into(), at: 0 };
    // How it ends is of no interest.
    let _ = RUNTIME.with(|runtime| {
        runtime.block_on(http1::Builder::new().max_headers(200).serve_connection(TokioIo::new(wire), service))
    });
    let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *taken)
}

/// A client that has sent everything, and takes everything.
struct Wire {
    octets: Bytes,
    at: usize,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = &self.octets[self.at..];
        let read = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..read]);
        self.at += read;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
