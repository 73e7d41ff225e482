//! Engines on one store, each in a runtime of its own, so that one can end in the middle like a process that is killed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fanfold_core::dialect::Refusal;
use fanfold_core::{Event, Operation, OperationId};
use fanfold_engine::{AcceptOutcome, Clock, Membership, SystemClock};
use fanfold_store::contract::Lossy;
use fanfold_store::model::Model;
use fanfold_store::{
    Adopted, Answer, AskNumber, Change, Epoch, Error, EventNumber, NewNode, News, Node as Known, Nodes, PermitShare,
    PermitWish, Store, Word,
};
use fanfold_testkit::PATIENCE;
use fanfold_testkit::fake::FakeTarget;
use jiff::Timestamp;

use super::super::stage::{Setting, Stage};

/// A lease that ends while a test waits for it.
pub(super) const SHORT: Duration = Duration::from_secs(1);

/// A lease that is long, with beats that a test can wait for.
pub(super) const MIDDLE: Duration = Duration::from_secs(10);

/// Longer than a test takes.
pub(super) const LONG: Duration = Duration::from_secs(3_600);

/// One state, to which nodes come.
pub(super) struct Cluster {
    model: Model,
    pub(super) fakes: Arc<[FakeTarget; 3]>,
    lease: Duration,
}

/// One engine.
pub(super) struct Node {
    runtime: Option<tokio::runtime::Runtime>,
    pub(super) stage: Arc<Stage>,
    pub(super) store: Arc<Lossy>,
    pub(super) wire: Arc<Wire>,
    pub(super) clock: Arc<NodeClock>,
}

impl Cluster {
    pub(super) async fn new(lease: Duration) -> Self {
        Self { model: Model::default(), fakes: Arc::new(super::super::stage::fakes().await), lease }
    }

    /// A node whose settings the test has changed.
    pub(super) async fn node(&self, name: &str, change: impl FnOnce(&mut Setting<'_>) + Send + 'static) -> Node {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let model = Arc::new(self.model.handle());
        let store = Lossy::new(Arc::clone(&model) as Arc<dyn Store>);
        let (wire, clock) = (Arc::new(Wire::to(model)), Arc::new(NodeClock::default()));
        let node = NewNode {
            name: name.to_owned(),
            configuration: "c".to_owned(),
            version: "1".to_owned(),
            lease: self.lease,
            joined_at: Timestamp::UNIX_EPOCH,
        };
        let membership = Membership { nodes: Arc::clone(&wire) as Arc<dyn Nodes>, node };
        let (fakes, own) = (Arc::clone(&self.fakes), (Arc::clone(&store), Arc::clone(&clock)));
        let stage = runtime.spawn(async move {
            let spec = super::super::stage::spec(&super::super::stage::NAMES[..1]);
            let mut setting = Setting::new(&fakes[..1], spec);
            setting.store = Some(own.0);
            setting.clock = own.1;
            setting.membership = Some(membership);
            setting.config.sweep_every = Duration::from_millis(200);
            change(&mut setting);
            Stage::of(setting).await
        });
        Node { stage: Arc::new(stage.await.unwrap()), runtime: Some(runtime), store, wire, clock }
    }

    /// When an operation was adopted.
    pub(super) async fn adopted_at(&self, id: OperationId) -> Timestamp {
        self.model.adopted_at(id).await.unwrap().expect("it was adopted")
    }

    /// What happened to an operation, and when.
    pub(super) async fn history(&self, id: OperationId) -> Vec<(Timestamp, Event)> {
        use fanfold_store::ReadHistory as _;
        let events = self.model.history(id, EventNumber(0), 1_000).await.unwrap();
        events.into_iter().map(|recorded| (recorded.at, recorded.event)).collect()
    }
}

impl Node {
    /// Does something as this node's process: tasks that begin with it belong to that.
    pub(super) async fn within<T>(&self, act: impl Future<Output = T>) -> T {
        let runtime = self.runtime.as_ref().expect("it lives");
        let mut act = std::pin::pin!(act);
        std::future::poll_fn(|cx| {
            let _entered = runtime.enter();
            act.as_mut().poll(cx)
        })
        .await
    }

    pub(super) async fn accept(&self, method: &str, uri: &str) -> OperationId {
        self.accept_with(method, uri, &[]).await.unwrap().operation.id
    }

    pub(super) async fn accept_with(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Result<AcceptOutcome, Refusal> {
        self.within(self.stage.accept_with(method, uri, "{}", headers)).await
    }

    /// Ends as a process does that is killed: nothing is said, nothing recorded.
    pub(super) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Waits until it is so.
    pub(super) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
    }

    /// Waits until it has taken over so many operations.
    pub(super) async fn adopted(&self, count: u64) {
        self.until("it adopts", |node| node.stage.engine.metrics().operations_adopted() == count).await;
    }

    /// Waits until it knows of so many nodes, itself among them.
    pub(super) async fn knows(&self, count: u64) {
        self.until("it knows the others", |node| node.stage.engine.metrics().nodes() == count).await;
    }

    pub(super) async fn ended(&self, id: OperationId) -> Arc<Operation> {
        self.stage.ended(id).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

/// A clock of a machine that can stand still for a while: for itself no time has passed then, but for the time since boot.
#[derive(Debug, Default)]
pub(super) struct NodeClock(Mutex<Duration>);

impl NodeClock {
    pub(super) fn stand_still(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn boot_time(&self) -> Duration {
        SystemClock.boot_time() + *self.0.lock().unwrap()
    }

    fn fill(&self, bytes: &mut [u8]) {
        SystemClock.fill(bytes);
    }
}

/// The way to the other nodes, which a test can cut.
pub(super) struct Wire {
    to: Arc<Model>,
    cut: AtomicBool,
    mute: AtomicBool,
    beats: AtomicU64,
    fences: AtomicU64,
    lowers: AtomicU64,
}

impl Wire {
    fn to(to: Arc<Model>) -> Self {
        Self {
            to,
            cut: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            beats: AtomicU64::new(0),
            fences: AtomicU64::new(0),
            lowers: AtomicU64::new(0),
        }
    }

    /// From now on the store is away for everything that nodes do with each other, or back.
    pub(super) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// From now on what it says is lost.
    pub(super) fn mute(&self) {
        self.mute.store(true, Ordering::SeqCst);
    }

    /// How often it has beaten.
    pub(super) fn beats(&self) -> u64 {
        self.beats.load(Ordering::SeqCst)
    }

    /// How often it has heard of the end of a lower operation.
    pub(super) fn lowers(&self) -> u64 {
        self.lowers.load(Ordering::SeqCst)
    }

    /// How often it has fenced somebody off.
    pub(super) fn fences(&self) -> u64 {
        self.fences.load(Ordering::SeqCst)
    }

    fn there(&self) -> Result<&Model, Error> {
        let detail = || "it is cut off".to_owned();
        match self.cut.load(Ordering::SeqCst) {
            true => Err(Error::Unavailable { detail: detail(), may_have_committed: false }),
            false => Ok(&self.to),
        }
    }
}

#[async_trait]
impl Nodes for Wire {
    async fn join(&self, node: NewNode) -> Result<Epoch, Error> {
        self.there()?.join(node).await
    }

    async fn beat(&self, now: Timestamp, configuration: &str) -> Result<Vec<Known>, Error> {
        let nodes = self.there()?.beat(now, configuration).await?;
        self.beats.fetch_add(1, Ordering::SeqCst);
        Ok(nodes)
    }

    async fn fence(&self, epoch: Epoch, beat: u64) -> Result<Change, Error> {
        self.fences.fetch_add(1, Ordering::SeqCst);
        self.there()?.fence(epoch, beat).await
    }

    async fn leave(&self) -> Result<(), Error> {
        self.there()?.leave().await
    }

    async fn adopt(&self, now: Timestamp, limit: usize) -> Result<Adopted, Error> {
        self.there()?.adopt(now, limit).await
    }

    async fn adopted_at(&self, id: OperationId) -> Result<Option<Timestamp>, Error> {
        self.there()?.adopted_at(id).await
    }

    async fn share_permits(&self, wishes: Vec<PermitWish>) -> Result<Vec<PermitShare>, Error> {
        self.there()?.share_permits(wishes).await
    }

    async fn news(&self, after: EventNumber) -> Result<News, Error> {
        self.there()?.news(after).await
    }

    async fn word(&self) -> Word {
        let word = self.to.word().await;
        if let Word::Lower(_) = word {
            self.lowers.fetch_add(1, Ordering::SeqCst);
        }
        word
    }

    async fn say(&self, word: Word) -> Result<(), Error> {
        match self.mute.load(Ordering::SeqCst) {
            true => Ok(()),
            false => self.there()?.say(word).await,
        }
    }

    async fn ask(&self, operation: OperationId, event: Event) -> Result<AskNumber, Error> {
        self.there()?.ask(operation, event).await
    }

    async fn answer(&self, number: AskNumber) -> Result<Option<Answer>, Error> {
        self.there()?.answer(number).await
    }

    async fn take_back(&self, number: AskNumber) -> Result<bool, Error> {
        self.there()?.take_back(number).await
    }

    async fn reply(&self, number: AskNumber, answer: Answer) -> Result<(), Error> {
        self.there()?.reply(number, answer).await
    }
}
