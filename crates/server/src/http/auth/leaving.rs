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
    /// Waits until a caller is one no more: what they showed was taken back, or has expired.
    pub(in crate::http) async fn gone(&self, caller: &Caller, peer: &Peer) {
        match caller.credential {
            Credential::Nothing | Credential::Machine => std::future::pending().await,
            Credential::Issuer { expires_at } => self.expired(expires_at).await,
            Credential::FixedToken { digest, expires_at } => {
                let known = || self.authenticator().by_fixed_token(digest, peer.address, self.clock.now());
                tokio::select! {
                    () = self.not_configured(caller, known) => {}
                    () = self.expired(expires_at) => {}
                }
            }
            Credential::Certificate { ends_at } => {
                tokio::select! {
                    () = self.not_configured(caller, || self.by_certificate(peer)) => {}
                    () = self.expired(Some(ends_at)) => {}
                }
            }
            Credential::Token { id, expires_at } => {
                tokio::select! {
                    () = self.keyring.revoked(id) => {}
                    () = self.expired(expires_at) => {}
                }
            }
        }
    }

    /// Who has shown the certificate of this connection, by the configuration as it is now.
    fn by_certificate(&self, peer: &Peer) -> Option<Caller> {
        self.authenticator().by_certificate(self.certificate(peer)?, peer.address).ok()
    }

    /// Waits until `known` gives somebody else, or the same with other rights: the configuration was reloaded.
    async fn not_configured(&self, caller: &Caller, known: impl Fn() -> Option<Caller>) {
        let mut reloads = self.reloads.subscribe();
        // The sender is in `self`, so it is not gone.
        drop(reloads.wait_for(|()| known().as_ref() != Some(caller)).await);
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
