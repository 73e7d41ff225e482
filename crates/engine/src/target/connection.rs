//! One HTTP/1.1 connection to a target, and what is known of the bytes that left on it.
//!
//! Nothing runs in the background: whoever uses a connection drives it. So a request that is given up is over when its
//! connection is dropped, and no byte can leave after that. This is what makes "not sent" an exact statement.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::Service as _;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::lookup::Lookups;
use crate::network::{Network, Socket};

/// An answer's head and each of its fields together may not be longer, in octets.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// An answer may not have more header fields.
const HEADER_FIELDS_MAX: usize = 128;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request: at hand, or streamed through.
#[derive(Debug)]
pub(super) enum Payload {
    /// At hand.
    Whole(Full<Bytes>),
    /// Streamed through.
    Streamed(UnsyncBoxBody<Bytes, PayloadBroke>),
}

/// The body of a request that is streamed through broke off. A type of its own: with a boxed error, the compiler cannot see that
/// sending is `Send`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct PayloadBroke(pub(super) BoxError);

impl http_body::Body for Payload {
    type Data = Bytes;
    type Error = PayloadBroke;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            // A body at hand cannot fail.
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Streamed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(body) => body.size_hint(),
        }
    }
}

/// Opens connections.
pub(super) enum Connector {
    /// Over the machine's network.
    Machine(TowerToHyperService<HttpsConnector<HttpConnector<Resolver>>>),
    /// Over one that is made up.
    MadeUp(Arc<dyn Network>),
}

/// Finds the host of a target, within what it may have looked up at once.
#[derive(Clone)]
pub(super) struct Resolver(pub(super) Lookups);

pub(super) struct Connection {
    sender: http1::SendRequest<Payload>,
    /// `None` once the connection is closed.
    driver: Option<http1::Connection<Wire, Payload>>,
    ledger: Arc<Ledger>,
}

/// Tells whether bytes left since it was made. Outlives its connection.
pub(super) struct Writes {
    ledger: Arc<Ledger>,
    before: u64,
}

/// What the bytes on a connection tell.
#[derive(Debug, Default)]
struct Ledger {
    /// Counts writes that the other side may have seen something of.
    writes: AtomicU64,
    /// Whether the next read is to ask the operating system itself whether the other side has closed.
    look: AtomicBool,
}

/// The stream below HTTP.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and stands on the heap with its connection"
)]
enum Stream {
    Machine(MaybeHttpsStream<TokioIo<TcpStream>>),
    MadeUp(TokioIo<Box<dyn Socket>>),
}

/// The stream below HTTP, with a ledger of what left on it.
struct Wire {
    stream: Stream,
    ledger: Arc<Ledger>,
}

/// Connects. A function of its own with a boxed future: within an `async` function the compiler cannot see that the connector's
/// future is `Send`.
fn connect(connector: &Connector, origin: http::Uri) -> Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>> {
    match connector {
        Connector::Machine(connector) => {
            let connecting = connector.call(origin);
            Box::pin(async { connecting.await.map(Stream::Machine) })
        }
        Connector::MadeUp(network) => {
            let connecting = network.connect(origin.authority().map_or("", |authority| authority.as_str()));
            Box::pin(async { Ok(Stream::MadeUp(TokioIo::new(connecting.await?))) })
        }
    }
}

impl Connection {
    /// Resolves the host, connects, and shakes hands for TLS. No byte of a request has left before this returns.
    pub(super) async fn open(connector: &Connector, origin: http::Uri) -> Result<Self, BoxError> {
        let ledger = Arc::new(Ledger::default());
        let stream = connect(connector, origin).await?;
        let wire = Wire { stream, ledger: Arc::clone(&ledger) };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADER_FIELDS_MAX);
        let (sender, driver) = builder.handshake(wire).await?;
        Ok(Self { sender, driver: Some(driver), ledger })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(&mut self, request: Request<Payload>) -> hyper::Result<Response<Incoming>> {
        let mut answer = std::pin::pin!(self.sender.send_request(request));
        let driver = &mut self.driver;
        std::future::poll_fn(|cx| {
            drive(driver, cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Reads on in the body of an answer that came on this connection.
    pub(super) fn poll_frame(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        drive(&mut self.driver, cx);
        Pin::new(body).poll_frame(cx)
    }

    /// Watches for bytes that leave from now on.
    pub(super) fn writes(&self) -> Writes {
        Writes { before: self.ledger.count(), ledger: Arc::clone(&self.ledger) }
    }

    /// Whether another request may be sent on it: asked when an exchange is over, and again after it was idle.
    pub(super) fn is_usable(&mut self, cx: &mut Context<'_>) -> bool {
        self.ledger.look.store(true, Ordering::Release);
        drive(&mut self.driver, cx);
        self.driver.is_some() && self.sender.is_ready()
    }
}

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self(lookups) = self.clone();
        // Without a port: the connector sets the one of the target.
        Box::pin(async move { Ok(lookups.look_up(name.as_str(), 0).await?.into_iter()) })
    }
}

/// Lets the connection do what it can. Its errors reach the exchange that they concern; while idle they only mean its end.
fn drive(driver: &mut Option<http1::Connection<Wire, Payload>>, cx: &mut Context<'_>) {
    if let Some(present) = driver
        && Pin::new(present).poll(cx).is_ready()
    {
        *driver = None;
    }
}

impl Writes {
    pub(super) fn any(&self) -> bool {
        self.ledger.count() != self.before
    }
}

impl Ledger {
    fn count(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }
}

impl Wire {
    /// Whether the other side has closed, without waiting for the runtime to notice: it may be busy, and a request that is
    /// sent into a closed connection is lost without our knowing whether it was applied.
    fn other_side_closed(&self) -> bool {
        let tcp = match &self.stream {
            Stream::Machine(MaybeHttpsStream::Http(tcp)) => tcp.inner(),
            Stream::Machine(MaybeHttpsStream::Https(tls)) => tls.inner().get_ref().0.inner().inner(),
            Stream::MadeUp(socket) => return socket.inner().other_side_closed(),
        };
        let mut byte = [MaybeUninit::uninit(); 1];
        match SockRef::from(tcp).peek(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Notes a write. Over TLS what failed or was put off may have left in part, over plain TCP it has not.
    fn note(&self, written: &Poll<io::Result<usize>>) {
        let left = match (&self.stream, written) {
            (Stream::Machine(MaybeHttpsStream::Https(_)), _) => true,
            (Stream::Machine(MaybeHttpsStream::Http(_)) | Stream::MadeUp(_), Poll::Ready(Ok(count))) => *count > 0,
            (Stream::Machine(MaybeHttpsStream::Http(_)) | Stream::MadeUp(_), _) => false,
        };
        if left {
            self.ledger.writes.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Machine(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::MadeUp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Machine(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::MadeUp(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Machine(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::MadeUp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Machine(stream) => stream.is_write_vectored(),
            Self::MadeUp(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Machine(stream) => Pin::new(stream).poll_flush(cx),
            Self::MadeUp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Machine(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::MadeUp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let look = self.ledger.look.swap(false, Ordering::AcqRel);
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            // A read that gives nothing is the end of the stream.
            Poll::Pending if look && self.other_side_closed() => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}
