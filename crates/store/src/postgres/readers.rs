//! Connections that read: a pool, each used by one request at a time. Each answer comes from one statement, and so shows one
//! consistent picture.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use fanfold_core::plan::Policy;
use fanfold_core::{Operation, PolicyHash};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::columns::{get, operation_id};
use super::connect::Connector;
use super::failure::ends_session;
use crate::failure::DatabaseError as _;
use crate::policies::KnownPolicies;
use crate::{Error, Metrics, record};

/// How much longer than the server may take for a statement its answer is waited for.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The reading connections.
#[derive(Debug)]
pub(super) struct Readers {
    pool: Pool,
    patience: Duration,
    policies: KnownPolicies,
    metrics: Metrics,
}

/// A connection of the pool that is asked something. It is closed unless it is given back: whoever stops waiting for an answer
/// leaves a statement that is still running, and whatever it sends belongs to nobody.
struct Lent(Option<Object>);

impl Lent {
    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

impl Readers {
    pub(super) fn new(connector: &Connector, number: usize, metrics: Metrics) -> Result<Self, Error> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        // The connector knows which server, whatever configuration is handed to it.
        let manager = Manager::from_connect(tokio_postgres::Config::new(), connector.clone(), recycling);
        let patience = connector.patience;
        let timeouts = Timeouts { wait: Some(patience), create: Some(connector.reaching()), recycle: Some(patience) };
        let pool = Pool::builder(manager).max_size(number.max(1)).timeouts(timeouts).runtime(Runtime::Tokio1).build();
        let pool = pool.map_err(|error| Error::unavailable(format!("the connections cannot be set up: {error}")))?;
        Ok(Self { pool, patience: patience + ON_THE_WAY, policies: KnownPolicies::default(), metrics })
    }

    /// The rows that a statement gives, which is one of a few and is kept prepared.
    pub(super) async fn query(&self, statement: &str, values: Values<'_>) -> Result<Vec<Row>, Error> {
        self.ask(statement, values, true).await
    }

    /// The rows that a statement gives which was put together for this question: there are too many of them to be kept.
    pub(super) async fn query_once(&self, statement: &str, values: Values<'_>) -> Result<Vec<Row>, Error> {
        self.ask(statement, values, false).await
    }

    async fn ask(&self, statement: &str, values: Values<'_>, kept: bool) -> Result<Vec<Row>, Error> {
        let _reading = self.metrics.reading();
        let lent = Lent(Some(self.client().await?));
        let Some(client) = &lent.0 else { return Err(Error::unavailable("the store is closed")) };
        let reading = async {
            if kept {
                let prepared = client.prepare_cached(statement).await?;
                client.query(&prepared, values).await
            } else {
                client.query(statement, values).await
            }
        };
        match tokio::time::timeout(self.patience, reading).await {
            Ok(Ok(rows)) => {
                lent.give_back();
                Ok(rows)
            }
            Ok(Err(error)) => {
                if !ends_session(&error) {
                    lent.give_back();
                }
                Err(error.translate(false))
            }
            Err(_) => Err(Error::unavailable("the database does not answer in time")),
        }
    }

    /// The only row that a statement gives, if it gives one.
    pub(super) async fn query_opt(&self, statement: &str, values: Values<'_>) -> Result<Option<Row>, Error> {
        Ok(self.query(statement, values).await?.pop())
    }

    /// The row that a statement always gives.
    pub(super) async fn query_one(&self, statement: &str, values: Values<'_>) -> Result<Row, Error> {
        let row = self.query_opt(statement, values).await?;
        row.ok_or_else(|| Error::corrupt("a row is missing that is always there"))
    }

    async fn client(&self) -> Result<Object, Error> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error.translate(false),
            PoolError::Closed => Error::unavailable("the store is closed"),
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Error::unavailable("the database gives no connection in time")
            }
        })
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// Operations as they stand in rows of id, state, hash of the policy, and plan.
    pub(super) async fn operations(&self, rows: &[Row]) -> Result<Vec<Operation>, Error> {
        let policies = self.policies_of(rows).await?;
        rows.iter().map(|row| operation(row, &policies)).collect()
    }

    /// The policies of these rows.
    async fn policies_of(&self, rows: &[Row]) -> Result<HashMap<PolicyHash, Arc<Policy>>, Error> {
        let (mut found, mut missing) = (HashMap::new(), Vec::new());
        for row in rows {
            let hash = PolicyHash::from(get::<&str>(row, 2)?);
            match self.policies.get(&hash) {
                Some(policy) => drop(found.insert(hash, policy)),
                None => missing.push(hash.as_str().to_owned()),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let select = "SELECT hash, policy FROM policies WHERE hash = ANY($1)";
        for row in self.query(select, &[&missing]).await? {
            let hash = PolicyHash::from(get::<&str>(&row, 0)?);
            found.insert(hash.clone(), self.policies.read(hash, get(&row, 1)?)?);
        }
        Ok(found)
    }
}

fn operation(row: &Row, policies: &HashMap<PolicyHash, Arc<Policy>>) -> Result<Operation, Error> {
    let id = operation_id(row, 0)?;
    let hash = PolicyHash::from(get::<&str>(row, 2)?);
    let policy = policies.get(&hash).ok_or_else(|| Error::corrupt(format!("policy {hash} is missing")))?;
    record::read(id, get(row, 1)?, get(row, 3)?, Arc::clone(policy))
}
