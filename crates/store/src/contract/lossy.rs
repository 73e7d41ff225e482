//! A store that loses answers, holds writes up and goes away when a test says so. What it does record stands in the store
//! below it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::dialect::Bodies;
use fanfold_core::{Operation, OperationId, Scope, Slot, TargetName, TenantId};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::*;

/// A store with troubles that a test chooses.
pub struct Lossy {
    below: Arc<dyn Store>,
    /// Acceptances that are recorded, and answered with an error.
    answers_to_lose: AtomicUsize,
    commits_fail: AtomicBool,
    /// Commits that find the record damaged.
    commits_to_refuse: AtomicUsize,
    /// Whether what is answered to acceptances, and told of keys, is kept back for now.
    answers_kept: watch::Sender<bool>,
    reads_fail: AtomicBool,
    /// Whether nothing is read at all.
    is_away: AtomicBool,
    keys_hidden: AtomicBool,
    /// Whether no operation is found until the store was asked to decide.
    undecided: AtomicBool,
    /// Outcomes of notices that are not recorded.
    outcomes_to_refuse: AtomicUsize,
    /// Whether holds and replays wait before they are recorded, and how many of them do.
    held_up: watch::Sender<(bool, usize)>,
    /// Holds and releases are recorded, and answered with an error.
    hold_answers_lost: AtomicBool,
    /// Operations that are not found, though their events are.
    forgotten: Mutex<BTreeSet<OperationId>>,
}

impl Lossy {
    /// A store without troubles, which records in the one below.
    pub fn new(below: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            below,
            answers_to_lose: AtomicUsize::new(0),
            commits_fail: AtomicBool::new(false),
            commits_to_refuse: AtomicUsize::new(0),
            answers_kept: watch::Sender::new(false),
            reads_fail: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
            keys_hidden: AtomicBool::new(false),
            undecided: AtomicBool::new(false),
            outcomes_to_refuse: AtomicUsize::new(0),
            held_up: watch::Sender::new((false, 0)),
            hold_answers_lost: AtomicBool::new(false),
            forgotten: Mutex::default(),
        })
    }

    /// So many acceptances are recorded, and answered with an error.
    pub fn lose_answers(&self, count: usize) {
        self.answers_to_lose.store(count, Ordering::SeqCst);
    }

    /// From now on no state is recorded, or again.
    pub fn fail_commits(&self, fail: bool) {
        self.commits_fail.store(fail, Ordering::SeqCst);
    }

    /// So many commits find the record damaged.
    pub fn refuse_commits(&self, count: usize) {
        self.commits_to_refuse.store(count, Ordering::SeqCst);
    }

    /// From now on acceptances are recorded, and their answers are on the way until they are let go; so is what keys were used
    /// for.
    pub fn keep_answers(&self, keep: bool) {
        self.answers_kept.send_replace(keep);
    }

    /// So many outcomes of notices are not recorded.
    pub fn refuse_outcomes(&self, count: usize) {
        self.outcomes_to_refuse.store(count, Ordering::SeqCst);
    }

    /// From now on no single operation and none of its bodies can be read, or again.
    pub fn fail_reads(&self, fail: bool) {
        self.reads_fail.store(fail, Ordering::SeqCst);
    }

    /// From now on nothing that requests ask for is read, or again.
    pub fn be_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn there(&self) -> Result<(), Error> {
        if self.is_away.load(Ordering::SeqCst) { Err(away(false)) } else { Ok(()) }
    }

    /// From now on nobody is told what an idempotency key was used for, or again.
    pub fn hide_keys(&self, hide: bool) {
        self.keys_hidden.store(hide, Ordering::SeqCst);
    }

    /// From now on no operation is found until the store is asked to decide: as if its commit was waited for.
    pub fn decide_late(&self) {
        self.undecided.store(true, Ordering::SeqCst);
    }

    /// From now on holds, releases and replays of notices wait before they are recorded, or go on.
    pub fn hold_up(&self, held_up: bool) {
        self.held_up.send_modify(|(now, _)| *now = held_up);
    }

    /// Waits until something is held up.
    pub async fn something_is_held_up(&self) {
        drop(self.held_up.subscribe().wait_for(|(_, waiting)| *waiting > 0).await);
    }

    /// From now on holds and releases are recorded and answered with an error, or again as they should be.
    pub fn lose_answers_to_holds(&self, lose: bool) {
        self.hold_answers_lost.store(lose, Ordering::SeqCst);
    }

    /// From now on this operation is not found, though its events are: as if it had been deleted after these were read.
    pub fn forget(&self, id: OperationId) {
        self.forgotten.lock().unwrap().insert(id);
    }

    /// A write that waits as long as writes are held up, and goes on though nobody waits for it any more: like one that
    /// stands in the queue of a database.
    async fn queued<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let held_up = self.held_up.clone();
        let queued = async move {
            held_up.send_modify(|(_, waiting)| *waiting += 1);
            drop(held_up.subscribe().wait_for(|(held_up, _)| !held_up).await);
            held_up.send_modify(|(_, waiting)| *waiting -= 1);
            write.await
        };
        #[expect(clippy::disallowed_methods, reason = "it stands for another process")]
        let queued = tokio::spawn(queued);
        queued.await.map_err(|_| away(true))?
    }
}

impl fmt::Debug for Lossy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lossy").finish_non_exhaustive()
    }
}

fn away(may_have_committed: bool) -> Error {
    Error::Unavailable { detail: "the connection was lost".to_owned(), may_have_committed }
}

/// Takes one off, if any is left.
fn one_more(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl Operations for Lossy {
    async fn decided(&self) -> Result<(), Error> {
        self.undecided.store(false, Ordering::SeqCst);
        self.below.decided().await
    }

    async fn accept(&self, acceptance: Acceptance) -> Result<Accepted, Error> {
        let accepted = self.below.accept(acceptance).await?;
        if one_more(&self.answers_to_lose) {
            return Err(away(true));
        }
        drop(self.answers_kept.subscribe().wait_for(|kept| !kept).await);
        Ok(accepted)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, Error> {
        if self.commits_fail.load(Ordering::SeqCst) {
            return Err(away(false));
        }
        if one_more(&self.commits_to_refuse) {
            return Err(Error::Corrupt { detail: "the record is damaged".to_owned() });
        }
        self.below.commit(commit).await
    }
}

#[async_trait]
impl ReadOperations for Lossy {
    async fn operation(&self, id: OperationId) -> Result<Option<Operation>, Error> {
        self.there()?;
        if self.reads_fail.load(Ordering::SeqCst) {
            return Err(away(false));
        }
        if self.undecided.load(Ordering::SeqCst) || self.forgotten.lock().unwrap().contains(&id) {
            return Ok(None);
        }
        self.below.operation(id).await
    }

    async fn operation_of(&self, tenant: &TenantId, id: OperationId) -> Result<Option<Operation>, Error> {
        Ok(self.operation(id).await?.filter(|operation| operation.tenant == *tenant))
    }

    async fn bodies(&self, id: OperationId) -> Result<Bodies, Error> {
        if self.reads_fail.load(Ordering::SeqCst) {
            return Err(away(false));
        }
        self.below.bodies(id).await
    }

    async fn body(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        if self.reads_fail.load(Ordering::SeqCst) {
            return Err(away(false));
        }
        self.below.body(id, slot).await
    }

    async fn list(&self, filter: &Filter, page: Page<OperationId>) -> Result<Vec<Operation>, Error> {
        self.there()?;
        self.below.list(filter, page).await
    }

    async fn place(
        &self,
        tenant: &TenantId,
        after: Option<OperationId>,
        places: usize,
    ) -> Result<Option<OperationId>, Error> {
        self.below.place(tenant, after, places).await
    }

    async fn counts(&self, tenant: Option<&TenantId>) -> Result<Counts, Error> {
        self.there()?;
        self.below.counts(tenant).await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        self.below.backlog().await
    }

    async fn key_use(&self, tenant: &TenantId, idempotency: &IdempotencyKey) -> Result<Option<KeyUse>, Error> {
        if self.keys_hidden.load(Ordering::SeqCst) {
            return Err(away(false));
        }
        let used = self.below.key_use(tenant, idempotency).await?;
        drop(self.answers_kept.subscribe().wait_for(|kept| !kept).await);
        Ok(used)
    }
}

#[async_trait]
impl Queue for Lossy {
    async fn due(&self, lane: &str, now: Timestamp, limit: usize) -> Result<Vec<OperationId>, Error> {
        self.below.due(lane, now, limit).await
    }

    async fn lanes(&self, now: Timestamp) -> Result<Vec<String>, Error> {
        self.below.lanes(now).await
    }

    async fn next_wake(&self, after: Timestamp) -> Result<Option<Timestamp>, Error> {
        self.below.next_wake(after).await
    }

    async fn open_operations(&self, after: Option<OperationId>, limit: usize) -> Result<Vec<OperationId>, Error> {
        self.below.open_operations(after, limit).await
    }
}

#[async_trait]
impl Sealed for Lossy {
    async fn sealed(&self, id: OperationId, slot: Slot) -> Result<Option<Bytes>, Error> {
        self.below.sealed(id, slot).await
    }

    async fn reseal(&self) -> Result<Resealed, Error> {
        self.below.reseal().await
    }

    async fn sealing_keys(&self) -> Result<Vec<KeyCount>, Error> {
        self.below.sealing_keys().await
    }
}

#[async_trait]
impl Outbox for Lossy {
    async fn due_notices(&self, wanted: DueNotices) -> Result<Vec<Notice>, Error> {
        self.below.due_notices(wanted).await
    }

    async fn next_notice(&self, after: Timestamp) -> Result<Option<Timestamp>, Error> {
        self.below.next_notice(after).await
    }

    async fn record_notice(&self, id: &NoticeId, outcome: NoticeOutcome) -> Result<(), Error> {
        if one_more(&self.outcomes_to_refuse) {
            return Err(away(false));
        }
        self.below.record_notice(id, outcome).await
    }

    async fn replay_notice(&self, id: &NoticeId, at: Timestamp) -> Result<(), Error> {
        let (below, id) = (Arc::clone(&self.below), id.clone());
        self.queued(async move { below.replay_notice(&id, at).await }).await
    }
}

#[async_trait]
impl ReadNotices for Lossy {
    async fn notices(&self, filter: &NoticeFilter, page: Page<u64>) -> Result<Vec<Notice>, Error> {
        self.there()?;
        self.below.notices(filter, page).await
    }

    async fn outbox(&self) -> Result<OutboxState, Error> {
        self.below.outbox().await
    }

    async fn notice(&self, id: &NoticeId) -> Result<Option<Notice>, Error> {
        self.there()?;
        self.below.notice(id).await
    }
}

#[async_trait]
impl Notes for Lossy {
    async fn acknowledge(&self, id: AttentionId, closed: Closed) -> Result<Change, Error> {
        self.below.acknowledge(id, closed).await
    }
}

#[async_trait]
impl ReadNotes for Lossy {
    async fn notes(&self, filter: &NoteFilter, page: Page<AttentionId>) -> Result<Vec<Note>, Error> {
        self.there()?;
        self.below.notes(filter, page).await
    }

    async fn note(&self, id: AttentionId) -> Result<Option<Note>, Error> {
        self.there()?;
        self.below.note(id).await
    }
}

#[async_trait]
impl Holds for Lossy {
    async fn hold(&self, hold: Hold) -> Result<Change, Error> {
        let below = Arc::clone(&self.below);
        let change = self.queued(async move { below.hold(hold).await }).await?;
        if self.hold_answers_lost.load(Ordering::SeqCst) { Err(away(true)) } else { Ok(change) }
    }

    async fn release(&self, target: &TargetName) -> Result<Change, Error> {
        let (below, target) = (Arc::clone(&self.below), target.clone());
        let change = self.queued(async move { below.release(&target).await }).await?;
        if self.hold_answers_lost.load(Ordering::SeqCst) { Err(away(true)) } else { Ok(change) }
    }
}

#[async_trait]
impl ReadHolds for Lossy {
    async fn holds(&self) -> Result<Vec<Hold>, Error> {
        self.there()?;
        self.below.holds().await
    }
}

#[async_trait]
impl Tokens for Lossy {
    async fn create_token(&self, token: NewToken) -> Result<TokenCreated, Error> {
        // Whether the name is free has to be read.
        self.there()?;
        self.below.create_token(token).await
    }

    async fn revoke_token(&self, id: TokenId, tenant: Option<&TenantId>, revoked: Revoked) -> Result<Change, Error> {
        self.below.revoke_token(id, tenant, revoked).await
    }

    async fn touch_tokens(&self, uses: &[TokenUse]) -> Result<(), Error> {
        self.below.touch_tokens(uses).await
    }
}

#[async_trait]
impl Sessions for Lossy {
    async fn begin_session(&self, session: Session) -> Result<SessionBegun, Error> {
        self.below.begin_session(session).await
    }

    async fn end_session(&self, digest: SecretDigest) -> Result<Change, Error> {
        self.below.end_session(digest).await
    }
}

#[async_trait]
impl ReadTokens for Lossy {
    async fn token(&self, id: TokenId) -> Result<Option<Token>, Error> {
        self.there()?;
        self.below.token(id).await
    }

    async fn tokens(&self, tenant: Option<&TenantId>, page: Page<TokenId>) -> Result<Vec<Token>, Error> {
        self.there()?;
        self.below.tokens(tenant, page).await
    }

    async fn live_tokens(&self) -> Result<LiveTokens, Error> {
        self.there()?;
        self.below.live_tokens().await
    }

    async fn tokens_changed(&self) -> Result<TokenChanges, Error> {
        self.there()?;
        self.below.tokens_changed().await
    }
}

#[async_trait]
impl Audit for Lossy {
    async fn record_audit(&self, entry: NewAuditEntry) -> Result<AuditNumber, Error> {
        self.below.record_audit(entry).await
    }
}

#[async_trait]
impl ReadAudit for Lossy {
    async fn audit(&self, filter: &AuditFilter, page: Page<AuditNumber>) -> Result<Vec<AuditEntry>, Error> {
        self.there()?;
        self.below.audit(filter, page).await
    }
}

#[async_trait]
impl Retention for Lossy {
    async fn sweep(&self, now: Timestamp, batch: usize) -> Result<Swept, Error> {
        self.below.sweep(now, batch).await
    }

    async fn sweep_access(&self, now: Timestamp, batch: usize) -> Result<Swept, Error> {
        self.below.sweep_access(now, batch).await
    }
}

#[async_trait]
impl ReadSize for Lossy {
    async fn size(&self) -> Result<Size, Error> {
        self.there()?;
        self.below.size().await
    }

    fn trouble(&self) -> Option<Error> {
        self.below.trouble()
    }
}

#[async_trait]
impl ReadHistory for Lossy {
    async fn history(&self, id: OperationId, after: EventNumber, limit: usize) -> Result<Vec<Recorded>, Error> {
        self.there()?;
        self.below.history(id, after, limit).await
    }

    async fn events(
        &self,
        tenant: &TenantId,
        scope: &Scope,
        after: EventNumber,
        limit: usize,
    ) -> Result<Events, Error> {
        self.below.events(tenant, scope, after, limit).await
    }

    async fn latest_event(&self) -> Result<EventNumber, Error> {
        self.there()?;
        self.below.latest_event().await
    }
}

#[async_trait]
impl Locks for Lossy {
    async fn lock_holder(&self, tenant: &TenantId, key: &str) -> Result<Option<OperationId>, Error> {
        self.below.lock_holder(tenant, key).await
    }

    async fn lock_place(&self, operation: OperationId) -> Result<Option<LockPlace>, Error> {
        self.below.lock_place(operation).await
    }
}
