//! This process as one of several nodes on one store: it beats, and keeps its lease by that; watches the others, fences off those
//! that are silent, and adopts what they leave behind; hears what the others do, and lets them hear what it does.
//!
//! A node whose lease has run out sends nothing until it has beaten again, and goes on as it was then. One that was fenced off
//! forgets what it had in memory, and joins again as another node. The store refuses what it writes in between, so the lease is
//! there only for what no store can refuse: sending.

mod adopt;
mod beat;
mod hear;
mod lease;
mod say;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfold_store::{NewNode, Nodes};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::shared::Shared;
pub(crate) use lease::{Lease, Term};

/// Beats within one lease.
const BEATS: u32 = 5;

/// The part of a lease by which a node takes its own for shorter, and another one's for longer, than it is: clocks of two machines
/// do not go at quite the same pace, and a send takes a moment from the last look at the lease to the first byte.
const MARGIN_PARTS: u32 = 10;

/// Words about lower operations that wait to be said at the most; their senders come again, or the controller is asked.
const LOWERS_MAX: usize = 256;

/// That this process is one of several nodes on its store.
#[derive(Clone)]
pub struct Membership {
    /// What the nodes do with each other; of the same store that the engine gets.
    pub nodes: Arc<dyn Nodes>,
    /// What this one says of itself. When it joined is filled in.
    pub node: NewNode,
    /// How long a node may go on that cannot reach the store; the same for all nodes. After a little longer than this the others
    /// take over.
    pub lease: Duration,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("node", &self.node).field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// What the engine's tasks know of the other nodes.
pub(crate) struct Members {
    pub(crate) nodes: Arc<dyn Nodes>,
    node: NewNode,
    lease: Duration,
    /// How many others there are, as of the last beat.
    others: AtomicUsize,
    /// There may be something to adopt.
    gone: Notify,
    /// There may be news.
    look: Notify,
    /// There is something that the others should hear of.
    news: Notify,
    lowers: mpsc::Sender<String>,
    lowers_to_say: tokio::sync::Mutex<mpsc::Receiver<String>>,
}

impl Members {
    /// Joins: from now on this process is a node.
    pub(crate) async fn join(
        membership: Membership,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Self, Lease), fanfold_store::Error> {
        let Membership { nodes, node, lease } = membership;
        let (lowers, lowers_to_say) = mpsc::channel(LOWERS_MAX);
        let members = Self {
            nodes,
            node,
            lease,
            others: AtomicUsize::new(0),
            gone: Notify::new(),
            look: Notify::new(),
            news: Notify::new(),
            lowers,
            lowers_to_say: lowers_to_say.into(),
        };
        let sent = clock.boot_time();
        let epoch = members.nodes.join(members.said_of_it(clock)).await?;
        let lease = Lease::of(Arc::clone(clock), epoch, sent + members.kept());
        tracing::info!(node.epoch = epoch.0, node.name = %members.node.name, "this process has joined the nodes of its store");
        Ok((members, lease))
    }

    fn said_of_it(&self, clock: &Arc<dyn Clock>) -> NewNode {
        NewNode { joined_at: clock.now(), ..self.node.clone() }
    }

    fn margin(&self) -> Duration {
        self.lease / MARGIN_PARTS
    }

    /// How long this node keeps its own lease after a beat was sent.
    fn kept(&self) -> Duration {
        self.lease - self.margin()
    }

    /// How long another one may be silent.
    fn patience(&self) -> Duration {
        self.lease + self.margin()
    }

    fn beat_every(&self) -> Duration {
        self.lease / BEATS
    }

    /// Whether there are other nodes, as far as is known.
    pub(crate) fn has_others(&self) -> bool {
        self.others.load(Ordering::Relaxed) > 0
    }

    /// Somebody else has said something, and so is there; the next beat tells who.
    fn note_heard(&self) {
        self.others.fetch_max(1, Ordering::Relaxed);
    }

    /// Something was recorded that the others should hear of. They hear it in a moment, together with what comes until then.
    pub(crate) fn tell_news(&self) {
        if self.has_others() {
            self.news.notify_one();
        }
    }

    /// Looks for news now.
    pub(crate) fn look(&self) {
        self.look.notify_one();
    }

    /// Says to the others that a lower operation of this id is said to have ended. `false` if there is nobody to tell.
    pub(crate) fn tell_lower(&self, reference: &str) -> bool {
        // Where so many words wait, this one is lost like any other word may be.
        self.has_others() && self.lowers.try_send(reference.to_owned()).is_ok()
    }
}

/// Begins everything that a node does beside its operations.
pub(crate) fn begin(services: &mut JoinSet<()>, shared: &Arc<Shared>, members: &Arc<Members>) {
    services.spawn(beat::run(Arc::clone(shared), Arc::clone(members)));
    services.spawn(adopt::run(Arc::clone(shared), Arc::clone(members)));
    services.spawn(hear::run(Arc::clone(shared), Arc::clone(members)));
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
