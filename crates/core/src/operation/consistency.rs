//! What is known of the data at one target, and at all targets together (`data_consistency`).
//!
//! Nothing here claims more than is known: what may have been applied and was neither confirmed nor undone is `unknown`.
//! Deciding what to do about it belongs to [`super::transition`].

use super::event::Purpose;
use super::state::{Consistency, Course, Operation, Outcome, Send, Step, StepPhase, Undo, UndoEnd, UndoPhase};

impl Step {
    /// Its outcome, once it has one.
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.phase {
            StepPhase::Ended(outcome) => Some(*outcome),
            StepPhase::Planned
            | StepPhase::Reading { .. }
            | StepPhase::Sending(_)
            | StepPhase::Probing(_)
            | StepPhase::AwaitingPerson { .. } => None,
        }
    }

    /// What is known of the data at this step's target.
    pub fn consistency(&self) -> Consistency {
        let forward = forward_consistency(self);
        match &self.undo {
            Some(undo) => undone_consistency(forward, undo),
            None => forward,
        }
    }
}

impl Operation {
    /// What is known of the data at all targets together: one unknown makes it unknown, and targets that differ make it
    /// inconsistent. An operation that is completed by a quorum is therefore `updated` only if every step succeeded.
    pub fn consistency(&self) -> Consistency {
        self.steps.iter().map(Step::consistency).reduce(together).unwrap_or(Consistency::RolledBack)
    }
}

/// Two targets taken together. Commutative and associative, so the order of the targets does not matter.
fn together(one: Consistency, other: Consistency) -> Consistency {
    if one == Consistency::Unknown || other == Consistency::Unknown {
        Consistency::Unknown
    } else if one == other {
        one
    } else {
        Consistency::NotConsistent
    }
}

/// What the forward side alone shows.
fn forward_consistency(step: &Step) -> Consistency {
    match &step.phase {
        StepPhase::Planned => unapplied(&step.course),
        StepPhase::Reading { purpose: Purpose::Before, .. } => unapplied(&step.course),
        // It is read after the change only once the change has succeeded.
        StepPhase::Reading { purpose: Purpose::After, .. } => Consistency::Updated,
        // Reads of an undo; no step is ever in them.
        StepPhase::Reading { purpose: Purpose::Compare | Purpose::Settle, .. } => Consistency::Unknown,
        StepPhase::Sending(Send::Due { .. } | Send::BackingOff { .. }) => unapplied(&step.course),
        StepPhase::Sending(Send::Calling { .. } | Send::Following(_)) => Consistency::Unknown,
        StepPhase::Probing(_) | StepPhase::AwaitingPerson { .. } => Consistency::Unknown,
        StepPhase::Ended(Outcome::Succeeded) => Consistency::Updated,
        StepPhase::Ended(Outcome::Failed { consistency }) => *consistency,
        StepPhase::Ended(Outcome::Unknown) => Consistency::Unknown,
        StepPhase::Ended(Outcome::Skipped) => Consistency::RolledBack,
    }
}

/// No attempt is on the wire: nothing was applied unless an earlier attempt is in doubt.
fn unapplied(course: &Course) -> Consistency {
    if course.tainted_at.is_some() { Consistency::Unknown } else { Consistency::RolledBack }
}

/// What the undo makes of what the forward side shows.
fn undone_consistency(forward: Consistency, undo: &Undo) -> Consistency {
    match &undo.phase {
        UndoPhase::Ended(UndoEnd::Undone) => Consistency::RolledBack,
        UndoPhase::Ended(UndoEnd::Unknown) => Consistency::Unknown,
        // Of a change that was not known to be applied, a failed undo tells nothing.
        UndoPhase::Ended(UndoEnd::Failed | UndoEnd::Conflict | UndoEnd::NotPossible) => match forward {
            Consistency::Unknown => Consistency::Unknown,
            Consistency::RolledBack => Consistency::RolledBack,
            Consistency::Updated | Consistency::NotConsistent => Consistency::NotConsistent,
        },
        UndoPhase::Queued | UndoPhase::Settling { .. } => forward,
        UndoPhase::Sending(Send::Calling { .. } | Send::Following(_)) => Consistency::Unknown,
        UndoPhase::Reading { .. } | UndoPhase::Sending(Send::Due { .. } | Send::BackingOff { .. }) => {
            if undo.course.tainted_at.is_some() { Consistency::Unknown } else { forward }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::operation::{Gate, Lower};

    const ALL: [Consistency; 4] =
        [Consistency::RolledBack, Consistency::Updated, Consistency::NotConsistent, Consistency::Unknown];

    fn ended(outcome: Outcome) -> Step {
        Step { phase: StepPhase::Ended(outcome), ..Step::default() }
    }

    fn with_undo(outcome: Outcome, end: UndoEnd) -> Consistency {
        let undo = Undo { phase: UndoPhase::Ended(end), request: None, course: Course::default() };
        Step { undo: Some(undo), ..ended(outcome) }.consistency()
    }

    fn running(phase: StepPhase, tainted: bool) -> Consistency {
        let course = Course { tainted_at: tainted.then_some(Timestamp::UNIX_EPOCH), ..Course::default() };
        Step { phase, course, ..Step::default() }.consistency()
    }

    #[test]
    fn an_outcome_without_undo_stands_for_itself() {
        assert_eq!(ended(Outcome::Succeeded).consistency(), Consistency::Updated);
        assert_eq!(ended(Outcome::Unknown).consistency(), Consistency::Unknown);
        assert_eq!(ended(Outcome::Skipped).consistency(), Consistency::RolledBack);
        for consistency in [Consistency::RolledBack, Consistency::NotConsistent] {
            assert_eq!(ended(Outcome::Failed { consistency }).consistency(), consistency);
        }
    }

    #[test]
    fn an_undo_decides_what_is_known_after_it() {
        for outcome in [Outcome::Succeeded, Outcome::Unknown] {
            assert_eq!(with_undo(outcome, UndoEnd::Undone), Consistency::RolledBack);
            assert_eq!(with_undo(outcome, UndoEnd::Unknown), Consistency::Unknown);
        }
        for end in [UndoEnd::Failed, UndoEnd::Conflict, UndoEnd::NotPossible] {
            assert_eq!(with_undo(Outcome::Succeeded, end), Consistency::NotConsistent);
            assert_eq!(with_undo(Outcome::Unknown, end), Consistency::Unknown);
        }
    }

    #[test]
    fn a_running_step_is_unknown_once_it_may_have_been_applied() {
        let at = Timestamp::UNIX_EPOCH;
        let lower = Lower::accepted("7".to_owned(), at, at);
        let due = StepPhase::Sending(Send::Due { gate: Gate::Permit });
        assert_eq!(running(StepPhase::Planned, false), Consistency::RolledBack);
        assert_eq!(running(due.clone(), false), Consistency::RolledBack);
        assert_eq!(running(due, true), Consistency::Unknown);
        assert_eq!(running(StepPhase::Sending(Send::BackingOff { until: at }), false), Consistency::RolledBack);
        assert_eq!(running(StepPhase::Sending(Send::Calling { since: at }), false), Consistency::Unknown);
        assert_eq!(running(StepPhase::Sending(Send::Following(lower)), false), Consistency::Unknown);
        assert_eq!(running(StepPhase::AwaitingPerson { since: at }, true), Consistency::Unknown);
    }

    #[test]
    fn targets_together_claim_no_more_than_each_alone() {
        for one in ALL {
            assert_eq!(together(one, one), one);
            for other in ALL {
                assert_eq!(together(one, other), together(other, one));
                if one == Consistency::Unknown {
                    assert_eq!(together(one, other), Consistency::Unknown);
                }
                for third in ALL {
                    assert_eq!(together(together(one, other), third), together(one, together(other, third)));
                }
            }
        }
        assert_eq!(together(Consistency::Updated, Consistency::RolledBack), Consistency::NotConsistent);
    }
}
