//! Operations to write. They are put together by hand, because a store takes any state that is consistent in itself, also
//! those that would take many transitions to reach.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfold_core::access::audit::{Action, Outcome};
use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::operation::{Attention, AttentionReason, Consistency, End, LockState, Restored, Stage, Status};
use fanfold_core::plan::{
    DialectName, Front, Limits as StepLimits, Lock, Monitor, OnFailure, OnLocked, OnUndoFailure, OnUnknown, Order,
    Policy, Redaction, Require, StepPlan, TargetPolicy, Verb,
};
use fanfold_core::{Access, Answer, Body, Operation, OperationId, Plan, Request, StepIndex, TenantId};
use jiff::{SignedDuration, Timestamp};

use crate::{
    Acceptance, Accepted, Commit, Committed, IdempotencyKey, LockOutcome, NewAuditEntry, NewNotice, NewToken, NoticeId,
    Session, SessionOf, Store,
};

/// How long the fixtures' records are kept after the end.
pub const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The lane that the fixtures wait in.
pub const LANE: &str = "lane";

/// The time at which the suite begins, plus `seconds`.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + seconds)
}

/// The id of an operation accepted at `at`, told from others of that time by `number`.
pub fn id(at: Timestamp, number: u64) -> OperationId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    OperationId::new(at, random)
}

/// Octets that are longer than the default `inline_max`.
pub fn large(fill: u8) -> Bytes {
    vec![fill; 5_000].into()
}

/// A policy that covers these targets and keeps records so long after the end.
pub fn policy(targets: &[&str], retention: Duration) -> Arc<Policy> {
    let limits = StepLimits {
        attempts: 5,
        backoff: Duration::from_millis(500),
        backoff_max: Duration::from_secs(30),
        budget: Duration::from_secs(300),
        connect: Duration::from_secs(3),
        response: Duration::from_secs(30),
        lower: Duration::from_secs(1_800),
        response_body_max: 1024 * 1024,
    };
    let target = TargetPolicy {
        monitor: Monitor::Unset,
        step: limits.clone(),
        undo_limits: limits,
        settle: Duration::from_secs(10),
        repeatable: None,
        success: None,
        undo: None,
        probe: None,
    };
    Arc::new(Policy {
        order: Order::Parallel,
        require: Require::All,
        wave_failures: 0,
        on_failure: OnFailure::Rollback,
        on_unknown: OnUnknown::Fail,
        on_undo_failure: OnUndoFailure::Attention,
        deadline: Duration::from_secs(3_600),
        result: None,
        redaction: Redaction::default(),
        retention,
        targets: targets.iter().map(|name| ((*name).into(), target.clone())).collect(),
    })
}

/// A `POST` of JSON.
pub fn request(uri: &str, body: impl Into<Bytes>) -> Request {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Request { method: http::Method::POST, uri: uri.to_owned(), headers, body: Body::inline(body), sealed: false }
}

/// A complete answer.
pub fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Answer { status, headers: Vec::new(), body: Body::inline(body), complete: true, sealed: false }
}

/// A plan for the targets `tokyo` and `osaka`.
pub fn plan() -> Plan {
    plan_for(&["tokyo", "osaka"])
}

/// The same for other targets.
pub fn plan_for(targets: &[&str]) -> Plan {
    let step = |(wave, target): (u16, &&str)| StepPlan {
        target: (*target).into(),
        target_id: wave.to_string(),
        wave,
        request: request("/v1/things", "{\"size\":1}"),
    };
    Plan {
        route: "create-thing".to_owned(),
        front: Front { dialect: DialectName::Native, mount: String::new(), attributes: BTreeMap::new() },
        verb: Verb::Create,
        resource: "/v1/things".to_owned(),
        resource_id: None,
        request: request("/v1/things?dry=0", "{\"size\":1}"),
        captures: BTreeMap::new(),
        lock: None,
        start_at: None,
        retry_of: None,
        first: None,
        fingerprint: None,
        policy: policy(targets, RETENTION),
        steps: (0..).zip(targets).map(step).collect(),
    }
}

/// The same plan under this lock.
pub fn locked_plan(key: &str, on_locked: OnLocked) -> Plan {
    Plan { lock: Some(Lock { key: key.to_owned(), on_locked }), ..plan() }
}

/// The acceptance of operation `number` at this time, due at once.
pub fn acceptance(number: u64, accepted_at: Timestamp, plan: Plan) -> Acceptance {
    let id = id(accepted_at, number);
    Acceptance {
        operation: Operation::accepted(id, TenantId::default(), Arc::new(plan), accepted_at),
        sealed: Vec::new(),
        idempotency: None,
        lane: LANE.to_owned(),
        owner: None,
        wake_at: Some(accepted_at),
        events: Vec::new(),
    }
}

/// The same acceptance under an idempotency key; the fingerprint is this octet over and over.
pub fn keyed(key: &str, fingerprint: u8, acceptance: Acceptance) -> Acceptance {
    let idempotency = IdempotencyKey { key: key.to_owned(), fingerprint: [fingerprint; 32] };
    Acceptance { idempotency: Some(idempotency), ..acceptance }
}

/// Accepts, which must be possible.
pub async fn accept(store: &dyn Store, acceptance: Acceptance) -> (Operation, LockOutcome) {
    match store.accept(acceptance).await {
        Ok(Accepted::New { operation, lock }) => (*operation, lock),
        other => panic!("the operation was not accepted: {other:?}"),
    }
}

/// Accepts operation `number` at second `number`, without anything special.
pub async fn accept_plain(store: &dyn Store, number: u64) -> Operation {
    let seconds = i64::try_from(number).expect("tests number operations from 1");
    accept(store, acceptance(number, at(seconds), plan())).await.0
}

/// The next revision of an operation, begun, at this time.
pub fn begun(operation: &Operation, now: Timestamp) -> Operation {
    Operation {
        revision: operation.revision.next(),
        updated_at: now,
        started_at: Some(now),
        stage: Stage::Forward,
        ..operation.clone()
    }
}

/// The next revision of an operation, still unexecuted, that has noticed that it holds its lock.
pub fn lock_noticed(operation: &Operation, now: Timestamp) -> Operation {
    let stage = Stage::Unexecuted { start_at: None, lock: LockState::Held };
    Operation { revision: operation.revision.next(), updated_at: now, stage, ..operation.clone() }
}

/// The next revision of an operation, come from a backup at this time.
pub fn restored(operation: &Operation, now: Timestamp) -> Operation {
    let restored = Some(Restored { since: now, as_of: now });
    Operation { revision: operation.revision.next(), updated_at: now, restored, ..operation.clone() }
}

/// The next revision of an operation that came from a backup, released at this time.
pub fn released(operation: &Operation, now: Timestamp) -> Operation {
    Operation { revision: operation.revision.next(), updated_at: now, restored: None, ..operation.clone() }
}

/// The next revision of an operation, ended at this time.
pub fn ended(operation: &Operation, status: Status, now: Timestamp) -> Operation {
    let end =
        End { status, cause: None, at: now, consistency: Consistency::Updated, rollback: None, rollback_at: None };
    let stage = Stage::Ended { end, response: answer(200, "{\"done\":true}") };
    Operation { revision: operation.revision.next(), updated_at: now, stage, ..operation.clone() }
}

/// Commits, which must be possible.
pub async fn commit(store: &dyn Store, commit: Commit) -> Committed {
    match store.commit(commit).await {
        Ok(committed) => committed,
        Err(error) => panic!("the commit failed: {error}"),
    }
}

/// Ends an operation.
pub async fn end(store: &dyn Store, operation: &Operation, now: Timestamp) -> Committed {
    commit(store, Commit::new(ended(operation, Status::Completed, now))).await
}

/// A note that the outcome of a step at this target is unknown.
pub fn note(step: Option<u16>, target: &str) -> Attention {
    Attention {
        step: step.map(StepIndex),
        target: Some(target.into()),
        reason: AttentionReason::OutcomeUnknown,
        detail: "nobody knows".to_owned(),
    }
}

/// A notice to be sent at this time.
pub fn notice(id: &str, due_at: Timestamp) -> NewNotice {
    NewNotice {
        id: NoticeId(id.to_owned()),
        kind: "msf".to_owned(),
        method: "PUT".to_owned(),
        url: "http://192.0.2.1:65000/v1/operations".to_owned(),
        receiver: "192.0.2.1:65000".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Bytes::from_static(b"{\"status\":\"completed\"}"),
        due_at,
    }
}

/// Token `number` of the house's own tenant, created at that second, with full access. Digests and ids of different
/// numbers differ.
pub fn token(number: u8, name: &str) -> NewToken {
    NewToken {
        id: TokenId::new(at(number.into()), [number; 10]),
        name: name.to_owned(),
        access: Access::full(),
        digest: SecretDigest::from([number; 32]),
        created_at: at(number.into()),
        created_by: "anna".to_owned(),
        expires_at: None,
    }
}

/// Session `number` of the house's own tenant, begun with `of` at that second, for a minute.
pub fn session(number: u8, of: SessionOf) -> Session {
    let created_at = at(number.into());
    let (digest, tenant) = (SecretDigest::from([number; 32]), TenantId::default());
    Session { digest, of, tenant, created_at, expires_at: at(i64::from(number) + 60) }
}

/// That `by` did something at this time, with nothing in particular.
pub fn audit_entry(at: Timestamp, by: &str, action: Action) -> NewAuditEntry {
    NewAuditEntry {
        at,
        tenant: TenantId::default(),
        by: by.to_owned(),
        credential: "token".to_owned(),
        from: "192.0.2.7:51000".to_owned(),
        action,
        operation: None,
        target: None,
        subject: None,
        detail: None,
        outcome: Outcome::Done,
    }
}
