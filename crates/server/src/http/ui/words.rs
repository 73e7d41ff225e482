//! Times, spans, sizes and states as pages say them.

use std::time::Duration;

use fanfold_core::operation::{Consistency, Phase, Status};
use fanfold_core::story::{self, Tone};
use jiff::Timestamp;

/// A time: how long ago it was, and when exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    /// For programs (RFC 3339).
    pub(super) iso: String,
    /// For people, in UTC.
    pub(super) clock: String,
    /// Relative to now.
    pub(super) ago: String,
}

/// A state in one word. Its mark says the same as its colour, for those who do not see that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chip {
    pub(super) tone: &'static str,
    pub(super) mark: &'static str,
    pub(super) text: String,
}

impl Stamp {
    pub(super) fn of(at: Timestamp, now: Timestamp) -> Self {
        Self {
            iso: at.to_string(),
            clock: at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string(),
            ago: relative(at, now),
        }
    }
}

impl Chip {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone: class(tone), mark: mark(tone), text: text.into() }
    }

    pub(super) fn of_status(status: Status) -> Self {
        Self::new(story::status(status), status.as_str())
    }

    pub(super) fn of_phase(phase: Phase) -> Self {
        let tone = match phase {
            Phase::NeedsAttention => Tone::Bad,
            Phase::Canceling | Phase::RollingBack | Phase::Held | Phase::Probing | Phase::BackingOff => Tone::Doubtful,
            Phase::Waiting | Phase::Calling => Tone::Busy,
        };
        Self::new(tone, phase.as_str())
    }

    pub(super) fn of_consistency(consistency: Consistency) -> Self {
        Self::new(story::data(consistency).0, consistency.to_string())
    }
}

/// The class of a tone in the style sheet.
pub(super) fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Doubtful => "doubt",
        Tone::Busy => "busy",
        Tone::Plain => "plain",
    }
}

/// The mark of a tone.
pub(super) fn mark(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "✓",
        Tone::Bad => "✗",
        Tone::Doubtful => "!",
        Tone::Busy => "▸",
        Tone::Plain => "·",
    }
}

/// How long before or after now.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let (past, distance) = match at.cmp(&now) {
        std::cmp::Ordering::Greater => (false, at.duration_since(now)),
        std::cmp::Ordering::Less | std::cmp::Ordering::Equal => (true, now.duration_since(at)),
    };
    let text = coarse(Duration::try_from(distance).unwrap_or_default());
    if past { format!("{text} ago") } else { format!("in {text}") }
}

/// A span with one unit: how long ago something was.
pub(super) fn coarse(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A span with the precision that its length deserves.
pub(super) fn span(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    match seconds {
        0 => format!("{millis} ms"),
        1..10 => format!("{seconds}.{millis:03} s"),
        10..60 => format!("{seconds}.{} s", millis / 100),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The span between two times; none where a clock went backwards.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// Octets.
pub(super) fn bytes(octets: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if octets < 1024 {
        return format!("{octets} B");
    }
    // Sizes of stores are far below what an f64 tells exactly.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mut value = octets as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number with its thousands apart.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// The first letters of an id; all of it stands in its title. Those that ids of one moment have in common are left out.
pub(super) fn short(id: &impl std::fmt::Display) -> String {
    let text = id.to_string();
    let tail = text.len().saturating_sub(12);
    format!("…{}", text.get(tail..).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_precision_that_they_deserve() {
        let said = [7, 1_250, 12_345, 83_000, 3_720_000, 200_000_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(said, ["7 ms", "1.250 s", "12.3 s", "1 min 23 s", "1 h 02 min", "2 d 7 h"]);
    }

    #[test]
    fn times_are_before_or_after_now() {
        let now: Timestamp = "2026-11-26T21:00:00Z".parse().unwrap();
        let said = |at: &str| relative(at.parse().unwrap(), now);
        assert_eq!(said("2026-11-26T20:59:30Z"), "30 s ago");
        assert_eq!(said("2026-11-26T21:05:00Z"), "in 5 min");
        assert_eq!(said("2026-11-20T21:00:00Z"), "6 d ago");
    }

    #[test]
    fn sizes_and_numbers_are_readable() {
        assert_eq!([1, 2048, 5 << 20, 3 << 30].map(bytes), ["1 B", "2.0 KiB", "5.0 MiB", "3.0 GiB"]);
        assert_eq!([7, 1234, 1_000_000].map(number), ["7", "1\u{202f}234", "1\u{202f}000\u{202f}000"]);
    }
}
