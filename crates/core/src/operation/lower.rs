//! An operation at a target, and what polls tell of it.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::Trouble;
use super::gate::Closed;

/// An operation at a target, which carries out a request of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lower {
    /// Its id or location, as the monitor needs it.
    pub reference: String,
    /// When it was accepted.
    pub since: Timestamp,
    /// How long it is followed.
    #[serde(flatten)]
    pub time: LowerTime,
    /// Whether it is to be, or was, asked to cancel.
    pub cancel: bool,
    /// Why polls tell nothing of it; `None` while they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclear: Option<Unclear>,
}

/// The time for which a lower operation is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LowerTime {
    /// It passes until then.
    Until(Timestamp),
    /// It stands still: the next poll waits for a person.
    Stopped {
        /// What it waits for.
        gate: Closed,
        /// What was left of it when that began.
        left: Duration,
    },
}

/// Polls of a lower operation tell nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
        Self { reference, since, time: LowerTime::Until(until), cancel: false, unclear: None }
    }

    /// What the next poll waits for, where that is a person, as far as it was recorded.
    pub fn closed(&self) -> Option<Closed> {
        match self.time {
            LowerTime::Until(_) => None,
            LowerTime::Stopped { gate, .. } => Some(gate),
        }
    }

    /// How long it is still followed, at the time `now`.
    pub fn left(&self, now: Timestamp) -> Duration {
        match self.time {
            LowerTime::Until(until) => Duration::try_from(until.duration_since(now)).unwrap_or_default(),
            LowerTime::Stopped { left, .. } => left,
        }
    }

    /// Whether its time is over at `now`.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        match self.time {
            LowerTime::Until(until) => until <= now,
            LowerTime::Stopped { .. } => false,
        }
    }

    /// What polls told in the end where they told nothing, as the end of a sentence about it.
    pub(super) fn last_heard(&self) -> String {
        let heard =
            |unclear: &Unclear| format!("; polls told nothing since {}: {}", unclear.since, unclear.trouble.detail);
        self.unclear.as_ref().map(heard).unwrap_or_default()
    }
}
