//! Listing operations. Each status is read on its own, in the order of its index, and the pieces are merged: so a page costs
//! the same wherever it lies in the list.

use fanfold_core::operation::Status;
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::{Operation, OperationId};
use jiff::Timestamp;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::failure::Failure;
use super::operations::{limit, operation_id};
use super::readers::Snapshot;
use crate::{Filter, LIST_MAX, Order, Page, time};

pub(super) fn list(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    page: Page<OperationId>,
) -> Result<Vec<Operation>, Failure> {
    let ids = match (&filter.retry_of, &filter.owner) {
        (Some(_), _) => ids_of_few(snapshot, filter, "operations_by_retry", page)?,
        (None, Some(_)) => ids_of_few(snapshot, filter, "operations_by_owner", page)?,
        (None, None) => ids_by_status(snapshot, filter, page)?,
    };
    let mut operations = Vec::with_capacity(ids.len());
    for id in ids {
        operations.extend(snapshot.operation(id)?);
    }
    Ok(operations)
}

fn ids_by_status(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    page: Page<OperationId>,
) -> Result<Vec<OperationId>, Failure> {
    let mut ids = Vec::new();
    for status in
        Status::ALL.into_iter().filter(|status| filter.statuses.is_empty() || filter.statuses.contains(status))
    {
        let mut query = Query::new("operations_by_status", filter);
        query.fits("status", status.as_str());
        ids.extend(query.run(snapshot, page)?);
    }
    match page.order {
        Order::NewestFirst => ids.sort_unstable_by(|left, right| right.cmp(left)),
        Order::OldestFirst => ids.sort_unstable(),
    }
    ids.truncate(page.limit.min(LIST_MAX));
    Ok(ids)
}

/// Those that an index finds without regard to their status.
fn ids_of_few(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    index: &str,
    page: Page<OperationId>,
) -> Result<Vec<OperationId>, Failure> {
    let mut query = Query::new(index, filter);
    if let Some(owner) = &filter.owner {
        query.fits("owner", owner);
    }
    if let Some(retried) = &filter.retry_of {
        query.condition("retry_of = ?", [retried.as_bytes().to_vec().into()]);
    }
    if !filter.statuses.is_empty() {
        let words: Vec<_> = filter.statuses.iter().map(|status| format!("'{status}'")).collect();
        query.condition(&format!("status IN ({})", words.join(", ")), []);
    }
    query.run(snapshot, page)
}

/// A query for ids, put together from the conditions that a filter has.
struct Query {
    sql: String,
    values: Vec<Value>,
}

impl Query {
    fn new(index: &str, filter: &Filter) -> Self {
        let sql = format!("SELECT id FROM operations INDEXED BY {index} WHERE tenant = ?");
        let mut query = Self { sql, values: vec![filter.tenant.as_str().to_owned().into()] };
        query.add_columns(filter);
        query.add_times(filter.since, filter.until);
        if let Some(text) = &filter.text {
            query.add_text(text);
        }
        query
    }

    fn condition(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    fn fits(&mut self, column: &str, wanted: &str) {
        self.condition(&format!("{column} = ?"), [wanted.to_owned().into()]);
    }

    fn add_columns(&mut self, filter: &Filter) {
        let columns = [
            ("route", filter.route.as_deref()),
            ("dialect", filter.dialect.map(DialectName::as_str)),
            ("mount", filter.mount.as_deref()),
            ("verb", filter.verb.map(Verb::as_str)),
            ("resource", filter.resource.as_deref()),
        ];
        for (column, wanted) in columns {
            if let Some(wanted) = wanted {
                self.fits(column, wanted);
            }
        }
        if let Some(target) = &filter.target {
            self.condition("instr(targets, ?) > 0", [format!("\n{target}\n").into()]);
        }
        match filter.attention {
            Some(true) => self.condition("attention > 0", []),
            Some(false) => self.condition("attention = 0", []),
            None => {}
        }
    }

    /// Ids sort by the millisecond of acceptance, so they bound the part of the index that is read at all.
    fn add_times(&mut self, since: Option<Timestamp>, until: Option<Timestamp>) {
        if let Some(since) = since {
            let first = OperationId::new(since, [0; 10]);
            let values = [first.as_bytes().to_vec().into(), time::floor(since).into()];
            self.condition("id >= ? AND accepted_at >= ?", values);
        }
        if let Some(until) = until {
            let last = OperationId::new(until, [0xff; 10]);
            self.condition("id <= ? AND accepted_at < ?", [last.as_bytes().to_vec().into(), time::floor(until).into()]);
        }
    }

    fn add_text(&mut self, text: &str) {
        let text = text.to_ascii_lowercase();
        let condition = "(instr(lower(resource), ?) OR instr(lower(route), ?) OR instr(lower(
            substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-' ||
            substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)), ?))";
        self.condition(condition, [text.clone().into(), text.clone().into(), text.into()]);
    }

    fn run(mut self, snapshot: &Snapshot<'_>, page: Page<OperationId>) -> Result<Vec<OperationId>, Failure> {
        let (beyond, direction) = match page.order {
            Order::NewestFirst => ("id < ?", "DESC"),
            Order::OldestFirst => ("id > ?", "ASC"),
        };
        if let Some(after) = page.after {
            self.condition(beyond, [after.as_bytes().to_vec().into()]);
        }
        self.sql.push_str(&format!(" ORDER BY id {direction} LIMIT ?"));
        self.values.push(limit(page.limit, LIST_MAX).into());
        let mut statement = snapshot.sql.prepare_cached(&self.sql)?;
        let rows = statement.query_map(params_from_iter(self.values), |row| operation_id(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
