//! This process as one of several nodes on one store: it beats, and keeps its lease by that; watches the others, fences off those
//! that are silent, and adopts what they leave behind; hears what the others do, and lets them hear what it does; shares
//! the permits of targets with them.
//!
//! A node whose lease has run out sends nothing until it has beaten again, and goes on as it was then. One that was fenced off
//! forgets what it had in memory, and joins again as another node. The store refuses what it writes in between, so the lease is
//! there only for what no store can refuse: sending.

mod adopt;
mod beat;
mod hear;
mod permits;
mod say;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use fanfold_store::EventNumber;
use tokio::task::JoinSet;

use crate::members::Members;
use crate::shared::Shared;

/// Begins everything that a node does beside its operations; what happened up to the latest event is known.
pub(crate) fn begin(services: &mut JoinSet<()>, shared: &Arc<Shared>, members: &Arc<Members>, latest: EventNumber) {
    services.spawn(beat::run(Arc::clone(shared), Arc::clone(members)));
    services.spawn(adopt::run(Arc::clone(shared), Arc::clone(members)));
    services.spawn(hear::run(Arc::clone(shared), Arc::clone(members), latest));
    services.spawn(permits::run(Arc::clone(shared), Arc::clone(members)));
    services.spawn(say::run(Arc::clone(members)));
    // So that they tell this one from now on what they do.
    members.news.notify_one();
}

/// How long a node that stops waits for the store to record that it leaves.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// Leaves: the others take over at once, and this process does nothing any more.
pub(crate) async fn leave(shared: &Shared, members: &Members) {
    shared.lease.end(shared.lease.term());
    match tokio::time::timeout(LEAVE_PATIENCE, members.nodes.leave()).await {
        // So that they need not look for it.
        Ok(Ok(())) => drop(tokio::time::timeout(LEAVE_PATIENCE, members.nodes.say(fanfold_store::Word::News)).await),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the store did not record that this node leaves; the others find out by themselves");
        }
        Err(_) => {
            tracing::warn!("the store is too slow to record that this node leaves; the others find out by themselves")
        }
    }
}
