//! One attempt: sends a request whose body is at hand, and reads the answer up to a bound.

use std::fmt;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fanfold_core::operation::{Sent, Trouble, TroubleKind};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Payload};
use super::failure::{Failure, Miss};
use super::headers::{Ending, overlay, remove_hop_by_hop};
use super::link::{Checkout, Link};

/// A request to a target. `Host`, `Content-Length` and the target's own fields are put on it when it is sent; hop-by-hop
/// fields are taken out.
#[derive(Clone)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// What follows the target's URL prefix, as it is to stand on the wire.
    pub path_and_query: String,
    /// The fields of this request.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How long connecting may take: name resolution, TCP and TLS together; until the first byte leaves.
    pub connect: Duration,
    /// How long the answer may take from the first byte sent to the last byte received.
    pub response: Duration,
    /// How many octets of the answer's body are read.
    pub body_max: u64,
    /// Whether it is not safe to repeat, and so wants a fresh connection or one that was idle for less than `reuse_idle`.
    pub fresh: bool,
    /// Whether the path is from the root of the target's authority and not below its prefix.
    pub from_root: bool,
}

/// An answer.
#[derive(Clone)]
pub struct Received {
    /// Its status, 200 to 599 (or what a target makes up beyond).
    pub status: StatusCode,
    /// Its fields, hop-by-hop fields left out.
    pub headers: HeaderMap,
    /// Its body as far as it was read.
    pub body: Bytes,
    /// Whether that is the whole body: not if it broke off, took too long, or is longer than `body_max`.
    pub complete: bool,
    /// From the first byte sent to the last byte received.
    pub took: Duration,
}

/// An attempt that ended without the head of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", trouble.detail)]
pub struct Broke {
    /// Whether a byte of the request may have left. Never `No` if one may.
    pub sent: Sent,
    /// What happened.
    pub trouble: Trouble,
}

/// Without values of fields and bodies, which may be secret.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .field("path_and_query", &self.path_and_query)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .field("fresh", &self.fresh)
            .finish_non_exhaustive()
    }
}

/// Without values of fields and bodies, which may be secret.
impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .field("complete", &self.complete)
            .field("took", &self.took)
            .finish()
    }
}

/// Asked as the last thing before a byte leaves.
pub(super) type MaySend<'a> = &'a (dyn Fn() -> bool + Send + Sync);

impl Link {
    /// Sends one request. `may_send` is asked last, when the connection stands and before the first byte leaves.
    pub(super) async fn send(&self, outgoing: &Outgoing, may_send: MaySend<'_>) -> Result<Received, Miss> {
        let request = self.request(outgoing).map_err(Failure::not_sent)?;
        let idle_max = if outgoing.fresh { self.reuse_idle } else { Duration::MAX };
        let asked = Instant::now();
        let checkout = self.connect(idle_max, outgoing.connect).await.map_err(Failure::not_sent)?;
        let reused = checkout.reused;
        match self.exchange(checkout, request.clone(), outgoing, may_send).await {
            Err(miss) if reused && miss.is_unsent_by_target() => {}
            ended => return ended,
        }
        // The connection was closed while it was idle. Not one byte left on it, so nothing is sent again by this.
        let left = outgoing.connect.saturating_sub(asked.elapsed());
        let checkout = self.connect_anew(left).await.map_err(Failure::not_sent)?;
        self.exchange(checkout, request, outgoing, may_send).await
    }

    fn request(&self, outgoing: &Outgoing) -> Result<Request<Full<Bytes>>, Failure> {
        let path = outgoing.path_and_query.as_str();
        let target = if outgoing.from_root { self.url.from_root(path) } else { self.url.join(path) };
        let target = target
            .map_err(|error| Failure::caused(TroubleKind::Nonsense, "the request cannot be sent", &error).ours())?;
        let mut headers = outgoing.headers.clone();
        remove_hop_by_hop(&mut headers);
        headers.remove(header::CONTENT_LENGTH);
        overlay(&mut headers, &self.headers);
        headers.insert(header::HOST, self.url.host());
        // Without a body the length is told only where the method has a meaning for one (RFC 9110, section 8.6).
        if !outgoing.body.is_empty() || [Method::POST, Method::PUT, Method::PATCH].contains(&outgoing.method) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(outgoing.body.len()));
        }
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = target.into();
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn exchange(
        &self,
        checkout: Checkout,
        request: Request<Full<Bytes>>,
        outgoing: &Outgoing,
        may_send: MaySend<'_>,
    ) -> Result<Received, Miss> {
        let mut connection = checkout.connection;
        let writes = connection.writes();
        if !may_send() {
            return Err(Failure::new(TroubleKind::Unreachable, "sending was called off").ours().not_sent());
        }
        let started = Instant::now();
        let deadline = started + outgoing.response;
        let request: Request<Payload> = request.map(Payload::Whole);
        let failure = match timeout_at(deadline, connection.exchange(request)).await {
            Ok(Ok(answer)) if answer.status().is_informational() => Failure::unasked_upgrade(),
            Ok(Ok(answer)) => return Ok(self.receive(connection, answer, outgoing, started).await),
            Ok(Err(error)) => Failure::of_exchange(&error),
            Err(_) => Failure::new(TroubleKind::TimedOut, format!("no answer within {:?}", outgoing.response)),
        };
        // Only with the connection gone can no further byte leave.
        drop(connection);
        Err(if writes.any() { failure.maybe_sent() } else { failure.unreachable().not_sent() })
    }

    async fn receive(
        &self,
        mut connection: Connection,
        answer: Response<Incoming>,
        outgoing: &Outgoing,
        started: Instant,
    ) -> Received {
        let (mut head, mut body) = answer.into_parts();
        let mut octets = BytesMut::new();
        let reading = read(&mut connection, &mut body, &mut octets, outgoing.body_max);
        let is_whole = timeout_at(started + outgoing.response, reading).await.unwrap_or(false);
        let ending = Ending::of(&head.headers);
        // What is in a coding is not the content, however whole.
        let complete = is_whole && ending != Ending::Coded;
        let took = started.elapsed();
        drop(body);
        if complete && ending == Ending::Clear {
            let mut done = Some(connection);
            poll_fn(|cx| {
                if let Some(connection) = done.take() {
                    self.put_back(connection, cx);
                }
                Poll::Ready(())
            })
            .await;
        }
        remove_hop_by_hop(&mut head.headers);
        Received { status: head.status, headers: head.headers, body: octets.freeze(), complete, took }
    }
}

/// Reads a body to its end, or up to `body_max` octets; tells whether that was the end.
async fn read(connection: &mut Connection, body: &mut Incoming, octets: &mut BytesMut, body_max: u64) -> bool {
    let body_max = usize::try_from(body_max).unwrap_or(usize::MAX);
    while let Some(frame) = poll_fn(|cx| connection.poll_frame(body, cx)).await {
        let Ok(frame) = frame else { return false };
        // Trailers are not kept.
        let Ok(data) = frame.into_data() else { continue };
        let room = body_max - octets.len();
        octets.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return false;
        }
    }
    // The end of a body whose connection ends with it looks the same whether it broke off or not, unless its length is known:
    // hyper tells a missing end of a length or of chunks as an error above.
    true
}
