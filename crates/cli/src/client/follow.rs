//! Following one operation to its end, and showing how far it is on the way.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::dialect::native::{OperationDetail, OutcomeWord, TargetForm, TroubleForm, UndoForm};
use fanfold_core::operation::{Status, UndoEnd};
use tokio::time::Instant;

use super::api::{Api, Shown};
use crate::failure::Failure;
use crate::output::{Cell, Paint, Table, Tone, say, word};

/// How long a server that is not there any more is looked for: it may be restarting.
const RECONNECT_FOR: Duration = Duration::from_secs(60);

/// The pause between two looks.
const RECONNECT_EVERY: Duration = Duration::from_secs(1);

/// An operation that does not change is asked for no more often than this.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Shows the lines of an operation and its targets on standard error: redrawn in place on a terminal. Elsewhere one line follows the
/// other, for each change of the status and of the outcome of a target or its undo.
#[derive(Debug)]
pub(crate) struct Progress {
    is_terminal: bool,
    paint: Paint,
    shown: Vec<String>,
}

/// Follows an operation until it has ended, and hands each state of it to `observe`, the last one included.
pub(crate) async fn to_the_end(
    api: &Api,
    id: OperationId,
    mut observe: impl FnMut(&Shown) -> Result<(), Failure>,
) -> Result<Shown, Failure> {
    let mut shown = api.operation(id).await?;
    let mut lost_at = None;
    loop {
        observe(&shown)?;
        if shown.detail.summary.status.is_terminal() {
            return Ok(shown);
        }
        shown = loop {
            let asked_at = Instant::now();
            match api.changed(&shown).await {
                Ok(Some(changed)) => break changed,
                // A server that is stopping does not wait; it must not be asked without a pause.
                Ok(None) => tokio::time::sleep_until(asked_at + ASK_EVERY).await,
                Err(failure) => wait_for_server(failure, &mut lost_at).await?,
            }
        };
        lost_at = None;
    }
}

/// Waits a moment if the server may be restarting; else the failure stays one.
async fn wait_for_server(failure: Failure, lost_at: &mut Option<Instant>) -> Result<(), Failure> {
    let may_come_back = matches!(
        failure,
        Failure::Unreachable { .. } | Failure::NoAnswer { .. } | Failure::Refused { status: 500.., .. }
    );
    let since = *lost_at.get_or_insert_with(|| {
        if may_come_back {
            say(&format!("{failure} (trying again for {} s)", RECONNECT_FOR.as_secs()));
        }
        Instant::now()
    });
    if !may_come_back || since.elapsed() >= RECONNECT_FOR {
        return Err(failure);
    }
    tokio::time::sleep(RECONNECT_EVERY).await;
    Ok(())
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

/// The colour of a status.
pub(crate) fn status_tone(status: Status) -> Tone {
    match status {
        Status::Unexecuted => Tone::Plain,
        Status::Executing => Tone::Busy,
        Status::Completed => Tone::Good,
        Status::Failed => Tone::Bad,
        Status::Canceled => Tone::Doubtful,
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

impl Progress {
    /// Nothing has been shown yet.
    pub(crate) fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), paint: Paint::stderr(), shown: Vec::new() }
    }

    /// Shows the state of the operation.
    pub(crate) fn show(&mut self, detail: &OperationDetail) {
        let lines: Vec<String> = std::iter::once(self.head(detail)).chain(self.targets(detail)).collect();
        let mut stderr = std::io::stderr().lock();
        // Progress is a courtesy: that nobody can see it is no reason to stop following.
        if self.is_terminal {
            if !self.shown.is_empty() {
                drop(write!(stderr, "\x1b[{}A", self.shown.len()));
            }
            // Without wrapping at the edge, so that each line stays one and can be found again.
            for line in &lines {
                drop(writeln!(stderr, "\x1b[?7l\x1b[2K{line}\x1b[?7h"));
            }
        } else {
            for line in lines.iter().filter(|line| !self.shown.contains(line)) {
                drop(writeln!(stderr, "{line}"));
            }
        }
        self.shown = lines;
    }

    fn head(&self, detail: &OperationDetail) -> String {
        let summary = &detail.summary;
        let phase = summary.phase.filter(|_| self.is_terminal);
        let phase = phase.map(|phase| format!(" ({phase})")).unwrap_or_default();
        let status = format!("{}{phase}", summary.status);
        format!("operation {}: {}", summary.id, self.paint.apply(status_tone(summary.status), &status))
    }

    fn targets(&self, detail: &OperationDetail) -> Vec<String> {
        let mut table = Table::bare();
        for target in &detail.targets {
            let undo = target.undo.as_ref().filter(|undo| self.is_terminal || undo.outcome.is_some());
            match undo {
                Some(undo) => table.row(line(target, "undo: ", undo_state(undo), undo.attempts, undo.error.as_ref())),
                None if self.is_terminal || target.outcome.is_some() => {
                    table.row(line(target, "", forward_state(target), target.attempts, target.error.as_ref()));
                }
                None => {}
            }
        }
        // In place, columns keep still; one after the other, a line must not differ for the sake of those around it.
        if self.is_terminal { table.lines(self.paint) } else { table.ragged_lines(self.paint) }
    }
}

/// The line of a target, or of its undo: each with its own attempts and its own reason.
fn line(target: &TargetForm, of: &str, state: Cell, count: u32, error: Option<&TroubleForm>) -> [Cell; 4] {
    [
        Cell::plain(format!("  {}", target.name)),
        state.after(of),
        Cell::plain(attempts(count)),
        Cell::plain(error.map(|error| error.detail.clone()).unwrap_or_default()),
    ]
}

fn attempts(count: u32) -> String {
    match count {
        0 => String::new(),
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    }
}
