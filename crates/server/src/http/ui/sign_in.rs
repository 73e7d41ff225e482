//! Signing in to the console and out of it. A browser cannot show a token with each request as programs do; it shows the session
//! that was begun with one.

use std::time::Duration;

use askama::Template;
use fanfold_core::access::audit::Action;
use fanfold_core::dialect::Refusal;
use fanfold_core::dialect::native::Problem;
use fanfold_engine::SessionOutcome;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::time::Instant;

use super::form::Form;
use super::page;
use super::shell::Shell;
use super::{Asked, OK, Segments};
use crate::http::audited::Audited;
use crate::http::auth::{self, Caller, Credential, cookie};
use crate::http::door::CONSOLE;
use crate::http::metrics::Rejected;
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;
use crate::http::wire::Peer;
use crate::http::{Front, origin};

/// Where it is asked who somebody is.
const PAGE: &str = "/ui/sign-in";

/// Octets at the most of where to go after signing in. Beyond that it goes to the first page.
const NEXT_MAX: usize = 2_048;

/// When somebody is told to try again who cannot sign in for all the sessions that their tenant has.
const RETRY_FULL: Duration = Duration::from_secs(60);

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    shell: Shell,
    next: &'a str,
    is_refused: bool,
}

/// `GET /ui/sign-in`
pub(super) async fn ask(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    let query = Form::of(visit.query().unwrap_or_default()).unwrap_or_default();
    let next = where_to(query.exact("next"));
    if !shared.authenticator().asks() {
        return Ok(page::go_to(next));
    }
    let shell = Shell::of(shared, &visit.caller, super::shell::Place::Nowhere, "Sign in").await;
    let shell = shell.having_done(query.one("done"));
    page::render(OK, &SignIn { shell, next, is_refused: false })
}

/// `POST /ui/sign-in`
pub(super) async fn sign_in(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    let Visit { caller: anybody, peer, front, head, body } = visit;
    if !shared.authenticator().asks() {
        return Ok(page::go_to(CONSOLE));
    }
    // Nor does a page of others sign somebody in whom they have not chosen.
    origin::require_own(&head, &front).inspect_err(|_| shared.metrics.rejected(Rejected::Foreign))?;
    let form = Form::read(body)?;
    let next = where_to(form.exact("next"));
    let caller = match shared.who_wrote(form.one("token").unwrap_or_default(), peer.address).await {
        Ok(caller) => caller,
        Err(Refusal::Unauthenticated) => return refused(shared, &anybody, next).await,
        Err(refusal) => return Err(refusal.into()),
    };
    let now = shared.clock.now();
    let (of, expires_at) = shared.authenticator().session_of(&caller, now).ok_or(Refusal::Internal)?;
    let tenant = caller.access.tenant.clone();
    let beginning = async {
        match shared.engine.begin_session(of, tenant, expires_at).await? {
            SessionOutcome::Begun { secret } => Ok(secret),
            SessionOutcome::TooMany => {
                let detail =
                    "the tenant has as many sessions as a tenant may have: sign out elsewhere, or revoke a token";
                let detail = detail.to_owned();
                Err(Refusal::Unavailable { detail, retry_after: RETRY_FULL }.into())
            }
        }
    };
    let secret = shared.audited(&caller, Audited::server(Action::SignIn), beginning).await?;
    shared.hold_here().await;
    let lasts = Duration::try_from(expires_at.duration_since(now)).unwrap_or_default();
    Ok(page::go_to_with_cookie(next, cookie::set(&secret, lasts, front.is_https(&peer))))
}

/// The page once more. What was written is not in it, and neither is what is wrong with it.
async fn refused(shared: &Shared, anybody: &Caller, next: &str) -> Result<Response, Stop> {
    shared.metrics.rejected(Rejected::Unauthenticated);
    // Whoever has many addresses does not fill the trail by trying; the metric counts them all.
    if shared.paces.may_record_refused_sign_in(Instant::now()) {
        let reason = "the token is not good for the console".to_owned();
        shared.record_refusal(anybody, &Audited::server(Action::SignInRefused), reason).await?;
    }
    let shell = Shell::of(shared, anybody, super::shell::Place::Nowhere, "Sign in").await;
    let mut response = page::render(StatusCode::UNAUTHORIZED, &SignIn { shell, next, is_refused: true })?;
    response.headers_mut().insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Ok(response)
}

/// `POST /ui/sign-out`
pub(super) async fn sign_out(shared: &Shared, visit: &Visit) -> Result<Response, Stop> {
    if let Credential::Session { digest, .. } = visit.caller.credential {
        let ending = async {
            shared.engine.end_session(digest).await?;
            Ok(())
        };
        shared.audited(&visit.caller, Audited::server(Action::SignOut), ending).await?;
        shared.hold_here().await;
    }
    Ok(signed_out(&visit.front, &visit.peer))
}

fn signed_out(front: &Front, peer: &Peer) -> Response {
    page::go_to_with_cookie(&format!("{PAGE}?done=signed_out"), cookie::clear(front.is_https(peer)))
}

/// What somebody gets who is not let in to the console: the page to sign in, if that is all they lack, and then the page that they
/// wanted. What a script asks for is refused instead, so that it has the whole page loaded again.
pub(in crate::http) fn shut_out(
    shared: &Shared,
    (front, peer): (&Front, &Peer),
    head: &Parts,
    refusal: &Refusal,
) -> Response {
    let stop = Stop::Refused(refusal.clone());
    shared.metrics.stopped(&stop);
    let segments = Segments::of(head.uri.path());
    let asked = segments.asked();
    let is_for_a_script = head.headers.contains_key("hx-request") || matches!(asked, Some(Asked::Live(_)));
    match refusal {
        Refusal::Unauthenticated if auth::shows(&head.headers) || is_for_a_script => {
            stop.response(front.native().wire())
        }
        Refusal::Unauthenticated if asked == Some(Asked::SignOut) => signed_out(front, peer),
        Refusal::Unauthenticated => {
            let wanted = head.uri.path_and_query().map_or(CONSOLE, |wanted| wanted.as_str());
            let next = utf8_percent_encode(where_to(wanted), NON_ALPHANUMERIC);
            page::go_to(&format!("{PAGE}?next={next}"))
        }
        _ => {
            let problem = Problem::from(refusal);
            page::telling_of((refusal, &problem), Shell::of_nobody(shared, &problem.title), front)
        }
    }
}

/// Where to go after signing in: to a page of the console, or else to its first one. Whoever made the link can send nobody
/// anywhere else.
fn where_to(next: &str) -> &str {
    let path = next.split('?').next().unwrap_or_default();
    let is_plain = next.bytes().all(|octet| octet.is_ascii_graphic() && !b"\\#\"<>".contains(&octet));
    let is_clean = |segment: &str| {
        let decoded = percent_decode_str(segment).collect::<Vec<u8>>();
        !decoded.is_empty() && decoded != b"." && decoded != b".."
    };
    let is_below = path == CONSOLE
        || path
            .strip_prefix(CONSOLE)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|rest| rest.split('/').all(is_clean));
    let is_page = Segments::of(path)
        .asked()
        .is_some_and(|asked| !matches!(asked, Asked::SignIn | Asked::SignOut | Asked::Live(_) | Asked::Asset(_)));
    if next.len() <= NEXT_MAX && is_plain && is_below && is_page { next } else { CONSOLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_signs_in_stays_in_the_console() {
        for good in
            ["/ui", "/ui/operations", "/ui/operations?status=failed&x=//a", "/ui/operations/1/cancel", "/ui?a=b"]
        {
            assert_eq!(where_to(good), good);
        }
        let long = format!("/ui?{}", "x".repeat(NEXT_MAX));
        for bad in [
            "",
            "/",
            "/uix",
            "ui",
            "//evil.example",
            "//evil.example/ui",
            "https://evil.example/ui",
            "/\\evil.example",
            "/ui\\..\\x",
            "/ui//evil.example",
            "/ui/../api/v1/drain",
            "/ui/%2e%2E/x",
            "/ui/./x",
            "/ui/operations\r\nset-cookie: a=b",
            "/ui/operations/é",
            "/ui/sign-in",
            "/ui/sign-out",
            "/ui/live",
            "/ui/nothing",
            "/ui#//evil.example",
            "javascript:alert(1)",
            "@evil.example/ui",
            &long,
        ] {
            assert_eq!(where_to(bad), CONSOLE, "{bad}");
        }
    }
}
