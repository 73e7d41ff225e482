//! The words that a route may choose from, and what each is in a plan.

use fanfold_core::plan;
use schemars::JsonSchema;
use serde::Deserialize;

/// The wire formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dialect {
    /// Fanfold's own API.
    Native,
    /// Multi-Service Fabric controllers.
    Msf,
    /// The PLAS connector.
    Plas,
}

impl From<Dialect> for plan::DialectName {
    fn from(value: Dialect) -> Self {
        match value {
            Dialect::Native => Self::Native,
            Dialect::Msf => Self::Msf,
            Dialect::Plas => Self::Plas,
        }
    }
}

/// What kind of change an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verb {
    /// Something comes into being.
    Create,
    /// Something is changed.
    Update,
    /// Something is removed.
    Delete,
    /// Something is done.
    Action,
}

impl From<Verb> for plan::Verb {
    fn from(value: Verb) -> Self {
        match value {
            Verb::Create => Self::Create,
            Verb::Update => Self::Update,
            Verb::Delete => Self::Delete,
            Verb::Action => Self::Action,
        }
    }
}

/// What happens to a request whose lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnLocked {
    /// It is refused.
    Reject,
    /// It is accepted and waits its turn.
    Queue,
}

impl From<OnLocked> for plan::OnLocked {
    fn from(value: OnLocked) -> Self {
        match value {
            OnLocked::Reject => Self::Reject,
            OnLocked::Queue => Self::Queue,
        }
    }
}

/// In which order targets are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// All at once.
    Parallel,
    /// Each after the one before it has succeeded.
    Sequence,
}

impl From<Order> for plan::Order {
    fn from(value: Order) -> Self {
        match value {
            Order::Parallel => Self::Parallel,
            Order::Sequence => Self::Sequence,
        }
    }
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    /// What succeeded is undone.
    Rollback,
    /// The operation stays open until a person chooses.
    Hold,
}

impl From<OnFailure> for plan::OnFailure {
    fn from(value: OnFailure) -> Self {
        match value {
            OnFailure::Rollback => Self::Rollback,
            OnFailure::Hold => Self::Hold,
        }
    }
}

/// What follows an outcome that cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnUnknown {
    /// That target is left alone; the others are undone.
    Fail,
    /// That target is undone like those that succeeded.
    Undo,
    /// The operation stays open until a person says what happened.
    Hold,
}

impl From<OnUnknown> for plan::OnUnknown {
    fn from(value: OnUnknown) -> Self {
        match value {
            OnUnknown::Fail => Self::Fail,
            OnUnknown::Undo => Self::Undo,
            OnUnknown::Hold => Self::Hold,
        }
    }
}

/// What follows an undo that failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnUndoFailure {
    /// A person is asked for.
    Attention,
    /// A person is asked for, and the target is put on hold.
    Hold,
}

impl From<OnUndoFailure> for plan::OnUndoFailure {
    fn from(value: OnUndoFailure) -> Self {
        match value {
            OnUndoFailure::Attention => Self::Attention,
            OnUndoFailure::Hold => Self::Hold,
        }
    }
}
