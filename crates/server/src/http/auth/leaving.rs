//! Requests that last longer than what lets their callers in: they end with it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use jiff::Timestamp;

use super::caller::{Caller, Credential};
use crate::http::outcome::{BoxError, Response};
use crate::http::server::{Server, Shared};
use crate::http::wire::Peer;

/// A body that ends as soon as its reader may not read it any more.
struct Leaving {
    body: http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>,
    gone: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Body for Leaving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.gone.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Shared {
    /// Waits until a caller is one no more: what they showed was taken back or has expired, or makes somebody else of them now.
    pub(in crate::http) async fn gone(&self, caller: &Caller, peer: &Peer) {
        tokio::select! {
            () = self.keyring.until(|| !self.still_is(caller, peer, self.clock.now())) => {}
            () = self.expired(caller.credential.expires_at()) => {}
        }
    }

    /// Whether what a caller has shown still makes the same of them, by the configuration as it is now and by what is known of the
    /// store.
    fn still_is(&self, caller: &Caller, peer: &Peer, now: Timestamp) -> bool {
        let (authenticator, known) = (self.authenticator(), (&self.keyring, &self.issuers));
        let again = match &caller.credential {
            Credential::Nothing | Credential::Machine => return true,
            // What their token said was read as it was shown; when it expires is known.
            Credential::Issuer { issuer, expires_at } => {
                return authenticator.asks() && self.issuers.has(issuer) && expires_at.is_none_or(|at| at > now);
            }
            Credential::Certificate { .. } => {
                self.certificate(peer).and_then(|said| authenticator.by_certificate(said, peer.address).ok())
            }
            Credential::FixedToken { digest, .. } => authenticator.by_fixed_token(*digest, peer.address, now),
            Credential::Token { id, .. } if authenticator.asks() => self.keyring.holder(*id, peer.address, now).ok(),
            Credential::Token { .. } => None,
            Credential::Session { digest, .. } => authenticator.by_known_session(known, *digest, peer.address, now),
        };
        again.as_ref() == Some(caller)
    }

    async fn expired(&self, at: Option<Timestamp>) {
        match at {
            None => std::future::pending().await,
            Some(at) => {
                let left = Duration::try_from(at.duration_since(self.clock.now())).unwrap_or_default();
                tokio::time::sleep(left).await;
            }
        }
    }
}

/// The same response, whose body ends with what let the caller in. One that is whole already is sent whole.
pub(in crate::http) fn leaving(server: &Server, caller: Caller, peer: Peer, response: Response) -> Response {
    let is_endless = response.body().size_hint().exact().is_none();
    if !is_endless || !caller.credential.is_shown() {
        return response;
    }
    let server = server.clone();
    let gone = Box::pin(async move { server.shared().gone(&caller, &peer).await });
    response.map(|body| Leaving { body, gone }.boxed_unsync())
}
