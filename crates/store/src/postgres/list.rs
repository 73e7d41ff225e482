//! Listing operations, in one statement. Each status is read on its own, in the order of its index, and the pieces are merged:
//! so a page costs the same wherever it lies in the list.

use fanfold_core::operation::Status;
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::{Operation, OperationId};
use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::columns::{escaped, limit, uuid};
use super::readers::Readers;
use crate::{Error, Filter, LIST_MAX, Order, Page, time};

pub(super) async fn list(readers: &Readers, filter: &Filter, page: Page<OperationId>) -> Result<Vec<Operation>, Error> {
    let mut query = Query::of(filter, page);
    let sql = query.statement(filter, page);
    let values: Vec<&(dyn ToSql + Sync)> = query.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
    let rows = readers.query_once(&sql, &values).await?;
    readers.operations(&rows).await
}

/// A query, put together from the conditions that a filter has.
struct Query {
    conditions: String,
    values: Vec<Box<dyn ToSql + Send + Sync>>,
}

impl Query {
    fn of(filter: &Filter, page: Page<OperationId>) -> Self {
        let mut query = Self { conditions: "tenant = $1".to_owned(), values: Vec::new() };
        query.values.push(Box::new(filter.tenant.as_str().to_owned()));
        query.add_columns(filter);
        query.add_times(filter.since, filter.until);
        if let Some(text) = &filter.text {
            query.add_text(text);
        }
        if let Some(after) = page.after {
            let beyond = match page.order {
                Order::NewestFirst => "id < ?",
                Order::OldestFirst => "id > ?",
            };
            query.condition(beyond, uuid(after));
        }
        query
    }

    /// Adds a condition on one value, which stands in it as `?`, perhaps several times.
    fn condition(&mut self, condition: &str, value: impl ToSql + Send + Sync + 'static) {
        self.values.push(Box::new(value));
        self.conditions.push_str(" AND ");
        self.conditions.push_str(&condition.replace('?', &format!("${}", self.values.len())));
    }

    fn fits(&mut self, column: &str, wanted: &str) {
        self.condition(&format!("{column} = ?"), escaped(wanted).into_owned());
    }

    fn add_columns(&mut self, filter: &Filter) {
        let columns = [
            ("route", filter.route.as_deref()),
            ("dialect", filter.dialect.map(DialectName::as_str)),
            ("mount", filter.mount.as_deref()),
            ("owner", filter.owner.as_deref()),
            ("verb", filter.verb.map(Verb::as_str)),
            ("resource", filter.resource.as_deref()),
        ];
        for (column, wanted) in columns {
            if let Some(wanted) = wanted {
                self.fits(column, wanted);
            }
        }
        if let Some(retried) = filter.retry_of {
            self.condition("retry_of = ?", uuid(retried));
        }
        if let Some(target) = &filter.target {
            self.condition("strpos(targets, ?) > 0", format!("\n{target}\n"));
        }
        match filter.attention {
            // The open notes are few among all operations, and there is an index of them.
            Some(true) => self.conditions.push_str(
                " AND attention > 0 AND id = ANY(ARRAY(
                    SELECT operation FROM attention WHERE tenant = $1 AND closed_at IS NULL))",
            ),
            Some(false) => self.conditions.push_str(" AND attention = 0"),
            None => {}
        }
    }

    /// Ids sort by the millisecond of acceptance, so they bound the part of the index that is read at all.
    fn add_times(&mut self, since: Option<Timestamp>, until: Option<Timestamp>) {
        if let Some(since) = since {
            self.condition("id >= ?", uuid(OperationId::new(since, [0; 10])));
            self.condition("accepted_at >= ?", time::floor(since));
        }
        if let Some(until) = until {
            self.condition("id <= ?", uuid(OperationId::new(until, [0xff; 10])));
            self.condition("accepted_at < ?", time::floor(until));
        }
    }

    fn add_text(&mut self, text: &str) {
        let condition = "(strpos(lower(resource), ?) > 0 OR strpos(lower(route), ?) > 0 OR strpos(id::text, ?) > 0)";
        self.condition(condition, escaped(&text.to_ascii_lowercase()).into_owned());
    }

    fn statement(&mut self, filter: &Filter, page: Page<OperationId>) -> String {
        let direction = match page.order {
            Order::NewestFirst => "DESC",
            Order::OldestFirst => "ASC",
        };
        self.values.push(Box::new(limit(page.limit, LIST_MAX)));
        let bound = format!("ORDER BY id {direction} LIMIT ${}", self.values.len());
        let conditions = &self.conditions;
        let wanted = |status: &Status| filter.statuses.is_empty() || filter.statuses.contains(status);
        let statuses: Vec<Status> = Status::ALL.into_iter().filter(wanted).collect();
        // These are few, whatever their status.
        let ids = if filter.retry_of.is_some() || filter.owner.is_some() || filter.attention == Some(true) {
            let words: Vec<_> = statuses.iter().map(|status| format!("'{status}'")).collect();
            format!("SELECT id FROM operations WHERE {conditions} AND status IN ({}) {bound}", words.join(", "))
        } else {
            let of_status = |status: &Status| {
                format!("(SELECT id FROM operations WHERE {conditions} AND status = '{status}' {bound})")
            };
            let pieces: Vec<_> = statuses.iter().map(of_status).collect();
            format!("SELECT id FROM ({}) AS pieces {bound}", pieces.join(" UNION ALL "))
        };
        format!(
            "SELECT o.id, o.state, p.policy, p.plan FROM ({ids}) AS page JOIN operations o ON o.id = page.id
             JOIN plans p ON p.operation = o.id ORDER BY o.id {direction}"
        )
    }
}
