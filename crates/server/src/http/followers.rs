//! Who follows: counted, and bounded in all, for each tenant and for each operation.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfold_core::dialect::Refusal;
use fanfold_core::{OperationId, PerTenant, TenantId};

use super::metrics::{Following, InFlight, Metrics, Rejected};

/// When whoever is refused is told to come again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// All who follow at the moment.
#[derive(Debug)]
pub(super) struct Followers {
    bounds: Bounds,
    metrics: Metrics,
    counts: Mutex<Counts>,
}

/// How many may follow.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) all: usize,
    pub(super) of_tenant: PerTenant<usize>,
    pub(super) of_operation: usize,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
    by_operation: HashMap<OperationId, usize>,
}

/// A place among the followers. Dropping it leaves.
#[derive(Debug)]
pub(super) struct Follower {
    followers: Arc<Followers>,
    tenant: TenantId,
    operation: Option<OperationId>,
    _counted: InFlight,
}

impl Followers {
    pub(super) fn new(bounds: Bounds, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { bounds, metrics, counts: Mutex::default() })
    }

    /// Takes another one of a tenant in.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] if a limit is reached.
    pub(super) fn admit(
        self: &Arc<Self>,
        kind: Following,
        tenant: &TenantId,
        operation: Option<OperationId>,
    ) -> Result<Follower, Refusal> {
        let mut counts = self.counts();
        let of_tenant = counts.by_tenant.get(tenant).copied().unwrap_or(0);
        let of_operation = operation.and_then(|id| counts.by_operation.get(&id)).copied().unwrap_or(0);
        let tenant_max = *self.bounds.of_tenant.of(tenant);
        self.check(counts.all, self.bounds.all, "operations")?;
        self.check(of_tenant, tenant_max, "operations of this tenant")?;
        self.check(of_operation, self.bounds.of_operation, "this operation")?;
        counts.all += 1;
        *counts.by_tenant.entry(tenant.clone()).or_default() += 1;
        if let Some(id) = operation {
            *counts.by_operation.entry(id).or_default() += 1;
        }
        let (followers, tenant) = (Arc::clone(self), tenant.clone());
        Ok(Follower { followers, tenant, operation, _counted: self.metrics.follows(kind) })
    }

    /// Whether one more may follow, where so many do already.
    fn check(&self, count: usize, max: usize, what: &str) -> Result<(), Refusal> {
        if count < max {
            return Ok(());
        }
        self.metrics.rejected(Rejected::TooManyFollowers);
        let detail = format!("{max} follow {what} already, which is the most there may be");
        Err(Refusal::Unavailable { detail, retry_after: RETRY_AFTER })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut counts = self.followers.counts();
        counts.all -= 1;
        one_less(&mut counts.by_tenant, &self.tenant);
        if let Some(id) = &self.operation {
            one_less(&mut counts.by_operation, id);
        }
    }
}

/// Nothing is kept of those whom nobody follows.
fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ServerConfig;
    use super::*;

    #[test]
    fn followers_are_bounded_in_all_and_for_each_operation() {
        let bounds = Bounds { all: 3, of_tenant: PerTenant::same(usize::MAX), of_operation: 2 };
        let followers = Followers::new(bounds, Metrics::new(&ServerConfig::default()));
        let [one, other] = [1, 2].map(|byte| Some(OperationId::from_bytes([byte; 16])));
        let admit = |operation| followers.admit(Following::Operation, &TenantId::default(), operation);
        let (first, second) = (admit(one).unwrap(), admit(one).unwrap());
        let Err(Refusal::Unavailable { detail, .. }) = admit(one) else { panic!("it is refused") };
        assert!(detail.contains("this operation"), "{detail}");
        let third = admit(other).unwrap();
        let Err(Refusal::Unavailable { detail, .. }) = admit(None) else { panic!("it is refused") };
        assert!(detail.starts_with("3 follow operations"), "{detail}");
        drop((first, second, third));
        let counts = followers.counts();
        assert_eq!((counts.all, counts.by_tenant.len(), counts.by_operation.len()), (0, 0, 0));
    }

    #[test]
    fn followers_are_bounded_for_each_tenant() {
        let of_tenant = PerTenant { otherwise: 1, own: [(TenantId::from("large"), 2)].into() };
        let followers =
            Followers::new(Bounds { all: 9, of_tenant, of_operation: 9 }, Metrics::new(&ServerConfig::default()));
        let admit = |tenant: &str| followers.admit(Following::All, &tenant.into(), None);
        let held = [admit("a").unwrap(), admit("large").unwrap(), admit("large").unwrap(), admit("b").unwrap()];
        for (tenant, most) in [("a", "1 follow"), ("large", "2 follow")] {
            let Err(Refusal::Unavailable { detail, .. }) = admit(tenant) else { panic!("it is refused") };
            assert!(detail.starts_with(most) && detail.contains("of this tenant"), "{detail}");
        }
        let [of_a, ..] = held;
        drop(of_a);
        admit("a").unwrap();
    }
}
