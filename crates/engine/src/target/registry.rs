//! The targets of this process, by name. A target is one thing for as long as the process runs: a reload changes what is
//! configured for it, while its queue, breaker, hold and totals stay.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use fanfold_core::operation::{Gate, Sent, TroubleKind};
use fanfold_core::{OperationId, TargetName};
use http::StatusCode;
use tokio::time::Instant;

use super::admission::{Admission, Allowance, Counts, Demand, Permit, PermitKind, Share, Snapshot, Ticket};
use super::breaker::{BreakerConfig, Position};
use super::config::TargetConfig;
use super::failure::{Blame, Failure};
use super::link::Link;
use super::metrics::{AttemptResult, Metrics};
use super::send::{Broke, Outgoing, Received};
use super::tally::{Latency, Tally, Totals};
use super::tls::{BadTls, Tls};
use crate::lookup::{FOR_ONE_TARGET_MAX, FOR_TARGETS_MAX, Lookups, Resolve, SystemResolver};
use crate::network::Network;
use crate::turns::Claimant;

/// All targets.
#[derive(Debug)]
pub struct Targets {
    by_name: RwLock<BTreeMap<TargetName, Arc<Target>>>,
    /// Whether other nodes send to these targets too, so that each has what it was granted, and nothing at first.
    are_shared: AtomicBool,
    metrics: Metrics,
    network: Option<Arc<dyn Network>>,
    lookups: Lookups,
    /// The share of each target. They outlive links, so that a reload gives no places for more.
    shares: Mutex<BTreeMap<TargetName, Lookups>>,
}

/// One target, configured or missing.
pub struct Target {
    name: TargetName,
    admission: Arc<Admission>,
    link: RwLock<Option<Arc<Link>>>,
    tally: Mutex<Tally>,
    metrics: Metrics,
}

/// A target cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
#[error("target {target}: {cause}")]
pub struct BadTarget {
    /// Which.
    pub target: TargetName,
    /// Why.
    #[source]
    pub cause: BadTls,
}

/// A target at one instant, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// What its breaker does, on hold or not.
    pub breaker: BreakerStatus,
    /// Its limits; `None` once it is not configured any more.
    pub limits: Option<TargetLimits>,
    /// Its name.
    pub name: TargetName,
    /// Its URL prefix, while it is configured.
    pub url: Option<String>,
    /// Whether it takes requests.
    pub state: TargetState,
    /// Requests on the wire, or about to be.
    pub in_flight: PerKind,
    /// Requests that wait for their turn.
    pub waiting: PerKind,
    /// Requests that ended.
    pub totals: Totals,
    /// How long the latest answers took; `None` before the first.
    pub latency: Option<Latency>,
}

/// What the breaker of a target does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerStatus {
    /// Attempts in a row that broke, those that tried the target out included.
    pub breaks: u32,
    /// How long it has not let everything through; `None` while it is closed.
    pub open_for: Option<Duration>,
    /// How long until it lets one attempt try the target out; `None` while it is closed or one does.
    pub retry_in: Option<Duration>,
}

impl BreakerStatus {
    fn of(snapshot: &Snapshot) -> Self {
        let now = Instant::now();
        let retry_in = match snapshot.breaker {
            Position::Open { until } => Some(until.saturating_duration_since(now)),
            Position::Closed | Position::HalfOpen => None,
        };
        let open_for = snapshot.opened.map(|opened| now.saturating_duration_since(opened));
        Self { breaks: snapshot.breaks, open_for, retry_in }
    }

    /// The word for it: `closed`, `half_open` or `open`.
    pub fn as_str(self) -> &'static str {
        match (self.open_for, self.retry_in) {
            (None, _) => "closed",
            (Some(_), None) => "half_open",
            (Some(_), Some(_)) => "open",
        }
    }
}

/// The limits of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetLimits {
    /// Steps, probes and passed-through requests on the wire at once.
    pub max_in_flight: usize,
    /// Undos on the wire at once.
    pub undo_max_in_flight: usize,
    /// Passed-through requests that may wait.
    pub pass_waiting_max: usize,
    /// When calls stop for a while.
    pub breaker: BreakerConfig,
}

impl From<Allowance> for TargetLimits {
    fn from(allowance: Allowance) -> Self {
        let Allowance { max_in_flight, undo_max_in_flight, pass_waiting_max, breaker } = allowance;
        Self { max_in_flight, undo_max_in_flight, pass_waiting_max, breaker }
    }
}

/// How many of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerKind {
    /// Steps, with their probes and reads.
    pub forward: usize,
    /// Undos, with their reads.
    pub undo: usize,
    /// Passed-through requests.
    pub pass: usize,
}

/// Whether a target takes requests. If several hold, the first one here is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetState {
    /// It is not configured; what is to be sent to it waits.
    Missing,
    /// It is on hold until a person releases it.
    Held {
        /// Why.
        reason: String,
    },
    /// Its breaker is open.
    BreakerOpen {
        /// How long until one attempt tries it out.
        retry_in: Duration,
    },
    /// One attempt tries it out, or is about to.
    HalfOpen,
    /// It does.
    Ok,
}

impl Targets {
    /// No targets yet.
    pub fn new(metrics: Metrics) -> Self {
        let lookups = Lookups::new(Arc::new(SystemResolver), FOR_TARGETS_MAX);
        Self {
            by_name: RwLock::default(),
            are_shared: AtomicBool::new(false),
            metrics,
            network: None,
            lookups,
            shares: Mutex::default(),
        }
    }

    /// No targets yet; their hosts will be found by this resolver, not by that of the operating system.
    pub fn resolved_by(resolver: Arc<dyn Resolve>, metrics: Metrics) -> Self {
        Self { lookups: Lookups::new(resolver, FOR_TARGETS_MAX), ..Self::new(metrics) }
    }

    /// No targets yet; they will be in a network that is made up.
    pub fn in_network(network: Arc<dyn Network>, metrics: Metrics) -> Self {
        Self { network: Some(network), ..Self::new(metrics) }
    }

    /// Sets what is configured, all at once or not at all. Targets that were there before and still are keep their queue, breaker,
    /// hold and totals; those that are gone become missing.
    ///
    /// # Errors
    /// If one of them cannot be set up; nothing has changed then.
    pub fn replace(&self, configs: Vec<TargetConfig>) -> Result<(), BadTarget> {
        let mut platform = None;
        let mut ready = BTreeMap::new();
        for config in configs {
            let link = self.link_for(&config, &mut platform);
            let link = link.map_err(|cause| BadTarget { target: config.name.clone(), cause })?;
            ready.insert(config.name.clone(), (config, link));
        }
        // From here on nothing fails.
        for name in ready.keys() {
            self.get(name);
        }
        for target in self.all() {
            target.configure(ready.remove(&target.name));
        }
        Ok(())
    }

    /// The target of this name. If none is configured it is a missing one, at which requests wait until it is.
    pub fn get(&self, name: &TargetName) -> Arc<Target> {
        self.find(name).unwrap_or_else(|| {
            let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
            let target = || {
                let target = Target::missing(name.clone(), self.metrics.clone());
                // Read under the lock under which it is set.
                if self.are_shared.load(Ordering::Relaxed) {
                    target.admission.share(Share::default());
                }
                Arc::new(target)
            };
            Arc::clone(by_name.entry(name.clone()).or_insert_with(target))
        })
    }

    /// All targets that are or were configured or asked for, by name.
    pub fn all(&self) -> Vec<Arc<Target>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// From now on other nodes send to these targets too, and this one sends nothing until it is granted permits.
    pub(crate) fn share_all(&self) {
        let by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        self.are_shared.store(true, Ordering::Relaxed);
        by_name.values().for_each(|target| target.admission.share(Share::default()));
    }

    /// The status of each, by name. A missing one at which nothing waits is not worth telling.
    pub fn status(&self) -> Vec<TargetStatus> {
        let told = |status: &TargetStatus| {
            status.state != TargetState::Missing || [status.waiting, status.in_flight] != [PerKind::default(); 2]
        };
        self.all().iter().map(|target| target.status()).filter(told).collect()
    }

    /// Closes connections that were idle for too long. To be called every few seconds; connections of busy targets are also
    /// looked after by the requests themselves.
    pub fn close_idle(&self) {
        for target in self.all() {
            if let Some(link) = target.link() {
                link.close_idle();
            }
        }
    }
}

impl Targets {
    fn find(&self, name: &TargetName) -> Option<Arc<Target>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The present link if it fits, else a new one.
    fn link_for(&self, config: &TargetConfig, platform: &mut Option<Tls>) -> Result<Arc<Link>, BadTls> {
        if let Some(link) = self.find(&config.name).and_then(|target| target.link()).filter(|link| link.fits(config)) {
            return Ok(link);
        }
        let shared = || match platform {
            Some(tls) => Ok(tls.clone()),
            None => Ok(platform.insert(Tls::new(&[], None)?).clone()),
        };
        Ok(Arc::new(Link::new(config, self.network.clone(), self.lookups_of(&config.name), shared)?))
    }

    fn lookups_of(&self, name: &TargetName) -> Lookups {
        // A map has no half-way state.
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.entry(name.clone()).or_insert_with(|| self.lookups.share(FOR_ONE_TARGET_MAX)).clone()
    }
}

impl Target {
    fn missing(name: TargetName, metrics: Metrics) -> Self {
        let admission = Admission::new(metrics.gauges(&name));
        Self { name, admission, link: RwLock::default(), tally: Mutex::default(), metrics }
    }

    /// Its name.
    pub fn name(&self) -> &TargetName {
        &self.name
    }

    /// Its address, if it is configured.
    pub fn url(&self) -> Option<super::url::TargetUrl> {
        self.link().map(|link| link.url.clone())
    }

    /// Takes a place in the queue of those who want to send: behind the operations of the same tenant that were accepted before
    /// this one. Tenants take turns.
    pub fn ticket(&self, kind: PermitKind, claimant: &Claimant, operation: OperationId) -> Ticket {
        self.admission.ticket(kind, claimant, *operation.as_bytes())
    }

    /// What is wanted and in use of its permits: of those for steps and passed-through requests, and of those for undos.
    pub(crate) fn demand(&self) -> [Demand; 2] {
        self.admission.demand()
    }

    /// Sets what this node may have on the wire at once: steps with passed-through requests, and undos.
    pub(crate) fn grant(&self, [forward, undo]: [usize; 2]) {
        self.admission.share(Share { forward, undo });
    }

    /// What a request would wait for now, beside its place in the queue.
    pub fn gate(&self) -> Gate {
        self.admission.gate().0
    }

    /// Whether nothing is to be sent to it until a person does something: it is on hold, or not configured.
    pub(crate) fn is_closed(&self) -> bool {
        match self.gate() {
            Gate::Held | Gate::Missing => true,
            Gate::Permit | Gate::Breaker => false,
        }
    }

    /// Holds it back: nothing is sent to it until it is released. What is on the wire ends.
    pub fn hold(&self, reason: impl Into<String>) {
        self.admission.hold(reason.into());
    }

    /// Releases it: what waited goes on, in order.
    pub fn release(&self) {
        self.admission.release();
    }

    /// Its status now.
    pub fn status(&self) -> TargetStatus {
        let snapshot = self.admission.snapshot();
        let tally = self.tally();
        TargetStatus {
            name: self.name.clone(),
            url: self.link().map(|link| link.url.to_string()),
            state: TargetState::of(&snapshot),
            breaker: BreakerStatus::of(&snapshot),
            limits: snapshot.allowance.map(TargetLimits::from),
            in_flight: snapshot.in_flight.into(),
            waiting: snapshot.waiting.into(),
            totals: tally.totals,
            latency: tally.latency(),
        }
    }

    /// Makes one attempt: sends the request once and reads its answer. The permit is given back when it is over.
    ///
    /// # Errors
    /// If there is no head of an answer; tells exactly whether a byte of the request may have left.
    pub async fn send(&self, permit: Permit, outgoing: &Outgoing) -> Result<Received, Broke> {
        self.send_if(permit, outgoing, || true).await
    }

    /// As [`Target::send`], but asks `may_send` last, when the connection stands and before the first byte leaves. If it says
    /// no, nothing is sent.
    ///
    /// # Errors
    /// As [`Target::send`]; also, with [`Sent::No`], if `may_send` said no.
    pub async fn send_if(
        &self,
        mut permit: Permit,
        outgoing: &Outgoing,
        may_send: impl Fn() -> bool + Send + Sync,
    ) -> Result<Received, Broke> {
        let Some(link) = self.link() else {
            // It was removed after the permit was given.
            return Err(Failure::new(TroubleKind::Unreachable, "the target is not configured any more")
                .not_sent()
                .broke);
        };
        let began = Instant::now();
        // On the heap, because it is large and those that wait for it are many; without its type, because the compiler cannot
        // prove the many borrows in it to be `Send` once more in every caller.
        let sending: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(link.send(outgoing, &may_send));
        match sending.await {
            Ok(received) => {
                self.answered(&mut permit, received.status, received.took, began);
                Ok(received)
            }
            Err(miss) => {
                if miss.blame == Blame::Target {
                    self.broke(&mut permit, miss.broke.sent, began);
                }
                Err(miss.broke)
            }
        }
    }

    pub(super) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.link.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts an answer. 502, 503 and 504 are what a proxy says of a target that does not work: the breaker takes them as breaks.
    pub(super) fn answered(&self, permit: &mut Permit, status: StatusCode, took: Duration, began: Instant) {
        match status {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => permit.broke(),
            _ => permit.answered(),
        }
        let result = match status.as_u16() {
            500.. => AttemptResult::ServerError,
            400.. => AttemptResult::ClientError,
            _ => AttemptResult::Answered,
        };
        self.metrics.count(&self.name, permit.kind(), result, began.elapsed());
        let mut tally = self.tally();
        tally.took(took);
        match result {
            AttemptResult::ServerError => tally.totals.server_errors += 1,
            _ => tally.totals.answered += 1,
        }
    }

    pub(super) fn broke(&self, permit: &mut Permit, sent: Sent, began: Instant) {
        permit.broke();
        let result = match sent {
            Sent::No => AttemptResult::NotSent,
            Sent::Maybe => AttemptResult::Broke,
        };
        self.metrics.count(&self.name, permit.kind(), result, began.elapsed());
        let mut tally = self.tally();
        match sent {
            Sent::No => tally.totals.not_sent += 1,
            Sent::Maybe => tally.totals.broke += 1,
        }
    }

    fn configure(&self, configured: Option<(TargetConfig, Arc<Link>)>) {
        let (config, link) = configured.unzip();
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = link;
        self.admission.configure(config.map(|config| Allowance {
            max_in_flight: config.max_in_flight,
            undo_max_in_flight: config.undo_max_in_flight,
            pass_waiting_max: config.pass_waiting_max,
            breaker: config.breaker,
        }));
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // Counters have no half-way state that matters.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("name", &self.name).finish_non_exhaustive()
    }
}

impl From<Counts> for PerKind {
    fn from([forward, undo, pass]: Counts) -> Self {
        Self { forward, undo, pass }
    }
}

impl TargetState {
    fn of(snapshot: &Snapshot) -> Self {
        if snapshot.missing {
            return Self::Missing;
        }
        if let Some(reason) = &snapshot.held {
            return Self::Held { reason: reason.clone() };
        }
        match snapshot.breaker {
            Position::Closed => Self::Ok,
            Position::HalfOpen => Self::HalfOpen,
            Position::Open { until } => Self::BreakerOpen { retry_in: until.saturating_duration_since(Instant::now()) },
        }
    }

    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Held { .. } => "held",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::HalfOpen => "half_open",
            Self::Ok => "ok",
        }
    }
}
