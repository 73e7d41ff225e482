//! The story of an operation in words, made of what the native API shows of it: its detail and its history.
//!
//! It works for every operation: `ops history` and the demo's tour tell theirs with it. The sentences are [`fanfold_core::story`]'s.

use std::fmt::Write as _;

use fanfold_core::dialect::native::{HistoryEntry, OperationDetail, OutcomeWord};
use fanfold_core::story::{Teller, Tone, end, excerpt, printable, since};

use jiff::Timestamp;

use crate::output::Paint;

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
    let by = detail.submitted_by.as_ref().map(|by| format!(", submitted by {}", printable(by))).unwrap_or_default();
    let how = format!("for {}; accepted at {at} UTC as operation {}{by}", list(&names), summary.id);
    let issued = detail.resource_id.as_ref().map(|id| format!("issued for it: the id {id}"));
    [request, how].into_iter().chain(issued).collect()
}

fn line(accepted_at: Timestamp, entry: &HistoryEntry, teller: &mut Teller) -> Option<Line> {
    let (tone, text) = teller.sentence(entry)?;
    let since = since(accepted_at, entry.at);
    Some(Line { after_ms: Some(since), target: entry.target.clone(), tone, text })
}

#[cfg(test)]
mod tests;
