//! Beating: keeps the lease, watches the others, and joins again once this node was fenced off.

use std::sync::Arc;
use std::time::Duration;

use fanfold_store::{Change, Error, Node};

use super::watch::Watch;
use crate::clock::jitter;
use crate::dispatch;
use crate::members::{Members, Term};
use crate::shared::Shared;

/// The wait before the store is asked again that did not take a node in.
const JOIN_RETRY: Duration = Duration::from_secs(1);

/// Runs until the engine has stopped; a node that is about to stop keeps its lease, because its attempts are awaited.
pub(super) async fn run(shared: Arc<Shared>, members: Arc<Members>) {
    loop {
        let term = shared.lease.term();
        let over = tokio::select! {
            biased;
            () = shared.lease.until_over() => true,
            over = keep(&shared, &members, term) => over,
        };
        if over {
            begin_again(&shared, &members, term).await;
        }
    }
}

/// Beats as long as the store takes it. `true`: it does not any more.
async fn keep(shared: &Shared, members: &Members, term: Term) -> bool {
    let mut watch = Watch::new(members.lease / 2);
    let mut failing = false;
    loop {
        let asked = shared.clock.boot_time();
        // A beat that takes longer would come too late to be of use.
        let configuration = members.configuration();
        let beating = members.nodes.beat(shared.clock.now(), &configuration);
        let beaten = tokio::time::timeout(members.kept() / 2, beating).await;
        let beaten = beaten.unwrap_or_else(|_| Err(too_slow()));
        match beaten {
            Ok(nodes) => {
                shared.lease.extend(term, asked + members.kept());
                shared.unrecorded.served();
                if std::mem::take(&mut failing) {
                    tracing::info!(node.epoch = term.epoch().0, "this node beats again");
                }
                note_others(shared, members, &nodes);
                for (epoch, beat) in watch.look(&nodes, term.epoch(), asked, shared.clock.boot_time()) {
                    fence(members, (epoch, beat), &nodes).await;
                }
            }
            Err(Error::Fenced) => return true,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(
                        node.epoch = term.epoch().0,
                        %error,
                        "this node cannot beat; once its lease has run out it sends nothing; this is told once, until it beats again"
                    );
                }
            }
        }
        // Half of the nodes a bit earlier, half a bit later, so that they do not beat all at once.
        tokio::time::sleep(members.beat_every().mul_f64(0.75 + jitter(shared.clock.as_ref()) / 2.0)).await;
    }
}

fn too_slow() -> Error {
    Error::Unavailable { detail: "it takes too long to answer".to_owned(), may_have_committed: true }
}

fn note_others(shared: &Shared, members: &Members, nodes: &[Node]) {
    let alive = members.note_seen(nodes);
    shared.metrics.nodes_alive(alive, members.differing(nodes));
    if alive < nodes.len() {
        members.gone.notify_one();
    }
}

async fn fence(members: &Members, (epoch, beat): (fanfold_store::Epoch, u64), nodes: &[Node]) {
    let name = nodes.iter().find(|node| node.epoch == epoch).map_or("", |node| node.node.name.as_str());
    // This node has to beat meanwhile. One that is still silent at the next beat is fenced off then.
    let fenced = tokio::time::timeout(members.beat_every(), members.nodes.fence(epoch, beat)).await;
    match fenced.unwrap_or_else(|_| Err(too_slow())) {
        Ok(Change::Made) => {
            tracing::warn!(
                other.epoch = epoch.0,
                other.name = name,
                "a node is silent; it was fenced off, and its operations are taken over"
            );
            members.gone.notify_one();
        }
        Ok(Change::AlreadySo) => {}
        // The next beat tries again.
        Err(error) => {
            tracing::error!(other.epoch = epoch.0, other.name = name, %error, "cannot fence a silent node off")
        }
    }
}

/// This node was fenced off: nothing that it has in memory is its own any more. It forgets that, and joins as another one.
async fn begin_again(shared: &Arc<Shared>, members: &Members, lost: Term) {
    shared.lease.end(lost);
    // What it was granted is for others by now.
    shared.targets.share_all();
    shared.metrics.lease_lost();
    tracing::error!(
        node.epoch = lost.epoch().0,
        "other nodes have fenced this one off and take over its operations; it forgets them, and joins again"
    );
    // From here on no task of the old life begins: `dispatch` looks at the lease under the lock of this set.
    let mut actors = std::mem::take(&mut *shared.actors());
    actors.abort_all();
    while let Some(ended) = actors.join_next().await {
        dispatch::report(ended);
    }
    shared.doubts.forget_all();
    loop {
        let sent = shared.clock.boot_time();
        match members.nodes.join(members.said_of_it(&shared.clock)).await {
            Ok(epoch) => {
                shared.lease.begin(epoch, sent + members.kept());
                tracing::info!(node.epoch = epoch.0, "this process has joined the nodes of its store again");
                members.gone.notify_one();
                members.look();
                shared.wake_dispatcher();
                shared.wake_notifier();
                return;
            }
            Err(error) => {
                tracing::error!(%error, "this process cannot join the nodes of its store again; trying on");
                tokio::time::sleep(JOIN_RETRY).await;
            }
        }
    }
}
