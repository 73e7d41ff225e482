//! One attempt on the wire, and what its answer means.

use std::time::Duration;

use fanfold_core::operation::{Leg, ProbeVerdict, Reading, Sent, Trouble, TroubleKind};
use fanfold_core::route::{Answered, Asked, read_answer, retry_after};
use fanfold_core::trace::{About, SpanId, TraceContext};
use fanfold_core::{Answer, Body, Event, Headers, Slot, StepIndex};

use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::prepare::{Ready, Values, sealed_form};
use super::tasks::{Input, TaskContext};
use super::{Actor, STORE_RETRY};
use crate::target::{Broke, Outgoing, Received, from_wire, to_wire};

/// How an attempt ended.
pub(super) struct CallEnded {
    pub(super) result: Result<Received, Broke>,
    /// What a probe's answer showed.
    pub(super) verdict: Option<ProbeVerdict>,
}

impl CallEnded {
    /// An attempt that a mistake in the program cut off.
    pub(super) fn lost() -> Self {
        let detail = "an internal error cut the attempt off; the log tells more".to_owned();
        let trouble = Trouble { kind: TroubleKind::Broken, detail };
        Self { result: Err(Broke { sent: Sent::Maybe, trouble }), verdict: None }
    }
}

/// Sends a request whose start is recorded. It has to be on its way within the time for connecting, counted from that start:
/// how long the target may still act on an attempt that broke is read off its recorded start, so a store that is slow to
/// record it must not make it later.
pub(super) async fn call(context: TaskContext, step: StepIndex, leg: Leg, ready: Ready, started: Instant) -> Input {
    let (target, limit) = (context.target(step), ready.outgoing.connect);
    let lease = &context.shared.lease;
    // Where the store was away just now, this node may have to beat first.
    drop(timeout_at(started + limit, lease.until_held(context.term)).await);
    let took = started.elapsed();
    let result = match limit.checked_sub(took).filter(|left| !left.is_zero()) {
        Some(connect) => {
            let mut outgoing = Outgoing { connect, ..ready.outgoing };
            outgoing.headers.extend(attempt_trace(&context, step, leg));
            target.send_if(ready.permit, &outgoing, || lease.holds(context.term)).await
        }
        None => Err(recorded_too_late(took, limit)),
    };
    let verdict = match (&result, leg) {
        (Ok(received), Leg::Probe) => Some(verdict(&context, step, received).await),
        (Ok(_) | Err(_), Leg::Forward | Leg::Undo | Leg::Probe) => None,
    };
    Input::Called { step, leg, ended: Box::new(CallEnded { result, verdict }) }
}

fn recorded_too_late(took: Duration, limit: Duration) -> Broke {
    let detail = format!("not sent: to record its start took {took:?}, and it is to be sent within {limit:?}");
    Broke { sent: Sent::No, trouble: Trouble { kind: TroubleKind::Unreachable, detail } }
}

async fn verdict(context: &TaskContext, step: StepIndex, received: &Received) -> ProbeVerdict {
    let Ok(rules) = context.rules(step) else { return ProbeVerdict::Unclear };
    let Some(probe) = rules.probe() else { return ProbeVerdict::Unclear };
    // The target has told; that the store is away for a moment makes that no less.
    let values = loop {
        match Values::read(context, step).await {
            Ok(values) => break values,
            Err(error) => {
                tracing::error!(operation.id = %context.op.id, %error, "cannot read what a probe is judged by; trying again");
                tokio::time::sleep(STORE_RETRY).await;
            }
        }
    };
    let headers = from_wire(&received.headers);
    let answer = Answered {
        status: received.status.as_u16(),
        headers: &headers,
        body: &received.body,
        complete: received.complete,
    };
    values.with(&context.op, step, |values| probe.read(values, &answer))
}

/// The fields that every attempt carries beside those of the request. The key is the same for each attempt of a step, and
/// another one for its undo; it is a structured string (draft-ietf-httpapi-idempotency-key-header, section 2.1).
pub(super) fn attempt_headers(context: &TaskContext, step: StepIndex, leg: Leg, attempt: u32) -> Headers {
    let op = context.op.as_ref();
    let key = match leg {
        Leg::Forward => Some(format!("\"{}-{step}\"", op.id)),
        Leg::Undo => Some(format!("\"{}-{step}-undo\"", op.id)),
        Leg::Probe => None,
    };
    let mut headers: Headers = vec![
        ("fanfold-operation-id".to_owned(), op.id.to_string()),
        ("fanfold-attempt".to_owned(), attempt.to_string()),
    ];
    headers.extend(key.map(|key| ("idempotency-key".to_owned(), key)));
    headers.extend(op.plan.resource_id.as_ref().map(|id| ("fanfold-resource-id".to_owned(), id.clone())));
    headers
}

/// What the target of an attempt whose start is recorded is told of the trace. No request has these fields of its own.
fn attempt_trace(context: &TaskContext, step: StepIndex, leg: Leg) -> HeaderMap {
    let about = context.op.calling_since(step, leg).map(|since| About::Attempt(step, leg, since));
    let headers = about.map(|about| trace_headers(context, &about)).unwrap_or_default();
    // What was read as a header is one; a trace is no reason to send nothing.
    to_wire(&headers).unwrap_or_default()
}

/// What whoever is called is told of the trace, and of the span that is about this.
pub(super) fn trace_headers(context: &TaskContext, about: &About<'_>) -> Headers {
    let op = context.op.as_ref();
    TraceContext::of(op).headers(SpanId::of(op.id, about), context.shared.traces.share())
}

impl Actor {
    pub(super) fn take_call(&mut self, step: StepIndex, leg: Leg, ended: CallEnded) {
        let received = match ended.result {
            Ok(received) => received,
            Err(Broke { sent, trouble }) => {
                self.take(Event::AttemptBroke { step, leg, sent, trouble });
                return;
            }
        };
        let original = answer_of(&received);
        match leg {
            Leg::Probe => {
                let wait = retry_after(&original.headers, self.shared.clock.now());
                let answer = self.public(&original).unwrap_or(original);
                let verdict = ended.verdict.unwrap_or(ProbeVerdict::Unclear);
                let retry_after = match verdict {
                    ProbeVerdict::Unclear => wait,
                    ProbeVerdict::Applied | ProbeVerdict::NotApplied => None,
                };
                self.take(Event::ProbeAnswered { step, verdict, answer, retry_after });
            }
            Leg::Forward | Leg::Undo => {
                let (reading, trouble) = self.read_answer(step, leg, &original, &received);
                let answer = self.public_and_sealed(answer_slot(step, leg), original);
                self.take(Event::AttemptAnswered { step, leg, answer, reading, trouble });
            }
        }
    }

    /// What an answer means for its step or undo. Where a lower operation is followed stays in the record: its public form.
    fn read_answer(
        &self,
        step: StepIndex,
        leg: Leg,
        original: &Answer,
        received: &Received,
    ) -> (Reading, Option<Trouble>) {
        let (reading, trouble) = read(&self.context(), step, leg, (original, &received.body));
        match reading {
            Reading::LowerAccepted { reference } => {
                let reference = self.op.plan.policy.redaction.reference(&reference);
                (Reading::LowerAccepted { reference }, trouble)
            }
            other => (other, trouble),
        }
    }

    /// The public form of an answer; its original is sealed where it differs.
    pub(super) fn public_and_sealed(&mut self, slot: Slot, original: Answer) -> Answer {
        match self.public(&original) {
            Some(public) => {
                self.draft.seal(slot, sealed_form(&original));
                public
            }
            None => original,
        }
    }

    /// The public form of an answer, where it differs.
    pub(super) fn public(&self, original: &Answer) -> Option<Answer> {
        self.op.plan.policy.redaction.answer(original)
    }
}

/// What an answer of this body means for its step or undo, in its original form.
pub(super) fn read(
    context: &TaskContext,
    step: StepIndex,
    leg: Leg,
    (original, body): (&Answer, &bytes::Bytes),
) -> (Reading, Option<Trouble>) {
    let (shared, op) = (&context.shared, &context.op);
    let rules = match context.rules(step) {
        Ok(rules) => rules,
        Err(trouble) => return (Reading::Unknown, Some(trouble)),
    };
    let slot = match leg {
        Leg::Undo => Slot::UndoRequest(step),
        Leg::Forward | Leg::Probe => Slot::StepRequest(step),
    };
    let uri = op.request_in(slot).map_or("/", |request| request.uri.as_str());
    let url = context.target(step).url();
    let path = format!("{}{}", url.as_ref().map_or("", |url| url.prefix()), uri.split('?').next().unwrap_or("/"));
    let asked = Asked {
        scheme: url.as_ref().map_or("http", |url| url.scheme()),
        authority: url.as_ref().map_or("", |url| url.authority()),
        path: &path,
        below: url.as_ref().map_or("", |url| url.monitor_prefix()),
    };
    let answered = Answered { status: original.status, headers: &original.headers, body, complete: original.complete };
    read_answer(&rules, leg, &asked, &answered, shared.clock.now())
}

pub(super) fn answer_slot(step: StepIndex, leg: Leg) -> Slot {
    match leg {
        Leg::Undo => Slot::UndoAnswer(step),
        Leg::Forward | Leg::Probe => Slot::StepAnswer(step),
    }
}

pub(super) fn answer_of(received: &Received) -> Answer {
    Answer {
        status: received.status.as_u16(),
        headers: from_wire(&received.headers),
        body: Body::inline(received.body.clone()),
        complete: received.complete,
        sealed: false,
    }
}
