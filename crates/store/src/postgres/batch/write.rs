//! Writing what a batch changes, in one go: one statement for each table and kind of change, which follow each other without
//! waiting for answers.

use fanfold_core::Slot;
use uuid::Uuid;

use super::super::columns::{escaped, uuid};
use super::super::failure::Failure;
use super::super::session::{Query, Session};
use super::picture::{Changes, Counters};
use super::rows::{AuditRow, LockRow, NewOperation, NextState};
use crate::{Error, time};

const OPERATIONS: &str = "INSERT INTO operations (id, tenant, epoch, revision, status, route, dialect, mount, owner, verb,
        resource, targets, lane, lock_key, idempotency_key, fingerprint, retry_of, accepted_at, updated_at, wake_at, events,
        used, apart, state, phase, searched)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bytea[], $17::uuid[],
        $18::bigint[], $19::bigint[], $20::bigint[], $21::int[], $22::bigint[], $23::text[], $24::text[], $25::text[], $26::text[])";

pub(in super::super) const PLANS: &str =
    "INSERT INTO plans (operation, policy, plan) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])";

pub(in super::super) const POLICIES: &str =
    "INSERT INTO policies (hash, policy) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING";

/// Owner and revision stand in the condition once more, and whether somebody claims the key: whatever the program has read,
/// nobody writes over what another one has.
const STATES: &str = "UPDATE operations o SET revision = n.revision, status = n.status, updated_at = n.updated_at,
        wake_at = n.wake_at, ended_at = n.ended_at, expires_at = n.expires_at, attention = o.attention + n.attention,
        events = n.events, used = o.used + n.used, apart = n.apart, state = n.state,
        phase = n.phase, searched = n.searched,
        idempotency_key = CASE WHEN n.free_key THEN NULL ELSE o.idempotency_key END,
        fingerprint = CASE WHEN n.free_key THEN NULL ELSE o.fingerprint END
    FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::int[],
        $10::int[], $11::bigint[], $12::bool[], $13::text[], $14::text[], $15::text[], $16::text[])
        n (id, revision, status, updated_at, wake_at, ended_at, expires_at, attention, events, used, free_key, apart, state,
            phase, searched)
    WHERE o.id = n.id AND o.epoch = $1 AND o.revision = n.revision - 1 AND NOT (n.free_key AND o.claimed)
    RETURNING 1";

/// What was restored has the lock then, and is not due.
const WAKES: &str = "UPDATE operations o SET wake_at = n.wake_at FROM unnest($1::uuid[], $2::bigint[]) n (id, wake_at)
    WHERE o.id = n.id AND o.ended_at IS NULL AND (o.state::json -> 'restored') IS NULL";

const CLAIMED: &str = "UPDATE operations SET claimed = true WHERE id = ANY($1) AND NOT claimed";

pub(in super::super) const BODIES: &str =
    "INSERT INTO bodies (operation, slot, octets) SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[])
    ON CONFLICT (operation, slot) DO UPDATE SET octets = excluded.octets";

const SUPERSEDED: &str = "DELETE FROM bodies b USING unnest($1::uuid[], $2::text[]) n (operation, slot)
    WHERE b.operation = n.operation AND b.slot = n.slot";

const SEALED: &str = "INSERT INTO sealed (operation, slot, key, box)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])
    ON CONFLICT (operation, slot) DO UPDATE SET key = excluded.key, box = excluded.box";

const WIPED: &str = "DELETE FROM sealed WHERE operation = ANY($1) AND slot <> ALL($2)";

pub(in super::super) const EVENTS: &str = "INSERT INTO events (number, operation, sequence, at, event)
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::int[], $4::bigint[], $5::text[])";

pub(in super::super) const LOCKED: &str = "INSERT INTO locks (tenant, key, turn, operation) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[])";

const RELEASED: &str = "DELETE FROM locks l USING unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[])
        n (tenant, key, turn, operation)
    WHERE l.tenant = n.tenant AND l.key = n.key AND l.turn = n.turn AND l.operation = n.operation";

pub(in super::super) const NOTES: &str = "INSERT INTO attention (id, tenant, operation, step, target, reason, detail, opened_at, closed_at, closed_by,
        remark)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::bigint[],
        $9::bigint[], $10::text[], $11::text[])";

const CLOSED: &str = "UPDATE attention a SET closed_at = n.at, closed_by = n.by, remark = n.remark
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) n (id, at, by, remark) WHERE a.id = n.id";

const HOLDS: &str = "INSERT INTO holds (target, since, by, reason)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING";

const NOTICES: &str = "INSERT INTO notices (number, id, tenant, operation, epoch, state, kind, method, url, receiver, headers, body,
        due_at, created_at)
    SELECT number, id, tenant, operation, epoch, 'pending', kind, method, url, receiver, headers, body, due_at, created_at
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::bytea[], $12::bigint[], $13::bigint[])
        n (number, id, tenant, operation, epoch, kind, method, url, receiver, headers, body, due_at, created_at)";

const NOTICE_STATES: &str = "UPDATE notices o SET state = n.state, attempts = o.attempts + n.attempts,
        due_at = coalesce(n.due_at, o.due_at), last_error = n.last_error, settled_at = n.settled_at
    FROM unnest($1::bigint[], $2::text[], $3::int[], $4::bigint[], $5::text[], $6::bigint[])
        n (number, state, attempts, due_at, last_error, settled_at)
    WHERE o.number = n.number";

const COUNTS: &str =
    "INSERT INTO counts (tenant, status, number) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
    ON CONFLICT (tenant, status) DO UPDATE SET number = counts.number + excluded.number";

pub(in super::super) const AUDIT: &str =
    "INSERT INTO audit (number, at, tenant, by, credential, peer, action, operation, target, subject, detail, outcome, reason)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])";

const COUNTERS: &str = "UPDATE counters SET events = $1, notes = $2, notices = $3, audit = $4, used = $5";

/// Writes everything; the transaction is not committed by it.
pub(in super::super) async fn write(session: &mut Session, changes: &Changes) -> Result<(), Failure> {
    let mut queries = operation_queries(changes);
    let states = queries.iter().position(|query| query.sql == STATES);
    queries.extend(message_queries(changes));
    queries.extend(other_queries(changes));
    if queries.is_empty() {
        return Ok(());
    }
    let answers = session.run(queries).await?;
    let written = states.and_then(|place| answers.get(place)).map_or(0, Vec::len);
    if written != changes.states.len() {
        // What was read is not so any more. All was read under the writers' lock, so somebody writes without it.
        return Err(Error::Conflict.into());
    }
    Ok(())
}

fn column<T, V>(rows: &[T], value: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// The same for values that belong to the row.
fn texts<'a, T>(rows: &'a [T], value: impl Fn(&'a T) -> &'a str) -> Vec<&'a str> {
    rows.iter().map(value).collect()
}

fn optional<'a, T>(rows: &'a [T], value: impl Fn(&'a T) -> Option<&'a str>) -> Vec<Option<&'a str>> {
    rows.iter().map(value).collect()
}

fn operation_queries(changes: &Changes) -> Vec<Query<'_>> {
    let mut queries = Vec::new();
    if !changes.policies.is_empty() {
        let hashes = texts(&changes.policies, |(hash, _)| hash.as_str());
        let policies = texts(&changes.policies, |(_, policy)| policy);
        queries.push(Query::new(POLICIES).with(hashes).with(policies));
    }
    // A key that is freed may be used by a new operation.
    if !changes.states.is_empty() {
        queries.push(next_states(changes.epoch, &changes.states));
    }
    if !changes.operations.is_empty() {
        let rows = &changes.operations;
        queries.push(new_operations(rows));
        let policies = texts(rows, |row| &row.policy);
        let plans = texts(rows, |row| &row.plan);
        queries.push(Query::new(PLANS).with(column(rows, |row| uuid(row.id))).with(policies).with(plans));
    }
    if !changes.wakes.is_empty() {
        let ids: Vec<Uuid> = changes.wakes.keys().copied().map(uuid).collect();
        let times: Vec<i64> = changes.wakes.values().copied().collect();
        queries.push(Query::new(WAKES).with(ids).with(times));
    }
    if !changes.claimed.is_empty() {
        queries.push(Query::new(CLAIMED).with(column(&changes.claimed, |id| uuid(*id))));
    }
    queries
}

fn new_operations(rows: &[NewOperation]) -> Query<'_> {
    Query::new(OPERATIONS)
        .with(column(rows, |row| uuid(row.id)))
        .with(texts(rows, |row| &row.tenant))
        .with(column(rows, |row| row.epoch))
        .with(column(rows, |row| row.revision))
        .with(texts(rows, |row| row.status))
        .with(texts(rows, |row| &row.route))
        .with(texts(rows, |row| row.dialect))
        .with(texts(rows, |row| &row.mount))
        .with(optional(rows, |row| row.owner.as_deref()))
        .with(texts(rows, |row| row.verb))
        .with(texts(rows, |row| &row.resource))
        .with(texts(rows, |row| &row.targets))
        .with(texts(rows, |row| &row.lane))
        .with(optional(rows, |row| row.lock_key.as_deref()))
        .with(optional(rows, |row| row.idempotency_key.as_deref()))
        .with(rows.iter().map(|row| row.fingerprint.as_deref()).collect::<Vec<Option<&[u8]>>>())
        .with(column(rows, |row| row.retry_of))
        .with(column(rows, |row| row.accepted_at))
        .with(column(rows, |row| row.updated_at))
        .with(column(rows, |row| row.wake_at))
        .with(column(rows, |row| row.events))
        .with(column(rows, |row| row.used))
        .with(texts(rows, |row| &row.apart))
        .with(texts(rows, |row| &row.state))
        .with(column(rows, |row| row.phase))
        .with(texts(rows, |row| &row.searched))
}

fn next_states(epoch: i64, rows: &[NextState]) -> Query<'_> {
    Query::new(STATES)
        .with(epoch)
        .with(column(rows, |row| uuid(row.id)))
        .with(column(rows, |row| row.revision))
        .with(texts(rows, |row| row.status))
        .with(column(rows, |row| row.updated_at))
        .with(column(rows, |row| row.wake_at))
        .with(column(rows, |row| row.ended_at))
        .with(column(rows, |row| row.expires_at))
        .with(column(rows, |row| row.attention))
        .with(column(rows, |row| row.events))
        .with(column(rows, |row| row.used))
        .with(column(rows, |row| row.free_key))
        .with(texts(rows, |row| &row.apart))
        .with(texts(rows, |row| &row.state))
        .with(column(rows, |row| row.phase))
        .with(texts(rows, |row| &row.searched))
}

fn message_queries(changes: &Changes) -> Vec<Query<'_>> {
    let mut queries = Vec::new();
    if !changes.superseded.is_empty() {
        let rows = &changes.superseded;
        let slots = column(rows, |(_, slot)| slot.to_string());
        queries.push(Query::new(SUPERSEDED).with(column(rows, |(id, _)| uuid(*id))).with(slots));
    }
    if !changes.bodies.is_empty() {
        let rows = &changes.bodies;
        let octets: Vec<&[u8]> = rows.iter().map(|row| &row.octets[..]).collect();
        let (ids, slots) = (column(rows, |row| uuid(row.operation)), column(rows, |row| row.slot.to_string()));
        queries.push(Query::new(BODIES).with(ids).with(slots).with(octets));
    }
    if !changes.sealed.is_empty() {
        let rows = &changes.sealed;
        let boxes: Vec<&[u8]> = rows.iter().map(|row| &row.octets[..]).collect();
        let (ids, slots) = (column(rows, |row| uuid(row.operation)), column(rows, |row| row.slot.to_string()));
        queries.push(Query::new(SEALED).with(ids).with(slots).with(texts(rows, |row| &row.key)).with(boxes));
    }
    if !changes.ended.is_empty() {
        let lasting = column(&Slot::LASTING, ToString::to_string);
        queries.push(Query::new(WIPED).with(column(&changes.ended, |id| uuid(*id))).with(lasting));
    }
    if !changes.events.is_empty() {
        let rows = &changes.events;
        queries.push(
            Query::new(EVENTS)
                .with(column(rows, |row| row.number))
                .with(column(rows, |row| uuid(row.operation)))
                .with(column(rows, |row| row.sequence))
                .with(column(rows, |row| row.at))
                .with(texts(rows, |row| &row.json)),
        );
    }
    queries
}

fn lock_rows<'a>(sql: &'static str, rows: &'a [LockRow]) -> Query<'a> {
    let (tenants, keys) = (texts(rows, |row| &row.tenant), texts(rows, |row| &row.key));
    let operations = column(rows, |row| uuid(row.operation));
    Query::new(sql).with(tenants).with(keys).with(column(rows, |row| row.turn)).with(operations)
}

fn other_queries(changes: &Changes) -> Vec<Query<'_>> {
    let mut queries = Vec::new();
    // Before the new ones, which may take a turn again.
    if !changes.released.is_empty() {
        queries.push(lock_rows(RELEASED, &changes.released));
    }
    if !changes.locked.is_empty() {
        queries.push(lock_rows(LOCKED, &changes.locked));
    }
    queries.extend(note_queries(changes));
    if !changes.holds.is_empty() {
        let rows = &changes.holds;
        let (by, reasons) = (texts(rows, |row| &row.by), texts(rows, |row| &row.reason));
        let targets = texts(rows, |row| &row.target);
        queries.push(Query::new(HOLDS).with(targets).with(column(rows, |row| row.since)).with(by).with(reasons));
    }
    queries.extend(notice_queries(changes));
    if !changes.audit.is_empty() {
        queries.push(new_entries(&changes.audit));
    }
    let counts: Vec<_> = changes.counts.iter().filter(|(_, change)| **change != 0).collect();
    if !counts.is_empty() {
        let tenants: Vec<&str> = counts.iter().map(|((tenant, _), _)| tenant.as_str()).collect();
        let statuses: Vec<&str> = counts.iter().map(|((_, status), _)| *status).collect();
        let numbers: Vec<i64> = counts.iter().map(|(_, change)| **change).collect();
        queries.push(Query::new(COUNTS).with(tenants).with(statuses).with(numbers));
    }
    if changes.counters != changes.counters_before {
        let Counters { events, notes, notices, audit, used } = changes.counters;
        queries.push(Query::new(COUNTERS).with(events).with(notes).with(notices).with(audit).with(used));
    }
    queries
}

fn new_entries(rows: &[AuditRow]) -> Query<'_> {
    Query::new(AUDIT)
        .with(column(rows, |row| row.number))
        .with(column(rows, |row| row.at))
        .with(texts(rows, |row| &row.tenant))
        .with(texts(rows, |row| &row.by))
        .with(texts(rows, |row| &row.credential))
        .with(texts(rows, |row| &row.peer))
        .with(texts(rows, |row| row.action))
        .with(column(rows, |row| row.operation.map(uuid)))
        .with(optional(rows, |row| row.target.as_deref()))
        .with(optional(rows, |row| row.subject.as_deref()))
        .with(optional(rows, |row| row.detail.as_deref()))
        .with(texts(rows, |row| row.outcome))
        .with(optional(rows, |row| row.reason.as_deref()))
}

fn note_queries(changes: &Changes) -> Vec<Query<'_>> {
    let mut queries = Vec::new();
    if !changes.notes.is_empty() {
        let rows = &changes.notes;
        queries.push(
            Query::new(NOTES)
                .with(column(rows, |row| row.id))
                .with(texts(rows, |row| &row.tenant))
                .with(column(rows, |row| uuid(row.operation)))
                .with(column(rows, |row| row.step))
                .with(optional(rows, |row| row.target.as_deref()))
                .with(texts(rows, |row| row.reason))
                .with(texts(rows, |row| &row.detail))
                .with(column(rows, |row| row.opened_at))
                .with(column(rows, |row| row.closed.as_ref().map(|closed| closed.at)))
                .with(optional(rows, |row| row.closed.as_ref().map(|closed| closed.by.as_str())))
                .with(optional(rows, |row| row.closed.as_ref().and_then(|closed| closed.remark.as_deref()))),
        );
    }
    if !changes.closed.is_empty() {
        let rows = &changes.closed;
        let remarks = optional(rows, |(_, closed)| closed.remark.as_deref());
        let (by, at) = (texts(rows, |(_, closed)| &closed.by), column(rows, |(_, closed)| closed.at));
        queries.push(Query::new(CLOSED).with(column(rows, |(id, _)| *id)).with(at).with(by).with(remarks));
    }
    queries
}

fn notice_queries(changes: &Changes) -> Vec<Query<'_>> {
    let mut queries = Vec::new();
    if !changes.notices.is_empty() {
        let rows = &changes.notices;
        queries.push(
            Query::new(NOTICES)
                .with(column(rows, |row| row.number))
                .with(texts(rows, |row| &row.notice.id.0))
                .with(texts(rows, |row| &row.tenant))
                .with(column(rows, |row| uuid(row.operation)))
                .with(column(rows, |row| row.epoch))
                .with(texts(rows, |row| &row.notice.kind))
                .with(texts(rows, |row| &row.notice.method))
                .with(column(rows, |row| escaped(&row.notice.url).into_owned()))
                .with(texts(rows, |row| &row.notice.receiver))
                .with(texts(rows, |row| &row.headers))
                .with(rows.iter().map(|row| &row.notice.body[..]).collect::<Vec<&[u8]>>())
                .with(column(rows, |row| time::ceil(row.notice.due_at)))
                .with(column(rows, |row| row.created_at)),
        );
    }
    if !changes.notice_states.is_empty() {
        let rows = &changes.notice_states;
        queries.push(
            Query::new(NOTICE_STATES)
                .with(column(rows, |row| row.number))
                .with(texts(rows, |row| row.state))
                .with(column(rows, |row| row.attempts))
                .with(column(rows, |row| row.due_at))
                .with(optional(rows, |row| row.last_error.as_deref()))
                .with(column(rows, |row| row.settled_at)),
        );
    }
    queries
}
