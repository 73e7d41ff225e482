//! Accepting an operation.

use fanfold_core::OperationId;
use fanfold_core::plan::OnLocked;

use super::super::columns::{at_most, escaped, length, revision, uuid};
use super::Write;
use super::locks;
use super::picture::{KeyRow, Name, Picture, Wanted};
use super::rows::NewOperation;
use crate::prepared::PreparedAcceptance;
use crate::record::{self, json, slots_text, targets_text};
use crate::{Accepted, Error, KeyUse, LockOutcome, time};

pub(in super::super) struct AcceptWrite(pub(in super::super) PreparedAcceptance);

impl AcceptWrite {
    fn key_name(&self) -> Option<(Name, &[u8; 32])> {
        let given = self.0.idempotency.as_ref()?;
        Some((locks::name(&self.0.split.operation.tenant, &given.key), &given.fingerprint))
    }
}

impl Write for AcceptWrite {
    type Answer = Accepted;

    fn wants(&self, wanted: &mut Wanted) {
        let operation = &self.0.split.operation;
        wanted.operations.insert(operation.id);
        wanted.tenants.insert(operation.tenant.clone());
        wanted.keys.extend(self.key_name().map(|(name, _)| name));
        wanted.retries.extend(operation.plan.retry_of.map(|id| (operation.tenant.as_str().to_owned(), id)));
        if let Some(key) = self.0.lock_key() {
            wanted.lock(&operation.tenant, key, operation.id);
        }
        let bodies = self.0.split.plan_bodies.iter().chain(&self.0.split.state_bodies);
        wanted.octets += self.0.state.len() + self.0.plan.len() + bodies.map(|(_, octets)| octets.len()).sum::<usize>();
    }

    fn decide(&self, picture: &mut Picture<'_>) -> Result<Accepted, Error> {
        if let Some(refusal) = self.refusal(picture)? {
            return Ok(refusal);
        }
        let operation = &self.0.split.operation;
        let lock = match self.0.lock_key() {
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
        let operation = &self.0.split.operation;
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
        if let Some(bound) = picture.limits.waiting_max_of(&operation.tenant)
            && picture.open_of(&operation.tenant) >= bound
        {
            return Ok(Some(Accepted::TooManyOfTenant));
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
        let operation = &self.0.split.operation;
        let lock = operation.plan.lock.as_ref()?;
        let queue = picture.queue(&operation.tenant, self.0.lock_key()?)?;
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
        let operation = &self.0.split.operation;
        if !picture.knows_policy(&self.0.policy) {
            let policy = json(&*operation.plan.policy)?;
            picture.changes.policies.push((self.0.policy.clone(), policy));
        }
        let mut used = length(self.0.state.len() + self.0.plan.len());
        used += picture.add_bodies(operation.id, &self.0.split.plan_bodies);
        used += picture.add_bodies(operation.id, &self.0.split.state_bodies);
        picture.add_sealed(operation.id, &self.0.sealed);
        let (events, octets) = picture.add_events(operation.id, 0, &self.0.events);
        used += octets;
        picture.changes.counters.used += used;
        let row = self.row(picture.changes.epoch, lock, events, used)?;
        picture.changes.operations.push(row);
        self.remember(picture);
        Ok(())
    }

    /// So that the requests after it find it.
    fn remember(&self, picture: &mut Picture<'_>) {
        let operation = &self.0.split.operation;
        if let Some((name, fingerprint)) = self.key_name() {
            let row = KeyRow { operation: operation.id, fingerprint: fingerprint.to_vec(), unexecuted: true };
            picture.loaded.keys.insert(name, row);
        }
        if let Some(retried) = operation.plan.retry_of {
            picture.loaded.retries.insert((operation.tenant.as_str().to_owned(), retried), operation.id);
        }
    }

    fn row(&self, epoch: i64, lock: LockOutcome, events: i32, used: i64) -> Result<NewOperation, Error> {
        let operation = &self.0.split.operation;
        let plan = &operation.plan;
        let wake_at = record::wake_at(operation, lock == LockOutcome::Granted, self.0.wake_at);
        let given = self.0.idempotency.as_ref();
        Ok(NewOperation {
            id: operation.id,
            tenant: operation.tenant.as_str().to_owned(),
            epoch,
            revision: revision(operation.revision)?,
            status: operation.status().as_str(),
            phase: record::phase_word(operation),
            searched: escaped(&self.0.searched).into_owned(),
            route: plan.route.clone(),
            dialect: plan.front.dialect.as_str(),
            mount: plan.front.mount.clone(),
            owner: self.0.owner.as_deref().map(|owner| escaped(owner).into_owned()),
            verb: plan.verb.as_str(),
            resource: escaped(&plan.resource).into_owned(),
            targets: targets_text(plan),
            lane: self.0.lane.clone(),
            lock_key: plan.lock.as_ref().map(|lock| escaped(&lock.key).into_owned()),
            idempotency_key: given.map(|given| escaped(&given.key).into_owned()),
            fingerprint: given.map(|given| given.fingerprint.to_vec()),
            retry_of: plan.retry_of.map(|id: OperationId| uuid(id)),
            accepted_at: time::floor(operation.accepted_at),
            updated_at: time::floor(operation.updated_at),
            wake_at: wake_at.map(time::ceil),
            events,
            used,
            apart: slots_text(&self.0.split.apart),
            state: self.0.state.clone(),
            policy: self.0.policy.as_str().to_owned(),
            plan: self.0.plan.clone(),
        })
    }
}
