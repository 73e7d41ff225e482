//! The settings of routes: `[[routes]]` over `[defaults]`.
//!
//! Checks what belongs to the file: that names are known and that keys go together. Patterns, templates and all that follows
//! from methods and wire formats are checked by planning ([`super::table`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fanfold_core::TargetName;
use fanfold_core::dialect::Mount;
use fanfold_core::plan::{
    BodyTemplate, DialectName, OnFailure, OnLocked, OnUndoFailure, OnUnknown, Order, ProbeRule, RequestTemplate,
    Require, ResultTemplate, UndoRule, Verb,
};
use fanfold_core::route::spec::{Action, OperationSpec, Override, RouteSpec, Selection};
use http::Method;

use super::defaults::{self, level, span};
use super::redaction::redaction;
use super::target::{Draft, longest_attempt};
use crate::config::document::{Place, Value};
use crate::config::file;
use crate::config::finding::{Findings, Wrong};
use crate::config::spelling;
use crate::config::value::{RouteMatch, Text};

/// The routes of a file.
#[derive(Default)]
pub(super) struct Routes {
    /// All of them, in the order of the file: those with mistakes too, as far as they are right.
    pub(super) specs: Vec<RouteSpec>,
    /// Their names, in the order of the file.
    pub(super) names: Vec<String>,
}

impl Routes {
    /// The longest time that an attempt of any of them, or of any target, can be on the wire.
    pub(super) fn longest_attempt(&self, targets: &BTreeMap<TargetName, Draft>) -> Duration {
        let bounds = || targets.values().flat_map(|target| [&target.spec.step, &target.spec.undo]);
        let on_routes = self.specs.iter().filter_map(|route| match &route.action {
            Action::Operation(operation) => Some(operation),
            Action::Pass(_) => None,
        });
        let overridden = on_routes.flat_map(|operation| {
            let step = targets.values().map(|target| operation.step_limits.over(&target.spec.step));
            step.chain(targets.values().map(|target| operation.undo_limits.over(&target.spec.undo)))
        });
        let longest = bounds().map(longest_attempt).chain(overridden.map(|limits| longest_attempt(&limits))).max();
        longest.unwrap_or_else(|| longest_attempt(&defaults::limits()))
    }
}

/// All routes of the file.
pub(super) fn routes(
    file: &file::File,
    mounts: &[Mount],
    targets: &BTreeMap<TargetName, Draft>,
    findings: &mut Findings<'_>,
) -> Routes {
    let nothing = file::Defaults::default();
    let common = file.defaults.as_ref().unwrap_or(&nothing);
    let mut routes = Routes::default();
    let mut names: BTreeSet<String> =
        file.routes.iter().filter_map(|route| Some(route.name.as_ref()?.0.0.clone())).collect();
    for (index, route) in file.routes.iter().enumerate() {
        let place = Place::of(["routes"]).index(index);
        let name = name(route, &names);
        names.insert(name.clone());
        routes.names.push(name.clone());
        let mut reader = Reader { route, place, common, mounts, targets, findings };
        routes.specs.push(reader.read(name));
    }
    routes
}

/// The name that the route has, or one made from what it matches.
fn name(route: &file::Route, taken: &BTreeSet<String>) -> String {
    if let Some(name) = &route.name {
        return name.0.0.clone();
    }
    let text = route.matches.as_ref().map_or_else(String::new, |matches| {
        format!("{}{}", matches.0.method.as_str().to_ascii_lowercase(), matches.0.pattern)
    });
    let words: Vec<String> = text
        .split('/')
        .map(|segment| {
            segment.chars().filter(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter)).collect()
        })
        .filter(|word: &String| !word.is_empty())
        .collect();
    let name = words.join("-");
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .expect("there are more numbers than routes")
}

/// Reads one route.
struct Reader<'a, 'f, 'd> {
    route: &'a file::Route,
    place: Place,
    common: &'a file::Defaults,
    mounts: &'a [Mount],
    targets: &'a BTreeMap<TargetName, Draft>,
    findings: &'f mut Findings<'d>,
}

impl Reader<'_, '_, '_> {
    /// The route as far as it is right. Where a part is missing that has been told, something that nothing can be said
    /// against takes its place, so that planning finds what else is wrong.
    fn read(&mut self, name: String) -> RouteSpec {
        let action = self.action();
        let (method, pattern) = match &self.route.matches {
            Some(Text(RouteMatch { method, pattern })) => (method.clone(), pattern.clone()),
            None => self.meant_match(),
        };
        let (dialect, mount) = self.front(&pattern);
        RouteSpec { name, dialect, mount, method, pattern, action }
    }

    /// What a bad or missing `match` seems to say. Without its slash the pattern takes no place among those of other routes,
    /// but the names of its captures are known; a pattern of which nothing is known is empty.
    fn meant_match(&self) -> (Method, String) {
        let text = match self.findings.document().get(&self.place.key("match")).map(|node| &node.value) {
            Some(Value::Text(text)) => text.as_str(),
            _ => "",
        };
        let (method, pattern) = text.split_once('/').unwrap_or_default();
        let is_post = method.trim().eq_ignore_ascii_case("POST");
        (if is_post { Method::POST } else { Method::PUT }, pattern.to_owned())
    }

    fn action(&mut self) -> Action {
        let given: Vec<&str> = ["pass", "targets", "targets_from"].into_iter().filter(|key| self.has(key)).collect();
        match given.as_slice() {
            [] => {
                let wrong = Wrong::new("the route does not say what it calls");
                self.findings.bad_key(&self.place, wrong.hint("give it targets = [\"...\"], targets_from or pass"));
                let changes = self.route.matches.as_ref().is_none_or(|matches| !is_reading(&matches.0.method));
                // Planning says that this target is unknown, which is not told: that it is missing has been.
                if changes { self.operation() } else { Action::Pass("".into()) }
            }
            ["pass"] => self.pass(),
            [_] => self.operation(),
            [first, second, ..] => {
                let wrong =
                    Wrong::new(format!("{first} and {second} exclude each other")).hint("leave one of them out");
                self.findings.bad_key(&self.place.key(second), wrong);
                self.operation()
            }
        }
    }

    fn pass(&mut self) -> Action {
        if let Some(Value::Table(members)) = self.findings.document().get(&self.place).map(|node| &node.value) {
            for member in members {
                let key = member.key.as_str();
                let is_known = !self.findings.is_wrong(&self.place.key(key));
                if is_known && !["name", "dialect", "match", "pass"].contains(&key) {
                    let wrong = Wrong::new(format!("{key:?} means nothing on a route that passes requests through"));
                    self.findings
                        .bad_key(&self.place.key(key), wrong.hint("leave it out, or use targets instead of pass"));
                }
            }
        }
        let target = self.route.pass.as_deref().unwrap_or_default();
        self.check_target(target, &self.place.key("pass"));
        Action::Pass(target.into())
    }

    fn operation(&mut self) -> Action {
        self.check_combinations();
        let targets = self.selection();
        let (route, common) = (self.route, self.common);
        let spec = OperationSpec {
            targets,
            targets_max: route.targets_max.or(common.targets_max).map_or(defaults::TARGETS_MAX, to_usize),
            verb: route.verb.map(Verb::from),
            lock: route.lock.clone().map(|lock| (lock, route.on_locked.map_or(OnLocked::Reject, OnLocked::from))),
            dedupe: route.dedupe.clone(),
            delay: span(&route.delay),
            request: request(route.request.as_ref()),
            on: self.overrides(),
            forward_headers: route.forward_headers.iter().map(|name| name.0.0.as_str().to_owned()).collect(),
            undo: route.undo.as_ref().map(undo),
            probe: probe(route.probe.as_ref()),
            success: route.success.clone(),
            repeatable: route.repeatable,
            step_limits: level(route.retry.as_ref(), route.timeouts.as_ref(), route.response_body_max),
            undo_limits: level(route.undo_retry.as_ref(), route.timeouts.as_ref(), route.response_body_max),
            order: order(route),
            require: match route.require {
                None | Some(file::Require::All(_)) => Require::All,
                Some(file::Require::AtLeast(count)) => Require::AtLeast(count),
            },
            // Without waves it has been reported, or waves have a mistake; either way it is said already.
            wave_failures: route.waves.as_ref().and(route.wave_failures).unwrap_or(0),
            on_failure: route.on_failure.map_or(OnFailure::Rollback, OnFailure::from),
            on_unknown: route.on_unknown.map_or(OnUnknown::Fail, OnUnknown::from),
            on_undo_failure: route.on_undo_failure.map_or(OnUndoFailure::Attention, OnUndoFailure::from),
            deadline: span(&route.deadline).or(span(&common.deadline)).unwrap_or(defaults::DEADLINE),
            result: route
                .result
                .as_ref()
                .map(|result| ResultTemplate { status: result.status, body: result.body.as_ref().map(body) }),
            redaction: redaction([common.redact.as_ref(), route.redact.as_ref()], &route.reveal),
            retention: span(&route.retention).or(span(&common.retention)).unwrap_or(defaults::RETENTION),
        };
        Action::Operation(Box::new(spec))
    }

    fn selection(&mut self) -> Selection {
        if let Some(expression) = &self.route.targets_from {
            return Selection::From(expression.clone());
        }
        // A list with a mistake in it may hold any target.
        let Some(names) = &self.route.targets else { return Selection::From("request.json".to_owned()) };
        for (index, name) in names.iter().enumerate() {
            self.check_target(name, &self.place.key("targets").index(index));
        }
        Selection::Named(names.iter().map(|name| name.as_str().into()).collect())
    }

    fn check_target(&mut self, name: &str, place: &Place) {
        if self.targets.contains_key(&TargetName::from(name)) {
            return;
        }
        let wrong = Wrong::new(format!("there is no target {name:?}"));
        let known = || self.targets.keys().map(TargetName::as_str);
        let by_id = self.targets.iter().find(|(_, target)| target.spec.id == name);
        let hint = if let Some((target, _)) = by_id {
            format!("{name:?} is an id: write the name, {:?}", target.as_str())
        } else if let Some(hint) = spelling::did_you_mean(name, known()) {
            hint
        } else {
            format!("add a table [targets.{name}]")
        };
        self.findings.mistake(place, wrong.hint(hint));
    }

    fn overrides(&mut self) -> BTreeMap<TargetName, Override> {
        let mut overrides = BTreeMap::new();
        for (name, on) in &self.route.on {
            let place = self.place.key("on").key(name);
            self.check_target(name, &place);
            let changed = Override {
                request: request(on.request.as_ref()),
                undo: on.undo.as_ref().map(undo),
                probe: probe(on.probe.as_ref()),
            };
            overrides.insert(TargetName::from(name.as_str()), changed);
        }
        overrides
    }

    /// Keys that mean nothing without another one: a setting that has no effect is a mistake.
    fn check_combinations(&mut self) {
        let undo = self.has("undo") || self.route.on.values().any(|on| on.undo.is_some());
        let alone = [
            ("on_locked", self.has("lock"), "lock"),
            ("wave_failures", self.has("waves"), "waves"),
            ("undo_retry", undo, "undo"),
            ("on_undo_failure", undo, "undo"),
        ];
        for (key, has_other, other) in alone {
            if self.has(key) && !has_other {
                let wrong = Wrong::new(format!("{key:?} means nothing without {other:?}"));
                self.findings.bad_key(&self.place.key(key), wrong.hint(format!("add {other}, or leave it out")));
            }
        }
        if self.has("order") && self.has("waves") {
            let wrong = Wrong::new("order and waves exclude each other").hint("leave one of them out");
            self.findings.bad_key(&self.place.key("waves"), wrong);
        }
        if self.route.on_unknown == Some(file::OnUnknown::Undo) && !undo {
            let wrong =
                Wrong::new("on_unknown = \"undo\" on a route that has no undo").hint("add undo, or leave it out");
            self.findings.mistake(&self.place.key("on_unknown"), wrong);
        }
        if let Some(matches) = &self.route.matches
            && is_reading(&matches.0.method)
        {
            let wrong = Wrong::new(format!("{} changes nothing, so that it cannot be an operation", matches.0.method));
            let hint = "pass it through to one target: write pass = \"...\" in place of targets";
            self.findings.mistake(&self.place.key("match"), wrong.hint(hint));
        }
        for retry in ["retry", "undo_retry"] {
            self.check_backoff(retry);
        }
    }

    fn check_backoff(&mut self, key: &str) {
        let retry = if key == "retry" { &self.route.retry } else { &self.route.undo_retry };
        let limits = level(retry.as_ref(), None, None);
        if let (Some(backoff), Some(longest)) = (limits.backoff, limits.backoff_max)
            && backoff > longest
        {
            let place = self.place.key(key).key("backoff");
            self.findings.mistake(&place, Wrong::new("backoff is longer than backoff_max"));
        }
    }

    /// The wire format of the route, and the prefix of its mount.
    fn front(&mut self, pattern: &str) -> (DialectName, String) {
        let mounts = self.mounts;
        if self.route.matches.is_none() {
            self.check_mounted();
            return (DialectName::Native, String::new());
        }
        let around = mounts.iter().find(|mount| mount.below(pattern).is_some());
        let native = (DialectName::Native, String::new());
        match (self.route.dialect.map(DialectName::from), around) {
            (Some(DialectName::Native), _) | (None, None) => native,
            (None, Some(mount)) if self.route.pass.is_some() => (mount.dialect, mount.prefix.clone()),
            (None, Some(mount)) => {
                let (dialect, prefix) = (mount.dialect, &mount.prefix);
                let wrong = Wrong::new(format!(
                    "the route lies below the {dialect} mount {prefix:?}, but answers in the native format"
                ));
                let hint = format!("add dialect = \"{dialect}\", or dialect = \"native\" if that is meant");
                self.findings.warning(&self.place.key("match"), wrong.hint(hint));
                native
            }
            (Some(dialect), Some(mount)) if mount.dialect == dialect => (dialect, mount.prefix.clone()),
            (Some(dialect), _) => {
                // A mount with a mistake in it may be the one that is missing.
                if !self.findings.is_wrong(&Place::of(["mounts"])) {
                    let wrong = Wrong::new(format!("no {dialect} mount contains {pattern:?}"));
                    self.findings.mistake(&self.place.key("dialect"), wrong.hint(self.mount_hint(dialect)));
                }
                // Planning shall look at the rest of the route all the same.
                native
            }
        }
    }

    /// Where the path is not known, there must be a mount of the wire format at all.
    fn check_mounted(&mut self) {
        let Some(dialect) = self.route.dialect.map(DialectName::from) else { return };
        let is_mounted = dialect == DialectName::Native || self.mounts.iter().any(|mount| mount.dialect == dialect);
        if !is_mounted && !self.findings.is_wrong(&Place::of(["mounts"])) {
            let wrong = Wrong::new(format!("there is no {dialect} mount"));
            self.findings.mistake(&self.place.key("dialect"), wrong.hint(self.mount_hint(dialect)));
        }
    }

    fn mount_hint(&self, dialect: DialectName) -> String {
        let same = self.mounts.iter().filter(|mount| mount.dialect == dialect);
        let prefixes: Vec<String> = same.map(|mount| format!("{:?}", mount.prefix)).collect();
        match prefixes.as_slice() {
            [] => format!("add a [[mounts]] table with dialect = \"{dialect}\" and a prefix of this path"),
            _ => format!("the path must begin with {}", prefixes.join(" or ")),
        }
    }

    fn has(&self, key: &str) -> bool {
        self.findings.has(&self.place.key(key))
    }
}

fn is_reading(method: &Method) -> bool {
    [Method::GET, Method::OPTIONS].contains(method)
}

fn order(route: &file::Route) -> Order {
    match (&route.waves, route.order) {
        (Some(waves), _) => Order::Waves(waves.clone()),
        (None, Some(order)) => order.into(),
        (None, None) => Order::Parallel,
    }
}

fn undo(undo: &file::Undo) -> UndoRule {
    match undo {
        file::Undo::Restore(_) => UndoRule::Restore,
        file::Undo::Request(parts) => UndoRule::Request(Box::new(request(Some(parts)))),
    }
}

fn request(parts: Option<&file::RequestParts>) -> RequestTemplate {
    let Some(parts) = parts else { return RequestTemplate::default() };
    RequestTemplate {
        method: parts.method.map(|method| method.name().to_owned()),
        path: parts.path.clone(),
        query: parts.query.clone(),
        headers: parts.headers.clone(),
        body: parts.body.as_ref().map(body),
    }
}

/// A probe with a key missing has been reported; the rest of it is of no further use.
fn probe(probe: Option<&file::Probe>) -> Option<ProbeRule> {
    let probe = probe?;
    Some(ProbeRule { path: probe.path.clone()?, applied: probe.applied.clone()? })
}

fn body(body: &file::Body) -> BodyTemplate {
    match &body.0 {
        serde_json::Value::String(text) => BodyTemplate::Text(text.clone()),
        json => BodyTemplate::Json(json.clone()),
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
