//! How the operations of one route are carried out. A policy comes from configuration alone, so all operations accepted on a
//! route under one configuration share it: the record keeps its hash, the store keeps it once.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{PolicyHash, TargetName};

/// The frozen rules of one route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// In which order the steps start.
    pub order: Order,
    /// How many steps must succeed.
    pub require: Require,
    /// How many steps of a wave may end otherwise than succeeded and the next wave still start.
    pub wave_failures: u32,
    /// What follows a failure when something has succeeded.
    pub on_failure: OnFailure,
    /// What follows an outcome that cannot be known.
    pub on_unknown: OnUnknown,
    /// What follows an undo that failed for good, beside the attention that it always opens.
    pub on_undo_failure: OnUndoFailure,
    /// How long forward work may take from the operation's start.
    #[serde(with = "crate::text::millis")]
    pub deadline: Duration,
    /// The final response of an operation that is completed, where the route gives one.
    pub result: Option<ResultTemplate>,
    /// What is taken out of public forms.
    pub redaction: Redaction,
    /// How long the record is kept after the end.
    #[serde(with = "crate::text::millis")]
    pub retention: Duration,
    /// How a step is carried out at each target that the route may select.
    pub targets: BTreeMap<TargetName, TargetPolicy>,
}

impl Policy {
    /// The hash under which this policy is shared: SHA-256 over its JSON form, which is stable since maps are sorted.
    pub fn hash(&self) -> PolicyHash {
        let json = serde_json::to_vec(self).expect("a policy has text keys only, which JSON can carry");
        let digest = Sha256::digest(json);
        digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }
}

/// How one step of a route is carried out at one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPolicy {
    /// How an answer 202 is followed to its end.
    pub monitor: Monitor,
    /// Bounds of a forward step.
    pub step: Limits,
    /// Bounds of an undo.
    pub undo_limits: Limits,
    /// How long after an ambiguous attempt the target may still act on it.
    #[serde(with = "crate::text::millis")]
    pub settle: Duration,
    /// Whether the forward request may be sent again after it MAY have been applied; `None`: by its method (`PUT`, `DELETE`).
    pub repeatable: Option<bool>,
    /// A condition over the answer (an expression); `None`: any 2xx.
    pub success: Option<String>,
    /// How the step is undone.
    pub undo: Option<UndoRule>,
    /// How to find out whether a request was applied.
    pub probe: Option<ProbeRule>,
}

/// Bounds of all the attempts of one step or undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Attempts at the most, the first included; at least 1.
    pub attempts: u32,
    /// The wait before the second attempt is drawn from zero to this; it doubles with each further attempt.
    #[serde(with = "crate::text::millis")]
    #[schemars(with = "u64")]
    pub backoff: Duration,
    /// The longest wait between two attempts that backoff gives; `Retry-After` may ask for more, within `budget`.
    #[serde(with = "crate::text::millis")]
    #[schemars(with = "u64")]
    pub backoff_max: Duration,
    /// No further attempt starts once this has passed since the first one.
    #[serde(with = "crate::text::millis")]
    #[schemars(with = "u64")]
    pub budget: Duration,
    /// How long connecting may take.
    #[serde(with = "crate::text::millis")]
    #[schemars(with = "u64")]
    pub connect: Duration,
    /// How long the answer may take from the first byte sent to the last byte received.
    #[serde(with = "crate::text::millis")]
    #[schemars(with = "u64")]
    pub response: Duration,
    /// How long a lower operation may take from its acceptance.
    #[serde(with = "crate::text::millis")]
    #[schemars(with = "u64")]
    pub lower: Duration,
    /// How much of an answer's body is read, in octets.
    pub response_body_max: u64,
}

/// In which order the steps of an operation start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// All at once.
    Parallel,
    /// Each after the one before it has ended, as long as the requirement can still be reached.
    Sequence,
    /// In waves of these sizes; what is left over is the last wave.
    Waves(Vec<u32>),
}

/// How many steps must succeed for the operation to be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// Every one.
    All,
    /// At least so many; at acceptance more than there are steps counts as all.
    AtLeast(u32),
}

/// What follows a failure when something has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is undone.
    Rollback,
    /// The operation stays open until a person chooses.
    Hold,
}

/// What follows an outcome that cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// The target is left alone; the others are undone.
    Fail,
    /// The target is undone like the ones that succeeded.
    Undo,
    /// The operation stays open until a person says what happened.
    Hold,
}

/// What follows an undo that failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUndoFailure {
    /// Attention is opened.
    Attention,
    /// Attention is opened, and the target is put on hold.
    Hold,
}

/// How a target that answers 202 is followed to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    /// No monitor is configured: the outcome of a 202 is unknown.
    Unset,
    /// A 202 is final, and good.
    None,
    /// The target is an `msf` controller.
    Msf,
    /// The target speaks `plas`.
    Plas,
    /// The answer's `Location`, `Operation-Location` or `Azure-AsyncOperation` is polled.
    Location,
    /// A rule from the configuration.
    Poll(PollRule),
}

/// A poll rule from the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PollRule {
    /// Template of the path that is polled; sees `response` of the accepting answer.
    pub path: String,
    /// Condition over a poll's `response`: the lower operation has ended.
    pub done: String,
    /// Condition over the last poll's `response`: it ended well.
    pub success: String,
}

/// How a step is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoRule {
    /// By a request of its own.
    Request(Box<RequestTemplate>),
    /// By writing back what was read before the change.
    Restore,
}

/// How to find out whether a request was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRule {
    /// Template of the path that is asked with `GET`.
    pub path: String,
    /// Condition over the probe's `response`: the request was applied.
    pub applied: String,
}

/// A request whose parts are templates; a part that is absent is as the default has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestTemplate {
    /// The method, which is no template.
    pub method: Option<String>,
    /// Template of the path below the target's prefix.
    pub path: Option<String>,
    /// Template of the raw query, without `?`.
    pub query: Option<String>,
    /// Templates of header values by name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Option<BodyTemplate>,
}

/// A body that is a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyTemplate {
    /// One template that gives the body's text, its values emitted as JSON.
    Text(String),
    /// JSON whose text leaves are templates. A leaf that is one lone expression keeps the type of its value.
    Json(serde_json::Value),
}

/// The final response of a completed operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultTemplate {
    /// The status code; `None`: 200.
    pub status: Option<u16>,
    /// The body, over `targets.<name>.{outcome,response}`.
    pub body: Option<BodyTemplate>,
}

/// What is taken out of public forms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Redaction {
    /// Names of JSON members, form fields and query parameters, in lower case; a member whose name contains one of them is taken out.
    pub keys: Vec<String>,
    /// Names of headers, in lower case.
    pub headers: Vec<String>,
    /// JSON pointers (RFC 6901) of values that are taken out in addition.
    pub pointers: Vec<String>,
    /// JSON pointers of values that are shown although one of `keys` fits.
    pub reveal: Vec<String>,
}
