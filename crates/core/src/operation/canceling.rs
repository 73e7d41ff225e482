//! What canceling an operation would do to it: the transition itself, carried out on a copy.

use std::fmt;

use jiff::Timestamp;

use super::event::Event;
use super::state::{Cause, Operation, Outcome, Send, Stage, StepPhase};
use super::transition::transition;
use crate::{Context, IllegalEvent, TargetName};

/// What a cancel would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canceling {
    /// It ends at once: nothing of it is sent, or is sent any more.
    AtOnce,
    /// It ends once what is on the wire is known, and what succeeded is undone.
    Undoes {
        /// Where something succeeded that is undone.
        undone: Vec<TargetName>,
        /// Where something succeeded that stays, since there is no undo.
        stays: Vec<TargetName>,
        /// Whose end is awaited; a success is undone then.
        awaited: Vec<TargetName>,
    },
    /// Nothing: it is being canceled, or is rolling back, already.
    Nothing,
    /// It comes too late: enough has succeeded, and the operation is about to be completed.
    TooLate,
}

/// What a cancel at this time would do.
///
/// # Errors
/// If the operation has ended.
pub fn canceling(operation: &Operation, now: Timestamp) -> Result<Canceling, IllegalEvent> {
    let event = Event::CancelRequested { by: String::new() };
    let (next, _) = transition(operation, event, Context { now: now.max(operation.updated_at), jitter: 0.0 })?;
    if next.is_past_cancel() {
        return Ok(Canceling::TooLate);
    }
    let was_on_its_way = match &operation.stage {
        Stage::RollingBack { .. } | Stage::Closing(Cause::Canceled { .. }) => true,
        Stage::Unexecuted { .. }
        | Stage::Forward
        | Stage::Closing(Cause::RequirementMet | Cause::StepsFailed | Cause::DeadlinePassed)
        | Stage::Deciding { .. }
        | Stage::Finishing(_)
        | Stage::Ended { .. } => false,
    };
    if was_on_its_way {
        return Ok(Canceling::Nothing);
    }
    Ok(match &next.stage {
        Stage::Finishing(_) | Stage::Ended { .. } => match undoes(&next) {
            // It ends, and yet the target stays changed.
            Canceling::Undoes { stays, .. } if !stays.is_empty() => {
                Canceling::Undoes { undone: Vec::new(), stays, awaited: Vec::new() }
            }
            Canceling::AtOnce | Canceling::Undoes { .. } | Canceling::Nothing | Canceling::TooLate => Canceling::AtOnce,
        },
        Stage::Unexecuted { .. }
        | Stage::Forward
        | Stage::Closing(_)
        | Stage::Deciding { .. }
        | Stage::RollingBack { .. } => undoes(&next),
    })
}

fn undoes(next: &Operation) -> Canceling {
    let (mut undone, mut stays, mut awaited) = (Vec::new(), Vec::new(), Vec::new());
    for (index, plan, step) in next.indexed_steps() {
        let target = plan.target.clone();
        match &step.phase {
            StepPhase::Sending(Send::Calling { .. } | Send::Following(_))
            | StepPhase::Reading { .. }
            | StepPhase::Probing(_)
            | StepPhase::AwaitingPerson { .. } => awaited.push(target),
            StepPhase::Ended(_) if step.outcome() == Some(Outcome::Succeeded) => {
                let has_undo = next.plan.step_policy(index).undo.is_some();
                if has_undo { undone.push(target) } else { stays.push(target) }
            }
            StepPhase::Planned
            | StepPhase::Sending(Send::Due { .. } | Send::BackingOff { .. })
            | StepPhase::Ended(_) => {}
        }
    }
    Canceling::Undoes { undone, stays, awaited }
}

impl fmt::Display for Canceling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => f.write_str("it ends canceled at once, and nothing is sent"),
            Self::Nothing => f.write_str("nothing: it is being canceled, or is rolling back, already"),
            Self::TooLate => f.write_str("too late: enough has succeeded, and it is about to be completed"),
            Self::Undoes { undone, stays, awaited } => {
                let parts = [("undone at", undone), ("awaited at", awaited), ("stays at", stays)];
                let parts = parts.into_iter().filter(|(_, targets)| !targets.is_empty());
                let parts = parts.map(|(what, targets)| {
                    let names: Vec<&str> = targets.iter().map(TargetName::as_str).collect();
                    format!("{what} {}", names.join(", "))
                });
                let parts: Vec<String> = parts.collect();
                if parts.is_empty() { f.write_str("it ends canceled") } else { f.write_str(&parts.join("; ")) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Leg, Reading};
    use super::super::transition::fixtures::{Sketch, answer, at, delete};
    use super::*;
    use crate::StepIndex;

    fn run(sketch: &Sketch, events: Vec<Event>) -> Operation {
        let take =
            |operation: Operation, event| transition(&operation, event, Context { now: at(1), jitter: 0.5 }).unwrap().0;
        events.into_iter().fold(sketch.operation(), take)
    }

    fn started(step: u16) -> Event {
        Event::AttemptStarted { step: StepIndex(step), leg: Leg::Forward, request: None }
    }

    fn answered(step: u16) -> Event {
        let reading = Reading::Succeeded { etag: None };
        let (step, leg, answer) = (StepIndex(step), Leg::Forward, answer(201));
        Event::AttemptAnswered { step, leg, answer, reading, trouble: None }
    }

    fn said(operation: &Operation) -> String {
        canceling(operation, at(2)).unwrap().to_string()
    }

    #[test]
    fn what_a_cancel_would_do_is_what_the_transition_does() {
        let sketch = |undo| Sketch { targets: 3, undo, ..Sketch::default() };
        let undone = sketch(Some(delete()));
        assert_eq!(canceling(&run(&undone, vec![]), at(2)), Ok(Canceling::AtOnce));
        assert_eq!(canceling(&run(&undone, vec![Event::Dispatched]), at(2)), Ok(Canceling::AtOnce));
        let events = || vec![Event::Dispatched, started(0), answered(0), started(1)];
        assert_eq!(said(&run(&undone, events())), "undone at tokyo; awaited at osaka");
        assert_eq!(said(&run(&sketch(None), events())), "awaited at osaka; stays at tokyo");
        let alone = vec![Event::Dispatched, started(0), answered(0)];
        assert_eq!(said(&run(&sketch(None), alone)), "stays at tokyo", "it ends at once, but is not as before");
        let canceled = [events(), vec![Event::CancelRequested { by: "ann".to_owned() }]].concat();
        assert_eq!(canceling(&run(&undone, canceled), at(2)), Ok(Canceling::Nothing));
        let all = vec![Event::Dispatched, started(0), answered(0), started(1), answered(1), started(2), answered(2)];
        assert_eq!(canceling(&run(&undone, all), at(2)), Ok(Canceling::TooLate));
    }
}
