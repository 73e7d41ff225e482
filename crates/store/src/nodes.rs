//! Nodes: the processes that share one store, and which operations are whose.
//!
//! A process becomes a node by joining, and gets an [`Epoch`] that no other process ever has. It owns what it accepts and what
//! it adopts, and the other traits of its store are about that: what is due, what is open, which notices wait. What it
//! writes is refused with [`Error::Fenced`] once another node has fenced it off, and with [`Error::Conflict`] where it writes on
//! an operation that it does not own.
//!
//! A process that has not joined owns what it accepts under epoch 0, which is no node's: nodes adopt that too.
//!
//! An operation of which nothing but its acceptance is recorded is *claimed* by the node that answers the same request with it:
//! a commit that would free its idempotency key is refused with [`Error::Conflict`] then. So a node that lost the answer to an
//! acceptance cannot take back what another one has confirmed meanwhile.
//!
//! No clock of two machines is compared. A node *beats* again and again; who sees no new beat of another one for as long as
//! its lease lasts may fence it off. What a node may do that could not beat is the engine's.

use std::time::Duration;

use async_trait::async_trait;
use fanfold_core::{Event, OperationId};
use jiff::Timestamp;

use crate::{Error, EventNumber, PermitShare, PermitWish};

/// What nodes that share a store do with each other. A store of one process has none of it.
#[async_trait]
pub trait Nodes: Send + Sync {
    /// Becomes a node, or another one: from now on this store's epoch is the one that is answered. What the process owned
    /// under an earlier epoch stays with that one, to be adopted once it is fenced off.
    async fn join(&self, node: NewNode) -> Result<Epoch, Error>;

    /// Tells the others that this node lives, and what the hash of its configuration is by now; gives all nodes, itself among them, by epoch.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another node has fenced this one off.
    async fn beat(&self, now: Timestamp, configuration: &str) -> Result<Vec<Node>, Error>;

    /// Fences a node off, unless it has left or has beaten since `beat`: nothing that it writes is recorded from now on. Whether
    /// this call did it.
    async fn fence(&self, epoch: Epoch, beat: u64) -> Result<crate::Change, Error>;

    /// Gives up everything that this node owns, and takes nothing on any more: the others adopt it at once.
    async fn leave(&self) -> Result<(), Error>;

    /// Takes over operations of nodes that were fenced off or have left, with their notices: at most `limit` operations that have
    /// not ended, and as many notices that wait, at most [`ADOPT_MAX`] of each. What they had waited for they wait for still. Nodes of
    /// which nothing is left are forgotten.
    async fn adopt(&self, now: Timestamp, limit: usize) -> Result<Adopted, Error>;

    /// When an operation was adopted last; `None` if it never was.
    async fn adopted_at(&self, id: OperationId) -> Result<Option<Timestamp>, Error>;

    /// Says what this node wants and has in use of the permits of targets, and gives what it may use from now on, in the same
    /// order. Over all nodes that neither have left nor were fenced off no more is granted than the limits that are given, but
    /// for what was granted before a limit was lowered. A node of which nothing was said has nothing. At most [`WISHES_MAX`].
    ///
    /// # Errors
    /// [`Error::Fenced`] unless this is a node, and not fenced off.
    async fn share_permits(&self, wishes: Vec<PermitWish>) -> Result<Vec<PermitShare>, Error>;

    /// What has happened since event number `after`, on any node, and what is asked of this one. At most [`NEWS_MAX`] events and
    /// as many questions.
    async fn news(&self, after: EventNumber) -> Result<News, Error>;

    /// Ends when another node has said that there are news. Words can be lost, so whoever waits looks by itself now and then.
    async fn word(&self) -> Word;

    /// Says something to all other nodes, at once or never.
    async fn say(&self, word: Word) -> Result<(), Error>;

    /// Asks the node that owns an operation to take a fact in.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such operation.
    async fn ask(&self, operation: OperationId, event: Event) -> Result<AskNumber, Error>;

    /// The answer, once there is one, which is taken away with that.
    async fn answer(&self, number: AskNumber) -> Result<Option<Answer>, Error>;

    /// Takes a question back. `false` if it was answered meanwhile, or may be being answered just now.
    async fn take_back(&self, number: AskNumber) -> Result<bool, Error>;

    /// Answers a question that [`Nodes::news`] gave.
    async fn reply(&self, number: AskNumber, answer: Answer) -> Result<(), Error>;
}

/// Operations that are adopted at once at the most.
pub const ADOPT_MAX: usize = 1_000;

/// Operations, and questions, that one look at the news gives at the most.
pub const NEWS_MAX: usize = 1_000;

/// Wishes for permits that are decided on at once at the most; further ones are not answered.
pub const WISHES_MAX: usize = 10_000;

/// Tells one life of a node from every other one, of this node or another. A later one is larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// Its name, for people.
    pub name: String,
    /// The hash of its configuration, so that a difference between nodes shows.
    pub configuration: String,
    /// Its version.
    pub version: String,
    /// For how long it may go on when it cannot reach the store: so long the others have to leave it alone.
    pub lease: Duration,
    /// When it joined.
    pub joined_at: Timestamp,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub epoch: Epoch,
    /// What it says of itself.
    pub node: NewNode,
    /// How often it has beaten.
    pub beat: u64,
    /// When it did last, by its own clock; to be shown, and compared with nothing.
    pub beat_at: Timestamp,
    /// How it stands.
    pub standing: Standing,
}

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may write.
    Member,
    /// It has left, and its operations may be adopted.
    Left,
    /// It was fenced off, and its operations may be adopted.
    Fenced,
}

/// What was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Adopted {
    /// How many operations.
    pub operations: usize,
    /// Whether there are more.
    pub more: bool,
}

/// What has happened on all nodes, and what is asked of this one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct News {
    /// Operations with events after the number that was asked for, each once.
    pub changed: Vec<OperationId>,
    /// Look on after this number. Nothing before it comes later.
    pub upto: EventNumber,
    /// Whether there is more.
    pub more: bool,
    /// Questions about operations that this node owns, the oldest first; each stands here until it is answered or taken back.
    pub asked: Vec<Asked>,
}

/// Identifies a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskNumber(pub u64);

/// A question to this node: to take a fact in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which.
    pub number: AskNumber,
    /// About which operation.
    pub operation: OperationId,
    /// The fact.
    pub event: Event,
}

/// What became of a fact that another node was asked to take in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is recorded, or was so before.
    Taken,
    /// Not in the operation's present state, which is this one in words.
    Illegal(String),
    /// It could not be taken in now; whoever asks may try again.
    Busy,
}

/// Something that one node says to all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// There is something to be found in the store: events, questions, holds, something that became due.
    News,
    /// A lower operation of this id is said to have ended.
    Lower(String),
}
