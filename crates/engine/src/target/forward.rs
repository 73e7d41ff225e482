//! Requests that are passed through: streamed both ways, with the target's permits and timeouts, and nothing recorded.
//!
//! Whoever polls the answer's body drives the connection, uploads that still run included. If the client goes away, the body
//! is dropped, and the connection and the permit with it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use fanfold_core::operation::{Gate, Sent, TroubleKind};
use fanfold_core::plan::is_repeatable;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, timeout, timeout_at};

use super::admission::{Permit, Turn};
use super::connection::{BoxError, Connection, Payload, PayloadBroke};
use super::failure::{Blame, Failure, Miss};
use super::headers::{Ending, overlay, remove_hop_by_hop};
use super::link::{Checkout, Link};
use super::registry::Target;
use super::url::BadPath;
use crate::turns::Claimant;

/// How we name ourselves to targets in requests that are not our own (RFC 9110, section 7.6.3).
const VIA: HeaderValue = HeaderValue::from_static("1.1 fanfold");

/// How long a passed-through request may take, phase by phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassLimits {
    /// For a permit, and again for connecting.
    pub connect: Duration,
    /// From the last byte of the request to the head of the answer.
    pub response: Duration,
    /// Between two pieces of the answer's body.
    pub idle: Duration,
}

/// Why a passed-through request has no answer of its target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// It asks for another protocol or for a tunnel, which are not passed through.
    #[error("upgrades and tunnels are not passed through")]
    Unsupported,
    /// Its path cannot be joined to the target's.
    #[error(transparent)]
    BadPath(#[from] BadPath),
    /// Nothing may be sent now: too many requests wait, the breaker is open, or the target is on hold or missing.
    #[error("the target takes no requests now")]
    NotNow {
        /// What stands before it.
        gate: Gate,
        /// When it may change, if that is known.
        retry_in: Option<Duration>,
    },
    /// The target cannot be reached: not a byte of the request left.
    #[error("{0}")]
    Unreachable(String),
    /// The target broke off, or did not answer HTTP.
    #[error("{0}")]
    BadGateway(String),
    /// The target did not answer in time.
    #[error("{0}")]
    TimedOut(String),
    /// The client broke its request off. There is nobody to answer.
    #[error("the client broke its request off")]
    ClientGone,
}

/// The body of an answer on its way through. Holds the permit until its end.
#[derive(Debug)]
pub struct PassBody {
    incoming: Incoming,
    /// `None` once the body has ended.
    line: Option<Line>,
    idle: Duration,
    patience: Pin<Box<Sleep>>,
}

/// The body of an answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum PassBroke {
    /// Its next piece did not come in time.
    #[error("nothing more came within {0:?}")]
    TimedOut(Duration),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

/// What a body in transit holds.
struct Line {
    connection: Connection,
    link: Arc<Link>,
    /// Whether another request may follow on the connection.
    is_reusable: bool,
    /// Given back when this is dropped.
    _permit: Permit,
}

/// When something of a request's body was last passed on.
#[derive(Debug, Clone)]
struct Progress(Arc<Mutex<Instant>>);

/// The body of a request on its way through.
struct Upload {
    body: UnsyncBoxBody<Bytes, PayloadBroke>,
    progress: Progress,
}

impl Target {
    /// Passes a request through and gives the answer as soon as its head is there. The path and query of the request's URI are
    /// joined to the target's URL; `Host` and the target's own fields are set, hop-by-hop fields taken out both ways.
    ///
    /// # Errors
    /// See [`ForwardError`]. A request without a body whose idle connection turns out to be closed is sent once more if it is
    /// `GET`, `HEAD` or `OPTIONS`, or if not one byte of it had left.
    pub async fn forward<B>(
        &self,
        request: Request<B>,
        claimant: &Claimant,
        limits: PassLimits,
    ) -> Result<Response<PassBody>, ForwardError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if request.method() == Method::CONNECT || request.headers().contains_key(header::UPGRADE) {
            return Err(ForwardError::Unsupported);
        }
        let mut permit = self.pass_permit(claimant, limits.connect).await?;
        let link = self.link().ok_or(ForwardError::NotNow { gate: Gate::Missing, retry_in: None })?;
        let progress = Progress::start();
        let request = link.pass_request(request, &progress)?;
        let started = Instant::now();
        match Box::pin(link.pass(request, &progress, limits)).await {
            Ok((connection, answer)) if Ending::of(answer.headers()) == Ending::Coded => {
                drop(connection);
                self.broke(&mut permit, Sent::Maybe, started);
                Err(ForwardError::BadGateway(
                    "the target answered in a transfer coding that nobody asked for".to_owned(),
                ))
            }
            Ok((connection, answer)) => {
                self.answered(&mut permit, answer.status(), started.elapsed(), started);
                let line = Line { connection, link, is_reusable: true, _permit: permit };
                Ok(answer_through(answer, line, limits.idle).await)
            }
            Err(Miss { blame: Blame::Ours, .. }) => Err(ForwardError::ClientGone),
            Err(miss) => {
                self.broke(&mut permit, miss.broke.sent, started);
                let trouble = miss.broke.trouble;
                Err(match trouble.kind {
                    TroubleKind::TimedOut => ForwardError::TimedOut(trouble.detail),
                    TroubleKind::Unreachable => ForwardError::Unreachable(trouble.detail),
                    _ => ForwardError::BadGateway(trouble.detail),
                })
            }
        }
    }

    /// Waits for a permit for as long as connecting may take. A breaker or a hold is not waited for: a client that waits for an
    /// answer is better told at once.
    async fn pass_permit(&self, claimant: &Claimant, patience: Duration) -> Result<Permit, ForwardError> {
        let not_now = || {
            let (gate, look_again) = self.admission().gate();
            let retry_in = look_again.map(|at| at.saturating_duration_since(Instant::now()));
            ForwardError::NotNow { gate, retry_in }
        };
        let mut ticket = self.admission().pass_ticket(claimant).ok_or_else(not_now)?;
        match timeout(patience, ticket.turn()).await {
            Ok(Turn::Go(permit)) => Ok(permit),
            Ok(Turn::Waits(_)) | Err(_) => Err(not_now()),
        }
    }
}

impl Link {
    fn pass_request<B>(&self, request: Request<B>, progress: &Progress) -> Result<Request<Payload>, BadPath>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let path_and_query = head.uri.path_and_query().map_or("/", |path_and_query| path_and_query.as_str());
        let target = self.url.join(path_and_query)?;
        let mut headers: HeaderMap = head.headers;
        remove_hop_by_hop(&mut headers);
        // Whoever received the request has answered this already.
        headers.remove(header::EXPECT);
        // They are said to Fanfold, and may hold a secret of the client's.
        headers.remove(fanfold_core::route::CALLBACK);
        headers.remove(fanfold_core::route::RETRY_OF);
        headers.append(header::VIA, VIA);
        overlay(&mut headers, &self.headers);
        headers.insert(header::HOST, self.url.host());
        let payload = if body.is_end_stream() {
            Payload::Whole(Full::default())
        } else {
            let body = body.map_err(|error| PayloadBroke(error.into())).boxed_unsync();
            Payload::Streamed(Upload { body, progress: progress.clone() }.boxed_unsync())
        };
        let mut request = Request::new(payload);
        *request.method_mut() = head.method;
        *request.uri_mut() = target.into();
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn pass(
        &self,
        request: Request<Payload>,
        progress: &Progress,
        limits: PassLimits,
    ) -> Result<(Connection, Response<Incoming>), Miss> {
        let idle_max = if is_repeatable(request.method()) { Duration::MAX } else { self.reuse_idle };
        let again = without_body(&request);
        let checkout = self.connect(idle_max, limits.connect).await.map_err(Failure::not_sent)?;
        let reused = checkout.reused;
        match (await_head(checkout, request, progress, limits.response).await, again) {
            (Err(miss), Some(again))
                if reused
                    && miss.blame == Blame::Target
                    && (miss.broke.sent == Sent::No || is_safe(again.method())) =>
            {
                let checkout = self.connect_anew(limits.connect).await.map_err(Failure::not_sent)?;
                await_head(checkout, again, &Progress::start(), limits.response).await
            }
            (ended, _) => ended,
        }
    }
}

/// Sends a request and waits for the head of its answer, which has `patience` from the last byte of the request that was sent.
async fn await_head(
    checkout: Checkout,
    request: Request<Payload>,
    progress: &Progress,
    patience: Duration,
) -> Result<(Connection, Response<Incoming>), Miss> {
    let mut connection = checkout.connection;
    let writes = connection.writes();
    let ended = {
        let mut exchange = std::pin::pin!(connection.exchange(request));
        loop {
            match timeout_at(progress.last() + patience, &mut exchange).await {
                Ok(Ok(answer)) if answer.status().is_informational() => break Err(Failure::unasked_upgrade()),
                Ok(Ok(answer)) => break Ok(answer),
                Ok(Err(error)) if error.is_user() => break Err(Failure::of_exchange(&error).ours()),
                Ok(Err(error)) => break Err(Failure::of_exchange(&error)),
                // The client sent more of its request in the meantime.
                Err(_) if progress.last() + patience > Instant::now() => {}
                Err(_) => break Err(Failure::new(TroubleKind::TimedOut, format!("no answer within {patience:?}"))),
            }
        }
    };
    let failure = match ended {
        Ok(answer) => return Ok((connection, answer)),
        Err(failure) => failure,
    };
    drop(connection);
    Err(if writes.any() { failure.maybe_sent() } else { failure.unreachable().not_sent() })
}

async fn answer_through(answer: Response<Incoming>, mut line: Line, idle: Duration) -> Response<PassBody> {
    let (mut head, incoming) = answer.into_parts();
    line.is_reusable = Ending::of(&head.headers) == Ending::Clear;
    if head.headers.contains_key(header::TRANSFER_ENCODING) {
        // It is not the length of what is passed on.
        head.headers.remove(header::CONTENT_LENGTH);
    }
    remove_hop_by_hop(&mut head.headers);
    head.version = Version::HTTP_11;
    let patience = Box::pin(tokio::time::sleep(idle));
    let mut body = PassBody { incoming, line: Some(line), idle, patience };
    if body.incoming.is_end_stream() {
        // Nobody asks an empty body for its first piece.
        poll_fn(|cx| {
            body.finish(cx);
            Poll::Ready(())
        })
        .await;
    }
    Response::from_parts(head, body)
}

/// The same request again, if it has no body.
fn without_body(request: &Request<Payload>) -> Option<Request<Payload>> {
    let Payload::Whole(empty) = request.body() else { return None };
    let mut again = Request::new(Payload::Whole(empty.clone()));
    request.method().clone_into(again.method_mut());
    request.uri().clone_into(again.uri_mut());
    request.headers().clone_into(again.headers_mut());
    Some(again)
}

fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

impl Body for PassBody {
    type Data = Bytes;
    type Error = PassBroke;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PassBroke>>> {
        let this = &mut *self;
        let Some(line) = &mut this.line else { return Poll::Ready(None) };
        loop {
            let frame = match line.connection.poll_frame(&mut this.incoming, cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    this.line = None;
                    return Poll::Ready(Some(Err(PassBroke::Broken(error))));
                }
                Poll::Ready(None) => {
                    this.finish(cx);
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    ready!(this.patience.as_mut().poll(cx));
                    this.line = None;
                    return Poll::Ready(Some(Err(PassBroke::TimedOut(this.idle))));
                }
            };
            this.patience.as_mut().reset(Instant::now() + this.idle);
            // Trailers were announced to the target's own neighbour only.
            if frame.is_data() {
                if this.incoming.is_end_stream() {
                    this.finish(cx);
                }
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.line.is_none() || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl PassBody {
    /// Gives the permit back, and the connection if it can carry another request.
    fn finish(&mut self, cx: &mut Context<'_>) {
        if let Some(line) = self.line.take()
            && line.is_reusable
        {
            line.link.put_back(line.connection, cx);
        }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Progress {
    fn start() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = PayloadBroke;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PayloadBroke>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.progress.made();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
