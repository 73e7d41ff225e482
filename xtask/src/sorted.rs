//! Times that were measured, from the shortest to the longest.

use std::time::Duration;

/// In their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sorted(Vec<Duration>);

impl From<Vec<Duration>> for Sorted {
    fn from(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }
}

impl Sorted {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// So many of a hundred took no longer.
    pub(crate) fn quantile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((self.0.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }
}
