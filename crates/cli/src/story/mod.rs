//! The story of an operation in words, made of what the native API shows of it: its detail and its history.
//!
//! It works for every operation: `ops history` and the demo's tour tell theirs with it. How one entry of the history is said is [`mod@sentence`].

mod sentence;

use std::fmt::Write as _;

use fanfold_core::dialect::native::{Content, HistoryEntry, OperationDetail, OutcomeWord};
use fanfold_core::operation::{Consistency, RollbackResult, Status};
use jiff::Timestamp;

use crate::output::{Paint, Tone, printable};
use sentence::Teller;

/// The longest piece of a body that a line shows, in characters.
const EXCERPT_CHARACTERS_MAX: usize = 100;

/// The story of an operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Story {
    /// What was asked for.
    asked: Vec<String>,
    lines: Vec<Line>,
    /// How it ended; empty while it has not.
    end: Vec<(Tone, String)>,
}

/// A story that is told while it happens.
#[derive(Debug)]
pub(crate) struct Telling {
    accepted_at: Timestamp,
    teller: Teller,
    width: usize,
    paint: Paint,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    /// When, in milliseconds since acceptance; `None` for what did not happen.
    after_ms: Option<i64>,
    target: Option<String>,
    tone: Tone,
    text: String,
}

impl Story {
    /// The story as far as it is known; `history` in the order of its sequence.
    pub(crate) fn of(detail: &OperationDetail, history: &[HistoryEntry]) -> Self {
        let mut teller = Teller::new(detail);
        let accepted_at = detail.summary.accepted_at;
        let mut lines: Vec<Line> = history.iter().filter_map(|entry| line(accepted_at, entry, &mut teller)).collect();
        lines.extend(not_called(detail));
        Self { asked: asked(detail), lines, end: end(detail) }
    }

    /// The story as lines of text.
    pub(crate) fn lines(&self, paint: Paint) -> Vec<String> {
        let names = self.lines.iter().filter_map(|line| line.target.as_deref());
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
        let told = self.lines.iter().map(|line| line.told(width, paint));
        let end = self.end.iter().map(|(tone, text)| paint.apply(*tone, text));
        self.asked.iter().cloned().chain(told).chain(end).collect()
    }
}

impl Telling {
    /// Begins to tell; the lines say what was asked for.
    pub(crate) fn begin(detail: &OperationDetail, paint: Paint) -> (Self, Vec<String>) {
        let width = detail.targets.iter().map(|target| target.name.chars().count()).max().unwrap_or(0);
        let accepted_at = detail.summary.accepted_at;
        (Self { accepted_at, teller: Teller::new(detail), width, paint }, asked(detail))
    }

    /// What happened next; `None` for what is told by the entries around it.
    pub(crate) fn line(&mut self, entry: &HistoryEntry) -> Option<String> {
        Some(line(self.accepted_at, entry, &mut self.teller)?.told(self.width, self.paint))
    }

    /// How it ended.
    pub(crate) fn end(&self, detail: &OperationDetail) -> Vec<String> {
        let end = end(detail).into_iter().map(|(tone, text)| self.paint.apply(tone, &text));
        not_called(detail).map(|line| line.told(self.width, self.paint)).chain(end).collect()
    }
}

/// What happens to many operations, one entry after the other, without knowing what they are.
pub(crate) fn sentence(entry: &HistoryEntry, paint: Paint) -> Option<String> {
    let (tone, text) = Teller::default().sentence(entry)?;
    let target = entry.target.as_ref().map(|target| format!("{}  ", printable(target))).unwrap_or_default();
    Some(format!("{target}{}", paint.apply(tone, text.trim_end())))
}

fn not_called(detail: &OperationDetail) -> impl Iterator<Item = Line> {
    let not_called = detail.targets.iter().filter(|target| target.outcome == Some(OutcomeWord::Skipped));
    not_called.map(|target| Line {
        after_ms: None,
        target: Some(target.name.clone()),
        tone: Tone::Plain,
        text: "was not called".to_owned(),
    })
}

impl Line {
    fn told(&self, width: usize, paint: Paint) -> String {
        let after = self.after_ms.map(|ms| format!("+{}.{:03} s", ms / 1000, ms % 1000)).unwrap_or_default();
        let target = self.target.as_deref().unwrap_or_default();
        format!("{after:>10}  {target:<width$}  {}", paint.apply(self.tone, &self.text))
    }
}

/// The piece of a body that a line shows: on one line, cut to a bearable length.
fn excerpt(body: Option<&Content>) -> Option<String> {
    match body? {
        Content::Text(text) if text.is_empty() => None,
        Content::Text(text) => {
            let text = printable(text);
            let mut letters = text.chars();
            let mut piece: String = letters.by_ref().take(EXCERPT_CHARACTERS_MAX).collect();
            if letters.next().is_some() {
                piece.push_str("...");
            }
            Some(piece)
        }
        Content::Octets { base64 } => Some(format!("({} characters of base64)", base64.len())),
        Content::Apart { bytes } => Some(format!("({bytes} bytes)")),
    }
}

/// Names as a sentence has them: "a, b and c".
fn list(names: &[&str]) -> String {
    match names {
        [] => "no target".to_owned(),
        [name] => (*name).to_owned(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

fn asked(detail: &OperationDetail) -> Vec<String> {
    let summary = &detail.summary;
    let names: Vec<&str> = detail.targets.iter().map(|target| target.name.as_str()).collect();
    let mut request = format!("{} {}", detail.request.method, printable(&detail.request.uri));
    if let Some(body) = excerpt(detail.request.body.as_ref()) {
        write!(request, " {body}").expect("writing to a String cannot fail");
    }
    let at = summary.accepted_at.strftime("%H:%M:%S%.3f");
    let how = format!("for {}; accepted at {at} UTC as operation {}", list(&names), summary.id);
    let issued = detail.resource_id.as_ref().map(|id| format!("issued for it: the id {id}"));
    [request, how].into_iter().chain(issued).collect()
}

fn line(accepted_at: Timestamp, entry: &HistoryEntry, teller: &mut Teller) -> Option<Line> {
    let (tone, text) = teller.sentence(entry)?;
    let since = since(accepted_at, entry.at);
    Some(Line { after_ms: Some(since), target: entry.target.clone(), tone, text })
}

fn since(accepted_at: Timestamp, at: Timestamp) -> i64 {
    // A clock that was set back in between makes a story no better with negative times.
    (at.as_millisecond() - accepted_at.as_millisecond()).max(0)
}

fn end(detail: &OperationDetail) -> Vec<(Tone, String)> {
    let summary = &detail.summary;
    let (Some(ended_at), Some(consistency)) = (summary.ended_at, summary.consistency) else { return Vec::new() };
    let mut text = format!("{} after {} ms{}.", summary.status, since(summary.accepted_at, ended_at), cause(detail));
    if let Some(rollback) = &detail.rollback {
        text.push_str(match rollback.result {
            RollbackResult::Completed => " It is undone where it was done.",
            RollbackResult::Failed => " It is not undone everywhere.",
            RollbackResult::None => " Nothing had to be undone, or could be.",
        });
    }
    let tone = match summary.status {
        Status::Completed => Tone::Good,
        Status::Failed | Status::Canceled | Status::Unexecuted | Status::Executing => Tone::Bad,
    };
    let (data_tone, data) = data(consistency);
    let mut lines = vec![(tone, capital(&text)), (data_tone, format!("The data is {consistency}: {data}."))];
    if let Some(response) = &detail.response {
        let body = excerpt(response.body.as_ref()).map(|body| format!(" {body}")).unwrap_or_default();
        lines.push((Tone::Plain, format!("The answer: {}{body}", response.status)));
    }
    lines
}

/// The text as the beginning of a sentence.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn cause(detail: &OperationDetail) -> String {
    let Some(cause) = &detail.summary.cause else { return String::new() };
    match (cause.kind.as_str(), &cause.by) {
        ("steps_failed", _) => ": too few targets did it".to_owned(),
        ("deadline_passed", _) => ": its deadline passed".to_owned(),
        ("requirement_met", _) => ": enough targets did it".to_owned(),
        ("canceled", Some(by)) => format!(" by {}", printable(by)),
        (other, _) => format!(" ({other})"),
    }
}

fn data(consistency: Consistency) -> (Tone, &'static str) {
    match consistency {
        Consistency::Updated => (Tone::Good, "every target is in the requested state"),
        Consistency::RolledBack => (Tone::Good, "every target is as it was before"),
        Consistency::NotConsistent => (Tone::Bad, "some targets are changed, others are not"),
        Consistency::Unknown => (Tone::Doubtful, "it is not known what every target did"),
    }
}

#[cfg(test)]
mod tests;
