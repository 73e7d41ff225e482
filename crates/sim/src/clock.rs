//! A clock that follows tokio's, which stands still while anything is to be done, and jumps when told to.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fanfold_engine::Clock;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use fanfold_testkit::Random;

#[derive(Debug)]
pub(crate) struct SimClock {
    began: Timestamp,
    origin: Instant,
    jumped: Mutex<SignedDuration>,
    random: Mutex<Random>,
}

/// The time of day at which every history begins.
fn beginning() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 50)
}

/// How far a time of day is from the beginning, as long as the clock has not jumped.
pub(crate) fn since_began(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(beginning())).unwrap_or_default()
}

impl SimClock {
    /// The clock of a life that begins `after` the beginning of the history.
    pub(crate) fn new(after: Duration, jumped: SignedDuration, seed: u64) -> Self {
        let began = beginning() + SignedDuration::try_from(after).unwrap_or(SignedDuration::ZERO);
        let random = Mutex::new(Random::new(seed));
        Self { began, origin: Instant::now(), jumped: Mutex::new(jumped), random }
    }

    pub(crate) fn jump(&self, millis: i64) {
        let mut jumped = self.jumped.lock().unwrap_or_else(PoisonError::into_inner);
        *jumped += SignedDuration::from_millis(millis);
    }

    pub(crate) fn jumped(&self) -> SignedDuration {
        *self.jumped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.origin.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.began + elapsed + self.jumped()
    }

    fn boot_time(&self) -> Duration {
        self.origin.elapsed()
    }

    fn fill(&self, bytes: &mut [u8]) {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            let drawn = random.draw().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}
