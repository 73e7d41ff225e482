//! The statements that write what is moved: one for each table.

use fanfold_core::access::TokenId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::super::batch::{AUDIT as NEW_ENTRIES, BODIES, EVENTS, LOCKED, NOTES, PLANS, POLICIES};
use super::super::columns::{escaped, get, id, optional_text, text as read_text, uuid};
use super::super::session::Query;
use crate::Error;
use crate::moving::{AuditRow, Batch, EventRow, NoteRow, NoticeRow, OperationRow, Rest, TokenRow};
use crate::sealing::SealedMessage;

const OPERATIONS: &str = "INSERT INTO operations (id, tenant, epoch, revision, status, route, dialect, mount, owner, verb,
        resource, targets, lane, lock_key, idempotency_key, fingerprint, retry_of, accepted_at, updated_at, wake_at, ended_at,
        expires_at, attention, events, used, apart, state, phase, searched)
    SELECT id, tenant, 0, revision, status, route, dialect, mount, owner, verb,
        resource, targets, lane, lock_key, idempotency_key, fingerprint, retry_of, accepted_at, updated_at, wake_at, ended_at,
        expires_at, attention, events, used, apart, state, phase, searched
    FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[], $16::uuid[], $17::bigint[],
        $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::int[], $23::int[], $24::bigint[], $25::text[],
        $26::text[], $27::text[], $28::text[])
        n (id, tenant, revision, status, route, dialect, mount, owner, verb, resource, targets, lane, lock_key,
            idempotency_key, fingerprint, retry_of, accepted_at, updated_at, wake_at, ended_at, expires_at, attention, events,
            used, apart, state, phase, searched)";

const SEALED: &str = "INSERT INTO sealed (operation, slot, key, box)
    SELECT operation, slot, $3, box FROM unnest($1::uuid[], $2::text[], $4::bytea[]) n (operation, slot, box)";

const NOTICES: &str = "INSERT INTO notices (number, id, tenant, operation, epoch, state, kind, method, url, receiver, headers, body,
        attempts, due_at, last_error, created_at, settled_at)
    SELECT number, id, tenant, operation, 0, state, kind, method, url, receiver, headers, body, attempts, due_at, last_error,
        created_at, settled_at
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::bytea[], $12::int[], $13::bigint[], $14::text[], $15::bigint[], $16::bigint[])
        n (number, id, tenant, operation, state, kind, method, url, receiver, headers, body, attempts, due_at, last_error,
            created_at, settled_at)";

const HOLDS: &str = "INSERT INTO holds (target, since, by, reason)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[])";

const NEW_TOKENS: &str = "INSERT INTO tokens (id, tenant, name, access, digest, created_at, created_by, expires_at, revoked_at,
        revoked_by, last_used_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::text[], $8::bigint[],
        $9::bigint[], $10::text[], $11::bigint[])";

pub(super) const TOKENS: &str =
    "SELECT id, tenant, name, access, digest, created_at, created_by, expires_at, revoked_at, revoked_by, last_used_at
    FROM tokens ORDER BY id";

pub(super) const AUDIT: &str =
    "SELECT number, at, tenant, by, credential, peer, action, operation, target, subject, detail, outcome, reason
    FROM audit WHERE number > $1 ORDER BY number LIMIT $2";

const EVENTS_DELETED: &str =
    "INSERT INTO events_deleted (tenant, number) SELECT * FROM unnest($1::text[], $2::bigint[])";

/// A batch, its originals sealed with the key of this id.
pub(super) fn inserts<'a>(batch: &'a Batch, boxes: &'a [SealedMessage], key_id: &'a str) -> Vec<Query<'a>> {
    let operations = &batch.operations;
    let mut inserts = vec![
        new_operations(operations),
        Query::new(PLANS)
            .with(column(operations, |row| uuid(row.id)))
            .with(column(operations, |row| row.policy.as_str()))
            .with(column(operations, |row| row.plan.as_str())),
    ];
    if !batch.bodies.is_empty() {
        let rows = &batch.bodies;
        inserts.push(
            Query::new(BODIES)
                .with(column(rows, |row| uuid(row.operation)))
                .with(column(rows, |row| row.slot.as_str()))
                .with(column(rows, |row| row.octets.as_slice())),
        );
    }
    if !boxes.is_empty() {
        inserts.push(
            Query::new(SEALED)
                .with(column(&batch.originals, |row| uuid(row.operation)))
                .with(column(boxes, |message| message.slot.to_string()))
                .with(key_id)
                .with(column(boxes, |message| message.octets.as_slice())),
        );
    }
    if !batch.events.is_empty() {
        inserts.push(events(&batch.events));
    }
    if !batch.notes.is_empty() {
        inserts.push(notes(&batch.notes));
    }
    if !batch.notices.is_empty() {
        inserts.push(notices(&batch.notices));
    }
    inserts
}

/// What goes when all operations are there.
pub(super) fn rest(rest: &Rest) -> Vec<Query<'_>> {
    let Rest { policies, locks, holds, tokens, events_deleted, counters: _, fingerprints: _ } = rest;
    vec![
        Query::new(POLICIES)
            .with(column(policies, |(hash, _)| hash.as_str()))
            .with(column(policies, |(_, policy)| policy.as_str())),
        Query::new(LOCKED)
            .with(column(locks, |row| row.tenant.as_str()))
            .with(column(locks, |row| text(&row.key)))
            .with(column(locks, |row| row.turn))
            .with(column(locks, |row| uuid(row.operation))),
        Query::new(HOLDS)
            .with(column(holds, |row| row.target.as_str()))
            .with(column(holds, |row| row.since))
            .with(column(holds, |row| text(&row.by)))
            .with(column(holds, |row| text(&row.reason))),
        new_tokens(tokens),
        Query::new(EVENTS_DELETED)
            .with(column(events_deleted, |(tenant, _)| tenant.as_str()))
            .with(column(events_deleted, |(_, number)| *number)),
    ]
}

fn column<'a, T, V>(rows: &'a [T], value: impl Fn(&'a T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

/// A text that somebody else chose, as it stands in a column.
fn text(text: &str) -> String {
    escaped(text).into_owned()
}

fn optional(text: Option<&String>) -> Option<String> {
    text.map(|text| escaped(text).into_owned())
}

fn new_operations(rows: &[OperationRow]) -> Query<'_> {
    Query::new(OPERATIONS)
        .with(column(rows, |row| uuid(row.id)))
        .with(column(rows, |row| row.tenant.as_str()))
        .with(column(rows, |row| row.revision))
        .with(column(rows, |row| row.status.as_str()))
        .with(column(rows, |row| row.route.as_str()))
        .with(column(rows, |row| row.dialect.as_str()))
        .with(column(rows, |row| row.mount.as_str()))
        .with(column(rows, |row| optional(row.owner.as_ref())))
        .with(column(rows, |row| row.verb.as_str()))
        .with(column(rows, |row| text(&row.resource)))
        .with(column(rows, |row| row.targets.as_str()))
        .with(column(rows, |row| row.lane.as_str()))
        .with(column(rows, |row| optional(row.lock_key.as_ref())))
        .with(column(rows, |row| optional(row.idempotency_key.as_ref())))
        .with(column(rows, |row| row.fingerprint.as_deref()))
        .with(column(rows, |row| row.retry_of.map(uuid) as Option<Uuid>))
        .with(column(rows, |row| row.accepted_at))
        .with(column(rows, |row| row.updated_at))
        .with(column(rows, |row| row.wake_at))
        .with(column(rows, |row| row.ended_at))
        .with(column(rows, |row| row.expires_at))
        .with(column(rows, |row| row.attention))
        .with(column(rows, |row| row.events))
        .with(column(rows, |row| row.used))
        .with(column(rows, |row| row.apart.as_str()))
        .with(column(rows, |row| row.state.as_str()))
        .with(column(rows, |row| row.phase.as_deref()))
        .with(column(rows, |row| text(&row.searched)))
}

fn new_tokens(rows: &[TokenRow]) -> Query<'_> {
    Query::new(NEW_TOKENS)
        .with(column(rows, |row| Uuid::from_bytes(*row.id.as_bytes())))
        .with(column(rows, |row| text(&row.tenant)))
        .with(column(rows, |row| text(&row.name)))
        .with(column(rows, |row| row.access.as_str()))
        .with(column(rows, |row| row.digest.as_slice()))
        .with(column(rows, |row| row.created_at))
        .with(column(rows, |row| text(&row.created_by)))
        .with(column(rows, |row| row.expires_at))
        .with(column(rows, |row| row.revoked_at))
        .with(column(rows, |row| optional(row.revoked_by.as_ref())))
        .with(column(rows, |row| row.last_used_at))
}

/// A row of [`TOKENS`].
pub(super) fn token(row: &Row) -> Result<TokenRow, Error> {
    Ok(TokenRow {
        id: TokenId::from_bytes(*get::<Uuid>(row, 0)?.as_bytes()),
        tenant: read_text(row, 1)?,
        name: read_text(row, 2)?,
        access: get(row, 3)?,
        digest: get(row, 4)?,
        created_at: get(row, 5)?,
        created_by: read_text(row, 6)?,
        expires_at: get(row, 7)?,
        revoked_at: get(row, 8)?,
        revoked_by: optional_text(row, 9)?,
        last_used_at: get(row, 10)?,
    })
}

pub(super) fn new_entries(rows: &[AuditRow]) -> Query<'_> {
    Query::new(NEW_ENTRIES)
        .with(column(rows, |row| row.number))
        .with(column(rows, |row| row.at))
        .with(column(rows, |row| text(&row.tenant)))
        .with(column(rows, |row| text(&row.by)))
        .with(column(rows, |row| text(&row.credential)))
        .with(column(rows, |row| text(&row.peer)))
        .with(column(rows, |row| row.action.as_str()))
        .with(column(rows, |row| row.operation.map(uuid)))
        .with(column(rows, |row| optional(row.target.as_ref())))
        .with(column(rows, |row| optional(row.subject.as_ref())))
        .with(column(rows, |row| optional(row.detail.as_ref())))
        .with(column(rows, |row| row.outcome.as_str()))
        .with(column(rows, |row| optional(row.reason.as_ref())))
}

/// A row of [`AUDIT`].
pub(super) fn entry(row: &Row) -> Result<AuditRow, Error> {
    Ok(AuditRow {
        number: get(row, 0)?,
        at: get(row, 1)?,
        tenant: read_text(row, 2)?,
        by: read_text(row, 3)?,
        credential: read_text(row, 4)?,
        peer: read_text(row, 5)?,
        action: get(row, 6)?,
        operation: get::<Option<Uuid>>(row, 7)?.map(id),
        target: optional_text(row, 8)?,
        subject: optional_text(row, 9)?,
        detail: optional_text(row, 10)?,
        outcome: get(row, 11)?,
        reason: optional_text(row, 12)?,
    })
}

fn events(rows: &[EventRow]) -> Query<'_> {
    Query::new(EVENTS)
        .with(column(rows, |row| row.number))
        .with(column(rows, |row| uuid(row.operation)))
        .with(column(rows, |row| row.sequence))
        .with(column(rows, |row| row.at))
        .with(column(rows, |row| row.event.as_str()))
}

fn notes(rows: &[NoteRow]) -> Query<'_> {
    Query::new(NOTES)
        .with(column(rows, |row| row.id))
        .with(column(rows, |row| row.tenant.as_str()))
        .with(column(rows, |row| uuid(row.operation)))
        .with(column(rows, |row| row.step))
        .with(column(rows, |row| row.target.as_deref()))
        .with(column(rows, |row| row.reason.as_str()))
        .with(column(rows, |row| text(&row.detail)))
        .with(column(rows, |row| row.opened_at))
        .with(column(rows, |row| row.closed_at))
        .with(column(rows, |row| optional(row.closed_by.as_ref())))
        .with(column(rows, |row| optional(row.remark.as_ref())))
}

fn notices(rows: &[NoticeRow]) -> Query<'_> {
    Query::new(NOTICES)
        .with(column(rows, |row| row.number))
        .with(column(rows, |row| row.id.as_str()))
        .with(column(rows, |row| row.tenant.as_str()))
        .with(column(rows, |row| uuid(row.operation)))
        .with(column(rows, |row| row.state.as_str()))
        .with(column(rows, |row| row.kind.as_str()))
        .with(column(rows, |row| row.method.as_str()))
        .with(column(rows, |row| text(&row.url)))
        .with(column(rows, |row| row.receiver.as_str()))
        .with(column(rows, |row| row.headers.as_str()))
        .with(column(rows, |row| row.body.as_slice()))
        .with(column(rows, |row| row.attempts))
        .with(column(rows, |row| row.due_at))
        .with(column(rows, |row| optional(row.last_error.as_ref())))
        .with(column(rows, |row| row.created_at))
        .with(column(rows, |row| row.settled_at))
}
