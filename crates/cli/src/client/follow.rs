//! Following one operation to its end, and how its states are shown.

use std::collections::BTreeSet;

use fanfold_core::OperationId;
use fanfold_core::dialect::native::{LiveEntry, OperationDetail, OutcomeWord, TargetForm, UndoForm};
use fanfold_core::operation::{Status, UndoEnd};

use serde::Deserialize;

use super::api::{ATTENTION, Api, Shown};
use super::events::{Events, Told, wait_for_server};
use crate::failure::Failure;
use crate::output::{Cell, Paint, Tone, printable, say, word};
use crate::story::Telling;

/// Notes of one operation that are told at the most.
const NOTES_MAX: usize = 100;

/// Tells the story of an operation line by line, as it happens.
pub(crate) struct Teller<T> {
    telling: Option<Telling>,
    paint: Paint,
    tell: T,
}

/// Follows an operation until it has ended, hands each of its events to `observe`, with the same as it came, and gives the
/// operation as it ended.
pub(crate) async fn to_the_end(
    api: &Api,
    id: OperationId,
    mut observe: impl FnMut(Seen<'_>) -> Result<(), Failure>,
) -> Result<Shown, Failure> {
    let shown = api.operation(id).await?;
    observe(Seen::Begun(&shown.detail))?;
    let mut events = Events::of(api, id);
    let mut told_of = BTreeSet::new();
    while let Some(told) = events.next().await? {
        match told {
            Told::Event(entry, json) => {
                observe(Seen::Event(&entry, &json))?;
                if entry.status.is_none() && entry.entry.error.is_some() {
                    for note in open_notes(api, id).await.iter().filter(|note| told_of.insert(note.id)) {
                        observe(Seen::Note(note))?;
                    }
                }
            }
            // The events of an operation go with it, and never alone.
            Told::Gap => say("events are missing here: their operations were deleted"),
        }
    }
    let mut lost_at = None;
    let ended = loop {
        match api.operation(id).await {
            Ok(shown) => break shown,
            Err(failure) => wait_for_server(failure, &mut lost_at).await?,
        }
    };
    observe(Seen::Ended(&ended.detail))?;
    Ok(ended)
}

/// A note that a person is needed, as far as it is told of an operation that is followed.
#[derive(Debug, Deserialize)]
pub(crate) struct OpenNote {
    id: u64,
    detail: String,
}

/// The open notes of an operation. Its story goes on without them where the server cannot tell them.
async fn open_notes(api: &Api, id: OperationId) -> Vec<OpenNote> {
    let query = vec![("operation".to_owned(), id.to_string())];
    let mut pages = api.pages(ATTENTION.to_owned(), "attention", query, NOTES_MAX);
    let mut notes = Vec::new();
    while let Ok(Some(entry)) = pages.next().await {
        notes.extend(api.parse(&entry));
    }
    notes
}

/// What is seen of an operation that is followed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen<'a> {
    /// The operation as it was found.
    Begun(&'a OperationDetail),
    /// One of its events, and the same as it came.
    Event(&'a LiveEntry, &'a str),
    /// A person is needed.
    Note(&'a OpenNote),
    /// The operation as it ended.
    Ended(&'a OperationDetail),
}

impl<T: FnMut(&str) -> Result<(), Failure>> Teller<T> {
    /// Nothing has been told yet. `tell` gets each line.
    pub(crate) fn new(paint: Paint, tell: T) -> Self {
        Self { telling: None, paint, tell }
    }

    /// Tells what was seen.
    pub(crate) fn tell(&mut self, seen: Seen<'_>) -> Result<(), Failure> {
        let lines = match seen {
            Seen::Begun(detail) => {
                let (telling, lines) = Telling::begin(detail, self.paint);
                self.telling = Some(telling);
                lines
            }
            Seen::Event(entry, _) => {
                let line = self.telling.as_mut().and_then(|telling| telling.line(&entry.entry));
                line.into_iter().collect()
            }
            Seen::Note(OpenNote { id, detail }) => {
                let text = format!("a person is needed: {}; fanfold attention show {id}", printable(detail));
                vec![self.paint.apply(Tone::Doubtful, &text)]
            }
            Seen::Ended(detail) => self.telling.as_ref().map(|telling| telling.end(detail)).unwrap_or_default(),
        };
        lines.iter().try_for_each(|line| (self.tell)(line))
    }
}

/// Success if the operation completed.
pub(crate) fn verdict(detail: &OperationDetail) -> Result<(), Failure> {
    match detail.summary.status {
        Status::Failed | Status::Canceled => {
            Err(Failure::NotCompleted { id: detail.summary.id, status: detail.summary.status })
        }
        Status::Completed | Status::Unexecuted | Status::Executing => Ok(()),
    }
}

/// What is going on at a target, or what became of it, apart from its undo.
pub(crate) fn forward_state(target: &TargetForm) -> Cell {
    match (target.outcome, target.phase) {
        (Some(outcome), _) => Cell::toned(outcome_tone(outcome), words(&word(&outcome))),
        (None, Some(phase)) => Cell::toned(Tone::Busy, words(&word(&phase))),
        (None, None) => Cell::plain(""),
    }
}

/// What is going on with an undo, or what became of it.
pub(crate) fn undo_state(undo: &UndoForm) -> Cell {
    match (undo.outcome, undo.phase) {
        (Some(UndoEnd::Undone), _) => Cell::toned(Tone::Doubtful, "undone"),
        (Some(end), _) => Cell::toned(Tone::Bad, words(&word(&end))),
        (None, Some(phase)) => Cell::toned(Tone::Busy, words(&word(&phase))),
        (None, None) => Cell::plain(""),
    }
}

fn outcome_tone(outcome: OutcomeWord) -> Tone {
    match outcome {
        OutcomeWord::Succeeded => Tone::Good,
        OutcomeWord::Failed => Tone::Bad,
        OutcomeWord::Unknown => Tone::Doubtful,
        OutcomeWord::Skipped => Tone::Plain,
    }
}

/// A word of the wire as it is said.
fn words(word: &str) -> String {
    word.replace('_', " ")
}
