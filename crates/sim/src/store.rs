//! The model as a store that fails, answers late or not at all, and loses power between any two writes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::dialect::Bodies;
use fanfold_core::{Operation, OperationId, Scope, Slot, TargetName, TenantId};
use fanfold_store::model::Model;
use fanfold_store::{
    Acceptance, Accepted, AttentionId, Audit, AuditEntry, AuditFilter, AuditNumber, Backlog, Change, Closed, Commit,
    Committed, Counts, DueNotices, Error, EventNumber, Events, Filter, Hold, Holds, IdempotencyKey, KeyCount, KeyUse,
    LIST_MAX, LiveTokens, LockPlace, Locks, NewAuditEntry, NewToken, Note, NoteFilter, Notes, Notice, NoticeFilter,
    NoticeId, NoticeOutcome, NoticeState, Operations, Outbox, OutboxState, Page, Queue, ReadAudit, ReadHistory,
    ReadHolds, ReadNotes, ReadNotices, ReadOperations, ReadSize, ReadTokens, Recorded, Resealed, Retention, Revoked,
    Sealed, Session, SessionBegun, Sessions, Size, Swept, Token, TokenChanges, TokenCreated, TokenUse, Tokens,
};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::routes;
use crate::scenario::{Scenario, WriteFault};

/// A store with faults.
#[derive(Debug)]
pub(crate) struct Faulty {
    pub(crate) model: Model,
    /// What befalls which write.
    faults: Mutex<Vec<(u64, WriteFault)>>,
    writes: AtomicU64,
    /// What befalls which acceptance.
    accept_faults: Mutex<Vec<(u64, WriteFault)>>,
    acceptances: AtomicU64,
    calm: AtomicBool,
    power: Notify,
    /// The faults that had their turn.
    met: Mutex<Vec<WriteFault>>,
    /// What was deleted, as it was last; and whose dead letters were among it.
    purged: Mutex<Vec<(Operation, Vec<Recorded>)>>,
    purged_dead: Mutex<BTreeSet<OperationId>>,
}

impl Faulty {
    pub(crate) fn new(scenario: &Scenario) -> Arc<Self> {
        Arc::new(Self {
            model: Model::default(),
            faults: Mutex::new(scenario.writes.clone()),
            writes: AtomicU64::new(0),
            accept_faults: Mutex::new(scenario.acceptances.clone()),
            acceptances: AtomicU64::new(0),
            calm: AtomicBool::new(false),
            power: Notify::new(),
            met: Mutex::default(),
            purged: Mutex::default(),
            purged_dead: Mutex::default(),
        })
    }

    /// All operations that there ever were, with what happened to them; those that were deleted first.
    pub(crate) fn operations(&self) -> Vec<(Operation, Vec<Recorded>)> {
        let mut operations = self.purged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        operations.extend(self.present());
        operations
    }

    pub(crate) fn is_purged(&self, id: OperationId) -> bool {
        let purged = self.purged.lock().unwrap_or_else(PoisonError::into_inner);
        purged.iter().any(|(operation, _)| operation.id == id)
    }

    /// Whether it was deleted with a dead letter.
    pub(crate) fn is_purged_dead(&self, id: OperationId) -> bool {
        self.purged_dead.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    fn dead(&self) -> BTreeSet<OperationId> {
        let dead = routes::tenants().into_iter().flat_map(|tenant| {
            let filter = NoticeFilter { state: Some(NoticeState::Dead), tenant, ..NoticeFilter::default() };
            let dead = self.model.notices(&filter, Page::newest(LIST_MAX)).now_or_never();
            dead.and_then(Result::ok).unwrap_or_default()
        });
        dead.map(|notice| notice.operation).collect()
    }

    fn present(&self) -> Vec<(Operation, Vec<Recorded>)> {
        // The model answers at once.
        let operations = routes::tenants().into_iter().flat_map(|tenant| {
            let filter = Filter { tenant, ..Filter::default() };
            let listed = self.model.list(&filter, Page::newest(LIST_MAX)).now_or_never();
            listed.and_then(Result::ok).unwrap_or_default()
        });
        let with_history = operations.map(|operation| {
            let history = self.model.history(operation.id, EventNumber::default(), LIST_MAX).now_or_never();
            (operation, history.and_then(Result::ok).unwrap_or_default())
        });
        with_history.collect()
    }

    /// No faults any more.
    pub(crate) fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Ends when the power is lost.
    pub(crate) async fn power_lost(&self) {
        self.power.notified().await;
    }

    pub(crate) fn met(&self) -> Vec<WriteFault> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fault(&self) -> Option<WriteFault> {
        self.next_of(&self.faults, &self.writes)
    }

    /// What befalls the next one of a kind.
    fn next_of(&self, faults: &Mutex<Vec<(u64, WriteFault)>>, counter: &AtomicU64) -> Option<WriteFault> {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        if self.calm.load(Ordering::Relaxed) {
            return None;
        }
        let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
        let at = faults.iter().position(|(other, _)| *other == number)?;
        let (_, fault) = faults.remove(at);
        self.met.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
        Some(fault)
    }

    async fn lose_power(&self) -> ! {
        self.power.notify_one();
        // Nothing of this process goes on.
        std::future::pending().await
    }

    async fn write<T: Send>(&self, write: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        self.befall(self.fault(), write).await
    }

    async fn befall<T: Send>(
        &self,
        fault: Option<WriteFault>,
        write: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        match fault {
            None => write.await,
            Some(WriteFault::Fails) => {
                Err(Error::Unavailable { detail: "told to fail".into(), may_have_committed: false })
            }
            Some(WriteFault::Full) => Err(Error::Full { detail: "told to be full".into(), may_have_committed: false }),
            Some(WriteFault::AnswerLost) => {
                // Whether it was possible is lost, too.
                drop(write.await);
                Err(Error::Unavailable { detail: "told to lose the answer".into(), may_have_committed: true })
            }
            Some(WriteFault::Slow(millis)) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                write.await
            }
            Some(WriteFault::PowerLostBefore) => self.lose_power().await,
            Some(WriteFault::PowerLostAfter) => {
                drop(write.await);
                self.lose_power().await
            }
        }
    }
}

#[async_trait]
impl Operations for Faulty {
    async fn decided(&self) -> Result<(), Error> {
        self.model.decided().await
    }

    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, Error> {
        let fault = self.next_of(&self.accept_faults, &self.acceptances);
        let fault = self.fault().or(fault);
        self.befall(fault, self.model.accept(acceptance)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, Error> {
        self.write(self.model.commit(commit)).await
    }
}

#[async_trait]
impl ReadOperations for Faulty {
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, Error> {
        self.model.operation(id).await
    }

    async fn operation_of(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>, Error> {
        self.model.operation_of(tenant, id).await
    }

    async fn bodies(&self, id: OperationId) -> Result<Bodies, Error> {
        self.model.bodies(id).await
    }

    async fn body(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        self.model.body(id, slot).await
    }

    async fn list(&self, filter: &Filter, page: Page<OperationId>) -> Result<Vec<Operation>, Error> {
        self.model.list(filter, page).await
    }

    async fn place(
        &self,
        tenant: &TenantId,
        after: Option<OperationId>,
        places: usize,
    ) -> Result<Option<OperationId>, Error> {
        self.model.place(tenant, after, places).await
    }

    async fn counts(&self, tenant: Option<&TenantId>) -> Result<Counts, Error> {
        self.model.counts(tenant).await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        self.model.backlog().await
    }

    async fn key_use(&self, tenant: &TenantId, idempotency: &IdempotencyKey) -> Result<Option<KeyUse>, Error> {
        self.model.key_use(tenant, idempotency).await
    }
}

#[async_trait]
impl Queue for Faulty {
    async fn due(&self, lane: &str, now: Timestamp, limit: usize) -> Result<Vec<OperationId>, Error> {
        self.model.due(lane, now, limit).await
    }

    async fn lanes(&self, now: Timestamp) -> Result<Vec<String>, Error> {
        self.model.lanes(now).await
    }

    async fn next_wake(&self, after: Timestamp) -> Result<Option<Timestamp>, Error> {
        self.model.next_wake(after).await
    }

    async fn open_operations(&self, after: Option<OperationId>, limit: usize) -> Result<Vec<OperationId>, Error> {
        self.model.open_operations(after, limit).await
    }
}

#[async_trait]
impl Sealed for Faulty {
    async fn sealed(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        self.model.sealed(id, slot).await
    }

    async fn reseal(&self) -> Result<Resealed, Error> {
        self.model.reseal().await
    }

    async fn sealing_keys(&self) -> Result<Vec<KeyCount>, Error> {
        self.model.sealing_keys().await
    }
}

#[async_trait]
impl Outbox for Faulty {
    async fn due_notices(&self, wanted: DueNotices) -> Result<Vec<Notice>, Error> {
        self.model.due_notices(wanted).await
    }

    async fn next_notice(&self, after: Timestamp) -> Result<Option<Timestamp>, Error> {
        self.model.next_notice(after).await
    }

    async fn record_notice(&self, id: &NoticeId, outcome: NoticeOutcome) -> Result<(), Error> {
        self.write(self.model.record_notice(id, outcome)).await
    }

    async fn replay_notice(&self, id: &NoticeId, at: Timestamp) -> Result<(), Error> {
        self.write(self.model.replay_notice(id, at)).await
    }
}

#[async_trait]
impl ReadNotices for Faulty {
    async fn notices(&self, filter: &NoticeFilter, page: Page<u64>) -> Result<Vec<Notice>, Error> {
        self.model.notices(filter, page).await
    }

    async fn outbox(&self) -> Result<OutboxState, Error> {
        self.model.outbox().await
    }

    async fn notice(&self, id: &NoticeId) -> Result<Option<Notice>, Error> {
        self.model.notice(id).await
    }
}

#[async_trait]
impl Notes for Faulty {
    async fn acknowledge(&self, id: AttentionId, closed: Closed) -> Result<Change, Error> {
        self.write(self.model.acknowledge(id, closed)).await
    }
}

#[async_trait]
impl ReadNotes for Faulty {
    async fn notes(&self, filter: &NoteFilter, page: Page<AttentionId>) -> Result<Vec<Note>, Error> {
        self.model.notes(filter, page).await
    }

    async fn note(&self, id: AttentionId) -> Result<Option<Note>, Error> {
        self.model.note(id).await
    }
}

#[async_trait]
impl Holds for Faulty {
    async fn hold(&self, hold: Hold) -> Result<Change, Error> {
        self.write(self.model.hold(hold)).await
    }

    async fn release(&self, target: &TargetName) -> Result<Change, Error> {
        self.write(self.model.release(target)).await
    }
}

#[async_trait]
impl ReadHolds for Faulty {
    async fn holds(&self) -> Result<Vec<Hold>, Error> {
        self.model.holds().await
    }
}

// Nothing befalls these: what becomes of operations does not depend on them.
#[async_trait]
impl Tokens for Faulty {
    async fn create_token(&self, token: NewToken) -> Result<TokenCreated, Error> {
        self.model.create_token(token).await
    }

    async fn revoke_token(&self, id: TokenId, tenant: Option<&TenantId>, revoked: Revoked) -> Result<Change, Error> {
        self.model.revoke_token(id, tenant, revoked).await
    }

    async fn touch_tokens(&self, uses: &[TokenUse]) -> Result<(), Error> {
        self.model.touch_tokens(uses).await
    }
}

#[async_trait]
impl Sessions for Faulty {
    async fn begin_session(&self, session: Session) -> Result<SessionBegun, Error> {
        self.model.begin_session(session).await
    }

    async fn end_session(&self, digest: SecretDigest) -> Result<Change, Error> {
        self.model.end_session(digest).await
    }
}

#[async_trait]
impl ReadTokens for Faulty {
    async fn token(&self, id: TokenId) -> Result<Option<Token>, Error> {
        self.model.token(id).await
    }

    async fn tokens(&self, tenant: Option<&TenantId>, page: Page<TokenId>) -> Result<Vec<Token>, Error> {
        self.model.tokens(tenant, page).await
    }

    async fn live_tokens(&self) -> Result<LiveTokens, Error> {
        self.model.live_tokens().await
    }

    async fn tokens_changed(&self) -> Result<TokenChanges, Error> {
        self.model.tokens_changed().await
    }
}

#[async_trait]
impl Audit for Faulty {
    async fn record_audit(&self, entry: NewAuditEntry) -> Result<AuditNumber, Error> {
        self.model.record_audit(entry).await
    }
}

#[async_trait]
impl ReadAudit for Faulty {
    async fn audit(&self, filter: &AuditFilter, page: Page<AuditNumber>) -> Result<Vec<AuditEntry>, Error> {
        self.model.audit(filter, page).await
    }
}

#[async_trait]
impl Retention for Faulty {
    async fn sweep(&self, now: Timestamp, batch: usize) -> Result<Swept, Error> {
        let sweep = async {
            let (before, dead) = (self.present(), self.dead());
            let swept = self.model.sweep(now, batch).await;
            if swept.as_ref().is_ok_and(|swept| swept.deleted > 0) {
                let kept = self.present();
                let is_gone = |id| !kept.iter().any(|(operation, _)| operation.id == id);
                let gone = before.into_iter().filter(|(operation, _)| is_gone(operation.id));
                let dead = dead.into_iter().filter(|id| is_gone(*id));
                self.purged_dead.lock().unwrap_or_else(PoisonError::into_inner).extend(dead);
                self.purged.lock().unwrap_or_else(PoisonError::into_inner).extend(gone);
            }
            swept
        };
        self.write(sweep).await
    }

    async fn sweep_access(&self, now: Timestamp, batch: usize) -> Result<Swept, Error> {
        self.model.sweep_access(now, batch).await
    }
}

#[async_trait]
impl ReadSize for Faulty {
    async fn size(&self) -> Result<Size, Error> {
        self.model.size().await
    }

    fn trouble(&self) -> Option<Error> {
        self.model.trouble()
    }
}

#[async_trait]
impl Locks for Faulty {
    async fn lock_holder(&self, tenant: &TenantId, key: &str) -> Result<Option<OperationId>, Error> {
        self.model.lock_holder(tenant, key).await
    }

    async fn lock_place(&self, operation: OperationId) -> Result<Option<LockPlace>, Error> {
        self.model.lock_place(operation).await
    }
}

#[async_trait]
impl ReadHistory for Faulty {
    async fn history(&self, id: OperationId, after: EventNumber, limit: usize) -> Result<Vec<Recorded>, Error> {
        self.model.history(id, after, limit).await
    }

    async fn events(
        &self,
        tenant: &TenantId,
        scope: &Scope,
        after: EventNumber,
        limit: usize,
    ) -> Result<Events, Error> {
        self.model.events(tenant, scope, after, limit).await
    }

    async fn latest_event(&self) -> Result<EventNumber, Error> {
        self.model.latest_event().await
    }
}
