//! A dry run of a request: what would become of it, without anything being recorded or sent.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::content::{AnswerForm, Content, RequestForm};
use crate::dialect::Reply;
use crate::plan::{DialectName, Limits, Lock, Monitor, Order, Require, Verb};
use crate::{Headers, OperationId, TargetName};

/// The request that is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// The method.
    pub method: String,
    /// Path and query, as a client would send them.
    pub uri: String,
    /// Its header fields.
    #[serde(default)]
    pub headers: Headers,
    /// Its body: text, or `{"base64": "..."}`.
    #[serde(default)]
    pub body: Option<Content>,
    /// What targets are taken to answer, so that undos can be rendered in full.
    #[serde(default)]
    pub answers: BTreeMap<TargetName, SampleAnswer>,
}

/// What a target is taken to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleAnswer {
    /// The HTTP status code.
    #[serde(deserialize_with = "whole")]
    pub status: u16,
    /// Its header fields.
    #[serde(default)]
    pub headers: Headers,
    /// Its body.
    #[serde(default)]
    pub body: Option<Content>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanOutcome {
    /// It becomes an operation.
    Accepted,
    /// It is passed through to a target.
    PassedThrough,
    /// It is answered by Fanfold itself, and changes no target by that.
    OwnPath,
    /// It is refused.
    Refused,
}

/// What would become of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Plan")]
pub struct PlanForm {
    /// In one word.
    pub outcome: PlanOutcome,
    /// In words for people.
    pub detail: String,
    /// The wire format in which it is answered.
    pub dialect: DialectName,
    /// The prefix of the mount that it is answered through; empty for the native API.
    pub mount: String,
    /// The route that answers it; null where none does.
    pub route: Option<String>,
    /// What the client would be answered at once; null where only a target or the store knows.
    pub answer: Option<AnswerForm>,
    /// The word of the refusal; null for what is not refused.
    pub refusal: Option<String>,
    /// Where it is passed through to; null for anything else.
    pub pass: Option<PlannedPass>,
    /// What it would do; null for what becomes no operation.
    pub operation: Option<PlannedOperation>,
}

/// Where a request is passed through to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedPass {
    /// The target.
    pub target: TargetName,
    /// The address there; null where the target is not configured.
    pub url: Option<String>,
}

/// What an operation would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedOperation {
    /// What kind of change it is.
    pub verb: Verb,
    /// The path of the resource that is changed.
    pub resource: String,
    /// What the route's pattern captured.
    pub captures: BTreeMap<String, String>,
    /// Whether an id is issued for the resource. The one that is shown is a placeholder, as is that of the operation.
    pub issues_resource_id: bool,
    /// The lock that it holds from start to end; null where it needs none.
    pub lock: Option<Lock>,
    /// Its idempotency key; null where it has none.
    pub idempotency_key: Option<PlannedKey>,
    /// The operation that this very request was accepted as before: it would get that one again, and none of what stands here
    /// would be done.
    pub repeats: Option<OperationId>,
    /// The operation that it retries.
    pub retry_of: Option<OperationId>,
    /// When it would start; null: at once.
    pub start_at: Option<Timestamp>,
    /// In which order its steps start.
    pub order: Order,
    /// How many of them must succeed.
    pub require: Require,
    /// The rules that it is carried out by, each in a sentence.
    pub rules: Vec<String>,
    /// How long forward work may take from its start.
    pub deadline_ms: u64,
    /// How long the record is kept after the end.
    pub retention_ms: u64,
    /// Who is told of its end.
    pub told: Vec<PlannedNotice>,
    /// The accepted request in its public form.
    pub request: RequestForm,
    /// What is done at each target, in configured order.
    pub targets: Vec<PlannedTarget>,
    /// What else is to be known about this dry run.
    pub notes: Vec<String>,
}

/// An idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedKey {
    /// The key.
    pub key: String,
    /// `client`, or `route` (`dedupe`).
    #[schemars(extend("enum" = ["client", "route"]))]
    pub given_by: String,
}

/// Who is told of the end. An address that may not be told is a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedNotice {
    /// `route` (`callback`), `client` (`Fanfold-Callback-Url`), or `dialect`.
    #[schemars(extend("enum" = ["route", "client", "dialect"]))]
    pub asked_by: String,
    /// Where, in its public form.
    pub address: String,
}

/// What is done at one target. Requests have the address at the target, and their public form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedTarget {
    /// Its name.
    pub target: TargetName,
    /// Its id, as clients see it.
    pub id: String,
    /// The wave in which it starts, counted from 0.
    pub wave: u16,
    /// Whether it is configured: a step at a target that is not waits for it.
    pub is_configured: bool,
    /// The forward request.
    pub forward: RequestForm,
    /// Whether that is sent again after it may have been applied.
    pub repeatable: bool,
    /// The condition by which an answer counts as success; null: any 2xx.
    pub success: Option<String>,
    /// How a 202 is followed.
    pub monitor: Monitor,
    /// How it is undone.
    pub undo: PlannedUndo,
    /// How it is found out whether a request was applied whose answer was lost; null: there is no way.
    pub probe: Option<PlannedProbe>,
    /// Bounds of the step.
    pub limits: Limits,
    /// Bounds of its undo.
    pub undo_limits: Limits,
    /// How long after an ambiguous attempt the target may still act on it.
    pub settle_ms: u64,
}

/// How a step would be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedUndo {
    /// `none`, `request` or `restore`.
    #[schemars(extend("enum" = ["none", "request", "restore"]))]
    pub kind: String,
    /// The request; of a restore, the one if the resource was there before; null where it cannot be rendered.
    pub request: Option<RequestForm>,
    /// Of a restore: the request if the resource was not there before.
    pub if_absent: Option<RequestForm>,
    /// Whether a part of it is known only after the answer of the target.
    pub is_known_later: bool,
    /// What is to be said about it.
    pub note: Option<String>,
}

/// How it is found out whether a request was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedProbe {
    /// The request; null where it cannot be rendered.
    pub request: Option<RequestForm>,
    /// The condition that shows that it was applied.
    pub applied: String,
    /// What is to be said about it.
    pub note: Option<String>,
}

/// A whole number, however it is written: to JSON 200 and 200.0 are the same, and some libraries write the second one.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let written_so = number.as_f64().filter(|value| value.fract() == 0.0 && (0.0..=65_535.0).contains(value));
    let whole = number.as_u64().and_then(|value| value.try_into().ok()).or(written_so.map(|value| value as u16));
    whole.ok_or_else(|| D::Error::custom(format!("`{number}` is not a whole number from 0 to 65535")))
}

impl Content {
    /// The octets of a body that a client gives; `None` if it is no base64, or not given at all.
    pub fn octets(&self) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(Bytes::from(text.clone())),
            Self::Octets { base64 } => STANDARD.decode(base64).ok().map(Bytes::from),
            Self::Apart { .. } => None,
        }
    }
}

impl AnswerForm {
    /// What a client would be answered.
    pub fn of_reply(reply: &Reply) -> Self {
        let (status, headers) = (reply.status.as_u16(), reply.headers.clone());
        Self { status, headers, body: Content::of(&reply.body), complete: true }
    }
}
