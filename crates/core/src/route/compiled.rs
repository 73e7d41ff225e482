//! A policy in the form that is carried out: its templates and expressions compiled once. Made when configuration is loaded, for
//! the mistakes in it, and from the policy of an operation to carry it out; callers keep it by the policy's hash. What it does is in [`super::render`],
//! [`super::reading`] and [`super::poll`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::problem::{Problem, Problems};
use super::request::{CompiledBody, CompiledRequest};
use super::sees::{self, Sees};
use super::template::{Expression, Mode, Template};
use crate::TargetName;
use crate::plan::{Monitor, Policy, ProbeRule, ResultTemplate, TargetPolicy, UndoRule};

/// A compiled policy.
#[derive(Debug)]
pub struct CompiledPolicy {
    targets: BTreeMap<TargetName, Arc<CompiledTarget>>,
    pub(crate) result: Option<CompiledResult>,
}

impl CompiledPolicy {
    /// Compiles a policy. The policy of a loaded configuration always compiles; one that an older version stored may not. Places
    /// are within the policy: `targets.tokyo.undo.path`.
    pub fn new(policy: &Policy) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let result = policy.result.as_ref().map(|result| {
            problems.below(&["result".into()], |problems| compile_result(result, &sees::RESULT, problems))
        });
        let mut distinct: Vec<(&TargetPolicy, Arc<CompiledTarget>)> = Vec::new();
        let mut targets = BTreeMap::new();
        for (name, target) in &policy.targets {
            let known =
                distinct.iter().find(|(other, _)| same_templates(other, target)).map(|(_, known)| Arc::clone(known));
            let compiled = known.or_else(|| {
                let place = ["targets".into(), name.as_str().into()];
                let compiled = Arc::new(problems.below(&place, |problems| CompiledTarget::compile(target, problems))?);
                distinct.push((target, Arc::clone(&compiled)));
                Some(compiled)
            });
            if let Some(compiled) = compiled {
                targets.insert(name.clone(), compiled);
            }
        }
        let found = problems.into_found();
        if found.is_empty() { Ok(Self { targets, result: result.flatten() }) } else { Err(found) }
    }

    /// What is compiled for one target; `None` if the policy does not cover it.
    pub fn target(&self, name: &TargetName) -> Option<&Arc<CompiledTarget>> {
        self.targets.get(name)
    }
}

/// What is compiled for one target of a policy. Targets whose rules are the same share it.
#[derive(Debug)]
pub struct CompiledTarget {
    pub(crate) monitor: CompiledMonitor,
    pub(crate) success: Option<Expression>,
    undo: Option<CompiledUndo>,
    probe: Option<CompiledProbe>,
}

impl CompiledTarget {
    /// Compiles the rules of one target, whose places are as in the policy.
    pub(crate) fn compile(policy: &TargetPolicy, problems: &mut Problems) -> Option<Self> {
        let is_restored = matches!(policy.undo, Some(UndoRule::Restore));
        let monitor = problems.below(&["monitor".into()], |problems| compile_monitor(&policy.monitor, problems));
        let success =
            policy.success.as_ref().map(|source| problems.expression(&["success".into()], source, &sees::ANSWER));
        let undo = policy
            .undo
            .as_ref()
            .map(|rule| problems.below(&["undo".into()], |problems| compile_undo(rule, None, problems)));
        let probe = policy
            .probe
            .as_ref()
            .map(|rule| problems.below(&["probe".into()], |problems| compile_probe(rule, is_restored, None, problems)));
        // A rule that is there but did not compile leaves nothing at all.
        if matches!(success, Some(None)) || matches!(undo, Some(None)) || matches!(probe, Some(None)) {
            return None;
        }
        Some(Self { monitor: monitor?, success: success.flatten(), undo: undo.flatten(), probe: probe.flatten() })
    }

    /// How a step at this target is undone; `None`: it is not.
    pub fn undo(&self) -> Option<&CompiledUndo> {
        self.undo.as_ref()
    }

    /// How to find out whether a request was applied; `None`: there is no way.
    pub fn probe(&self) -> Option<&CompiledProbe> {
        self.probe.as_ref()
    }
}

/// How a step is undone.
#[derive(Debug)]
pub enum CompiledUndo {
    /// By a request of its own.
    Request(Box<UndoTemplate>),
    /// By writing back what was read before the change: [`super::restore_request`].
    Restore,
}

/// The template of an undo request.
#[derive(Debug)]
pub struct UndoTemplate {
    pub(crate) method: http::Method,
    pub(crate) request: CompiledRequest,
}

/// How to find out whether a request was applied.
#[derive(Debug)]
pub struct CompiledProbe {
    pub(crate) path: Template,
    pub(crate) applied: Expression,
}

/// How a 202 is followed.
#[derive(Debug)]
pub(crate) enum CompiledMonitor {
    Unset,
    None,
    Msf,
    Plas,
    Location,
    Poll(Box<CompiledPoll>),
}

/// A compiled poll rule.
#[derive(Debug)]
pub(crate) struct CompiledPoll {
    pub(crate) path: Template,
    pub(crate) done: Expression,
    pub(crate) success: Expression,
}

/// The final response of a completed operation.
#[derive(Debug)]
pub(crate) struct CompiledResult {
    pub(crate) status: u16,
    pub(crate) body: Option<CompiledBody>,
}

/// Compiles an undo rule; `captures` are known while configuration is loaded.
pub(crate) fn compile_undo(
    rule: &UndoRule,
    captures: Option<&[String]>,
    problems: &mut Problems,
) -> Option<CompiledUndo> {
    let template = match rule {
        UndoRule::Restore => return Some(CompiledUndo::Restore),
        UndoRule::Request(template) => template,
    };
    if template.method.is_none() {
        let hint = "add `method = \"DELETE\"`, or POST, PUT or PATCH";
        problems.mistake_with_hint(&["method".into()], "an undo request needs a method", hint);
    }
    let request = CompiledRequest::compile(template, &sees::UNDO.with_captures(captures), problems)?;
    Some(CompiledUndo::Request(Box::new(UndoTemplate { method: request.method.clone()?, request })))
}

/// Compiles a probe rule. The snapshot is there only where a restore is the undo.
pub(crate) fn compile_probe(
    rule: &ProbeRule,
    is_restored: bool,
    captures: Option<&[String]>,
    problems: &mut Problems,
) -> Option<CompiledProbe> {
    let sees = if is_restored { sees::PROBE_OF_RESTORE } else { sees::UNDO }.with_captures(captures);
    let path = problems.template(&["path".into()], Mode::Path, &rule.path, &sees);
    let applied = problems.expression(&["applied".into()], &rule.applied, &sees);
    Some(CompiledProbe { path: path?, applied: applied? })
}

/// A path that begins with a value would never be one: a value is one segment, its slashes encoded. This is a mistake while
/// configuration is loaded; what is recorded is not judged again.
pub(crate) fn check_beginning(path: Option<&String>, problems: &mut Problems) {
    if path.is_some_and(|path| path.trim_start().starts_with("{{")) {
        let hint = "write the path itself, with a value for each segment: \"/jobs/{{ response.json.id }}\"; \
                    a target that gives whole addresses in a header is followed by `monitor = \"location\"`";
        problems.mistake_with_hint(
            &["path".into()],
            "a path begins with `/`, and a value stands for one segment: slashes in it are encoded",
            hint,
        );
    }
}

/// Compiles a monitor.
pub(crate) fn compile_monitor(monitor: &Monitor, problems: &mut Problems) -> Option<CompiledMonitor> {
    Some(match monitor {
        Monitor::Unset => CompiledMonitor::Unset,
        Monitor::None => CompiledMonitor::None,
        Monitor::Msf => CompiledMonitor::Msf,
        Monitor::Plas => CompiledMonitor::Plas,
        Monitor::Location => CompiledMonitor::Location,
        Monitor::Poll(rule) => {
            let path = problems.template(&["path".into()], Mode::Path, &rule.path, &sees::ANSWER);
            let done = problems.expression(&["done".into()], &rule.done, &sees::ANSWER);
            let success = problems.expression(&["success".into()], &rule.success, &sees::ANSWER);
            CompiledMonitor::Poll(Box::new(CompiledPoll { path: path?, done: done?, success: success? }))
        }
    })
}

/// Compiles a result; what it `sees` is known best while configuration is loaded.
pub(crate) fn compile_result(
    result: &ResultTemplate,
    sees: &Sees<'_>,
    problems: &mut Problems,
) -> Option<CompiledResult> {
    let status = result.status.unwrap_or(200);
    if !(200..=599).contains(&status) {
        problems.mistake(&["status".into()], format!("{status} is not the status of a final response (200 to 599)"));
    }
    let body = result
        .body
        .as_ref()
        .map(|body| problems.below(&["body".into()], |problems| CompiledBody::compile(body, None, sees, problems)));
    match body {
        Some(None) => None,
        Some(Some(body)) => Some(CompiledResult { status, body: Some(body) }),
        None => Some(CompiledResult { status, body: None }),
    }
}

fn same_templates(one: &TargetPolicy, other: &TargetPolicy) -> bool {
    one.monitor == other.monitor && one.success == other.success && one.undo == other.undo && one.probe == other.probe
}
