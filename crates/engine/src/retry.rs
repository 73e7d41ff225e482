//! Retrying what is not yet in the requested state, as a new operation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use fanfold_core::dialect::{Bodies, Refusal, View};
use fanfold_core::operation::Status;
use fanfold_core::route::{Incoming, Issued, OperationRoute};
use fanfold_core::{Access, Headers, Operation, OperationId, Plan, TenantId, retry};
use fanfold_store::{Filter, IdempotencyKey, Page};
use jiff::Timestamp;

use crate::Engine;
use crate::accept::{AcceptOutcome, note_retry, store_refusal};
use crate::fingerprint;
use crate::given::{self, Given, RetryOf};
use crate::notify::{promise, put_back};

/// Who wants what to be retried.
#[derive(Debug)]
pub struct RetryRequest<'a> {
    /// Whose operations whoever asks sees; the retry belongs to the same.
    pub access: &'a Access,
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
        if given::retry_of(&request.headers)?.is_some() {
            let detail =
                "Fanfold-Retry-Of goes with the request that is sent again, not with one to retry an operation";
            return Err(Refusal::BadValue { detail: detail.to_owned() });
        }
        let wanted = RetryOf { id: request.id, force: request.force };
        let fingerprint = fingerprint::of_retry(&self.shared.config.fingerprint_key, &wanted, None);
        let idempotency = given::key(&request.headers)?.map(|key| IdempotencyKey { key, fingerprint });
        let tenant = request.access.tenant.clone();
        let outcome = self.retry_first(request, idempotency.clone()).await;
        // Also where what was retried has been deleted meanwhile: the retry has not.
        self.unless_known(&tenant, idempotency.as_ref(), outcome).await
    }

    /// Accepts a retry that has not been accepted before.
    async fn retry_first(
        &self,
        request: RetryRequest<'_>,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<AcceptOutcome, Refusal> {
        let RetryRequest { access, id, force, by, mut headers } = request;
        // Whose it is comes before what can be done with it.
        let operation = self.to_retry(access, id).await?;
        let _let_in = self.let_in()?;
        let now = self.shared.clock.now();
        let given = self.given(&mut headers, now).await?;
        let plan = self.plan_retry(&operation, force.then_some(by), None).await?;
        self.record_retry((access.tenant.clone(), by), plan, given, idempotency, now).await
    }

    /// Records a retry; what was given with its request is of this request, and not of the accepted one.
    async fn record_retry(
        &self,
        (tenant, by): (TenantId, &str),
        plan: Plan,
        given: Given,
        idempotency: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<AcceptOutcome, Refusal> {
        let plan = self.as_given(plan, given, now);
        let outcome = self.record((self.new_id(), tenant, plan), by, idempotency, now).await?;
        note_retry(&outcome, by);
        Ok(outcome)
    }

    /// The plan of a retry with what was given with its request.
    pub(crate) fn as_given(&self, mut plan: Plan, given: Given, now: Timestamp) -> Plan {
        plan.start_at = given.start_at.filter(|start_at| *start_at > now);
        plan.front.attributes.extend(given.attributes);
        promise(self.shared.notices.load().callbacks.get(&plan.route), &mut plan);
        plan
    }

    async fn to_retry(&self, access: &Access, id: OperationId) -> Result<Arc<Operation>, Refusal> {
        let operation = self.operation_seen(access, id).await.map_err(|error| unreadable(id, &error))?;
        operation.ok_or_else(|| Refusal::NotFound { detail: "there is no such operation".to_owned() })
    }

    /// The plan of the retry that a request asks for which is the accepted one, sent again: what was wiped of the operation is in
    /// it.
    pub(crate) async fn plan_again(
        &self,
        wanted: &RetryOf,
        (access, by): (&Access, &str),
        (route, incoming, fingerprint): (&OperationRoute, Incoming, &[u8; 32]),
        at: Timestamp,
    ) -> Result<Plan, Refusal> {
        let operation = self.to_retry(access, wanted.id).await?;
        let plan = &operation.plan;
        if plan.fingerprint.as_deref() != Some(&*fingerprint::text(fingerprint)) {
            let detail = match plan.fingerprint {
                Some(_) => format!(
                    "this is not the request that operation {} was accepted with: method, path, query, content type and body have to be the same",
                    operation.id
                ),
                None => format!(
                    "operation {} was accepted by a version that kept nothing to know its request by; send the request as a new one",
                    operation.id
                ),
            };
            return Err(Refusal::NotPossible { detail });
        }
        let issued = Issued {
            operation: plan.first.unwrap_or(operation.id),
            resource_id: plan.resource_id.clone(),
            attributes: BTreeMap::new(),
            at,
            start_at: None,
        };
        let again = route.plan(incoming, issued)?.plan;
        self.plan_retry(&operation, wanted.force.then_some(by), Some(&again)).await
    }

    /// The plan of a retry that was not asked for yet; nothing is recorded.
    pub(crate) async fn retry_planned(&self, operation: &Operation, forced_by: Option<&str>) -> Result<Plan, Refusal> {
        let plan = self.plan_retry(operation, forced_by, None).await?;
        match self.retry_of(&operation.tenant, operation.id).await? {
            Some(refusal) => Err(refusal),
            None => Ok(plan),
        }
    }

    async fn plan_retry(
        &self,
        operation: &Operation,
        forced_by: Option<&str>,
        again: Option<&Plan>,
    ) -> Result<Plan, Refusal> {
        let bodies = match operation.bodies_apart().next() {
            Some(_) => self.shared.store.bodies(operation.id).await,
            None => Ok(Bodies::new()),
        };
        let bodies = bodies.map_err(|error| unreadable(operation.id, &error))?;
        match retry::plan_of(View { operation, bodies: &bodies }, forced_by, again) {
            Ok(mut plan) => {
                let put_back = put_back(&self.shared, operation.id, &mut plan.front.attributes).await;
                put_back.map_err(|error| unreadable(operation.id, &error))?;
                Ok(plan)
            }
            Err(no_retry) => {
                // That it was retried before tells more than what stands against doing so again.
                let before = self.retry_of(&operation.tenant, operation.id).await?;
                Err(before.unwrap_or_else(|| Refusal::NotPossible { detail: no_retry.to_string() }))
            }
        }
    }

    /// The refusal to retry an operation again, if it was retried before.
    pub(crate) async fn retry_of(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Refusal>, Refusal> {
        let filter = Filter { tenant: tenant.clone(), retry_of: Some(id), ..Filter::default() };
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
