//! Where time and randomness come from. Everything else in this crate gets them as arguments or from here.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// By how much the time of day and the time that has passed may differ between two looks before it is called a jump.
const JUMP_MIN: Duration = Duration::from_secs(5);

/// Gives the time, ids and jitter. Waiting is tokio's, so that tests can pause it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// The time since the machine began, at the pace of its clock whatever the time of day is set to; it goes on while the machine
    /// sleeps or stands still. For leases.
    fn boot_time(&self) -> Duration;

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

/// The time of day as long as it goes forward. Where it is set back, this goes on at the pace of the time that passes, until the
/// time of day has caught up: so that what waits does not wait longer.
#[derive(Debug)]
pub(crate) struct Steady(Mutex<(Timestamp, Instant)>);

impl Steady {
    /// Never gives a time before this one.
    pub(crate) fn from(first: Timestamp) -> Self {
        Self(Mutex::new((first, Instant::now())))
    }

    /// The time, where the time of day is `wall`.
    pub(crate) fn now(&self, wall: Timestamp) -> Timestamp {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = wall.max(after(last.0, last.1.elapsed()));
        *last = (now, Instant::now());
        now
    }
}

/// Notices when the time of day is set.
#[derive(Debug)]
pub(crate) struct Jumps(Timestamp, Instant);

impl Jumps {
    /// Looks from now on.
    pub(crate) fn from(wall: Timestamp) -> Self {
        Self(wall, Instant::now())
    }

    /// By how much the time of day was set since the last look, if it was.
    pub(crate) fn look(&mut self, wall: Timestamp) -> Option<SignedDuration> {
        let by = wall.duration_since(after(self.0, self.1.elapsed()));
        *self = Self::from(wall);
        (by.unsigned_abs() >= JUMP_MIN).then_some(by)
    }
}

fn after(time: Timestamp, passed: Duration) -> Timestamp {
    let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
    time.checked_add(passed).unwrap_or(Timestamp::MAX)
}

/// The clock that counts while the machine sleeps. On macOS the monotonic one does.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOT_TIME: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOT_TIME: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn boot_time(&self) -> Duration {
        let time = rustix::time::clock_gettime(BOOT_TIME);
        // The kernel counts it from zero on, and fractions of a second in nanoseconds.
        let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
        Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
    }

    fn fill(&self, bytes: &mut [u8]) {
        // Linux and macOS give random octets without fail once they have booted; without them no id would be safe.
        getrandom::fill(bytes).expect("the operating system gives random octets");
    }
}

/// A clock that goes only when a test says so.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct StoppedClock(Mutex<Duration>);

#[cfg(test)]
impl StoppedClock {
    pub(crate) fn pass(&self, time: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(time);
    }
}

#[cfg(test)]
impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        after(Timestamp::UNIX_EPOCH, self.boot_time())
    }

    fn boot_time(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn steady_time_goes_forward_with_the_day_and_never_back() {
        let steady = Steady::from(at(100));
        assert_eq!(steady.now(at(90)), at(100));
        assert_eq!(steady.now(at(500)), at(500));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(steady.now(at(107)), at(507));
        assert_eq!(steady.now(at(508)), at(508));
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_is_what_differs_from_the_time_that_has_passed() {
        let mut jumps = Jumps::from(at(100));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(jumps.look(at(163)), None, "small corrections are none");
        assert_eq!(jumps.look(at(86_563)), Some(SignedDuration::from_hours(24)));
        assert_eq!(jumps.look(at(86_563)), None, "it is told once");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(jumps.look(at(164)), Some(SignedDuration::from_hours(-24)));
    }
}
