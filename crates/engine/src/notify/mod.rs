//! Sends notices from the outbox: in order per operation, at least once, again with backoff until they are confirmed or given
//! up. Where they may go is checked at acceptance and again here, on the very address that is connected to.

mod client;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fanfold_store::{Notice, NoticeId, NoticeOutcome};
use jiff::Timestamp;
use tokio::task::{Id, JoinSet};

use crate::Error;
use crate::clock::jitter;
use crate::config::NoticeRules;
use crate::shared::Shared;

/// How many notices are on the wire at once.
const SENDING_MAX: usize = 32;

/// Runs until the engine stops. What is on the wire then is sent again by the next start.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping();
    let mut sending = JoinSet::new();
    let mut ids = HashMap::new();
    loop {
        let pause = match begin(&shared, &mut sending, &mut ids).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "cannot read notices to be sent");
                shared.config.sweep_every
            }
        };
        tokio::select! {
            () = shared.notifier_woken() => {}
            () = tokio::time::sleep(pause) => {}
            Some(ended) = sending.join_next_with_id() => {
                let task = match ended {
                    Ok((task, ())) => task,
                    Err(error) => {
                        tracing::error!(%error, "sending a notice met a mistake in the program; it will be sent again");
                        error.id()
                    }
                };
                ids.remove(&task);
            }
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

async fn begin(
    shared: &Arc<Shared>,
    sending: &mut JoinSet<()>,
    ids: &mut HashMap<Id, NoticeId>,
) -> Result<Duration, Error> {
    let now = shared.clock.now();
    // Those on the wire stay due until their outcome is recorded.
    for notice in shared.store.due_notices(now, SENDING_MAX).await? {
        let id = notice.notice.id.clone();
        if ids.len() < SENDING_MAX && !ids.values().any(|other| *other == id) {
            let task = sending.spawn(send(Arc::clone(shared), notice));
            ids.insert(task.id(), id);
        }
    }
    let next = shared.store.next_notice(now).await?;
    let until_next = next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    Ok(until_next.unwrap_or(shared.config.sweep_every).min(shared.config.sweep_every))
}

async fn send(shared: Arc<Shared>, notice: Notice) {
    let id = &notice.notice.id;
    let rules = &shared.config.notices;
    let result = client::deliver(&notice.notice, rules).await;
    let now = shared.clock.now();
    let outcome = match result {
        Ok(()) => NoticeOutcome::Delivered { at: now },
        Err(error) if notice.attempts + 1 >= rules.attempts => {
            tracing::warn!(notice.id = %id, operation.id = %notice.operation, %error, "a notice was given up");
            NoticeOutcome::Dead { error, at: now }
        }
        Err(error) => {
            let again_at = again_at(rules, notice.attempts + 1, now, jitter(shared.clock.as_ref()));
            NoticeOutcome::Failed { error, again_at }
        }
    };
    shared.metrics.noticed(&outcome);
    // Not recorded, it is sent again: at least once is what is promised.
    if let Err(error) = shared.store.record_notice(id, outcome).await {
        tracing::error!(notice.id = %id, %error, "cannot record what became of a notice; it will be sent again");
        tokio::time::sleep(rules.backoff).await;
    }
}

/// When a notice is sent again after its `attempts`th try failed.
fn again_at(rules: &NoticeRules, attempts: u32, now: Timestamp, jitter: f64) -> Timestamp {
    let bound = rules.backoff.saturating_mul(1 << attempts.saturating_sub(1).min(31)).min(rules.backoff_max);
    let wait = jiff::SignedDuration::try_from(bound.mul_f64(jitter)).unwrap_or(jiff::SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_bound() {
        let rules = NoticeRules::default();
        let now = Timestamp::UNIX_EPOCH;
        let wait = |attempts| again_at(&rules, attempts, now, 1.0).as_second();
        assert_eq!([wait(1), wait(2), wait(3), wait(11), wait(40)], [1, 2, 4, 600, 600]);
        assert_eq!(again_at(&rules, 5, now, 0.0), now);
    }
}
