//! Small plans for the tests of `transition`, and of what becomes of an operation afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::plan::{
    DialectName, Front, Limits, Lock, Monitor, OnFailure, OnLocked, OnUndoFailure, OnUnknown, Order, Plan, Policy,
    ProbeRule, Redaction, RequestTemplate, Require, StepPlan, TargetPolicy, UndoRule, Verb,
};
use crate::{Answer, Body, Operation, OperationId, Request, TargetName, TenantId};

/// What a test wants to be different about a plan.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    pub(crate) name: &'static str,
    pub(crate) targets: usize,
    pub(crate) method: http::Method,
    pub(crate) order: Order,
    pub(crate) require: Require,
    pub(crate) wave_failures: u32,
    pub(crate) on_failure: OnFailure,
    pub(crate) on_unknown: OnUnknown,
    pub(crate) on_undo_failure: OnUndoFailure,
    pub(crate) undo: Option<UndoRule>,
    pub(crate) probe: bool,
    pub(crate) lower: bool,
    pub(crate) lock: bool,
    pub(crate) scheduled: bool,
    pub(crate) attempts: u32,
    /// As many as `attempts`, unless given.
    pub(crate) undo_attempts: u32,
    pub(crate) gates: bool,
    /// Polls of lower operations may tell nothing.
    pub(crate) polls: bool,
    /// It may come from a backup at any time.
    pub(crate) restored: bool,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            name: "default",
            targets: 2,
            method: http::Method::POST,
            order: Order::Parallel,
            require: Require::All,
            wave_failures: 0,
            on_failure: OnFailure::Rollback,
            on_unknown: OnUnknown::Fail,
            on_undo_failure: OnUndoFailure::Attention,
            undo: Some(delete()),
            probe: false,
            lower: false,
            lock: false,
            scheduled: false,
            attempts: 2,
            undo_attempts: 0,
            gates: false,
            polls: false,
            restored: true,
        }
    }
}

pub(crate) const SETTLE: Duration = Duration::from_secs(10);

/// How long connecting may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);

/// How long an answer may take.
pub(crate) const RESPONSE: Duration = Duration::from_secs(30);

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("well within range")
}

pub(crate) fn delete() -> UndoRule {
    UndoRule::Request(Box::new(RequestTemplate { method: Some("DELETE".into()), ..RequestTemplate::default() }))
}

pub(crate) fn answer(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), body: Body::default(), complete: true, sealed: false }
}

pub(crate) fn request(method: http::Method) -> Request {
    Request { method, uri: "/things/1".into(), headers: Vec::new(), body: Body::default(), sealed: false }
}

impl Sketch {
    fn limits(&self, attempts: u32) -> Limits {
        Limits {
            attempts,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(8),
            budget: Duration::from_secs(300),
            connect: CONNECT,
            response: RESPONSE,
            lower: Duration::from_secs(1800),
            response_body_max: 1 << 20,
        }
    }

    fn policy(&self) -> Policy {
        let target = TargetPolicy {
            monitor: if self.lower { Monitor::Msf } else { Monitor::Unset },
            step: self.limits(self.attempts),
            undo_limits: self.limits(if self.undo_attempts == 0 { self.attempts } else { self.undo_attempts }),
            settle: SETTLE,
            repeatable: None,
            success: None,
            undo: self.undo.clone(),
            probe: self.probe.then(|| ProbeRule { path: "/things/1".into(), applied: "true".into() }),
        };
        Policy {
            order: self.order.clone(),
            require: self.require,
            wave_failures: self.wave_failures,
            on_failure: self.on_failure,
            on_unknown: self.on_unknown,
            on_undo_failure: self.on_undo_failure,
            deadline: Duration::from_secs(3600),
            result: None,
            redaction: Redaction::default(),
            retention: Duration::from_secs(86_400),
            targets: (0..self.targets).map(|index| (name(index), target.clone())).collect(),
        }
    }

    pub(crate) fn operation(&self) -> Operation {
        let wave = |index: usize| match &self.order {
            Order::Parallel => 0,
            Order::Sequence => index,
            Order::Waves(sizes) => {
                let mut left = index;
                sizes
                    .iter()
                    .position(|&size| {
                        let here = left < size as usize;
                        left = left.saturating_sub(size as usize);
                        here
                    })
                    .unwrap_or(sizes.len())
            }
        };
        let steps = (0..self.targets).map(|index| StepPlan {
            target: name(index),
            target_id: index.to_string(),
            wave: u16::try_from(wave(index)).expect("small"),
            request: request(self.method.clone()),
        });
        let plan = Plan {
            route: "walk".into(),
            front: Front { dialect: DialectName::Native, mount: String::new(), attributes: BTreeMap::new() },
            verb: Verb::Create,
            resource: "/things/1".into(),
            resource_id: None,
            request: request(self.method.clone()),
            captures: BTreeMap::new(),
            lock: self.lock.then(|| Lock { key: "thing/1".into(), on_locked: OnLocked::Queue }),
            start_at: self.scheduled.then(|| at(5)),
            retry_of: None,
            first: None,
            fingerprint: None,
            policy: Arc::new(self.policy()),
            steps: steps.collect(),
        };
        let id = OperationId::new(at(0), [7; 10]);
        Operation::accepted(id, TenantId::default(), Arc::new(plan), at(0))
    }
}

fn name(index: usize) -> TargetName {
    TargetName::from(["tokyo", "osaka", "nagoya", "sapporo"][index])
}
