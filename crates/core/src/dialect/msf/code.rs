//! The error codes of `msf`.

use http::StatusCode;

/// An error code. Those that Fanfold itself never gives may stand in answers of lower controllers, and are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Not accepting requests now.
    SystemStatus,
    /// Canceled.
    Canceled,
    /// Unparsable.
    ParameterFormat,
    /// Not one of the possible values.
    ParameterValue,
    /// Too large, too many.
    ParameterRange,
    /// The store cannot be reached.
    DatabaseConnection,
    /// The store fails.
    DatabaseOperation,
    /// The resource is locked by another operation.
    ExclusiveControl,
    /// A transaction failed.
    DatabaseTransaction,
    /// Unknown operation, path or target.
    NotFound,
    /// The resource exists already.
    AlreadyExists,
    /// A related resource does not exist.
    RelatedNotFound,
    /// Not possible in the present state.
    TransitionStatus,
    /// A cluster cannot be reached; its data is consistent.
    ClusterConnection,
    /// A cluster failed, and is back in its old state.
    ClusterControl,
    /// A cluster did not answer in time, or what became of it is unknown for another reason.
    ClusterTimeout,
    /// At least one cluster of the operation failed.
    ClustersFailed,
    /// Anything else.
    Undefined,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::SystemStatus,
        Self::Canceled,
        Self::ParameterFormat,
        Self::ParameterValue,
        Self::ParameterRange,
        Self::DatabaseConnection,
        Self::DatabaseOperation,
        Self::ExclusiveControl,
        Self::DatabaseTransaction,
        Self::NotFound,
        Self::AlreadyExists,
        Self::RelatedNotFound,
        Self::TransitionStatus,
        Self::ClusterConnection,
        Self::ClusterControl,
        Self::ClusterTimeout,
        Self::ClustersFailed,
        Self::Undefined,
    ];

    /// The six digits.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The status that goes with it.
    pub fn status(self) -> StatusCode {
        self.row().1
    }

    /// The protocol's own message.
    pub fn message(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (&'static str, StatusCode, &'static str) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        const MISSING: StatusCode = StatusCode::NOT_FOUND;
        const CONFLICT: StatusCode = StatusCode::CONFLICT;
        const ERROR: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
        match self {
            Self::SystemStatus => ("000001", ERROR, "System status error."),
            Self::Canceled => ("000002", ERROR, "Operation canceled."),
            Self::ParameterFormat => ("010001", BAD, "Parameter format error."),
            Self::ParameterValue => ("010002", BAD, "Parameter value error."),
            Self::ParameterRange => ("010003", BAD, "Parameter value out of range."),
            Self::DatabaseConnection => ("020001", ERROR, "Database connection error."),
            Self::DatabaseOperation => ("020002", ERROR, "Database operation error."),
            Self::ExclusiveControl => ("020003", CONFLICT, "Exclusive control error."),
            Self::DatabaseTransaction => ("020004", ERROR, "Database transaction error."),
            Self::NotFound => ("030001", MISSING, "Target resource not found."),
            Self::AlreadyExists => ("030002", CONFLICT, "Target resource already exist."),
            Self::RelatedNotFound => ("030003", ERROR, "Related resource not found."),
            Self::TransitionStatus => ("030007", ERROR, "Transition status error."),
            Self::ClusterConnection => ("060001", ERROR, "FC connection error."),
            Self::ClusterControl => ("060002", ERROR, "FC control error."),
            Self::ClusterTimeout => ("060003", ERROR, "FC control timeout."),
            Self::ClustersFailed => ("300001", ERROR, "Cluster control error."),
            Self::Undefined => ("990001", ERROR, "Undefined error."),
        }
    }
}
