//! The `plas` dialect: connectors, each with the operations that change it.
//!
//! It has no list and no notices. An operation is found only below the connector that it belongs to.

mod code;
mod detail;

pub use code::Code;
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::accept::attribute;
use super::completed::completed;
use super::own::{operation_id, segments};
use super::{Acceptance, Accepting, Dialect, Head, Mount, OwnRequest, PassFailure, Refusal, Reply, View};
use crate::operation::{End, Status};
use crate::plan::Verb;
use crate::{Answer, Operation};

/// The capture of a route, and the attribute, that holds the connector's id.
const CONNECTOR: &str = "connector_id";

/// The longest id of a connector or an operation, in characters.
const ID_CHARACTERS_MAX: usize = 36;

/// What may stand in a segment of a path as it is (the unreserved characters of RFC 3986, section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The dialect.
#[derive(Debug)]
pub struct Plas;

/// The error body.
#[derive(Serialize)]
struct Error {
    error_code: &'static str,
    error_msg: String,
}

impl Dialect for Plas {
    fn own(&self, head: Head<'_>) -> Option<Result<OwnRequest, Refusal>> {
        let segments = segments(head.path)?;
        match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["connectors", connector, "operations", operation] => Some(one(head.method, connector, operation)),
            _ => None,
        }
    }

    fn allows(&self, verb: Verb) -> bool {
        match verb {
            Verb::Create | Verb::Update | Verb::Delete => true,
            Verb::Action => false,
        }
    }

    fn accept(&self, request: &Accepting<'_>) -> Result<Acceptance, Refusal> {
        let query = request.query.map(str::to_owned);
        // Without a connector in the path there is none yet: the request creates it, and its id is issued here.
        let Some(connector) = request.captures.get(CONNECTOR) else {
            return Ok(Acceptance { query, issues_resource_id: true, ..Acceptance::default() });
        };
        check_id(CONNECTOR, connector)?;
        let attributes = [(CONNECTOR.to_owned(), connector.clone())].into();
        Ok(Acceptance { attributes, query, ..Acceptance::default() })
    }

    fn accepted(&self, mount: &Mount, operation: &Operation) -> Reply {
        let connector = utf8_percent_encode(self.owner(operation).unwrap_or_default(), SEGMENT);
        let location = format!("{}/connectors/{connector}/operations/{}", mount.prefix, operation.id);
        uncached(Reply::json(StatusCode::ACCEPTED, &serde_json::json!({ "location": location })))
    }

    fn owner<'a>(&self, operation: &'a Operation) -> Option<&'a str> {
        attribute(operation, CONNECTOR).or(operation.plan.resource_id.as_deref())
    }

    fn detail(&self, mount: &Mount, view: View<'_>) -> Reply {
        uncached(Reply::json(StatusCode::OK, &detail::of(mount, view.operation)))
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        error(code(refusal), refusal.to_string()).with_fields(refusal.fields())
    }

    fn final_response(&self, view: View<'_>, end: &End) -> Answer {
        let code = match end.status {
            Status::Completed => return completed(view.operation),
            Status::Canceled => Code::OperationCanceled,
            Status::Failed | Status::Unexecuted | Status::Executing => Code::OperationFailed,
        };
        error(code, detail::reason(view.operation, end)).into()
    }

    fn pass_failed(&self, failure: &PassFailure) -> Reply {
        let code = match failure {
            PassFailure::Unreachable { .. } | PassFailure::Broken { .. } => Code::TargetUnreachable,
            PassFailure::TimedOut { .. } => Code::TargetTimedOut,
        };
        error(code, failure.to_string())
    }
}

fn one(method: &Method, connector: &str, operation: &str) -> Result<OwnRequest, Refusal> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Refusal::MethodNotAllowed { allow: vec![Method::GET, Method::HEAD] });
    }
    check_id(CONNECTOR, connector)?;
    check_id("operation_id", operation)?;
    Ok(OwnRequest::Detail { id: operation_id(operation)?, owner: Some(connector.to_owned()) })
}

fn check_id(name: &str, id: &str) -> Result<(), Refusal> {
    if (1..=ID_CHARACTERS_MAX).contains(&id.chars().count()) {
        return Ok(());
    }
    Err(Refusal::BadValue { detail: format!("`{name}` is not a string of 1 to {ID_CHARACTERS_MAX} characters") })
}

/// The row of the refusal table.
fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Unauthenticated => Code::Unauthenticated,
        Refusal::NotFound { .. } => Code::NotFound,
        Refusal::MethodNotAllowed { .. } => Code::MethodNotAllowed,
        Refusal::Unparsable { .. } | Refusal::BadValue { .. } | Refusal::OutOfRange { .. } => Code::BadRequest,
        Refusal::BodyTooLarge { .. } | Refusal::HeadTooLarge { .. } => Code::TooLarge,
        Refusal::KeyReused { .. } => Code::KeyReused,
        Refusal::Locked { .. } | Refusal::NotPossible { .. } => Code::Conflict,
        Refusal::Unavailable { .. } => Code::Unavailable,
        Refusal::TooManyRequests { .. } => Code::TooManyRequests,
        Refusal::StoreUnreachable { .. } | Refusal::StoreFailing { .. } | Refusal::Internal => Code::Store,
    }
}

fn error(code: Code, error_msg: String) -> Reply {
    Reply::json(code.status(), &Error { error_code: code.as_str(), error_msg })
}

fn uncached(reply: Reply) -> Reply {
    reply.with("cache-control", "no-cache")
}
