//! From record and history to spans.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{About, Span, SpanEvent, SpanId, SpanKind, SpanStatus, TraceContext, Value};
use crate::operation::{Found, Gate, Image, Leg, ProbeVerdict, Purpose, Reading, Status, Timer, Trouble};
use crate::{Event, Operation, Request, StepIndex};

/// Every span of an operation that has ended, the one of the operation first. `history` is complete, the oldest event first.
pub fn spans(operation: &Operation, history: &[(Timestamp, Event)]) -> Vec<Span> {
    let Some(end) = operation.end() else { return Vec::new() };
    let mut teller = Teller::new(operation, end.at);
    for (at, event) in history {
        teller.take(*at, event);
    }
    teller.told()
}

pub(super) struct Teller<'a> {
    operation: &'a Operation,
    context: TraceContext,
    ended_at: Timestamp,
    root: SpanId,
    /// Events of the operation as a whole.
    events: Vec<SpanEvent>,
    parts: BTreeMap<(StepIndex, bool), Part>,
    spans: Vec<Span>,
    ids: BTreeSet<SpanId>,
}

/// A step or an undo as a whole.
#[derive(Default)]
struct Part {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    attempts: u32,
    probes: u32,
    undos: u32,
    /// The span that lasts, by its place among all.
    open: Option<usize>,
    /// Whether that is about an operation of the target's own.
    follows: bool,
    events: Vec<SpanEvent>,
    /// What is sent, where it was not fixed at acceptance.
    request: Option<Request>,
}

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

impl<'a> Teller<'a> {
    pub(super) fn new(operation: &'a Operation, ended_at: Timestamp) -> Self {
        let root = SpanId::of(operation.id, &About::Operation);
        Self {
            operation,
            context: TraceContext::of(operation),
            ended_at,
            root,
            events: Vec::new(),
            parts: BTreeMap::new(),
            spans: Vec::new(),
            ids: BTreeSet::new(),
        }
    }

    pub(super) fn take(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::AttemptStarted { step, leg, request } => self.started(at, *step, *leg, request.as_ref()),
            Event::AttemptAnswered { step, leg, answer, reading, trouble } => {
                self.answered(at, *step, *leg, answer.status, reading, trouble.as_ref());
            }
            Event::LowerEnded { step, leg, answer, reading, trouble } => {
                self.answered(at, *step, *leg, answer.status, reading, trouble.as_ref());
            }
            Event::AttemptBroke { step, leg, trouble, .. } => {
                let error = serde_word(&trouble.kind);
                self.close(
                    at,
                    *step,
                    *leg,
                    SpanStatus::Error(trouble.detail.clone()),
                    vec![("error.type", text(error))],
                );
            }
            Event::ProbeAnswered { step, verdict, answer, .. } => {
                let word = match verdict {
                    ProbeVerdict::Applied => "applied",
                    ProbeVerdict::NotApplied => "not_applied",
                    ProbeVerdict::Unclear => "unclear",
                };
                let attributes = vec![status(answer.status), ("fanfold.verdict", text(word))];
                self.close(at, *step, Leg::Probe, SpanStatus::Unset, attributes);
            }
            Event::GateChanged { step, leg, gate } => {
                let word = match gate {
                    Gate::Permit => "permit",
                    Gate::Breaker => "breaker",
                    Gate::Held => "held",
                    Gate::Missing => "missing",
                };
                self.part_event(at, *step, *leg, "waits for", vec![("fanfold.gate", text(word))]);
            }
            Event::PersonResolved { step, applied, by, .. } => {
                let word = if *applied { "applied" } else { "not_applied" };
                let attributes = vec![("fanfold.answer", text(word)), ("fanfold.by", text(by))];
                self.part_event(at, *step, Leg::Forward, "a person answered", attributes);
            }
            Event::PollsChanged { step, leg, trouble } => {
                let name = if trouble.is_some() { "polls tell nothing" } else { "polls tell something again" };
                self.part_event(at, *step, *leg, name, Vec::new());
            }
            Event::UndoNotRendered { step, trouble } => {
                let attributes = vec![("fanfold.error", text(&trouble.detail))];
                self.part_event(at, *step, Leg::Undo, "the undo cannot be made", attributes);
            }
            Event::PersonChose { by, .. } => self.happened(at, "a person chose", vec![("fanfold.by", text(by))]),
            Event::CancelRequested { by } => self.happened(at, "cancel requested", vec![("fanfold.by", text(by))]),
            Event::DeadlineExtended { by, .. } => self.happened(at, "deadline moved", vec![("fanfold.by", text(by))]),
            Event::Restored { .. } => self.happened(at, "restored from a backup", Vec::new()),
            Event::RestoreReleased { by, .. } => self.happened(at, "released", vec![("fanfold.by", text(by))]),
            Event::LockGranted => self.happened(at, "lock granted", Vec::new()),
            Event::ResourceRead { step, purpose, found } => self.read(at, *step, *purpose, found),
            Event::TimeCame { timer: Timer::Lower(step, leg) } => self.given_up(at, *step, *leg),
            Event::TimeCame { timer: Timer::Deadline } => {
                // Undos have their time beyond it.
                let steps: Vec<_> = self.parts.keys().filter(|(_, is_undo)| !is_undo).map(|(step, _)| *step).collect();
                steps.into_iter().for_each(|step| self.given_up(at, step, Leg::Forward));
            }
            Event::TimeCame { timer: Timer::Start | Timer::Step(_) | Timer::Undo(_) }
            | Event::Dispatched
            | Event::ResponseComposed { .. } => {}
        }
    }

    fn read(&mut self, at: Timestamp, step: StepIndex, purpose: Purpose, found: &Found) {
        let (word, trouble) = match found {
            Found::Image(Image::Present { .. }) => ("present", None),
            Found::Image(Image::Absent) => ("absent", None),
            Found::Failed { trouble, .. } => ("failed", Some(trouble)),
            Found::Unusable { trouble } => ("unusable", Some(trouble)),
        };
        let name = if trouble.is_some() { "the resource could not be read" } else { "the resource was read" };
        let mut attributes = vec![("fanfold.purpose", text(serde_word(&purpose))), ("fanfold.found", text(word))];
        attributes.extend(trouble.map(|trouble| ("fanfold.trouble", text(&trouble.detail))));
        self.part_event(at, step, purpose.leg(), name, attributes);
    }

    fn happened(&mut self, at: Timestamp, name: &str, attributes: Vec<(&'static str, Value)>) {
        self.events.push(SpanEvent { at, name: name.to_owned(), attributes });
    }

    fn part(&mut self, step: StepIndex, leg: Leg) -> &mut Part {
        self.parts.entry((step, leg == Leg::Undo)).or_default()
    }

    fn part_event(
        &mut self,
        at: Timestamp,
        step: StepIndex,
        leg: Leg,
        name: &str,
        attributes: Vec<(&'static str, Value)>,
    ) {
        let part = self.part(step, leg);
        part.first.get_or_insert(at);
        part.last = Some(at);
        part.events.push(SpanEvent { at, name: name.to_owned(), attributes });
    }

    fn started(&mut self, at: Timestamp, step: StepIndex, leg: Leg, request: Option<&Request>) {
        let part = self.part(step, leg);
        part.first.get_or_insert(at);
        part.last = Some(at);
        let count = match leg {
            Leg::Forward => &mut part.attempts,
            Leg::Undo => &mut part.undos,
            Leg::Probe => &mut part.probes,
        };
        *count += 1;
        let number = *count;
        if let Some(request) = request.filter(|_| leg == Leg::Undo) {
            part.request = Some(request.clone());
        }
        let part_request = part.request.clone();
        let planned = &self.operation.plan.steps[step.get()];
        let request =
            request.cloned().or(part_request.filter(|_| leg == Leg::Undo)).unwrap_or_else(|| planned.request.clone());
        let parent = SpanId::of(self.operation.id, &About::Part(step, part_leg(leg)));
        let mut span = self.span(&About::Attempt(step, leg, at), parent, request.method.as_str().to_owned(), at);
        span.kind = SpanKind::Client;
        span.target = Some(planned.target.clone());
        span.attributes = vec![
            ("http.request.method", text(request.method.as_str())),
            ("url.path", text(path(&request.uri))),
            ("fanfold.target", text(planned.target.as_str())),
            ("fanfold.leg", text(super::word(leg))),
        ];
        if number > 1 {
            span.attributes.push(("http.request.resend_count", Value::Number(i64::from(number) - 1)));
        }
        self.open(step, leg, span);
    }

    fn open(&mut self, step: StepIndex, leg: Leg, span: Span) {
        let place = self.spans.len();
        self.spans.push(span);
        self.part(step, leg).open = Some(place);
    }

    fn answered(
        &mut self,
        at: Timestamp,
        step: StepIndex,
        leg: Leg,
        code: u16,
        reading: &Reading,
        trouble: Option<&Trouble>,
    ) {
        let mut attributes = vec![status(code)];
        let (how, lower) = match reading {
            Reading::Succeeded { .. } => (SpanStatus::Good, None),
            Reading::LowerAccepted { reference } => (SpanStatus::Good, Some(reference.clone())),
            Reading::NotTakenOn { .. }
            | Reading::NotApplied
            | Reading::PreconditionFailed
            | Reading::Gone
            | Reading::NotConsistent
            | Reading::Ambiguous
            | Reading::Unknown => {
                attributes.push(("error.type", text(code.to_string())));
                (SpanStatus::Error(trouble.map(|trouble| trouble.detail.clone()).unwrap_or_default()), None)
            }
        };
        self.close(at, step, leg, how, attributes);
        let Some(reference) = lower else { return };
        let parent = SpanId::of(self.operation.id, &About::Part(step, part_leg(leg)));
        let target = &self.operation.plan.steps[step.get()].target;
        let mut span = self.span(&About::Follow(step, leg, at), parent, "follow".to_owned(), at);
        span.attributes =
            vec![("fanfold.target", text(target.as_str())), ("fanfold.lower_operation", text(path(&reference)))];
        self.open(step, leg, span);
        self.part(step, leg).follows = true;
    }

    /// What is followed there has had its time.
    fn given_up(&mut self, at: Timestamp, step: StepIndex, leg: Leg) {
        if self.part(step, leg).follows {
            let error = SpanStatus::Error("its time was over".to_owned());
            self.close(at, step, leg, error, vec![("error.type", text("timeout"))]);
        }
    }

    fn close(&mut self, at: Timestamp, step: StepIndex, leg: Leg, how: SpanStatus, more: Vec<(&'static str, Value)>) {
        let part = self.part(step, leg);
        (part.last, part.follows) = (Some(at), false);
        let Some(place) = part.open.take() else { return };
        let span = &mut self.spans[place];
        (span.end, span.status) = (at.max(span.start), how);
        span.attributes.extend(more);
    }

    /// A span that lasts until more is known.
    fn span(&mut self, about: &About<'_>, parent: SpanId, name: String, start: Timestamp) -> Span {
        let mut id = SpanId::of(self.operation.id, about);
        // Two attempts may begin in one instant where a wait is drawn as none.
        while !self.ids.insert(id) {
            id.0[0] = id.0[0].wrapping_add(1);
        }
        Span {
            trace: self.context.trace,
            id,
            parent: Some(parent),
            state: self.context.state.clone(),
            name,
            kind: SpanKind::Internal,
            start,
            end: self.ended_at.max(start),
            status: SpanStatus::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
            target: None,
        }
    }

    pub(super) fn told(mut self) -> Vec<Span> {
        let mut told = vec![self.whole()];
        let begun = self.operation.started_at.unwrap_or(self.ended_at);
        let wait = self.span(&About::Wait, self.root, "wait".to_owned(), self.operation.accepted_at);
        told.push(Span { end: begun.max(wait.start), ..wait });
        for ((step, is_undo), part) in std::mem::take(&mut self.parts) {
            let leg = if is_undo { Leg::Undo } else { Leg::Forward };
            let target = &self.operation.plan.steps[step.get()].target;
            let name = if is_undo { "undo" } else { "step" };
            let start = part.first.unwrap_or(begun);
            let mut span = self.span(&About::Part(step, leg), self.root, name.to_owned(), start);
            span.end = part.last.unwrap_or(self.ended_at).max(start);
            span.attributes = vec![("fanfold.target", text(target.as_str()))];
            (span.status, span.events) = (self.how(step, is_undo), part.events);
            told.push(span);
        }
        told.extend(self.spans);
        told
    }

    fn how(&self, step: StepIndex, is_undo: bool) -> SpanStatus {
        use crate::operation::{Outcome, UndoEnd, UndoPhase};
        let state = &self.operation.steps[step.get()];
        let error = |text: &str| SpanStatus::Error(text.to_owned());
        if is_undo {
            return match state.undo.as_ref().map(|undo| &undo.phase) {
                Some(UndoPhase::Ended(UndoEnd::Undone)) => SpanStatus::Good,
                Some(UndoPhase::Ended(_)) => error("not undone"),
                _ => SpanStatus::Unset,
            };
        }
        match state.outcome() {
            Some(Outcome::Succeeded) => SpanStatus::Good,
            Some(Outcome::Failed { .. }) => error("failed"),
            Some(Outcome::Unknown) => error("unknown"),
            Some(Outcome::Skipped) | None => SpanStatus::Unset,
        }
    }

    fn whole(&mut self) -> Span {
        let operation = self.operation;
        let plan = &operation.plan;
        let end = operation.end();
        let (status, consistency) = end.map_or((operation.status(), None), |end| (end.status, Some(end.consistency)));
        let mut attributes = vec![
            ("http.request.method", text(plan.request.method.as_str())),
            ("url.path", text(path(&plan.request.uri))),
            ("fanfold.operation.id", text(operation.id.to_string())),
            ("fanfold.route", text(&plan.route)),
            ("fanfold.dialect", text(plan.front.dialect.as_str())),
            ("fanfold.tenant", text(operation.tenant.as_str())),
            ("fanfold.status", text(status.as_str())),
        ];
        attributes.extend(consistency.map(|consistency| ("fanfold.consistency", text(consistency.to_string()))));
        attributes.extend(plan.retry_of.map(|id| ("fanfold.retry_of", text(id.to_string()))));
        let how = match status {
            Status::Completed => SpanStatus::Good,
            Status::Failed | Status::Canceled => SpanStatus::Error(status.as_str().to_owned()),
            Status::Unexecuted | Status::Executing => SpanStatus::Unset,
        };
        let name = format!("{} {}", plan.request.method, plan.route);
        let mut span = self.span(&About::Operation, self.root, name, operation.accepted_at);
        span.kind = SpanKind::Server;
        (span.parent, span.status, span.attributes) = (self.context.parent, how, attributes);
        span.events = std::mem::take(&mut self.events);
        span
    }
}

/// Probes stand within their step.
fn part_leg(leg: Leg) -> Leg {
    match leg {
        Leg::Forward | Leg::Probe => Leg::Forward,
        Leg::Undo => Leg::Undo,
    }
}

/// An address without its query, which may hold what nobody else is to see.
fn path(address: &str) -> &str {
    address.split('?').next().unwrap_or_default()
}

fn status(code: u16) -> (&'static str, Value) {
    ("http.response.status_code", Value::Number(i64::from(code)))
}

/// The word that stands for a kind in JSON.
fn serde_word(kind: &impl serde::Serialize) -> String {
    serde_json::to_value(kind).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
