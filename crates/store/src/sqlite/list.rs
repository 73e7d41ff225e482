//! Listing operations. Each index holds ids in their order, so a page costs the same wherever it lies in the list; where
//! several pieces of an index fit a filter, each is read on its own and they are merged. Which index leads is a matter of how
//! few it lets through; whatever else the filter asks for is looked at in the row.

use fanfold_core::operation::{Phase, Status};
use fanfold_core::plan::{DialectName, Verb};
use fanfold_core::{Operation, OperationId};
use jiff::Timestamp;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::failure::Failure;
use super::operations::{limit, operation_id};
use super::readers::Snapshot;
use super::{facets, scope};
use crate::{Filter, LIST_MAX, Order, Page, searched, time};

/// Operations of some statuses that are read one by one rather than all those of a route: so few are read in an instant.
const FEW: i64 = 5_000;

pub(super) fn list(
    snapshot: &Snapshot<'_>,
    filter: &Filter,
    page: Page<OperationId>,
) -> Result<Vec<Operation>, Failure> {
    let mut found = Vec::new();
    for lead in leads(snapshot, filter)? {
        // What is beyond a full page of earlier pieces is not on this one.
        let bound = (found.len() >= length(page)).then(|| found.last().copied()).flatten();
        found.extend(Query::new(&lead, filter).run(snapshot, page, bound)?);
        match page.order {
            Order::NewestFirst => found.sort_unstable_by(|left: &OperationId, right| right.cmp(left)),
            Order::OldestFirst => found.sort_unstable(),
        }
        // What several targets lead to.
        found.dedup();
        found.truncate(length(page));
    }
    let mut operations = Vec::with_capacity(found.len());
    for id in found {
        operations.extend(snapshot.operation(id, None)?);
    }
    Ok(operations)
}

/// The operation that stands so many places after `page.after`, among all of a tenant.
pub(super) fn place(
    snapshot: &Snapshot<'_>,
    tenant: &str,
    after: Option<OperationId>,
    places: usize,
) -> Result<Option<OperationId>, Failure> {
    let select = "SELECT operation FROM texts WHERE tenant = ?1 AND operation < ?2
                  ORDER BY operation DESC LIMIT 1 OFFSET ?3";
    let mut statement = snapshot.sql.prepare_cached(select)?;
    // No id is as high as this one.
    let after = after.unwrap_or(OperationId::from_bytes([0xff; 16])).as_bytes().to_vec();
    let places = i64::try_from(places.saturating_sub(1)).unwrap_or(i64::MAX);
    let mut rows = statement.query(rusqlite::params![tenant, after, places])?;
    Ok(rows.next()?.map(|row| operation_id(row, 0)).transpose()?)
}

fn length(page: Page<OperationId>) -> usize {
    page.limit.min(LIST_MAX)
}

/// What leads to the operations that fit.
enum Lead {
    /// An index of operations, all of it or the part with this value in this column.
    Index(&'static str, Option<(&'static str, String)>),
    /// A facet.
    Facet(i64),
    /// The texts that are searched.
    Texts,
}

fn leads(snapshot: &Snapshot<'_>, filter: &Filter) -> Result<Vec<Lead>, Failure> {
    let tenant = filter.tenant.as_str();
    if filter.retry_of.is_some() {
        return Ok(vec![Lead::Index("operations_by_retry", None)]);
    }
    if let Some(owner) = &filter.owner {
        return Ok(vec![Lead::Index("operations_by_owner", Some(("owner", owner.clone())))]);
    }
    if let Some(resource) = &filter.resource {
        return Ok(vec![Lead::Facet(facets::of_resource(tenant, resource))]);
    }
    if !filter.phases.is_empty() {
        let of_phase = |phase: &Phase| Lead::Index("operations_by_phase", Some(("phase", phase.as_str().to_owned())));
        return Ok(filter.phases.iter().map(of_phase).collect());
    }
    if filter.attention == Some(true) {
        return Ok(vec![Lead::Index("operations_by_attention", None)]);
    }
    let has_few = has_few(snapshot, filter)?;
    if let Some(target) = filter.target.as_ref().filter(|_| !has_few) {
        return Ok(vec![Lead::Facet(facets::of_target(tenant, target.as_str()))]);
    }
    if has_kind(filter) && !has_few {
        let kinds = facets::kinds(snapshot.sql, &filter.tenant, filter)?;
        return Ok(kinds.into_iter().map(Lead::Facet).collect());
    }
    if let Some(targets) = filter.scope.targets.as_ref().filter(|targets| targets.len() <= scope::LEADS_MAX && !has_few)
    {
        return Ok(targets.iter().map(|target| Lead::Facet(facets::of_target(tenant, target.as_str()))).collect());
    }
    if filter.text.is_some() && filter.statuses.is_empty() {
        return Ok(vec![Lead::Texts]);
    }
    let wanted = |status: &Status| filter.statuses.is_empty() || filter.statuses.contains(status);
    let of_status = |status: Status| Lead::Index("operations_by_status", Some(("status", status.as_str().to_owned())));
    Ok(Status::ALL.into_iter().filter(wanted).map(of_status).collect())
}

/// Whether it asks for something that a kind has.
fn has_kind(filter: &Filter) -> bool {
    let has_words = filter.dialect.is_some() || filter.verb.is_some();
    has_words || filter.route.is_some() || filter.mount.is_some() || filter.scope.routes.is_some()
}

/// Whether the statuses that are asked for let few through.
fn has_few(snapshot: &Snapshot<'_>, filter: &Filter) -> Result<bool, Failure> {
    if filter.statuses.is_empty() {
        return Ok(false);
    }
    let mut statement = snapshot.sql.prepare_cached("SELECT number FROM counts WHERE tenant = ?1 AND status = ?2")?;
    let mut all: i64 = 0;
    for status in &filter.statuses {
        let mut rows = statement.query([filter.tenant.as_str(), status.as_str()])?;
        if let Some(row) = rows.next()? {
            all = all.saturating_add(row.get(0)?);
        }
    }
    Ok(all <= FEW)
}

/// A query for ids, put together from the conditions that a filter has.
struct Query {
    sql: String,
    values: Vec<Value>,
    /// The column of the ids in what leads.
    id: &'static str,
}

impl Query {
    fn new(lead: &Lead, filter: &Filter) -> Self {
        let tenant = || Value::from(filter.tenant.as_str().to_owned());
        let mut query = match lead {
            Lead::Index(index, part) => {
                let sql = format!("SELECT id FROM operations o INDEXED BY {index} WHERE o.tenant = ?");
                let mut query = Self { sql, values: vec![tenant()], id: "o.id" };
                if let Some((column, value)) = part {
                    query.fits(column, value);
                }
                query
            }
            Lead::Facet(facet) => Self {
                sql: "SELECT f.operation FROM facets f CROSS JOIN operations o ON o.id = f.operation
                      WHERE f.facet = ? AND o.tenant = ?"
                    .to_owned(),
                values: vec![(*facet).into(), tenant()],
                id: "f.operation",
            },
            Lead::Texts => Self {
                sql: "SELECT t.operation FROM texts t CROSS JOIN operations o ON o.id = t.operation WHERE t.tenant = ?"
                    .to_owned(),
                values: vec![tenant()],
                id: "t.operation",
            },
        };
        if let Some(text) = &filter.text {
            query.add_text(text, matches!(lead, Lead::Texts));
        }
        query.add_columns(filter);
        for (condition, value) in scope::conditions(&filter.scope) {
            query.condition(condition, [value]);
        }
        query.add_times(filter.since, filter.until);
        if let Some(first) = filter.first {
            let id = query.id;
            query.condition(&format!("{id} >= ?"), [first.as_bytes().to_vec().into()]);
        }
        query
    }

    fn condition(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    fn fits(&mut self, column: &str, wanted: &str) {
        self.condition(&format!("o.{column} = ?"), [wanted.to_owned().into()]);
    }

    /// `words` are ours, and have nothing in them that would have to be escaped.
    fn one_of(&mut self, column: &str, words: impl Iterator<Item = &'static str>) {
        let words: Vec<_> = words.map(|word| format!("'{word}'")).collect();
        // The plus sign keeps it from being taken for a way to find rows: what leads is chosen already.
        self.condition(&format!("+o.{column} IN ({})", words.join(", ")), []);
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
        if let Some(retried) = &filter.retry_of {
            self.condition("o.retry_of = ?", [retried.as_bytes().to_vec().into()]);
        }
        if !filter.statuses.is_empty() {
            self.one_of("status", filter.statuses.iter().copied().map(Status::as_str));
        }
        if !filter.phases.is_empty() {
            self.one_of("phase", filter.phases.iter().copied().map(Phase::as_str));
            // Said once more for the index, whose condition it is.
            self.condition("o.phase IS NOT NULL", []);
        }
        if let Some(target) = &filter.target {
            self.condition("instr(o.targets, ?) > 0", [format!("\n{target}\n").into()]);
        }
        match filter.attention {
            Some(true) => self.condition("o.attention > 0", []),
            Some(false) => self.condition("o.attention = 0", []),
            None => {}
        }
    }

    /// Ids sort by the millisecond of acceptance, so they bound the part of the index that is read at all.
    fn add_times(&mut self, since: Option<Timestamp>, until: Option<Timestamp>) {
        let id = self.id;
        if let Some(since) = since {
            let first = OperationId::new(since, [0; 10]);
            let values = [first.as_bytes().to_vec().into(), time::floor(since).into()];
            self.condition(&format!("{id} >= ? AND o.accepted_at >= ?"), values);
        }
        if let Some(until) = until {
            let last = OperationId::new(until, [0xff; 10]);
            let values = [last.as_bytes().to_vec().into(), time::floor(until).into()];
            self.condition(&format!("{id} <= ? AND o.accepted_at < ?"), values);
        }
    }

    fn add_text(&mut self, text: &str, is_lead: bool) {
        let wanted = searched::wanted(text);
        let id = self.id;
        let mut condition = match is_lead {
            true => "(instr(t.searched, ?)".to_owned(),
            false => format!(
                "(EXISTS (SELECT 1 FROM texts t WHERE t.tenant = o.tenant AND t.operation = {id} AND instr(t.searched, ?))"
            ),
        };
        let mut values = vec![wanted.clone().into()];
        if searched::may_be_of_id(&wanted) {
            condition += &format!(
                " OR instr(lower(substr(hex({id}), 1, 8) || '-' || substr(hex({id}), 9, 4) || '-' ||
                  substr(hex({id}), 13, 4) || '-' || substr(hex({id}), 17, 4) || '-' || substr(hex({id}), 21)), ?)"
            );
            values.push(wanted.into());
        }
        self.condition(&(condition + ")"), values);
    }

    /// `bound`: nothing beyond it is wanted.
    fn run(
        mut self,
        snapshot: &Snapshot<'_>,
        page: Page<OperationId>,
        bound: Option<OperationId>,
    ) -> Result<Vec<OperationId>, Failure> {
        let (beyond, within, direction) = match page.order {
            Order::NewestFirst => ("<", ">", "DESC"),
            Order::OldestFirst => (">", "<", "ASC"),
        };
        let id = self.id;
        if let Some(after) = page.after {
            self.condition(&format!("{id} {beyond} ?"), [after.as_bytes().to_vec().into()]);
        }
        if let Some(bound) = bound {
            self.condition(&format!("{id} {within} ?"), [bound.as_bytes().to_vec().into()]);
        }
        self.sql.push_str(&format!(" ORDER BY {id} {direction} LIMIT ?"));
        self.values.push(limit(page.limit, LIST_MAX).into());
        let mut statement = snapshot.sql.prepare_cached(&self.sql)?;
        let rows = statement.query_map(params_from_iter(self.values), |row| operation_id(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
