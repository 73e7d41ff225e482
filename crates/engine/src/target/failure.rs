//! What goes wrong on the way to a target, and whose fault it is.

use std::error::Error;
use std::fmt::Write as _;

use fanfold_core::operation::{Sent, Trouble, TroubleKind};

use super::send::Broke;

/// What went wrong before a head of an answer was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    trouble: Trouble,
    blame: Blame,
}

/// Whose fault it is: only the target's counts for its breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    Target,
    Ours,
}

/// An attempt without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Miss {
    pub(super) broke: Broke,
    pub(super) blame: Blame,
}

impl Failure {
    pub(super) fn new(kind: TroubleKind, detail: impl Into<String>) -> Self {
        Self { trouble: Trouble { kind, detail: detail.into() }, blame: Blame::Target }
    }

    /// With the whole chain of causes in words.
    pub(super) fn caused(kind: TroubleKind, what: &str, cause: &(dyn Error + 'static)) -> Self {
        let mut detail = what.to_owned();
        let mut next = Some(cause);
        while let Some(error) = next {
            write!(detail, ": {error}").expect("writing to a String cannot fail");
            next = error.source();
        }
        Self::new(kind, detail)
    }

    /// What hyper says of an exchange that ended without a head.
    pub(super) fn of_exchange(error: &hyper::Error) -> Self {
        if error.is_parse() {
            return Self::caused(TroubleKind::Nonsense, "the answer is not HTTP/1.1", error);
        }
        Self::caused(TroubleKind::Broken, "the connection broke", error)
    }

    /// A 101 ends the use of HTTP on a connection, which no request of ours asks for.
    pub(super) fn unasked_upgrade() -> Self {
        Self::new(TroubleKind::Nonsense, "the target switched protocols without being asked")
    }

    /// The target has nothing to do with it.
    pub(super) fn ours(mut self) -> Self {
        self.blame = Blame::Ours;
        self
    }

    /// Whatever it was, it came before a byte left.
    pub(super) fn unreachable(mut self) -> Self {
        self.trouble.kind = TroubleKind::Unreachable;
        self
    }

    pub(super) fn not_sent(self) -> Miss {
        Miss { broke: Broke { sent: Sent::No, trouble: self.trouble }, blame: self.blame }
    }

    pub(super) fn maybe_sent(self) -> Miss {
        Miss { broke: Broke { sent: Sent::Maybe, trouble: self.trouble }, blame: self.blame }
    }
}

impl Miss {
    /// Whether the connection failed before a byte left on it.
    pub(super) fn is_unsent_by_target(&self) -> bool {
        self.broke.sent == Sent::No && self.blame == Blame::Target
    }
}
