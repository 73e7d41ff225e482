//! Reading operations, their bodies and sealed messages.

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::dialect::Bodies;
use fanfold_core::{Operation, OperationId, Slot, TenantId};
use tokio_postgres::{Client, Row};

use super::Postgres;
use super::attention::reason;
use super::batch::{AcceptWrite, CommitWrite};
use super::columns::{escaped, get, limit, operation_id, slot, status, text, timestamp, unsigned, uuid};
use super::failure::Failure;
use super::session::{Alone, BoxFuture};
use crate::prepared::{PreparedAcceptance, PreparedCommit};
use crate::{
    Acceptance, Accepted, Backlog, Commit, Committed, Counts, Epoch, Error, Filter, IdempotencyKey, KeyUse, Operations,
    Page, ReadOperations,
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

/// All of it in one statement, and so one picture. Ids are in the order of acceptance: the oldest operation is the first one of
/// each tenant in the index.
const BACKLOG: &str = "
    SELECT 'count', status, sum(number)::bigint FROM counts GROUP BY status
    UNION ALL
    SELECT 'oldest', status, min(first) FROM (
        SELECT c.status, (SELECT o.accepted_at FROM operations o
                          WHERE o.tenant = c.tenant AND o.status = c.status ORDER BY o.id LIMIT 1) AS first
        FROM counts c WHERE c.status IN ('unexecuted', 'executing') AND c.number > 0) AS firsts
    WHERE first IS NOT NULL GROUP BY status
    UNION ALL
    SELECT 'attention', reason, count(*) FROM (SELECT reason FROM attention WHERE closed_at IS NULL LIMIT $1) AS open
    GROUP BY reason";

#[async_trait]
impl ReadOperations for Postgres {
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, Error> {
        let select = "SELECT o.id, o.state, p.policy, p.plan FROM operations o JOIN plans p ON p.operation = o.id WHERE o.id = $1";
        let rows = self.readers.query(select, &[&uuid(id)]).await?;
        Ok(self.readers.operations(&rows).await?.pop())
    }

    async fn operation_of(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>, Error> {
        let select = "SELECT o.id, o.state, p.policy, p.plan FROM operations o JOIN plans p ON p.operation = o.id
                      WHERE o.id = $1 AND o.tenant = $2";
        let rows = self.readers.query(select, &[&uuid(id), &tenant.as_str()]).await?;
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

    async fn place(
        &self,
        tenant: &TenantId,
        after: Option<OperationId>,
        places: usize,
    ) -> Result<Option<OperationId>, Error> {
        let select = "SELECT id FROM operations WHERE tenant = $1 AND id < $2 ORDER BY id DESC
            LIMIT 1 OFFSET $3";
        let places = i64::try_from(places.saturating_sub(1)).unwrap_or(i64::MAX);
        // No id is as high as this one.
        let after = uuid(after.unwrap_or(OperationId::from_bytes([0xff; 16])));
        let row = self.readers.query_opt(select, &[&tenant.as_str(), &after, &places]).await?;
        row.map(|row| super::columns::operation_id(&row, 0)).transpose()
    }

    async fn counts(&self, tenant: Option<&TenantId>) -> Result<Counts, Error> {
        let select =
            "SELECT status, sum(number)::bigint FROM counts WHERE $1::text IS NULL OR tenant = $1 GROUP BY status";
        let rows = self.readers.query(select, &[&tenant.map(TenantId::as_str)]).await?;
        let counts = rows.iter().map(|row| Ok((status(row, 0)?, unsigned(row, 1)?)));
        // A status that all operations have left keeps its row.
        counts.filter(|count| !matches!(count, Ok((_, 0)))).collect()
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        let most = limit(Backlog::NOTES_MAX, Backlog::NOTES_MAX);
        let mut backlog = Backlog::default();
        for row in self.readers.query(BACKLOG, &[&most]).await? {
            match get::<&str>(&row, 0)? {
                // A status that all operations have left keeps its row.
                "count" if get::<i64>(&row, 2)? == 0 => {}
                "count" => drop(backlog.counts.insert(status(&row, 1)?, unsigned(&row, 2)?)),
                "oldest" => drop(backlog.oldest.insert(status(&row, 1)?, timestamp(&row, 2)?)),
                _ => drop(backlog.attention.insert(reason(text(&row, 1)?)?, unsigned(&row, 2)?)),
            }
        }
        Ok(backlog)
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
