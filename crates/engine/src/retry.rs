//! Retrying what is not yet in the requested state, as a new operation.

use std::fmt;
use std::sync::Arc;

use fanfold_core::dialect::{Bodies, Refusal, View};
use fanfold_core::operation::Status;
use fanfold_core::{Headers, Operation, OperationId, Plan, TenantId, retry};
use fanfold_store::{Filter, IdempotencyKey, Page};

use crate::Engine;
use crate::accept::{AcceptOutcome, store_refusal};
use crate::notify::promise;
use crate::{fingerprint, given};

/// Who wants what to be retried.
#[derive(Debug)]
pub struct RetryRequest<'a> {
    /// Who asks, as whom the operation is to belong to.
    pub tenant: TenantId,
    /// The operation.
    pub id: OperationId,
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
        let RetryRequest { tenant, id, force, by, mut headers } = request;
        let fingerprint = fingerprint::of_retry(&self.shared.config.fingerprint_key, id);
        let idempotency = given::key(&headers)?.map(|key| IdempotencyKey { key, fingerprint });
        // Also where what was retried has been deleted meanwhile: the retry has not.
        if let Some(known) = self.known(&tenant, idempotency.as_ref()).await? {
            return Ok(known);
        }
        // Whose it is comes before what can be done with it.
        let operation = self.to_retry(&tenant, id).await?;
        let _let_in = self.let_in()?;
        let now = self.shared.clock.now();
        let given = self.given(&mut headers, now).await?;
        let mut plan = self.plan_retry(&operation, force.then_some(by)).await?;
        plan.start_at = given.start_at.filter(|start_at| *start_at > now);
        plan.front.attributes.extend(given.attributes);
        promise(self.shared.notices.load().callbacks.get(&operation.plan.route), &mut plan);
        let outcome = self.record((self.new_id(), tenant, plan), idempotency, now).await?;
        if !outcome.repeated {
            tracing::info!(operation.id = %outcome.operation.id, retry_of = %id, by, force, "an operation is retried");
        }
        Ok(outcome)
    }

    async fn to_retry(&self, tenant: &TenantId, id: OperationId) -> Result<Arc<Operation>, Refusal> {
        let operation = self.operation(id).await.map_err(|error| unreadable(id, &error))?;
        let operation = operation.filter(|operation| operation.tenant == *tenant);
        operation.ok_or_else(|| Refusal::NotFound { detail: "there is no such operation".to_owned() })
    }

    async fn plan_retry(&self, operation: &Operation, forced_by: Option<&str>) -> Result<Plan, Refusal> {
        let bodies = match operation.bodies_apart().next() {
            Some(_) => self.shared.store.bodies(operation.id).await,
            None => Ok(Bodies::new()),
        };
        let bodies = bodies.map_err(|error| unreadable(operation.id, &error))?;
        match retry::plan_of(View { operation, bodies: &bodies }, forced_by, None) {
            Ok(plan) => Ok(plan),
            Err(no_retry) => {
                // That it was retried before tells more than what stands against doing so again.
                let before = self.retry_of(operation).await?;
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

fn unreadable(id: OperationId, error: &dyn fmt::Display) -> Refusal {
    tracing::error!(operation.id = %id, %error, "an operation that is to be retried cannot be read");
    Refusal::StoreUnreachable { detail: format!("operation {id} cannot be read at the moment") }
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
