//! Accepting an operation.

use fanfold_core::plan::OnLocked;
use fanfold_core::{Operation, OperationId, PolicyHash};
use jiff::Timestamp;

use super::super::Postgres;
use super::super::columns::{at_most, escaped, length, revision, uuid};
use super::Write;
use super::locks;
use super::picture::{KeyRow, Name, Picture, Wanted};
use super::rows::NewOperation;
use crate::record::{self, EventRow, Split, json, slots_text, targets_text};
use crate::sealing::SealedMessage;
use crate::{Acceptance, Accepted, Error, IdempotencyKey, KeyUse, LockOutcome, time};

/// An acceptance with everything serialised and encrypted that can be before the writing task has it.
pub(in super::super) struct AcceptWrite {
    split: Split,
    policy: PolicyHash,
    state: String,
    plan: String,
    sealed: Vec<SealedMessage>,
    key_id: String,
    events: Vec<EventRow>,
    idempotency: Option<IdempotencyKey>,
    lane: String,
    owner: Option<String>,
    wake_at: Option<Timestamp>,
}

impl AcceptWrite {
    pub(in super::super) fn prepare(store: &Postgres, acceptance: Acceptance) -> Result<Self, Error> {
        let split = Split::accepted(acceptance.operation, store.limits.inline_max)?;
        let Operation { id, tenant, plan, .. } = &split.operation;
        let seal = |(slot, octets): &(_, bytes::Bytes)| store.sealer.seal((tenant, *id, *slot), octets);
        Ok(Self {
            policy: store.hashes.of(&plan.policy),
            state: json(&split.operation)?,
            plan: json(plan)?,
            sealed: acceptance.sealed.iter().map(seal).collect::<Result<_, _>>()?,
            key_id: store.sealer.key_id().to_owned(),
            events: EventRow::all(acceptance.events, store.limits.inline_max)?,
            idempotency: acceptance.idempotency,
            lane: acceptance.lane,
            owner: acceptance.owner,
            wake_at: acceptance.wake_at,
            split,
        })
    }

    fn key_name(&self) -> Option<(Name, &[u8; 32])> {
        let given = self.idempotency.as_ref()?;
        Some((locks::name(&self.split.operation.tenant, &given.key), &given.fingerprint))
    }

    /// The key of the lock that it wants now. Before its start time an operation has nothing to do with it.
    fn lock_key(&self) -> Option<&str> {
        let operation = &self.split.operation;
        operation.plan.lock.as_ref().filter(|_| operation.queues_for_lock()).map(|lock| lock.key.as_str())
    }
}

impl Write for AcceptWrite {
    type Answer = Accepted;

    fn wants(&self, wanted: &mut Wanted) {
        let operation = &self.split.operation;
        wanted.operations.insert(operation.id);
        wanted.keys.extend(self.key_name().map(|(name, _)| name));
        wanted.retries.extend(operation.plan.retry_of.map(|id| (operation.tenant.as_str().to_owned(), id)));
        if let Some(key) = self.lock_key() {
            wanted.lock(&operation.tenant, key, operation.id);
        }
        let bodies = self.split.plan_bodies.iter().chain(&self.split.state_bodies);
        wanted.octets += self.state.len() + self.plan.len() + bodies.map(|(_, octets)| octets.len()).sum::<usize>();
    }

    fn decide(&self, picture: &mut Picture<'_>) -> Result<Accepted, Error> {
        if let Some(refusal) = self.refusal(picture)? {
            return Ok(refusal);
        }
        let operation = &self.split.operation;
        let lock = match self.lock_key() {
            None if operation.plan.lock.is_some() => LockOutcome::Later,
            None => LockOutcome::NotNeeded,
            Some(key) => {
                let is_held = picture.queue(&operation.tenant, key).is_some_and(|queue| queue.holder().is_some());
                picture.enqueue(&operation.tenant, key, operation.id);
                if is_held { LockOutcome::Queued } else { LockOutcome::Granted }
            }
        };
        self.insert(picture, lock)?;
        picture.count(&operation.tenant, operation.status(), 1);
        Ok(Accepted::New { operation: Box::new(operation.clone()), lock })
    }
}

impl AcceptWrite {
    /// Everything that stands against it, in the order that the trait promises.
    fn refusal(&self, picture: &mut Picture<'_>) -> Result<Option<Accepted>, Error> {
        let operation = &self.split.operation;
        if let Some((name, fingerprint)) = self.key_name()
            && let Some((used, unexecuted)) = picture.key_use(&name, fingerprint)
        {
            if let KeyUse::Same(id) = used
                && unexecuted
                && picture.is_node()
            {
                // Whoever accepted it may have lost the answer, and must not take it back any more.
                picture.changes.claimed.push(id);
            }
            return Ok(Some(used.into()));
        }
        if picture.loaded.operations.contains_key(&operation.id) {
            return Err(Error::Conflict);
        }
        if let Some(retried) = operation.plan.retry_of
            && let Some(by) = picture.loaded.retries.get(&(operation.tenant.as_str().to_owned(), retried))
        {
            return Ok(Some(Accepted::Retried { by: *by }));
        }
        if let Some(refusal) = self.lock_refusal(picture) {
            return Ok(Some(refusal));
        }
        if u64::try_from(picture.loaded.open).unwrap_or(0) >= picture.limits.waiting_max {
            return Ok(Some(Accepted::TooManyWaiting));
        }
        if let Some(bound) = picture.limits.size_hard
            && picture.changes.counters.used >= at_most(bound)
        {
            let detail = format!("its records take up the {bound} octets that it may use for new operations");
            return Err(Error::Full { detail, may_have_committed: false });
        }
        Ok(None)
    }

    fn lock_refusal(&self, picture: &Picture<'_>) -> Option<Accepted> {
        let operation = &self.split.operation;
        let lock = operation.plan.lock.as_ref()?;
        let queue = picture.queue(&operation.tenant, self.lock_key()?)?;
        let holder = queue.holder()?;
        match lock.on_locked {
            OnLocked::Reject => Some(Accepted::Locked { holder }),
            OnLocked::Queue => {
                let bound = picture.limits.lock_queue_max;
                // Counted no further than the bound.
                (queue.waiting() >= bound).then_some(Accepted::LockQueueFull { waiting: bound })
            }
        }
    }

    fn insert(&self, picture: &mut Picture<'_>, lock: LockOutcome) -> Result<(), Error> {
        let operation = &self.split.operation;
        if !picture.knows_policy(&self.policy) {
            let policy = json(&*operation.plan.policy)?;
            picture.changes.policies.push((self.policy.clone(), policy));
        }
        let mut used = length(self.state.len() + self.plan.len());
        used += picture.add_bodies(operation.id, &self.split.plan_bodies);
        used += picture.add_bodies(operation.id, &self.split.state_bodies);
        picture.add_sealed(operation.id, &self.key_id, &self.sealed);
        let (events, octets) = picture.add_events(operation.id, 0, &self.events);
        used += octets;
        picture.changes.counters.used += used;
        let row = self.row(picture.changes.epoch, lock, events, used)?;
        picture.changes.operations.push(row);
        self.remember(picture);
        Ok(())
    }

    /// So that the requests after it find it.
    fn remember(&self, picture: &mut Picture<'_>) {
        let operation = &self.split.operation;
        if let Some((name, fingerprint)) = self.key_name() {
            let row = KeyRow { operation: operation.id, fingerprint: fingerprint.to_vec(), unexecuted: true };
            picture.loaded.keys.insert(name, row);
        }
        if let Some(retried) = operation.plan.retry_of {
            picture.loaded.retries.insert((operation.tenant.as_str().to_owned(), retried), operation.id);
        }
    }

    fn row(&self, epoch: i64, lock: LockOutcome, events: i32, used: i64) -> Result<NewOperation, Error> {
        let operation = &self.split.operation;
        let plan = &operation.plan;
        let wake_at = record::wake_at(operation, lock == LockOutcome::Granted, self.wake_at);
        let given = self.idempotency.as_ref();
        Ok(NewOperation {
            id: operation.id,
            tenant: operation.tenant.as_str().to_owned(),
            epoch,
            revision: revision(operation.revision)?,
            status: operation.status().as_str(),
            route: plan.route.clone(),
            dialect: plan.front.dialect.as_str(),
            mount: plan.front.mount.clone(),
            owner: self.owner.as_deref().map(|owner| escaped(owner).into_owned()),
            verb: plan.verb.as_str(),
            resource: escaped(&plan.resource).into_owned(),
            targets: targets_text(plan),
            lane: self.lane.clone(),
            lock_key: plan.lock.as_ref().map(|lock| escaped(&lock.key).into_owned()),
            idempotency_key: given.map(|given| escaped(&given.key).into_owned()),
            fingerprint: given.map(|given| given.fingerprint.to_vec()),
            retry_of: plan.retry_of.map(|id: OperationId| uuid(id)),
            accepted_at: time::floor(operation.accepted_at),
            updated_at: time::floor(operation.updated_at),
            wake_at: wake_at.map(time::ceil),
            events,
            used,
            apart: slots_text(&self.split.apart),
            state: self.state.clone(),
            policy: self.policy.as_str().to_owned(),
            plan: self.plan.clone(),
        })
    }
}
