//! The one thread that writes. It takes whatever has queued up while the last commit was syncing, and commits it together; a
//! request is answered after its commit has reached the disk, never before.
//!
//! Each request checks everything before it changes anything, so one that is refused leaves nothing behind in the
//! transaction that it shares with others. An error of the database spoils the shared transaction: it is rolled back, and
//! each request is tried again in a transaction of its own, so that only the one at fault fails.

mod trouble;

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use fanfold_core::operation::Status;
use fanfold_core::{PolicyHash, TenantId};
use rusqlite::{Connection, OptionalExtension as _, Params, params};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::trouble::{LookAgain, Probe, Trouble};
use super::failure::{Failure, is_disk_trouble};
use super::files::ProcessLock;
use crate::failure::DatabaseError as _;
use crate::metrics::InQueue;
use crate::{Error, Limits, Metrics};

/// Requests that are committed together at the most. More would only make each of them wait longer.
const BATCH_MAX: usize = 512;

/// Policies that the writer remembers as recorded. Forgetting one costs an insert that changes nothing.
const POLICIES_MAX: usize = 4_096;

/// A request to write.
pub(super) trait Write: Send + 'static {
    type Answer: Send + 'static;

    /// Whether it takes on new work, which is refused while the disk is in trouble.
    const ACCEPTS: bool = false;

    /// Carries it out. It may be called again after a rollback. It must not have changed anything when it returns
    /// [`Failure::Refused`].
    fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Answer, Failure>;
}

/// A transaction that requests write in.
pub(super) struct Tx<'a> {
    sql: &'a Connection,
    pub(super) limits: &'a Limits,
    tally: Tally,
    policies: &'a HashSet<PolicyHash>,
    new_policies: Vec<PolicyHash>,
    used: Option<u64>,
}

/// How the numbers of operations change with a transaction.
#[derive(Default)]
struct Tally {
    /// Operations that have not ended, these changes included.
    open: i64,
    changes: BTreeMap<(TenantId, Status), i64>,
}

impl Tx<'_> {
    pub(super) fn sql(&self) -> &Connection {
        self.sql
    }

    /// Executes a statement, which is kept compiled.
    pub(super) fn execute(&self, statement: &str, parameters: impl Params) -> rusqlite::Result<usize> {
        self.sql.prepare_cached(statement)?.execute(parameters)
    }

    /// Operations that have not ended.
    pub(super) fn open_operations(&self) -> u64 {
        u64::try_from(self.tally.open).unwrap_or(0)
    }

    /// Operations of a tenant that have not ended.
    pub(super) fn open_operations_of(&self, tenant: &TenantId) -> rusqlite::Result<u64> {
        let mut open = 0;
        let mut find = self.sql.prepare_cached("SELECT number FROM counts WHERE tenant = ?1 AND status = ?2")?;
        for status in Status::ALL.into_iter().filter(|status| !status.is_terminal()) {
            let recorded = find.query_row([tenant.as_str(), status.as_str()], |row| row.get::<_, i64>(0)).optional()?;
            open += recorded.unwrap_or(0) + self.tally.changes.get(&(tenant.clone(), status)).copied().unwrap_or(0);
        }
        Ok(u64::try_from(open).unwrap_or(0))
    }

    /// Notes that there is one operation of this status more (1) or less (-1).
    pub(super) fn count(&mut self, tenant: &TenantId, status: Status, change: i64) {
        *self.tally.changes.entry((tenant.clone(), status)).or_default() += change;
        if !status.is_terminal() {
            self.tally.open += change;
        }
    }

    pub(super) fn knows_policy(&self, hash: &PolicyHash) -> bool {
        self.policies.contains(hash) || self.new_policies.contains(hash)
    }

    pub(super) fn policy_recorded(&mut self, hash: PolicyHash) {
        self.new_policies.push(hash);
    }

    /// The octets that records take up, looked up once in a transaction.
    pub(super) fn used(&mut self) -> rusqlite::Result<u64> {
        match self.used {
            Some(used) => Ok(used),
            None => Ok(*self.used.insert(used_and_free(self.sql)?.0)),
        }
    }

    fn write_counts(&self) -> rusqlite::Result<()> {
        let upsert = "INSERT INTO counts (tenant, status, number) VALUES (?1, ?2, ?3)
                      ON CONFLICT DO UPDATE SET number = number + excluded.number";
        for ((tenant, status), change) in self.tally.changes.iter().filter(|(_, change)| **change != 0) {
            self.execute(upsert, params![tenant.as_str(), status.as_str(), change])?;
        }
        Ok(())
    }
}

/// The octets in use and those free for reuse.
pub(super) fn used_and_free(sql: &Connection) -> rusqlite::Result<(u64, u64)> {
    let pragma = |statement| {
        sql.prepare_cached(statement)?
            .query_row([], |row| row.get::<_, i64>(0))
            .map(|value| u64::try_from(value).unwrap_or(0))
    };
    let (pages, free) = (pragma("PRAGMA page_count")?, pragma("PRAGMA freelist_count")?);
    let size = pragma("PRAGMA page_size")?;
    Ok((pages.saturating_sub(free) * size, free * size))
}

/// A queued request, whatever its kind.
trait Job: Send {
    fn accepts(&self) -> bool;
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// A request on its way to the thread.
type Waiting = (InQueue, Box<dyn Job>);

struct Queued<W: Write> {
    request: W,
    answer: Option<Result<W::Answer, Error>>,
    reply: oneshot::Sender<Result<W::Answer, Error>>,
}

impl<W: Write> Job for Queued<W> {
    fn accepts(&self) -> bool {
        W::ACCEPTS
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.answer = Some(match self.request.run(tx) {
            Ok(answer) => Ok(answer),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Database(error)) => return Err(error),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let unasked = || Err(Error::unavailable("the request was not carried out"));
        let Self { answer, reply, .. } = *self;
        // Who asked may have gone away; what is recorded stays recorded.
        let _ = reply.send(committed.and_then(|()| answer.unwrap_or_else(unasked)));
    }
}

/// Sends requests to the writing thread.
#[derive(Debug)]
pub(super) struct WriterHandle {
    queue: Mutex<Option<mpsc::Sender<Waiting>>>,
    thread: Mutex<Option<JoinHandle<Result<(), Error>>>>,
    trouble: Trouble,
    metrics: Metrics,
}

impl std::fmt::Debug for dyn Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

impl WriterHandle {
    /// Starts the thread. `queue_max`: requests that wait at the most; who brings one more waits until there is room.
    pub(super) fn start(
        sql: Connection,
        limits: Limits,
        queue_max: usize,
        lock: ProcessLock,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let open = open_operations(&sql).map_err(|error| error.translate(false))?;
        let trouble = Trouble::default();
        let writer = Writer {
            sql,
            limits,
            open,
            policies: HashSet::new(),
            trouble: trouble.clone(),
            metrics: metrics.clone(),
            _lock: lock,
        };
        let (sender, receiver) = mpsc::channel(queue_max.max(1));
        let thread = std::thread::Builder::new()
            .name("fanfold-store".to_owned())
            .spawn(move || writer.serve(receiver))
            .map_err(|error| Error::unavailable(format!("the writing thread cannot be started: {error}")))?;
        Ok(Self { queue: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)), trouble, metrics })
    }

    /// Why nothing can be written at the moment. The thread looks again then, so that who asks once more learns when it is over.
    pub(super) fn trouble(&self) -> Option<Error> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.as_ref().is_none_or(JoinHandle::is_finished) {
            return Some(Error::unavailable("the store is closed, or its writing thread has ended"));
        }
        let trouble = self.trouble.get()?;
        if let Some(queue) = self.queue.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // A full queue has others in it that find out.
            drop(queue.try_send((self.metrics.queued(), Box::new(LookAgain))));
        }
        Some(trouble)
    }

    /// Queues a request and waits until it is on the disk.
    pub(super) async fn write<W: Write>(&self, request: W) -> Result<W::Answer, Error> {
        let sender = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sender = sender.ok_or_else(|| Error::unavailable("the store is closed"))?;
        let (reply, answer) = oneshot::channel();
        let asked = Instant::now();
        let job = Box::new(Queued { request, answer: None, reply });
        sender
            .send((self.metrics.queued(), job))
            .await
            .map_err(|_| Error::unavailable("the writing thread has ended"))?;
        let lost = |_| Error::Unavailable {
            detail: "the writing thread ended before it answered".to_owned(),
            may_have_committed: true,
        };
        let answer = answer.await.map_err(lost)?;
        self.metrics.written(asked.elapsed());
        answer
    }

    /// Lets the thread finish what is queued, copy the log into the file and end; waits for it. Later requests are refused.
    pub(super) fn close(&self) -> Result<(), Error> {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread.map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(Error::unavailable("the writing thread panicked")),
        }
    }
}

struct Writer {
    sql: Connection,
    limits: Limits,
    open: i64,
    policies: HashSet<PolicyHash>,
    trouble: Trouble,
    metrics: Metrics,
    _lock: ProcessLock,
}

impl Writer {
    fn serve(mut self, mut queue: mpsc::Receiver<Waiting>) -> Result<(), Error> {
        while let Some((_, first)) = queue.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok((_, next)) = queue.try_recv()
            {
                batch.push(next);
            }
            self.work(batch);
        }
        let copied = self.sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        copied.map_err(|error| error.translate(false))
    }

    fn work(&mut self, batch: Vec<Box<dyn Job>>) {
        let mut batch = self.refuse_in_trouble(batch);
        if batch.is_empty() {
            return;
        }
        match self.guarded(&mut batch) {
            Ok(()) => {
                batch.into_iter().for_each(|job| job.answer(Ok(())));
                // What was written may have been small; whether there is room for more shows now.
                if self.trouble.get().is_some() {
                    drop(self.probe_disk());
                }
            }
            Err(error) if batch.len() > 1 => {
                // Trouble with the disk has been told about, once.
                if self.trouble.get().is_none() {
                    tracing::warn!(%error, requests = batch.len(), "a shared transaction failed; its requests are tried one by one");
                }
                for job in batch {
                    self.work_alone(job, &error);
                }
            }
            Err(error) => batch.into_iter().for_each(|job| job.answer(Err(error.clone()))),
        }
    }

    /// Tries a request once more. What is refused now may be found recorded after a crash if the shared transaction failed while
    /// it was committed: its pages stand in the log until other ones take their place.
    fn work_alone(&mut self, job: Box<dyn Job>, shared: &Error) {
        let told = |error: Error| if shared.may_have_committed() { error.after_ambiguous_try() } else { error };
        if job.accepts()
            && let Some(trouble) = self.trouble.get()
        {
            return job.answer(Err(told(trouble)));
        }
        let mut alone = [job];
        let outcome = self.guarded(&mut alone);
        let [job] = alone;
        job.answer(outcome.map_err(told));
    }

    /// While the disk is in trouble new work is refused, unless the disk has room again. Everything else is tried in any case.
    fn refuse_in_trouble(&mut self, batch: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        if self.trouble.get().is_none() || !batch.iter().any(|job| job.accepts()) || self.probe_disk().is_ok() {
            return batch;
        }
        let Some(trouble) = self.trouble.get() else { return batch };
        let (refused, tried): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.accepts());
        refused.into_iter().for_each(|job| job.answer(Err(trouble.clone())));
        tried
    }

    /// Looks whether the trouble is over.
    fn probe_disk(&mut self) -> Result<(), Error> {
        self.transaction(&mut [Box::new(Probe::WithRoom)])?;
        self.transaction(&mut [Box::new(Probe::Cleared)])?;
        if self.trouble.set(None).is_some() {
            tracing::info!("the disk takes writes again");
        }
        Ok(())
    }

    /// As [`Writer::transaction`]; a mistake in the program fails its requests, and not everybody's from then on.
    fn guarded(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Error> {
        // What the transaction changes beside the database is set only after its commit, all at once.
        match catch_unwind(AssertUnwindSafe(|| self.transaction(jobs))) {
            Ok(outcome) => outcome,
            Err(_) => {
                // Outside of a transaction the commit had been made, or none was begun.
                let may_have_committed = self.sql.is_autocommit();
                tracing::error!(
                    requests = jobs.len(),
                    "writing met a mistake in the program; its requests fail, and the store goes on"
                );
                self.roll_back();
                self.count_anew();
                let detail = "writing the request met a mistake in the program".to_owned();
                Err(Error::Unavailable { detail, may_have_committed })
            }
        }
    }

    /// After a panic nobody knows how far the numbers were taken over.
    fn count_anew(&mut self) {
        match open_operations(&self.sql) {
            Ok(open) => self.open = open,
            Err(error) => tracing::error!(%error, "the operations that have not ended cannot be counted"),
        }
        self.policies.clear();
    }

    /// Carries the requests out and commits, or leaves everything as it was.
    fn transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Error> {
        let tally = Tally { open: self.open, changes: BTreeMap::new() };
        let mut tx = Tx {
            sql: &self.sql,
            limits: &self.limits,
            tally,
            policies: &self.policies,
            new_policies: Vec::new(),
            used: None,
        };
        let written = tx.execute("BEGIN IMMEDIATE", []).and_then(|_| {
            jobs.iter_mut().try_for_each(|job| job.run(&mut tx))?;
            tx.write_counts()
        });
        let committing = Instant::now();
        let committed = match written {
            Ok(()) => tx.execute("COMMIT", []).map_err(|error| (error, true)),
            Err(error) => Err((error, false)),
        };
        match committed {
            Ok(_) => {
                let (open, new_policies) = (tx.tally.open, tx.new_policies);
                self.metrics.committed(jobs.len(), committing.elapsed());
                self.committed(open, new_policies);
                Ok(())
            }
            Err((error, may_have_committed)) => Err(self.aborted(&error, may_have_committed)),
        }
    }

    fn committed(&mut self, open: i64, new_policies: Vec<PolicyHash>) {
        self.open = open;
        if self.policies.len() + new_policies.len() > POLICIES_MAX {
            self.policies.clear();
        }
        self.policies.extend(new_policies);
    }

    /// Rolls back, and tells what went wrong. A commit that failed while syncing may be found whole after a crash, unless a
    /// later commit takes its place in the log; so trying its requests again right away is safe.
    fn aborted(&mut self, error: &rusqlite::Error, may_have_committed: bool) -> Error {
        self.roll_back();
        self.metrics.failed();
        if is_disk_trouble(error) && self.trouble.set(Some(error.translate(false))).is_none() {
            tracing::error!(%error, "the disk does not take writes; no operation is accepted until it does");
        }
        error.translate(may_have_committed)
    }

    fn roll_back(&self) {
        // SQLite has rolled back by itself after some errors; else it is done here.
        if !self.sql.is_autocommit()
            && let Err(error) = self.sql.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

fn open_operations(sql: &Connection) -> rusqlite::Result<i64> {
    let open = "SELECT coalesce(sum(number), 0) FROM counts WHERE status IN ('unexecuted', 'executing')";
    sql.query_row(open, [], |row| row.get(0))
}

#[cfg(test)]
mod tests;
