//! Asks one server, within bounds of time and size, and takes whole answers only.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};

use super::address::IssuerAddress;
use crate::lookup::Lookups;
use crate::network::Network;
use crate::target::{BadTls, Line, Outgoing, Received};

/// How long connecting may take, name resolution and TLS included.
const CONNECT: Duration = Duration::from_secs(3);

/// How long an answer may take, from the first byte sent to the last one received.
const RESPONSE: Duration = Duration::from_secs(5);

/// The server of one issuer.
#[derive(Debug)]
pub(super) struct Remote(Line);

/// One request.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    /// From the root, with the query.
    pub(super) path: &'a str,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The longest answer that is read, in octets.
    pub(super) answer_bytes_max: u64,
}

impl Remote {
    /// The one at this address.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub(super) fn new(
        address: &IssuerAddress,
        authorities: &[u8],
        network: Option<Arc<dyn Network>>,
        lookups: Lookups,
    ) -> Result<Self, BadTls> {
        Ok(Self(Line::new(address.origin().clone(), authorities, network, lookups)?))
    }

    /// Asks once. Whatever is answered, it is whole.
    ///
    /// # Errors
    /// What went wrong, in words, without anything secret.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Received, String> {
        let Question { method, path, mut headers, body, answer_bytes_max } = question;
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("fanfold/", env!("CARGO_PKG_VERSION"))));
        let outgoing = Outgoing {
            method,
            path_and_query: path.to_owned(),
            headers,
            body,
            connect: CONNECT,
            response: RESPONSE,
            body_max: answer_bytes_max,
            // Nothing here changes anything; but a request that broke is not sent again, so stale connections cost most here.
            fresh: true,
            from_root: true,
        };
        let received = self.0.send(&outgoing).await.map_err(|broke| broke.trouble.detail)?;
        if !received.complete {
            return Err(format!("its answer broke off, or is longer than {answer_bytes_max} bytes"));
        }
        Ok(received)
    }
}

/// What is wrong with an answer of this status, where another one was expected.
pub(super) fn unexpected(received: &Received) -> String {
    let redirected = received.status.is_redirection();
    let hint = if redirected { "; redirects are not followed: configure the address that they lead to" } else { "" };
    format!("it answered {}{hint}", received.status)
}
