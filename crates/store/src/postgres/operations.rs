//! Reading operations, their bodies and sealed messages.

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::dialect::Bodies;
use fanfold_core::{Operation, OperationId, Slot, TenantId};
use tokio_postgres::{Client, Row};

use super::Postgres;
use super::batch::{AcceptWrite, CommitWrite};
use super::columns::{escaped, get, operation_id, slot, status, unsigned, uuid};
use super::failure::Failure;
use super::session::{Alone, BoxFuture};
use crate::prepared::{PreparedAcceptance, PreparedCommit};
use crate::{
    Acceptance, Accepted, Commit, Committed, Counts, Epoch, Error, Filter, IdempotencyKey, KeyUse, Operations, Page,
    ReadOperations, Sealed,
};

#[async_trait]
impl Operations for Postgres {
    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, Error> {
        let sealing = (&*self.sealer, &self.hashes);
        let request = AcceptWrite(PreparedAcceptance::of(acceptance, sealing, self.limits.inline_max)?);
        self.write(request).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, Error> {
        let request = CommitWrite(PreparedCommit::of(commit, &self.sealer, self.limits.inline_max)?);
        self.write(request).await
    }

    async fn decided(&self) -> Result<(), Error> {
        self.writer.alone(Nothing).await
    }
}

#[async_trait]
impl ReadOperations for Postgres {
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, Error> {
        let select = "SELECT o.id, o.state, p.policy, p.plan FROM operations o JOIN plans p ON p.operation = o.id WHERE o.id = $1";
        let rows = self.readers.query(select, &[&uuid(id)]).await?;
        Ok(self.readers.operations(&rows).await?.pop())
    }

    async fn bodies(&self, id: OperationId) -> Result<Bodies, Error> {
        let select = "SELECT slot, octets FROM bodies WHERE operation = $1";
        let rows = self.readers.query(select, &[&uuid(id)]).await?;
        rows.iter().map(|row| Ok((slot(row, 0)?, get::<Vec<u8>>(row, 1)?.into()))).collect()
    }

    async fn body(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        let select = "SELECT octets FROM bodies WHERE operation = $1 AND slot = $2";
        let row = self.readers.query_opt(select, &[&uuid(id), &slot.to_string()]).await?;
        row.map(|row| get::<Vec<u8>>(&row, 0).map(Bytes::from)).transpose()
    }

    async fn list(&self, filter: &Filter, page: Page<OperationId>) -> Result<Vec<Operation>, Error> {
        super::list::list(&self.readers, filter, page).await
    }

    async fn counts(&self, tenant: Option<&TenantId>) -> Result<Counts, Error> {
        let select =
            "SELECT status, sum(number)::bigint FROM counts WHERE $1::text IS NULL OR tenant = $1 GROUP BY status";
        let rows = self.readers.query(select, &[&tenant.map(TenantId::as_str)]).await?;
        let counts = rows.iter().map(|row| Ok((status(row, 0)?, unsigned(row, 1)?)));
        // A status that all operations have left keeps its row.
        counts.filter(|count| !matches!(count, Ok((_, 0)))).collect()
    }

    /// A node that confirms an operation by this claims it, which nobody else may write in between.
    async fn key_use(&self, tenant: &TenantId, idempotency: &IdempotencyKey) -> Result<Option<KeyUse>, Error> {
        let wanted = FindKey { tenant: tenant.clone(), idempotency: idempotency.clone() };
        if self.epoch().0 != 0 {
            return self.writer.alone(wanted).await;
        }
        let row = self.readers.query_opt(FIND_KEY, &[&tenant.as_str(), &escaped(&idempotency.key)]).await?;
        row.map(|row| wanted.used(&row)).transpose()
    }
}

const FIND_KEY: &str =
    "SELECT id, fingerprint, status = 'unexecuted' FROM operations WHERE tenant = $1 AND idempotency_key = $2";

/// Changes nothing; but whoever writes holds the writers' lock until it is decided what becomes of it, so that everything
/// before is decided when this is committed.
struct Nothing;

impl Alone for Nothing {
    type Answer = ();
    const AS_MEMBER: bool = false;

    fn run<'a>(&'a self, _: &'a Client, _: Epoch) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }
}

struct FindKey {
    tenant: TenantId,
    idempotency: IdempotencyKey,
}

impl FindKey {
    fn used(&self, row: &Row) -> Result<KeyUse, Error> {
        let (id, fingerprint) = (operation_id(row, 0)?, get::<&[u8]>(row, 1)?);
        Ok(if fingerprint == self.idempotency.fingerprint { KeyUse::Same(id) } else { KeyUse::Other(id) })
    }
}

impl Alone for FindKey {
    type Answer = Option<KeyUse>;

    fn run<'a>(&'a self, sql: &'a Client, _: Epoch) -> BoxFuture<'a, Result<Option<KeyUse>, Failure>> {
        Box::pin(async move {
            let values: super::readers::Values<'_> = &[&self.tenant.as_str(), &escaped(&self.idempotency.key)];
            let Some(row) = sql.query_opt(FIND_KEY, values).await? else { return Ok(None) };
            let used = self.used(&row)?;
            if let KeyUse::Same(id) = used
                && get::<bool>(&row, 2)?
            {
                sql.execute("UPDATE operations SET claimed = true WHERE id = $1 AND NOT claimed", &[&uuid(id)]).await?;
            }
            Ok(Some(used))
        })
    }
}

#[async_trait]
impl Sealed for Postgres {
    async fn sealed(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        let select = "SELECT o.tenant, s.key, s.box FROM sealed s JOIN operations o ON o.id = s.operation
                      WHERE s.operation = $1 AND s.slot = $2";
        let Some(row) = self.readers.query_opt(select, &[&uuid(id), &slot.to_string()]).await? else { return Ok(None) };
        let tenant = TenantId::from(get::<String>(&row, 0)?);
        self.sealer.open_box((&tenant, id, slot), (get(&row, 1)?, get(&row, 2)?)).map(Some)
    }
}
