//! `fanfold attention`: the notes that a person is needed, and answering them.

use std::num::NonZeroUsize;

use fanfold_core::OperationId;
use fanfold_core::operation::AttentionReason;
use fanfold_engine::Resolution;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::ServerOption;
use super::ops::{print_json, time};
use crate::client::api::{ATTENTION, Api};
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, Tone, print_line, say};

/// How many open notes are shown with their operation.
const NOTES_SHOWN_MAX: usize = 20;

/// `fanfold attention`
#[derive(Debug, clap::Args)]
pub(crate) struct Attention {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List notes that a person is needed, the newest first
    List(List),
    /// Show one note, and what can be done about it
    Show {
        /// The number of the note
        id: u64,

        #[command(flatten)]
        server: ServerOption,
    },
    /// Answer what a note asks, so that its operation goes on
    #[command(after_help = "A note takes only some of the answers; \"fanfold attention show\" tells which.")]
    Resolve {
        /// The number of the note
        id: u64,
        /// The answer: applied, not_applied, retry, roll_back, end_as_it_is or release
        #[arg(value_parser = answer)]
        answer: Resolution,
        /// Why, for whoever looks
        #[arg(long, value_name = "TEXT")]
        remark: Option<String>,

        #[command(flatten)]
        server: ServerOption,
    },
    /// Close the note of an operation that has ended; nothing else changes
    Acknowledge {
        /// The number of the note
        id: u64,
        /// What was done about it, for whoever looks
        #[arg(long, value_name = "TEXT")]
        remark: Option<String>,

        #[command(flatten)]
        server: ServerOption,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Which notes: open, closed or all
    #[arg(long, value_name = "STATE", default_value = "open", hide_possible_values = true)]
    state: Which,
    /// Only those about this operation
    #[arg(long, value_name = "ID")]
    operation: Option<OperationId>,
    /// Only those about this target
    #[arg(long)]
    target: Option<String>,
    /// The most notes to list
    #[arg(long, value_name = "COUNT", default_value = "50")]
    limit: NonZeroUsize,

    #[command(flatten)]
    server: ServerOption,
}

/// Notes by their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    Open,
    Closed,
    All,
}

/// A note as the server shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Note {
    id: u64,
    operation: OperationId,
    target: Option<String>,
    reason: AttentionReason,
    detail: String,
    opened_at: Timestamp,
    operation_ended: bool,
    answers: Vec<String>,
    closed: Option<Closed>,
}

#[derive(Debug, Deserialize)]
struct Closed {
    at: Timestamp,
    by: String,
    remark: Option<String>,
}

pub(super) async fn run(attention: Attention) -> Result<(), Failure> {
    match attention.command {
        Command::List(options) => list(options).await,
        Command::Show { id, server } => show(id, server).await,
        Command::Resolve { id, answer, remark, server } => {
            let body = json!({ "answer": answer.as_str(), "remark": remark });
            let note = change(id, "resolve", &body, server).await?;
            if let Some(note) = note {
                let going_on = format!("operation {0} goes on; \"fanfold ops watch {0}\" follows it", note.operation);
                let ended = format!("operation {} has ended", note.operation);
                say(&format!("note {id} is resolved: {}", if note.operation_ended { ended } else { going_on }));
            }
            Ok(())
        }
        Command::Acknowledge { id, remark, server } => {
            let note = change(id, "acknowledge", &json!({ "remark": remark }), server).await?;
            if note.is_some() {
                say(&format!("note {id} is acknowledged"));
            }
            Ok(())
        }
    }
}

/// The open notes of an operation, the oldest first.
pub(super) async fn open_of(api: &Api, operation: OperationId) -> Result<Vec<Note>, Failure> {
    let query = vec![("operation".to_owned(), operation.to_string())];
    let mut pages = api.pages(ATTENTION.to_owned(), "attention", query, NOTES_SHOWN_MAX);
    let mut notes: Vec<Note> = Vec::new();
    while let Some(entry) = pages.next().await? {
        notes.push(api.parse(&entry)?);
    }
    notes.reverse();
    Ok(notes)
}

/// A word as on the wire; hyphens do as well.
fn answer(text: &str) -> Result<Resolution, String> {
    let word = text.replace('-', "_");
    let found = Resolution::ALL.into_iter().find(|answer| answer.as_str() == word);
    found.ok_or_else(|| format!("not one of {}", Resolution::ALL.map(Resolution::as_str).join(", ")))
}

async fn change(id: u64, verb: &str, body: &serde_json::Value, server: ServerOption) -> Result<Option<Note>, Failure> {
    let api = server.api()?;
    let json = api.post(format!("{ATTENTION}/{id}/{verb}"), Some(body)).await?;
    match server.output {
        Format::Table => api.parse(&json).map(Some),
        Format::Json => {
            print_line(json.get())?;
            Ok(None)
        }
    }
}

async fn show(id: u64, server: ServerOption) -> Result<(), Failure> {
    let api = server.api()?;
    let json = api.get(format!("{ATTENTION}/{id}")).await?;
    if server.output == Format::Json {
        return Ok(print_line(json.get())?);
    }
    let note: Note = api.parse(&json)?;
    let mut table = Table::bare();
    let mut fact = |name: &str, text: &str| table.row([Cell::plain(name), Cell::plain(text)]);
    fact("note", &id.to_string());
    fact("operation", &note.operation.to_string());
    if let Some(target) = &note.target {
        fact("target", target);
    }
    fact("reason", &note.reason.as_str().replace('_', " "));
    fact("detail", &note.detail);
    fact("opened", &time(note.opened_at));
    match &note.closed {
        None => note.commands().iter().for_each(|command| fact("to do", command)),
        Some(Closed { at, by, remark }) => {
            fact("closed", &format!("by {by}, {}", time(*at)));
            fact("remark", remark.as_deref().unwrap_or("-"));
        }
    }
    Ok(table.print()?)
}

async fn list(options: List) -> Result<(), Failure> {
    let api = options.server.api()?;
    let mut query = vec![("state".to_owned(), options.state.as_str().to_owned())];
    query.extend(options.operation.map(|id| ("operation".to_owned(), id.to_string())));
    query.extend(options.target.map(|target| ("target".to_owned(), target)));
    let mut pages = api.pages(ATTENTION.to_owned(), "attention", query, options.limit.get());
    if options.server.output == Format::Json {
        return print_json(&mut pages).await;
    }
    let mut table = Table::new(&["NOTE", "REASON", "TARGET", "OPENED", "OPERATION", "TO DO", "DETAIL"]);
    let mut is_empty = true;
    while let Some(entry) = pages.next().await? {
        table.row(row(&api.parse::<Note>(entry.as_ref() as &RawValue)?));
        is_empty = false;
    }
    if is_empty {
        say("no notes");
        return Ok(());
    }
    Ok(table.print()?)
}

fn row(note: &Note) -> [Cell; 7] {
    let to_do = match (&note.closed, note.answers.as_slice()) {
        (Some(closed), _) => format!("closed by {}", closed.by),
        (None, []) if note.operation_ended => "acknowledge".to_owned(),
        // No answer closes it: what it asks for is done elsewhere.
        (None, []) => "see detail, or cancel".to_owned(),
        (None, answers) => format!("resolve: {}", answers.join(", ")),
    };
    let tone = if note.closed.is_some() { Tone::Plain } else { Tone::Doubtful };
    [
        Cell::plain(note.id.to_string()),
        Cell::toned(tone, note.reason.as_str().replace('_', " ")),
        Cell::plain(note.target.as_deref().unwrap_or("-")),
        Cell::plain(time(note.opened_at)),
        Cell::plain(note.operation.to_string()),
        Cell::plain(to_do),
        Cell::plain(note.detail.as_str()),
    ]
}

impl Which {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::All => "all",
        }
    }
}

impl Note {
    /// What a person can type about it while it is open.
    fn commands(&self) -> Vec<String> {
        if self.operation_ended {
            return vec![format!("fanfold attention acknowledge {}", self.id)];
        }
        if self.answers.is_empty() {
            return vec![format!("see its detail; or fanfold ops cancel {}", self.operation)];
        }
        self.answers.iter().map(|answer| format!("fanfold attention resolve {} {answer}", self.id)).collect()
    }

    /// The lines about it beside its operation.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("note {}: {}", self.id, self.detail)];
        lines.extend(self.commands().iter().map(|command| format!("  {command}")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_words_with_either_stroke() {
        assert_eq!(answer("not_applied"), Ok(Resolution::NotApplied));
        assert_eq!(answer("roll-back"), Ok(Resolution::RollBack));
        assert!(answer("yes").unwrap_err().contains("applied, not_applied, retry, roll_back, end_as_it_is"));
    }
}
