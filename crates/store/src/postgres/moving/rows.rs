//! The statements that write what is moved: one for each table.

use uuid::Uuid;

use super::super::batch::{BODIES, EVENTS, LOCKED, NOTES, PLANS, POLICIES};
use super::super::columns::{escaped, uuid};
use super::super::session::Query;
use crate::moving::{Batch, EventRow, NoteRow, NoticeRow, OperationRow, Rest};
use crate::sealing::SealedMessage;

const OPERATIONS: &str = "INSERT INTO operations (id, tenant, epoch, revision, status, route, dialect, mount, owner, verb,
        resource, targets, lane, lock_key, idempotency_key, fingerprint, retry_of, accepted_at, updated_at, wake_at, ended_at,
        expires_at, attention, events, used, apart, state)
    SELECT id, tenant, 0, revision, status, route, dialect, mount, owner, verb,
        resource, targets, lane, lock_key, idempotency_key, fingerprint, retry_of, accepted_at, updated_at, wake_at, ended_at,
        expires_at, attention, events, used, apart, state
    FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[], $16::uuid[], $17::bigint[],
        $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::int[], $23::int[], $24::bigint[], $25::text[],
        $26::text[])
        n (id, tenant, revision, status, route, dialect, mount, owner, verb, resource, targets, lane, lock_key,
            idempotency_key, fingerprint, retry_of, accepted_at, updated_at, wake_at, ended_at, expires_at, attention, events,
            used, apart, state)";

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
    let Rest { policies, locks, holds, events_deleted, counters: _ } = rest;
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
