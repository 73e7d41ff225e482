//! The HTTP client of the commands that talk to a running server: one request, one answer, and errors that say what to do.

pub(crate) mod api;
pub(crate) mod events;
pub(crate) mod follow;
mod tls;
mod token;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use fanfold_engine::target::Tls;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::failure::Failure;

pub(crate) use tls::TlsOption;
pub(crate) use token::{Token, VARIABLE as TOKEN_VARIABLE};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may take, beyond what the server was asked to wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The longest body of an answer that is read, in octets: the longest final response with its requests and answers fits in.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The fields in which a request shows who sends it.
const SHOWN: [HeaderName; 2] = [AUTHORIZATION, HeaderName::from_static("x-auth-token")];

const AGENT: HeaderValue = HeaderValue::from_static(concat!("fanfold/", env!("CARGO_PKG_VERSION")));

/// The URL of a server: `http://host:port` or `https://host:port`, perhaps with a path below which it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(String);

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Client {
    server: ServerUrl,
    /// What shows who asks.
    authorization: Option<HeaderValue>,
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A request to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The method.
    pub(crate) method: Method,
    /// Path and query, with a leading slash.
    pub(crate) path: String,
    /// The fields.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
    /// How long the answer may take.
    pub(crate) patience: Duration,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: StatusCode,
    /// The fields.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
}

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(_) | None => return Err("write it as in http://127.0.0.1:8080".to_owned()),
        }
        if uri.query().is_some() {
            return Err("the address of a server has no query".to_owned());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl ServerUrl {
    /// Whether it is talked to over TLS.
    fn is_secure(&self) -> bool {
        // How it is written is the user's business.
        self.0.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Call {
    /// A request without fields and body.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new(), patience: PATIENCE }
    }
}

impl Answer {
    /// The value of a field, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text, as far as it is.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// A client of this server. Nothing is connected yet.
    pub(crate) fn new(server: ServerUrl, tls: &Tls) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        // A new connection for each request: the few of them need no reuse, and none meets a connection closed meanwhile.
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        let http = builder
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .build(HttpsConnector::from((connector, tls.config())));
        Self { server, authorization: None, http }
    }

    /// Shows this token with each request that shows nothing of its own.
    pub(crate) fn showing(self, token: Option<&Token>) -> Self {
        Self { authorization: token.map(Token::authorization), ..self }
    }

    /// The server.
    pub(crate) fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// Sends a request and reads the whole answer, whatever its status is.
    ///
    /// # Errors
    /// [`Failure::Unreachable`], [`Failure::NoAnswer`]; [`Failure::Usage`] if the path cannot be part of a URL.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let patience = call.patience;
        let exchange = async { self.whole(self.exchange(self.request(call)?).await?).await };
        match tokio::time::timeout(patience, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(self.late(patience)),
        }
    }

    /// Sends a request and reads no more of the answer than its head.
    pub(super) async fn open(&self, call: Call) -> Result<Response<Incoming>, Failure> {
        let patience = call.patience;
        match tokio::time::timeout(patience, self.exchange(self.request(call)?)).await {
            Ok(response) => response,
            Err(_) => Err(self.late(patience)),
        }
    }

    /// Reads the rest of an answer.
    pub(super) async fn whole(&self, response: Response<Incoming>) -> Result<Answer, Failure> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.no_answer(format!("it broke off: {error}")))?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn request(&self, call: Call) -> Result<Request<Full<Bytes>>, Failure> {
        let url = format!("{}{}", self.server, call.path);
        let uri: Uri =
            url.parse().map_err(|error| Failure::Usage(format!("{:?} is no path of a URL: {error}", call.path)))?;
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = call.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = call.headers;
        let headers = request.headers_mut();
        headers.entry(USER_AGENT).or_insert(AGENT);
        if let Some(authorization) = &self.authorization
            && !SHOWN.iter().any(|name| headers.contains_key(name))
        {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        self.http.request(request).await.map_err(|error| {
            let cause = cause(&error);
            if cause.starts_with("invalid peer certificate") {
                Failure::Untrusted { server: self.server.to_string(), cause }
            } else if error.is_connect() {
                Failure::Unreachable { server: self.server.to_string(), cause }
            } else {
                self.no_answer(cause)
            }
        })
    }

    fn late(&self, patience: Duration) -> Failure {
        self.no_answer(format!("nothing came within {} s", patience.as_secs()))
    }

    pub(super) fn no_answer(&self, cause: String) -> Failure {
        Failure::NoAnswer { server: self.server.to_string(), cause }
    }
}

/// The innermost cause, which is the one that tells something.
fn cause(error: &legacy::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let top = error.source().map(ToString::to_string);
    match innermost.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(kind @ (io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::TimedOut)) => {
            kind.to_string()
        }
        // An address that cannot be resolved, for instance: the text of the error says more than its kind.
        Some(_) | None => top.filter(|_| innermost.is::<io::Error>()).unwrap_or_else(|| innermost.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_http_urls() {
        let read = |text: &str| text.parse::<ServerUrl>();
        assert_eq!(read("http://127.0.0.1:8080/").unwrap().to_string(), "http://127.0.0.1:8080");
        assert_eq!(read("http://h/fanfold/").unwrap().to_string(), "http://h/fanfold");
        assert!(read("HTTPS://h").unwrap().is_secure() && !read("http://h").unwrap().is_secure());
        for (text, part) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("/x", "http://127.0.0.1:8080"),
            ("http://h/?a=b", "no query"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }
}
