//! What requests and polls wait for at a target.

use serde::{Deserialize, Serialize};

/// What stands between a due request and its sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// A permit: the target has as many requests in flight as it may have.
    #[default]
    Permit,
    /// The target's breaker is open.
    Breaker,
    /// The target is on hold.
    Held,
    /// The target is no longer configured.
    Missing,
}

/// Why nothing of any kind is sent to a target until a person does something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// The target is on hold.
    Held,
    /// The target is no longer configured.
    Missing,
}

impl Gate {
    /// Whether it is one that opens as requests end.
    pub(super) fn is_permit(&self) -> bool {
        *self == Self::Permit
    }

    /// Why a person is waited for, where one is.
    pub fn closed(self) -> Option<Closed> {
        match self {
            Self::Permit | Self::Breaker => None,
            Self::Held => Some(Closed::Held),
            Self::Missing => Some(Closed::Missing),
        }
    }
}

impl From<Closed> for Gate {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Held => Self::Held,
            Closed::Missing => Self::Missing,
        }
    }
}
