//! What a person does about a note: *resolves* it while its operation runs, which answers a question and lets the operation go
//! on, or *acknowledges* it once the operation has ended, which closes the note and changes nothing else.

use std::fmt;
use std::sync::Arc;

use fanfold_core::operation::{AttentionReason, Choice};
use fanfold_core::{Event, Operation};
use fanfold_store::{AttentionId, Closed, Note};

use crate::{Engine, Error};

/// What a person says to a note about an operation that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The target applied the request.
    Applied,
    /// It did not.
    NotApplied,
    /// Send what failed again, and run what was skipped.
    Retry,
    /// Undo what succeeded.
    RollBack,
    /// End the operation as it is.
    EndAsItIs,
    /// Let the operation, which came from a backup, go on from where that has it.
    Release,
}

impl Resolution {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Applied, Self::NotApplied, Self::Retry, Self::RollBack, Self::EndAsItIs, Self::Release];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NotApplied => "not_applied",
            Self::Retry => "retry",
            Self::RollBack => "roll_back",
            Self::EndAsItIs => "end_as_it_is",
            Self::Release => "release",
        }
    }

    /// Those that a note takes: none once it is closed or its operation has ended, and none where something else than an
    /// answer closes it.
    pub fn taken_by(note: &Note) -> &'static [Self] {
        if note.closed.is_some() || note.ended {
            return &[];
        }
        match (note.attention.reason, note.attention.step) {
            (AttentionReason::OutcomeUnknown, Some(_)) => &[Self::Applied, Self::NotApplied],
            (AttentionReason::ChoiceNeeded, _) => &[Self::Retry, Self::RollBack, Self::EndAsItIs],
            (AttentionReason::Restored, _) => &[Self::Release],
            (
                AttentionReason::OutcomeUnknown
                | AttentionReason::UndoFailed
                | AttentionReason::NoUndo
                | AttentionReason::NotConsistent
                | AttentionReason::TargetMissing,
                _,
            ) => &[],
        }
    }

    /// The fact that this is to the operation; `None` where the note asks for something else.
    fn event(self, note: &Note, by: String, remark: Option<String>) -> Option<Event> {
        let choice = |choice, by, remark| Some(Event::PersonChose { choice, by, remark });
        match (self, note.attention.step) {
            (Self::Applied | Self::NotApplied, Some(step)) => {
                Some(Event::PersonResolved { step, applied: self == Self::Applied, by, remark })
            }
            (Self::Applied | Self::NotApplied, None) => None,
            (Self::Retry, _) => choice(Choice::Retry, by, remark),
            (Self::RollBack, _) => choice(Choice::RollBack, by, remark),
            (Self::EndAsItIs, _) => choice(Choice::EndAsItIs, by, remark),
            (Self::Release, _) => Some(Event::RestoreReleased { by, remark }),
        }
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Engine {
    /// Answers what an open note about a running operation asks, and closes it with the same commit. Gives the operation.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such note; [`Error::NotAsked`] if it asks something else, is closed, its operation
    /// has ended, or no answer closes it; [`Error::NotPossible`] if somebody else was faster; the
    /// store's errors.
    pub async fn resolve(
        &self,
        id: AttentionId,
        answer: Resolution,
        by: String,
        remark: Option<String>,
    ) -> Result<Arc<Operation>, Error> {
        let note = self.shared.store.note(id).await?.ok_or(Error::NotFound)?;
        if let Some(closed) = &note.closed {
            return Err(Error::NotAsked(format!("the note is closed already, by {} at {}", closed.by, closed.at)));
        }
        let taken = Resolution::taken_by(&note);
        if taken.is_empty() {
            return Err(Error::NotAsked(what_closes(&note)));
        }
        let event = answer.event(&note, by, remark).filter(|_| taken.contains(&answer));
        let event = event.ok_or_else(|| Error::NotAsked(format!("this note takes one of: {}", listed(taken))))?;
        self.tell(note.operation, event).await
    }

    /// Closes a note about an operation that has ended; nothing else changes. Closing it again changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such note; [`Error::NotAsked`] while the operation runs; the store's errors.
    pub async fn acknowledge(&self, id: AttentionId, by: String, remark: Option<String>) -> Result<(), Error> {
        let note = self.shared.store.note(id).await?.ok_or(Error::NotFound)?;
        if !note.ended && note.closed.is_none() {
            return Err(Error::NotAsked(format!("the operation has not ended: {}", what_closes(&note))));
        }
        let at = self.shared.clock.now();
        self.shared.store.acknowledge(id, Closed { at, by, remark }).await?;
        Ok(())
    }
}

/// What a person has to do about an open note.
fn what_closes(note: &Note) -> String {
    let taken = Resolution::taken_by(note);
    if note.ended {
        return "the operation has ended: acknowledge the note once things are put right".to_owned();
    }
    if !taken.is_empty() {
        return format!("resolve the note with one of: {}", listed(taken));
    }
    match note.attention.reason {
        AttentionReason::TargetMissing => {
            "the note closes by itself once the target is configured again, or the operation is canceled".to_owned()
        }
        AttentionReason::OutcomeUnknown
        | AttentionReason::UndoFailed
        | AttentionReason::NoUndo
        | AttentionReason::NotConsistent
        | AttentionReason::ChoiceNeeded
        | AttentionReason::Restored => "the operation is about to end; acknowledge the note then".to_owned(),
    }
}

fn listed(answers: &[Resolution]) -> String {
    answers.iter().map(|answer| answer.as_str()).collect::<Vec<_>>().join(", ")
}
