//! The state table of the documents, as the walk saw it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use crate::Operation;
use crate::operation::{Cause, Event, LockState, Probing, Purpose, Send, Stage, Step, StepPhase, UndoEnd, UndoPhase};

/// What led from where to where, in words.
#[derive(Default)]
pub(super) struct Table {
    stages: Rows,
    steps: Rows,
    undos: Rows,
}

type Rows = BTreeMap<(String, &'static str), BTreeSet<String>>;

impl Table {
    pub(super) fn record(&mut self, before: &Operation, event: &Event, after: &Operation) {
        let name = match (event, before.restored) {
            (Event::CancelRequested { .. }, Some(_)) => "cancel_requested` while it is `restored",
            _ => event.name(),
        };
        note(&mut self.stages, stage(before), name, stage(after));
        for (old, new) in before.steps.iter().zip(&after.steps) {
            note(&mut self.steps, step(&old.phase), name, step(&new.phase));
            note(&mut self.undos, undo(old), name, undo(new));
        }
    }

    /// Compares with the file in the documents; `UPDATE_DOCS=1` writes it.
    pub(super) fn compare_with_documents(&self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.md");
        let text = self.text();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &text).expect("docs/states.md can be written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == text, "docs/states.md is stale: run `UPDATE_DOCS=1 cargo test -p fanfold-core walk`");
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# States and events\n\n\
             Generated from the transition function by its exhaustive walk; do not edit.\n\
             Each row: in this state, this event leads to one of these states.\n\
             Rows in which nothing changes are left out.\n",
        );
        for (title, rows) in [("Operation", &self.stages), ("Step", &self.steps), ("Undo of a step", &self.undos)] {
            let _ = write!(text, "\n## {title}\n\n| state | event | leads to |\n|---|---|---|\n");
            for ((before, event), after) in rows {
                let after = after.iter().cloned().collect::<Vec<_>>().join(", ");
                let _ = writeln!(text, "| {before} | `{event}` | {after} |");
            }
        }
        text
    }
}

fn note(rows: &mut Rows, before: String, event: &'static str, after: String) {
    if before != after {
        rows.entry((before, event)).or_default().insert(after);
    }
}

fn stage(operation: &Operation) -> String {
    if operation.restored.is_some() {
        return "restored, waits to be released".into();
    }
    match &operation.stage {
        Stage::Unexecuted { start_at: Some(_), .. } => "unexecuted, waits for its start".into(),
        Stage::Unexecuted { lock: LockState::Wanted, .. } => "unexecuted, waits for its lock".into(),
        Stage::Unexecuted { .. } => "unexecuted".into(),
        Stage::Forward => "forward".into(),
        Stage::Closing(cause) => format!("closing ({})", cause_words(cause)),
        Stage::Deciding { .. } => "deciding (a person chooses)".into(),
        Stage::RollingBack { .. } => "rolling back".into(),
        Stage::Finishing(end) => format!("finishing {}", end.status),
        Stage::Ended { end, .. } => end.status.to_string(),
    }
}

fn cause_words(cause: &Cause) -> &'static str {
    match cause {
        Cause::RequirementMet => "requirement met",
        Cause::StepsFailed => "steps failed",
        Cause::DeadlinePassed => "deadline passed",
        Cause::Canceled { .. } => "canceled",
    }
}

fn send(send: &Send) -> &'static str {
    match send {
        Send::Due { .. } => "due",
        Send::Calling { .. } => "calling",
        Send::BackingOff { .. } => "backing off",
        Send::Following(_) => "following",
    }
}

fn reading(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Before => "reading before the change",
        Purpose::After => "reading after the change",
        Purpose::Compare => "comparing",
        Purpose::Settle => "settling a 412 by a read",
    }
}

fn step(phase: &StepPhase) -> String {
    match phase {
        StepPhase::Planned => "planned".into(),
        StepPhase::Reading { purpose, .. } => reading(*purpose).into(),
        StepPhase::Sending(state) => send(state).into(),
        StepPhase::Probing(Probing::Due { .. }) => "probe due".into(),
        StepPhase::Probing(Probing::Calling { .. }) => "probing".into(),
        StepPhase::Probing(Probing::Waiting { .. }) => "waiting to probe".into(),
        StepPhase::AwaitingPerson { .. } => "a person is asked".into(),
        StepPhase::Ended(crate::operation::Outcome::Succeeded) => "**succeeded**".into(),
        StepPhase::Ended(crate::operation::Outcome::Failed { consistency }) => format!("**failed** ({consistency})"),
        StepPhase::Ended(crate::operation::Outcome::Unknown) => "**unknown**".into(),
        StepPhase::Ended(crate::operation::Outcome::Skipped) => "**skipped**".into(),
    }
}

fn undo(step: &Step) -> String {
    let Some(undo) = &step.undo else { return "none".into() };
    match &undo.phase {
        UndoPhase::Queued => "queued".into(),
        UndoPhase::Settling { .. } => "waits until the target has settled".into(),
        UndoPhase::Reading { purpose, .. } => reading(*purpose).into(),
        UndoPhase::Sending(state) => send(state).into(),
        UndoPhase::Ended(UndoEnd::Undone) => "**undone**".into(),
        UndoPhase::Ended(UndoEnd::Failed) => "**failed**".into(),
        UndoPhase::Ended(UndoEnd::Conflict) => "**conflict**".into(),
        UndoPhase::Ended(UndoEnd::Unknown) => "**unknown**".into(),
        UndoPhase::Ended(UndoEnd::NotPossible) => "**not possible**".into(),
    }
}
