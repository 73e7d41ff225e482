//! What the engine's tasks know of being one of several nodes on one store: the lease, and whether there are others to be told.
//! `membership` does what a node does beside its operations.

mod lease;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use fanfold_store::{NewNode, Node, Nodes, Standing};
use tokio::sync::{Notify, mpsc};

use crate::clock::Clock;
pub(crate) use lease::{Lease, Term};

/// Beats within one lease.
const BEATS: u32 = 5;

/// The part of a lease by which a node takes its own for shorter, and another one's for longer, than it is: clocks of two machines
/// do not go at quite the same pace, and a send takes a moment from the last look at the lease to the first byte.
const MARGIN_PARTS: u32 = 10;

/// How long a node with this lease may be silent.
pub(crate) fn patience_with(lease: Duration) -> Duration {
    lease.saturating_add(lease / MARGIN_PARTS)
}

/// Words about lower operations that wait to be said at the most; their senders come again, or the controller is asked.
const LOWERS_MAX: usize = 256;

/// That this process is one of several nodes on its store.
#[derive(Clone)]
pub struct Membership {
    /// What the nodes do with each other; of the same store that the engine gets.
    pub nodes: Arc<dyn Nodes>,
    /// What this one says of itself. When it joined is filled in.
    pub node: NewNode,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("node", &self.node).finish_non_exhaustive()
    }
}

/// What the engine's tasks know of the other nodes.
pub(crate) struct Members {
    pub(crate) nodes: Arc<dyn Nodes>,
    node: ArcSwap<NewNode>,
    pub(crate) lease: Duration,
    /// How many others there are, as of the last beat.
    others: AtomicUsize,
    /// All of them, as of the last beat.
    seen: Mutex<Vec<Node>>,
    /// There may be something to adopt.
    pub(crate) gone: Notify,
    /// There may be news.
    pub(crate) look: Notify,
    /// There is something that the others should hear of.
    pub(crate) news: Notify,
    lowers: mpsc::Sender<String>,
    pub(crate) lowers_to_say: tokio::sync::Mutex<mpsc::Receiver<String>>,
}

impl Members {
    /// Joins: from now on this process is a node.
    pub(crate) async fn join(
        membership: Membership,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Self, Lease), fanfold_store::Error> {
        let Membership { nodes, node } = membership;
        let (lowers, lowers_to_say) = mpsc::channel(LOWERS_MAX);
        let members = Self {
            nodes,
            lease: node.lease,
            node: ArcSwap::from_pointee(node),
            others: AtomicUsize::new(0),
            seen: Mutex::default(),
            gone: Notify::new(),
            look: Notify::new(),
            news: Notify::new(),
            lowers,
            lowers_to_say: lowers_to_say.into(),
        };
        let sent = clock.boot_time();
        let epoch = members.nodes.join(members.said_of_it(clock)).await?;
        let lease = Lease::of(Arc::clone(clock), epoch, sent + members.kept());
        tracing::info!(node.epoch = epoch.0, node.name = %members.node.load().name, "this process has joined the nodes of its store");
        Ok((members, lease))
    }

    pub(crate) fn said_of_it(&self, clock: &Arc<dyn Clock>) -> NewNode {
        NewNode { joined_at: clock.now(), ..NewNode::clone(&self.node.load()) }
    }

    /// The hash of its configuration.
    pub(crate) fn configuration(&self) -> String {
        self.node.load().configuration.clone()
    }

    /// It has another configuration from now on, which the next beat tells.
    pub(crate) fn reconfigured(&self, configuration: String) {
        self.node.rcu(|node| NewNode { configuration: configuration.clone(), ..NewNode::clone(node) });
    }

    /// How long this node keeps its own lease after a beat was sent.
    pub(crate) fn kept(&self) -> Duration {
        self.lease - self.lease / MARGIN_PARTS
    }

    pub(crate) fn beat_every(&self) -> Duration {
        self.lease / BEATS
    }

    /// These nodes there were at the last beat; gives how many of them were alive, this one included.
    pub(crate) fn note_seen(&self, nodes: &[Node]) -> usize {
        let alive = nodes.iter().filter(|node| node.standing == Standing::Member).count();
        self.others.store(alive.saturating_sub(1), Ordering::Relaxed);
        nodes.clone_into(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        alive
    }

    /// All nodes, as of the last beat.
    pub(crate) fn seen(&self) -> Vec<Node> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of them have another configuration than this one.
    pub(crate) fn differing(&self, nodes: &[Node]) -> usize {
        let own = self.node.load();
        let differs = |node: &&Node| node.standing == Standing::Member && node.node.configuration != own.configuration;
        nodes.iter().filter(differs).count()
    }

    /// Whether there are other nodes, as far as is known.
    pub(crate) fn has_others(&self) -> bool {
        self.others.load(Ordering::Relaxed) > 0
    }

    /// Somebody else has said something, and so is there; the next beat tells who.
    pub(crate) fn note_heard(&self) {
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
