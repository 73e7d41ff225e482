//! Routes and targets as configuration gives them: values checked one by one, templates still text.
//! [`super::RouteTable::compile`] turns them into something that answers requests.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::TargetName;
use crate::plan::{DialectName, OnLocked, Verb};
use crate::plan::{
    Limits, Monitor, OnFailure, OnUndoFailure, OnUnknown, Order, ProbeRule, Redaction, RequestTemplate, Require,
    ResultTemplate, UndoRule,
};

/// One route.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteSpec {
    /// Its name, unique; the configuration makes one up from the pattern where none is given.
    pub name: String,
    /// The wire format in which it answers.
    pub dialect: DialectName,
    /// The prefix of the mount that it lies under; empty for the native API.
    pub mount: String,
    /// The method; a `GET` route answers `HEAD` too.
    pub method: http::Method,
    /// The path pattern: literal segments, `{name}` captures, and `{*name}` for all that is left.
    pub pattern: String,
    /// What it does.
    pub action: Action,
}

/// What a route does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Passes requests through to a target and records nothing.
    Pass(TargetName),
    /// Accepts operations.
    Operation(Box<OperationSpec>),
}

/// What the operations of a route do.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationSpec {
    /// Which targets are called.
    pub targets: Selection,
    /// More targets than this are refused.
    pub targets_max: usize,
    /// The kind of change; `None`: by method.
    pub verb: Option<Verb>,
    /// Template of the lock key, and what happens to a request that finds it held.
    pub lock: Option<(String, OnLocked)>,
    /// Template of an idempotency key for clients that cannot send one.
    pub dedupe: Option<String>,
    /// How long after acceptance the operation starts.
    pub delay: Option<Duration>,
    /// Parts of the forward request that are not as the client sent them.
    pub request: RequestTemplate,
    /// What is different for single targets.
    pub on: BTreeMap<TargetName, Override>,
    /// Request headers that are forwarded beside the ones that always are; lower case.
    pub forward_headers: Vec<String>,
    /// How a step is undone.
    pub undo: Option<UndoRule>,
    /// How to find out whether a request was applied.
    pub probe: Option<ProbeRule>,
    /// Condition over the answer; `None`: any 2xx.
    pub success: Option<String>,
    /// Whether the forward request may be sent again after it MAY have been applied; `None`: by its method.
    pub repeatable: Option<bool>,
    /// Bounds of a forward step that hold on this route instead of the target's own.
    pub step_limits: LimitsOverride,
    /// Bounds of an undo that hold on this route instead of the target's own.
    pub undo_limits: LimitsOverride,
    /// In which order steps start.
    pub order: Order,
    /// How many must succeed.
    pub require: Require,
    /// How many steps of a wave may fail and the next one still start.
    pub wave_failures: u32,
    /// What follows a failure.
    pub on_failure: OnFailure,
    /// What follows an unknown outcome.
    pub on_unknown: OnUnknown,
    /// What follows a failed undo.
    pub on_undo_failure: OnUndoFailure,
    /// How long forward work may take.
    pub deadline: Duration,
    /// The final response, where the route gives one.
    pub result: Option<ResultTemplate>,
    /// What is taken out of public forms.
    pub redaction: Redaction,
    /// How long the record is kept after the end.
    pub retention: Duration,
}

/// Which targets a request selects.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// Always these.
    Named(Vec<TargetName>),
    /// What this expression gives: a string, a number or a list of them; each a target's id or else its name.
    From(String),
}

/// What is different at one target.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Override {
    /// Parts of the forward request; a part that is absent is as on the route.
    pub request: RequestTemplate,
    /// The undo, instead of the route's.
    pub undo: Option<UndoRule>,
    /// The probe, instead of the route's.
    pub probe: Option<ProbeRule>,
}

/// Bounds that a route sets; what is `None` stays as the target has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitsOverride {
    /// Instead of [`Limits::attempts`].
    pub attempts: Option<u32>,
    /// Instead of [`Limits::backoff`].
    pub backoff: Option<Duration>,
    /// Instead of [`Limits::backoff_max`].
    pub backoff_max: Option<Duration>,
    /// Instead of [`Limits::budget`].
    pub budget: Option<Duration>,
    /// Instead of [`Limits::connect`].
    pub connect: Option<Duration>,
    /// Instead of [`Limits::response`].
    pub response: Option<Duration>,
    /// Instead of [`Limits::lower`].
    pub lower: Option<Duration>,
    /// Instead of [`Limits::response_body_max`].
    pub response_body_max: Option<u64>,
}

impl LimitsOverride {
    /// The bounds of a target as they hold on the route.
    pub fn over(&self, target: &Limits) -> Limits {
        Limits {
            attempts: self.attempts.unwrap_or(target.attempts),
            backoff: self.backoff.unwrap_or(target.backoff),
            backoff_max: self.backoff_max.unwrap_or(target.backoff_max),
            budget: self.budget.unwrap_or(target.budget),
            connect: self.connect.unwrap_or(target.connect),
            response: self.response.unwrap_or(target.response),
            lower: self.lower.unwrap_or(target.lower),
            response_body_max: self.response_body_max.unwrap_or(target.response_body_max),
        }
    }
}

/// What planning needs to know of a target. Its address and credentials are the engine's.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSpec {
    /// The id that clients see; unique.
    pub id: String,
    /// How a 202 is followed.
    pub monitor: Monitor,
    /// Bounds of a forward step.
    pub step: Limits,
    /// Bounds of an undo.
    pub undo: Limits,
    /// How long after an ambiguous attempt the target may still act on it.
    pub settle: Duration,
}
