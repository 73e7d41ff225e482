//! One try to deliver a notice.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use fanfold_core::Headers;
use fanfold_core::route::retry_after;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::config::NoticeRules;
use crate::lookup::Lookups;
use crate::members::{Lease, Term};
use crate::network::Network;
use crate::receiver::{Host, WebhookUrl};
use crate::shared::Shared;
use crate::target::{Tls, from_wire};

/// An answer's head and each of its fields together may not be longer, in octets; nor may it have more fields.
const ANSWER_HEAD_MAX: usize = 64 * 1024;
const ANSWER_FIELDS_MAX: usize = 128;

/// How much of an answer's body is read before the connection is closed, in octets.
const ANSWER_BODY_MAX: usize = 64 * 1024;

/// How long an answer's body is waited for; what it would tell is decided by then.
const ANSWER_BODY_PATIENCE: Duration = Duration::from_secs(1);

/// How many addresses of one host are tried.
const ADDRESSES_MAX: usize = 4;

/// What is sent.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) url: &'a WebhookUrl,
    pub(super) method: &'a str,
    pub(super) headers: Headers,
    pub(super) body: bytes::Bytes,
    /// Whether a caller gave the address, so that `[notices] allow` decides.
    pub(super) is_callers: bool,
    /// In which this process may send it.
    pub(super) term: Term,
}

/// Why a try was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missed {
    /// It may be taken another time.
    Failed {
        /// What was wrong.
        error: String,
        /// How long the receiver asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The receiver wants no more of it.
    Gone {
        /// What it said.
        error: String,
    },
    /// Nothing was sent, since this process may not send it any more: another node may be doing so.
    CalledOff,
}

impl From<String> for Missed {
    fn from(error: String) -> Self {
        Self::Failed { error, retry_after: None }
    }
}

/// Sends notices.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// Trusts the authorities of the platform; made when it is needed first.
    platform: OnceCell<Tls>,
}

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Client {
    /// Sends a notice once, over a connection of its own: receivers are many, and each hears from us rarely.
    pub(super) async fn deliver(
        &self,
        outgoing: Outgoing<'_>,
        rules: &NoticeRules,
        shared: &Shared,
        now: Timestamp,
    ) -> Result<(), Missed> {
        let mut answer = None;
        let try_once = async {
            let stream = self.connect(&outgoing, rules, shared).await?;
            exchange(outgoing, stream, &shared.lease, now, &mut answer).await
        };
        let tried = tokio::time::timeout(rules.timeout, try_once).await;
        // What was answered counts, however the connection ends.
        answer.unwrap_or_else(|| {
            let tried = tried.unwrap_or_else(|_| Err(format!("no answer within {:?}", rules.timeout)));
            Err(tried.err().unwrap_or_else(|| "the connection was closed without an answer".to_owned()).into())
        })
    }

    async fn connect(
        &self,
        outgoing: &Outgoing<'_>,
        rules: &NoticeRules,
        shared: &Shared,
    ) -> Result<Box<dyn Stream>, String> {
        let url = outgoing.url;
        if let (true, Some(name)) = (outgoing.is_callers, url.name())
            && !rules.may_permit(name, url.port())
        {
            return Err(format!("{} is not allowed by `[notices] allow`", url.receiver()));
        }
        let mut addresses = addresses(url, &shared.lookups_for_notices).await?;
        if outgoing.is_callers {
            // What is allowed here is what is connected to: the name is not resolved again.
            let first = addresses.first().copied();
            addresses.retain(|to| rules.permit(url.name(), *to));
            if let (true, Some(first)) = (addresses.is_empty(), first) {
                return Err(format!("{first} is not allowed by `[notices] allow`"));
            }
        }
        let stream = connect_to_one(&addresses, shared.config.network.as_deref(), rules.timeout).await?;
        if !url.is_secure() {
            return Ok(stream);
        }
        let tls = self.tls(rules).await?;
        let name = match url.host() {
            Host::Address(ip) => ServerName::from(*ip),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|error| error.to_string())?,
        };
        let shaken = TlsConnector::from(tls.config()).connect(name, stream).await;
        Ok(Box::new(shaken.map_err(|error| format!("no TLS connection: {error}"))?))
    }

    async fn tls(&self, rules: &NoticeRules) -> Result<Tls, String> {
        if let Some(tls) = &rules.tls {
            return Ok(tls.clone());
        }
        let platform = self.platform.get_or_try_init(async || Tls::new(&[], None)).await;
        platform.cloned().map_err(|error| error.to_string())
    }
}

/// The addresses of the host, at least one.
async fn addresses(url: &WebhookUrl, lookups: &Lookups) -> Result<Vec<SocketAddr>, String> {
    match url.host() {
        Host::Address(ip) => Ok(vec![SocketAddr::new(*ip, url.port())]),
        Host::Name(name) => {
            let found = lookups.look_up(name, url.port()).await;
            let found = found.map_err(|error| format!("{name} cannot be resolved: {error}"))?;
            if found.is_empty() { Err(format!("{name} has no address")) } else { Ok(found) }
        }
    }
}

/// Connects to the first address that lets itself be connected to. Where there are several, each has its share of the time of
/// the whole try, and one is left for the exchange: an address that drops what comes must not keep the others from being tried.
async fn connect_to_one(
    addresses: &[SocketAddr],
    network: Option<&dyn Network>,
    timeout: Duration,
) -> Result<Box<dyn Stream>, String> {
    let addresses = &addresses[..addresses.len().min(ADDRESSES_MAX)];
    let shares = match addresses {
        [_] => 1,
        several => u32::try_from(several.len()).unwrap_or(u32::MAX).saturating_add(1),
    };
    let mut last = "the host has no address".to_owned();
    for to in addresses {
        match tokio::time::timeout(timeout / shares, connect(to, network)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = format!("cannot connect to {to}: {error}"),
            Err(_) => last = format!("cannot connect to {to} within {:?}", timeout / shares),
        }
    }
    Err(last)
}

async fn connect(to: &SocketAddr, network: Option<&dyn Network>) -> io::Result<Box<dyn Stream>> {
    match network {
        Some(network) => network.connect(&to.to_string()).await.map(|stream| Box::new(stream) as _),
        None => TcpStream::connect(to).await.map(|stream| Box::new(stream) as _),
    }
}

/// Sends the request, and puts into `answer` what was answered as soon as the status is known.
async fn exchange(
    outgoing: Outgoing<'_>,
    stream: Box<dyn Stream>,
    lease: &Lease,
    now: Timestamp,
    answer: &mut Option<Result<(), Missed>>,
) -> Result<(), String> {
    let mut http1 = hyper::client::conn::http1::Builder::new();
    http1.max_buf_size(ANSWER_HEAD_MAX).max_headers(ANSWER_FIELDS_MAX);
    let shaken = http1.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| format!("no HTTP connection: {error}"))?;
    let mut request = Request::builder()
        .method(outgoing.method)
        .uri(outgoing.url.path_and_query())
        .header("host", outgoing.url.authority());
    for (name, value) in &outgoing.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(value.as_str()).map_err(|error| error.to_string())?;
        request = request.header(name, value);
    }
    let request = request.body(Full::new(outgoing.body)).map_err(|error| error.to_string())?;
    if !lease.holds(outgoing.term) {
        *answer = Some(Err(Missed::CalledOff));
        return Ok(());
    }
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
        *answer = Some(read(response.status(), &from_wire(response.headers()), now));
        // The answer's body tells nothing; reading it to its end lets the receiver finish its write.
        let body = Limited::new(response.into_body(), ANSWER_BODY_MAX).collect();
        drop(tokio::time::timeout(ANSWER_BODY_PATIENCE, body).await);
        Ok(())
    };
    tokio::pin!(answered);
    tokio::select! {
        biased;
        result = &mut answered => result,
        ended = connection => match ended {
            // The connection may end just when its answer has come in.
            Ok(()) => answered.await,
            Err(error) => Err(format!("the connection broke: {error}")),
        },
    }
}

fn read(status: StatusCode, headers: &Headers, now: Timestamp) -> Result<(), Missed> {
    if status.is_success() {
        return Ok(());
    }
    if status == StatusCode::GONE {
        return Err(Missed::Gone { error: format!("answered {status}: the receiver wants no more notices") });
    }
    let redirected = if status.is_redirection() { "; redirects are not followed" } else { "" };
    Err(Missed::Failed { error: format!("answered {status}{redirected}"), retry_after: retry_after(headers, now) })
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;
    use crate::network::{Connecting, Socket};

    impl Socket for DuplexStream {
        fn other_side_closed(&self) -> bool {
            false
        }
    }

    /// Only what is sent to the port 80 arrives.
    #[derive(Debug)]
    struct Dropping;

    impl Network for Dropping {
        fn connect(&self, to: &str) -> Connecting {
            let arrives = to.ends_with(":80");
            Box::pin(async move {
                if !arrives {
                    return std::future::pending().await;
                }
                Ok(Box::new(tokio::io::duplex(64).0) as Box<dyn Socket>)
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_that_drop_what_comes_leave_time_for_the_others() {
        let timeout = Duration::from_secs(13);
        let [bad, good] = ["10.0.0.1:1", "10.0.0.2:80"].map(|text| text.parse().unwrap());
        let connect = async |addresses: &[SocketAddr]| {
            let connecting = connect_to_one(addresses, Some(&Dropping), timeout);
            // The whole try takes no longer, and the exchange is part of it.
            tokio::time::timeout(timeout.mul_f64(0.9), connecting).await
        };
        assert!(connect(&[bad, bad, bad, good]).await.unwrap().is_ok());
        let refused = connect(&[bad, bad, bad, bad, good]).await.unwrap().err().unwrap();
        assert!(refused.starts_with("cannot connect to 10.0.0.1:1 within"), "{refused}");
        assert!(connect(&[bad]).await.is_err(), "one that is alone has all of the time");
    }
}
