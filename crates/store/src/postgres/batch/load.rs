//! Reading what a batch needs, in one go: the statements follow each other without waiting for answers.

use fanfold_core::OperationId;
use tokio_postgres::Row;
use uuid::Uuid;

use super::super::columns::{get, operation_id, slots, status, uuid};
use super::super::failure::Failure;
use super::super::session::{Query, Session};
use super::locks::Queue;
use super::picture::{Counters, KeyRow, Known, KnownNotice, Loaded, Name, Wanted};
use crate::{Error, Limits};

const COUNTERS: &str = "SELECT c.events, c.notes, c.notices, c.audit, c.used,
        (SELECT coalesce(sum(number), 0)::bigint FROM counts WHERE status IN ('unexecuted', 'executing')),
        $1::bigint = 0 OR EXISTS (SELECT 1 FROM nodes WHERE epoch = $1 AND standing = 'member')
    FROM counters c";

const TENANTS: &str = "SELECT tenant, sum(number)::bigint FROM counts
    WHERE tenant = ANY($1) AND status IN ('unexecuted', 'executing') GROUP BY tenant";

const OPERATIONS: &str = "SELECT id, epoch, revision, status, apart, events, octet_length(state)::bigint, claimed
    FROM operations WHERE id = ANY($1)";

const KEYS: &str = "SELECT o.tenant, o.idempotency_key, o.id, o.fingerprint, o.status = 'unexecuted'
    FROM unnest($1::text[], $2::text[]) w (tenant, key)
    JOIN operations o ON o.tenant = w.tenant AND o.idempotency_key = w.key";

const RETRIES: &str = "SELECT o.tenant, o.retry_of, o.id FROM unnest($1::text[], $2::uuid[]) w (tenant, id)
    JOIN operations o ON o.tenant = w.tenant AND o.retry_of = w.id";

const FRONTS: &str = "SELECT w.tenant, w.key, l.turn, l.operation
    FROM unnest($1::text[], $2::text[], $3::bigint[]) w (tenant, key, number)
    CROSS JOIN LATERAL (SELECT turn, operation FROM locks WHERE tenant = w.tenant AND key = w.key
        ORDER BY turn LIMIT w.number) l
    ORDER BY w.tenant, w.key, l.turn";

const LENGTHS: &str = "SELECT w.tenant, w.key,
        (SELECT count(*) FROM (SELECT 1 FROM locks l WHERE l.tenant = w.tenant AND l.key = w.key LIMIT w.number) counted),
        (SELECT coalesce(max(turn), 0) FROM locks l WHERE l.tenant = w.tenant AND l.key = w.key)
    FROM unnest($1::text[], $2::text[], $3::bigint[]) w (tenant, key, number)";

const TURNS: &str = "SELECT operation, turn FROM locks WHERE operation = ANY($1)";

const NOTICES: &str = "SELECT id, number, epoch, state FROM notices WHERE id = ANY($1)";

const NOTES: &str =
    "SELECT operation, id, step FROM attention WHERE operation = ANY($1) AND closed_at IS NULL ORDER BY id";

/// Which answer is which.
enum Part {
    Counters,
    Tenants,
    Operations,
    Keys,
    Retries,
    Fronts,
    Lengths,
    Turns,
    Notices,
    Notes,
}

/// Begins a transaction, and reads everything that these requests need. What is bounded by nothing is not counted.
pub(in super::super) async fn load(
    session: &mut Session,
    wanted: &Wanted,
    epoch: i64,
    limits: &Limits,
) -> Result<Loaded, Failure> {
    let mut parts = Vec::new();
    let mut queries = Vec::new();
    for (part, query) in queries_for(wanted, epoch, limits) {
        parts.push(part);
        queries.push(query);
    }
    let answers = session.begin_and_run(queries).await?;
    let mut loaded = Loaded::default();
    for (part, rows) in parts.iter().zip(&answers) {
        take(&mut loaded, part, rows)?;
    }
    Ok(loaded)
}

fn queries_for(wanted: &Wanted, epoch: i64, limits: &Limits) -> Vec<(Part, Query<'static>)> {
    let mut all = vec![(Part::Counters, Query::new(COUNTERS).with(epoch))];
    let uuids = |ids: &mut dyn Iterator<Item = OperationId>| ids.map(uuid).collect::<Vec<Uuid>>();
    let bounded = wanted.tenants.iter().filter(|tenant| limits.waiting_max_of(tenant).is_some());
    let bounded: Vec<String> = bounded.map(|tenant| tenant.as_str().to_owned()).collect();
    if !bounded.is_empty() {
        all.push((Part::Tenants, Query::new(TENANTS).with(bounded)));
    }
    if !wanted.operations.is_empty() {
        let ids = uuids(&mut wanted.operations.iter().copied());
        all.push((Part::Operations, Query::new(OPERATIONS).with(ids)));
    }
    if !wanted.keys.is_empty() {
        let (tenants, keys): (Vec<String>, Vec<String>) = wanted.keys.iter().cloned().unzip();
        all.push((Part::Keys, Query::new(KEYS).with(tenants).with(keys)));
    }
    if !wanted.retries.is_empty() {
        let tenants: Vec<String> = wanted.retries.iter().map(|(tenant, _)| tenant.clone()).collect();
        let ids = uuids(&mut wanted.retries.iter().map(|(_, id)| *id));
        all.push((Part::Retries, Query::new(RETRIES).with(tenants).with(ids)));
    }
    if !wanted.locks.is_empty() {
        let (tenants, keys): (Vec<String>, Vec<String>) = wanted.locks.keys().cloned().unzip();
        let fronts: Vec<i64> = wanted.locks.values().copied().collect();
        // Beyond what is read of the front, and beyond the bound, a longer queue makes no difference.
        let bound = i64::try_from(limits.lock_queue_max).unwrap_or(i64::MAX).saturating_add(2);
        let lengths: Vec<i64> = fronts.iter().map(|front| bound.max(front.saturating_add(1))).collect();
        all.push((Part::Fronts, Query::new(FRONTS).with(tenants.clone()).with(keys.clone()).with(fronts)));
        all.push((Part::Lengths, Query::new(LENGTHS).with(tenants).with(keys).with(lengths)));
        all.push((Part::Turns, Query::new(TURNS).with(uuids(&mut wanted.members.iter().copied()))));
    }
    if !wanted.notices.is_empty() {
        let ids: Vec<String> = wanted.notices.iter().cloned().collect();
        all.push((Part::Notices, Query::new(NOTICES).with(ids)));
    }
    if !wanted.notes.is_empty() {
        all.push((Part::Notes, Query::new(NOTES).with(uuids(&mut wanted.notes.iter().copied()))));
    }
    all
}

fn take(loaded: &mut Loaded, part: &Part, rows: &[Row]) -> Result<(), Failure> {
    match part {
        Part::Counters => {
            let row = rows.first().ok_or_else(|| Error::corrupt("the table of counters is empty"))?;
            if !get::<bool>(row, 6)? {
                return Err(Error::Fenced.into());
            }
            loaded.counters = Counters {
                events: get(row, 0)?,
                notes: get(row, 1)?,
                notices: get(row, 2)?,
                audit: get(row, 3)?,
                used: get(row, 4)?,
            };
            loaded.open = get(row, 5)?;
        }
        Part::Tenants => {
            let found = rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?)));
            loaded.open_of = found.collect::<Result<_, Error>>()?;
        }
        Part::Operations => {
            let found = rows.iter().map(|row| Ok((operation_id(row, 0)?, known(row)?)));
            loaded.operations = found.collect::<Result<_, Error>>()?;
        }
        Part::Keys => {
            let key = |row: &Row| {
                let row_of =
                    KeyRow { operation: operation_id(row, 2)?, fingerprint: get(row, 3)?, unexecuted: get(row, 4)? };
                Ok((name(row)?, row_of))
            };
            loaded.keys = rows.iter().map(key).collect::<Result<_, Error>>()?;
        }
        Part::Retries => {
            let retry = |row: &Row| Ok(((get(row, 0)?, operation_id(row, 1)?), operation_id(row, 2)?));
            loaded.retries = rows.iter().map(retry).collect::<Result<_, Error>>()?;
        }
        Part::Fronts => {
            for row in rows {
                let queue = loaded.locks.entry(name(row)?).or_default();
                queue.front.push_back((get(row, 2)?, operation_id(row, 3)?));
            }
        }
        Part::Lengths => {
            for row in rows {
                let queue: &mut Queue = loaded.locks.entry(name(row)?).or_default();
                (queue.length, queue.last_turn) = (get(row, 2)?, get(row, 3)?);
            }
        }
        Part::Turns => {
            loaded.turns =
                rows.iter().map(|row| Ok((operation_id(row, 0)?, get(row, 1)?))).collect::<Result<_, Error>>()?;
        }
        Part::Notices => {
            let notice = |row: &Row| {
                let known = KnownNotice { number: get(row, 1)?, epoch: get(row, 2)?, state: get(row, 3)? };
                Ok((get(row, 0)?, known))
            };
            loaded.notices = rows.iter().map(notice).collect::<Result<_, Error>>()?;
        }
        Part::Notes => {
            for row in rows {
                loaded.notes.entry(operation_id(row, 0)?).or_default().push((get(row, 1)?, get(row, 2)?));
            }
        }
    }
    Ok(())
}

fn name(row: &Row) -> Result<Name, Error> {
    Ok((get(row, 0)?, get(row, 1)?))
}

fn known(row: &Row) -> Result<Known, Error> {
    Ok(Known {
        epoch: get(row, 1)?,
        revision: get(row, 2)?,
        status: status(row, 3)?,
        apart: slots(row, 4)?,
        events: get(row, 5)?,
        state_octets: get(row, 6)?,
        claimed: get(row, 7)?,
    })
}
