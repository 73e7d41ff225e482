//! Connections that read: a fixed number, each used by one request at a time, off the asynchronous threads. A request sees
//! one consistent picture, and never waits for the writer.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use fanfold_core::plan::Policy;
use fanfold_core::{Operation, OperationId, PolicyHash, TenantId};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Semaphore;

use super::failure::Failure;
use super::schema;
use crate::failure::DatabaseError as _;
use crate::policies::KnownPolicies;
use crate::{Error, Metrics, record};

/// The reading connections.
#[derive(Debug)]
pub(super) struct Readers {
    permits: Semaphore,
    number: u32,
    idle: Mutex<Vec<Connection>>,
    policies: KnownPolicies,
    /// Whether all requests see the same picture, that of the opening.
    is_frozen: bool,
    metrics: Metrics,
}

/// One consistent picture of the database.
pub(super) struct Snapshot<'a> {
    pub(super) sql: &'a Connection,
    readers: &'a Readers,
}

impl Readers {
    pub(super) fn open(path: &Path, number: u32, metrics: Metrics) -> Result<Self, Error> {
        let number = number.max(1);
        let idle = (0..number).map(|_| schema::open_reader(path)).collect::<Result<Vec<_>, _>>()?;
        let permits = Semaphore::new(idle.len());
        let policies = KnownPolicies::default();
        Ok(Self { permits, number, idle: Mutex::new(idle), policies, is_frozen: false, metrics })
    }

    /// One connection, on which everything that is read is as it is now. The schema has to be that of this program.
    pub(super) fn frozen(path: &Path, metrics: Metrics) -> Result<Self, Error> {
        let sql = schema::open_reader(path)?;
        // A transaction sees what there is when it reads for the first time.
        sql.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema;").map_err(|error| error.translate(false))?;
        schema::require(&sql, path)?;
        let permits = Semaphore::new(1);
        Ok(Self {
            permits,
            number: 1,
            idle: Mutex::new(vec![sql]),
            policies: KnownPolicies::default(),
            is_frozen: true,
            metrics,
        })
    }

    /// Reads on a connection of its own.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        request: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Error> {
        let closed = || Error::unavailable("the store is closed");
        let _reading = self.metrics.reading();
        let permit = self.permits.acquire().await.map_err(|_| closed())?;
        let sql = self.idle().pop().ok_or_else(closed)?;
        // The blocking part goes on if the caller goes away, so it must give connection and permit back itself.
        permit.forget();
        let lent = Lent { sql: Some(sql), readers: Arc::clone(self) };
        let task = tokio::task::spawn_blocking(move || lent.snapshot(request));
        task.await.map_err(|error| Error::unavailable(format!("reading failed: {error}")))?
    }

    /// Waits until nobody reads, and closes the connections. Later requests are refused.
    pub(super) async fn close(&self) {
        if self.permits.acquire_many(self.number).await.is_ok() {
            self.permits.close();
            self.idle().clear();
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use, which goes back when this is dropped, even by a panic.
struct Lent {
    sql: Option<Connection>,
    readers: Arc<Readers>,
}

impl Lent {
    fn snapshot<T>(&self, request: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>) -> Result<T, Error> {
        let Some(sql) = &self.sql else { return Err(Error::unavailable("the connection is gone")) };
        if self.readers.is_frozen {
            return request(&Snapshot { sql, readers: &self.readers }).map_err(Error::from);
        }
        let tx = sql.unchecked_transaction().map_err(|error| error.translate(false))?;
        let answer = request(&Snapshot { sql: &tx, readers: &self.readers });
        // Nothing was written, so how the transaction ends makes no difference to the answer.
        drop(tx);
        answer.map_err(Error::from)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(sql) = self.sql.take() {
            self.readers.idle().push(sql);
            self.readers.permits.add_permits(1);
        }
    }
}

impl Snapshot<'_> {
    /// The operation with its plan and policy, if it is of the tenant where one is named.
    pub(super) fn operation(&self, id: OperationId, tenant: Option<&TenantId>) -> Result<Option<Operation>, Failure> {
        let select = "SELECT o.state, p.policy, p.plan FROM operations o JOIN plans p ON p.operation = o.serial
                      WHERE o.id = ?1 AND (?2 IS NULL OR o.tenant = ?2)";
        let mut statement = self.sql.prepare_cached(select)?;
        let mut rows = statement.query(params![id.as_bytes(), tenant.map(TenantId::as_str)])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let text = |column| row.get_ref(column).and_then(|value| Ok(value.as_str()?));
        let policy = self.policy(PolicyHash::from(text(1)?))?;
        Ok(Some(record::read(id, text(0)?, text(2)?, policy)?))
    }

    fn policy(&self, hash: PolicyHash) -> Result<Arc<Policy>, Failure> {
        if let Some(policy) = self.readers.policies.get(&hash) {
            return Ok(policy);
        }
        let mut statement = self.sql.prepare_cached("SELECT policy FROM policies WHERE hash = ?1")?;
        let text: Option<String> = statement.query_row([hash.as_str()], |row| row.get(0)).optional()?;
        let text = text.ok_or_else(|| Error::corrupt(format!("policy {hash} is missing")))?;
        Ok(self.readers.policies.read(hash, &text)?)
    }
}
