//! Adopting what other nodes have left behind, batch by batch, so that nobody's writes wait long for it.

use std::sync::Arc;
use std::time::Duration;

use fanfold_store::{ADOPT_MAX, Error};

use crate::members::Members;
use crate::shared::Shared;

/// The pause between two batches; the other nodes take some of it meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// The pause after the store failed.
const RETRY: Duration = Duration::from_secs(1);

/// Looks once at the start, then whenever a node is gone.
pub(super) async fn run(shared: Arc<Shared>, members: Arc<Members>) {
    let mut stopping = shared.stopping();
    loop {
        let pause = tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            pause = adopt(&shared, &members) => pause,
        };
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(pause) => {}
            () = members.gone.notified() => {}
        }
    }
}

/// For ever where no time is given.
async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Takes one batch over; gives after which time there may be more.
async fn adopt(shared: &Shared, members: &Members) -> Option<Duration> {
    let term = shared.lease.term();
    match members.nodes.adopt(shared.clock.now(), ADOPT_MAX).await {
        Ok(adopted) => {
            if adopted.operations > 0 {
                shared.metrics.adopted(adopted.operations);
                tracing::info!(operations = adopted.operations, "operations of nodes that are gone were taken over");
            }
            if adopted.operations > 0 || adopted.more {
                shared.wake_dispatcher();
                shared.wake_notifier();
                members.look();
            }
            adopted.more.then_some(PAUSE)
        }
        Err(Error::Fenced) => {
            shared.lease.end(term);
            Some(RETRY)
        }
        Err(error) => {
            tracing::error!(%error, "cannot take over operations of nodes that are gone; trying again");
            Some(RETRY)
        }
    }
}
