//! Reading the resource at a target, for `undo = "restore"`. A read is safe: what is recorded is what it found, and what it has to
//! wait for.

use bytes::Bytes;
use fanfold_core::operation::{Found, Image, Leg, Purpose, Trouble, TroubleKind, Work};
use fanfold_core::route::{retry_after, strong_etag};
use fanfold_core::trace::About;
use fanfold_core::{Event, Slot, StepIndex};
use sha2::{Digest, Sha256};

use super::Actor;
use super::call::trace_headers;
use super::prepare::wire_headers;
use super::tasks::{Input, TaskContext};
use super::turn::{Gated, Place, turn};
use crate::target::{Outgoing, Received, from_wire};

/// What a read found.
pub(super) struct ReadSeen {
    found: Found,
    /// The representation, where it was there.
    representation: Option<Bytes>,
}

/// A read that is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) step: StepIndex,
    pub(super) purpose: Purpose,
    /// Reads that have failed so far.
    pub(super) tries: u32,
}

/// Waits for the turn, in the place that it has if it has one, and reads once.
pub(super) async fn read(context: TaskContext, due: Due, place: Option<Place>) -> Input {
    let Due { step, purpose, tries: _ } = due;
    let read = match outgoing(&context, step) {
        Ok(outgoing) => {
            let permit = match turn(&context, step, purpose.leg(), place, |gate| gate).await {
                Ok(permit) => permit,
                Err(gated) => return Input::ReadGated { due, gated },
            };
            match context.target(step).send(permit, &outgoing).await {
                Ok(received) => seen(&context, &received),
                Err(broke) => ReadSeen::failed(broke.trouble, None),
            }
        }
        Err(trouble) => ReadSeen::unusable(trouble),
    };
    Input::Read { step, purpose, read: Box::new(read) }
}

fn outgoing(context: &TaskContext, step: StepIndex) -> Result<Outgoing, Trouble> {
    let plan = &context.op.plan;
    let forward = &plan.steps[step.get()].request;
    let limits = &plan.step_policy(step).step;
    let mut headers: fanfold_core::Headers =
        forward.headers.iter().filter(|(name, _)| name.starts_with("accept")).cloned().collect();
    headers.push(("fanfold-operation-id".to_owned(), context.op.id.to_string()));
    headers.extend(trace_headers(context, &About::Part(step, Leg::Forward)));
    Ok(Outgoing {
        method: http::Method::GET,
        path_and_query: forward.uri.clone(),
        headers: wire_headers(&headers)?,
        body: Bytes::new(),
        connect: limits.connect,
        response: limits.response,
        body_max: limits.response_body_max,
        fresh: false,
        from_root: false,
    })
}

fn seen(context: &TaskContext, received: &Received) -> ReadSeen {
    let headers = from_wire(&received.headers);
    let status = received.status.as_u16();
    let trouble = |detail: String| Trouble { kind: TroubleKind::Snapshot, detail };
    match status {
        404 | 410 => ReadSeen { found: Found::Image(Image::Absent), representation: None },
        200..=299 if !received.complete => {
            ReadSeen::unusable(trouble("the resource is larger than can be kept, or broke off".to_owned()))
        }
        200..=299 => {
            let digest: String = Sha256::digest(&received.body).iter().map(|byte| format!("{byte:02x}")).collect();
            let image = Image::Present {
                etag: strong_etag(&headers),
                digest: Some(digest),
                content_type: fanfold_core::message::header(&headers, "content-type").map(str::to_owned),
            };
            ReadSeen { found: Found::Image(image), representation: Some(received.body.clone()) }
        }
        408 | 425 | 429 | 500.. => {
            let wait = retry_after(&headers, context.shared.clock.now());
            ReadSeen::failed(trouble(format!("reading the resource was answered {status}")), wait)
        }
        _ => ReadSeen::unusable(trouble(format!("reading the resource was answered {status}"))),
    }
}

impl ReadSeen {
    fn failed(trouble: Trouble, retry_after: Option<std::time::Duration>) -> Self {
        Self { found: Found::Failed { trouble, retry_after }, representation: None }
    }

    fn unusable(trouble: Trouble) -> Self {
        Self { found: Found::Unusable { trouble }, representation: None }
    }
}

impl Actor {
    pub(super) fn begin_read(&mut self, due: Due, place: Option<Place>) {
        let Due { step, purpose, tries } = due;
        self.tasks.spawn(Work::Read { step, purpose, tries }, read(self.context(), due, place));
    }

    /// Records what the read waits for now, and goes on in its place.
    pub(super) fn take_read_gate(&mut self, due: Due, gated: Gated) {
        let Gated { gate, place } = gated;
        if self.take(Event::GateChanged { step: due.step, leg: due.purpose.leg(), gate }) {
            self.begin_read(due, Some(place));
        }
    }

    pub(super) fn take_read(&mut self, step: StepIndex, purpose: Purpose, read: ReadSeen) {
        let taken = self.take(Event::ResourceRead { step, purpose, found: read.found });
        if let (true, Purpose::Before, Some(representation)) = (taken, purpose, read.representation) {
            self.draft.seal(Slot::Before(step), representation);
        }
    }
}
