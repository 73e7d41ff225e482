//! A dry run of a request: it is read, checked and planned as any request that is accepted, and nothing is recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfold_core::dialect::native::{PlannedKey, PlannedNotice, PlannedOperation, SampleAnswer};
use fanfold_core::dialect::{Bodies, Mount, Refusal, View};
use fanfold_core::route::Sketch;
use fanfold_core::{Operation, OperationId, Plan, TargetName, TenantId};
use fanfold_store::KeyUse;

use crate::Engine;
use crate::accept::{AcceptRequest, Asked, Ids, Key, Prepared, store_refusal};
use crate::notify::{CALLBACK_ATTRIBUTE, promised};
use crate::receiver::WebhookUrl;

/// What a request would become.
#[derive(Debug)]
pub struct DryRun {
    /// The operation as it would be accepted, with every message in its original form and with placeholders for ids; or the one
    /// that the request has become before, as it was recorded.
    pub operation: Operation,
    /// What is shown of it.
    pub form: PlannedOperation,
}

/// What a request would be recorded as.
struct Planned {
    operation: Operation,
    key: Option<Key>,
    /// The operation that the same request has become before.
    repeats: Option<OperationId>,
}

impl Engine {
    /// Works out what a request would become, given what targets are taken to answer.
    ///
    /// # Errors
    /// Why it would not be accepted.
    pub async fn dry_run(
        &self,
        mut request: AcceptRequest<'_>,
        answers: &BTreeMap<TargetName, SampleAnswer>,
    ) -> Result<DryRun, Refusal> {
        let asked = self.asked(&mut request)?;
        let (tenant, mount) = (request.access.tenant.clone(), request.mount);
        let of_client = asked.idempotency.clone().map(|key| Key { key, by_route: false });
        let Planned { operation, key, repeats } = match self.planned(request, asked).await {
            Ok(planned) => planned,
            Err(refusal) => self.known_already(&tenant, of_client).await?.ok_or(refusal)?,
        };
        let plan = &operation.plan;
        let policy = self.shared.policies.compiled(&plan.policy).map_err(|trouble| {
            tracing::error!(route = plan.route, trouble = trouble.detail, "a policy cannot be compiled");
            Refusal::Internal
        })?;
        let addresses = self.addresses(plan);
        let sketch = Sketch {
            operation: &operation,
            policy: &policy,
            answers,
            addresses: &addresses,
            idempotency_key: key.map(|Key { key, by_route }| PlannedKey {
                key: key.key,
                given_by: if by_route { "route" } else { "client" }.to_owned(),
            }),
            repeats,
            told: self.told(mount, &operation),
        };
        let form = sketch.form();
        Ok(DryRun { operation, form })
    }

    async fn planned(&self, request: AcceptRequest<'_>, asked: Asked) -> Result<Planned, Refusal> {
        drop(self.let_in()?);
        let (tenant, now) = (request.access.tenant.clone(), self.shared.clock.now());
        let Prepared { id, plan, key } = self.prepare(request, asked, Ids::Placeholders, now).await?;
        let repeats = match &key {
            Some(key) => self.used(&tenant, key).await?,
            None => None,
        };
        if let (None, Some(of)) = (repeats, plan.retry_of)
            && let Some(refusal) = self.retry_of(&tenant, of).await?
        {
            return Err(refusal);
        }
        Ok(Planned { operation: Operation::accepted(id, tenant, Arc::new(plan), now), key, repeats })
    }

    /// The operation that a refused request has become before: that is its answer then. Unlike when it is accepted, asking
    /// confirms nothing.
    async fn known_already(&self, tenant: &TenantId, key: Option<Key>) -> Result<Option<Planned>, Refusal> {
        let Some(key) = key else { return Ok(None) };
        let Some(id) = self.used(tenant, &key).await? else { return Ok(None) };
        let operation = self.again(id).await?.operation;
        Ok(Some(Planned { operation: Arc::unwrap_or_clone(operation), key: Some(key), repeats: Some(id) }))
    }

    /// The operation that the same request has become with this key.
    async fn used(&self, tenant: &TenantId, Key { key, by_route }: &Key) -> Result<Option<OperationId>, Refusal> {
        match self.shared.store.key_use(tenant, key).await.map_err(|error| store_refusal(&error))? {
            None => Ok(None),
            Some(KeyUse::Same(id)) => Ok(Some(id)),
            Some(KeyUse::Other(first)) => Err(Refusal::KeyReused { first, by_route: *by_route }),
        }
    }

    /// What stands before the paths of each target of a plan that is configured.
    fn addresses(&self, plan: &Plan) -> BTreeMap<TargetName, String> {
        let addresses = plan.steps.iter().filter_map(|step| {
            let address = self.targets().get(&step.target).url()?;
            Some((step.target.clone(), format!("{}://{}{}", address.scheme(), address.authority(), address.prefix())))
        });
        addresses.collect()
    }

    /// Who is told of the end of this operation.
    fn told(&self, mount: &Mount, operation: &Operation) -> Vec<PlannedNotice> {
        let plan = &operation.plan;
        let public = |url: String| url.parse().map_or(url, |url: WebhookUrl| url.public());
        let by_route = promised(&self.shared.notices.load(), plan).map(|url| ("route", public(url)));
        let by_client = plan.front.attributes.get(CALLBACK_ATTRIBUTE).map(|url| ("client", public(url.clone())));
        let bodies = Bodies::new();
        let by_dialect = mount.wire().notice(mount, View { operation, bodies: &bodies });
        let by_dialect = by_dialect.map(|notice| ("dialect", notice.url));
        let all = by_route.into_iter().chain(by_client).chain(by_dialect);
        all.map(|(asked_by, address)| PlannedNotice { asked_by: asked_by.to_owned(), address }).collect()
    }
}
