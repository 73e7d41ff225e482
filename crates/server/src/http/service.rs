//! The one way in: every request is measured, judged, led to its door, and answered in its dialect. There is no other caller
//! of the handlers, so none of them can be reached without having passed here.

use std::any::Any;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use fanfold_core::OperationId;
use fanfold_core::dialect::{Mount, Refusal};
use fanfold_core::route::Handling;
use futures_util::FutureExt as _;
use http::Request;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::door::Door;
use super::metrics::{DoorLabels, Rejected};
use super::outcome::{Response, Stop};
use super::server::{Server, Shared};
use super::visit::Visit;
use super::{Front, accept, head, native, origin, own, pass, system};

impl Server {
    /// Answers one request.
    pub(super) async fn answer(&self, peer: SocketAddr, request: Request<Incoming>) -> Response {
        let shared = self.shared();
        let began = Instant::now();
        let in_flight = shared.metrics.begun();
        let front = shared.front();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (door, mount) = Door::find(&front, &method, &path, request.uri().query());
        let labels = DoorLabels::of(&door, mount.dialect);
        let answering = answer(shared, peer, request, front, door, Arc::clone(&mount));
        let outcome = match AssertUnwindSafe(answering).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(panic) => {
                tracing::error!(http.method = %method, http.path = path, panic = words(&*panic), "a request met a mistake in the program");
                Err(Refusal::Internal.into())
            }
        };
        let response = outcome.unwrap_or_else(|stop| {
            shared.metrics.stopped(&stop);
            stop.response(mount.wire())
        });
        let (status, took) = (response.status(), began.elapsed());
        shared.metrics.answered(labels, status, took);
        drop(in_flight);
        tracing::debug!(
            http.method = %method,
            http.path = path,
            http.status = status.as_u16(),
            http.dialect = %mount.dialect,
            http.peer = %peer,
            operation.id = response.extensions().get::<OperationId>().map(tracing::field::display),
            duration_ms = took.as_millis(),
            "answered"
        );
        response
    }
}

/// Lets a request in, or not, and leads it to its door.
async fn answer(
    shared: &Shared,
    peer: SocketAddr,
    request: Request<Incoming>,
    front: Arc<Front>,
    door: Door,
    mount: Arc<Mount>,
) -> Result<Response, Stop> {
    let (head, body) = request.into_parts();
    head::check(&head, &shared.config)?;
    origin::check(&head, front.public()).inspect_err(|_| shared.metrics.rejected(Rejected::Foreign))?;
    let caller = shared.authenticator.authenticate(peer)?;
    let visit = Visit { caller, front, head, body };
    // Each on the heap, so that a request which waits is as large as its own door makes it, and not as the largest does.
    match door {
        Door::System(page) => system::serve(shared, &visit, page).await,
        Door::Native => Box::pin(native::serve(shared, visit)).await,
        Door::Own(asked) => Box::pin(own::serve(shared, visit, &mount, asked)).await,
        Door::Route { route, captures } => match &route.handling {
            Handling::Pass(target) => Box::pin(pass::pass(shared, visit, &mount, target)).await,
            Handling::Operation(_) => Box::pin(accept::accept(shared, visit, mount, route, captures)).await,
        },
        Door::Closed(refusal) => Err(refusal.into()),
    }
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}
