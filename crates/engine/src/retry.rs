//! Retrying what is not yet in the requested state, as a new operation.

use std::sync::Arc;

use fanfold_core::dialect::{Bodies, Mount, Refusal, View};
use fanfold_core::operation::Status;
use fanfold_core::{Headers, Operation, OperationId, Plan, retry};
use fanfold_store::{Filter, IdempotencyKey, Page};

use crate::Engine;
use crate::accept::{AcceptOutcome, store_refusal};
use crate::fingerprint;
use crate::notify::promise;

/// Who wants what to be retried.
#[derive(Debug)]
pub struct RetryRequest<'a> {
    /// The operation.
    pub id: OperationId,
    /// The mount through which it was accepted.
    pub mount: &'a Mount,
    /// Whether those targets are called again too of which it is not known whether they are in the requested state.
    pub force: bool,
    /// Who asks for it.
    pub by: &'a str,
    /// The header fields of the request; those of an acceptance mean the same here.
    pub headers: Headers,
}

impl Engine {
    /// Accepts a new operation that calls those targets of a failed or canceled one again that are not in the requested state.
    ///
    /// # Errors
    /// Why there is nothing to retry, or why it was not accepted; nothing is recorded then, unless the refusal says that it may
    /// have been.
    pub async fn retry(&self, request: RetryRequest<'_>) -> Result<AcceptOutcome, Refusal> {
        let _let_in = self.let_in()?;
        let RetryRequest { id, mount, force, by, mut headers } = request;
        let now = self.shared.clock.now();
        let given = self.given(&mut headers, now).await?;
        let (operation, mut plan) = self.plan_retry(id, force.then_some(by)).await?;
        plan.start_at = given.start_at.filter(|start_at| *start_at > now);
        plan.front.attributes.extend(given.attributes);
        promise(self.shared.notices.load().callbacks.get(&operation.plan.route), &mut plan);
        let fingerprint = fingerprint::of_retry(&self.shared.config.fingerprint_key, id);
        let idempotency = given.key.map(|key| IdempotencyKey { key, fingerprint });
        let planned = (self.new_id(), operation.tenant.clone(), plan);
        let outcome = self.record(mount, planned, idempotency, now).await?;
        if !outcome.repeated {
            tracing::info!(operation.id = %outcome.operation.id, retry_of = %id, by, force, "an operation is retried");
        }
        Ok(outcome)
    }

    async fn plan_retry(&self, id: OperationId, forced_by: Option<&str>) -> Result<(Arc<Operation>, Plan), Refusal> {
        let unreadable = |error: crate::Error| {
            tracing::error!(operation.id = %id, %error, "an operation that is to be retried cannot be read");
            Refusal::StoreUnreachable { detail: format!("operation {id} cannot be read at the moment") }
        };
        let operation = self.operation(id).await.map_err(unreadable)?;
        let operation =
            operation.ok_or_else(|| Refusal::NotFound { detail: "there is no such operation".to_owned() })?;
        let bodies = match operation.bodies_apart().next() {
            Some(_) => self.shared.store.bodies(id).await.map_err(|error| unreadable(error.into()))?,
            None => Bodies::new(),
        };
        match retry::plan_of(View { operation: &operation, bodies: &bodies }, forced_by) {
            Ok(plan) => Ok((operation, plan)),
            Err(no_retry) => {
                // That it was retried before tells more than what stands against doing so again.
                let before = self.retry_of(&operation).await?;
                Err(before.unwrap_or_else(|| Refusal::NotPossible { detail: no_retry.to_string() }))
            }
        }
    }

    /// The refusal to retry an operation again, if it was retried before.
    async fn retry_of(&self, operation: &Operation) -> Result<Option<Refusal>, Refusal> {
        let filter = Filter { tenant: operation.tenant.clone(), retry_of: Some(operation.id), ..Filter::default() };
        let retries = self.shared.store.list(&filter, Page::newest(1)).await.map_err(|error| store_refusal(&error))?;
        Ok(retries.first().map(refuse_second))
    }

    /// An operation is retried once: what is left after that, only its retry knows.
    pub(crate) async fn retried_before(&self, by: OperationId) -> Refusal {
        match self.operation(by).await {
            Ok(Some(retry)) => refuse_second(&retry),
            Ok(None) | Err(_) => Refusal::NotPossible { detail: format!("operation {by} has retried this one") },
        }
    }
}

fn refuse_second(retry: &Operation) -> Refusal {
    let id = retry.id;
    let detail = match retry.status() {
        Status::Unexecuted | Status::Executing => format!("operation {id}, a retry of this one, has not ended yet"),
        Status::Completed => format!("operation {id}, a retry of this one, was completed; nothing is left to do"),
        Status::Failed | Status::Canceled => {
            format!("operation {id} has retried this one, and knows what is left: retry that one")
        }
    };
    Refusal::NotPossible { detail }
}
