//! The shape of a history: what happened, in order, without ids, times and bodies. Two histories are the same if their shapes are.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use fanfold_core::operation::{Event, Found, Image, Reading, Send, Stage, StepPhase, Undo, UndoPhase};
use fanfold_core::{Operation, OperationId};
use fanfold_store::Recorded;

use crate::play::Played;
use crate::scenario::word;

/// The hash of the shape of a history: its operations are told apart by the order in which something first happened to them.
/// What happened to several of them at one instant has no order among them: whoever waits for the same signal is woken in any.
pub(crate) fn of(operations: &[(Operation, Vec<Recorded>)]) -> u64 {
    let mut events: Vec<(OperationId, &Recorded)> = Vec::new();
    for (operation, history) in operations {
        events.extend(history.iter().map(|recorded| (operation.id, recorded)));
    }
    events.sort_unstable_by_key(|(_, recorded)| recorded.number);
    for instant in events.chunk_by_mut(|(_, one), (_, other)| one.at == other.at) {
        instant.sort_by_key(|(id, _)| *id);
    }
    let mut hasher = DefaultHasher::new();
    let mut order: Vec<OperationId> = Vec::new();
    for (id, Recorded { event: what, .. }) in events {
        let place = order.iter().position(|other| *other == id).unwrap_or_else(|| {
            order.push(id);
            order.len() - 1
        });
        (place, event(what)).hash(&mut hasher);
    }
    hasher.finish()
}

fn event(event: &Event) -> String {
    let name = event.name();
    match event {
        Event::LockGranted | Event::Dispatched | Event::ResponseComposed { .. } => name.to_owned(),
        Event::CancelRequested { .. } | Event::DeadlineExtended { .. } => name.to_owned(),
        Event::Restored { .. } | Event::RestoreReleased { .. } => name.to_owned(),
        Event::TimeCame { timer } => format!("{name} {timer:?}"),
        Event::PersonResolved { step, applied, .. } => format!("{name} {step} {applied}"),
        Event::PersonChose { choice, .. } => format!("{name} {choice:?}"),
        Event::GateChanged { step, leg, gate } => format!("{name} {step} {leg:?} {gate:?}"),
        Event::ResourceRead { step, purpose, found } => {
            let found = match found {
                Found::Image(Image::Absent) => "absent",
                Found::Image(Image::Present { .. }) => "present",
                Found::Failed { .. } => "failed",
                Found::Unusable { .. } => "unusable",
            };
            format!("{name} {step} {purpose:?} {found}")
        }
        Event::AttemptStarted { step, leg, .. } => format!("{name} {step} {leg:?}"),
        Event::AttemptAnswered { step, leg, reading, answer, .. }
        | Event::LowerEnded { step, leg, reading, answer, .. } => {
            format!("{name} {step} {leg:?} {} {}", reading_word(reading), answer.status)
        }
        Event::AttemptBroke { step, leg, sent, trouble } => {
            format!("{name} {step} {leg:?} {sent:?} {:?}", trouble.kind)
        }
        Event::ProbeAnswered { step, verdict, .. } => format!("{name} {step} {verdict:?}"),
        Event::PollsChanged { step, leg, trouble } => format!("{name} {step} {leg:?} {}", trouble.is_some()),
        Event::UndoNotRendered { step, .. } => format!("{name} {step}"),
    }
}

fn reading_word(reading: &Reading) -> &'static str {
    match reading {
        Reading::Succeeded { .. } => "succeeded",
        Reading::NotTakenOn { .. } => "not taken on",
        Reading::NotApplied => "not applied",
        Reading::PreconditionFailed => "precondition failed",
        Reading::Gone => "gone",
        Reading::NotConsistent => "not consistent",
        Reading::Ambiguous => "ambiguous",
        Reading::Unknown => "unknown",
        Reading::LowerAccepted { .. } => "lower accepted",
    }
}

/// What was recorded and what reached targets, in words.
pub(crate) fn story(played: &Played, operations: &[(Operation, Vec<Recorded>)]) -> Vec<String> {
    let mut lines: Vec<(u64, String)> = Vec::new();
    for (operation, history) in operations {
        lines.extend(history.iter().map(|recorded| {
            (recorded.number.0, format!("{} {} {}", recorded.at, operation.plan.route, event(&recorded.event)))
        }));
    }
    lines.sort_unstable();
    let names = |id| operations.iter().find(|(operation, _)| operation.id == id).map_or("?", |(op, _)| &op.plan.route);
    let seen = played.world.seen().into_iter().map(|seen| {
        let (at, target, name) = (seen.at, seen.target, names(seen.operation));
        format!(
            "{at:?} t{target} saw {name} {:?} {}: {:?}, applied={}",
            seen.leg, seen.attempt, seen.told, seen.applied
        )
    });
    lines.into_iter().map(|(_, line)| line).chain(seen).collect()
}

/// The states that a history went through, as its events tell them, and those that it ended in.
pub(crate) fn states(operations: &[(Operation, Vec<Recorded>)]) -> BTreeSet<String> {
    let mut states = BTreeSet::new();
    for (operation, history) in operations {
        states.insert(format!("stage {}", stage(&operation.stage)));
        if operation.plan.retry_of.is_some() {
            states.insert(format!("retry {}", stage(&operation.stage)));
        }
        for step in &operation.steps {
            states.insert(format!("step {}", phase(&step.phase)));
            states.extend(step.undo.as_ref().map(|undo| format!("undo {}", undo_word(undo))));
        }
        for recorded in history {
            let words = match &recorded.event {
                Event::TimeCame { timer } => format!("time_came {}", word(timer)),
                other => event(other),
            };
            let without_step: Vec<&str> = words.split(' ').filter(|word| word.parse::<u16>().is_err()).collect();
            states.insert(format!("event {}", without_step.join(" ")));
        }
    }
    states
}

fn stage(stage: &Stage) -> String {
    match stage {
        Stage::Ended { end, .. } => format!("{} ({})", end.status, end.consistency),
        Stage::Unexecuted { .. } => "unexecuted".into(),
        Stage::Forward => "forward".into(),
        Stage::Closing(_) => "closing".into(),
        Stage::Deciding { .. } => "deciding".into(),
        Stage::RollingBack { .. } => "rolling back".into(),
        Stage::Finishing(_) => "finishing".into(),
    }
}

fn phase(phase: &StepPhase) -> String {
    match phase {
        StepPhase::Ended(outcome) => format!("{outcome:?}"),
        StepPhase::Planned => "planned".into(),
        StepPhase::Reading { .. } => "reading".into(),
        StepPhase::Sending(send) => sending(send).into(),
        StepPhase::Probing(_) => "probing".into(),
        StepPhase::AwaitingPerson { .. } => "awaiting a person".into(),
    }
}

fn sending(send: &Send) -> &'static str {
    match send {
        Send::Due { .. } => "due",
        Send::Calling { .. } => "calling",
        Send::BackingOff { .. } => "backing off",
        Send::Following(_) => "following",
    }
}

fn undo_word(undo: &Undo) -> String {
    match &undo.phase {
        UndoPhase::Ended(end) => format!("{end:?}"),
        UndoPhase::Queued => "queued".into(),
        UndoPhase::Settling { .. } => "settling".into(),
        UndoPhase::Reading { .. } => "reading".into(),
        UndoPhase::Sending(send) => sending(send).into(),
    }
}
