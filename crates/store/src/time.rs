//! Times as whole microseconds, which is what the columns hold.

use jiff::Timestamp;

use crate::Error;

/// Cut off.
pub(crate) fn floor(at: Timestamp) -> i64 {
    // `as_microsecond` rounds toward zero, which before 1970 would be up.
    let micros = at.as_microsecond();
    if at.subsec_nanosecond() % 1_000 < 0 { micros - 1 } else { micros }
}

/// Rounded up: a wake time is never early. The very last microsecond stays, or it could not be read back.
pub(crate) fn ceil(at: Timestamp) -> i64 {
    let micros = at.as_microsecond();
    if at.subsec_nanosecond() % 1_000 > 0 { (micros + 1).min(Timestamp::MAX.as_microsecond()) } else { micros }
}

/// Back.
pub(crate) fn timestamp(micros: i64) -> Result<Timestamp, Error> {
    // Not `from_microsecond`, which refuses the last second that a timestamp can hold.
    Timestamp::from_nanosecond(i128::from(micros) * 1_000)
        .map_err(|error| Error::corrupt(format!("a time is out of range: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_off_and_wake_times_rounded_up() {
        let at = |nanos: i128| Timestamp::from_nanosecond(nanos).expect("these are within range");
        for (nanos, down, up) in
            [(0, 0, 0), (1, 0, 1), (999, 0, 1), (1_000, 1, 1), (1_001, 1, 2), (-1, -1, 0), (-1_500, -2, -1)]
        {
            assert_eq!((floor(at(nanos)), ceil(at(nanos))), (down, up), "{nanos}");
        }
        assert!(timestamp(ceil(Timestamp::MAX)).is_ok());
        assert_eq!(timestamp(floor(at(5_000))), Ok(at(5_000)));
    }
}
