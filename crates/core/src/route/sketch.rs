//! What a dry run shows of an operation that nobody has accepted: made of its plan and the compiled rules of its route.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Answered, CompiledPolicy, OperationValues, StepValues, UndoPreview, seal};
use crate::dialect::native::{
    PlannedKey, PlannedNotice, PlannedOperation, PlannedProbe, PlannedTarget, PlannedUndo, RequestForm, SampleAnswer,
};
use crate::dialect::{Bodies, View};
use crate::plan::{OnFailure, OnUndoFailure, OnUnknown, Order};
use crate::{Body, Operation, OperationId, Request, Slot, StepIndex, TargetName};

/// What a dry run is made of.
#[derive(Debug)]
pub struct Sketch<'a> {
    /// The operation as it would be accepted, every message in its original form.
    pub operation: &'a Operation,
    /// Its policy.
    pub policy: &'a CompiledPolicy,
    /// What targets are taken to answer.
    pub answers: &'a BTreeMap<TargetName, SampleAnswer>,
    /// What stands before the paths of each target that is configured.
    pub addresses: &'a BTreeMap<TargetName, String>,
    /// Its idempotency key.
    pub idempotency_key: Option<PlannedKey>,
    /// The operation that this request was accepted as before.
    pub repeats: Option<OperationId>,
    /// Who is told.
    pub told: Vec<PlannedNotice>,
}

impl Sketch<'_> {
    /// The form of it.
    pub fn form(self) -> PlannedOperation {
        let plan = &self.operation.plan;
        let (public, _) = seal(crate::Plan::clone(plan));
        let mut shown = self.operation.clone();
        shown.plan = std::sync::Arc::new(public);
        let bodies = Bodies::new();
        let view = View { operation: &shown, bodies: &bodies };
        let policy = &plan.policy;
        let targets = plan.indexed_steps().map(|(index, _)| self.target(view, index)).collect();
        PlannedOperation {
            verb: plan.verb,
            resource: plan.resource.clone(),
            captures: plan.captures.clone(),
            issues_resource_id: plan.resource_id.is_some(),
            lock: plan.lock.clone(),
            retry_of: plan.retry_of,
            start_at: plan.start_at,
            order: policy.order.clone(),
            require: policy.require,
            rules: rules(&shown),
            deadline_ms: millis(policy.deadline),
            retention_ms: millis(policy.retention),
            request: RequestForm::of(view, &shown.plan.request, Slot::Request),
            targets,
            notes: self.notes(),
            idempotency_key: self.idempotency_key,
            repeats: self.repeats,
            told: self.told,
        }
    }

    fn target(&self, view: View<'_>, index: StepIndex) -> PlannedTarget {
        let plan = &view.operation.plan;
        let (step, policy) = (&plan.steps[index.get()], plan.step_policy(index));
        let address = self.addresses.get(&step.target);
        let at = |request: RequestForm| match address {
            Some(address) => RequestForm { uri: format!("{address}{}", request.uri), ..request },
            None => request,
        };
        PlannedTarget {
            target: step.target.clone(),
            id: step.target_id.clone(),
            wave: step.wave,
            is_configured: address.is_some(),
            forward: at(RequestForm::of(view, &step.request, Slot::StepRequest(index))),
            repeatable: plan.safe_to_repeat(index),
            success: policy.success.clone(),
            monitor: policy.monitor.clone(),
            undo: self.undo(index, &at),
            probe: self.probe(index, &at),
            limits: policy.step.clone(),
            undo_limits: policy.undo_limits.clone(),
            settle_ms: millis(policy.settle),
        }
    }

    /// What is rendered after acceptance sees originals.
    fn with_values<T>(&self, index: StepIndex, use_them: impl FnOnce(&StepValues<'_>) -> T) -> T {
        let plan = &self.operation.plan;
        let request_body = in_place(&plan.request.body);
        let operation =
            OperationValues { operation: self.operation.id, plan, request: &plan.request, request_body: &request_body };
        let sample = self.answers.get(&plan.steps[index.get()].target);
        let body = sample.and_then(|sample| sample.body.as_ref()?.octets()).unwrap_or_default();
        let response = sample.map(|sample| Answered {
            status: sample.status,
            headers: &sample.headers,
            body: &body,
            complete: true,
        });
        use_them(&StepValues { operation, step: index, response, snapshot: None })
    }

    fn undo(&self, index: StepIndex, at: &dyn Fn(RequestForm) -> RequestForm) -> PlannedUndo {
        let form = |request: &Request| Some(at(RequestForm::alone(request)));
        let target = &self.operation.plan.steps[index.get()].target;
        let Some(compiled) = self.policy.target(target) else { return PlannedUndo::nothing("none", None) };
        match self.with_values(index, |values| compiled.preview_undo(values)) {
            UndoPreview::Nothing => {
                PlannedUndo::nothing("none", Some("there is no undo: what succeeded stays".to_owned()))
            }
            UndoPreview::Request(preview) => PlannedUndo {
                request: form(&preview.request),
                is_known_later: preview.is_later,
                note: preview.is_later.then(|| KNOWN_LATER.to_owned()),
                ..PlannedUndo::nothing("request", None)
            },
            UndoPreview::NotRendered { trouble, fails: true } => {
                let note = format!("with this answer the undo fails: {}", trouble.detail);
                PlannedUndo::nothing("request", Some(note))
            }
            UndoPreview::NotRendered { trouble, fails: false } => PlannedUndo {
                is_known_later: true,
                ..PlannedUndo::nothing("request", Some(format!("{KNOWN_LATER} ({})", trouble.detail)))
            },
            UndoPreview::Restore { there, absent } => PlannedUndo {
                request: form(&there.request),
                if_absent: absent.and_then(|absent| form(&absent.request)),
                is_known_later: true,
                ..PlannedUndo::nothing("restore", Some(RESTORE.to_owned()))
            },
        }
    }

    fn probe(&self, index: StepIndex, at: &dyn Fn(RequestForm) -> RequestForm) -> Option<PlannedProbe> {
        let plan = &self.operation.plan;
        let applied = plan.step_policy(index).probe.as_ref()?.applied.clone();
        let compiled = self.policy.target(&plan.steps[index.get()].target)?;
        Some(match self.with_values(index, |values| compiled.preview_probe(values))? {
            Ok(preview) => PlannedProbe {
                request: Some(at(RequestForm::alone(&preview.request))),
                applied,
                note: preview.is_later.then(|| KNOWN_LATER.to_owned()),
            },
            Err(trouble) => PlannedProbe { request: None, applied, note: Some(trouble.detail) },
        })
    }

    fn notes(&self) -> Vec<String> {
        let plan = &self.operation.plan;
        let is_called = |target: &TargetName| plan.steps.iter().any(|step| step.target == *target);
        let mut notes: Vec<String> = self
            .answers
            .keys()
            .filter(|target| !is_called(target))
            .map(|target| format!("there is a sample answer of {target}, which is not called"))
            .collect();
        if plan.lock.is_some() {
            notes.push("whether the lock is free shows only when the request comes".to_owned());
        }
        notes
    }
}

const KNOWN_LATER: &str = "what stands in {{ }} is known only after the answer";

const RESTORE: &str = "what was there is read before the change and written back; what somebody else has changed since is \
                       left alone, and the undo is a conflict then; without a strong entity tag that is found out by comparing";

impl PlannedUndo {
    fn nothing(kind: &str, note: Option<String>) -> Self {
        Self { kind: kind.to_owned(), request: None, if_absent: None, is_known_later: false, note }
    }
}

/// The rules that hold for the operation as a whole.
fn rules(operation: &Operation) -> Vec<String> {
    let plan = &operation.plan;
    let policy = &plan.policy;
    let count = plan.steps.len();
    let mut rules = vec![match &policy.order {
        Order::Parallel => "all targets are called at once".to_owned(),
        Order::Sequence => "targets are called one after the other".to_owned(),
        Order::Waves(_) => format!(
            "targets are called in waves; the next wave starts if at most {} of the last one failed",
            policy.wave_failures
        ),
    }];
    rules.push(format!("it is completed if {} of {count} succeed", plan.required()));
    rules.push(match policy.on_failure {
        OnFailure::Rollback => "otherwise what succeeded is undone".to_owned(),
        OnFailure::Hold => "otherwise a person chooses what is done".to_owned(),
    });
    rules.push(match policy.on_unknown {
        OnUnknown::Fail => "a target whose outcome is unknown counts as failed and is left alone".to_owned(),
        OnUnknown::Undo => "a target whose outcome is unknown is undone like those that succeeded".to_owned(),
        OnUnknown::Hold => "a person says what happened where an outcome is unknown".to_owned(),
    });
    rules.push(match policy.on_undo_failure {
        OnUndoFailure::Attention => "an undo that fails is noted for a person".to_owned(),
        OnUndoFailure::Hold => "an undo that fails is noted for a person, and its target is put on hold".to_owned(),
    });
    rules
}

fn in_place(body: &Body) -> Bytes {
    match &body.0 {
        crate::Content::Inline(octets) => octets.clone(),
        crate::Content::Empty | crate::Content::Apart { .. } | crate::Content::Same(_) => Bytes::new(),
    }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
