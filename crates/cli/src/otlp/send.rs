//! Sends batches to the collector: what it may take later is sent again for a while, what it does not want is not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fanfold_core::route::retry_after;
use fanfold_engine::target::{Tls, from_wire};
use fanfold_engine::{Clock as _, SystemClock};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::counts::{Counts, Lost};
use super::encode::Resource;
use crate::config::TelemetrySettings;
use crate::failure::Failure;
use crate::output::printable;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long one try may take, connecting included.
const TRY_MAX: Duration = Duration::from_secs(10);

/// How long a batch is tried; then it is given up, for younger ones to have a chance.
const TRIED_FOR: Duration = Duration::from_secs(60);

/// The longest wait before the second try; it doubles with each further one.
const BACKOFF: Duration = Duration::from_secs(1);

/// The longest wait between two tries, whatever the collector asks for.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// How long the body of an answer may take.
const ANSWER_BODY_MAX: Duration = Duration::from_secs(2);

/// The longest answer that is read, in octets.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// How much of what a collector says is logged, in characters.
const SAID_MAX: usize = 200;

/// The collector.
#[derive(Debug)]
pub(super) struct Collector {
    url: Uri,
    headers: HeaderMap,
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// What came of one try.
#[derive(Debug, PartialEq, Eq)]
enum Tried {
    /// It took the batch, but for so many spans.
    Taken { refused: usize, why: String },
    /// It may take it later, and perhaps says when.
    Later { why: String, after: Option<Duration> },
    /// It will not take it.
    Never { why: String },
}

/// Delivers batches.
#[derive(Debug)]
pub(super) struct Sender {
    collector: Collector,
    resource: Resource,
    counts: Counts,
    /// Whether the last try failed: only the first failure of several is logged.
    ails: AtomicBool,
}

impl Collector {
    /// The one that is configured. Nothing is connected yet.
    pub(super) fn new(settings: &TelemetrySettings) -> Result<Self, Failure> {
        let url: Uri = settings.url.parse().map_err(|_| Failure::Usage(format!("{} is no address", settings.url)))?;
        let is_secure = url.scheme() == Some(&http::uri::Scheme::HTTPS);
        let tls = if is_secure { Tls::new(&settings.authorities, None) } else { Tls::unused() };
        let tls = tls.map_err(Failure::Telemetry)?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnector::from((http, tls.config()));
        let mut headers: HeaderMap = settings.headers.iter().cloned().collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("fanfold/", env!("CARGO_PKG_VERSION"))));
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { url, headers, http })
    }

    async fn send(&self, body: Bytes) -> Tried {
        match timeout(TRY_MAX, self.exchange(body)).await {
            Ok(tried) => tried,
            Err(_) => later(format!("no answer within {TRY_MAX:?}")),
        }
    }

    async fn exchange(&self, body: Bytes) -> Tried {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = match self.http.request(request).await {
            Ok(answer) => answer,
            Err(error) => return later(chain(&error)),
        };
        let (head, body) = answer.into_parts();
        // What was answered is told by the head, however long the rest takes.
        let body = timeout(ANSWER_BODY_MAX, Limited::new(body, ANSWER_BYTES_MAX).collect()).await;
        let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
        read(head.status, &head.headers, &body)
    }
}

/// What an answer means (OTLP specification, "OTLP/HTTP Response").
fn read(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Tried {
    let said = || {
        // It may repeat what it was sent, a credential for example.
        let text: String = String::from_utf8_lossy(body).chars().take(SAID_MAX).collect();
        tracing::debug!(status = status.as_u16(), body = %printable(&text), "the collector answered");
        format!("the collector answered {status}")
    };
    match status.as_u16() {
        200..=299 => {
            // Some collectors answer nothing or JSON; they have taken it all the same.
            let partial =
                ExportTraceServiceResponse::decode(body.clone()).ok().and_then(|answer| answer.partial_success);
            let partial = partial.unwrap_or_default();
            let refused = usize::try_from(partial.rejected_spans).unwrap_or(0);
            Tried::Taken { refused, why: partial.error_message.chars().take(SAID_MAX).collect() }
        }
        429 | 502 | 503 | 504 => {
            let after = retry_after(&from_wire(headers), SystemClock.now());
            Tried::Later { why: said(), after }
        }
        _ => Tried::Never { why: said() },
    }
}

fn later(why: String) -> Tried {
    Tried::Later { why, after: None }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Sender {
    pub(super) fn new(collector: Collector, resource: Resource, counts: Counts) -> Self {
        Self { collector, resource, counts, ails: AtomicBool::new(false) }
    }

    /// Sends a batch, again and again for a while. Once there is an end to it, the next failure is the last.
    pub(super) async fn deliver(&self, spans: Vec<Span>, mut closing: watch::Receiver<bool>) {
        let count = spans.len();
        let body = Bytes::from(self.resource.request(spans).encode_to_vec());
        let (begun, mut backoff) = (Instant::now(), BACKOFF);
        loop {
            let (why, after) = match self.collector.send(body.clone()).await {
                Tried::Taken { refused, why } => return self.taken(count, refused.min(count), &why),
                Tried::Never { why } => return self.lost(Lost::Refused, count, &why),
                Tried::Later { why, after } => (why, after),
            };
            // Not before it wants, and never at once.
            let wait = backoff.mul_f64(drawn()).max(after.unwrap_or_default()).min(BACKOFF_MAX);
            if *closing.borrow() || begun.elapsed() + wait > TRIED_FOR {
                return self.lost(Lost::GivenUp, count, &why);
            }
            self.ails(&why);
            tokio::select! {
                () = sleep(wait) => {}
                _ = closing.changed() => {}
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    fn taken(&self, count: usize, refused: usize, why: &str) {
        self.counts.sent(count - refused);
        if refused > 0 {
            self.lost(Lost::Refused, refused, why);
        } else if self.ails.swap(false, Ordering::Relaxed) {
            tracing::info!("the collector takes traces again");
        }
    }

    fn lost(&self, reason: Lost, count: usize, why: &str) {
        self.counts.lost(reason, count);
        self.ails(why);
    }

    fn ails(&self, why: &str) {
        if self.ails.swap(true, Ordering::Relaxed) {
            tracing::debug!(why, "the collector still does not take traces");
        } else {
            tracing::warn!(why, "the collector does not take traces; operations go on without");
        }
    }
}

/// A number from a half to one, so that not all nodes try at the same time.
fn drawn() -> f64 {
    let mut octet = [0];
    SystemClock.fill(&mut octet);
    0.5 + f64::from(octet[0]) / 512.0
}
