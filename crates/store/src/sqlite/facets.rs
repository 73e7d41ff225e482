//! Facets: numbers for values that lists are filtered by, each with the ids of the operations that have it.
//!
//! What the rules of a route give (the route, dialect, mount and verb) is one facet together, the kind; so an operation has one
//! for its kind, one for its resource and one for each target, all of them written once.

use fanfold_core::{OperationId, TenantId};
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use super::scope;
use super::writer::Tx;
use crate::Filter;

/// What the facets of an operation follow from.
pub(super) struct Faceted<'a> {
    pub(super) tenant: &'a str,
    pub(super) route: &'a str,
    pub(super) dialect: &'a str,
    pub(super) mount: &'a str,
    pub(super) verb: &'a str,
    pub(super) resource: &'a str,
    /// As in the column: each between line feeds.
    pub(super) targets: &'a str,
}

impl Faceted<'_> {
    fn kind(&self) -> i64 {
        facet(&["kind", self.tenant, self.route, self.dialect, self.mount, self.verb])
    }

    /// All of them, without regard to their order; a target that is called twice is there twice.
    fn all(&self) -> Vec<i64> {
        let targets = self.targets.split('\n').filter(|target| !target.is_empty());
        let targets = targets.map(|target| of_target(self.tenant, target));
        [self.kind(), of_resource(self.tenant, self.resource)].into_iter().chain(targets).collect()
    }
}

/// Forty-eight bits of a digest: a small number, and the same value has always the same one.
fn facet(parts: &[&str]) -> i64 {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().take(6).fold(0, |number, octet| (number << 8) | i64::from(*octet))
}

pub(super) fn of_target(tenant: &str, target: &str) -> i64 {
    facet(&["target", tenant, target])
}

pub(super) fn of_resource(tenant: &str, resource: &str) -> i64 {
    facet(&["resource", tenant, resource])
}

/// Writes those of a new operation.
pub(super) fn insert(sql: &Connection, id: OperationId, faceted: &Faceted<'_>) -> rusqlite::Result<()> {
    // Mostly it is there.
    insert_kind(sql, faceted.kind(), faceted)?;
    let mut insert =
        sql.prepare_cached("INSERT INTO facets (facet, operation) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    for facet in faceted.all() {
        insert.execute(params![facet, id.as_bytes()])?;
    }
    Ok(())
}

fn insert_kind(sql: &Connection, kind: i64, faceted: &Faceted<'_>) -> rusqlite::Result<()> {
    let insert = "INSERT INTO kinds (kind, tenant, route, dialect, mount, verb) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                  ON CONFLICT DO NOTHING";
    let Faceted { tenant, route, dialect, mount, verb, .. } = faceted;
    sql.prepare_cached(insert)?.execute(params![kind, tenant, route, dialect, mount, verb])?;
    Ok(())
}

/// Deletes those of an operation.
pub(super) fn delete(tx: &Tx<'_>, id: OperationId, faceted: &Faceted<'_>) -> rusqlite::Result<()> {
    for facet in faceted.all() {
        tx.execute("DELETE FROM facets WHERE facet = ?1 AND operation = ?2", params![facet, id.as_bytes()])?;
    }
    Ok(())
}

/// The kinds that fit a filter.
pub(super) fn kinds(sql: &Connection, tenant: &TenantId, filter: &Filter) -> rusqlite::Result<Vec<i64>> {
    let select =
        "SELECT kind FROM kinds WHERE tenant = ?1 AND (?2 IS NULL OR route = ?2) AND (?3 IS NULL OR dialect = ?3)
                  AND (?4 IS NULL OR mount = ?4) AND (?5 IS NULL OR verb = ?5)
                  AND (?6 IS NULL OR route IN (SELECT value FROM json_each(?6)))";
    let (dialect, verb) = (filter.dialect.map(|name| name.as_str()), filter.verb.map(|verb| verb.as_str()));
    let mut statement = sql.prepare_cached(select)?;
    let seen = scope::routes(&filter.scope);
    let values = params![tenant.as_str(), filter.route, dialect, filter.mount, verb, seen];
    let rows = statement.query_map(values, |row| row.get(0))?;
    rows.collect()
}
