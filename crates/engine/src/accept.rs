//! Acceptance: a request that a route fits becomes a durable operation, or a refusal that records nothing.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::dialect::{Acceptance as DialectAcceptance, Accepting, Mount, Refusal, dialect};
use fanfold_core::plan::Plan;
use fanfold_core::route::{Incoming, Issued, OperationRoute, seal};
use fanfold_core::{Access, Operation, OperationId, TenantId};
use fanfold_store::{Acceptance, Accepted, Error as StoreError, IdempotencyKey};
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use crate::Engine;
use crate::config::RouteCallback;
use crate::dispatch;
use crate::drain::LetIn;
use crate::execute::sealed_form;
use crate::fingerprint;
use crate::given::{self, Given, RetryOf};
use crate::lane::Lane;
use crate::notify::{promise, take_out};

/// When a client is told to try again that is refused because there is too much to do, or the server is stopping.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A request that a route accepts.
#[derive(Debug)]
pub struct AcceptRequest<'a> {
    /// Whose operation it becomes, and for which targets it may be.
    pub access: &'a Access,
    /// The mount that the route lies under.
    pub mount: &'a Mount,
    /// The route.
    pub route: &'a OperationRoute,
    /// Who is told of the end by the configuration that the route is of.
    pub callback: Option<&'a RouteCallback>,
    /// The request; `target_query` is filled in here.
    pub incoming: Incoming,
    /// Who sends it.
    pub by: &'a str,
}

/// What became of it.
#[derive(Debug, Clone)]
pub struct AcceptOutcome {
    /// The operation, which is recorded and synced.
    pub operation: Arc<Operation>,
    /// Whether it had been accepted before, by a request with the same idempotency key.
    pub repeated: bool,
}

/// What a request becomes.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) id: OperationId,
    pub(crate) plan: Plan,
    pub(crate) key: Option<Key>,
}

/// An idempotency key, and who gave it.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) key: IdempotencyKey,
    pub(crate) by_route: bool,
}

/// Where ids come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// They are issued.
    New,
    /// Something stands in their place, since nothing is recorded.
    Placeholders,
}

/// What a request says by itself.
#[derive(Debug)]
pub(crate) struct Asked {
    /// In the way of its dialect.
    read: DialectAcceptance,
    /// The operation whose request it is, sent again.
    retry_of: Option<RetryOf>,
    fingerprint: [u8; 32],
    /// The client's own key.
    pub(crate) idempotency: Option<IdempotencyKey>,
}

impl Engine {
    /// Makes a durable operation of a request. Returns only after it is on disk (G1).
    ///
    /// # Errors
    /// Why it was not accepted; nothing is recorded then, unless the refusal says that it may have been.
    pub async fn accept(&self, request: AcceptRequest<'_>) -> Result<AcceptOutcome, Refusal> {
        let (route, began) = (request.route, Instant::now());
        let outcome = self.accept_or_refuse(request).await;
        self.shared.metrics.answered(route, outcome.as_ref().map(|outcome| outcome.repeated), began.elapsed());
        outcome
    }

    async fn accept_or_refuse(&self, mut request: AcceptRequest<'_>) -> Result<AcceptOutcome, Refusal> {
        let asked = self.asked(&mut request)?;
        let tenant = request.access.tenant.clone();
        let idempotency = asked.idempotency.clone();
        let outcome = self.accept_first(request, asked).await;
        self.unless_known(&tenant, idempotency.as_ref(), outcome).await
    }

    /// What a request says by itself, however things are now.
    pub(crate) fn asked(&self, request: &mut AcceptRequest<'_>) -> Result<Asked, Refusal> {
        let incoming = &mut request.incoming;
        let key = given::key(&incoming.headers)?;
        let retry_of = given::retry_of(&incoming.headers)?;
        let accepting = Accepting { query: incoming.query.as_deref(), captures: &incoming.captures };
        let read = request.mount.wire().accept(&accepting)?;
        incoming.target_query.clone_from(&read.query);
        let hmac_key = &self.shared.config.fingerprint_key;
        let fingerprint = fingerprint::of_request(hmac_key, incoming);
        let of_key = match &retry_of {
            Some(wanted) => fingerprint::of_retry(hmac_key, wanted, Some(&fingerprint)),
            None => fingerprint,
        };
        let idempotency = key.map(|key| IdempotencyKey { key, fingerprint: of_key });
        Ok(Asked { read, retry_of, fingerprint, idempotency })
    }

    /// Accepts a request that has not been accepted before.
    async fn accept_first(&self, request: AcceptRequest<'_>, asked: Asked) -> Result<AcceptOutcome, Refusal> {
        let _let_in = self.let_in()?;
        let now = self.shared.clock.now();
        let (access, by) = (request.access, request.by.to_owned());
        let Prepared { id, plan, key } = self.prepare(request, asked, Ids::New, now).await?;
        let by_route = key.as_ref().is_some_and(|key| key.by_route);
        let idempotency = key.map(|key| key.key);
        let outcome = self.record((id, access.tenant.clone(), plan), &by, idempotency, now).await.map_err(
            |refusal| match refusal {
                Refusal::KeyReused { first, by_route: _ } => Refusal::KeyReused { first, by_route },
                other => other,
            },
        )?;
        note_retry(&outcome, &by);
        Ok(outcome)
    }

    /// Works out what a request becomes that has not been accepted before; nothing is recorded.
    pub(crate) async fn prepare(
        &self,
        request: AcceptRequest<'_>,
        asked: Asked,
        ids: Ids,
        now: Timestamp,
    ) -> Result<Prepared, Refusal> {
        let AcceptRequest { access, mount: _, route, callback, mut incoming, by } = request;
        let Asked { read, retry_of, fingerprint, idempotency } = asked;
        let given = self.given(&mut incoming.headers, now).await?;
        if let Some(to) = read.notify.filter(|to| !self.shared.notices.load().permit(None, *to)) {
            let detail = format!("{to} may not be notified; `[notices] allow` lists what may");
            return Err(Refusal::BadValue { detail });
        }
        let mut attributes = read.attributes;
        attributes.extend(given.attributes);
        let of_client = idempotency.map(|key| Key { key, by_route: false });
        if let Some(wanted) = retry_of {
            let plan = self.plan_again(&wanted, (access, by), (route, incoming, &fingerprint), now).await?;
            let plan = self.as_given(plan, Given { attributes, ..given }, now);
            return Ok(Prepared { id: self.id(ids), plan, key: of_client });
        }
        let id = self.id(ids);
        let issued = Issued {
            operation: id,
            resource_id: read.issues_resource_id.then(|| self.resource_id(ids)),
            attributes,
            at: now,
            start_at: given.start_at,
        };
        let mut planned = route.plan(incoming, issued)?;
        access.scope.check(&planned.plan)?;
        promise(callback, &mut planned.plan);
        planned.plan.fingerprint = Some(fingerprint::text(&fingerprint));
        let of_route = planned.dedupe.map(|key| Key { key: IdempotencyKey { key, fingerprint }, by_route: true });
        Ok(Prepared { id, plan: planned.plan, key: of_client.or(of_route) })
    }

    fn id(&self, ids: Ids) -> OperationId {
        match ids {
            Ids::New => self.new_id(),
            Ids::Placeholders => OperationId::from_bytes([0; 16]),
        }
    }

    fn resource_id(&self, ids: Ids) -> String {
        match ids {
            Ids::New => self.new_uuid(),
            Ids::Placeholders => OperationId::from_bytes([0; 16]).to_string(),
        }
    }

    /// Lets a request in that may become an operation. It is counted until it is answered, so that the server is not called
    /// drained before.
    pub(crate) fn let_in(&self) -> Result<LetIn<'_>, Refusal> {
        let refused = |detail: &str| Refusal::Unavailable { detail: detail.to_owned(), retry_after: RETRY_AFTER };
        if self.shared.is_stopping() {
            return Err(refused(
                "the server is about to stop; send the request again once it is back, or to another one",
            ));
        }
        self.shared.drain.let_in().ok_or_else(|| {
            refused("the server is draining, and accepts operations again once somebody resumes it; try again later")
        })
    }

    /// Records an operation with this plan, and has it begun.
    pub(crate) async fn record(
        &self,
        (id, tenant, plan): (OperationId, TenantId, Plan),
        by: &str,
        idempotency: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<AcceptOutcome, Refusal> {
        let shared = &self.shared;
        let (mut plan, originals) = seal(plan);
        let sealed = originals.iter().map(|(slot, original)| (*slot, sealed_form(original)));
        let sealed = sealed.chain(take_out(&mut plan)).collect();
        let submitted_by = Some(by.to_owned());
        let operation = Operation { submitted_by, ..Operation::accepted(id, tenant, Arc::new(plan), now) };
        let lock_key = operation.plan.lock.as_ref().map(|lock| lock.key.clone());
        let start_at = operation.plan.start_at;
        let acceptance = Acceptance {
            sealed,
            idempotency,
            lane: Lane::of(&operation).to_string(),
            owner: dialect(operation.plan.front.dialect).owner(&operation).map(str::to_owned),
            wake_at: Some(start_at.unwrap_or(now)),
            events: Vec::new(),
            operation,
        };
        let term = shared.lease.term();
        match self.ask_store(acceptance).await? {
            Accepted::New { operation, lock: _ } => {
                shared.residents.note_recorded();
                shared.tell_others();
                let operation = Arc::new(*operation);
                shared.metrics.accepted(&operation);
                if start_at.is_none() {
                    dispatch::take_up(shared, Arc::clone(&operation), term);
                } else {
                    shared.wake_dispatcher();
                }
                Ok(AcceptOutcome { operation, repeated: false })
            }
            Accepted::Same(id) => self.again(id).await,
            Accepted::KeyReused(first) => Err(Refusal::KeyReused { first, by_route: false }),
            Accepted::Retried { by } => Err(self.retried_before(by).await),
            Accepted::Locked { holder } => {
                Err(Refusal::Locked { key: lock_key.unwrap_or_default(), holder: Some(holder), waiting: None })
            }
            Accepted::LockQueueFull { waiting } => {
                Err(Refusal::Locked { key: lock_key.unwrap_or_default(), holder: None, waiting: Some(waiting) })
            }
            Accepted::TooManyWaiting => Err(too_many("as many operations as allowed have not ended yet")),
            Accepted::TooManyOfTenant => {
                Err(too_many("as many operations of this tenant as allowed have not ended yet"))
            }
        }
    }

    /// Asks the store to record an operation; again where the key belongs to one that is being canceled just now, because its
    /// own acceptance could not be answered.
    async fn ask_store(&self, acceptance: Acceptance) -> Result<Accepted, Refusal> {
        if acceptance.idempotency.is_none() {
            return self.ask_once(acceptance).await;
        }
        let mut patience = self.patience();
        loop {
            patience.ask();
            let accepted = self.ask_once(acceptance.clone()).await?;
            let Accepted::Same(id) = accepted else { return Ok(accepted) };
            if self.stands(id, &mut patience).await? {
                return Ok(accepted);
            }
        }
    }

    async fn ask_once(&self, acceptance: Acceptance) -> Result<Accepted, Refusal> {
        let shared = &self.shared;
        let claimant = shared.claimant(&acceptance.operation.tenant);
        let Ok(_turn) = timeout(shared.config.accepting_wait_max, shared.accepting.turn(&claimant)).await else {
            return Err(too_many("more requests wait to be accepted than the store takes in time"));
        };
        let term = shared.lease.term();
        let Some(asking) = shared.doubts.ask(acceptance.operation.id) else {
            let detail = "the store has left too many requests without an answer".to_owned();
            return Err(Refusal::Unavailable { detail, retry_after: RETRY_AFTER });
        };
        match shared.store.accept(acceptance).await {
            Ok(accepted) => {
                if shared.set_store_in_trouble(false) {
                    tracing::info!("the store takes operations again");
                }
                shared.unrecorded.served();
                Ok(accepted)
            }
            Err(error) => {
                if error.may_have_committed() && !asking.lost() {
                    // The same request came again meanwhile, and was told that it is accepted.
                    shared.wake_dispatcher();
                }
                if error == StoreError::Fenced {
                    shared.lease.end(term);
                }
                self.note_trouble(&error);
                Err(store_refusal(&error))
            }
        }
    }

    /// Why a request could not be recorded: told once if it is the store, and each time if it is the request.
    fn note_trouble(&self, error: &StoreError) {
        match error {
            StoreError::Conflict | StoreError::NotFound { .. } | StoreError::Invalid { .. } => {
                tracing::error!(%error, "a request cannot be recorded");
            }
            StoreError::Unavailable { .. }
            | StoreError::Fenced
            | StoreError::Full { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Locked { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Unusable { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::ChangedMigration { .. }
            | StoreError::Key { .. } => {
                if !self.shared.set_store_in_trouble(true) {
                    tracing::error!(%error, "the store does not take operations; this is told once, until it does again");
                }
            }
        }
    }

    /// The id of an operation accepted now. Ids are in the order in which they are given, also if the clock is set back.
    pub(crate) fn new_id(&self) -> OperationId {
        let mut random = [0; 10];
        self.shared.clock.fill(&mut random);
        self.shared.in_order(OperationId::new(self.shared.steady_now(), random))
    }

    /// A random UUID (RFC 9562, version 4), for resources.
    fn new_uuid(&self) -> String {
        let mut random = [0; 16];
        self.shared.clock.fill(&mut random);
        uuid::Builder::from_random_bytes(random).into_uuid().to_string()
    }
}

fn too_many(detail: &str) -> Refusal {
    Refusal::Unavailable { detail: detail.to_owned(), retry_after: RETRY_AFTER }
}

/// The store's error in the words of the refusal table.
pub(crate) fn store_refusal(error: &StoreError) -> Refusal {
    let hint = if error.may_have_committed() { "; the request may have been accepted all the same" } else { "" };
    match error {
        StoreError::Unavailable { .. } | StoreError::Locked { .. } | StoreError::Fenced => {
            Refusal::StoreUnreachable { detail: format!("the store is not available at the moment{hint}") }
        }
        StoreError::Full { may_have_committed: false, .. } => {
            Refusal::Unavailable { detail: "the store is full".to_owned(), retry_after: RETRY_AFTER }
        }
        StoreError::Full { may_have_committed: true, .. }
        | StoreError::Conflict
        | StoreError::NotFound { .. }
        | StoreError::Invalid { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Unusable { .. }
        | StoreError::NewerSchema { .. }
        | StoreError::ChangedMigration { .. }
        | StoreError::Key { .. } => {
            Refusal::StoreFailing { detail: format!("the store cannot record the request{hint}") }
        }
    }
}

/// Logs a retry that was accepted just now.
pub(crate) fn note_retry(outcome: &AcceptOutcome, by: &str) {
    let operation = &outcome.operation;
    if let Some(of) = operation.plan.retry_of.filter(|_| !outcome.repeated) {
        let forced_by = operation.plan.front.attributes.get(fanfold_core::retry::FORCED_BY);
        tracing::info!(operation.id = %operation.id, retry_of = %of, by, force = forced_by.is_some(), "an operation is retried");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_asks_to_come_back_unless_it_may_have_accepted() {
        let full = |may_have_committed| StoreError::Full { detail: "no room".to_owned(), may_have_committed };
        assert!(matches!(store_refusal(&full(false)), Refusal::Unavailable { .. }));
        let Refusal::StoreFailing { detail } = store_refusal(&full(true)) else { panic!("it is ambiguous") };
        assert!(detail.contains("may have been accepted"), "{detail}");
    }
}
