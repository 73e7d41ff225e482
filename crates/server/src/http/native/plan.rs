//! A dry run of a request: what would become of it. It goes the way of any request, as far as that can be gone without recording
//! or sending anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fanfold_core::dialect::native::{AnswerForm, PlanForm, PlanOutcome, PlanRequest, PlannedPass};
use fanfold_core::dialect::{Mount, OwnRequest, Refusal};
use fanfold_core::plan::Redaction;
use fanfold_core::route::{Handling, Incoming, OperationRoute, Route};
use fanfold_core::{Headers, TargetName};
use fanfold_engine::AcceptRequest;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};

use super::query::Query;
use super::{json, read};
use crate::http::auth::Caller;
use crate::http::auth::rules::{self, Needs};
use crate::http::door::{Door, System};
use crate::http::outcome::{Response, Stop};
use crate::http::server::{Server, Shared};
use crate::http::visit::Visit;
use crate::http::{Front, head};

impl Server {
    /// What would become of this request, sent from this machine; nothing is recorded or sent.
    ///
    /// # Errors
    /// If what is asked about is no request.
    pub async fn plan(&self, asked: &PlanRequest) -> Result<PlanForm, Refusal> {
        let shared = self.shared();
        dry_run(shared, &shared.front(), &Caller::the_program(), asked).await.map_err(|stop| match stop {
            Stop::Refused(refusal) => refusal,
            // There is no client to wait for.
            Stop::TooSlow => Refusal::Internal,
        })
    }
}

/// `POST /plan`
pub(super) async fn plan(shared: &Shared, visit: Visit) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let asked: PlanRequest = read(visit.body)?;
    Ok(json(&dry_run(shared, &visit.front, &visit.caller, &asked).await?))
}

/// What would become of this request of this caller.
///
/// # Errors
/// If what is asked about is no request. That the request would be refused is no error.
pub(in crate::http) async fn dry_run(
    shared: &Shared,
    front: &Front,
    caller: &Caller,
    asked: &PlanRequest,
) -> Result<PlanForm, Stop> {
    check_answers(asked)?;
    let (head, body) = parts(asked)?;
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().map(str::to_owned));
    let (door, mount) = Door::find(front, &head.method, &path, query.as_deref());
    if let Err(refusal) = head::check(&head, &shared.config) {
        return Ok(refused(&mount, None, &refusal));
    }
    if let Err(refusal) = rules::check(Needs::Known, &door, caller) {
        return Ok(refused(&mount, None, &refusal));
    }
    Ok(match door {
        Door::System(page) => answered_here(&mount, page_words(page)),
        Door::Native => answered_here(&mount, "the native API answers it"),
        Door::Console => answered_here(&mount, "the console answers it"),
        Door::Own(own) => answered_here(&mount, own_words(&own)),
        Door::Closed(refusal) => refused(&mount, None, &refusal),
        Door::Route { route, captures } => match &route.handling {
            Handling::Pass(target) => passed(shared, &mount, &route, target, &head),
            Handling::Operation(operation) => {
                let incoming = incoming(shared, &head, (path, query), body, captures);
                let found = Found { front, mount: &mount, route: &route, operation };
                match incoming {
                    Ok(incoming) => found.accepted(shared, caller, incoming, asked).await,
                    Err(refusal) => refused(&mount, Some(&route), &refusal),
                }
            }
        },
    })
}

/// The request that is asked about.
fn parts(asked: &PlanRequest) -> Result<(Parts, Bytes), Refusal> {
    let bad = |detail: String| Refusal::BadValue { detail };
    let method: Method = asked.method.parse().map_err(|_| bad("`method` is not one".to_owned()))?;
    if !asked.uri.starts_with('/') || asked.uri.contains('#') {
        let what = "`uri` is a path, with its query where it has one, begins with a slash, and has no fragment";
        return Err(bad(what.to_owned()));
    }
    let mut request = http::Request::builder().method(method).uri(&asked.uri);
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let request = request.body(()).map_err(|error| bad(format!("what is asked about is no request: {error}")))?;
    let body = match &asked.body {
        None => Bytes::new(),
        Some(content) => content.octets().ok_or_else(|| bad(format!("`body` {A_BODY}")))?,
    };
    Ok((request.into_parts().0, body))
}

const A_BODY: &str = "is text, or `{\"base64\": \"...\"}`";

fn check_answers(asked: &PlanRequest) -> Result<(), Refusal> {
    for (target, answer) in &asked.answers {
        if !(200..=599).contains(&answer.status) {
            let detail = format!("the sample answer of {target} has a status that is not from 200 to 599");
            return Err(Refusal::OutOfRange { detail });
        }
        let is_field = |name: &str, value: &str| {
            HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok()
        };
        if !answer.headers.iter().all(|(name, value)| is_field(name, value)) {
            return Err(Refusal::BadValue {
                detail: format!("the sample answer of {target} has a field that is none"),
            });
        }
        if answer.body.as_ref().is_some_and(|body| body.octets().is_none()) {
            return Err(Refusal::BadValue { detail: format!("the body of the sample answer of {target} {A_BODY}") });
        }
    }
    Ok(())
}

fn incoming(
    shared: &Shared,
    head: &Parts,
    (path, query): (String, Option<String>),
    body: Bytes,
    captures: BTreeMap<String, String>,
) -> Result<Incoming, Refusal> {
    let headers: Headers = head::fields(&head.headers)?;
    let max = shared.config.body_bytes_max;
    if body.len() as u64 > max {
        return Err(Refusal::BodyTooLarge { max });
    }
    Ok(Incoming { method: head.method.clone(), path, query, target_query: None, headers, body, captures })
}

/// A route that accepts operations.
struct Found<'a> {
    front: &'a Front,
    mount: &'a Arc<Mount>,
    route: &'a Arc<Route>,
    operation: &'a OperationRoute,
}

impl Found<'_> {
    async fn accepted(&self, shared: &Shared, caller: &Caller, incoming: Incoming, asked: &PlanRequest) -> PlanForm {
        let request = AcceptRequest {
            access: &caller.access,
            mount: self.mount,
            route: self.operation,
            callback: self.front.callback(&self.route.name),
            incoming,
            by: &caller.name,
        };
        match Box::pin(shared.engine.dry_run(request, &asked.answers)).await {
            Ok(run) => PlanForm {
                route: Some(self.route.name.clone()),
                answer: Some(AnswerForm::of_reply(&self.mount.wire().accepted(self.mount, &run.operation))),
                operation: Some(run.form),
                ..form(self.mount, PlanOutcome::Accepted, "it becomes an operation")
            },
            Err(refusal) => refused(self.mount, Some(self.route), &refusal),
        }
    }
}

fn passed(shared: &Shared, mount: &Mount, route: &Route, target: &TargetName, head: &Parts) -> PlanForm {
    let address = shared.engine.targets().get(target).url();
    let sent = Redaction::standard().address(head.uri.path_and_query().map_or("/", |sent| sent.as_str()));
    let url = address.map(|at| format!("{}://{}{}{sent}", at.scheme(), at.authority(), at.prefix()));
    PlanForm {
        route: Some(route.name.clone()),
        pass: Some(PlannedPass { target: target.clone(), url }),
        ..form(mount, PlanOutcome::PassedThrough, "it is passed through, and nothing of it is recorded")
    }
}

fn refused(mount: &Mount, route: Option<&Arc<Route>>, refusal: &Refusal) -> PlanForm {
    PlanForm {
        route: route.map(|route| route.name.clone()),
        answer: Some(AnswerForm::of_reply(&mount.wire().refuse(refusal))),
        refusal: Some(refusal.as_str().to_owned()),
        ..form(mount, PlanOutcome::Refused, &refusal.to_string())
    }
}

fn answered_here(mount: &Mount, words: &str) -> PlanForm {
    form(mount, PlanOutcome::OwnPath, words)
}

fn form(mount: &Mount, outcome: PlanOutcome, detail: &str) -> PlanForm {
    PlanForm {
        outcome,
        detail: detail.to_owned(),
        dialect: mount.dialect,
        mount: mount.prefix.clone(),
        route: None,
        answer: None,
        refusal: None,
        pass: None,
        operation: None,
    }
}

fn page_words(page: System) -> &'static str {
    match page {
        System::Health | System::Readiness | System::Metrics => "a page for monitoring answers it",
        System::Document => "the document of the API answers it",
    }
}

fn own_words(own: &OwnRequest) -> &'static str {
    match own {
        OwnRequest::List { .. } => "its mount answers it: a list of operations",
        OwnRequest::Detail { .. } => "its mount answers it: one operation",
        OwnRequest::Notified { .. } => "its mount answers it: a notification of a lower controller",
    }
}
