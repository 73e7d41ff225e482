//! The one connection that writes. Its task takes whatever has queued up while the last commit was on its way, and commits it
//! together; a request is answered after its commit, never before.
//!
//! While no server takes writes everything is refused at once, and the task looks for one with growing pauses, drawn at random
//! so that many nodes do not come back all at the same time.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfold_core::{OperationId, PolicyHash};
use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_postgres::Client;

use super::batch::{self, Picture, Wanted, Write};
use super::columns::at_most;
use super::connect::Connector;
use super::failure::Failure;
use super::session::{Alone, BoxFuture, Outcome, Session};
use crate::metrics::InQueue;
use crate::{Epoch, Error, Limits, Metrics};

/// Requests that are committed together at the most. More would only make each of them wait longer.
const BATCH_MAX: usize = 512;

/// Octets of states, plans and bodies that are committed together, and then one request more.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Policies that the writer remembers as recorded. Forgetting one costs an insert that changes nothing.
const POLICIES_MAX: usize = 4_096;

/// The wait after the first failed try to reach a server; doubles up to [`RECONNECT_MAX`] until something is written.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);

/// The longest wait between two tries to reach a server.
const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// A queued request that is decided together with others, whatever its kind.
pub(super) trait Job: Send {
    fn wants(&self, wanted: &mut Wanted);
    fn decide(&mut self, picture: &mut Picture<'_>);
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// A queued request with a transaction of its own, whatever its kind.
pub(super) trait AloneJob: Send {
    fn as_member(&self) -> bool;
    fn run<'a>(&'a mut self, sql: &'a Client, epoch: Epoch) -> BoxFuture<'a, Result<(), tokio_postgres::Error>>;
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

enum Queued {
    Together(Box<dyn Job>),
    Alone(Box<dyn AloneJob>),
}

impl Queued {
    fn refuse(self, error: Error) {
        match self {
            Self::Together(job) => job.answer(Err(error)),
            Self::Alone(job) => job.answer(Err(error)),
        }
    }
}

struct Request<R, A> {
    request: R,
    answer: Option<Result<A, Error>>,
    reply: oneshot::Sender<Result<A, Error>>,
}

impl<R, A> Request<R, A> {
    fn send(self, committed: Result<(), Error>) {
        let unasked = || Err(Error::unavailable("the request was not carried out"));
        // Who asked may have gone away; what is recorded stays recorded.
        let _ = self.reply.send(committed.and_then(|()| self.answer.unwrap_or_else(unasked)));
    }
}

impl<W: Write> Job for Request<W, W::Answer> {
    fn wants(&self, wanted: &mut Wanted) {
        self.request.wants(wanted);
    }

    fn decide(&mut self, picture: &mut Picture<'_>) {
        self.answer = Some(self.request.decide(picture));
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        self.send(committed);
    }
}

impl<R: Alone> AloneJob for Request<R, R::Answer> {
    fn as_member(&self) -> bool {
        R::AS_MEMBER
    }

    fn run<'a>(&'a mut self, sql: &'a Client, epoch: Epoch) -> BoxFuture<'a, Result<(), tokio_postgres::Error>> {
        Box::pin(async move {
            self.answer = Some(match self.request.run(sql, epoch).await {
                Ok(answer) => Ok(answer),
                Err(Failure::Refused(error)) => Err(error),
                Err(Failure::Database(error)) => return Err(error),
            });
            Ok(())
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        self.send(committed);
    }
}

/// Sends requests to the writing task.
#[derive(Debug)]
pub(super) struct WriterHandle {
    queue: Mutex<Option<mpsc::Sender<(InQueue, Queued)>>>,
    /// The one task that writes.
    task: Mutex<JoinSet<()>>,
    trouble: Arc<Mutex<Option<Error>>>,
    metrics: Metrics,
}

impl std::fmt::Debug for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queued")
    }
}

impl WriterHandle {
    /// Starts the task. `queue_max`: requests that wait at the most; who brings one more waits until there is room.
    pub(super) fn start(
        connector: Connector,
        limits: Limits,
        queue_max: usize,
        epoch: Arc<AtomicU64>,
        metrics: Metrics,
    ) -> Self {
        let trouble = Arc::new(Mutex::new(None));
        let (sender, queue) = mpsc::channel(queue_max.max(1));
        let writer = Writer {
            connector,
            limits,
            epoch,
            queue,
            put_back: VecDeque::new(),
            policies: HashSet::new(),
            trouble: Arc::clone(&trouble),
            pause: None,
            metrics: metrics.clone(),
        };
        let mut task = JoinSet::new();
        task.spawn(writer.serve());
        Self { queue: Mutex::new(Some(sender)), task: Mutex::new(task), trouble, metrics }
    }

    /// Whether nothing will be written any more.
    pub(super) fn has_ended(&self) -> bool {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        drop(task.try_join_next());
        task.is_empty()
    }

    /// Why nothing can be written at the moment. The task looks for a server by itself.
    pub(super) fn trouble(&self) -> Option<Error> {
        if self.has_ended() {
            return Some(Error::unavailable("the store is closed, or its writing task has ended"));
        }
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Queues a request and waits until it is committed.
    pub(super) async fn write<W: Write>(&self, request: W) -> Result<W::Answer, Error> {
        let (reply, answer) = oneshot::channel();
        self.queue(Queued::Together(Box::new(Request { request, answer: None, reply })), answer).await
    }

    /// The same for one that has a transaction of its own.
    pub(super) async fn alone<R: Alone>(&self, request: R) -> Result<R::Answer, Error> {
        let (reply, answer) = oneshot::channel();
        self.queue(Queued::Alone(Box::new(Request { request, answer: None, reply })), answer).await
    }

    async fn queue<A>(&self, queued: Queued, answer: oneshot::Receiver<Result<A, Error>>) -> Result<A, Error> {
        let sender = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sender = sender.ok_or_else(|| Error::unavailable("the store is closed"))?;
        let asked = Instant::now();
        sender
            .send((self.metrics.queued(), queued))
            .await
            .map_err(|_| Error::unavailable("the writing task has ended"))?;
        let lost = |_| Error::Unavailable {
            detail: "the writing task ended before it answered".to_owned(),
            may_have_committed: true,
        };
        let answer = answer.await.map_err(lost)?;
        self.metrics.written(asked.elapsed());
        answer
    }

    /// Lets the task finish what is queued and end; waits for it. Later requests are refused.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut task = std::mem::take(&mut *self.task.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(Err(error)) = task.join_next().await {
            tracing::error!(%error, "the task that writes met a mistake in the program");
        }
    }
}

struct Writer {
    connector: Connector,
    limits: Limits,
    epoch: Arc<AtomicU64>,
    queue: mpsc::Receiver<(InQueue, Queued)>,
    /// Taken from the queue, and not carried out yet.
    put_back: VecDeque<Queued>,
    policies: HashSet<PolicyHash>,
    trouble: Arc<Mutex<Option<Error>>>,
    /// Before the next try to reach a server; `None`: the last one has written something.
    pause: Option<Duration>,
    metrics: Metrics,
}

impl Writer {
    async fn serve(mut self) {
        while let Some(mut session) = self.find_server().await {
            let Some(error) = self.use_session(&mut session).await else { return };
            self.set_trouble(Some(error));
        }
    }

    /// Carries out what is queued. Gives why the session is of no use any more; `None` once the queue is closed.
    async fn use_session(&mut self, session: &mut Session) -> Option<Error> {
        loop {
            let next = match self.put_back.pop_front() {
                Some(next) => next,
                None => tokio::select! {
                    biased;
                    next = self.queue.recv() => next?.1,
                    () = session.ended() => return Some(Error::unavailable("the connection to the database broke")),
                },
            };
            let ended = match next {
                Queued::Alone(job) => self.work_alone(session, job).await,
                Queued::Together(job) => {
                    let batch = self.batch(job);
                    self.work(session, batch).await
                }
            };
            if let Err(error) = ended {
                return Some(error);
            }
        }
    }

    /// Whatever else is queued and can be decided together with this one. Two requests about one operation cannot: the second
    /// one is about what the first one leaves.
    fn batch(&mut self, first: Box<dyn Job>) -> Vec<Box<dyn Job>> {
        let mut wanted = Wanted::default();
        first.wants(&mut wanted);
        let mut touched: HashSet<OperationId> = wanted.operations.drain().collect();
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX && wanted.octets < BATCH_BYTES_MAX {
            let Some(next) = self.put_back.pop_front().or_else(|| self.queue.try_recv().ok().map(|(_, next)| next))
            else {
                break;
            };
            let Queued::Together(job) = next else {
                self.put_back.push_front(next);
                break;
            };
            job.wants(&mut wanted);
            if wanted.operations.iter().any(|id| touched.contains(id)) {
                self.put_back.push_front(Queued::Together(job));
                break;
            }
            touched.extend(wanted.operations.drain());
            batch.push(job);
        }
        batch
    }

    /// Carries out a batch; one that the database refuses is tried again one by one, so that only the one at fault fails.
    async fn work(&mut self, session: &mut Session, mut batch: Vec<Box<dyn Job>>) -> Result<(), Error> {
        match self.transaction(session, &mut batch).await {
            Outcome::Committed => batch.into_iter().for_each(|job| job.answer(Ok(()))),
            Outcome::Refused(error) if batch.len() == 1 || error == Error::Fenced => {
                batch.into_iter().for_each(|job| job.answer(Err(error.clone())));
            }
            Outcome::Refused(error) => {
                tracing::warn!(%error, requests = batch.len(), "a shared transaction failed; its requests are tried one by one");
                let mut left = batch.into_iter();
                while let Some(job) = left.next() {
                    let mut alone = vec![job];
                    let outcome = self.transaction(session, &mut alone).await;
                    let told = match &outcome {
                        Outcome::Committed => Ok(()),
                        Outcome::Refused(error) | Outcome::Lost(error) => Err(error.clone()),
                    };
                    alone.into_iter().for_each(|job| job.answer(told.clone()));
                    if let Outcome::Lost(error) = outcome {
                        let certain = Error::unavailable("the connection to the database broke");
                        left.for_each(|job| job.answer(Err(certain.clone())));
                        return Err(error);
                    }
                }
            }
            Outcome::Lost(error) => {
                batch.into_iter().for_each(|job| job.answer(Err(error.clone())));
                return Err(error);
            }
        }
        Ok(())
    }

    async fn transaction(&mut self, session: &mut Session, batch: &mut [Box<dyn Job>]) -> Outcome {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let mut wanted = Wanted::default();
        batch.iter().for_each(|job| job.wants(&mut wanted));
        let patience = session.patience();
        let began = Instant::now();
        let working = async {
            let loaded = batch::load(session, &wanted, at_most(epoch), &self.limits).await?;
            let mut picture = Picture::new(loaded, &self.limits, epoch, &self.policies);
            batch.iter_mut().for_each(|job| job.decide(&mut picture));
            let changes = picture.into_changes();
            batch::write(session, &changes).await?;
            Ok(changes.new_policies())
        };
        let worked = timeout(patience, guarded(working)).await;
        let (outcome, new_policies) = session.end(worked).await;
        self.measure(&outcome, batch.len(), began);
        if matches!(outcome, Outcome::Committed) {
            if self.policies.len() + new_policies.len() > POLICIES_MAX {
                self.policies.clear();
            }
            self.policies.extend(new_policies);
            self.pause = None;
        }
        outcome
    }

    async fn work_alone(&mut self, session: &mut Session, mut job: Box<dyn AloneJob>) -> Result<(), Error> {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let began = Instant::now();
        let working = async {
            session.begin(job.as_member().then_some(epoch)).await?;
            Ok(job.run(session.client(), Epoch(epoch)).await?)
        };
        let worked = timeout(session.patience(), guarded(working)).await;
        let outcome = session.end(worked).await.0;
        self.measure(&outcome, 1, began);
        match outcome {
            Outcome::Committed => {
                self.pause = None;
                job.answer(Ok(()));
            }
            Outcome::Refused(error) => job.answer(Err(error)),
            Outcome::Lost(error) => {
                job.answer(Err(error.clone()));
                return Err(error);
            }
        }
        Ok(())
    }

    fn measure(&self, outcome: &Outcome, writes: usize, began: Instant) {
        match outcome {
            Outcome::Committed => self.metrics.committed(writes, began.elapsed()),
            Outcome::Refused(_) | Outcome::Lost(_) => self.metrics.failed(),
        }
    }

    /// A session with a server that takes writes; `None` once the queue is closed. Whatever is asked meanwhile is refused.
    async fn find_server(&mut self) -> Option<Session> {
        loop {
            // What waited when the connection broke was not carried out.
            for queued in std::mem::take(&mut self.put_back) {
                queued.refuse(self.trouble_now());
            }
            if let Some(pause) = self.pause {
                self.refuse_for(pause.mul_f64(0.5 + drawn() / 2.0)).await?;
            }
            // Also after a session in which nothing could be written.
            self.pause = Some(self.pause.map_or(RECONNECT_FIRST, |pause| (pause * 2).min(RECONNECT_MAX)));
            let connecting = Session::open(&self.connector);
            tokio::pin!(connecting);
            let connected = loop {
                tokio::select! {
                    biased;
                    connected = &mut connecting => break connected,
                    queued = self.queue.recv(), if self.is_in_trouble() => queued?.1.refuse(self.trouble_now()),
                }
            };
            match connected {
                Ok(session) => {
                    if self.set_trouble(None).is_some() {
                        tracing::info!("the database takes writes again");
                    }
                    return Some(session);
                }
                Err(error) => drop(self.set_trouble(Some(error))),
            }
        }
    }

    /// Refuses whatever is asked meanwhile; `None` once the queue is closed.
    async fn refuse_for(&mut self, pause: Duration) -> Option<()> {
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                () = &mut pause => return Some(()),
                queued = self.queue.recv() => queued?.1.refuse(self.trouble_now()),
            }
        }
    }

    fn is_in_trouble(&self) -> bool {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// In the words of a request that was not tried.
    fn trouble_now(&self) -> Error {
        match &*self.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Error::Unavailable { detail, .. }) => Error::unavailable(detail.clone()),
            Some(other) => other.clone(),
            None => Error::unavailable("the database cannot be reached"),
        }
    }

    /// Gives what was so before.
    fn set_trouble(&self, trouble: Option<Error>) -> Option<Error> {
        let mut now = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &trouble
            && now.is_none()
        {
            tracing::error!(%error, "the database takes no writes; no operation is accepted until it does");
        }
        std::mem::replace(&mut now, trouble)
    }
}

/// A mistake in the program fails its requests, and not everybody's from then on.
async fn guarded<T>(working: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // What the work changes beside the database is set only after its commit.
    AssertUnwindSafe(working).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("writing met a mistake in the program; its requests fail, and the store goes on");
        Err(Error::invalid("writing the request met a mistake in the program").into())
    })
}

/// A number from 0 to 1. Where the system gives no random numbers nodes may come back together, and nothing else.
fn drawn() -> f64 {
    let mut octet = [0];
    let _ = getrandom::fill(&mut octet);
    f64::from(octet[0]) / 255.0
}

#[cfg(test)]
mod tests;
