//! A sample target: a small HTTP server on a port of its own that holds resources, behaves as a request asks it to, and remembers
//! what it was asked.
//!
//! What it holds is [`shelf`], how it behaves is [`manner`]. It knows nothing of Fanfold but three header fields.

mod manner;
mod shelf;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use manner::Manner;
use shelf::{Answer, Shelf, Wish};

/// The longest request body, in octets.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The most connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 256;

/// How long a target thinks before it refuses: long enough for the others to be called, so that there is something to undo.
const THOUGHT: Duration = Duration::from_millis(300);

/// How many calls are remembered; older ones are forgotten.
const CALLS_MAX: usize = 1000;

/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// The pause after a connection could not be accepted: the reason, such as too many open files, takes a while to pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A sample target. It is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Site {
    address: SocketAddr,
    state: Arc<State>,
    /// Ends its tasks when it is dropped.
    _server: JoinSet<()>,
}

/// A request that was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) uri: String,
    /// The header fields.
    pub(crate) headers: HeaderMap,
    /// The version of the resource that the answer named, if it named one.
    pub(crate) etag: Option<String>,
}

#[derive(Debug)]
struct State {
    name: String,
    shelf: Mutex<Shelf>,
    received: Mutex<VecDeque<Received>>,
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("told to hang up")]
struct HungUp;

impl Site {
    /// Starts a target of this name; port 0 picks one.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub(crate) async fn start(name: &str, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = State { name: name.to_owned(), shelf: Mutex::default(), received: Mutex::default() };
        let state = Arc::new(state);
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, _server: server })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.state.name
    }

    /// Its URL, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it holds now: bodies by path.
    pub(crate) fn holds(&self) -> BTreeMap<String, String> {
        self.state.shelf().all()
    }

    /// What it was asked so far, oldest first.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received().iter().cloned().collect()
    }
}

impl Received {
    /// The value of a header field, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl State {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn received(&self) -> MutexGuard<'_, VecDeque<Received>> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, received: Received) {
        let mut all = self.received();
        if all.len() >= CALLS_MAX {
            all.pop_front();
        }
        all.push_back(received);
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, HungUp> {
        let (head, body) = request.into_parts();
        let answer = match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(body) => self.treat(&head, body.to_bytes()).await,
            Err(_) => Ok(Answer::error(StatusCode::PAYLOAD_TOO_LARGE, "the body cannot be read, or is too large")),
        };
        let etag = answer.as_ref().ok().and_then(Answer::etag);
        self.remember(Received { method: head.method, uri: head.uri.to_string(), headers: head.headers, etag });
        let answer = answer?;
        let mut response = Response::new(Full::new(answer.body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }

    async fn treat(&self, head: &http::request::Parts, body: Bytes) -> Result<Answer, HungUp> {
        let manner = match Manner::of(&body, &self.name) {
            Ok(manner) => manner,
            Err(why) => return Ok(Answer::error(StatusCode::BAD_REQUEST, &why)),
        };
        let is_first = head.headers.get("fanfold-attempt").is_none_or(|number| number == "1");
        let keep = manner == Manner::Keep;
        let wish = |body| Wish { method: &head.method, path: head.uri.path(), headers: &head.headers, body, keep };
        match manner {
            Manner::Refuse => {
                tokio::time::sleep(THOUGHT).await;
                Ok(Answer::error(StatusCode::CONFLICT, "told to refuse"))
            }
            Manner::Busy if is_first => Ok(Answer::error(StatusCode::SERVICE_UNAVAILABLE, "told to be busy at first")
                .with(RETRY_AFTER, HeaderValue::from_static("1"))),
            Manner::HangUp => {
                self.shelf().answer(&self.name, wish(body));
                Err(HungUp)
            }
            Manner::Willing(after) => {
                tokio::time::sleep(after).await;
                Ok(self.shelf().answer(&self.name, wish(body)))
            }
            Manner::Busy | Manner::Keep => Ok(self.shelf().answer(&self.name, wish(body))),
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
            Err(error) => {
                tracing::warn!(target.name = state.name, %error, "a sample target cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(|request| {
        let state = Arc::clone(&state);
        async move { state.answer(request).await }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    // Clients may leave at any time, and hanging up is an error on purpose: neither is worth more than a note.
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(target.name = state.name, %error, "a connection to a sample target ended");
    }
}
