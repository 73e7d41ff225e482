//! What has been seen of one target since the process started, for its status.

use std::time::Duration;

/// So many of the latest attempts tell how fast a target answers.
const RECENT_MAX: usize = 128;

/// Requests that ended, since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Answered, with any status but 5xx.
    pub answered: u64,
    /// Answered with 5xx.
    pub server_errors: u64,
    /// Not sent: no byte left.
    pub not_sent: u64,
    /// Broken, timed out or reset after a byte may have left.
    pub broke: u64,
}

/// How long the latest answers took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Half of them took no longer.
    pub median: Duration,
    /// 95 of 100 took no longer.
    pub p95: Duration,
    /// None took longer.
    pub max: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) totals: Totals,
    recent: Vec<Duration>,
    next: usize,
}

impl Tally {
    pub(super) fn took(&mut self, time: Duration) {
        if self.recent.len() < RECENT_MAX {
            self.recent.push(time);
        } else {
            self.recent[self.next] = time;
        }
        self.next = (self.next + 1) % RECENT_MAX;
    }

    /// `None` before the first answer.
    pub(super) fn latency(&self) -> Option<Latency> {
        let mut sorted = self.recent.clone();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Latency { median: at(50)?, p95: at(95)?, max: at(100)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_that_of_the_latest_answers() {
        let mut tally = Tally::default();
        assert_eq!(tally.latency(), None);
        tally.took(Duration::from_secs(3600));
        for millis in 1..=128 {
            tally.took(Duration::from_millis(millis));
        }
        let expected = [64, 122, 128].map(Duration::from_millis);
        let latency = tally.latency().unwrap();
        assert_eq!([latency.median, latency.p95, latency.max], expected);
    }
}
