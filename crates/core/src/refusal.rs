//! Why a request is not accepted or not answered, before any dialect puts it into its own words.

use std::time::Duration;

use crate::{Headers, OperationId};

/// One row of the refusal table of the documents. `detail` is for the client and never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No credentials, or bad ones.
    #[error("authentication is needed")]
    Unauthenticated,
    /// Unknown route, operation or target; also what the caller may not see.
    #[error("{detail}")]
    NotFound {
        /// What was not found.
        detail: String,
    },
    /// The path exists, but not for this method.
    #[error("the method is not allowed here")]
    MethodNotAllowed {
        /// The methods that are.
        allow: Vec<http::Method>,
    },
    /// The request cannot be parsed.
    #[error("{detail}")]
    Unparsable {
        /// What is wrong, and where.
        detail: String,
    },
    /// A value is not one of those that are possible.
    #[error("{detail}")]
    BadValue {
        /// Which, and what is possible.
        detail: String,
    },
    /// A value is too large or too many.
    #[error("{detail}")]
    OutOfRange {
        /// Which, and the bound.
        detail: String,
    },
    /// The body is too large.
    #[error("the request body is larger than {max} bytes")]
    BodyTooLarge {
        /// The bound in octets.
        max: u64,
    },
    /// The head is too large.
    #[error("{detail}")]
    HeadTooLarge {
        /// Which part, and the bound.
        detail: String,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key{} was used for another request, which operation {first} was accepted for", giver(*.by_route))]
    KeyReused {
        /// The operation of that request.
        first: OperationId,
        /// Whether the route makes the key of the request (`dedupe`), so that the client has not given it.
        by_route: bool,
    },
    /// Another operation holds the lock.
    #[error("locked by {}{}", named(*.holder), crowd(*.waiting))]
    Locked {
        /// The key of the lock.
        key: String,
        /// Who holds it, where that is known.
        holder: Option<OperationId>,
        /// How many wait for it already, where it may be waited for, but no more may.
        waiting: Option<u64>,
    },
    /// Not possible in the present state.
    #[error("{detail}")]
    NotPossible {
        /// The state, and what would be possible.
        detail: String,
    },
    /// Starting, draining, overloaded.
    #[error("{detail}")]
    Unavailable {
        /// Which.
        detail: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many requests of this caller.
    #[error("{detail}")]
    TooManyRequests {
        /// Whose requests are counted, and how many there may be.
        detail: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The store cannot be reached.
    #[error("{detail}")]
    StoreUnreachable {
        /// What is known; says so if the request may have been accepted all the same.
        detail: String,
    },
    /// The store answers with errors: full, read-only, corrupt.
    #[error("{detail}")]
    StoreFailing {
        /// What is known.
        detail: String,
    },
    /// A mistake in the program. What became of the request is not known.
    #[error("an unexpected error; the log of the server tells more")]
    Internal,
}

fn giver(by_route: bool) -> &'static str {
    if by_route { " that the route makes of the request (`dedupe`)" } else { "" }
}

fn named(holder: Option<OperationId>) -> String {
    holder.map_or_else(|| "another operation".to_owned(), |holder| format!("operation {holder}"))
}

fn crowd(waiting: Option<u64>) -> String {
    waiting.map(|waiting| format!(", and {waiting} wait for it already, which is as many as may")).unwrap_or_default()
}

impl Refusal {
    /// There is no target of this id or name; also for one that the caller may not use.
    pub(crate) fn no_target(named: &str) -> Self {
        Self::NotFound { detail: format!("there is no target `{named}`") }
    }

    /// The word for it in metrics and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::NotFound { .. } => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Unparsable { .. } => "unparsable",
            Self::BadValue { .. } => "bad_value",
            Self::OutOfRange { .. } => "out_of_range",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::HeadTooLarge { .. } => "head_too_large",
            Self::KeyReused { .. } => "key_reused",
            Self::Locked { .. } => "locked",
            Self::NotPossible { .. } => "not_possible",
            Self::Unavailable { .. } => "unavailable",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::StoreUnreachable { .. } => "store_unreachable",
            Self::StoreFailing { .. } => "store_failing",
            Self::Internal => "internal",
        }
    }

    /// The operation that stands in the way, where it is another one.
    pub(super) fn blocked_by(&self) -> Option<OperationId> {
        match self {
            Self::KeyReused { first, .. } => Some(*first),
            Self::Locked { holder, .. } => *holder,
            Self::Unauthenticated
            | Self::NotFound { .. }
            | Self::MethodNotAllowed { .. }
            | Self::Unparsable { .. }
            | Self::BadValue { .. }
            | Self::OutOfRange { .. }
            | Self::BodyTooLarge { .. }
            | Self::HeadTooLarge { .. }
            | Self::NotPossible { .. }
            | Self::Unavailable { .. }
            | Self::TooManyRequests { .. }
            | Self::StoreUnreachable { .. }
            | Self::StoreFailing { .. }
            | Self::Internal => None,
        }
    }

    /// The fields that go with a refusal in every dialect: the challenge of a 401 (RFC 9110, section 11.6.1) and `Retry-After`.
    pub(super) fn fields(&self) -> Headers {
        match self {
            Self::Unauthenticated => vec![("www-authenticate".to_owned(), "Bearer".to_owned())],
            Self::Unavailable { retry_after, .. } | Self::TooManyRequests { retry_after, .. } => {
                vec![("retry-after".to_owned(), whole_seconds(*retry_after).to_string())]
            }
            Self::NotFound { .. }
            | Self::MethodNotAllowed { .. }
            | Self::Unparsable { .. }
            | Self::BadValue { .. }
            | Self::OutOfRange { .. }
            | Self::BodyTooLarge { .. }
            | Self::HeadTooLarge { .. }
            | Self::KeyReused { .. }
            | Self::Locked { .. }
            | Self::NotPossible { .. }
            | Self::StoreUnreachable { .. }
            | Self::StoreFailing { .. }
            | Self::Internal => Vec::new(),
        }
    }
}

/// At least one second, and never less than asked for.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}
