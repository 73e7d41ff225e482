//! What webhooks carry: an operation that has ended, as a CloudEvent 1.0 in structured JSON.
//!
//! It holds no message of a client or a target: who needs one follows the link. So a receiver gets to see nothing that would
//! have to be redacted, and an event stays small.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::detail::{CauseForm, Links, OperationSummary, RollbackForm};
use super::problem::OutcomeWord;
use super::target::TargetForm;
use super::{OPERATIONS, OperationDetail};
use crate::OperationId;
use crate::dialect::{Mount, View};
use crate::operation::{Consistency, End, Status};
use crate::plan::Verb;

/// The media type of a CloudEvent in structured JSON.
pub const CLOUD_EVENT_JSON: &str = "application/cloudevents+json";

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// The version of CloudEvents.
    pub specversion: String,
    /// Unique with `source`; the id of the notice, the same however often it is sent.
    pub id: String,
    /// Where it happened: the address of operations.
    pub source: String,
    /// What happened: `io.fanfold.operation.` and `completed`, `failed` or `canceled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The operation.
    pub subject: OperationId,
    /// When it ended.
    pub time: Timestamp,
    /// The media type of `data`.
    pub datacontenttype: String,
    /// What is to be told.
    pub data: EventData,
}

/// An operation that has ended, as events tell it: what its detail says, without messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventData {
    /// Its id.
    pub id: OperationId,
    /// The route that accepted it.
    pub route: String,
    /// What kind of change it is.
    pub verb: Verb,
    /// The path of the resource that was changed.
    pub resource: String,
    /// The id that was issued for the resource.
    pub resource_id: Option<String>,
    /// The operation that it retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<OperationId>,
    /// How it ended.
    pub status: Status,
    /// Why it was not completed; null where nothing went wrong.
    pub cause: Option<CauseForm>,
    /// What is known of the data of all targets together.
    pub consistency: Consistency,
    /// What became of the rollback; null where none was considered.
    pub rollback: Option<RollbackForm>,
    /// The status code of the final response.
    pub response_status: Option<u16>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it began to execute.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Its targets in configured order.
    pub targets: Vec<EventTarget>,
    /// Where to go from here.
    pub links: Links,
}

/// One target of an operation, as events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTarget {
    /// Its name in the configuration.
    pub name: String,
    /// Its id, as clients of other dialects see it.
    pub id: String,
    /// The outcome.
    pub outcome: Option<OutcomeWord>,
    /// What is known of its data, undo included.
    pub consistency: Option<Consistency>,
}

impl CloudEvent {
    /// The event of the end of an operation; `mount` is the native API's own.
    pub fn of_end(mount: &Mount, view: View<'_>, end: &End, id: &str) -> Self {
        let OperationDetail { summary, resource_id, retry_of, targets, rollback, response, .. } =
            OperationDetail::of(mount, view);
        let OperationSummary { id: operation, route, verb, resource, cause, accepted_at, started_at, links, .. } =
            summary;
        Self {
            specversion: "1.0".to_owned(),
            id: id.to_owned(),
            source: mount.link(OPERATIONS),
            kind: format!("io.fanfold.operation.{}", end.status),
            subject: operation,
            time: end.at,
            datacontenttype: "application/json".to_owned(),
            data: EventData {
                id: operation,
                route,
                verb,
                resource,
                resource_id,
                retry_of,
                status: end.status,
                cause,
                consistency: end.consistency,
                rollback,
                response_status: response.map(|response| response.status),
                accepted_at,
                started_at,
                ended_at: end.at,
                targets: targets.into_iter().map(EventTarget::of).collect(),
                links,
            },
        }
    }

    /// Its JSON text.
    pub fn to_json(&self) -> Vec<u8> {
        crate::dialect::reply::to_json(self)
    }
}

impl EventTarget {
    fn of(target: TargetForm) -> Self {
        let TargetForm { name, id, outcome, consistency, .. } = target;
        Self { name, id, outcome, consistency }
    }
}
