//! Sealing anew: while a store knows other keys than the one that seals, the originals that those have sealed are sealed with
//! that one, in small batches, until none is left and the others can be retired.

use std::sync::Arc;
use std::time::Duration;

use fanfold_store::{Error, Resealed};

use crate::shared::Shared;

/// The pause between two batches, so that acceptance is not held up.
const PAUSE: Duration = Duration::from_millis(20);

/// What was done, and told.
#[derive(Default)]
struct Progress {
    /// How many were sealed anew since the start of the store.
    resealed: usize,
    /// How many are left, as far as is known.
    left: Option<u64>,
    failing: bool,
}

/// Runs until the engine stops, or there is nothing to do as long as it runs.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping();
    let mut progress = Progress::default();
    while let Some(pause) = go_on(&shared, &mut progress).await {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Does a batch, and gives the pause before the next one.
async fn go_on(shared: &Shared, progress: &mut Progress) -> Option<Duration> {
    let done = batch(shared, progress).await;
    if let Err(error) = &done
        && !progress.failing
    {
        tracing::error!(%error, "originals cannot be sealed with the current key; this is told once, until it can be done");
    }
    progress.failing = done.is_err();
    // Other nodes may go on sealing with another key for a while, so it is looked again and again.
    done.unwrap_or(Some(shared.config.retention_every))
}

async fn batch(shared: &Shared, progress: &mut Progress) -> Result<Option<Duration>, Error> {
    let (resealed, is_whole) = match shared.store.reseal().await? {
        Resealed::Idle => return Ok(None),
        Resealed::Some { resealed } => (resealed, false),
        Resealed::Whole { resealed } => (resealed, true),
    };
    progress.resealed += resealed;
    match progress.left {
        Some(left) if !is_whole => progress.left = Some(left.saturating_sub(resealed as u64)),
        before @ (Some(_) | None) => {
            let left = shared.store.sealing_keys().await?.iter().skip(1).map(|key| key.messages).sum();
            progress.left = Some(left);
            tell(progress, before, left);
        }
    }
    shared.metrics.sealed_with_other_keys(progress.left.unwrap_or_default());
    Ok(Some(if is_whole { shared.config.retention_every } else { PAUSE }))
}

fn tell(progress: &Progress, before: Option<u64>, left: u64) {
    let resealed = progress.resealed;
    match (before, left) {
        (None | Some(1..), 0) => {
            tracing::info!(
                resealed,
                "no original needs another key than the one that seals: the others can be retired"
            );
        }
        (None, left) => tracing::info!(left, "originals are sealed with another key, and are sealed anew"),
        (Some(_), _) => {}
    }
}
