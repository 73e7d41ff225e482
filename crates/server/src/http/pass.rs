//! Requests that are passed through to a target: streamed both ways, nothing recorded.

use fanfold_core::TargetName;
use fanfold_core::dialect::{Mount, PassFailure, Refusal};
use fanfold_core::operation::Gate;
use fanfold_engine::target::{ForwardError, PassBody};
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http_body_util::BodyExt as _;

use super::body::{Stalled, Upload};
use super::metrics::Rejected;
use super::origin;
use super::outcome::{self, BoxError, Response, Stop};
use super::server::Shared;
use super::visit::Arriving;

/// When a client is told to try again if nobody knows when the target will take requests.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

/// Passes a request through, and gives the target's answer as it comes.
pub(super) async fn pass(
    shared: &Shared,
    visit: Arriving,
    mount: &Mount,
    target: &TargetName,
) -> Result<Response, Stop> {
    origin::check_passed(&visit.head, &visit.peer, visit.front.public())
        .inspect_err(|_| shared.metrics.rejected(Rejected::Foreign))?;
    let limits = visit.front.pass_limits(target);
    let Arriving { caller, head, body, .. } = visit;
    let upload = Upload::new(body, shared.config.upload_idle_max.min(limits.response / 2));
    let stalled = upload.stalled();
    let claimant = shared.engine.claimant(&caller.access.tenant);
    let back_end = shared.engine.targets().get(target);
    let forwarded = back_end.forward(http::Request::from_parts(head, upload), &claimant, limits);
    // On the heap, because it is large and few requests are passed through.
    match Box::pin(forwarded).await {
        Ok(answer) => Ok(through(answer, target.clone())),
        Err(error) => failed(error, mount, &stalled, target),
    }
}

/// What would let a target's answer reach beyond its own page, in a browser that has the console open at the same address.
const BEYOND: [&str; 2] = ["service-worker-allowed", "clear-site-data"];

fn through(mut answer: http::Response<PassBody>, target: TargetName) -> Response {
    let headers = answer.headers_mut();
    for name in BEYOND {
        headers.remove(name);
    }
    // A page of a target runs no scripts and is of no origin. Beside a policy of the target's own, both hold.
    headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer.map(|body| {
        let log = move |error: fanfold_engine::target::PassBroke| {
            tracing::warn!(target.name = %target, %error, "an answer that is passed through broke off");
            BoxError::from(error)
        };
        body.map_err(log).boxed_unsync()
    })
}

fn failed(error: ForwardError, mount: &Mount, stalled: &Stalled, target: &TargetName) -> Result<Response, Stop> {
    let failure = match error {
        ForwardError::ClientGone if stalled.is_so() => return Err(Stop::TooSlow),
        ForwardError::ClientGone => {
            return Err(Refusal::Unparsable { detail: "the request body broke off".to_owned() }.into());
        }
        ForwardError::Unsupported | ForwardError::BadPath(_) => {
            return Err(Refusal::BadValue { detail: error.to_string() }.into());
        }
        ForwardError::NotNow { gate, retry_in } => {
            let retry_after = retry_in.unwrap_or(RETRY_AFTER);
            return Err(Refusal::Unavailable { detail: why_not_now(gate).to_owned(), retry_after }.into());
        }
        ForwardError::Unreachable(detail) => PassFailure::Unreachable { detail },
        ForwardError::BadGateway(detail) => PassFailure::Broken { detail },
        ForwardError::TimedOut(detail) => PassFailure::TimedOut { detail },
    };
    tracing::warn!(target.name = %target, error = %failure, "a request that was passed through was not answered");
    Ok(outcome::reply(mount.wire().pass_failed(&failure)))
}

fn why_not_now(gate: Gate) -> &'static str {
    match gate {
        Gate::Permit => "the target has as many requests as it may have",
        Gate::Breaker => "the target did not work lately, and is left alone for a while",
        Gate::Held => "the target is on hold",
        Gate::Missing => "the target is not configured",
    }
}
