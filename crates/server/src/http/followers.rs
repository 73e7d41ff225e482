//! Who follows: counted, and bounded in all and for each operation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::dialect::Refusal;

use super::metrics::{Following, InFlight, Metrics, Rejected};

/// When whoever is refused is told to come again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// All who follow at the moment.
#[derive(Debug)]
pub(super) struct Followers {
    max: usize,
    operation_max: usize,
    metrics: Metrics,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_operation: HashMap<OperationId, usize>,
}

/// A place among the followers. Dropping it leaves.
#[derive(Debug)]
pub(super) struct Follower {
    followers: Arc<Followers>,
    operation: Option<OperationId>,
    _counted: InFlight,
}

impl Followers {
    pub(super) fn new(max: usize, operation_max: usize, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { max, operation_max, metrics, counts: Mutex::default() })
    }

    /// Takes another one in.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] if a limit is reached.
    pub(super) fn admit(
        self: &Arc<Self>,
        kind: Following,
        operation: Option<OperationId>,
    ) -> Result<Follower, Refusal> {
        let mut counts = self.counts();
        let of_operation = operation.and_then(|id| counts.by_operation.get(&id)).copied().unwrap_or(0);
        if counts.all >= self.max {
            return Err(
                self.too_many(format!("{} follow operations already, which is the most there may be", self.max))
            );
        }
        if of_operation >= self.operation_max {
            let max = self.operation_max;
            return Err(self.too_many(format!("{max} follow this operation already, which is the most there may be")));
        }
        counts.all += 1;
        if let Some(id) = operation {
            *counts.by_operation.entry(id).or_default() += 1;
        }
        Ok(Follower { followers: Arc::clone(self), operation, _counted: self.metrics.follows(kind) })
    }

    fn too_many(&self, detail: String) -> Refusal {
        self.metrics.rejected(Rejected::TooManyFollowers);
        Refusal::Unavailable { detail, retry_after: RETRY_AFTER }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut counts = self.followers.counts();
        counts.all -= 1;
        let Some(id) = self.operation else { return };
        if let Some(count) = counts.by_operation.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                counts.by_operation.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_are_bounded_in_all_and_for_each_operation() {
        let followers = Followers::new(3, 2, Metrics::default());
        let [one, other] = [1, 2].map(|byte| Some(OperationId::from_bytes([byte; 16])));
        let admit = |operation| followers.admit(Following::Operation, operation);
        let (first, second) = (admit(one).unwrap(), admit(one).unwrap());
        let Err(Refusal::Unavailable { detail, .. }) = admit(one) else { panic!("it is refused") };
        assert!(detail.contains("this operation"), "{detail}");
        let third = admit(other).unwrap();
        let Err(Refusal::Unavailable { detail, .. }) = admit(None) else { panic!("it is refused") };
        assert!(detail.starts_with("3 follow operations"), "{detail}");
        drop((first, second, third));
        let counts = followers.counts();
        assert_eq!((counts.all, counts.by_operation.len()), (0, 0));
    }
}
