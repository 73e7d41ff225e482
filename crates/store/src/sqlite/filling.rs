//! What migrations fill in that SQL alone cannot tell.

use fanfold_core::{Operation, Plan};
use rusqlite::{Connection, Row, params};
use std::sync::Arc;

use super::facets::{self, Faceted};
use super::operations::operation_id;
use crate::record;
use crate::searched::searched;

/// The phases of the operations that have not ended.
pub(super) fn phases(sql: &Connection) -> rusqlite::Result<()> {
    let mut select = sql.prepare("SELECT serial, state FROM operations WHERE ended_at IS NULL")?;
    let mut update = sql.prepare("UPDATE operations SET phase = ?2 WHERE serial = ?1")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let serial: i64 = row.get(0)?;
        if let Some(phase) = record::phase_word_of(row.get_ref(1)?.as_str()?) {
            update.execute(params![serial, phase])?;
        }
    }
    Ok(())
}

/// The facets of all operations, and what a search looks at.
pub(super) fn facets(sql: &Connection) -> rusqlite::Result<()> {
    let mut select = sql.prepare(
        "SELECT o.id, o.tenant, o.route, o.dialect, o.mount, o.verb, o.resource, o.targets, o.state, p.plan
         FROM operations o JOIN plans p ON p.operation = o.serial ORDER BY o.serial",
    )?;
    let mut insert = sql.prepare("INSERT INTO texts (tenant, operation, searched) VALUES (?1, ?2, ?3)")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let text = |column| row.get_ref(column).and_then(|value| Ok(value.as_str()?));
        let id = operation_id(row, 0)?;
        let faceted = Faceted {
            tenant: text(1)?,
            route: text(2)?,
            dialect: text(3)?,
            mount: text(4)?,
            verb: text(5)?,
            resource: text(6)?,
            targets: text(7)?,
        };
        facets::insert(sql, id, &faceted)?;
        insert.execute(params![faceted.tenant, id.as_bytes(), searched_of(row)?])?;
    }
    Ok(())
}

/// What cannot be read is found out where it is read to be used.
fn searched_of(row: &Row<'_>) -> rusqlite::Result<String> {
    let (state, plan) = (row.get_ref(8)?.as_str()?, row.get_ref(9)?.as_str()?);
    let (Ok(operation), Ok(plan)) = (serde_json::from_str::<Operation>(state), serde_json::from_str::<Plan>(plan))
    else {
        return Ok(String::new());
    };
    Ok(searched(&Operation { plan: Arc::new(plan), ..operation }))
}
