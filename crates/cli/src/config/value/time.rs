//! Spans of time and time zones.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::TextForm;
use crate::config::finding::Wrong;

/// A span of time, written as a whole number and a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// The units, each with its milliseconds.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// About a hundred years: what is longer is a slip, and would overflow when it is added to a date.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

impl TextForm for Span {
    const FORMAT: &'static str = "fanfold-duration";
    const EXAMPLE: &'static str = "30s";

    fn read(text: &str) -> Result<Self, Wrong> {
        let wrong = || {
            Wrong::new(format!("{text:?} is not a duration"))
                .hint("write a whole number and a unit, such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"30d\"")
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let millis = number.checked_mul(*scale).map(Duration::from_millis);
        match millis {
            Some(span) if span <= LONGEST => Ok(Self(span)),
            _ => Err(Wrong::new(format!("{text:?} is longer than a hundred years"))),
        }
    }
}

impl TextForm for Timestamp {
    const FORMAT: &'static str = "fanfold-time";
    const EXAMPLE: &'static str = "2027-01-31T00:00:00Z";

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|_| {
            Wrong::new(format!("{text:?} is not a date and time")).hint(format!("write it as in {:?}", Self::EXAMPLE))
        })
    }
}

impl TextForm for TimeZone {
    const FORMAT: &'static str = "fanfold-time-zone";
    const EXAMPLE: &'static str = "Asia/Tokyo";

    fn read(text: &str) -> Result<Self, Wrong> {
        Self::get(text).map_err(|_| {
            Wrong::new(format!("{text:?} is not a time zone"))
                .hint("write a name of the IANA time zone database, such as \"UTC\" or \"Asia/Tokyo\"")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_number_and_a_unit() {
        for (text, millis) in [("0s", 0), ("500ms", 500), ("3s", 3000), ("30m", 1_800_000), ("30d", 2_592_000_000)] {
            assert_eq!(Span::read(text), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "3", "s", "3 s", "-3s", "1.5s", "3sec", "1h30m", "99999999999999999999s", "40000d"] {
            assert!(Span::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn time_zones_are_those_of_iana() {
        assert!(TimeZone::read("Asia/Tokyo").is_ok());
        assert!(TimeZone::read("UTC").is_ok());
        assert!(TimeZone::read("Tokio").is_err());
    }
}
