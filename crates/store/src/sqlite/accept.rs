//! Accepting an operation.

use async_trait::async_trait;
use fanfold_core::plan::OnLocked;
use fanfold_core::{OperationId, TenantId};
use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use super::commit::{CommitWrite, insert_bodies, insert_events, insert_sealed};
use super::facets::{self, Faceted};
use super::failure::Failure;
use super::locks;
use super::operations::operation_id;
use super::writer::{Tx, Write};
use crate::prepared::{PreparedAcceptance, PreparedCommit};
use crate::record::{self, json, slots_text, targets_text};
use crate::{Acceptance, Accepted, Commit, Committed, Error, IdempotencyKey, KeyUse, LockOutcome, Operations, time};

#[async_trait]
impl Operations for Sqlite {
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, Error> {
        let sealer = &self.keeper()?.keys.sealer;
        let prepared = PreparedAcceptance::of(acceptance, (sealer, &self.hashes), self.limits.inline_max)?;
        self.write(AcceptWrite(prepared)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, Error> {
        let prepared = PreparedCommit::of(commit, &self.keeper()?.keys.sealer, self.limits.inline_max)?;
        self.write(CommitWrite(prepared)).await
    }

    async fn decided(&self) -> Result<(), Error> {
        // It is decided when it is answered, and at the latest when the next transaction begins; every read is one.
        Ok(())
    }
}

struct AcceptWrite(PreparedAcceptance);

impl Write for AcceptWrite {
    type Answer = Accepted;
    const ACCEPTS: bool = true;

    fn run(&self, tx: &mut Tx<'_>) -> Result<Accepted, Failure> {
        if let Some(refusal) = self.refusal(tx)? {
            return Ok(refusal);
        }
        let operation = &self.0.split.operation;
        let lock_key = self.0.lock_key();
        let holder = lock_key.map(|key| locks::holder(tx.sql(), &operation.tenant, key)).transpose()?.flatten();
        let lock = match (lock_key, holder) {
            (None, _) if operation.plan.lock.is_some() => LockOutcome::Later,
            (None, _) => LockOutcome::NotNeeded,
            (Some(_), None) => LockOutcome::Granted,
            (Some(_), Some(_)) => LockOutcome::Queued,
        };
        let serial = self.insert(tx, lock)?;
        if let Some(key) = lock_key {
            locks::enqueue(tx, &operation.tenant, key, serial)?;
        }
        tx.count(&operation.tenant, operation.status(), 1);
        Ok(Accepted::New { operation: Box::new(operation.clone()), lock })
    }
}

impl AcceptWrite {
    /// Everything that stands against it, in the order that the trait promises.
    fn refusal(&self, tx: &mut Tx<'_>) -> Result<Option<Accepted>, Failure> {
        let operation = &self.0.split.operation;
        if let Some(given) = &self.0.idempotency
            && let Some(used) = key_use(tx.sql(), &operation.tenant, given)?
        {
            return Ok(Some(used.into()));
        }
        let mut find = tx.sql().prepare_cached("SELECT 1 FROM operations WHERE id = ?1")?;
        if find.exists([operation.id.as_bytes()])? {
            return Err(Error::Conflict.into());
        }
        drop(find);
        if let Some(by) = self.retried_by(tx)? {
            return Ok(Some(Accepted::Retried { by }));
        }
        if let Some(refusal) = self.lock_refusal(tx)? {
            return Ok(Some(refusal));
        }
        if tx.open_operations() >= tx.limits.waiting_max {
            return Ok(Some(Accepted::TooManyWaiting));
        }
        if let Some(bound) = tx.limits.waiting_max_of(&operation.tenant)
            && tx.open_operations_of(&operation.tenant)? >= bound
        {
            return Ok(Some(Accepted::TooManyOfTenant));
        }
        if let Some(bound) = tx.limits.size_hard
            && tx.used()? >= bound
        {
            let detail = format!("its records take up the {bound} octets that it may use for new operations");
            return Err(Error::Full { detail, may_have_committed: false }.into());
        }
        Ok(None)
    }

    /// The operation that has retried before what this one retries.
    fn retried_by(&self, tx: &Tx<'_>) -> Result<Option<OperationId>, Failure> {
        let operation = &self.0.split.operation;
        let Some(retried) = &operation.plan.retry_of else { return Ok(None) };
        let select = "SELECT id FROM operations WHERE tenant = ?1 AND retry_of = ?2";
        let mut statement = tx.sql().prepare_cached(select)?;
        let wanted = params![operation.tenant.as_str(), retried.as_bytes()];
        Ok(statement.query_row(wanted, |row| operation_id(row, 0)).optional()?)
    }

    /// What the lock has against it.
    fn lock_refusal(&self, tx: &Tx<'_>) -> Result<Option<Accepted>, Failure> {
        let operation = &self.0.split.operation;
        let Some(lock) = operation.plan.lock.as_ref().filter(|_| operation.queues_for_lock()) else { return Ok(None) };
        let Some(holder) = locks::holder(tx.sql(), &operation.tenant, &lock.key)? else { return Ok(None) };
        Ok(match lock.on_locked {
            OnLocked::Reject => Some(Accepted::Locked { holder }),
            OnLocked::Queue => {
                let bound = tx.limits.lock_queue_max;
                let waiting = locks::waiting(tx, &operation.tenant, &lock.key, bound)?;
                (waiting >= bound).then_some(Accepted::LockQueueFull { waiting })
            }
        })
    }

    /// Writes the rows of the operation, and gives its serial.
    fn insert(&self, tx: &mut Tx<'_>, lock: LockOutcome) -> Result<i64, Failure> {
        let serial = self.insert_operation(tx, lock)?;
        if !tx.knows_policy(&self.0.policy) {
            let policy = json(&*self.0.split.operation.plan.policy)?;
            let insert = "INSERT INTO policies (hash, policy) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            tx.execute(insert, params![self.0.policy.as_str(), policy])?;
            tx.policy_recorded(self.0.policy.clone());
        }
        let insert = "INSERT INTO plans (operation, policy, plan) VALUES (?1, ?2, ?3)";
        tx.execute(insert, params![serial, self.0.policy.as_str(), self.0.plan])?;
        insert_bodies(tx, serial, &self.0.split.plan_bodies)?;
        insert_bodies(tx, serial, &self.0.split.state_bodies)?;
        insert_sealed(tx, serial, &self.0.sealed)?;
        insert_events(tx, serial, &self.0.events)?;
        self.insert_found_by(tx)?;
        Ok(serial)
    }

    /// What lists find it by.
    fn insert_found_by(&self, tx: &Tx<'_>) -> Result<(), Failure> {
        let operation = &self.0.split.operation;
        let plan = &operation.plan;
        let faceted = Faceted {
            tenant: operation.tenant.as_str(),
            route: &plan.route,
            dialect: plan.front.dialect.as_str(),
            mount: &plan.front.mount,
            verb: plan.verb.as_str(),
            resource: &plan.resource,
            targets: &targets_text(plan),
        };
        facets::insert(tx.sql(), operation.id, &faceted)?;
        let insert = "INSERT INTO texts (tenant, operation, searched) VALUES (?1, ?2, ?3)";
        tx.execute(insert, params![operation.tenant.as_str(), operation.id.as_bytes(), self.0.searched])?;
        Ok(())
    }

    fn insert_operation(&self, tx: &Tx<'_>, lock: LockOutcome) -> Result<i64, Failure> {
        let insert = "INSERT INTO operations (
                id, tenant, revision, status, route, dialect, mount, owner, verb, resource, targets, lane, lock_key,
                idempotency_key, fingerprint, accepted_at, updated_at, wake_at, apart, state, retry_of, phase
            ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)";
        let operation = &self.0.split.operation;
        let plan = &operation.plan;
        let wake_at = record::wake_at(operation, lock == LockOutcome::Granted, self.0.wake_at);
        tx.execute(
            insert,
            params![
                operation.id.as_bytes(),
                operation.tenant.as_str(),
                super::operations::revision(operation.revision)?,
                operation.status().as_str(),
                plan.route,
                plan.front.dialect.as_str(),
                plan.front.mount,
                self.0.owner,
                plan.verb.as_str(),
                plan.resource,
                targets_text(plan),
                self.0.lane,
                plan.lock.as_ref().map(|lock| lock.key.as_str()),
                self.0.idempotency.as_ref().map(|idempotency| idempotency.key.as_str()),
                self.0.idempotency.as_ref().map(|idempotency| idempotency.fingerprint.as_slice()),
                time::floor(operation.accepted_at),
                time::floor(operation.updated_at),
                wake_at.map(time::ceil),
                slots_text(&self.0.split.apart),
                self.0.state,
                plan.retry_of.as_ref().map(OperationId::as_bytes),
                record::phase_word(operation),
            ],
        )?;
        Ok(tx.sql().last_insert_rowid())
    }
}

/// What an idempotency key was used for before.
pub(super) fn key_use(sql: &Connection, tenant: &TenantId, given: &IdempotencyKey) -> rusqlite::Result<Option<KeyUse>> {
    let find = "SELECT id, fingerprint FROM operations WHERE tenant = ?1 AND idempotency_key = ?2";
    let mut statement = sql.prepare_cached(find)?;
    let found = statement.query_row([tenant.as_str(), given.key.as_str()], |row| {
        let (id, fingerprint): (_, [u8; 32]) = (operation_id(row, 0)?, row.get(1)?);
        Ok(if fingerprint == given.fingerprint { KeyUse::Same(id) } else { KeyUse::Other(id) })
    });
    found.optional()
}
