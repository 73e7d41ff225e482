//! Permits of targets over all nodes: a limit of a target is shared out among the nodes that want to send to it.
//!
//! Each node has a *grant* in the store, and the grants of all nodes are never more than the limit together. A node sends no more
//! at once than it was granted. It says again and again what it wants and what it has in use, and is told its *due*, its fair part
//! by what all of them want. What is due to it and still granted to another it gets once that one has given it back, which it does
//! as its attempts end.
//!
//! Everybody gets the same, unless it wants less; the rest goes to the others, and what nobody wants is spread as well, so that
//! a first request need not wait for a grant. Where a limit cannot be divided, some nodes get one permit more, *by turn*: those
//! whose turn is the lowest. Who has had one for a while takes a new turn behind all others.

use fanfold_core::TargetName;

/// Which of a target's two limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// Steps and requests that are passed through.
    Forward,
    /// Undos. They are apart, so that what waits for an undo never waits for a step.
    Undo,
}

impl Pool {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Forward, Self::Undo];

    /// The word for it in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Undo => "undo",
        }
    }
}

/// What a node says of its permits at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitWish {
    /// The target.
    pub target: TargetName,
    /// Which of its limits.
    pub pool: Pool,
    /// That limit, as the node has it in its configuration.
    pub limit: usize,
    /// How many it could use: requests on the wire and waiting.
    pub wants: usize,
    /// How many it keeps for now: those that it may use until it is told otherwise, and those that are in use.
    pub keeps: usize,
    /// It has had a permit by turn for long enough, and lets others go first.
    pub passes: bool,
}

/// What a node may use of a target's limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermitShare {
    /// The target.
    pub target: TargetName,
    /// Which of its limits.
    pub pool: Pool,
    /// How many the node may use from now on; less than it keeps if it is to give some back.
    pub granted: usize,
    /// How many it is to get once others have given theirs back.
    pub due: usize,
    /// Whether one of those is its own by turn only, and others wait for that.
    pub by_turn: bool,
}
