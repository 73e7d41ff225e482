//! The engine as a whole: starting and stopping it, and the handle that the server gets.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::dialect::Mount;
use fanfold_core::{Access, Event, IllegalEvent, Operation, OperationId, TargetName, TenantId};
use fanfold_store::{Epoch, Error as StoreError, Hold, Node, NoticeId, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::{Clock, Jumps};
use crate::config::{Config, NoticeRules};
use crate::members::{Lease, Members};
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::target::Targets;
use crate::turns::Claimant;
use crate::{Error, Membership, dispatch, hold, membership, notify, patrol, resealing, settle, tell, traces, upkeep};

/// A running engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    services: Arc<tokio::sync::Mutex<JoinSet<()>>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("running", &self.shared.residents.running()).finish_non_exhaustive()
    }
}

/// What became of a request to cancel.
#[derive(Debug, Clone)]
pub enum CancelOutcome {
    /// It is recorded: the operation ends `canceled`, or, if it was being rolled back already, `failed`.
    Accepted(Arc<Operation>),
    /// Too late: enough has succeeded, nothing further starts, and it becomes `completed`.
    TooLate(Arc<Operation>),
}

impl Engine {
    /// Starts the engine: joins the other nodes, if it is to be one of several; places the recorded holds, then takes up everything
    /// that is due.
    ///
    /// # Errors
    /// If the store cannot be read, or does not take the node in.
    pub async fn start(
        store: Arc<dyn Store>,
        targets: Arc<Targets>,
        clock: Arc<dyn Clock>,
        mounts: Vec<Mount>,
        config: Config,
        membership: Option<Membership>,
    ) -> Result<Self, Error> {
        let joined = match membership {
            None => (Lease::for_ever(Arc::clone(&clock)), None),
            Some(membership) => {
                let (members, lease) = Members::join(membership, &clock).await?;
                targets.share_all();
                (lease, Some(Arc::new(members)))
            }
        };
        for Hold { target, reason, .. } in store.holds().await? {
            targets.get(&target).hold(reason);
        }
        // Whoever begins to follow something from here on is told of what comes after this.
        let latest = store.latest_event().await?;
        let shared = Arc::new(Shared::new(store, targets, clock, mounts, config, joined));
        let mut services = JoinSet::new();
        if let Some(members) = &shared.members {
            membership::begin(&mut services, &shared, members, latest);
        }
        services.spawn(dispatch::run(Arc::clone(&shared)));
        services.spawn(settle::run(Arc::clone(&shared)));
        services.spawn(notify::run(Arc::clone(&shared)));
        services.spawn(patrol::run(Arc::clone(&shared), Jumps::from(shared.clock.now())));
        services.spawn(upkeep::run(Arc::clone(&shared)));
        services.spawn(resealing::run(Arc::clone(&shared)));
        services.spawn(traces::run(Arc::clone(&shared)));
        Ok(Self { shared, services: Arc::new(tokio::sync::Mutex::new(services)) })
    }

    /// The targets, for status and pass-through.
    pub fn targets(&self) -> &Arc<Targets> {
        &self.shared.targets
    }

    /// The metrics of the engine; its targets have their own.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The nodes that share the store, as of this one's latest beat, and which of them this one is; `None` where it is alone by
    /// its making.
    pub fn nodes(&self) -> Option<(Epoch, Vec<Node>)> {
        let members = self.shared.members.as_ref()?;
        Some((self.shared.lease.term().epoch(), members.seen()))
    }

    /// Whom something is done for: a tenant, and its share.
    pub fn claimant(&self, tenant: &TenantId) -> Claimant {
        self.shared.claimant(tenant)
    }

    /// Operations in memory now.
    pub fn running(&self) -> usize {
        self.shared.residents.running()
    }

    /// Whether nothing new is accepted.
    pub fn is_draining(&self) -> bool {
        self.shared.drain.is_draining() || self.shared.is_stopping()
    }

    /// Whether it drains, and nothing is under way any more: whatever has not ended waits for a person (an answer, a choice, a
    /// target on hold or missing), for its start time, or for the lock of one that does.
    pub fn is_drained(&self) -> bool {
        self.shared.drain.is_drained()
    }

    /// Whether this node may act on what it owns. Once it could not beat for as long as its lease, another one may be doing so,
    /// and it sends nothing.
    pub fn has_lease(&self) -> bool {
        self.shared.lease.holds_now()
    }

    /// Puts the mounts of a reloaded configuration in place.
    pub fn replace_mounts(&self, mounts: Vec<Mount>) {
        self.shared.mounts.store(Arc::new(mounts));
    }

    /// Tells the other nodes the hash of a reloaded configuration, where there may be some.
    pub fn replace_configuration_hash(&self, configuration: String) {
        if let Some(members) = &self.shared.members {
            members.reconfigured(configuration);
        }
    }

    /// Puts the rules of notices of a reloaded configuration in place; what is on the wire ends by the old ones.
    pub fn replace_notice_rules(&self, rules: NoticeRules) {
        self.shared.notices.store(Arc::new(rules));
    }

    /// The latest recorded state of an operation, if it is in memory, and certain not to be carried on by another node by now.
    pub fn in_memory(&self, id: OperationId) -> Option<Arc<Operation>> {
        let residents = &self.shared.residents;
        // What has ended never changes again.
        residents.ended(id).or_else(|| residents.running_state(id).filter(|_| self.shared.lease.holds_now()))
    }

    /// The latest recorded state of an operation.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn operation(&self, id: OperationId) -> Result<Option<Arc<Operation>>, Error> {
        if let Some(operation) = self.in_memory(id) {
            return Ok(Some(operation));
        }
        Ok(self.shared.store.operation(id).await?.map(Arc::new))
    }

    /// The same, if it exists for whoever has this access. One that does not takes as long as one that is not there.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn operation_seen(&self, access: &Access, id: OperationId) -> Result<Option<Arc<Operation>>, Error> {
        if let Some(operation) = self.in_memory(id).filter(|operation| access.sees(operation)) {
            return Ok(Some(operation));
        }
        let found = self.shared.store.operation_of(&access.tenant, id).await?;
        Ok(found.filter(|operation| access.sees(operation)).map(Arc::new))
    }

    /// A receiver that is notified of each recorded change of an operation from now on. Read the operation after this.
    pub fn follow(&self, id: OperationId) -> watch::Receiver<u64> {
        self.shared.residents.follow(id)
    }

    /// A receiver that is notified of everything that is recorded from now on, on any operation. Read the events after this.
    pub fn follow_all(&self) -> watch::Receiver<u64> {
        self.shared.residents.follow_all()
    }

    /// A lower operation is said to have ended. That only wakes whoever follows one of this id, who then asks its target: a word
    /// that is forged, comes twice or tells nonsense changes nothing. False if nobody follows such an operation, nor did a short
    /// while ago; where there are other nodes, they are told, and somebody may.
    pub fn lower_notified(&self, reference: &str) -> bool {
        let members = self.shared.members.as_ref();
        self.shared.lowers.say(reference) || members.is_some_and(|members| members.tell_lower(reference))
    }

    /// Puts a target on hold: no new attempt of any kind goes to it until it is released. To be carried to its end once begun:
    /// what is dropped in the middle may be recorded without being followed.
    ///
    /// # Errors
    /// If it cannot be recorded; nothing has changed then, unless the store's error says that it may have.
    pub async fn hold(&self, target: &TargetName, by: String, reason: String) -> Result<(), Error> {
        let since = self.shared.clock.now();
        hold::hold(&self.shared, Hold { target: target.clone(), since, by, reason }).await
    }

    /// Releases a target: what waits for it goes on, in order. To be carried to its end once begun, like a hold.
    ///
    /// # Errors
    /// If it cannot be recorded; nothing has changed then, unless the store's error says that it may have.
    pub async fn release(&self, target: &TargetName) -> Result<(), Error> {
        hold::release(&self.shared, target).await
    }

    /// Requests that an operation be canceled. Asking again changes nothing.
    ///
    /// # Errors
    /// [`Error::NotPossible`] if it has ended; [`Error::NotFound`]; the store's errors.
    pub async fn cancel(&self, id: OperationId, by: String) -> Result<CancelOutcome, Error> {
        let operation = self.tell(id, Event::CancelRequested { by }).await?;
        Ok(if operation.is_past_cancel() {
            CancelOutcome::TooLate(operation)
        } else {
            CancelOutcome::Accepted(operation)
        })
    }

    /// Records a fact about an operation, whichever node owns it.
    pub(crate) async fn tell(&self, id: OperationId, event: Event) -> Result<Arc<Operation>, Error> {
        tell::tell(&self.shared, id, event).await
    }

    /// Takes a dead notice up again: it is sent at once, its tries counted anew.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such notice; [`Error::NotPossible`] unless it is dead; the store's errors.
    pub async fn replay_notice(&self, id: &NoticeId) -> Result<(), Error> {
        match self.shared.store.replay_notice(id, self.shared.clock.now()).await {
            Err(StoreError::NotFound { .. }) => Err(Error::NotFound),
            Err(StoreError::Conflict) => {
                let notice = self.shared.store.notice(id).await?.ok_or(Error::NotFound)?;
                let state = format!("the notice is {}", notice.state.as_str());
                Err(Error::NotPossible(IllegalEvent { event: "replaying", state }))
            }
            recorded => {
                recorded?;
                self.shared.wake_notifier();
                Ok(())
            }
        }
    }

    /// Accepts nothing any more, or again; what runs goes on. Not recorded: a start accepts.
    pub fn drain(&self, draining: bool) {
        self.shared.drain.set(draining);
    }

    /// Stops: no attempt starts any more, those on the wire are awaited for `grace` and recorded. Returns how many operations
    /// were still waiting for an answer when the time was up; the next start recovers them, or another node.
    pub async fn stop(&self, grace: Duration) -> usize {
        self.shared.stop();
        let ended = async {
            loop {
                let mut actors = std::mem::take(&mut *self.shared.actors());
                if actors.is_empty() {
                    return;
                }
                while let Some(ended) = actors.join_next().await {
                    dispatch::report(ended);
                }
            }
        };
        // Running out of time is what the return value tells.
        drop(tokio::time::timeout(grace, ended).await);
        self.shared.traces.told().await;
        self.services.lock().await.shutdown().await;
        if let Some(members) = &self.shared.members {
            membership::leave(&self.shared, members).await;
        }
        self.shared.residents.running()
    }
}
