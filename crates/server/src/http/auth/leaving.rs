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
    /// Waits until a caller is one no more: their token was taken back, or has expired.
    pub(in crate::http) async fn gone(&self, credential: Credential) {
        match credential {
            Credential::Nothing | Credential::Machine => std::future::pending().await,
            Credential::FixedToken { expires_at } | Credential::Issuer { expires_at } => self.expired(expires_at).await,
            Credential::Token { id, expires_at } => {
                tokio::select! {
                    () = self.keyring.revoked(id) => {}
                    () = self.expired(expires_at) => {}
                }
            }
        }
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
pub(in crate::http) fn leaving(server: &Server, caller: &Caller, response: Response) -> Response {
    let is_endless = response.body().size_hint().exact().is_none();
    if !is_endless || !caller.credential.is_shown() {
        return response;
    }
    let (server, credential) = (server.clone(), caller.credential);
    let gone = Box::pin(async move { server.shared().gone(credential).await });
    response.map(|body| Leaving { body, gone }.boxed_unsync())
}
