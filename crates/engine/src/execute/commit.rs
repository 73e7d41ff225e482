//! Recording what was taken in. The task goes on only once it is recorded; while the store cannot record, it waits and tries
//! again, and nothing new begins.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::operation::Stage;
use fanfold_core::{Effect, Operation};
use fanfold_store::{Commit, Committed, Error};

use jiff::Timestamp;

use super::{Actor, Wake, call, wake_at};
use crate::clock::jitter;
use crate::hold;
use crate::stalled::Waiting;

/// The first wait after the store failed; doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(200);

/// The longest wait between two tries to record, while nothing else shows that the store is back.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Why a change was not recorded, nor ever will be by this task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GivenUp {
    /// Somebody else has recorded on the operation, or owns it, or has confirmed it.
    NotOurs,
    /// Another node has fenced this one off.
    Fenced,
    /// The record does not take it.
    Unrecordable,
    /// The process is about to stop.
    Stopping,
}

impl Actor {
    /// Records the draft, then begins what waited for it. `false`: this task must not go on.
    pub(super) async fn commit(&mut self) -> bool {
        let mut next = Operation::clone(&self.op);
        next.revision = next.revision.next();
        let draft = std::mem::take(&mut self.draft);
        let commit = Commit {
            wake_at: match wake_at(&next, &self.shared, self.now()) {
                // Since ever, so that a process with a clock that was set back finds it too.
                Wake::Now => Some(Timestamp::UNIX_EPOCH),
                Wake::At(until) => Some(until),
                Wake::Never => None,
            },
            operation: next,
            events: draft.events,
            effects: draft.effects,
            sealed: draft.sealed,
            notices: draft.notices,
            free_idempotency_key: self.canceling.is_some(),
        };
        if !self.shared.residents.begin_recording(self.op.id) {
            return false;
        }
        let committed = self.record(&commit).await;
        self.shared.residents.end_recording(self.op.id);
        let committed = match committed {
            Ok(committed) => committed,
            Err(given_up) => {
                self.give_up(given_up);
                return false;
            }
        };
        self.op = Arc::new(*committed.operation);
        self.hold_targets(&commit.effects).await;
        if let Stage::Ended { end, .. } = &self.op.stage {
            // Before anybody hears of the end, so that whoever does finds it counted.
            self.shared.metrics.ended(&self.op, end);
            self.shared.traces.ended(&self.op);
        }
        self.shared.residents.publish(&self.op);
        self.shared.tell_others();
        if let Some(canceling) = self.canceling.take_if(|_| self.op.end().is_some()) {
            canceling.ended();
        }
        self.follow_up(&commit, committed.granted);
        for reply in draft.replies {
            // Whoever asked may have gone away; the change is made all the same.
            drop(reply.send(Ok(Arc::clone(&self.op))));
        }
        for (step, leg, ready, started) in draft.sends {
            let call = call::call(self.context(), step, leg, ready, started);
            self.tasks.call(step, leg, call);
        }
        true
    }

    /// Before anybody hears of the change: who does may send to the target next.
    async fn hold_targets(&self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::HoldTarget { target, reason } = effect {
                self.shared.targets.get(target).hold(reason.clone());
                // Somebody may have released it between the commit and now.
                hold::follow(&self.shared, target).await;
            }
        }
    }

    fn follow_up(&self, commit: &Commit, granted: Option<fanfold_core::OperationId>) {
        for effect in &commit.effects {
            match effect {
                Effect::OpenAttention(note) => tracing::warn!(
                    operation.id = %self.op.id,
                    reason = note.reason.as_str(),
                    detail = %note.detail,
                    "a person is needed"
                ),
                Effect::Begin(_)
                | Effect::ReleaseLock
                | Effect::CloseAttention { .. }
                | Effect::HoldTarget { .. }
                | Effect::Finish => {}
            }
        }
        if self.op.end().is_some() && !commit.notices.is_empty() {
            self.shared.wake_notifier();
        }
        if granted.is_some() {
            self.shared.wake_dispatcher();
        }
    }

    /// Says why the task does not go on.
    fn give_up(&mut self, given_up: GivenUp) {
        match (given_up, self.canceling.take()) {
            (GivenUp::NotOurs, Some(canceling)) => {
                tracing::info!(
                    operation.id = %self.op.id,
                    "the same request came to another node meanwhile, or that one has taken the operation over; it is not canceled"
                );
                canceling.refused();
                self.shared.wake_dispatcher();
            }
            (GivenUp::NotOurs, None) => {
                tracing::error!(operation.id = %self.op.id, "somebody else has recorded on the operation; the next sweep takes it up again");
            }
            (GivenUp::Fenced, _) => drop(self.shared.lease.end(self.term)),
            // Told already, or about to be recovered by the next process. A canceling that is dropped is tried again.
            (GivenUp::Unrecordable | GivenUp::Stopping, _) => {}
        }
    }

    async fn record(&self, commit: &Commit) -> Result<Committed, GivenUp> {
        let (mut wait, mut waiting) = (RETRY_FIRST, None);
        loop {
            let tried = match self.shared.store.commit(commit.clone()).await {
                Err(Error::Conflict) => match self.recorded_after_all(commit).await {
                    Ok(Some(committed)) => Ok(committed),
                    Ok(None) => return Err(GivenUp::NotOurs),
                    Err(error) => Err(error),
                },
                tried => tried,
            };
            let error = match tried {
                Ok(committed) => {
                    Waiting::end(waiting);
                    self.shared.unrecorded.served();
                    return Ok(committed);
                }
                Err(error) => error,
            };
            match error {
                // It is another node's by now, which goes on from the record.
                Error::Fenced => return Err(GivenUp::Fenced),
                Error::NotFound { .. } | Error::Invalid { .. } | Error::Corrupt { .. } => {
                    tracing::error!(operation.id = %self.op.id, %error, "the operation cannot be recorded; the next sweep takes it up as it was last recorded");
                    return Err(GivenUp::Unrecordable);
                }
                Error::Conflict
                | Error::Unavailable { .. }
                | Error::Full { .. }
                | Error::ReadOnly { .. }
                | Error::Locked { .. }
                | Error::Unusable { .. }
                | Error::NewerSchema { .. }
                | Error::ChangedMigration { .. }
                | Error::Key { .. } => {}
            }
            let waiting = waiting.get_or_insert_with(|| self.shared.unrecorded.wait(&error));
            let mut stopping = self.shared.stopping();
            let pause = wait.mul_f64(0.5 + jitter(self.shared.clock.as_ref()) / 2.0);
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => {}
                () = waiting.served() => {}
                // What cannot be recorded before the process ends is recovered by the next one.
                _ = stopping.wait_for(|stopping| *stopping), if wait >= RETRY_MAX => return Err(GivenUp::Stopping),
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// A commit whose answer was lost may have been recorded: then the record is what we wanted it to be.
    async fn recorded_after_all(&self, commit: &Commit) -> Result<Option<Committed>, Error> {
        let recorded = self.shared.store.operation(self.op.id).await?;
        let ours = recorded.filter(|recorded| {
            recorded.revision == commit.operation.revision && recorded.updated_at == commit.operation.updated_at
        });
        Ok(ours.map(|operation| Committed { operation: Box::new(operation), granted: None }))
    }
}
