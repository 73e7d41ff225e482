//! The attempts of one request, forward or undo: whether there is another, and when.

use std::time::Duration;

use jiff::Timestamp;

use crate::operation::{Course, Reading, Sent, Trouble};
use crate::plan::Limits;

/// What follows from one attempt for its request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// It was applied.
    Succeeded { etag: Option<String> },
    /// It was not, and is not sent again, though another attempt may be in doubt.
    NotApplied,
    /// A precondition did not hold.
    PreconditionFailed,
    /// The target is not there.
    Gone,
    /// The target says that its data is in neither state.
    NotConsistent,
    /// It is in doubt, and not sent again.
    InDoubt,
    /// It is sent again then.
    Again { until: Timestamp },
    /// There is no attempt left; whether one is in doubt, the course knows.
    Spent,
    /// The target follows it up by an operation of its own.
    Lower { reference: String },
}

/// What the course of a request depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) limits: &'a Limits,
    /// Whether it may be sent again after an attempt in doubt.
    pub(super) repeatable: bool,
    /// Whether any new attempt may start at all: not after the deciding failure.
    pub(super) open: bool,
    pub(super) now: Timestamp,
    pub(super) jitter: f64,
}

impl Rules<'_> {
    /// Reads one answer into the course.
    pub(super) fn answered(&self, course: &mut Course, reading: Reading) -> Verdict {
        match reading {
            Reading::Succeeded { etag } => Verdict::Succeeded { etag },
            Reading::NotTakenOn { retry_after } => self.again(course, retry_after),
            Reading::NotApplied => Verdict::NotApplied,
            Reading::PreconditionFailed => Verdict::PreconditionFailed,
            Reading::Gone => Verdict::Gone,
            Reading::NotConsistent => Verdict::NotConsistent,
            Reading::Ambiguous => self.doubt(course, self.now),
            Reading::Unknown => {
                course.taint(self.now);
                Verdict::InDoubt
            }
            Reading::LowerAccepted { reference } => Verdict::Lower { reference },
        }
    }

    /// Reads an attempt that began at `since`, and broke, into the course.
    pub(super) fn broke(&self, course: &mut Course, sent: Sent, trouble: Trouble, since: Timestamp) -> Verdict {
        course.trouble = Some(trouble);
        match sent {
            Sent::No => self.again(course, None),
            Sent::Maybe => self.doubt(course, self.now.max(self.answered_by(since))),
        }
    }

    /// When an attempt that began at `since` has had all the time for its answer. Whatever cut it off before, the target does
    /// not know of it, and may take as long as ever.
    fn answered_by(&self, since: Timestamp) -> Timestamp {
        after_or_never(since, self.limits.connect.saturating_add(self.limits.response))
    }

    fn doubt(&self, course: &mut Course, from: Timestamp) -> Verdict {
        course.taint(from);
        if self.repeatable { self.again(course, None) } else { Verdict::InDoubt }
    }

    fn again(&self, course: &Course, retry_after: Option<Duration>) -> Verdict {
        let wait = self.backoff(course.attempts).max(retry_after.unwrap_or_default());
        match after(self.now, wait) {
            Some(until) if self.open && course.attempts < self.limits.attempts && until < self.spent_at(course) => {
                Verdict::Again { until }
            }
            _ => Verdict::Spent,
        }
    }

    /// Exponential backoff with full jitter: even between zero and a bound that doubles with each attempt made.
    pub(super) fn backoff(&self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let bound = self.limits.backoff.saturating_mul(1 << doublings).min(self.limits.backoff_max);
        bound.mul_f64(self.jitter.clamp(0.0, 1.0))
    }

    /// Whether another attempt may start now.
    pub(super) fn may_start(&self, course: &Course) -> bool {
        self.open && course.attempts < self.limits.attempts && self.now < self.spent_at(course)
    }

    fn spent_at(&self, course: &Course) -> Timestamp {
        course.first_at.and_then(|first| after(first, self.limits.budget)).unwrap_or(Timestamp::MAX)
    }
}

impl Course {
    /// An attempt MAY have been applied, or may still be; from `from` on the target is left to settle.
    pub(super) fn taint(&mut self, from: Timestamp) {
        let from = self.unsettled_at.map_or(from, |earlier| earlier.max(from));
        self.tainted_at = Some(from);
        self.unsettled_at = Some(from);
    }
}

/// `at` plus `span`; `None` beyond the end of time that a timestamp can tell.
pub(super) fn after(at: Timestamp, span: Duration) -> Option<Timestamp> {
    at.checked_add(jiff::SignedDuration::try_from(span).ok()?).ok()
}

/// `at` plus `span`, or the end of time.
pub(super) fn after_or_never(at: Timestamp, span: Duration) -> Timestamp {
    after(at, span).unwrap_or(Timestamp::MAX)
}
