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
    /// Waits until a caller is one no more: what they showed was taken back or has expired, or lets them do something else now.
    pub(in crate::http) async fn gone(&self, caller: &Caller, peer: &Peer) {
        let expires_at = caller.credential.expires_at();
        let lost = async {
            match &caller.credential {
                Credential::Nothing | Credential::Machine | Credential::Issuer { .. } => std::future::pending().await,
                Credential::FixedToken { digest, .. } => {
                    self.keyring.until(|| !self.authenticator().has(*digest, &caller.access)).await;
                }
                Credential::Certificate { .. } => {
                    self.keyring.until(|| self.by_certificate(peer).as_ref() != Some(caller)).await;
                }
                Credential::Token { id, .. } => self.keyring.until(|| !self.keyring.has(*id)).await,
                Credential::Session { digest, .. } => {
                    let known = (&self.keyring, &self.issuers);
                    self.keyring.until(|| !self.authenticator().has_session(known, *digest, &caller.access)).await;
                }
            }
        };
        tokio::select! {
            () = lost => {}
            () = self.expired(expires_at) => {}
        }
    }

    /// Who has shown the certificate of this connection, by the configuration as it is now.
    fn by_certificate(&self, peer: &Peer) -> Option<Caller> {
        self.authenticator().by_certificate(self.certificate(peer)?, peer.address).ok()
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
