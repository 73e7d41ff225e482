//! Listing operations, in one statement. Each index holds ids in their order, so a page costs the same wherever it lies in the
//! list; where several pieces of an index fit a filter, each is read on its own and they are merged. Which index leads is a
//! matter of how few it lets through; whatever else the filter asks for is looked at in the row.

use fanfold_core::operation::{Phase, Status};
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::{Operation, OperationId};
use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::columns::{escaped, limit, uuid};
use super::readers::Readers;
use super::scope;
use crate::{Error, Filter, LIST_MAX, Order, Page, searched, time};

pub(super) async fn list(readers: &Readers, filter: &Filter, page: Page<OperationId>) -> Result<Vec<Operation>, Error> {
    let lead = Lead::of(filter);
    let mut query = Query::of(&lead, filter, page);
    let sql = query.statement(&lead, filter, page);
    let values: Vec<&(dyn ToSql + Sync)> = query.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
    let rows = readers.query_once(&sql, &values).await?;
    readers.operations(&rows).await
}

/// What leads to the operations that fit.
enum Lead {
    /// An index of what is few, whatever its status.
    Few,
    /// The facet of a resource or a target.
    Facet(&'static str, String),
    /// The facets of the kinds that fit.
    Kinds,
    /// The facets of a few targets, each operation once.
    Targets(Vec<String>),
    /// The statuses, one after the other.
    Statuses,
}

impl Lead {
    fn of(filter: &Filter) -> Self {
        let is_few = filter.retry_of.is_some() || filter.owner.is_some();
        let has_words = filter.dialect.is_some() || filter.verb.is_some();
        let has_kind = has_words || filter.route.is_some() || filter.mount.is_some() || filter.scope.routes.is_some();
        let few_targets = scope::targets(&filter.scope).filter(|targets| targets.len() <= scope::LEADS_MAX);
        // What has not ended is nearly always less than what a target or a route has ever had.
        let is_open = !filter.statuses.is_empty() && filter.statuses.iter().all(|status| !status.is_terminal());
        match (&filter.resource, &filter.target) {
            _ if is_few => Self::Few,
            (Some(resource), _) => Self::Facet("resource", escaped(resource).into_owned()),
            _ if !filter.phases.is_empty() || filter.attention == Some(true) => Self::Few,
            _ if is_open => Self::Statuses,
            (None, Some(target)) => Self::Facet("target", target.as_str().to_owned()),
            (None, None) if has_kind => Self::Kinds,
            (None, None) => few_targets.map_or(Self::Statuses, Self::Targets),
        }
    }

    /// The column of the ids in what leads.
    fn id(&self) -> &'static str {
        match self {
            Self::Few | Self::Statuses => "id",
            Self::Facet(..) | Self::Kinds | Self::Targets(_) => "f.operation",
        }
    }
}

/// A query, put together from the conditions that a filter has.
struct Query {
    conditions: String,
    /// Those that a kind fulfils.
    of_kind: String,
    values: Vec<Box<dyn ToSql + Send + Sync>>,
    id: &'static str,
}

impl Query {
    fn of(lead: &Lead, filter: &Filter, page: Page<OperationId>) -> Self {
        let (conditions, of_kind) = ("tenant = $1".to_owned(), "k.tenant = $1".to_owned());
        let mut query = Self { conditions, of_kind, values: Vec::new(), id: lead.id() };
        query.values.push(Box::new(filter.tenant.as_str().to_owned()));
        query.add_columns(filter);
        query.add_scope(filter);
        query.add_times(filter.since, filter.until);
        if let Some(text) = &filter.text {
            query.add_text(text);
        }
        if let Some(first) = filter.first {
            query.of_id(">=", first);
        }
        if let Some(after) = page.after {
            let beyond = match page.order {
                Order::NewestFirst => "<",
                Order::OldestFirst => ">",
            };
            query.of_id(beyond, after);
        }
        query
    }

    /// Adds a condition on one value, which stands in it as `?`, perhaps several times.
    fn condition(&mut self, condition: &str, value: impl ToSql + Send + Sync + 'static) {
        self.values.push(Box::new(value));
        self.conditions.push_str(" AND ");
        self.conditions.push_str(&condition.replace('?', &format!("${}", self.values.len())));
    }

    fn of_id(&mut self, compared: &str, with: OperationId) {
        self.condition(&format!("{} {compared} ?", self.id), uuid(with));
    }

    fn fits(&mut self, column: &str, wanted: &str) {
        self.condition(&format!("{column} = ?"), escaped(wanted).into_owned());
    }

    fn add_columns(&mut self, filter: &Filter) {
        let kinds = [
            ("route", filter.route.as_deref()),
            ("dialect", filter.dialect.map(DialectName::as_str)),
            ("mount", filter.mount.as_deref()),
            ("verb", filter.verb.map(Verb::as_str)),
        ];
        for (column, wanted) in kinds {
            if let Some(wanted) = wanted {
                self.fits(column, wanted);
                self.of_kind.push_str(&format!(" AND k.{column} = ${}", self.values.len()));
            }
        }
        for (column, wanted) in [("owner", &filter.owner), ("resource", &filter.resource)] {
            if let Some(wanted) = wanted {
                self.fits(column, wanted);
            }
        }
        if !filter.phases.is_empty() {
            let words: Vec<&str> = filter.phases.iter().copied().map(Phase::as_str).collect();
            self.condition("phase = ANY(?::text[])", words);
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

    fn add_scope(&mut self, filter: &Filter) {
        if filter.scope.routes.is_some() {
            // That is the first of the conditions.
            self.of_kind.push_str(&format!(" AND k.route = ANY(${}::text[])", self.values.len() + 1));
        }
        for (condition, value) in scope::conditions(&filter.scope, "") {
            self.condition(&condition, value);
        }
    }

    /// Ids sort by the millisecond of acceptance, so they bound the part of the index that is read at all.
    fn add_times(&mut self, since: Option<Timestamp>, until: Option<Timestamp>) {
        if let Some(since) = since {
            self.of_id(">=", OperationId::new(since, [0; 10]));
            self.condition("accepted_at >= ?", time::floor(since));
        }
        if let Some(until) = until {
            self.of_id("<=", OperationId::new(until, [0xff; 10]));
            self.condition("accepted_at < ?", time::floor(until));
        }
    }

    fn add_text(&mut self, text: &str) {
        let wanted = searched::wanted(text);
        let searched = "strpos(coalesce(searched, lower(resource) || E'\\n' || lower(route)), ?) > 0";
        let condition = match searched::may_be_of_id(&wanted) {
            true => format!("({searched} OR strpos(id::text, ?) > 0)"),
            false => searched.to_owned(),
        };
        self.condition(&condition, escaped(&wanted).into_owned());
    }

    fn statement(&mut self, lead: &Lead, filter: &Filter, page: Page<OperationId>) -> String {
        let direction = match page.order {
            Order::NewestFirst => "DESC",
            Order::OldestFirst => "ASC",
        };
        let wanted = |status: &Status| filter.statuses.is_empty() || filter.statuses.contains(status);
        let statuses: Vec<Status> = Status::ALL.into_iter().filter(wanted).collect();
        if !filter.statuses.is_empty() {
            let words: Vec<_> = statuses.iter().map(|status| format!("'{status}'")).collect();
            self.conditions.push_str(&format!(" AND status IN ({})", words.join(", ")));
        }
        self.values.push(Box::new(limit(page.limit, LIST_MAX)));
        let limit = format!("LIMIT ${}", self.values.len());
        let bound = |id: &str| format!("ORDER BY {id} {direction} {limit}");
        let of_facet = |facet: &str, conditions: &str| {
            format!(
                "SELECT f.operation AS id FROM facets f JOIN operations ON id = f.operation
                 WHERE f.facet = {facet} AND {conditions} {}",
                bound("f.operation")
            )
        };
        let ids = match lead {
            Lead::Few => format!("SELECT id FROM operations WHERE {} {}", self.conditions, bound("id")),
            Lead::Facet(what, value) => {
                self.values.push(Box::new(value.clone()));
                let named = format!("facet_of('{what}' || E'\\n' || $1 || E'\\n' || ${}::text)", self.values.len());
                of_facet(&named, &self.conditions)
            }
            Lead::Kinds => format!(
                "SELECT p.id FROM kinds k CROSS JOIN LATERAL ({}) p WHERE {} {}",
                of_facet("k.kind", &self.conditions),
                self.of_kind,
                bound("p.id")
            ),
            Lead::Targets(targets) => {
                self.values.push(Box::new(targets.clone()));
                let pieces = of_facet("facet_of('target' || E'\\n' || $1 || E'\\n' || s.target)", &self.conditions);
                format!(
                    "SELECT DISTINCT p.id FROM unnest(${}::text[]) s (target) CROSS JOIN LATERAL ({pieces}) p {}",
                    self.values.len(),
                    bound("p.id")
                )
            }
            Lead::Statuses => {
                let of_status = |status: &Status| {
                    let conditions = &self.conditions;
                    format!("(SELECT id FROM operations WHERE {conditions} AND status = '{status}' {})", bound("id"))
                };
                let pieces: Vec<_> = statuses.iter().map(of_status).collect();
                format!("SELECT id FROM ({}) AS pieces {}", pieces.join(" UNION ALL "), bound("id"))
            }
        };
        format!(
            "SELECT o.id, o.state, p.policy, p.plan FROM ({ids}) AS page JOIN operations o ON o.id = page.id
             JOIN plans p ON p.operation = o.id ORDER BY o.id {direction}"
        )
    }
}
