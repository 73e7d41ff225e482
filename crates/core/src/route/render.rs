//! What is rendered after acceptance: undo requests, probes, and the result of a completed operation. Everything a template may
//! see is given by the caller in its original form; the public forms of a record are not enough.

use std::fmt;

use bytes::Bytes;
use http::Method;

use super::compiled::{CompiledPolicy, CompiledProbe, UndoTemplate};
use super::request::uri;
use super::scope::{Accepted, Answered, Scope};
use crate::message::Headers;
use crate::operation::{Consistency, Image, Outcome, ProbeVerdict, Trouble, TroubleKind};
use crate::plan::Plan;
use crate::{Answer, Body, OperationId, Request, StepIndex, TargetName};

/// The accepted request and what became of it, in original form.
#[derive(Debug, Clone, Copy)]
pub struct OperationValues<'a> {
    /// The operation.
    pub operation: OperationId,
    /// Its plan.
    pub plan: &'a Plan,
    /// The original of [`Plan::request`].
    pub request: &'a Request,
    /// The original body of that.
    pub request_body: &'a Bytes,
}

/// What the templates of one step see.
#[derive(Debug, Clone, Copy)]
pub struct StepValues<'a> {
    /// The accepted request.
    pub operation: OperationValues<'a>,
    /// The step.
    pub step: StepIndex,
    /// The answer that decided the step, if it was answered.
    pub response: Option<Answered<'a>>,
    /// What was read before the change, with its body, if the resource was there.
    pub snapshot: Option<(&'a Image, &'a Bytes)>,
}

/// What became of one target, for a result.
#[derive(Debug, Clone, Copy)]
pub struct TargetResult<'a> {
    /// Its name.
    pub target: &'a TargetName,
    /// The outcome of its step.
    pub outcome: Outcome,
    /// The answer that decided it.
    pub response: Option<Answered<'a>>,
}

impl UndoTemplate {
    /// The undo request in its original form. Nothing of the client's request is in it but what the templates name. The path is
    /// that of the step where the template gives none.
    pub fn render(&self, values: &StepValues<'_>) -> Result<Request, Trouble> {
        self.render_in(&values.scope(), values.step_path())
    }

    /// The same of these values.
    pub(super) fn render_in(&self, scope: &Scope, step_path: &str) -> Result<Request, Trouble> {
        let parts = self.request.render(scope).map_err(|error| not_rendered("undo request", error))?;
        let path = parts.path.unwrap_or_else(|| step_path.to_owned());
        let mut headers = parts.headers;
        if parts.is_json && !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(json_content_type());
        }
        let query = parts.query.filter(|query| !query.is_empty());
        Ok(Request {
            method: self.method.clone(),
            uri: uri(&path, query.as_deref()),
            headers,
            body: Body::inline(parts.body.unwrap_or_default()),
            sealed: false,
        })
    }
}

impl CompiledProbe {
    /// The probe: a `GET`.
    pub fn request(&self, values: &StepValues<'_>) -> Result<Request, Trouble> {
        self.request_in(&values.scope())
    }

    /// The same of these values.
    pub(super) fn request_in(&self, scope: &Scope) -> Result<Request, Trouble> {
        let path = self.path.render(scope).map_err(|error| not_rendered("probe", error))?;
        Ok(Request { method: Method::GET, uri: path, headers: Vec::new(), body: Body::default(), sealed: false })
    }

    /// What the answer to the probe shows. The condition sees it as `response`. It is asked only where the answer is about the
    /// resource (2xx, 404, 410): an error of the target shows nothing.
    pub fn read(&self, values: &StepValues<'_>, answer: &Answered<'_>) -> ProbeVerdict {
        if !matches!(answer.status, 200..=299 | 404 | 410) {
            return ProbeVerdict::Unclear;
        }
        match self.applied.holds(&values.scope().with_response(answer)) {
            Ok(true) => ProbeVerdict::Applied,
            Ok(false) => ProbeVerdict::NotApplied,
            Err(_) => ProbeVerdict::Unclear,
        }
    }
}

impl CompiledPolicy {
    /// The final response of a completed operation as the route's `result` gives it; `None` if the route has none.
    pub fn compose<'a>(
        &self,
        values: &OperationValues<'a>,
        targets: &[TargetResult<'a>],
    ) -> Option<Result<Answer, Trouble>> {
        let result = self.result.as_ref()?;
        let Some(template) = &result.body else {
            return Some(Ok(answer(result.status, Vec::new(), Body::default())));
        };
        let targets = targets.iter().map(|target| (target.target, outcome_word(target.outcome), target.response));
        let scope = values.scope().with_targets(targets);
        let body = template.render(&scope).map_err(|error| not_rendered("result", error));
        let headers = if template.is_json() { vec![json_content_type()] } else { Vec::new() };
        Some(body.map(|body| answer(result.status, headers, Body::inline(body))))
    }
}

impl OperationValues<'_> {
    fn scope(&self) -> Scope {
        let (path, query) = self
            .request
            .uri
            .split_once('?')
            .map_or((self.request.uri.as_str(), None), |(path, query)| (path, Some(query)));
        Scope::accepted(&Accepted {
            operation: self.plan.first.unwrap_or(self.operation),
            resource_id: self.plan.resource_id.as_deref(),
            captures: &self.plan.captures,
            method: &self.request.method,
            path,
            query,
            headers: &self.request.headers,
            body: self.request_body,
        })
    }
}

impl StepValues<'_> {
    pub(super) fn scope(&self) -> Scope {
        let step = &self.operation.plan.steps[self.step.get()];
        let mut scope = self.operation.scope().with_target(&step.target, &step.target_id);
        if let Some(answer) = &self.response {
            scope = scope.with_response(answer);
        }
        match self.snapshot {
            Some((Image::Present { content_type, .. }, body)) => scope.with_snapshot(content_type.as_deref(), body),
            Some((Image::Absent, _)) | None => scope,
        }
    }

    /// The path of the forward request, which redaction leaves alone.
    pub(super) fn step_path(&self) -> &str {
        let uri = &self.operation.plan.steps[self.step.get()].request.uri;
        uri.split_once('?').map_or(uri, |(path, _)| path)
    }
}

/// The request that brings back what was read before a change, for `undo = "restore"`. `before` and `after` are what was read
/// around the change, `representation` the body of `before`.
///
/// - It was not there: `DELETE`, of the version that the change made.
/// - The change was a `DELETE`: `PUT` where nothing has come up since.
/// - Else `PUT` over the version that the change made.
///
/// Without a strong entity tag there is no condition: whoever sends compares the representations first.
pub fn restore_request(forward: &Request, before: &Image, after: Option<&Image>, representation: &Bytes) -> Request {
    let if_match = match after {
        Some(Image::Present { etag: Some(etag), .. }) => Some(("if-match".to_owned(), etag.clone())),
        Some(Image::Present { etag: None, .. } | Image::Absent) | None => None,
    };
    let content_type = match before {
        Image::Absent => {
            return Request {
                method: Method::DELETE,
                uri: forward.uri.clone(),
                headers: if_match.into_iter().collect(),
                body: Body::default(),
                sealed: false,
            };
        }
        Image::Present { content_type, .. } => content_type,
    };
    let condition =
        if forward.method == Method::DELETE { Some(("if-none-match".to_owned(), "*".to_owned())) } else { if_match };
    let content_type = content_type.as_ref().map(|value| ("content-type".to_owned(), value.clone()));
    Request {
        method: Method::PUT,
        uri: forward.uri.clone(),
        headers: content_type.into_iter().chain(condition).collect(),
        body: Body::inline(representation.clone()),
        sealed: false,
    }
}

fn answer(status: u16, headers: Headers, body: Body) -> Answer {
    Answer { status, headers, body, complete: true, sealed: false }
}

fn json_content_type() -> (String, String) {
    ("content-type".to_owned(), "application/json".to_owned())
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed {
            consistency:
                Consistency::RolledBack | Consistency::Updated | Consistency::NotConsistent | Consistency::Unknown,
        } => "failed",
        Outcome::Unknown => "unknown",
        Outcome::Skipped => "skipped",
    }
}

fn not_rendered(what: &str, error: impl fmt::Display) -> Trouble {
    Trouble { kind: TroubleKind::Template, detail: format!("the {what} could not be rendered: {error}") }
}

#[cfg(test)]
mod tests;
