//! The routes of a scenario as the engine takes them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use fanfold_core::plan::{
    self, DialectName, Limits, Monitor, OnFailure, OnLocked, OnUndoFailure, OnUnknown, PollRule, ProbeRule, Redaction,
    RequestTemplate, Require, UndoRule,
};
use fanfold_core::route::RouteTable;
use fanfold_core::route::spec::{Action, LimitsOverride, OperationSpec, RouteSpec, Selection, TargetSpec};
use fanfold_core::{Access, TargetName, TenantId};

use crate::scenario::{self, Key, Lock, Method, Order, Route, Scenario, Start, TARGETS, Undo, Unknown};

/// How long an attempt waits for its answer.
pub(crate) const RESPONSE: Duration = Duration::from_secs(1);

/// How long a lower operation is followed.
pub(crate) const LOWER: Duration = Duration::from_secs(30);

/// How long a target may act after it broke off.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);

/// Attempts of a step, or of an undo.
pub(crate) const ATTEMPTS: u32 = 4;

pub(crate) fn target_name(number: usize) -> TargetName {
    TargetName::from(format!("t{number}").as_str())
}

/// Its number.
pub(crate) fn target_number(name: &TargetName) -> Option<usize> {
    name.as_str().strip_prefix('t')?.parse().ok()
}

/// The path that a client asks for.
pub(crate) fn path_of(scenario: &Scenario, number: usize) -> String {
    if scenario.routes[number].noticed { format!("/v1/o{number}") } else { format!("/o{number}") }
}

/// The path at the targets: what operations with a lock change is the same thing.
fn target_path(route: &Route, number: usize) -> String {
    match route.method {
        Method::Post | Method::RepeatablePost => "/things".to_owned(),
        // A lock keeps nobody of another tenant away.
        Method::Put | Method::Delete if route.lock != Lock::None => {
            if route.of_another {
                "/r/another".to_owned()
            } else {
                "/r/shared".to_owned()
            }
        }
        Method::Put | Method::Delete => format!("/r/{number}"),
    }
}

/// All tenants.
pub(crate) fn tenants() -> [TenantId; 2] {
    [TenantId::default(), TenantId::from("another")]
}

impl Route {
    /// Whose operations they are.
    pub(crate) fn tenant(&self) -> TenantId {
        let [default, another] = tenants();
        if self.of_another { another } else { default }
    }

    /// What whoever asks for one may do.
    pub(crate) fn access(&self) -> Access {
        Access { tenant: self.tenant(), ..Access::full() }
    }

    pub(crate) fn http_method(&self) -> http::Method {
        match self.method {
            Method::Post | Method::RepeatablePost => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Delete => http::Method::DELETE,
        }
    }

    /// Whether a request may be sent again that may have been applied.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.method != Method::Post
    }
}

/// The table of all routes.
///
/// # Errors
/// If a route does not compile.
pub(crate) fn table(scenario: &Scenario) -> Result<RouteTable> {
    let targets: BTreeMap<TargetName, TargetSpec> =
        (0..TARGETS).map(|number| (target_name(number), target(scenario, number))).collect();
    let routes = scenario.routes.iter().enumerate().map(|(number, route)| RouteSpec {
        name: format!("o{number}"),
        dialect: if route.noticed { DialectName::Msf } else { DialectName::Native },
        mount: if route.noticed { "/v1".to_owned() } else { String::new() },
        method: route.http_method(),
        pattern: path_of(scenario, number),
        action: Action::Operation(Box::new(operation(scenario, number))),
    });
    RouteTable::compile(routes.collect(), &targets).map_err(|problems| anyhow::anyhow!("{problems:?}"))
}

fn limits() -> Limits {
    Limits {
        attempts: ATTEMPTS,
        backoff: Duration::from_millis(200),
        backoff_max: Duration::from_secs(2),
        budget: Duration::from_secs(60),
        connect: Duration::from_millis(500),
        response: RESPONSE,
        lower: LOWER,
        response_body_max: 4_096,
    }
}

fn target(scenario: &Scenario, number: usize) -> TargetSpec {
    let monitor = match scenario.monitors.get(number).copied().unwrap_or_default() {
        scenario::Monitor::Unset => Monitor::Unset,
        scenario::Monitor::None => Monitor::None,
        scenario::Monitor::Msf => Monitor::Msf,
        scenario::Monitor::Plas => Monitor::Plas,
        scenario::Monitor::Location => Monitor::Location,
        scenario::Monitor::Poll => Monitor::Poll(PollRule {
            path: "/errands/{{ response.json.id }}".into(),
            done: "response.json.done".into(),
            success: "response.json.ok".into(),
        }),
    };
    TargetSpec { id: number.to_string(), monitor, step: limits(), undo: limits(), settle: SETTLE }
}

fn operation(scenario: &Scenario, number: usize) -> OperationSpec {
    let route = &scenario.routes[number];
    // Something else than restoring may take back what a resource was changed to: here the target itself knows how.
    let by_request = RequestTemplate {
        method: Some("DELETE".into()),
        path: Some("/by-op/{{ operation.id }}".into()),
        ..RequestTemplate::default()
    };
    let probe = ProbeRule { path: "/probe/{{ operation.id }}".into(), applied: "response.json.applied".into() };
    let lock = match route.lock {
        Lock::None => None,
        Lock::Reject => Some(("shared".to_owned(), OnLocked::Reject)),
        Lock::Queue => Some(("shared".to_owned(), OnLocked::Queue)),
    };
    OperationSpec {
        targets: Selection::Named((0..route.targets).map(target_name).collect()),
        targets_max: 64,
        verb: None,
        lock,
        dedupe: (route.key == Key::Dedupe).then(|| "route-{{ request.json.route }}".to_owned()),
        delay: match route.start {
            Start::Delayed(millis) => Some(Duration::from_millis(millis)),
            Start::AtOnce | Start::Scheduled(_) => None,
        },
        request: RequestTemplate { path: Some(target_path(route, number)), ..RequestTemplate::default() },
        on: BTreeMap::new(),
        forward_headers: Vec::new(),
        undo: match route.undo {
            Undo::None => None,
            Undo::Request => Some(UndoRule::Request(Box::new(by_request))),
            Undo::Restore => Some(UndoRule::Restore),
        },
        probe: route.probe.then_some(probe),
        success: None,
        repeatable: (route.method == Method::RepeatablePost).then_some(true),
        order: match route.order {
            Order::Parallel => plan::Order::Parallel,
            Order::Sequence => plan::Order::Sequence,
            Order::Waves => plan::Order::Waves(vec![1]),
        },
        require: if route.require == 0 { Require::All } else { Require::AtLeast(route.require) },
        wave_failures: 0,
        on_failure: if route.on_failure_holds { OnFailure::Hold } else { OnFailure::Rollback },
        on_unknown: match route.on_unknown {
            Unknown::Fail => OnUnknown::Fail,
            Unknown::Undo => OnUnknown::Undo,
            Unknown::Hold => OnUnknown::Hold,
        },
        on_undo_failure: if route.on_undo_failure_holds { OnUndoFailure::Hold } else { OnUndoFailure::Attention },
        deadline: Duration::from_millis(route.deadline_ms),
        result: None,
        redaction: Redaction::standard(),
        step_limits: LimitsOverride::default(),
        undo_limits: LimitsOverride::default(),
        retention: match scenario.retention_ms {
            0 => Duration::from_secs(30 * 86_400),
            millis => Duration::from_millis(millis),
        },
    }
}
