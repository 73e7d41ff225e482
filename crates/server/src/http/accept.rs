//! A request that a route accepts: read as a whole, handed to the engine, answered in the dialect.
//!
//! Nothing is recorded before the whole body has come. Once the engine has been asked, acceptance is carried to its end even
//! if the client goes away meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::dialect::{Mount, Refusal, native};
use fanfold_core::route::{Handling, Incoming, Route};
use fanfold_core::{Operation, Slot};
use fanfold_engine::{AcceptOutcome, AcceptRequest};
use http::header::{HeaderValue, LINK};
use tokio::sync::oneshot;

use super::outcome::{self, Response, Stop};
use super::prefer::{self, PREFERENCE_APPLIED};
use super::server::Shared;
use super::visit::Visit;
use super::{body, head};

/// Accepts a request, and waits for its end where the client prefers that.
pub(super) async fn accept(
    shared: &Shared,
    visit: Visit,
    mount: Arc<Mount>,
    route: Arc<Route>,
    captures: BTreeMap<String, String>,
) -> Result<Response, Stop> {
    let config = &shared.config;
    let wait = prefer::wait(&visit.head.headers, config.prefer_wait_max);
    let headers = head::fields(&visit.head.headers)?;
    let (path, query) = (visit.path().to_owned(), visit.query().map(str::to_owned));
    let Visit { caller, front, head, body } = visit;
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
    let request = Request { tenant: caller.tenant.clone(), mount: Arc::clone(&mount), route, incoming };
    let accepted = record(shared, request).await?.operation;
    let id = accepted.id;
    let mut response = match wait {
        Some(patience) => {
            // It is accepted: where too many wait already, this one does not.
            let waited = shared.wait_for(&caller, id, patience, |_| false).await;
            let operation = match waited {
                Err(Stop::Refused(Refusal::Unavailable { .. })) => accepted,
                waited => waited?,
            };
            match operation.end() {
                Some(_) => in_time(shared, front.native(), operation, patience).await?,
                None => outcome::reply(mount.wire().accepted(&mount, &operation)),
            }
        }
        None => outcome::reply(mount.wire().accepted(&mount, &accepted)),
    };
    response.extensions_mut().insert(id);
    Ok(response)
}

/// What [`AcceptRequest`] borrows.
struct Request {
    tenant: fanfold_core::TenantId,
    mount: Arc<Mount>,
    route: Arc<Route>,
    incoming: Incoming,
}

/// Asks the engine, in a task that the server owns: a connection that breaks ends whatever was done for it, but not this.
async fn record(shared: &Shared, request: Request) -> Result<AcceptOutcome, Stop> {
    let engine = shared.engine.clone();
    let (done, outcome) = oneshot::channel();
    let begun = shared.carry_to_its_end(async move {
        let Request { tenant, mount, route, incoming } = request;
        let outcome = match &route.handling {
            Handling::Operation(route) => engine.accept(AcceptRequest { tenant, mount: &mount, route, incoming }).await,
            // Nothing is accepted for such a route, so nobody comes here with one.
            Handling::Pass(_) => Err(Refusal::NotFound { detail: "the route accepts no operations".to_owned() }),
        };
        // If the client went away meanwhile, nobody is there to be told.
        drop(done.send(outcome));
    });
    begun.await;
    // The sender is dropped without a word only by a panic, which is reported by the owner of the task.
    Ok(outcome.await.map_err(|_| Refusal::Internal)??)
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
