//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date in any of the three forms of section 5.6.7.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::message::{Headers, header};

/// A target cannot make us wait longer than this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What an answer that came at `now` asks to wait, at most [`RETRY_AFTER_MAX`]; `None` if it asks nothing that can be understood.
pub fn retry_after(headers: &Headers, now: Timestamp) -> Option<Duration> {
    let value = header(headers, "retry-after")?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_digit()) {
        // More digits than fit ask for more than the bound anyway.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        // A date that has passed asks for nothing more.
        Duration::try_from(date(value)?.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// An HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` or `Sun Nov  6 08:49:37 1994`.
fn date(value: &str) -> Option<Timestamp> {
    ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"].iter().find_map(|format| {
        let time = DateTime::strptime(format, value).ok()?;
        // The last hours of the year 9999 are a date, but no instant any more: they are as far away as it gets.
        Some(TimeZone::UTC.to_timestamp(time).unwrap_or(Timestamp::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<Duration> {
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        retry_after(&vec![("retry-after".to_owned(), value.to_owned())], now)
    }

    #[test]
    fn both_forms_are_understood_within_the_bound() {
        for (value, seconds) in [
            ("0", 0),
            ("120", 120),
            (" 5 ", 5),
            ("99999999999999999999999", 86_400),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 30),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 30),
            ("Sun Nov  6 08:49:37 1994", 30),
            ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
            ("Mon, 06 Nov 2023 08:49:37 GMT", 86_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ] {
            assert_eq!(asked(value), Some(Duration::from_secs(seconds)), "{value}");
        }
    }

    #[test]
    fn anything_else_asks_nothing() {
        for value in ["", "-1", "1.5", "soon", "Sun, 06 Nov 1994", "+5"] {
            assert_eq!(asked(value), None, "{value}");
        }
        assert_eq!(retry_after(&vec![], Timestamp::UNIX_EPOCH), None);
    }
}
