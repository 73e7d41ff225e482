//! A request that a route accepts: read as a whole, handed to the engine, answered in the dialect.
//!
//! Nothing is recorded before the whole body has come. Once the engine has been asked, acceptance is carried to its end even
//! if the client goes away meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::dialect::{Mount, Refusal, native};
use fanfold_core::route::{Handling, Incoming, Route};
use fanfold_core::{Operation, OperationId, Slot};
use fanfold_engine::{AcceptOutcome, AcceptRequest, RouteCallback};
use http::header::{HeaderValue, LINK};

use super::auth::Caller;
use super::outcome::{self, Response, Stop};
use super::prefer::{self, PREFERENCE_APPLIED};
use super::server::Shared;
use super::visit::Arriving;
use super::{body, head};

/// Accepts a request, and waits for its end where the client prefers that.
pub(super) async fn accept(
    shared: &Shared,
    visit: Arriving,
    mount: Arc<Mount>,
    route: Arc<Route>,
    captures: BTreeMap<String, String>,
) -> Result<Response, Stop> {
    let config = &shared.config;
    let wait = prefer::wait(&visit.head.headers, config.prefer_wait_max);
    let headers = head::fields(&visit.head.headers)?;
    let (path, query) = (visit.path().to_owned(), visit.query().map(str::to_owned));
    let Arriving { caller, front, head, body, .. } = visit;
    let incoming = Incoming {
        method: head.method,
        path,
        query,
        // The engine asks the dialect which parameters targets get.
        target_query: None,
        headers,
        body: body::read(body, config.body_bytes_max, config.body_time_max).await?,
        captures,
    };
    // Of the front that the route is of: a reload meanwhile takes nothing back.
    let callback = front.callback(&route.name).cloned();
    let request = Request { caller: caller.clone(), mount: Arc::clone(&mount), route, callback, incoming };
    let accepted = record(shared, request).await?.operation;
    let id = accepted.id;
    // It is accepted, and never answered as if it were not, whatever becomes of the wait: the client would send it again.
    let waited = match wait {
        Some(patience) => the_end(shared, &caller, front.native(), id, patience).await.unwrap_or_else(|stop| {
            // Where too many wait already, this one does not.
            if !matches!(stop, Stop::Refused(Refusal::Unavailable { .. })) {
                tracing::error!(operation.id = %id, ?stop, "cannot wait for the end of an operation that was accepted");
            }
            Waited::Open(accepted)
        }),
        None => Waited::Open(accepted),
    };
    let mut response = match waited {
        Waited::Ended(response) => response,
        Waited::Open(operation) => outcome::reply(mount.wire().accepted(&mount, &operation)),
    };
    response.extensions_mut().insert(id);
    Ok(response)
}

/// What waiting for an operation gives.
enum Waited {
    /// It has ended, and this is its final response.
    Ended(Response),
    /// It has not.
    Open(Arc<Operation>),
}

async fn the_end(
    shared: &Shared,
    caller: &Caller,
    native_mount: &Mount,
    id: OperationId,
    patience: Duration,
) -> Result<Waited, Stop> {
    let operation = shared.wait_for(caller, id, patience, |_| false).await?;
    match operation.end() {
        Some(_) => Ok(Waited::Ended(in_time(shared, native_mount, operation, patience).await?)),
        None => Ok(Waited::Open(operation)),
    }
}

/// What [`AcceptRequest`] borrows.
struct Request {
    caller: Caller,
    mount: Arc<Mount>,
    route: Arc<Route>,
    callback: Option<RouteCallback>,
    incoming: Incoming,
}

/// Asks the engine, in a task that the server owns: a connection that breaks ends whatever was done for it, but not this.
async fn record(shared: &Shared, request: Request) -> Result<AcceptOutcome, Stop> {
    let engine = shared.engine.clone();
    let accepting = async move {
        let Request { caller: Caller { access, name: by, .. }, mount, route, callback, incoming } = request;
        let callback = callback.as_ref();
        match &route.handling {
            Handling::Operation(route) => {
                engine
                    .accept(AcceptRequest { access: &access, mount: &mount, route, callback, incoming, by: &by })
                    .await
            }
            // Nothing is accepted for such a route, so nobody comes here with one.
            Handling::Pass(_) => Err(Refusal::NotFound { detail: "the route accepts no operations".to_owned() }),
        }
    };
    let accepted = shared.carried(accepting);
    Ok(accepted.await??)
}

/// Exactly the final response of an operation, and where to find the operation.
async fn in_time(
    shared: &Shared,
    native_mount: &Mount,
    operation: Arc<Operation>,
    patience: Duration,
) -> Result<Response, Stop> {
    let full = shared.full(operation).await?;
    let operation = &full.operation;
    let answer = operation.response().ok_or(Refusal::Internal)?;
    let mut response = outcome::recorded(operation.id, answer.status, &answer.headers, full.octets(Slot::Final))?;
    let link = native::Links::of(native_mount, operation).own;
    let fields = response.headers_mut();
    fields.insert(PREFERENCE_APPLIED, text(format!("wait={}", patience.as_secs())));
    // `status` is the relation to a resource that tells how something is going (RFC 8631, section 4.4).
    fields.append(LINK, text(format!("<{link}>; rel=\"status\"")));
    Ok(response)
}

fn text(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("numbers, and links of which the configuration has checked the variable part")
}
