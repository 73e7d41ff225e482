//! Reading one operation, its bodies and sealed messages; and how single values stand in columns.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::dialect::Bodies;
use fanfold_core::operation::Status;
use fanfold_core::{Operation, OperationId, Revision, Slot, TenantId};
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, params};

use super::readers::Snapshot;
use super::{Sqlite, accept};
use crate::{Backlog, Counts, Error, Filter, IdempotencyKey, KeyUse, Page, ReadOperations, record};

#[async_trait]
impl ReadOperations for Sqlite {
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, Error> {
        self.read(move |snapshot| snapshot.operation(id, None)).await
    }

    async fn operation_of(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>, Error> {
        let tenant = tenant.clone();
        self.read(move |snapshot| snapshot.operation(id, Some(&tenant))).await
    }

    async fn bodies(&self, id: OperationId) -> Result<Bodies, Error> {
        self.read(move |snapshot| {
            let select =
                "SELECT b.slot, b.octets FROM bodies b JOIN operations o ON o.serial = b.operation WHERE o.id = ?1";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let rows = statement.query_map([id.as_bytes()], |row| Ok((slot(row, 0)?, octets(row, 1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn body(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        self.read(move |snapshot| {
            let select = "SELECT b.octets FROM bodies b JOIN operations o ON o.serial = b.operation
                          WHERE o.id = ?1 AND b.slot = ?2";
            let mut statement = snapshot.sql.prepare_cached(select)?;
            let row = statement.query_row(params![id.as_bytes(), slot.to_string()], |row| octets(row, 0));
            Ok(row.optional()?)
        })
        .await
    }

    async fn list(&self, filter: &Filter, page: Page<OperationId>) -> Result<Vec<Operation>, Error> {
        let filter = filter.clone();
        self.read(move |snapshot| super::list::list(snapshot, &filter, page)).await
    }

    async fn place(
        &self,
        tenant: &TenantId,
        after: Option<OperationId>,
        places: usize,
    ) -> Result<Option<OperationId>, Error> {
        let tenant = tenant.clone();
        self.read(move |snapshot| super::list::place(snapshot, tenant.as_str(), after, places)).await
    }

    async fn counts(&self, tenant: Option<&TenantId>) -> Result<Counts, Error> {
        let tenant = tenant.cloned();
        self.read(move |snapshot| counts(snapshot, tenant.as_ref()).map_err(Into::into)).await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        self.read(|snapshot| {
            let counts = counts(snapshot, None)?;
            Ok(Backlog { counts, oldest: oldest(snapshot)?, attention: super::attention::open_by_reason(snapshot)? })
        })
        .await
    }

    async fn key_use(&self, tenant: &TenantId, idempotency: &IdempotencyKey) -> Result<Option<KeyUse>, Error> {
        let (tenant, idempotency) = (tenant.clone(), idempotency.clone());
        self.read(move |snapshot| Ok(accept::key_use(snapshot.sql, &tenant, &idempotency)?)).await
    }
}

fn counts(snapshot: &Snapshot<'_>, tenant: Option<&TenantId>) -> rusqlite::Result<Counts> {
    let select = "SELECT status, sum(number) FROM counts WHERE ?1 IS NULL OR tenant = ?1 GROUP BY status";
    let mut statement = snapshot.sql.prepare_cached(select)?;
    let rows = statement.query_map([tenant.map(TenantId::as_str)], |row| Ok((status(row, 0)?, unsigned(row, 1)?)))?;
    // A status that all operations have left keeps its row.
    rows.filter(|row| !matches!(row, Ok((_, 0)))).collect()
}

/// The first of each tenant, since ids are in the order of acceptance: one look into the index for each.
fn oldest(snapshot: &Snapshot<'_>) -> rusqlite::Result<BTreeMap<Status, Timestamp>> {
    let select = "SELECT status, min(first) FROM (
                      SELECT c.status, (SELECT o.accepted_at FROM operations o INDEXED BY operations_by_status
                                        WHERE o.tenant = c.tenant AND o.status = c.status ORDER BY o.id LIMIT 1) AS first
                      FROM counts c WHERE c.status IN ('unexecuted', 'executing') AND c.number > 0)
                  WHERE first IS NOT NULL GROUP BY status";
    let mut statement = snapshot.sql.prepare_cached(select)?;
    let rows = statement.query_map([], |row| Ok((status(row, 0)?, timestamp(row, 1)?)))?;
    rows.collect()
}

/// A value in a column that is none of those that can stand there.
pub(super) fn unreadable(column: usize, detail: impl Into<String>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, detail.into().into())
}

pub(super) fn operation_id(row: &Row<'_>, column: usize) -> rusqlite::Result<OperationId> {
    row.get(column).map(OperationId::from_bytes)
}

pub(super) fn octets(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>(column).map(Bytes::from)
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| unreadable(column, format!("{value} is negative")))
}

pub(super) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let micros = row.get(column)?;
    crate::time::timestamp(micros).map_err(|error| unreadable(column, error.to_string()))
}

pub(super) fn optional_timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<jiff::Timestamp>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => timestamp(row, column).map(Some),
    }
}

pub(super) fn status(row: &Row<'_>, column: usize) -> rusqlite::Result<Status> {
    let word = row.get_ref(column)?.as_str()?;
    let found = Status::ALL.into_iter().find(|status| status.as_str() == word);
    found.ok_or_else(|| unreadable(column, format!("{word:?} is no status")))
}

pub(super) fn slot(row: &Row<'_>, column: usize) -> rusqlite::Result<Slot> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error: fanfold_core::message::BadSlot| unreadable(column, error.to_string()))
}

pub(super) fn slots_from(row: &Row<'_>, column: usize) -> rusqlite::Result<BTreeSet<Slot>> {
    record::slots_from(row.get_ref(column)?.as_str()?).map_err(|detail| unreadable(column, detail))
}

pub(super) fn revision(revision: Revision) -> Result<i64, Error> {
    i64::try_from(revision.0).map_err(|_| Error::invalid("the revision is out of range"))
}

/// A limit as SQL takes it.
pub(super) fn limit(wanted: usize, bound: usize) -> i64 {
    i64::try_from(wanted.min(bound)).unwrap_or(i64::MAX)
}
