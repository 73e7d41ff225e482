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
use http::request::Parts;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::auth::rules::{self, Needs, SAFE};
use super::auth::{Caller, Credential, cookie};
use super::door::{CONSOLE, Door};
use super::metrics::{DoorLabels, Rejected};
use super::outcome::{Response, Stop};
use super::server::{Server, Shared};
use super::visit::{Arriving, Visit};
use super::wire::Peer;
use super::{Front, accept, auth, head, native, origin, own, pass, system, ui};

impl Server {
    /// Answers one request.
    pub(super) async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response {
        let shared = self.shared();
        let began = Instant::now();
        let in_flight = shared.metrics.begun();
        let front = shared.front();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (door, mount) = Door::find(&front, &method, &path, request.uri().query());
        let labels = DoorLabels::of(&door, mount.dialect);
        let answering = answer(self, peer.clone(), request, front, door, Arc::clone(&mount));
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
            http.peer = %peer.address,
            operation.id = response.extensions().get::<OperationId>().map(tracing::field::display),
            duration_ms = took.as_millis(),
            "answered"
        );
        response
    }
}

/// Lets a request in, or not, for as long as its caller may be in.
async fn answer(
    server: &Server,
    peer: Peer,
    request: Request<Incoming>,
    front: Arc<Front>,
    door: Door,
    mount: Arc<Mount>,
) -> Result<Response, Stop> {
    let shared = server.shared();
    let (mut head, body) = request.into_parts();
    head::check(&head, &shared.config)?;
    origin::check(&head, &peer, front.public()).inspect_err(|_| shared.metrics.rejected(Rejected::Foreign))?;
    let caller = match shared.let_in(&door, &front, &peer, &mut head).await {
        Ok(caller) => caller,
        Err(refusal) if matches!(door, Door::Console) => {
            return Ok(ui::shut_out(shared, (&front, &peer), &head, &refusal));
        }
        Err(refusal) => return Err(refusal.into()),
    };
    // Whoever watches the server is not shut out by what makes it worth watching.
    if !matches!(door, Door::System(_)) {
        shared.paces.request(&caller, Instant::now())?;
    }
    let known = (caller.clone(), peer.clone());
    let is_console = matches!(door, Door::Console);
    // To lead a browser to where it can sign in again, should its session end meanwhile.
    let signed_in = matches!(caller.credential, Credential::Session { .. }).then(|| (Arc::clone(&front), head.clone()));
    let visit = Visit { caller, peer, front, head, body };
    let led = tokio::select! {
        biased;
        led = led(shared, visit, door, mount) => led?,
        // Whatever is accepted just now is carried to its end, as if the client had gone away.
        () = shared.gone(&known.0, &known.1) => return match signed_in {
            Some((front, head)) => Ok(ui::shut_out(shared, (&front, &known.1), &head, &Refusal::Unauthenticated)),
            None => Err(Refusal::Unauthenticated.into()),
        },
    };
    let mut response = match led {
        Led::Answered(response) => response,
        Led::Acts(visit) => acted(server, visit, is_console).await?,
    };
    if !is_console {
        cookie::keep_from_setting(response.headers_mut());
    }
    Ok(auth::leaving(server, known.0, known.1, response))
}

/// How far a request has come that was led to its door.
enum Led {
    /// It is answered.
    Answered(Response),
    /// All of it has come, and it is about to do something.
    Acts(Box<Visit>),
}

/// Leads a request to its door.
async fn led(shared: &Shared, visit: Arriving, door: Door, mount: Arc<Mount>) -> Result<Led, Stop> {
    let acts = !SAFE.contains(&visit.head.method);
    // Each on the heap, so that a request which waits is as large as its own door makes it, and not as the largest does.
    let answered = match door {
        Door::Native | Door::Console if acts => return Ok(Led::Acts(Box::new(visit.whole(&shared.config).await))),
        Door::System(page) => system::serve(shared, &visit, page).await,
        Door::Native => Box::pin(native::serve(shared, visit.whole(&shared.config).await)).await,
        Door::Console => Ok(Box::pin(ui::serve(shared, visit.whole(&shared.config).await)).await),
        Door::Own(asked) => Box::pin(own::serve(shared, visit, &mount, asked)).await,
        Door::Route { route, captures } => match &route.handling {
            Handling::Pass(target) => Box::pin(pass::pass(shared, visit, &mount, target)).await,
            Handling::Operation(_) => Box::pin(accept::accept(shared, visit, mount, route, captures)).await,
        },
        Door::Closed(refusal) => Err(refusal.into()),
    };
    answered.map(Led::Answered)
}

/// Does what a request asks for, and writes down what came of it, whatever becomes of the connection and of what let its caller
/// in: they may be taking that back themselves. It waits for the end of no operation, so it ends soon.
async fn acted(server: &Server, visit: Box<Visit>, is_console: bool) -> Result<Response, Stop> {
    let acting = server.clone();
    let acting = async move {
        let shared = acting.shared();
        if is_console { Ok(ui::serve(shared, *visit).await) } else { native::serve(shared, *visit).await }
    };
    server.shared().carried(acting).await?
}

impl Shared {
    /// Who makes a request, if they may go through this door. What they showed is taken out of it: nobody else gets to see it.
    async fn let_in(&self, door: &Door, front: &Front, peer: &Peer, head: &mut Parts) -> Result<Caller, Refusal> {
        let needs = Needs::of(door, &head.method, head.uri.path());
        let session = cookie::read(&head.headers, front.is_https(peer));
        cookie::hide(&mut head.headers);
        if needs == Needs::Nothing {
            return Ok(Caller::anybody(peer.address));
        }
        let authenticator = self.authenticator();
        // A session is for the console alone, and whoever shows something else is that one.
        let is_browsing = matches!(door, Door::Console) && authenticator.asks() && !auth::shows(&head.headers);
        let (known, now) = ((&self.keyring, &self.issuers), self.clock.now());
        let certificate = self.certificate(peer);
        let caller = if is_browsing {
            let session = session.map(|session| authenticator.by_session(known, session, peer.address, now));
            match session {
                // A browser that is not signed in, or not any more, has tried nothing, so nothing is counted.
                None | Some(Err(Refusal::Unauthenticated)) => {
                    authenticator.by_certificate(certificate.ok_or(Refusal::Unauthenticated)?, peer.address)?
                }
                Some(found) => found?,
            }
        } else {
            let found = authenticator.authenticate(known, peer.address, certificate, &head.headers, now).await;
            self.counted(peer.address, found)?
        };
        // What a browser shows of itself it also shows for pages of others.
        let is_ambient = matches!(caller.credential, Credential::Session { .. } | Credential::Certificate { .. });
        if is_browsing && is_ambient && !SAFE.contains(&head.method) {
            origin::require_own(head, front).inspect_err(|_| self.metrics.rejected(Rejected::Foreign))?;
        }
        rules::check(needs, door, &caller)?;
        if caller.credential.is_shown() {
            auth::hide(&mut head.headers);
        }
        Ok(caller)
    }

    /// Who wrote this token on the page to sign in. One that is good for nothing in the console counts as a bad one, or else whoever
    /// has it could fail as often as they like.
    pub(super) async fn who_wrote(&self, token: &str, peer: SocketAddr) -> Result<Caller, Refusal> {
        let known = (&self.keyring, &self.issuers);
        let found = self.authenticator().authenticate_written(known, peer, token, self.clock.now()).await;
        let is_of_use = |caller: &Caller| ui::needs(CONSOLE).are_met_by(&caller.access);
        let found = found.and_then(|caller| is_of_use(&caller).then_some(caller).ok_or(Refusal::Unauthenticated));
        self.counted(peer, found)
    }

    /// Counts an authentication that failed. An address that has failed too often is to wait.
    fn counted(&self, peer: SocketAddr, found: Result<Caller, Refusal>) -> Result<Caller, Refusal> {
        if found == Err(Refusal::Unauthenticated) {
            let now = Instant::now();
            self.paces.may_fail(peer.ip(), now)?;
            self.paces.failed(peer.ip(), now);
        }
        found
    }
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}
