//! An operation at a target, and what polls tell of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::Trouble;

/// An operation at a target, which carries out a request of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lower {
    /// Its id or location, as the monitor needs it.
    pub reference: String,
    /// When it was accepted.
    pub since: Timestamp,
    /// How long it is followed.
    pub until: Timestamp,
    /// Whether it is to be, or was, asked to cancel.
    pub cancel: bool,
    /// Why polls tell nothing of it; `None` while they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclear: Option<Unclear>,
}

/// Polls of a lower operation tell nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unclear {
    /// Since when for this reason.
    pub since: Timestamp,
    /// The reason.
    #[serde(flatten)]
    pub trouble: Trouble,
}

impl Lower {
    /// One that was accepted at `since`, and is followed until `until`.
    pub(super) fn accepted(reference: String, since: Timestamp, until: Timestamp) -> Self {
        Self { reference, since, until, cancel: false, unclear: None }
    }

    /// What polls told in the end where they told nothing, as the end of a sentence about it.
    pub(super) fn last_heard(&self) -> String {
        let heard =
            |unclear: &Unclear| format!("; polls told nothing since {}: {}", unclear.since, unclear.trouble.detail);
        self.unclear.as_ref().map(heard).unwrap_or_default()
    }
}
