//! Routes and targets for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use super::problem::Problems;
use super::spec::{Action, LimitsOverride, OperationSpec, RouteSpec, Selection, TargetSpec};
use super::{CompiledTarget, Incoming, Issued};
use crate::plan::DialectName;
use crate::plan::{
    Limits, Monitor, OnFailure, OnUndoFailure, OnUnknown, Order, Redaction, RequestTemplate, Require, TargetPolicy,
    UndoRule,
};
use crate::{OperationId, TargetName};

pub(super) fn limits() -> Limits {
    Limits {
        attempts: 5,
        backoff: Duration::from_millis(500),
        backoff_max: Duration::from_secs(30),
        budget: Duration::from_secs(300),
        connect: Duration::from_secs(3),
        response: Duration::from_secs(30),
        lower: Duration::from_secs(1800),
        response_body_max: 1 << 20,
    }
}

/// `tokyo`, `osaka` and `kyoto` with the ids 1, 2 and 3.
pub(super) fn targets() -> BTreeMap<TargetName, TargetSpec> {
    let target = |(name, id): (&str, &str)| {
        let spec = TargetSpec {
            id: id.to_owned(),
            monitor: Monitor::Msf,
            step: limits(),
            undo: limits(),
            settle: Duration::from_secs(10),
        };
        (name.into(), spec)
    };
    [("tokyo", "1"), ("osaka", "2"), ("kyoto", "3")].map(target).into()
}

/// A target of a policy with this monitor and success condition.
pub(super) fn compiled_target(monitor: Monitor, success: Option<&str>) -> CompiledTarget {
    let policy = TargetPolicy {
        monitor,
        step: limits(),
        undo_limits: limits(),
        settle: Duration::from_secs(10),
        repeatable: None,
        success: success.map(str::to_owned),
        undo: None,
        probe: None,
    };
    CompiledTarget::compile(&policy, &mut Problems::default()).unwrap()
}

pub(super) fn operation(targets: &[&str]) -> OperationSpec {
    OperationSpec {
        targets: Selection::Named(targets.iter().map(|name| (*name).into()).collect()),
        targets_max: 64,
        verb: None,
        lock: None,
        dedupe: None,
        delay: None,
        request: RequestTemplate::default(),
        on: BTreeMap::new(),
        forward_headers: Vec::new(),
        undo: Some(UndoRule::Request(Box::new(RequestTemplate {
            method: Some("DELETE".to_owned()),
            ..RequestTemplate::default()
        }))),
        probe: None,
        success: None,
        repeatable: None,
        step_limits: LimitsOverride::default(),
        undo_limits: LimitsOverride::default(),
        order: Order::Parallel,
        require: Require::All,
        wave_failures: 0,
        on_failure: OnFailure::Rollback,
        on_unknown: OnUnknown::Fail,
        on_undo_failure: OnUndoFailure::Attention,
        deadline: Duration::from_secs(3600),
        result: None,
        redaction: Redaction::standard(),
        retention: Duration::from_secs(86_400),
    }
}

/// A native route whose name is what it matches.
pub(super) fn route(matches: &str, action: Action) -> RouteSpec {
    let (method, pattern) = matches.split_once(' ').unwrap();
    RouteSpec {
        name: matches.to_owned(),
        dialect: DialectName::Native,
        mount: String::new(),
        method: method.parse().unwrap(),
        pattern: pattern.to_owned(),
        action,
    }
}

pub(super) fn accepting(matches: &str, spec: OperationSpec) -> RouteSpec {
    route(matches, Action::Operation(Box::new(spec)))
}

/// A request to `/things/a%2Fb?x=1` with a JSON body.
pub(super) fn incoming(method: &str, body: &str) -> Incoming {
    let headers = [("content-type", "application/json"), ("authorization", "Bearer t"), ("x-request-id", "7")];
    Incoming {
        method: method.parse().unwrap(),
        path: "/things/a%2Fb".to_owned(),
        query: Some("x=1&own=2".to_owned()),
        target_query: Some("x=1".to_owned()),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: body.to_owned().into(),
        captures: BTreeMap::from([("id".to_owned(), "a/b".to_owned())]),
    }
}

pub(super) fn issued() -> Issued {
    Issued {
        operation: OperationId::from_bytes([7; 16]),
        resource_id: None,
        attributes: BTreeMap::new(),
        at: "2026-01-01T00:00:00Z".parse().unwrap(),
        start_at: None,
    }
}
