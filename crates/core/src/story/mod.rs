//! What happened to an operation in words, made of what the native API shows of it: its detail and its history. Command line
//! and console tell it with the same sentences.
//!
//! How one entry of the history is said is [`Teller`]'s.

mod sentence;

use jiff::Timestamp;

use crate::dialect::native::{Content, OperationDetail};
use crate::operation::{Consistency, RollbackResult, Status};

pub use sentence::Teller;

/// The longest piece of a body that a line shows, in characters.
const EXCERPT_CHARACTERS_MAX: usize = 100;

/// What a word means for whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// It failed.
    Bad,
    /// Somebody should look.
    Doubtful,
    /// On its way.
    Busy,
    /// Nothing in particular.
    Plain,
}

/// How an operation ended, a line for each part of it; nothing while it has not.
pub fn end(detail: &OperationDetail) -> Vec<(Tone, String)> {
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
    let (data_tone, data) = data(consistency);
    let mut lines =
        vec![(status(summary.status), capital(&text)), (data_tone, format!("The data is {consistency}: {data}."))];
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

/// What a status means. Who cancels gets what was asked for: that is no failure.
pub fn status(status: Status) -> Tone {
    match status {
        Status::Completed => Tone::Good,
        Status::Failed => Tone::Bad,
        Status::Canceled => Tone::Doubtful,
        Status::Executing => Tone::Busy,
        Status::Unexecuted => Tone::Plain,
    }
}

/// What a consistency says.
pub fn data(consistency: Consistency) -> (Tone, &'static str) {
    match consistency {
        Consistency::Updated => (Tone::Good, "every target is in the requested state"),
        Consistency::RolledBack => (Tone::Good, "every target is as it was before"),
        Consistency::NotConsistent => (Tone::Bad, "some targets are changed, others are not"),
        Consistency::Unknown => (Tone::Doubtful, "it is not known what every target did"),
    }
}

/// The piece of a body that a line shows: on one line, cut to a bearable length.
pub fn excerpt(body: Option<&Content>) -> Option<String> {
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

/// Milliseconds from acceptance to then.
pub fn since(accepted_at: Timestamp, at: Timestamp) -> i64 {
    // A clock that was set back in between makes a story no better with negative times.
    (at.as_millisecond() - accepted_at.as_millisecond()).max(0)
}

/// The text on one line, and without anything that a terminal would obey, or that shows it in another order than it has: some of
/// it comes from clients and targets.
pub fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() || is_directing(letter) { ' ' } else { letter }).collect()
}

/// Whether it turns the direction of what stands around it (UAX #9, section 2), or breaks the line.
fn is_directing(letter: char) -> bool {
    matches!(
        letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_obeys_nobody() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{202e}c\u{2066}d\u{2028}e"), "a [2J b c d e");
        assert_eq!(printable("é 東京 שלום"), "é 東京 שלום", "letters are left as they are, whatever their direction");
    }
}
