//! What stands in the audit trail: what people and programs did to operations, targets and the server, and who was let in. That
//! an operation was accepted is not among it, because the operation's own history says it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was done, or asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Canceling an operation.
    Cancel,
    /// Retrying an operation.
    Retry,
    /// Answering what an operation asks a person.
    Resolve,
    /// Closing a note of an operation that has ended.
    Acknowledge,
    /// Extending an operation's deadline.
    Extend,
    /// Canceling all operations that a filter lets through.
    BulkCancel,
    /// Retrying all operations that a filter lets through.
    BulkRetry,
    /// Releasing operations that came from a backup.
    ReleaseRestored,
    /// Putting a target on hold.
    Hold,
    /// Releasing a target.
    Release,
    /// Having a dead letter sent again, or all of them.
    Replay,
    /// Accepting nothing any more.
    Drain,
    /// Accepting again.
    Resume,
    /// Creating a token.
    TokenCreate,
    /// Revoking a token.
    TokenRevoke,
    /// Being let in to begin a session.
    SignIn,
    /// Ending a session.
    SignOut,
    /// Being refused for wrong credentials, or those that count no more.
    SignInRefused,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Cancel,
        Self::Retry,
        Self::Resolve,
        Self::Acknowledge,
        Self::Extend,
        Self::BulkCancel,
        Self::BulkRetry,
        Self::ReleaseRestored,
        Self::Hold,
        Self::Release,
        Self::Replay,
        Self::Drain,
        Self::Resume,
        Self::TokenCreate,
        Self::TokenRevoke,
        Self::SignIn,
        Self::SignOut,
        Self::SignInRefused,
    ];

    /// The word that stands for it everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Resolve => "resolve",
            Self::Acknowledge => "acknowledge",
            Self::Extend => "extend",
            Self::BulkCancel => "bulk_cancel",
            Self::BulkRetry => "bulk_retry",
            Self::ReleaseRestored => "release_restored",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Replay => "replay",
            Self::Drain => "drain",
            Self::Resume => "resume",
            Self::TokenCreate => "token_create",
            Self::TokenRevoke => "token_revoke",
            Self::SignIn => "sign_in",
            Self::SignOut => "sign_out",
            Self::SignInRefused => "sign_in_refused",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an action of the audit trail")]
pub struct BadAction;

impl FromStr for Action {
    type Err = BadAction;

    fn from_str(text: &str) -> Result<Self, BadAction> {
        Self::ALL.into_iter().find(|action| action.as_str() == text).ok_or(BadAction)
    }
}

/// What came of it, as far as the entry knows. Entries are never changed: what is written down before it is done stays
/// [`Outcome::Asked`], and another entry tells how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It was asked for, and was about to be done.
    Asked,
    /// It was done.
    Done,
    /// It was not done.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Done => "done",
            Self::Refused { .. } => "refused",
        }
    }

    /// Why it was not done.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Asked | Self::Done => None,
            Self::Refused { reason } => Some(reason),
        }
    }

    /// Reads back what [`Outcome::as_str`] and [`Outcome::reason`] gave; `None` if they do not fit each other.
    pub fn of(word: &str, reason: Option<String>) -> Option<Self> {
        match (word, reason) {
            ("asked", None) => Some(Self::Asked),
            ("done", None) => Some(Self::Done),
            ("refused", Some(reason)) => Some(Self::Refused { reason }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_known_by_their_words() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
            assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
        }
        for bad in ["", "submit", "Cancel"] {
            assert_eq!(bad.parse::<Action>(), Err(BadAction), "{bad}");
        }
    }

    #[test]
    fn an_outcome_is_read_back() {
        let refused = Outcome::Refused { reason: "it has ended".to_owned() };
        for outcome in [Outcome::Asked, Outcome::Done, refused] {
            let reason = outcome.reason().map(str::to_owned);
            assert_eq!(Outcome::of(outcome.as_str(), reason), Some(outcome.clone()));
            assert_eq!(serde_json::to_value(&outcome).unwrap()["outcome"], outcome.as_str());
        }
        assert_eq!(Outcome::of("refused", None), None);
        assert_eq!(Outcome::of("done", Some("why".to_owned())), None);
        assert_eq!(Outcome::of("lost", None), None);
    }
}
