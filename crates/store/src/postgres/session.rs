//! One session with a server that takes writes, and the transactions in it.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, SimpleQueryMessage, Statement};

use super::columns::{at_most, get};
use super::connect::Connector;
use super::failure::Failure;
use super::schema;
use crate::failure::DatabaseError as _;
use crate::{Epoch, Error};

/// Held by whoever writes, from the first read of a transaction to its end. Any number would do that no other program in the
/// same database uses.
pub(super) const WRITER_LOCK: i64 = 0x464e_4644_0000_0002;

/// Why nothing is written to a server that has no synchronous standby, where one is required.
const NO_STANDBY: &str = "synchronous_standby_names is empty, so a failover could lose what was accepted; see `[store] \
    require_sync_standby`";

/// The tables that nothing can be accepted without.
const WRITTEN: &str = "counters, counts, policies, operations, plans, bodies, sealed, events, locks, attention, notices, \
    nodes";

/// How much longer than one statement a whole transaction may take.
const STATEMENTS_PER_TRANSACTION: u32 = 2;

/// A future that can be kept and sent.
pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request that has a transaction of its own.
pub(super) trait Alone: Send + Sync + 'static {
    type Answer: Send + 'static;

    /// Whether only a node that was not fenced off may make it.
    const AS_MEMBER: bool = true;

    /// Carries it out as the node of this epoch, which is that of the transaction: one that was known before the request was queued
    /// may be another one by now. It must not have changed anything when it returns [`Failure::Refused`].
    fn run<'a>(&'a self, sql: &'a Client, epoch: Epoch) -> BoxFuture<'a, Result<Self::Answer, Failure>>;
}

/// How a transaction ended.
pub(super) enum Outcome {
    Committed,
    /// It changed nothing, and the session can go on.
    Refused(Error),
    /// The session is of no use any more. The error tells whether the transaction may have been committed.
    Lost(Error),
}

/// A session. Dropping it closes it, and with it whatever it was in the middle of.
pub(super) struct Session {
    client: Client,
    /// The one task that runs the connection; it ends with this.
    connection: JoinSet<()>,
    statements: HashMap<&'static str, Statement>,
    patience: Duration,
    require_sync_standby: bool,
}

/// A statement with its values.
pub(super) struct Query<'a> {
    pub(super) sql: &'static str,
    values: Vec<Box<dyn ToSql + Send + Sync + 'a>>,
}

impl<'a> Query<'a> {
    pub(super) fn new(sql: &'static str) -> Self {
        Self { sql, values: Vec::new() }
    }

    pub(super) fn with(mut self, value: impl ToSql + Send + Sync + 'a) -> Self {
        self.values.push(Box::new(value));
        self
    }

    pub(super) fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
    }
}

impl Session {
    pub(super) async fn open(connector: &Connector) -> Result<Self, Error> {
        let (client, running) = connector.connect().await?;
        let mut connection = JoinSet::new();
        connection.spawn(running);
        let patience = connector.patience * STATEMENTS_PER_TRANSACTION;
        let require_sync_standby = connector.require_sync_standby;
        let session = Self { client, connection, statements: HashMap::new(), patience, require_sync_standby };
        let looked = timeout(patience, session.look(&connector.shown)).await;
        looked.unwrap_or_else(|_| Err(Error::unavailable("the database does not answer in time")))?;
        Ok(session)
    }

    /// Whether it can write: before that is known everything is refused at once, and nothing waits in vain.
    async fn look(&self, shown: &str) -> Result<(), Error> {
        // The server that takes writes now may be set up otherwise than the one before it.
        schema::refuse_unsafe(&self.client, shown).await?;
        self.enter().await?;
        let look = format!("LOCK TABLE {WRITTEN} IN ROW EXCLUSIVE MODE; ROLLBACK");
        self.client.batch_execute(&look).await.map_err(|error| error.translate(false))
    }

    /// Ends with the connection.
    pub(super) async fn ended(&mut self) {
        // Why it ended was told where it did.
        drop(self.connection.join_next().await);
    }

    /// How long a transaction may take.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// What [`Alone`] works on.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Begins a transaction as the only one that writes, as the node of this epoch if one is given that is not 0.
    pub(super) async fn begin(&self, member: Option<u64>) -> Result<(), Failure> {
        self.enter().await?;
        let Some(epoch) = member.filter(|epoch| *epoch != 0) else { return Ok(()) };
        let find = "SELECT EXISTS (SELECT 1 FROM nodes WHERE epoch = $1 AND standing = 'member')";
        let row = self.client.query_one(find, &[&at_most(epoch)]).await?;
        if get::<bool>(&row, 0)? { Ok(()) } else { Err(Error::Fenced.into()) }
    }

    /// Begins a transaction as the only one that writes.
    async fn enter(&self) -> Result<(), Failure> {
        if !self.require_sync_standby {
            return Ok(self.client.batch_execute(&begin()).await?);
        }
        let enter = format!("{}; SHOW synchronous_standby_names", begin());
        let answers = self.client.simple_query(&enter).await?;
        let names = answers.iter().rev().find_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        match names {
            Some(names) if !names.is_empty() => Ok(()),
            Some(_) | None => Err(Error::unavailable(NO_STANDBY).into()),
        }
    }

    /// Begins a transaction as the only one that writes, and runs statements in it, without waiting in between.
    pub(super) async fn begin_and_run(&mut self, queries: Vec<Query<'_>>) -> Result<Vec<Vec<Row>>, Failure> {
        self.prepare(&queries).await?;
        let (begun, answers) = tokio::join!(biased; self.enter(), self.answers(&queries));
        begun?;
        first_error(answers)
    }

    /// Runs statements, without waiting in between.
    pub(super) async fn run(&mut self, queries: Vec<Query<'_>>) -> Result<Vec<Vec<Row>>, Failure> {
        self.prepare(&queries).await?;
        first_error(self.answers(&queries).await)
    }

    async fn prepare(&mut self, queries: &[Query<'_>]) -> Result<(), Failure> {
        for query in queries {
            if !self.statements.contains_key(query.sql) {
                let statement = self.client.prepare(query.sql).await?;
                self.statements.insert(query.sql, statement);
            }
        }
        Ok(())
    }

    /// Each is sent when it is polled first, which `join_all` does in their order.
    async fn answers(&self, queries: &[Query<'_>]) -> Vec<Result<Vec<Row>, tokio_postgres::Error>> {
        join_all(queries.iter().map(|query| self.answer(query))).await
    }

    async fn answer(&self, query: &Query<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
        let values = query.values();
        match self.statements.get(query.sql) {
            Some(statement) => self.client.query(statement, &values).await,
            // It was prepared before; this is only slower.
            None => self.client.query(query.sql, &values).await,
        }
    }

    /// Commits what was done in time, or leaves everything as it was.
    pub(super) async fn end<T: Default>(&mut self, worked: Result<Result<T, Failure>, Elapsed>) -> (Outcome, T) {
        let error = match worked {
            Ok(Ok(done)) => return (self.commit().await, done),
            Err(_) => return (Outcome::Lost(Error::unavailable("the database does not answer in time")), T::default()),
            Ok(Err(failure)) => Error::from(failure),
        };
        if !is_of_requests(&error) {
            return (Outcome::Lost(error), T::default());
        }
        let rolled_back = timeout(self.patience, self.client.batch_execute("ROLLBACK")).await;
        let outcome = match rolled_back {
            Ok(Ok(())) => Outcome::Refused(error),
            // The server rolls back what a broken session leaves.
            Ok(Err(_)) | Err(_) => Outcome::Lost(error),
        };
        (outcome, T::default())
    }

    /// The server's own time-out must not end the wait for a standby: it would answer as if the standby had it.
    async fn commit(&mut self) -> Outcome {
        let commit = self.client.batch_execute("SET LOCAL statement_timeout = 0; COMMIT");
        match timeout(self.patience, commit).await {
            Ok(Ok(())) => Outcome::Committed,
            Ok(Err(error)) => Outcome::Lost(error.translate(true)),
            Err(_) => Outcome::Lost(Error::Unavailable {
                detail: "the database does not answer in time".to_owned(),
                may_have_committed: true,
            }),
        }
    }
}

/// Whether an error is about what was asked, and not about the server, its rights, locks or room, which is the same whatever is
/// asked.
fn is_of_requests(error: &Error) -> bool {
    match error {
        Error::Conflict
        | Error::Fenced
        | Error::NotFound { .. }
        | Error::Invalid { .. }
        | Error::Corrupt { .. }
        | Error::Key { .. }
        | Error::Unusable { .. } => true,
        Error::Unavailable { .. }
        | Error::Full { .. }
        | Error::ReadOnly { .. }
        | Error::Locked { .. }
        | Error::NewerSchema { .. }
        | Error::ChangedMigration { .. } => false,
    }
}

/// As the only one that writes.
pub(super) fn begin() -> String {
    format!("BEGIN; SELECT pg_advisory_xact_lock({WRITER_LOCK})")
}

/// The error that the others are due to, where there is one.
fn first_error(answers: Vec<Result<Vec<Row>, tokio_postgres::Error>>) -> Result<Vec<Vec<Row>>, Failure> {
    let is_consequence = |error: &tokio_postgres::Error| error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION);
    let (mut rows, mut consequence) = (Vec::with_capacity(answers.len()), None);
    for answer in answers {
        match answer {
            Ok(found) => rows.push(found),
            Err(error) if is_consequence(&error) => consequence = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    match consequence {
        Some(error) => Err(error.into()),
        None => Ok(rows),
    }
}
