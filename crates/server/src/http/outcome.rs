//! What becomes of a request: a response, or why there is none of the usual kind. The one place where replies, recorded
//! answers and errors turn into HTTP responses, and where errors of the engine and the store turn into refusals.

use std::time::Duration;

use bytes::Bytes;
use fanfold_core::dialect::{Dialect, Refusal, Reply};
use fanfold_core::{Headers, OperationId};
use fanfold_engine::target::is_hop_by_hop;
use fanfold_store::Error as StoreError;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{HeaderMap, HeaderName, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

/// When a client is told to try again whose operation is being changed too quickly.
const RETRY_BUSY: Duration = Duration::from_secs(1);

/// When a client is told to try again that meets a server which is about to stop.
const RETRY_STOPPING: Duration = Duration::from_secs(5);

/// Any error of a body.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response.
pub(super) type Response = http::Response<UnsyncBoxBody<Bytes, BoxError>>;

/// Why a request is not answered as it asks.
#[derive(Debug)]
pub(super) enum Stop {
    /// It is refused, in the words of a dialect.
    Refused(Refusal),
    /// The client was too slow to be waited for. No dialect has words for it: it is the bare status 408.
    TooSlow,
}

impl Stop {
    pub(super) fn not_found(what: &str) -> Self {
        Refusal::NotFound { detail: format!("there is no such {what}") }.into()
    }

    /// The response in this dialect.
    pub(super) fn response(&self, dialect: &dyn Dialect) -> Response {
        match self {
            Self::Refused(refusal @ Refusal::BodyTooLarge { .. }) => closing(reply(dialect.refuse(refusal))),
            Self::Refused(refusal) => reply(dialect.refuse(refusal)),
            Self::TooSlow => closing(bare(StatusCode::REQUEST_TIMEOUT)),
        }
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Refused(of_store(&error))
    }
}

impl From<fanfold_engine::Error> for Stop {
    fn from(error: fanfold_engine::Error) -> Self {
        Self::Refused(of_engine(&error))
    }
}

fn of_engine(error: &fanfold_engine::Error) -> Refusal {
    use fanfold_engine::Error as EngineError;
    match error {
        EngineError::NotFound => Refusal::NotFound { detail: "there is no such operation".to_owned() },
        EngineError::NotPossible(illegal) => Refusal::NotPossible { detail: illegal.to_string() },
        EngineError::NotAsked(detail) => Refusal::NotPossible { detail: detail.clone() },
        EngineError::Busy => Refusal::Unavailable { detail: error.to_string(), retry_after: RETRY_BUSY },
        EngineError::Stopping => Refusal::Unavailable { detail: error.to_string(), retry_after: RETRY_STOPPING },
        EngineError::Store(error) => of_store(error),
    }
}

/// Paths and details of the store are for the log only.
fn of_store(error: &StoreError) -> Refusal {
    tracing::error!(%error, "the store did not do what a request asked for");
    let hint = if error.may_have_committed() { "; it may have recorded the request all the same" } else { "" };
    match error {
        StoreError::Unavailable { .. } | StoreError::Locked { .. } | StoreError::Fenced => {
            Refusal::StoreUnreachable { detail: format!("the store is not available at the moment{hint}") }
        }
        StoreError::Conflict
        | StoreError::NotFound { .. }
        | StoreError::Invalid { .. }
        | StoreError::Full { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Unusable { .. }
        | StoreError::NewerSchema { .. }
        | StoreError::ChangedMigration { .. }
        | StoreError::Key { .. } => Refusal::StoreFailing { detail: format!("the store fails{hint}") },
    }
}

/// The last response on its connection: the rest of the request may still come, and is not read.
pub(super) fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A response without fields and body.
pub(super) fn bare(status: StatusCode) -> Response {
    let mut response = http::Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// What a dialect says.
pub(super) fn reply(reply: Reply) -> Response {
    response(reply.status, &reply.headers, reply.body)
}

/// A final response as it was recorded.
pub(super) fn recorded(id: OperationId, status: u16, headers: &Headers, body: Bytes) -> Result<Response, Stop> {
    match StatusCode::from_u16(status) {
        Ok(status) if !status.is_informational() => Ok(response(status, headers, body)),
        Ok(_) | Err(_) => {
            tracing::error!(operation.id = %id, status, "the final response of the operation has a status that no response can have");
            Err(Refusal::Internal.into())
        }
    }
}

fn response(status: StatusCode, headers: &Headers, body: Bytes) -> Response {
    let mut response = bare(status);
    *response.headers_mut() = wire(headers);
    *response.body_mut() = whole(body);
    response
}

/// A whole body.
pub(super) fn whole(body: Bytes) -> UnsyncBoxBody<Bytes, BoxError> {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// Fields as they are sent, in their order. Those that describe the connection or the length of the body are the server's own.
fn wire(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes())) {
            (Ok(name), Ok(_)) if is_hop_by_hop(&name) || name == CONTENT_LENGTH => {}
            (Ok(name), Ok(value)) => {
                map.append(name, value);
            }
            _ => tracing::error!(http.field = name, "a field of a response cannot be sent, and was left out"),
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_connection_are_never_a_dialects_own() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![
            field("content-length", "7"),
            field("connection", "keep-alive"),
            field("transfer-encoding", "chunked"),
            field("etag", "\"1\""),
            field("set-cookie", "a"),
            field("set-cookie", "b"),
            field("x-bad", "a\nb"),
        ];
        let sent = wire(&headers);
        let names: Vec<_> = sent.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(names, [("etag", "\"1\""), ("set-cookie", "a"), ("set-cookie", "b")]);
    }

    #[test]
    fn paths_of_the_store_are_told_to_nobody() {
        let error = StoreError::ReadOnly { path: "/secret/place.db".into() };
        assert!(!of_store(&error).to_string().contains("secret"));
        let error = StoreError::Unavailable { detail: "/secret/place.db".to_owned(), may_have_committed: true };
        assert!(!of_store(&error).to_string().contains("secret"));
        assert!(of_store(&error).to_string().contains("may have recorded"));
    }
}
