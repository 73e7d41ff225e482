//! Chores: ended operations whose retention has passed, tokens that were revoked long ago and old entries of the audit trail are
//! deleted in small batches, idle connections are closed, followers that went away are forgotten.

use std::sync::Arc;
use std::time::Duration;

use fanfold_store::{Error, Swept};

use crate::shared::Shared;

/// How many operations, tokens, or entries of the audit trail one sweep deletes.
const SWEEP_BATCH: usize = 200;

/// The pause between two sweeps while there is more to delete, so that acceptance is not held up.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);

/// How often idle connections and followers are looked after.
const TIDY_EVERY: Duration = Duration::from_secs(5);

/// Runs until the engine stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping();
    let mut failing = false;
    let mut next_sweep = tokio::time::Instant::now() + shared.config.retention_every;
    loop {
        let pause = next_sweep.saturating_duration_since(tokio::time::Instant::now()).min(TIDY_EVERY);
        tokio::select! {
            biased;
            () = tokio::time::sleep(pause) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        shared.targets.close_idle();
        shared.residents.forget_followers();
        if tokio::time::Instant::now() >= next_sweep {
            let swept = sweep(&shared).await;
            if let Err(error) = &swept
                && !failing
            {
                tracing::error!(%error, "cannot delete operations whose retention has passed; this is told once, until it can be done");
            }
            failing = swept.is_err();
            let more = swept.is_ok_and(|swept| swept.more);
            next_sweep = tokio::time::Instant::now() + if more { SWEEP_PAUSE } else { shared.config.retention_every };
        }
    }
}

/// Deletes a batch of each kind.
async fn sweep(shared: &Shared) -> Result<Swept, Error> {
    let now = shared.clock.now();
    let operations = shared.store.sweep(now, SWEEP_BATCH).await?;
    let access = shared.store.sweep_access(now, SWEEP_BATCH).await?;
    Ok(Swept { deleted: operations.deleted + access.deleted, more: operations.more || access.more })
}
