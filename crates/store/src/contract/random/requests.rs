//! Random requests, and their answers as texts that can be compared.

use std::fmt::Debug;

use fanfold_core::operation::{Phase, Status};
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::{OperationId, Scope, Slot, StepIndex, TenantId};
use jiff::{SignedDuration, Timestamp};

use super::audit::AuditRequest;
use super::generator::Generator;
use super::states::{key, random_acceptance, random_commit};
use super::tokens::TokenRequest;
use crate::model::Model;
use crate::{
    Acceptance, Accepted, AttentionId, Change, Closed, Commit, DueNotices, Error, Filter, Hold, IdempotencyKey,
    NoticeFilter, NoticeId, NoticeOutcome, NoticeState, Order, Page, Queue, ReadHolds, ReadNotes, ReadNotices,
    ReadOperations, Store,
};

/// A request to a store.
#[derive(Debug)]
pub(super) enum Request {
    Accept(Box<Acceptance>),
    Commit(Box<Commit>),
    Due(String, Timestamp, usize),
    Lanes(Timestamp),
    NextWake(Timestamp),
    OpenOperations(Option<OperationId>, usize),
    LockHolder(TenantId, String),
    LockPlace(OperationId),
    Read(OperationId),
    Sealed(OperationId, Slot),
    List(Box<Filter>, Page<OperationId>),
    Acknowledge(AttentionId, Closed),
    DueNotices(DueNotices),
    NextNotice(Timestamp),
    RecordNotice(NoticeId, NoticeOutcome),
    Replay(NoticeId, Timestamp),
    Hold(Hold),
    Release(String),
    Sweep(Timestamp, usize),
    Counts(Option<TenantId>),
    KeyUse(TenantId, IdempotencyKey),
    Token(TokenRequest),
    Audit(AuditRequest),
}

/// What succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]

pub enum Kind {
    AcceptNew,
    AcceptSame,
    AcceptKeyReused,
    AcceptRetried,
    AcceptLocked,
    AcceptLockQueueFull,
    AcceptTooManyWaiting,
    AcceptTooManyOfTenant,
    Commit,
    CommitGranting,
    Due,
    Lanes,
    NextWake,
    OpenOperations,
    LockHolder,
    LockPlace,
    Read,
    Sealed,
    List,
    Acknowledge,
    DueNotices,
    NextNotice,
    RecordNotice,
    Replay,
    Hold,
    Release,
    Sweep,
    Counts,
    KeyUse,
    CreateToken,
    CreateTokenNameTaken,
    CreateTokenTooMany,
    CreateTokenTenantTooMany,
    RevokeToken,
    TouchTokens,
    ReadToken,
    ListTokens,
    LiveTokens,
    BeginSession,
    BeginSessionTooMany,
    EndSession,
    SweepAccess,
    RecordAudit,
    Audit,
}

impl Kind {
    pub(super) const ALL: [Self; 44] = [
        Self::AcceptNew,
        Self::AcceptSame,
        Self::AcceptKeyReused,
        Self::AcceptRetried,
        Self::AcceptLocked,
        Self::AcceptLockQueueFull,
        Self::AcceptTooManyWaiting,
        Self::AcceptTooManyOfTenant,
        Self::Commit,
        Self::CommitGranting,
        Self::Due,
        Self::Lanes,
        Self::NextWake,
        Self::OpenOperations,
        Self::LockHolder,
        Self::LockPlace,
        Self::Read,
        Self::Sealed,
        Self::List,
        Self::Acknowledge,
        Self::DueNotices,
        Self::NextNotice,
        Self::RecordNotice,
        Self::Replay,
        Self::Hold,
        Self::Release,
        Self::Sweep,
        Self::Counts,
        Self::KeyUse,
        Self::CreateToken,
        Self::CreateTokenNameTaken,
        Self::CreateTokenTooMany,
        Self::CreateTokenTenantTooMany,
        Self::RevokeToken,
        Self::TouchTokens,
        Self::ReadToken,
        Self::ListTokens,
        Self::LiveTokens,
        Self::BeginSession,
        Self::BeginSessionTooMany,
        Self::EndSession,
        Self::SweepAccess,
        Self::RecordAudit,
        Self::Audit,
    ];
}

/// An answer in a form that can be compared.
pub(super) struct Reply {
    /// What succeeded, if it did: an answer that shows nothing, or changed nothing, is no success.
    pub(super) kind: Option<Kind>,
    pub(super) text: String,
}

impl Request {
    /// A request that has a fair chance to succeed; the model tells what there is.
    pub(super) async fn random(generator: &mut Generator, model: &Model) -> Self {
        let known = generator.operation();
        match generator.below(110) {
            0..30 => Self::Accept(Box::new(random_acceptance(generator))),
            30..66 => Self::commit(generator, model).await,
            66..72 => notice_request(generator, model).await,
            72..76 => attention_request(generator, model).await,
            76..78 => hold_request(generator, model).await,
            78..80 => Self::sweep(generator),
            80..86 => Self::Token(TokenRequest::random(generator)),
            86..90 => Self::Audit(AuditRequest::random(generator)),
            _ => Self::reading(generator, known),
        }
    }

    async fn commit(generator: &mut Generator, model: &Model) -> Self {
        // Mostly of an operation that has not ended, or few would ever get anywhere.
        let open = model.open_operations(None, usize::MAX).await.unwrap();
        let id = if open.is_empty() || generator.once_in(10) {
            generator.operation()
        } else {
            Some(generator.one_of(&open))
        };
        let Some(id) = id else { return Self::Counts(None) };
        let Some(mut operation) = model.operation(id).await.unwrap() else { return Self::Read(id) };
        if generator.once_in(15) {
            // Stale, or from the future.
            operation.revision.0 = (operation.revision.0 + generator.below(3)).saturating_sub(1);
        }
        Self::Commit(Box::new(random_commit(generator, &operation)))
    }

    fn sweep(generator: &mut Generator) -> Self {
        let now = generator.now();
        let later = generator.one_of(&[0, 500, 3_000]);
        let batch = generator.one_of(&[1, 5, 2_000]);
        Self::Sweep(now + SignedDuration::from_secs(later), batch)
    }

    fn reading(generator: &mut Generator, known: Option<OperationId>) -> Self {
        let now = generator.soon();
        let limit = generator.one_of(&[0, 1, 5, 5_000]);
        let lane = generator.one_of(&["a", "b", "c"]).to_owned();
        let step = StepIndex(generator.one_of(&[0, 1]));
        match (generator.below(13), known) {
            (0, _) => Self::Due(lane, now, limit),
            (1, _) => Self::Lanes(now),
            (2, _) => Self::NextWake(now),
            (3, _) => Self::OpenOperations(known.filter(|_| generator.once_in(2)), limit),
            (4, _) => Self::LockHolder(generator.tenant(), format!("lock/{}", generator.below(5))),
            (5, Some(id)) => Self::LockPlace(id),
            (6, Some(id)) => Self::Read(id),
            (7, Some(id)) => Self::Sealed(id, generator.one_of(&[Slot::Request, Slot::Before(step)])),
            (8, _) => {
                let after = generator.one_of(&["", "a:80", "b:80", "z"]).to_owned();
                Self::DueNotices(DueNotices { now, after, each: limit / 2, limit })
            }
            (9, _) => Self::NextNotice(now),
            (10, _) => Self::Counts(generator.perhaps(2, Generator::tenant)),
            (11, _) => Self::KeyUse(generator.tenant(), key(generator)),
            _ => {
                let order = generator.one_of(&[Order::NewestFirst, Order::OldestFirst]);
                let page = Page { order, after: known.filter(|_| generator.once_in(3)), limit };
                Self::List(Box::new(filter(generator)), page)
            }
        }
    }
}

fn filter(generator: &mut Generator) -> Filter {
    let around = |generator: &mut Generator| {
        let seconds = i64::try_from(generator.below(300)).unwrap();
        generator.now() - SignedDuration::from_secs(seconds)
    };
    Filter {
        tenant: generator.tenant(),
        scope: scope(generator),
        statuses: generator.some(2, |generator| generator.one_of(&Status::ALL)).into_iter().collect(),
        phases: generator
            .perhaps(6, |generator| generator.some(3, |generator| generator.one_of(&Phase::ALL)).into_iter().collect())
            .unwrap_or_default(),
        route: generator.perhaps(9, |generator| generator.one_of(&["create", "Change"]).to_owned()),
        dialect: generator.perhaps(9, |generator| generator.one_of(&[DialectName::Native, DialectName::Msf])),
        mount: generator.perhaps(9, |generator| generator.one_of(&["", "/v1"]).to_owned()),
        owner: generator.perhaps(9, |generator| generator.one_of(&["anna", "bert"]).to_owned()),
        verb: generator.perhaps(9, |generator| generator.one_of(&[Verb::Create, Verb::Delete])),
        resource: generator.perhaps(9, |generator| format!("/v1/things/{}", generator.below(5))),
        target: generator.perhaps(9, |generator| generator.one_of(&["tokyo", "osaka"]).into()),
        attention: generator.perhaps(9, |generator| generator.once_in(2)),
        since: generator.perhaps(9, around),
        until: generator.perhaps(9, around),
        text: generator
            .perhaps(9, |generator| generator.one_of(&["change", "THINGS/3", "-", "0-7", "QUOTA"]).to_owned()),
        retry_of: generator.perhaps(9, Generator::operation).flatten(),
        first: generator.perhaps(9, Generator::operation).flatten(),
    }
}

/// Mostly everything.
fn scope(generator: &mut Generator) -> Scope {
    let routes = |generator: &mut Generator| {
        generator.some(2, |generator| generator.one_of(&["create", "Change", "gone"]).to_owned())
    };
    let targets = |generator: &mut Generator| {
        generator.some(3, |generator| generator.one_of(&["tokyo", "osaka", "kyoto"]).into())
    };
    Scope {
        routes: generator.perhaps(5, routes).map(|names| names.into_iter().collect()),
        targets: generator.perhaps(5, targets).map(|names| names.into_iter().collect()),
    }
}

async fn notice_request(generator: &mut Generator, model: &Model) -> Request {
    let wanted = if generator.once_in(4) { None } else { Some(NoticeState::Pending) };
    let filter = NoticeFilter { tenant: generator.tenant(), state: wanted, ..NoticeFilter::default() };
    let notices = model.notices(&filter, Page::newest(50)).await.unwrap();
    let dead = NoticeFilter { state: Some(NoticeState::Dead), ..filter };
    let dead = model.notices(&dead, Page::newest(50)).await.unwrap();
    let at = generator.now();
    let again_at = generator.soon();
    if !dead.is_empty() && generator.once_in(3) {
        return Request::Replay(generator.one_of(&dead).notice.id, again_at);
    }
    let id = if notices.is_empty() { NoticeId("nowhere".to_owned()) } else { generator.one_of(&notices).notice.id };
    let error = "connection refused".to_owned();
    let outcome = match generator.below(3) {
        0 => NoticeOutcome::Delivered { at },
        1 => NoticeOutcome::Failed { error, again_at },
        _ => NoticeOutcome::Dead { error, at },
    };
    Request::RecordNotice(id, outcome)
}

async fn attention_request(generator: &mut Generator, model: &Model) -> Request {
    let filter = crate::NoteFilter { tenant: generator.tenant(), ..crate::NoteFilter::default() };
    let notes = model.notes(&filter, Page::newest(50)).await.unwrap();
    let id = if notes.is_empty() { AttentionId(1_000_000) } else { generator.one_of(&notes).id };
    let remark = generator.perhaps(2, |_| "done".to_owned());
    Request::Acknowledge(id, Closed { at: generator.now(), by: "bert".to_owned(), remark })
}

async fn hold_request(generator: &mut Generator, model: &Model) -> Request {
    let held = model.holds().await.unwrap();
    let target = generator.one_of(&["tokyo", "osaka", "kyoto"]);
    if held.is_empty() || generator.once_in(2) {
        let since = generator.now();
        Request::Hold(Hold { target: target.into(), since, by: "anna".to_owned(), reason: "broken".to_owned() })
    } else {
        Request::Release(target.to_owned())
    }
}

/// The answer as text. Of an error only the kind counts: the words may differ between stores.
pub(super) fn reply<T: Debug>(answer: Result<T, Error>, kind: impl FnOnce(&T) -> Option<Kind>) -> Reply {
    match answer {
        Ok(answer) => Reply { kind: kind(&answer), text: format!("{answer:?}") },
        Err(error) => {
            let text = match error {
                Error::Conflict => "conflict".to_owned(),
                Error::NotFound { .. } => "not found".to_owned(),
                Error::Invalid { .. } => "invalid".to_owned(),
                other => panic!("this must not happen in a comparison: {other}"),
            };
            Reply { kind: None, text }
        }
    }
}

pub(super) fn if_any<T>(kind: Kind) -> impl FnOnce(&Vec<T>) -> Option<Kind> {
    move |found| (!found.is_empty()).then_some(kind)
}

pub(super) fn if_some<T>(kind: Kind) -> impl FnOnce(&Option<T>) -> Option<Kind> {
    move |found| found.is_some().then_some(kind)
}

pub(super) fn if_made(kind: Kind) -> impl FnOnce(&Change) -> Option<Kind> {
    move |change| (*change == Change::Made).then_some(kind)
}

impl Request {
    pub(super) async fn send(&self, store: &dyn Store) -> Reply {
        match self {
            Self::Accept(acceptance) => {
                reply(store.accept((**acceptance).clone()).await, |accepted| Some(accept_kind(accepted)))
            }
            Self::Commit(commit) => reply(store.commit((**commit).clone()).await, |committed| {
                Some(if committed.granted.is_some() { Kind::CommitGranting } else { Kind::Commit })
            }),
            Self::Due(lane, now, limit) => reply(store.due(lane, *now, *limit).await, if_any(Kind::Due)),
            Self::Lanes(now) => reply(store.lanes(*now).await, if_any(Kind::Lanes)),
            Self::NextWake(after) => reply(store.next_wake(*after).await, if_some(Kind::NextWake)),
            Self::OpenOperations(after, limit) => {
                reply(store.open_operations(*after, *limit).await, if_any(Kind::OpenOperations))
            }
            Self::LockHolder(tenant, key) => reply(store.lock_holder(tenant, key).await, if_some(Kind::LockHolder)),
            Self::LockPlace(id) => reply(store.lock_place(*id).await, if_some(Kind::LockPlace)),
            Self::Read(id) => reply(store.operation(*id).await, if_some(Kind::Read)),
            Self::Sealed(id, slot) => reply(store.sealed(*id, *slot).await, if_some(Kind::Sealed)),
            Self::List(filter, page) => reply(store.list(filter, *page).await, if_any(Kind::List)),
            Self::Acknowledge(id, closed) => {
                reply(store.acknowledge(*id, closed.clone()).await, if_made(Kind::Acknowledge))
            }
            Self::DueNotices(wanted) => reply(store.due_notices(wanted.clone()).await, if_any(Kind::DueNotices)),
            Self::NextNotice(after) => reply(store.next_notice(*after).await, if_some(Kind::NextNotice)),
            Self::RecordNotice(id, outcome) => {
                reply(store.record_notice(id, outcome.clone()).await, |()| Some(Kind::RecordNotice))
            }
            Self::Replay(id, at) => reply(store.replay_notice(id, *at).await, |()| Some(Kind::Replay)),
            Self::Hold(hold) => reply(store.hold(hold.clone()).await, if_made(Kind::Hold)),
            Self::Release(target) => reply(store.release(&target.as_str().into()).await, if_made(Kind::Release)),
            Self::Sweep(now, batch) => {
                reply(store.sweep(*now, *batch).await, |swept| (swept.deleted > 0).then_some(Kind::Sweep))
            }
            Self::Counts(tenant) => {
                reply(store.counts(tenant.as_ref()).await, |counts| (!counts.is_empty()).then_some(Kind::Counts))
            }
            Self::KeyUse(tenant, key) => reply(store.key_use(tenant, key).await, if_some(Kind::KeyUse)),
            Self::Token(request) => request.send(store).await,
            Self::Audit(request) => request.send(store).await,
        }
    }
}

fn accept_kind(accepted: &Accepted) -> Kind {
    match accepted {
        Accepted::New { .. } => Kind::AcceptNew,
        Accepted::Same(_) => Kind::AcceptSame,
        Accepted::KeyReused(_) => Kind::AcceptKeyReused,
        Accepted::Retried { .. } => Kind::AcceptRetried,
        Accepted::Locked { .. } => Kind::AcceptLocked,
        Accepted::LockQueueFull { .. } => Kind::AcceptLockQueueFull,
        Accepted::TooManyWaiting => Kind::AcceptTooManyWaiting,
        Accepted::TooManyOfTenant => Kind::AcceptTooManyOfTenant,
    }
}
