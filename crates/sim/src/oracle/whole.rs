//! Judges what an operation says of all its targets, and that whatever is not as it should be is flagged.

use fanfold_core::operation::{Choice, Consistency, Event, Outcome, Status};
use fanfold_core::{Operation, StepIndex};
use fanfold_store::{NoteFilter, Page, ReadNotes as _, Recorded};
use futures_util::FutureExt as _;

use super::{Breach, Guarantee};
use crate::play::Played;
use crate::routes;
use crate::scenario::{Route, Undo};

/// Notes of one history, at the most.
const NOTES_MAX: usize = 200;

/// What is wrong about an operation that has ended.
pub(super) fn judge(route: &Route, operation: &Operation, history: &[Recorded], played: &Played) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |guarantee, what: String| {
        breaches.push(Breach { guarantee, what: format!("{}: {what}", operation.id) });
    };
    let Some(end) = operation.end() else { return breaches };
    let said: Vec<Consistency> = operation.steps.iter().map(|step| step.consistency()).collect();
    let all = |word| said.iter().all(|said| *said == word);
    let fits = match end.consistency {
        Consistency::Updated => all(Consistency::Updated),
        Consistency::RolledBack => all(Consistency::RolledBack),
        Consistency::Unknown => said.contains(&Consistency::Unknown),
        Consistency::NotConsistent => {
            !said.contains(&Consistency::Unknown) && !all(Consistency::Updated) && !all(Consistency::RolledBack)
        }
    };
    if !fits {
        breach(Guarantee::G5, format!("`{}`, but its targets are {said:?}", end.consistency));
    }
    let required = match route.require {
        // What is left to do is for core to say.
        _ if operation.plan.retry_of.is_some() => operation.plan.required(),
        0 => operation.steps.len(),
        count => operation.steps.len().min(usize::try_from(count).unwrap_or(usize::MAX)),
    };
    let succeeded = operation.steps.iter().filter(|step| step.outcome() == Some(Outcome::Succeeded)).count();
    let is_met = succeeded >= required;
    match end.status {
        Status::Completed if !is_met => breach(Guarantee::G5, format!("completed with {succeeded} of {required}")),
        Status::Failed if is_met => breach(Guarantee::G5, format!("failed with {succeeded} of {required}")),
        Status::Unexecuted | Status::Executing | Status::Completed | Status::Failed | Status::Canceled => {}
    }
    let left =
        history.iter().any(|recorded| matches!(recorded.event, Event::PersonChose { choice: Choice::EndAsItIs, .. }));
    if end.status != Status::Completed && route.undo != Undo::None && !left {
        let forgotten =
            |step: &&fanfold_core::operation::Step| step.outcome() == Some(Outcome::Succeeded) && step.undo.is_none();
        if operation.steps.iter().any(|step| forgotten(&step)) {
            breach(Guarantee::G5, "a target that succeeded was not undone".to_owned());
        }
    }
    if let Some(step) = unflagged(operation, end.status, left, played) {
        breach(Guarantee::G5, format!("t{step} is neither as it should be nor flagged"));
    }
    breaches
}

/// A step whose target a person has to look at, without a note that says so.
fn unflagged(operation: &Operation, status: Status, left: bool, played: &Played) -> Option<StepIndex> {
    // Notes are deleted with their operation, once they are closed.
    if played.store.is_purged(operation.id) {
        return None;
    }
    let filter = NoteFilter { tenant: operation.tenant.clone(), ..NoteFilter::default() };
    // The model answers at once.
    let notes = played.store.model.notes(&filter, Page::newest(NOTES_MAX)).now_or_never();
    let notes = notes.and_then(Result::ok).unwrap_or_default();
    let is_flagged = |index: StepIndex| {
        notes.iter().any(|note| note.operation == operation.id && note.attention.step == Some(index))
    };
    operation.indexed_steps().find_map(|(index, plan, step)| {
        let target = routes::target_number(&plan.target)?;
        let stands = played.world.truth(target, operation.id).stands;
        let needs = match step.consistency() {
            Consistency::Unknown | Consistency::NotConsistent => true,
            Consistency::Updated => status != Status::Completed && stands && !left,
            Consistency::RolledBack => false,
        };
        (needs && !is_flagged(index)).then_some(index)
    })
}
