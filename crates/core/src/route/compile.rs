//! Compiles one route, and tells every mistake in it at its place in the configuration. What concerns several routes is
//! [`super::table`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Method;

use super::compiled::{CompiledPolicy, check_beginning, compile_probe, compile_result, compile_undo};
use super::handling::{Handling, OperationRoute, Route};
use super::headers;
use super::problem::{Place, Problems};
use super::request::{CHANGES, CompiledRequest};
use super::sees::{ACCEPTED, ANSWER, FORWARD, RESULT};
use super::select::{Directory, Selector};
use super::spec::{Action, OperationSpec, RouteSpec, Selection, TargetSpec};
use super::template::{Mode, Template};
use crate::TargetName;
use crate::dialect::dialect;
use crate::plan::Verb;
use crate::plan::{Order, Policy, RequestTemplate, Require, TargetPolicy, UndoRule};

/// The most targets that any operation may have: positions of steps are numbers of 16 bits.
const TARGETS_MAX: usize = u16::MAX as usize;

/// Methods that may be passed through. `HEAD` is answered by the route for `GET`.
const PASSED: [Method; 6] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Compiles a route whose pattern captures these names; `None`: nobody knows which. `None` if there are mistakes.
pub(crate) fn route(
    route: &RouteSpec,
    captures: Option<&[String]>,
    targets: &BTreeMap<TargetName, TargetSpec>,
    directory: &Arc<Directory>,
    problems: &mut Problems,
) -> Option<Route> {
    let handling = match &route.action {
        Action::Pass(target) => {
            check_method(&route.method, &PASSED, "cannot be passed through", problems);
            if !targets.contains_key(target) {
                problems.mistake(&["pass".into()], format!("there is no target `{target}`"));
            }
            Some(Handling::Pass(target.clone()))
        }
        Action::Operation(spec) => {
            check_method(&route.method, &CHANGES, "changes nothing, so there is no operation", problems);
            let compiler = Compiler { route, spec, captures, targets, problems };
            compiler.compile(directory).map(|operation| Handling::Operation(Box::new(operation)))
        }
    };
    Some(Route {
        name: route.name.clone(),
        dialect: route.dialect,
        mount: route.mount.clone(),
        method: route.method.clone(),
        pattern: route.pattern.clone(),
        handling: handling?,
    })
}

fn check_method(method: &Method, known: &[Method], why: &str, problems: &mut Problems) {
    if known.contains(method) {
        return;
    }
    let names: Vec<&str> = known.iter().map(Method::as_str).collect();
    let hint = if *method == Method::HEAD {
        "a route for GET answers HEAD too".to_owned()
    } else {
        format!("use one of {}", names.join(", "))
    };
    problems.mistake_with_hint(&["match".into()], format!("`{method}` {why}"), hint);
}

/// The kind of change that a method makes, where the route does not say.
fn verb_of(method: &Method) -> Verb {
    match *method {
        Method::PUT | Method::PATCH => Verb::Update,
        Method::DELETE => Verb::Delete,
        _ => Verb::Create,
    }
}

struct Compiler<'a, 'p> {
    route: &'a RouteSpec,
    spec: &'a OperationSpec,
    captures: Option<&'a [String]>,
    targets: &'a BTreeMap<TargetName, TargetSpec>,
    problems: &'p mut Problems,
}

impl Compiler<'_, '_> {
    fn compile(mut self, directory: &Arc<Directory>) -> Option<OperationRoute> {
        let before = self.problems.mistakes();
        let selector = self.selector(directory);
        let verb = self.verb();
        self.check_counts();
        self.check_headers();
        self.check_redaction();
        let lock = self.spec.lock.as_ref().map(|(source, on_locked)| (self.key("lock", source), *on_locked));
        let dedupe = self.spec.dedupe.as_ref().map(|source| self.key("dedupe", source));
        let request = self.request();
        let on = self.overrides(request.is_some());
        self.check_rules();
        self.check_restores();
        self.warn_of_no_undo();
        if self.problems.mistakes() > before {
            return None;
        }
        let policy = self.policy();
        // What is right for one target may be wrong for another one.
        if let Err(found) = CompiledPolicy::new(&policy) {
            found.iter().for_each(|problem| self.problems.mistake(&[], problem.to_string()));
            return None;
        }
        Some(OperationRoute {
            name: self.route.name.clone(),
            dialect: self.route.dialect,
            mount: self.route.mount.clone(),
            verb,
            policy_hash: policy.hash(),
            policy: Arc::new(policy),
            directory: Arc::clone(directory),
            selector: selector?,
            targets_max: self.spec.targets_max,
            lock: lock.and_then(|(template, on_locked)| Some((template?, on_locked))),
            dedupe: dedupe.flatten(),
            delay: self.spec.delay,
            forward_headers: self.spec.forward_headers.clone(),
            request: request?,
            on,
        })
    }

    fn selector(&mut self, directory: &Directory) -> Option<Selector> {
        let names = match &self.spec.targets {
            Selection::From(source) => {
                let sees = ACCEPTED.with_captures(self.captures);
                return self.problems.expression(&["targets_from".into()], source, &sees).map(Selector::From);
            }
            Selection::Named(names) => names,
        };
        if names.is_empty() {
            self.problems.mistake(&["targets".into()], "there is no target in the list");
        }
        let mut selected = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let place: [Place; 2] = ["targets".into(), at.into()];
            match directory.named(name) {
                None => self.problems.mistake(&place, format!("there is no target `{name}`")),
                Some(target) if selected.contains(&target) => {
                    self.problems.mistake(&place, format!("the target `{name}` stands in the list twice"));
                }
                Some(target) => selected.push(target),
            }
        }
        Some(Selector::Named(selected))
    }

    fn verb(&mut self) -> Verb {
        let verb = self.spec.verb.unwrap_or_else(|| verb_of(&self.route.method));
        if !dialect(self.route.dialect).allows(verb) {
            let message = format!("`{}` cannot show operations of this verb", self.route.dialect);
            self.problems.mistake_with_hint(&["verb".into()], message, "use create, update or delete");
        }
        verb
    }

    fn check_counts(&mut self) {
        let spec = self.spec;
        if !(1..=TARGETS_MAX).contains(&spec.targets_max) {
            self.problems.mistake(&["targets_max".into()], format!("it must be from 1 to {TARGETS_MAX}"));
        }
        let (place, selectable) = match &spec.targets {
            Selection::Named(names) => ("targets", names.len()),
            Selection::From(_) => ("targets_max", spec.targets_max),
        };
        if selectable > spec.targets_max {
            let message = format!("there are {selectable} targets, but only {} are allowed", spec.targets_max);
            self.problems.mistake_with_hint(&[place.into()], message, "raise `targets_max`");
        }
        match spec.require {
            Require::All => {}
            Require::AtLeast(0) => {
                self.problems.mistake(&["require".into()], "at least 1 step must be required to succeed")
            }
            Require::AtLeast(count) if usize::try_from(count).is_ok_and(|count| count <= selectable) => {}
            Require::AtLeast(count) => {
                let message =
                    format!("{count} steps must succeed, but there are only {selectable} targets at the most");
                let hint = "lower `require`, or let the route call more targets";
                self.problems.mistake_with_hint(&["require".into()], message, hint);
            }
        }
        match &spec.order {
            Order::Waves(sizes) if sizes.is_empty() => {
                self.problems.mistake(&["waves".into()], "there is no wave in the list");
            }
            Order::Waves(sizes) => {
                for (at, _) in sizes.iter().enumerate().filter(|(_, size)| **size == 0) {
                    self.problems.mistake(&["waves".into(), at.into()], "a wave has at least 1 step");
                }
            }
            Order::Parallel | Order::Sequence if spec.wave_failures > 0 => {
                let message = "`wave_failures` means nothing without `waves`";
                self.problems.mistake_with_hint(&["wave_failures".into()], message, "add `waves`, or leave it out");
            }
            Order::Parallel | Order::Sequence => {}
        }
    }

    fn check_headers(&mut self) {
        for (at, name) in self.spec.forward_headers.iter().enumerate() {
            let place: [Place; 2] = ["forward_headers".into(), at.into()];
            if http::HeaderName::from_lowercase(name.as_bytes()).is_err() {
                let message = format!("`{name}` is not the name of a header in lower case");
                self.problems.mistake_with_hint(&place, message, headers::NAME_HINT);
            } else if let Some(why) = headers::why_not_forwarded(name) {
                self.problems.mistake(&place, format!("`{name}` {why}"));
            }
        }
    }

    fn check_redaction(&mut self) {
        let redaction = &self.spec.redaction;
        for (key, pointers) in [("redact", &redaction.pointers), ("reveal", &redaction.reveal)] {
            for pointer in pointers.iter().filter(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
                let message = format!("`{pointer}` is no JSON pointer");
                self.problems.mistake_with_hint(&[key.into()], message, "write it as `/member/0/member`");
            }
        }
    }

    fn key(&mut self, place: &str, source: &str) -> Option<Template> {
        let sees = ACCEPTED.with_captures(self.captures);
        self.problems.template(&[place.into()], Mode::Text, source, &sees)
    }

    fn request(&mut self) -> Option<CompiledRequest> {
        let sees = FORWARD.with_captures(self.captures);
        self.problems
            .below(&["request".into()], |problems| CompiledRequest::compile(&self.spec.request, &sees, problems))
    }

    fn overrides(&mut self, is_route_right: bool) -> BTreeMap<TargetName, CompiledRequest> {
        let sees = FORWARD.with_captures(self.captures);
        let mut compiled = BTreeMap::new();
        for (name, on) in &self.spec.on {
            self.check_overridden(name);
            let place: [Place; 3] = ["on".into(), name.as_str().into(), "request".into()];
            self.problems.below(&place, |problems| {
                // The override alone first, so that a mistake of the route is not told again for each of its targets.
                let is_right = CompiledRequest::compile(&on.request, &sees, problems).is_some();
                if is_right && is_route_right {
                    let both = merge(&self.spec.request, &on.request);
                    compiled.extend(
                        CompiledRequest::compile(&both, &sees, problems).map(|request| (name.clone(), request)),
                    );
                }
            });
        }
        compiled
    }

    fn check_overridden(&mut self, name: &TargetName) {
        let place: [Place; 2] = ["on".into(), name.as_str().into()];
        if !self.targets.contains_key(name) {
            self.problems.mistake(&place, format!("there is no target `{name}`"));
        } else if let Selection::Named(names) = &self.spec.targets
            && !names.contains(name)
        {
            self.problems.mistake(&place, format!("the route does not call `{name}`"));
        }
    }

    /// Compiles undos, probes, conditions and the result at their places in the configuration, for the mistakes in them. What
    /// is carried out is compiled from the policy.
    fn check_rules(&mut self) {
        let (spec, captures) = (self.spec, self.captures);
        let undos = || spec.undo.iter().chain(spec.on.values().filter_map(|on| on.undo.as_ref()));
        let is_restored = undos().any(|rule| *rule == UndoRule::Restore);
        let on_target =
            |name: &TargetName, key: &str| -> Vec<Place> { vec!["on".into(), name.as_str().into(), key.into()] };
        let mut rules: Vec<(Vec<Place>, _, _)> = vec![(vec!["undo".into()], spec.undo.as_ref(), None)];
        rules.push((vec!["probe".into()], None, spec.probe.as_ref()));
        for (name, on) in &spec.on {
            rules.push((on_target(name, "undo"), on.undo.as_ref(), None));
            rules.push((on_target(name, "probe"), None, on.probe.as_ref()));
        }
        for (place, undo, probe) in rules {
            self.problems.below(&place, |problems| {
                if let Some(UndoRule::Request(template)) = undo {
                    check_beginning(template.path.as_ref(), problems);
                }
                check_beginning(probe.map(|probe| &probe.path), problems);
                if let Some(rule) = undo {
                    let _ = compile_undo(rule, captures, problems);
                }
                if let Some(rule) = probe {
                    let _ = compile_probe(rule, is_restored, captures, problems);
                }
            });
        }
        if let Some(source) = &spec.success {
            let _ = self.problems.expression(&["success".into()], source, &ANSWER);
        }
        if let Some(result) = &spec.result {
            let called: Vec<&str> = match &spec.targets {
                Selection::Named(names) => names.iter().map(TargetName::as_str).collect(),
                Selection::From(_) => self.targets.keys().map(TargetName::as_str).collect(),
            };
            let sees = RESULT.with_captures(captures).with_targets(&called);
            self.problems.below(&["result".into()], |problems| drop(compile_result(result, &sees, problems)));
        }
    }

    /// Nobody knows the address of what a `POST` creates before it is created.
    fn check_restores(&mut self) {
        let mut places: BTreeSet<Option<&TargetName>> = BTreeSet::new();
        for name in selectable(self.spec, self.targets) {
            let on = self.spec.on.get(name);
            let own_undo = on.and_then(|on| on.undo.as_ref());
            let own_method = on.and_then(|on| on.request.method.as_deref());
            let method = own_method.or(self.spec.request.method.as_deref()).unwrap_or(self.route.method.as_str());
            if method == Method::POST.as_str() && own_undo.or(self.spec.undo.as_ref()) == Some(&UndoRule::Restore) {
                places.insert(own_undo.map(|_| name));
            }
        }
        for target in places {
            let place: Vec<Place> = match target {
                Some(name) => vec!["on".into(), name.as_str().into(), "undo".into()],
                None => vec!["undo".into()],
            };
            let hint = "give the undo request itself: { method = \"DELETE\", path = \"...\" }";
            self.problems.mistake_with_hint(&place, "what a `POST` changes cannot be read before and restored", hint);
        }
    }

    fn warn_of_no_undo(&mut self) {
        let has_undo = |name: &&TargetName| self.spec.on.get(*name).is_some_and(|on| on.undo.is_some());
        let may_be_several = match &self.spec.targets {
            Selection::Named(names) => names.len() > 1,
            Selection::From(_) => self.spec.targets_max > 1 && self.targets.len() > 1,
        };
        if may_be_several
            && self.spec.undo.is_none()
            && !selectable(self.spec, self.targets).all(|name| has_undo(&name))
        {
            let message = "several targets and no `undo`: where only some of them succeed, they stay different";
            self.problems.warning(&[], message, "add `undo`");
        }
    }

    fn policy(&self) -> Policy {
        let spec = self.spec;
        let targets = selectable(spec, self.targets).map(|name| {
            let (target, on) = (&self.targets[name], spec.on.get(name));
            let policy = TargetPolicy {
                monitor: target.monitor.clone(),
                step: spec.step_limits.over(&target.step),
                undo_limits: spec.undo_limits.over(&target.undo),
                settle: target.settle,
                repeatable: spec.repeatable,
                success: spec.success.clone(),
                undo: on.and_then(|on| on.undo.clone()).or_else(|| spec.undo.clone()),
                probe: on.and_then(|on| on.probe.clone()).or_else(|| spec.probe.clone()),
            };
            (name.clone(), policy)
        });
        Policy {
            order: spec.order.clone(),
            require: spec.require,
            wave_failures: spec.wave_failures,
            on_failure: spec.on_failure,
            on_unknown: spec.on_unknown,
            on_undo_failure: spec.on_undo_failure,
            deadline: spec.deadline,
            result: spec.result.clone(),
            redaction: spec.redaction.clone(),
            retention: spec.retention,
            targets: targets.collect(),
        }
    }
}

/// The targets that a request may select.
fn selectable<'a>(
    spec: &'a OperationSpec,
    targets: &'a BTreeMap<TargetName, TargetSpec>,
) -> impl Iterator<Item = &'a TargetName> {
    targets.keys().filter(|name| match &spec.targets {
        Selection::Named(names) => names.contains(name),
        Selection::From(_) => true,
    })
}

/// The parts of the route, with those of one target in their place.
fn merge(route: &RequestTemplate, on: &RequestTemplate) -> RequestTemplate {
    let mut headers: BTreeMap<String, String> =
        route.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    headers.extend(on.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
    RequestTemplate {
        method: on.method.clone().or_else(|| route.method.clone()),
        path: on.path.clone().or_else(|| route.path.clone()),
        query: on.query.clone().or_else(|| route.query.clone()),
        headers,
        body: on.body.clone().or_else(|| route.body.clone()),
    }
}
