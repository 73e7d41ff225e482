//! Connections that read: a pool, each used by one request at a time. Each answer comes from one statement, and so shows one
//! consistent picture.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use fanfold_core::plan::Policy;
use fanfold_core::{Operation, Plan, PolicyHash};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::columns::{get, operation_id};
use super::connect::Connector;
use super::failure::ends_session;
use crate::failure::DatabaseError as _;
use crate::{Error, record};

/// Policies that are kept in memory. When there are more, all are forgotten and read again as they are needed.
const POLICIES_MAX: usize = 256;

/// How much longer than the server may take for a statement its answer is waited for.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The reading connections.
#[derive(Debug)]
pub(super) struct Readers {
    pool: Pool,
    patience: Duration,
    policies: Mutex<HashMap<PolicyHash, Arc<Policy>>>,
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
    pub(super) fn new(connector: &Connector, number: usize) -> Result<Self, Error> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        // The connector knows which server, whatever configuration is handed to it.
        let manager = Manager::from_connect(tokio_postgres::Config::new(), connector.clone(), recycling);
        let patience = connector.patience;
        let timeouts = Timeouts { wait: Some(patience), create: Some(connector.reaching()), recycle: Some(patience) };
        let pool = Pool::builder(manager).max_size(number.max(1)).timeouts(timeouts).runtime(Runtime::Tokio1).build();
        let pool = pool.map_err(|error| Error::unavailable(format!("the connections cannot be set up: {error}")))?;
        Ok(Self { pool, patience: patience + ON_THE_WAY, policies: Mutex::default() })
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

    /// The policies of these rows. One that is recorded never changes.
    async fn policies_of(&self, rows: &[Row]) -> Result<HashMap<PolicyHash, Arc<Policy>>, Error> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        {
            let known = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
            for row in rows {
                let hash = PolicyHash::from(get::<&str>(row, 2)?);
                match known.get(&hash) {
                    Some(policy) => drop(found.insert(hash, Arc::clone(policy))),
                    None => missing.push(hash.as_str().to_owned()),
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let select = "SELECT hash, policy FROM policies WHERE hash = ANY($1)";
        for row in self.query(select, &[&missing]).await? {
            let (hash, text): (&str, &str) = (get(&row, 0)?, get(&row, 1)?);
            let policy: Policy = serde_json::from_str(text)
                .map_err(|error| Error::corrupt(format!("policy {hash} cannot be read: {error}")))?;
            let policy = Arc::new(policy);
            self.remember(PolicyHash::from(hash), &policy);
            found.insert(PolicyHash::from(hash), policy);
        }
        Ok(found)
    }

    fn remember(&self, hash: PolicyHash, policy: &Arc<Policy>) {
        let mut policies = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        if policies.len() >= POLICIES_MAX {
            policies.clear();
        }
        policies.insert(hash, Arc::clone(policy));
    }
}

fn operation(row: &Row, policies: &HashMap<PolicyHash, Arc<Policy>>) -> Result<Operation, Error> {
    let id = operation_id(row, 0)?;
    let broken = |error: serde_json::Error| Error::corrupt(format!("operation {id} cannot be read: {error}"));
    let mut operation: Operation = serde_json::from_str(get(row, 1)?).map_err(broken)?;
    let hash = PolicyHash::from(get::<&str>(row, 2)?);
    let mut plan: Plan = serde_json::from_str(get(row, 3)?).map_err(broken)?;
    let policy = policies.get(&hash).ok_or_else(|| Error::corrupt(format!("policy {hash} is missing")))?;
    plan.policy = Arc::clone(policy);
    operation.plan = Arc::new(plan);
    if operation.id != id {
        return Err(Error::corrupt(format!("the record of operation {id} is that of {}", operation.id)));
    }
    record::check(&operation).map_err(Error::corrupt)?;
    Ok(operation)
}
