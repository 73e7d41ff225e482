//! Following a lower operation by polling until it ends. Polls are safe reads: what is recorded is the end, that they tell
//! nothing, and that they wait for a target that is on hold or missing. How long it is followed is a durable deadline of the
//! operation, so a poll that fails is simply repeated. A notification of the target makes the next poll come sooner, and
//! nothing else: a lost one costs time, a forged one a poll.

use std::time::Duration;

use bytes::Bytes;
use fanfold_core::operation::{Gate, Leg, Lower, Reading, Send, StepPhase, Trouble, TroubleKind, UndoPhase, Work};
use fanfold_core::plan::Redaction;
use fanfold_core::route::{Answered, Poll, PollAddress, retry_after};
use fanfold_core::trace::About;
use fanfold_core::{Answer, Body, Event, Operation, StepIndex};
use fanfold_store::Error;
use tokio::time::Instant;

use super::call::{answer_slot, read, trace_headers};
use super::prepare::{octets, wire_headers};
use super::tasks::{Input, TaskContext};
use super::turn::{Gated, Place, turn};
use super::{Actor, STORE_RETRY, originals};
use crate::clock::jitter;
use crate::lowers::Hearing;
use crate::stalled::Waiting;
use crate::target::{Outgoing, Permit, from_wire};

/// The wait after the first poll; doubles up to [`POLL_MAX`], unless the target asks for more.
const POLL_FIRST: Duration = Duration::from_millis(250);

/// The longest wait between two polls that Fanfold chooses itself.
const POLL_MAX: Duration = Duration::from_secs(15);

/// The shortest wait between two polls, however often we are notified.
const POLL_GAP: Duration = Duration::from_millis(100);

/// The shortest time between two records of what polls tell: a target that says now this and now that fills no history.
const NEWS_GAP: Duration = Duration::from_secs(5);

/// When the last poll is made, as a part of the time that was left.
const LAST_POLL: f64 = 0.75;

/// How a lower operation ended.
pub(super) struct LowerSeen {
    answer: Answer,
    reading: Reading,
    trouble: Option<Trouble>,
}

/// What is known between two polls.
pub(super) struct Follower {
    /// Since before the first poll, so that no notification goes unheard between.
    hearing: Option<Hearing>,
    /// The wait before the next poll.
    pause: Duration,
    /// The longest wait after the next poll, unless the target asks for more.
    wait: Duration,
    was_last: bool,
    /// Why polls told nothing, as far as it is recorded.
    recorded: Option<Trouble>,
    /// When that was recorded by this process.
    recorded_at: Option<Instant>,
    /// Where the next poll stands, from when it is due until it is made.
    place: Option<Place>,
}

/// Polls until the lower operation has ended, or what polls tell or wait for has changed.
pub(super) async fn follow(context: TaskContext, step: StepIndex, leg: Leg) -> Input {
    let known = lower(&context.op, step, leg).and_then(|lower| lower.unclear.as_ref());
    let follower = Follower {
        hearing: hear(&context, step, leg),
        pause: first_wait(&context, step, leg),
        wait: POLL_FIRST,
        was_last: false,
        recorded: known.map(|unclear| unclear.trouble.clone()),
        recorded_at: None,
        place: None,
    };
    go_on_following(context, step, leg, follower).await
}

/// Polls on.
pub(super) async fn go_on_following(context: TaskContext, step: StepIndex, leg: Leg, mut follower: Follower) -> Input {
    let reference = match reference(&context, step, leg).await {
        Ok(reference) => reference,
        Err(trouble) => return unfollowable(step, leg, trouble),
    };
    loop {
        if follower.place.is_none() {
            rest(follower.pause, follower.hearing.as_ref()).await;
        }
        let outgoing = match poll_request(&context, step, leg, &reference) {
            Ok(outgoing) => outgoing,
            Err(trouble) => return unfollowable(step, leg, trouble),
        };
        let permit = match turn(&context, step, leg, follower.place.take(), worth_noting).await {
            Ok(permit) => permit,
            Err(Gated { gate, place }) => {
                follower.place = Some(place);
                return Input::PollGated { step, leg, gate, follower: Box::new(follower) };
            }
        };
        let (trouble, asked_to_wait) = match poll(&context, step, permit, &outgoing).await {
            Ok(Poll::Ended { reading, answer, trouble }) => {
                return Input::LowerEnded { step, leg, lower: Box::new(LowerSeen { answer, reading, trouble }) };
            }
            Ok(Poll::StillRunning { retry_after }) => (None, retry_after),
            Ok(Poll::Unclear { trouble, retry_after }) => (Some(trouble), retry_after),
            Err(trouble) => return unfollowable(step, leg, trouble),
        };
        follower.polled(&context, step, leg, asked_to_wait);
        if follower.is_news(trouble.as_ref()) {
            return Input::PollsChanged { step, leg, trouble, follower: Box::new(follower) };
        }
    }
}

impl Follower {
    /// Settles how long the next poll is waited for.
    fn polled(&mut self, context: &TaskContext, step: StepIndex, leg: Leg, asked_to_wait: Option<Duration>) {
        let spread = 0.5 + jitter(context.shared.clock.as_ref()) / 2.0;
        self.pause = self.wait.mul_f64(spread).max(asked_to_wait.unwrap_or_default());
        // A target that asks for more time than is left is asked once more before it is given up.
        if let Some(left) = time_left(context, step, leg).filter(|left| self.pause >= *left && !self.was_last) {
            (self.pause, self.was_last) = (left.mul_f64(LAST_POLL), true);
        }
        self.wait = (self.wait * 2).min(POLL_MAX);
    }

    /// Whether polls tell something else than is recorded, and it is time to say so.
    fn is_news(&mut self, trouble: Option<&Trouble>) -> bool {
        let now = Instant::now();
        let is_news = self.recorded.as_ref() != trouble
            && self.recorded_at.is_none_or(|at| now.saturating_duration_since(at) >= NEWS_GAP);
        if is_news {
            (self.recorded, self.recorded_at) = (trouble.cloned(), Some(now));
        }
        is_news
    }
}

/// What is recorded of the gate before a poll: that it waits for a person. Breakers and permits cost a lower operation its time.
fn worth_noting(gate: Gate) -> Gate {
    gate.closed().map_or(Gate::Permit, Gate::from)
}

/// Waits before the next poll, or until we are notified, but never so little that notifications make a flood of polls.
async fn rest(wait: Duration, hearing: Option<&Hearing>) {
    let Some(hearing) = hearing else { return tokio::time::sleep(wait).await };
    let gap = wait.min(POLL_GAP);
    tokio::time::sleep(gap).await;
    // Either way it is time; what ended the wait makes no difference.
    drop(tokio::time::timeout(wait - gap, hearing.word()).await);
}

/// What the target asked to wait when it accepted, as far as that has not passed and there is time. A poll that waited for its
/// turn when the last process ended takes its place again at once.
fn first_wait(context: &TaskContext, step: StepIndex, leg: Leg) -> Duration {
    let Some(lower) = lower(&context.op, step, leg).filter(|lower| lower.closed().is_none()) else {
        return Duration::ZERO;
    };
    let accepted = context.op.answer_in(answer_slot(step, leg));
    let asked = accepted.and_then(|answer| retry_after(&answer.headers, lower.since)).unwrap_or_default();
    let passed = Duration::try_from(context.shared.clock.now().duration_since(lower.since)).unwrap_or_default();
    let left = time_left(context, step, leg).unwrap_or_default();
    asked.saturating_sub(passed).min(left.mul_f64(LAST_POLL))
}

/// Listens for notifications, where the target can be told to send them.
fn hear(context: &TaskContext, step: StepIndex, leg: Leg) -> Option<Hearing> {
    let notifies = context.rules(step).is_ok_and(|rules| rules.notifies());
    let lower = lower(&context.op, step, leg).filter(|_| notifies)?;
    Some(context.shared.lowers.hear(&lower.reference))
}

/// How long the lower operation is still followed.
fn time_left(context: &TaskContext, step: StepIndex, leg: Leg) -> Option<Duration> {
    Some(lower(&context.op, step, leg)?.left(context.shared.clock.now()))
}

fn unfollowable(step: StepIndex, leg: Leg, trouble: Trouble) -> Input {
    let answer = Answer { status: 502, headers: Vec::new(), body: Body::default(), complete: true, sealed: false };
    Input::LowerEnded {
        step,
        leg,
        lower: Box::new(LowerSeen { answer, reading: Reading::Unknown, trouble: Some(trouble) }),
    }
}

/// Where the target said that its operation is followed. The record has the public form; where that is another one, the answer is
/// read once more that told it.
async fn reference(context: &TaskContext, step: StepIndex, leg: Leg) -> Result<String, Trouble> {
    let recorded = lower(&context.op, step, leg).map(|lower| lower.reference.clone()).unwrap_or_default();
    if !Redaction::is_public_reference(&recorded) {
        return Ok(recorded);
    }
    let mut waiting = None;
    let original = loop {
        let error = match originals::answer(&context.shared, &context.op, answer_slot(step, leg)).await {
            Ok(original) => {
                Waiting::end(waiting);
                break original;
            }
            Err(Error::Corrupt { detail }) => return Err(Trouble { kind: TroubleKind::Nonsense, detail }),
            Err(error) => error,
        };
        waiting.get_or_insert_with(|| context.shared.unread.wait(&error));
        tokio::time::sleep(STORE_RETRY).await;
    };
    let Some(original) = original else { return Ok(recorded) };
    let (reading, trouble) = read(context, step, leg, (&original, &octets(&original.body)));
    match (reading, trouble) {
        (Reading::LowerAccepted { reference }, _) => Ok(reference),
        (_, Some(trouble)) => Err(trouble),
        (_, None) => {
            let detail =
                "the answer that told of the target's operation does not tell of it any more: the monitor of the \
                          target was changed"
                    .to_owned();
            Err(Trouble { kind: TroubleKind::Nonsense, detail })
        }
    }
}

/// The poll as it is sent, or why there is none.
fn poll_request(context: &TaskContext, step: StepIndex, leg: Leg, reference: &str) -> Result<Outgoing, Trouble> {
    let rules = context.rules(step)?;
    let address = lower(&context.op, step, leg).and_then(|_| rules.poll_address(reference));
    let Some(address) = address else {
        let detail = "the target's operation cannot be followed: there is no monitor for it".to_owned();
        return Err(Trouble { kind: TroubleKind::Nonsense, detail });
    };
    outgoing(context, step, leg, address)
}

async fn poll(context: &TaskContext, step: StepIndex, permit: Permit, outgoing: &Outgoing) -> Result<Poll, Trouble> {
    let rules = context.rules(step)?;
    match context.target(step).send(permit, outgoing).await {
        Ok(received) => {
            let headers = from_wire(&received.headers);
            let answered = Answered {
                status: received.status.as_u16(),
                headers: &headers,
                body: &received.body,
                complete: received.complete,
            };
            Ok(rules.read_poll(&answered, context.shared.clock.now()))
        }
        Err(broke) => Ok(Poll::Unclear { trouble: broke.trouble, retry_after: None }),
    }
}

fn lower(op: &Operation, step: StepIndex, leg: Leg) -> Option<&Lower> {
    let step = op.steps.get(step.get())?;
    let send = match (leg, &step.phase, step.undo.as_ref().map(|undo| &undo.phase)) {
        (Leg::Forward, StepPhase::Sending(send), _) | (Leg::Undo, _, Some(UndoPhase::Sending(send))) => send,
        _ => return None,
    };
    match send {
        Send::Following(lower) => Some(lower),
        Send::Due { .. } | Send::Calling { .. } | Send::BackingOff { .. } => None,
    }
}

fn outgoing(context: &TaskContext, step: StepIndex, leg: Leg, address: PollAddress) -> Result<Outgoing, Trouble> {
    let policy = context.op.plan.step_policy(step);
    let limits = match leg {
        Leg::Undo => &policy.undo_limits,
        Leg::Forward | Leg::Probe => &policy.step,
    };
    let mut headers = vec![
        ("accept".to_owned(), "application/json".to_owned()),
        ("fanfold-operation-id".to_owned(), context.op.id.to_string()),
    ];
    headers.extend(trace_headers(context, &About::Part(step, leg)));
    let (path_and_query, from_root) = match address {
        PollAddress::BelowPrefix(path) => (path, false),
        PollAddress::FromRoot(path) => (path, true),
    };
    Ok(Outgoing {
        method: http::Method::GET,
        path_and_query,
        headers: wire_headers(&headers)?,
        body: Bytes::new(),
        connect: limits.connect,
        response: limits.response,
        body_max: limits.response_body_max,
        fresh: false,
        from_root,
    })
}

impl Actor {
    /// Records what the next poll waits for now, and goes on in its place.
    pub(super) fn take_poll_gate(&mut self, step: StepIndex, leg: Leg, gate: Gate, follower: Follower) {
        if self.take(Event::GateChanged { step, leg, gate }) {
            let following = go_on_following(self.context(), step, leg, follower);
            self.tasks.spawn(Work::Follow { step, leg }, following);
        }
    }

    /// Records and logs what polls tell now, and polls on.
    pub(super) fn take_polls(&mut self, step: StepIndex, leg: Leg, trouble: Option<Trouble>, follower: Follower) {
        if !self.take(Event::PollsChanged { step, leg, trouble: trouble.clone() }) {
            return;
        }
        let (operation, target) = (self.op.id, &self.op.plan.steps[step.get()].target);
        match trouble {
            Some(trouble) => {
                tracing::warn!(operation.id = %operation, %target, trouble = %trouble.detail, "polls tell nothing; polling on");
            }
            None => tracing::info!(operation.id = %operation, %target, "polls tell something again"),
        }
        let following = go_on_following(self.context(), step, leg, follower);
        self.tasks.spawn(Work::Follow { step, leg }, following);
    }

    pub(super) fn take_lower(&mut self, step: StepIndex, leg: Leg, lower: LowerSeen) {
        let LowerSeen { answer, reading, trouble } = lower;
        let answer = self.public_and_sealed(answer_slot(step, leg), answer);
        self.take(Event::LowerEnded { step, leg, answer, reading, trouble });
    }
}
