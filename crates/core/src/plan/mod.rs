//! What one operation will do, as data: worked out at acceptance ([`crate::route`]), frozen from then on.

pub mod policy;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{OperationId, Request, StepIndex, TargetName};
pub use policy::{
    BodyTemplate, Limits, Monitor, OnFailure, OnUndoFailure, OnUnknown, Order, Policy, PollRule, ProbeRule, Redaction,
    RequestTemplate, Require, ResultTemplate, TargetPolicy, UndoRule,
};

/// The frozen plan of one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The name of the route that accepted the request.
    pub route: String,
    /// In which wire format it was accepted, and through which mount.
    pub front: Front,
    /// What kind of change it is.
    pub verb: Verb,
    /// The address of the resource that is changed: the path of the request, without the query.
    pub resource: String,
    /// The id that Fanfold issued for a resource to be created, where the dialect asks for one.
    pub resource_id: Option<String>,
    /// The accepted request, as the client sent it.
    pub request: Request,
    /// What the route's pattern captured, decoded, for templates that are rendered later.
    pub captures: BTreeMap<String, String>,
    /// The lock that is held from start to end.
    pub lock: Option<Lock>,
    /// Not to be started before.
    pub start_at: Option<Timestamp>,
    /// The operation that this one retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<OperationId>,
    /// Where this is a retry, the operation that was the first to be retried: its requests are sent again as they were rendered,
    /// so its id is what templates go on to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<OperationId>,
    /// What tells whether a request that comes again is the one that was accepted, which a public form alone cannot: an HMAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The rules of the route. Stored apart, by their hash; the store joins them again.
    #[serde(skip, default = "no_policy")]
    pub policy: Arc<Policy>,
    /// One step for each target, in configured order.
    pub steps: Vec<StepPlan>,
}

/// What deserialising leaves in place of the policy, until the store puts the real one in.
fn no_policy() -> Arc<Policy> {
    Arc::new(Policy {
        order: Order::Parallel,
        require: Require::All,
        wave_failures: 0,
        on_failure: OnFailure::Rollback,
        on_unknown: OnUnknown::Fail,
        on_undo_failure: OnUndoFailure::Attention,
        deadline: std::time::Duration::ZERO,
        result: None,
        redaction: Redaction::default(),
        retention: std::time::Duration::ZERO,
        targets: BTreeMap::new(),
    })
}

/// One step as it was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPlan {
    /// The target's name in the configuration.
    pub target: TargetName,
    /// The target's id, as clients see it.
    pub target_id: String,
    /// The wave in which it starts, counted from 0; in a sequence each step is a wave of its own.
    pub wave: u16,
    /// The forward request; its `uri` is what follows the target's URL prefix.
    pub request: Request,
}

/// In which wire format an operation was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Front {
    /// The wire format.
    pub dialect: DialectName,
    /// The prefix of the mount; empty for the native API.
    pub mount: String,
    /// What is needed again: what the dialect read from the request (an address to notify, an owner of the resource), and whom
    /// the configuration had promised to tell.
    pub attributes: BTreeMap<String, String>,
}

/// The wire formats that Fanfold speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Dialect")]
pub enum DialectName {
    /// Fanfold's own API.
    Native,
    /// Multi-Service Fabric controllers.
    Msf,
    /// The PLAS connector.
    Plas,
}

impl DialectName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Native, Self::Msf, Self::Plas];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Msf => "msf",
            Self::Plas => "plas",
        }
    }
}

impl fmt::Display for DialectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What kind of change an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Something comes into being (`POST`, unless the route says otherwise).
    Create,
    /// Something is changed (`PUT`, `PATCH`).
    Update,
    /// Something is removed (`DELETE`).
    Delete,
    /// Something is done.
    Action,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Create, Self::Update, Self::Delete, Self::Action];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Action => "action",
        }
    }
}

/// A lock that an operation holds while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lock {
    /// Its key: no two running operations of a tenant hold the same.
    pub key: String,
    /// What happens if another operation holds it.
    pub on_locked: OnLocked,
}

/// What happens to a request whose lock another operation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLocked {
    /// It is refused.
    Reject,
    /// It is accepted and waits its turn, first in, first out.
    Queue,
}

impl Plan {
    /// What stands in place of a plan until the store joins the real one.
    pub(crate) fn absent() -> Arc<Self> {
        Arc::new(Self {
            route: String::new(),
            front: Front { dialect: DialectName::Native, mount: String::new(), attributes: BTreeMap::new() },
            verb: Verb::Action,
            resource: String::new(),
            resource_id: None,
            request: Request {
                method: http::Method::GET,
                uri: String::new(),
                headers: Vec::new(),
                body: crate::Body::default(),
                sealed: false,
            },
            captures: BTreeMap::new(),
            lock: None,
            start_at: None,
            retry_of: None,
            first: None,
            fingerprint: None,
            policy: no_policy(),
            steps: Vec::new(),
        })
    }

    /// The steps with their positions.
    pub fn indexed_steps(&self) -> impl Iterator<Item = (StepIndex, &StepPlan)> {
        self.steps.iter().enumerate().map(|(index, step)| {
            (StepIndex(u16::try_from(index).expect("a plan has at most 65,536 steps, `targets_max` sees to it")), step)
        })
    }

    /// How the step at `index` is carried out.
    pub fn step_policy(&self, index: StepIndex) -> &TargetPolicy {
        let target = &self.steps[index.get()].target;
        self.policy.targets.get(target).expect("a plan selects only targets that its policy covers")
    }

    /// How many steps must succeed.
    pub fn required(&self) -> usize {
        match self.policy.require {
            Require::All => self.steps.len(),
            Require::AtLeast(count) => usize::try_from(count).unwrap_or(usize::MAX).min(self.steps.len()),
        }
    }

    /// Whether the forward request of a step may be sent again after it MAY have been applied.
    pub fn safe_to_repeat(&self, index: StepIndex) -> bool {
        let by_method = is_repeatable(&self.steps[index.get()].request.method);
        self.step_policy(index).repeatable.unwrap_or(by_method)
    }
}

/// Whether sending a request of this method twice has the effect of sending it once (RFC 9110, section 9.2.2; `GET` and `HEAD` besides).
pub fn is_repeatable(method: &http::Method) -> bool {
    matches!(*method, http::Method::PUT | http::Method::DELETE | http::Method::GET | http::Method::HEAD)
}
