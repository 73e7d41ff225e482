//! The error codes of `plas`. The protocol fixes their form and two statuses; which code means what is ours.

use http::StatusCode;

/// An error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Unparsable, a bad value, or one out of range.
    BadRequest,
    /// No credentials, or bad ones.
    Unauthenticated,
    /// Unknown path, connector or operation.
    NotFound,
    /// The path exists, but not for this method.
    MethodNotAllowed,
    /// Locked by another operation, or not possible in the present state.
    Conflict,
    /// The body or the head is too large.
    TooLarge,
    /// The idempotency key was used for another request.
    KeyReused,
    /// Too many requests.
    TooManyRequests,
    /// The store cannot be reached, or fails.
    Store,
    /// The target of a pass-through request cannot be reached.
    TargetUnreachable,
    /// Not accepting requests now.
    Unavailable,
    /// The target of a pass-through request did not answer in time.
    TargetTimedOut,
    /// The operation failed.
    OperationFailed,
    /// The operation was canceled.
    OperationCanceled,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::TooLarge,
        Self::KeyReused,
        Self::TooManyRequests,
        Self::Store,
        Self::TargetUnreachable,
        Self::Unavailable,
        Self::TargetTimedOut,
        Self::OperationFailed,
        Self::OperationCanceled,
    ];

    /// The code as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    fn row(self) -> (&'static str, StatusCode) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        const ERROR: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
        match self {
            Self::BadRequest => ("PLAS.0400", BAD),
            Self::Unauthenticated => ("PLAS.0401", StatusCode::UNAUTHORIZED),
            Self::NotFound => ("PLAS.0404", BAD),
            Self::MethodNotAllowed => ("PLAS.0405", BAD),
            Self::Conflict => ("PLAS.0409", BAD),
            Self::TooLarge => ("PLAS.0413", BAD),
            Self::KeyReused => ("PLAS.0422", BAD),
            Self::TooManyRequests => ("PLAS.0429", StatusCode::TOO_MANY_REQUESTS),
            Self::Store => ("PLAS.0500", ERROR),
            Self::TargetUnreachable => ("PLAS.0502", ERROR),
            Self::Unavailable => ("PLAS.0503", ERROR),
            Self::TargetTimedOut => ("PLAS.0504", ERROR),
            Self::OperationFailed => ("PLAS.1001", ERROR),
            Self::OperationCanceled => ("PLAS.1002", ERROR),
        }
    }
}
