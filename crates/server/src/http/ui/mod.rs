//! The console below `/ui`: pages for people, made of what the native API shows, and of nothing else.
//!
//! Every page is whole without a script: links and forms do everything. A script of htmx's keeps pages up to date: they hang on
//! a stream that tells them that something has changed, ask for themselves again, and take over what differs.
//! Nothing is loaded from another host, and the policy of each page forbids it.

mod act;
mod assets;
mod attention;
mod bulk;
mod chart;
mod confirm;
mod curl;
pub(super) mod form;
mod live;
mod message;
mod notices;
mod now;
mod operation;
mod operations;
mod page;
mod plan;
mod questions;
mod routes;
mod shell;
mod sign_in;
mod targets;
mod timeline;
mod words;

use fanfold_core::dialect::Refusal;
use fanfold_core::{OperationId, Role};
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::auth::rules::Needs;
use super::door::CONSOLE;
use super::outcome::{Response, Stop};
use super::server::Shared;
use super::visit::Visit;
use act::Act;
use bulk::Bulk;
pub(super) use sign_in::shut_out;

/// What a path of the console is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked<'a> {
    Now,
    Operations,
    Operation(&'a str),
    Targets,
    Routes,
    Notices,
    Attention,
    /// A file that pages need.
    Asset(&'a str),
    /// Tells that something has changed.
    Live(Option<&'a str>),
    /// Asks first with `GET`, and does it with `POST`.
    Act(Act<'a>),
    /// The same with all operations that the query chooses.
    Bulk(Bulk),
    /// Shows what would become of a request.
    Plan,
    /// Begins a session.
    SignIn,
    /// Ends it.
    SignOut,
}

/// Answers a request to the console. What goes wrong is told on a page.
pub(super) async fn serve(shared: &Shared, visit: Visit) -> Response {
    let front = std::sync::Arc::clone(&visit.front);
    let caller = visit.caller.clone();
    match answer(shared, visit).await {
        Ok(response) => response,
        Err(stop) => {
            shared.metrics.stopped(&stop);
            page::trouble(shared, &front, &caller, &stop).await
        }
    }
}

async fn answer(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    let segments = Segments::of(visit.path());
    let asked = segments.asked().ok_or_else(no_such_page)?;
    let allow = asked.methods();
    if !allow.contains(&visit.head.method) {
        return Err(Refusal::MethodNotAllowed { allow: allow.to_vec() }.into());
    }
    let does = visit.head.method == Method::POST;
    match asked {
        Asked::Now => now::show(shared, &visit).await,
        Asked::Operations => operations::list(shared, &visit).await,
        Asked::Operation(id) => Box::pin(operation::show(shared, &visit, operation_id(id)?)).await,
        Asked::Targets => targets::list(shared, &visit).await,
        Asked::Routes => routes::list(shared, &visit).await,
        Asked::Notices => notices::list(shared, &visit).await,
        Asked::Attention => attention::list(shared, &visit).await,
        Asked::Asset(name) => assets::serve(name),
        Asked::Live(id) => live::stream(shared, &visit, id.map(operation_id).transpose()?).await,
        Asked::SignIn if does => Box::pin(sign_in::sign_in(shared, visit)).await,
        Asked::SignIn => sign_in::ask(shared, &visit).await,
        Asked::SignOut => sign_in::sign_out(shared, &visit).await,
        Asked::Plan if does => Box::pin(plan::answer(shared, visit)).await,
        Asked::Plan => plan::ask(shared, &visit).await,
        Asked::Bulk(bulk) if does => Box::pin(bulk::perform(shared, visit, bulk)).await,
        Asked::Bulk(bulk) => Box::pin(bulk::ask(shared, &visit, bulk)).await,
        Asked::Act(act) if does => {
            let caller = visit.caller.clone();
            shared.audited(&caller, act.audited(), Box::pin(act::perform(shared, visit, act))).await
        }
        Asked::Act(act) => Box::pin(act::ask(shared, &visit, act)).await,
    }
}

impl<'a> Asked<'a> {
    fn of(segments: &[&'a str]) -> Option<Self> {
        Some(match segments {
            [] | [""] => Self::Now,
            ["operations"] => Self::Operations,
            ["operations", "cancel"] => Self::Bulk(Bulk::Cancel),
            ["operations", "retry"] => Self::Bulk(Bulk::Retry),
            ["operations", id] => Self::Operation(id),
            ["targets"] => Self::Targets,
            ["routes"] => Self::Routes,
            ["routes", "plan"] => Self::Plan,
            ["notices"] => Self::Notices,
            ["attention"] => Self::Attention,
            ["assets", name] => Self::Asset(name),
            ["sign-in"] => Self::SignIn,
            ["sign-out"] => Self::SignOut,
            ["live"] => Self::Live(None),
            ["live", id] => Self::Live(Some(id)),
            other => Self::Act(Act::of(other)?),
        })
    }

    fn needs(self) -> Needs {
        match self {
            // The page on which somebody says who they are is made of them too.
            Self::Asset(_) | Self::SignIn => Needs::Nothing,
            Self::SignOut => Needs::Known,
            Self::Now
            | Self::Operations
            | Self::Operation(_)
            | Self::Targets
            | Self::Routes
            | Self::Notices
            | Self::Attention
            | Self::Live(_)
            | Self::Plan => Needs::Role(Role::Read),
            Self::Bulk(_) => Needs::Role(Role::Operate),
            Self::Act(act) => act.needs(),
        }
    }

    fn methods(self) -> &'static [Method] {
        match self {
            Self::Now
            | Self::Operations
            | Self::Operation(_)
            | Self::Targets
            | Self::Routes
            | Self::Notices
            | Self::Attention
            | Self::Asset(_)
            | Self::Live(_) => &[Method::GET, Method::HEAD],
            Self::Act(_) | Self::Bulk(_) | Self::Plan | Self::SignIn => &[Method::GET, Method::HEAD, Method::POST],
            Self::SignOut => &[Method::POST],
        }
    }
}

/// The decoded segments of a path below the console; `None` where it is not there, or one of them is not UTF-8.
struct Segments(Option<Vec<String>>);

impl Segments {
    fn of(path: &str) -> Self {
        let below = path.strip_prefix(CONSOLE).map(|below| below.strip_prefix('/').unwrap_or(below));
        let decoded = |raw: &str| percent_decode_str(raw).decode_utf8().ok().map(Into::into);
        Self(below.and_then(|below| below.split('/').map(decoded).collect()))
    }

    /// What the path is about, if there is such a page.
    fn asked(&self) -> Option<Asked<'_>> {
        Asked::of(&self.0.as_ref()?.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// What is said of a page that is none, and of one that is not for whoever asks.
pub(super) fn no_such_page() -> Refusal {
    Refusal::NotFound { detail: "the console has no such page, or it is not for you".to_owned() }
}

/// What a request for this page needs.
pub(super) fn needs(path: &str) -> Needs {
    Segments::of(path).asked().map_or(Needs::Known, Asked::needs)
}

fn operation_id(text: &str) -> Result<OperationId, Stop> {
    text.parse().map_err(|_| Stop::not_found("operation"))
}

/// The status of a page that is as it should be.
const OK: StatusCode = StatusCode::OK;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_is_asked_for_first() {
        for path in [
            &["operations", "cancel"][..],
            &["operations", "x", "cancel"],
            &["operations", "x", "retry"],
            &["operations", "x", "extend"],
            &["operations", "x", "release"],
            &["targets", "tokyo", "hold"],
            &["targets", "tokyo", "release"],
            &["attention", "1", "applied"],
            &["attention", "1", "acknowledge"],
            &["notices", "x", "replay"],
            &["notices", "replay"],
            &["drain"],
            &["resume"],
        ] {
            let methods = Asked::of(path).unwrap_or_else(|| panic!("{path:?} is a page")).methods();
            assert!(methods.contains(&Method::GET) && methods.contains(&Method::POST), "{path:?}");
        }
        assert_eq!(Asked::of(&["nothing"]), None);
        assert_eq!(Asked::of(&["attention", "1", "forget"]), None);
        assert_eq!(Asked::of(&[""]), Some(Asked::Now));
    }
}
