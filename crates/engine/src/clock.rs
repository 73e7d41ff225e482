//! Where time and randomness come from. Everything else in this crate gets them as arguments or from here.

use std::fmt;

use jiff::Timestamp;

/// Gives the time, ids and jitter. Waiting is tokio's, so that tests can pause it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Fills `bytes` with random octets that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

/// A number drawn evenly from 0 (included) to 1 (excluded).
pub(crate) fn jitter(clock: &dyn Clock) -> f64 {
    let mut bytes = [0; 8];
    clock.fill(&mut bytes);
    // 53 bits are what an f64 between 0 and 1 can tell apart.
    let bits = u64::from_le_bytes(bytes) >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let drawn = bits as f64 / (1_u64 << 53) as f64;
    drawn
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        // Linux and macOS give random octets without fail once they have booted; without them no id would be safe.
        getrandom::fill(bytes).expect("the operating system gives random octets");
    }
}
