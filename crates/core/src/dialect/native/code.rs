//! The error codes of the native API: words that never change once published.

use http::StatusCode;

/// An error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// No credentials, or bad ones.
    Unauthenticated,
    /// Unknown route, operation or target; also what the caller may not see.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// Unparsable.
    Unparsable,
    /// Not one of the possible values.
    BadValue,
    /// Too large, too many.
    OutOfRange,
    /// The body is too large.
    BodyTooLarge,
    /// The head is too large.
    HeadTooLarge,
    /// The idempotency key was used for another request.
    KeyReused,
    /// Locked by another operation.
    Locked,
    /// Not possible in the present state.
    NotPossible,
    /// Not accepting requests now.
    Unavailable,
    /// Too many requests.
    TooManyRequests,
    /// The store cannot be reached.
    StoreUnreachable,
    /// The store fails.
    StoreFailing,
    /// A mistake in the program.
    Internal,
    /// The target of a pass-through request cannot be reached, or broke off.
    TargetUnreachable,
    /// The target of a pass-through request did not answer in time.
    TargetTimedOut,
    /// The operation failed.
    OperationFailed,
    /// The operation was canceled.
    OperationCanceled,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Unauthenticated,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Unparsable,
        Self::BadValue,
        Self::OutOfRange,
        Self::BodyTooLarge,
        Self::HeadTooLarge,
        Self::KeyReused,
        Self::Locked,
        Self::NotPossible,
        Self::Unavailable,
        Self::TooManyRequests,
        Self::StoreUnreachable,
        Self::StoreFailing,
        Self::Internal,
        Self::TargetUnreachable,
        Self::TargetTimedOut,
        Self::OperationFailed,
        Self::OperationCanceled,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// The title of the problem: the same for every occurrence.
    pub fn title(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (&'static str, StatusCode, &'static str) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        const CONFLICT: StatusCode = StatusCode::CONFLICT;
        const ERROR: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
        match self {
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED, "Authentication is needed"),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::MethodNotAllowed => {
                ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed here")
            }
            Self::Unparsable => ("unparsable", BAD, "The request cannot be parsed"),
            Self::BadValue => ("bad_value", BAD, "A value is not possible"),
            Self::OutOfRange => ("out_of_range", BAD, "A value is out of range"),
            Self::BodyTooLarge => ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::HeadTooLarge => {
                ("head_too_large", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The head is too large")
            }
            Self::KeyReused => {
                ("key_reused", StatusCode::UNPROCESSABLE_ENTITY, "The idempotency key was used for another request")
            }
            Self::Locked => ("locked", CONFLICT, "Locked by another operation"),
            Self::NotPossible => ("not_possible", CONFLICT, "Not possible in the present state"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Not accepting requests now"),
            Self::TooManyRequests => ("too_many_requests", StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Self::StoreUnreachable => {
                ("store_unreachable", StatusCode::SERVICE_UNAVAILABLE, "The store cannot be reached")
            }
            Self::StoreFailing => ("store_failing", ERROR, "The store fails"),
            Self::Internal => ("internal", ERROR, "Unexpected error"),
            Self::TargetUnreachable => ("target_unreachable", StatusCode::BAD_GATEWAY, "The target did not answer"),
            Self::TargetTimedOut => {
                ("target_timed_out", StatusCode::GATEWAY_TIMEOUT, "The target did not answer in time")
            }
            Self::OperationFailed => ("operation_failed", ERROR, "The operation failed"),
            Self::OperationCanceled => ("operation_canceled", ERROR, "The operation was canceled"),
        }
    }
}
