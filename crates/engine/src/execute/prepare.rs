//! Waiting for the turn to send, and making the request ready: rendering what was not fixed at acceptance, and the fields
//! that each attempt carries.

use std::sync::Arc;

use bytes::Bytes;
use fanfold_core::message::header;
use fanfold_core::operation::{Image, Leg, Trouble, TroubleKind};
use fanfold_core::route::{Answered, CompiledTarget, CompiledUndo, OperationValues, StepValues, restore_request};
use fanfold_core::{Content, Headers, Operation, Request, Slot, StepIndex};
use fanfold_store::Error;
use http::HeaderMap;

use super::originals;
use super::tasks::{Input, TaskContext};
use super::{Actor, STORE_RETRY, call};
use crate::stalled::Waiting as Stalling;
use crate::target::{Outgoing, Permit, PermitKind, Ticket, Turn, to_wire};

/// A place in a target's queue.
#[derive(Debug)]
pub(super) struct Waiting {
    ticket: Ticket,
    pub(super) attempt: u32,
}

/// A request that may be sent once the start of its attempt is recorded.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) permit: Permit,
    pub(super) outgoing: Outgoing,
    /// What is new about the record: the request of an undo's first attempt, or of a probe.
    pub(super) recorded: Option<Recorded>,
}

/// A request as it is recorded.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) public: Request,
    /// The original, where redaction took something out.
    pub(super) original: Option<Request>,
}

/// What stands in the way of a request.
enum NotReady {
    /// It cannot be rendered, now or ever.
    Trouble(Trouble),
    /// What it needs cannot be read now.
    Store(Error),
}

impl From<Error> for NotReady {
    fn from(error: Error) -> Self {
        match error {
            Error::Corrupt { detail } => Self::Trouble(Trouble { kind: TroubleKind::Template, detail }),
            other => Self::Store(other),
        }
    }
}

impl From<Trouble> for NotReady {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Takes a place in the target's queue and waits for the turn.
pub(super) async fn wait_for_turn(context: TaskContext, step: StepIndex, leg: Leg, attempt: u32) -> Input {
    let ticket = context.ticket(step, leg);
    go_on_waiting(context, step, leg, Waiting { ticket, attempt }).await
}

/// Undos have permits of their own.
fn permit_kind(leg: Leg) -> PermitKind {
    match leg {
        Leg::Undo => PermitKind::Undo,
        Leg::Forward | Leg::Probe => PermitKind::Forward,
    }
}

/// Waits in the place that it has.
pub(super) async fn go_on_waiting(context: TaskContext, step: StepIndex, leg: Leg, mut waiting: Waiting) -> Input {
    loop {
        match waiting.ticket.turn().await {
            Turn::Go(permit) => {
                // With a lease that has run out nothing may be sent; an attempt that was begun would be spent.
                context.shared.lease.until_held(context.term).await;
                return make_ready(&context, step, leg, waiting.attempt, permit).await;
            }
            Turn::Waits(gate) if Some(gate) == context.op.due_gate(step, leg) => {}
            Turn::Waits(gate) => return Input::Gated { step, leg, gate, waiting },
        }
    }
}

async fn make_ready(context: &TaskContext, step: StepIndex, leg: Leg, attempt: u32, permit: Permit) -> Input {
    let mut waiting = None;
    loop {
        let rendered = render(context, step, leg).await;
        let error = match rendered {
            Ok((request, recorded)) => match outgoing(context, step, leg, attempt, request) {
                Ok(outgoing) => {
                    Stalling::end(waiting);
                    return Input::Ready { step, leg, ready: Box::new(Ready { permit, outgoing, recorded }) };
                }
                Err(trouble) => return Input::NotRendered { step, leg, trouble },
            },
            Err(NotReady::Trouble(trouble)) => return Input::NotRendered { step, leg, trouble },
            Err(NotReady::Store(error)) => error,
        };
        waiting.get_or_insert_with(|| context.shared.unread.wait(&error));
        tokio::time::sleep(STORE_RETRY).await;
    }
}

/// The original request, its body inline, and what of it is new to the record.
async fn render(context: &TaskContext, step: StepIndex, leg: Leg) -> Result<(Request, Option<Recorded>), NotReady> {
    let (shared, op) = (context.shared.as_ref(), context.op.as_ref());
    let slot = match leg {
        Leg::Forward => Slot::StepRequest(step),
        Leg::Undo => Slot::UndoRequest(step),
        Leg::Probe => return probe(context, step).await,
    };
    if let Some(request) = originals::request(shared, op, slot).await? {
        return Ok((request, None));
    }
    // Only an undo is not rendered at acceptance.
    let request = undo(context, step).await?;
    let public = op.plan.policy.redaction.request(&request);
    let recorded = match public {
        Some(public) => Recorded { public, original: Some(request.clone()) },
        None => Recorded { public: request.clone(), original: None },
    };
    Ok((request, Some(recorded)))
}

async fn undo(context: &TaskContext, step: StepIndex) -> Result<Request, NotReady> {
    let rules = context.rules(step)?;
    match rules.undo() {
        Some(CompiledUndo::Request(template)) => {
            let values = Values::read(context, step).await?;
            Ok(values.with(&context.op, step, |values| template.render(values))?)
        }
        Some(CompiledUndo::Restore) => {
            let state = &context.op.steps[step.get()];
            let Some(before) = &state.before else {
                let detail = "what was there before the change was not read".to_owned();
                return Err(Trouble { kind: TroubleKind::Snapshot, detail }.into());
            };
            let representation = snapshot(context, step).await?.unwrap_or_default();
            let forward = &context.op.plan.steps[step.get()].request;
            Ok(restore_request(forward, before, state.after.as_ref(), &representation))
        }
        None => Err(Trouble { kind: TroubleKind::NoUndo, detail: "the route has no undo".to_owned() }.into()),
    }
}

async fn probe(context: &TaskContext, step: StepIndex) -> Result<(Request, Option<Recorded>), NotReady> {
    let rules = context.rules(step)?;
    let Some(probe) = rules.probe() else {
        return Err(Trouble { kind: TroubleKind::Template, detail: "the route has no probe".to_owned() }.into());
    };
    let values = Values::read(context, step).await?;
    let request = values.with(&context.op, step, |values| probe.request(values))?;
    let public = context.op.plan.policy.redaction.request(&request).unwrap_or_else(|| request.clone());
    Ok((request, Some(Recorded { public, original: None })))
}

async fn snapshot(context: &TaskContext, step: StepIndex) -> Result<Option<Bytes>, NotReady> {
    Ok(context.shared.store.sealed(context.op.id, Slot::Before(step)).await?)
}

/// What templates see, read from the store.
pub(super) struct Values {
    request: Request,
    answer: Option<fanfold_core::Answer>,
    snapshot: Option<Bytes>,
}

impl Values {
    pub(super) async fn read(context: &TaskContext, step: StepIndex) -> Result<Self, Error> {
        let (shared, op) = (context.shared.as_ref(), context.op.as_ref());
        let request = originals::request(shared, op, Slot::Request).await?.unwrap_or_else(|| op.plan.request.clone());
        let answer = originals::answer(shared, op, Slot::StepAnswer(step)).await?;
        // Only a restore reads before the change.
        let snapshot = match op.steps[step.get()].before {
            Some(_) => shared.store.sealed(op.id, Slot::Before(step)).await?,
            None => None,
        };
        Ok(Self { request, answer, snapshot })
    }

    pub(super) fn with<T>(&self, op: &Operation, step: StepIndex, use_them: impl FnOnce(&StepValues<'_>) -> T) -> T {
        let request_body = octets(&self.request.body);
        let answer_body = self.answer.as_ref().map(|answer| octets(&answer.body));
        let response = self.answer.as_ref().zip(answer_body.as_ref()).map(|(answer, body)| Answered {
            status: answer.status,
            headers: &answer.headers,
            body,
            complete: answer.complete,
        });
        let image: Option<&Image> = op.steps[step.get()].before.as_ref();
        let operation =
            OperationValues { operation: op.id, plan: &op.plan, request: &self.request, request_body: &request_body };
        use_them(&StepValues { operation, step, response, snapshot: image.zip(self.snapshot.as_ref()) })
    }
}

/// The octets of a body that [`originals`] made inline.
pub(super) fn octets(body: &fanfold_core::Body) -> Bytes {
    match &body.0 {
        Content::Inline(octets) => octets.clone(),
        Content::Empty | Content::Apart { .. } | Content::Same(_) => Bytes::new(),
    }
}

/// Puts the fields on it that every attempt carries, and its limits.
fn outgoing(
    context: &TaskContext,
    step: StepIndex,
    leg: Leg,
    attempt: u32,
    request: Request,
) -> Result<Outgoing, Trouble> {
    let op = context.op.as_ref();
    let policy = op.plan.step_policy(step);
    let (limits, repeatable) = match leg {
        Leg::Forward => (&policy.step, op.plan.safe_to_repeat(step)),
        Leg::Undo => (&policy.undo_limits, fanfold_core::plan::is_repeatable(&request.method)),
        Leg::Probe => (&policy.step, true),
    };
    // The client's own idempotency key is there only where the route names it, and then it stands in place of ours.
    let mut own = call::attempt_headers(context, step, leg, attempt);
    own.retain(|(name, _)| header(&request.headers, name).is_none());
    let headers = wire_headers(&[request.headers, own].concat())?;
    Ok(Outgoing {
        body: octets(&request.body),
        method: request.method,
        path_and_query: with_callback(context, step, leg, request.uri)?,
        headers,
        connect: limits.connect,
        response: limits.response,
        body_max: limits.response_body_max,
        fresh: !repeatable,
        from_root: false,
    })
}

/// The address as it goes on the wire: a lower `msf` controller is told whom to notify. That belongs to this process and not to
/// the operation, so it is not recorded. What the request itself says of it goes before.
fn with_callback(context: &TaskContext, step: StepIndex, leg: Leg, uri: String) -> Result<String, Trouble> {
    let callback = match leg {
        Leg::Forward | Leg::Undo => context.shared.config.callback,
        Leg::Probe => None,
    };
    let Some(callback) = callback else { return Ok(uri) };
    if !context.rules(step)?.notifies() || uri.contains("notification_address=") {
        return Ok(uri);
    }
    let mark = if uri.contains('?') { '&' } else { '?' };
    Ok(format!("{uri}{mark}notification_address={}&notification_port={}", callback.ip(), callback.port()))
}

/// Fields as they go on the wire.
pub(super) fn wire_headers(headers: &Headers) -> Result<HeaderMap, Trouble> {
    to_wire(headers)
        .map_err(|error| Trouble { kind: TroubleKind::Template, detail: format!("a header cannot be sent: {error}") })
}

impl TaskContext {
    pub(super) fn target(&self, step: StepIndex) -> Arc<crate::target::Target> {
        self.shared.targets.get(&self.op.plan.steps[step.get()].target)
    }

    /// A place in the queue of the target.
    pub(super) fn ticket(&self, step: StepIndex, leg: Leg) -> Ticket {
        let claimant = self.shared.claimant(&self.op.tenant);
        self.target(step).ticket(permit_kind(leg), &claimant, self.op.id)
    }

    /// The compiled rules of a step.
    pub(super) fn rules(&self, step: StepIndex) -> Result<Arc<CompiledTarget>, Trouble> {
        self.shared.policies.target(&self.op.plan, step)
    }
}

impl Actor {
    /// Seals the original of a request that is recorded with the start of its attempt.
    pub(super) fn seal_request(&mut self, step: StepIndex, leg: Leg, ready: &Ready) {
        let original = ready.recorded.as_ref().and_then(|recorded| recorded.original.as_ref());
        if let (Leg::Undo, Some(original)) = (leg, original) {
            self.draft.seal(Slot::UndoRequest(step), sealed_form(original));
        }
    }
}

/// The form in which originals are sealed.
pub(crate) fn sealed_form<T: serde::Serialize>(message: &T) -> Bytes {
    Bytes::from(serde_json::to_vec(message).expect("messages have text keys only, which JSON can carry"))
}
