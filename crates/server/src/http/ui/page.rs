//! Pages as responses: their fields, and the page of what went wrong.

use askama::Template;
use fanfold_core::dialect::native::Problem;
use fanfold_core::dialect::{Refusal, Reply};
use http::{StatusCode, header};

use super::shell::{Place, Shell};
use crate::http::Front;
use crate::http::auth::Caller;
use crate::http::outcome::{self, Response, Stop};
use crate::http::server::Shared;

/// What a page may do: load our own files, and talk to this server. No script or style of its own, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "trouble.html")]
struct Trouble<'a> {
    shell: Shell,
    status: u16,
    title: &'a str,
    detail: &'a str,
    advice: &'static str,
}

impl<'a> Trouble<'a> {
    fn of(shell: Shell, problem: &'a Problem, refusal: &Refusal) -> Self {
        let Problem { title, detail, status, .. } = problem;
        Self { shell, status: *status, title, detail, advice: advice(refusal) }
    }
}

/// A page.
pub(super) fn render(status: StatusCode, template: &impl Template) -> Result<Response, Stop> {
    let text = template.render().map_err(|error| {
        tracing::error!(%error, "a page of the console cannot be written");
        Refusal::Internal
    })?;
    let reply = Reply { status, headers: Vec::new(), body: text.into() };
    Ok(outcome::reply(guarded(
        reply.with("content-type", "text/html; charset=utf-8").with("cache-control", "no-store"),
    )))
}

/// To another page, after something was done: so that loading it again does not do it again.
pub(super) fn go_to(path: &str) -> Response {
    outcome::reply(going(path))
}

/// The same, with a cookie to be set on the way.
pub(super) fn go_to_with_cookie(path: &str, cookie: String) -> Response {
    outcome::reply(going(path).with("set-cookie", cookie))
}

fn going(path: &str) -> Reply {
    let reply = Reply { status: StatusCode::SEE_OTHER, headers: Vec::new(), body: bytes::Bytes::new() };
    guarded(reply.with("location", path).with("cache-control", "no-store"))
}

/// With the fields that keep browsers from doing more with it than they should.
fn guarded(reply: Reply) -> Reply {
    reply
        .with("content-security-policy", POLICY)
        .with("x-content-type-options", "nosniff")
        .with("x-frame-options", "DENY")
        .with("referrer-policy", "same-origin")
        .with("cross-origin-opener-policy", "same-origin")
        .with("cross-origin-resource-policy", "same-origin")
}

/// The status of a page that tells of this.
pub(super) fn status(problem: &Problem) -> StatusCode {
    StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Why there is no other page.
pub(super) async fn trouble(shared: &Shared, front: &Front, caller: &Caller, stop: &Stop) -> Response {
    let Stop::Refused(refusal) = stop else { return stop.response(front.native().wire()) };
    let problem = Problem::from(refusal);
    let shell = Shell::of(shared, caller, Place::Nowhere, &problem.title).await;
    telling_of((refusal, &problem), shell, front)
}

/// The page that tells of a refusal, with the fields that say what is allowed instead (RFC 9110, section 15.5.6) and when to try
/// again.
pub(super) fn telling_of((refusal, problem): (&Refusal, &Problem), shell: Shell, front: &Front) -> Response {
    let rendered = render(status(problem), &Trouble::of(shell, problem, refusal));
    let mut response = rendered.unwrap_or_else(|stop| stop.response(front.native().wire()));
    let plain = Stop::Refused(refusal.clone()).response(front.native().wire());
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = plain.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// What to do about it.
fn advice(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NotFound { .. } => {
            "It may have been deleted after its retention, or the address is not quite right. The list of operations has \
             everything that is kept."
        }
        Refusal::NotPossible { .. } | Refusal::Locked { .. } => {
            "Nothing was changed, because it does not fit how things are now. Somebody may have been faster: look again."
        }
        Refusal::StoreUnreachable { .. } | Refusal::StoreFailing { .. } => {
            "What was accepted is safe. The log of the server says why the store does not answer; readiness says when it does again."
        }
        Refusal::Unavailable { .. } | Refusal::TooManyRequests { .. } => "Try again in a moment.",
        Refusal::Internal => "This is a mistake in the program. The log of the server says more; please report it.",
        Refusal::Unauthenticated
        | Refusal::MethodNotAllowed { .. }
        | Refusal::Unparsable { .. }
        | Refusal::BadValue { .. }
        | Refusal::OutOfRange { .. }
        | Refusal::BodyTooLarge { .. }
        | Refusal::HeadTooLarge { .. }
        | Refusal::KeyReused { .. } => "Nothing was changed. Go back, and put right what is said above.",
    }
}
