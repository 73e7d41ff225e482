//! Requests that come again with their idempotency key (G9). The store recognises those that reach it; this is for those that do
//! not, because something stands against them by now: a drain, an address that is not found any more, a route that was configured
//! anew. Who has lost the answer that a request was accepted gets it again, and no refusal.

use std::time::Duration;

use fanfold_core::dialect::Refusal;
use fanfold_core::{OperationId, TenantId};
use fanfold_store::{IdempotencyKey, KeyUse};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Engine;
use crate::accept::{AcceptOutcome, store_refusal};
use crate::doubts::Claim;

/// How long a request waits for the canceling of an operation that has its key.
const CANCELING_PATIENCE: Duration = Duration::from_secs(5);

/// How long a request that comes again is asked about, and what was settled since it was last.
#[derive(Debug)]
pub(crate) struct Patience {
    until: Instant,
    settled: watch::Receiver<u64>,
}

impl Engine {
    /// The outcome of a request, unless that is a refusal and the request was accepted before with this key: then that is its
    /// answer. Only a refused request is looked up, so a key costs no read of its own.
    pub(crate) async fn unless_known(
        &self,
        tenant: &TenantId,
        idempotency: Option<&IdempotencyKey>,
        outcome: Result<AcceptOutcome, Refusal>,
    ) -> Result<AcceptOutcome, Refusal> {
        match (outcome, idempotency) {
            // The store itself fails. What it may have recorded of this very request is not to be taken for an earlier one.
            (Err(refusal @ (Refusal::StoreUnreachable { .. } | Refusal::StoreFailing { .. })), _) => Err(refusal),
            (Err(refusal), Some(idempotency)) => self.known(tenant, idempotency).await?.ok_or(refusal),
            (outcome, _) => outcome,
        }
    }

    /// The answer to a request that was accepted before with this key; `None` if the key is free.
    async fn known(&self, tenant: &TenantId, idempotency: &IdempotencyKey) -> Result<Option<AcceptOutcome>, Refusal> {
        let mut patience = self.patience();
        loop {
            patience.ask();
            let used = self.shared.store.key_use(tenant, idempotency).await.map_err(|error| {
                tracing::error!(%error, "cannot look up whether a refused request was accepted before");
                store_refusal(&error)
            })?;
            match used {
                None => return Ok(None),
                Some(KeyUse::Other(first)) => return Err(Refusal::KeyReused { first, by_route: false }),
                Some(KeyUse::Same(id)) if self.stands(id, &mut patience).await? => {
                    return self.again(id).await.map(Some);
                }
                Some(KeyUse::Same(_)) => {}
            }
        }
    }

    /// For a request that is about to ask the store what its key was used for.
    pub(crate) fn patience(&self) -> Patience {
        Patience { until: Instant::now() + CANCELING_PATIENCE, settled: self.shared.doubts.settled() }
    }

    /// Whether an operation stands which the store says a request has become before. `false`: it has been canceled, because its
    /// own acceptance could not be answered, and the store is to be asked again.
    pub(crate) async fn stands(&self, id: OperationId, patience: &mut Patience) -> Result<bool, Refusal> {
        let claim = self.shared.doubts.claim(id);
        match claim {
            // It may have been canceled between the store's answer and now; then the answer is out of date.
            Claim::Known if !patience.is_out_of_date() => Ok(true),
            Claim::Known if !patience.is_over() => Ok(false),
            Claim::Known => Err(taken_back()),
            Claim::Accepted => {
                self.shared.wake_dispatcher();
                Ok(true)
            }
            Claim::Canceling => {
                let Patience { until, settled } = patience;
                if tokio::time::timeout_at(*until, settled.changed()).await.is_ok() {
                    return Ok(false);
                }
                Err(taken_back())
            }
        }
    }

    /// The answer that a request gets again, with its operation as it is by now.
    pub(crate) async fn again(&self, id: OperationId) -> Result<AcceptOutcome, Refusal> {
        let operation = self.operation(id).await.map_err(|error| {
            tracing::error!(operation.id = %id, %error, "cannot read an operation whose request came again");
            let detail = "the request was accepted before, but its operation cannot be read at the moment";
            Refusal::StoreUnreachable { detail: detail.to_owned() }
        })?;
        let gone = || Refusal::StoreFailing { detail: format!("operation {id} was deleted just now; try again") };
        Ok(AcceptOutcome { operation: operation.ok_or_else(gone)?, repeated: true })
    }
}

impl Patience {
    /// The store is about to be asked: what was settled before that, its answer knows.
    pub(crate) fn ask(&mut self) {
        self.settled.mark_unchanged();
    }

    fn is_out_of_date(&self) -> bool {
        self.settled.has_changed().unwrap_or(false)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

fn taken_back() -> Refusal {
    let detail = "the request may have been accepted before, which is being taken back; try again";
    Refusal::StoreUnreachable { detail: detail.to_owned() }
}
