//! Sends notices from the outbox: in order for each operation and receiver, at least once, again with backoff until they are
//! confirmed or given up. Where callers may have them sent is checked at acceptance and again here, on the very address that
//! is connected to. Receivers take turns, and have no more than their share on the wire, so that one that does not answer holds
//! up nobody else.

mod client;
mod lasting;
mod promise;
mod webhook;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::{Headers, Operation};
use fanfold_store::{DueNotices, Error as StoreError, Notice, NoticeId, NoticeOutcome};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

pub(crate) use lasting::{put_back, take_out};
pub(crate) use promise::{promise, promised};
pub(crate) use webhook::{CALLBACK_ATTRIBUTE, allowed_callback, receiver_of, webhooks};

use crate::Error;
use crate::clock::jitter;
use crate::config::NoticeRules;
use crate::members::Term;
use crate::shared::Shared;
use crate::stalled::Waiting;
use client::{Client, Missed, Outgoing};
use webhook::Kind;

/// How many notices are on the wire at once.
const SENDING_MAX: usize = 32;

/// How many of them to the same receiver.
const SENDING_TO_ONE_MAX: usize = 4;

/// How long a node waits that may not send at the moment, before it looks again.
const LEASE_PAUSE: Duration = Duration::from_secs(1);

/// What is on the wire.
#[derive(Debug, Default)]
struct Sending {
    tasks: JoinSet<()>,
    /// The id and the receiver of each notice.
    notices: HashMap<Id, (NoticeId, String)>,
    client: Arc<Client>,
    /// The receiver whose turn was last.
    last_turn: String,
}

/// Runs until the engine stops. What is on the wire then is sent again by the next start.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping();
    let mut sending = Sending::default();
    let mut told = Instant::now();
    let mut failing = false;
    tell(&shared).await;
    loop {
        let begun = sending.begin(&shared).await;
        if let Err(error) = &begun
            && !failing
        {
            tracing::error!(%error, "cannot read notices to be sent; this is told once, until they can be read");
        }
        failing = begun.is_err();
        let pause = begun.unwrap_or(shared.config.sweep_every);
        if told.elapsed() >= shared.config.sweep_every {
            told = Instant::now();
            tell(&shared).await;
        }
        tokio::select! {
            biased;
            () = shared.notifier_woken() => {}
            () = tokio::time::sleep(pause) => {}
            () = sending.ended() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Puts how the outbox is doing into the metrics.
async fn tell(shared: &Shared) {
    match shared.store.outbox().await {
        Ok(state) => shared.metrics.outbox(state, shared.clock.now()),
        // The notices themselves cannot be read then, which is told where they are.
        Err(error) => tracing::debug!(%error, "cannot read how the outbox is doing"),
    }
}

impl Sending {
    /// Begins to send what is due and has room; gives how long nothing else will be.
    async fn begin(&mut self, shared: &Arc<Shared>) -> Result<Duration, Error> {
        // Before they are read: what was due in one term is not sent in another.
        let term = shared.lease.term();
        if !shared.lease.holds(term) {
            // Another node may be sending them by now.
            return Ok(LEASE_PAUSE);
        }
        let now = shared.steady_now();
        // Those on the wire stay due until their outcome is recorded, and are handed out with the others.
        let wanted =
            DueNotices { now, after: self.last_turn.clone(), each: SENDING_TO_ONE_MAX, limit: 2 * SENDING_MAX };
        for notice in shared.store.due_notices(wanted).await? {
            if self.notices.len() == SENDING_MAX {
                break;
            }
            let (id, receiver) = (notice.notice.id.clone(), notice.notice.receiver.clone());
            let to_it = self.notices.values().filter(|(_, other)| *other == receiver).count();
            if to_it < SENDING_TO_ONE_MAX && !self.notices.values().any(|(other, _)| *other == id) {
                let task = self.tasks.spawn(send(Arc::clone(shared), Arc::clone(&self.client), notice, term));
                self.notices.insert(task.id(), (id, receiver.clone()));
                self.last_turn = receiver;
            }
        }
        let next = shared.store.next_notice(now).await?;
        let until_next = next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        Ok(until_next.unwrap_or(shared.config.sweep_every).min(shared.config.sweep_every))
    }

    /// Waits for one to be off the wire.
    async fn ended(&mut self) {
        let task = match self.tasks.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok((task, ()))) => task,
            Some(Err(error)) => {
                tracing::error!(%error, "sending a notice met a mistake in the program; it will be sent again");
                error.id()
            }
        };
        self.notices.remove(&task);
    }
}

async fn send(shared: Arc<Shared>, client: Arc<Client>, notice: Notice, term: Term) {
    let id = &notice.notice.id;
    let began = shared.steady_now();
    let rules = shared.notices.load_full();
    let operation = traced(&shared, &notice).await;
    let trace = operation.as_ref().map(|operation| shared.traces.of_notice(operation, &notice, began));
    // A mistake in the program while sending is a try like any other, so that it is not made again and again at once.
    let tried = AssertUnwindSafe(deliver(&shared, &client, &rules, &notice, trace.unwrap_or_default(), term));
    let tried = tried.catch_unwind().await;
    let result =
        tried.unwrap_or_else(|_| Err("a mistake in the program ended the try; the log tells more".to_owned().into()));
    let now = shared.steady_now();
    let outcome = match result {
        Ok(()) => NoticeOutcome::Delivered { at: now },
        Err(Missed::Gone { error }) => {
            tracing::warn!(notice.id = %id, operation.id = %notice.operation, %error, "a notice was given up");
            NoticeOutcome::Dead { error, at: now }
        }
        Err(Missed::Failed { error, .. }) if notice.attempts + 1 >= rules.attempts => {
            tracing::warn!(notice.id = %id, operation.id = %notice.operation, %error, "a notice was given up");
            NoticeOutcome::Dead { error, at: now }
        }
        Err(Missed::Failed { error, retry_after }) => {
            let again_at = again_at(&rules, notice.attempts + 1, retry_after, now, jitter(shared.clock.as_ref()));
            NoticeOutcome::Failed { error, again_at }
        }
        // Nothing was sent. Whoever may send it now does.
        Err(Missed::CalledOff) => return,
    };
    shared.metrics.noticed(&outcome);
    if let Some(operation) = operation {
        shared.traces.noticed(&operation, &notice, (began, now), &outcome);
    }
    record(&shared, id, outcome, rules.backoff).await;
}

/// The operation that a notice is about, where that may be traced. A notice is sent whether it can be read or not.
async fn traced(shared: &Shared, notice: &Notice) -> Option<Operation> {
    if !shared.traces.are_told() {
        return None;
    }
    shared.store.operation(notice.operation).await.ok().flatten()
}

/// Records what became of a notice, however long that takes, with this pause between two tries: who has got it is not to get it
/// again because of the store. If the process ends first it is sent again; at least once is what is promised.
async fn record(shared: &Shared, id: &NoticeId, outcome: NoticeOutcome, pause: Duration) {
    let mut waiting = None;
    loop {
        let term = shared.lease.term();
        match shared.store.record_notice(id, outcome.clone()).await {
            Ok(()) => {
                Waiting::end(waiting);
                return;
            }
            // A try whose answer was lost had been recorded.
            Err(StoreError::Conflict) if waiting.is_some() => {
                Waiting::end(waiting);
                return;
            }
            Err(
                error @ (StoreError::Conflict
                | StoreError::NotFound { .. }
                | StoreError::Invalid { .. }
                | StoreError::Corrupt { .. }),
            ) => {
                tracing::error!(notice.id = %id, %error, "what became of a notice cannot be recorded");
                tokio::time::sleep(pause).await;
                return;
            }
            Err(error) => {
                if error == StoreError::Fenced {
                    shared.lease.end(term);
                }
                waiting.get_or_insert_with(|| shared.unrecorded.wait(&error))
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Sends a notice once. Webhooks are signed now, with the secrets of now: a rotation takes effect on what is sent again, too.
async fn deliver(
    shared: &Shared,
    client: &Client,
    rules: &NoticeRules,
    notice: &Notice,
    trace: Headers,
    term: Term,
) -> Result<(), Missed> {
    let new = &notice.notice;
    let kind = Kind::of(new)?;
    let now = shared.clock.now();
    let mut headers: Headers = [new.headers.clone(), trace].concat();
    match kind {
        Kind::Dialect => {}
        Kind::OfCaller => headers.extend(webhook::signed(&rules.secrets, new, now)?),
        Kind::OfRoute => {
            let operation = shared.store.operation(notice.operation).await;
            let operation = operation.map_err(|error| format!("the operation cannot be read: {error}"))?;
            let operation = operation.ok_or_else(|| "its operation is not there any more".to_owned())?;
            headers.extend(webhook::signed(promise::secrets(rules, &operation.plan)?, new, now)?);
        }
    }
    let address = lasting::address(shared, kind.slot(), notice.operation, &new.url).await?;
    let url = address.parse().map_err(|error| format!("the address {error}"))?;
    let outgoing = Outgoing {
        url: &url,
        method: &new.method,
        headers,
        body: new.body.clone(),
        is_callers: kind != Kind::OfRoute,
        term,
    };
    client.deliver(outgoing, rules, shared, now).await
}

/// When a notice is sent again after its `attempts`th try failed: not before the receiver asks for it, but never later than the
/// longest wait.
fn again_at(
    rules: &NoticeRules,
    attempts: u32,
    retry_after: Option<Duration>,
    now: Timestamp,
    jitter: f64,
) -> Timestamp {
    let bound = rules.backoff.saturating_mul(1 << attempts.saturating_sub(1).min(31)).min(rules.backoff_max);
    let asked = retry_after.unwrap_or_default().min(rules.backoff_max);
    let wait = jiff::SignedDuration::try_from(bound.mul_f64(jitter).max(asked)).unwrap_or(jiff::SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound() {
        let rules = NoticeRules::default();
        let now = Timestamp::UNIX_EPOCH;
        let wait = |attempts| again_at(&rules, attempts, None, now, 1.0).as_second();
        assert_eq!([wait(1), wait(2), wait(3), wait(11), wait(40)], [1, 2, 4, 600, 600]);
        assert_eq!(again_at(&rules, 5, None, now, 0.0), now);
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_within_the_bound() {
        let rules = NoticeRules::default();
        let now = Timestamp::UNIX_EPOCH;
        let wait = |seconds, jitter| again_at(&rules, 5, Some(Duration::from_secs(seconds)), now, jitter).as_second();
        assert_eq!([wait(30, 0.0), wait(1, 1.0), wait(86_400, 0.0)], [30, 16, 600]);
    }
}
