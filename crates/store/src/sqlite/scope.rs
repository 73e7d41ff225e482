//! What somebody's scope lets them see, as conditions on the row of an operation.

use std::collections::BTreeSet;

use fanfold_core::{Scope, TargetName};
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{FromSqlError, Value};

/// How many targets of a scope lead to what it has, each by its facet. With more of them, or none, something else leads.
pub(super) const LEADS_MAX: usize = 16;

/// Adds the function that the conditions need.
pub(super) fn register(sql: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    // Whether all lines of the first text are among the entries of the second one, a list in JSON.
    sql.create_scalar_function("lines_are_among", 2, flags, |context| {
        let unfit = |error: FromSqlError| rusqlite::Error::UserFunctionError(error.into());
        // Read once for a whole statement.
        let among = context.get_or_create_aux(1, |list| {
            let list = list.as_str().map_err(unfit)?;
            serde_json::from_str::<BTreeSet<String>>(list)
                .map_err(|error| rusqlite::Error::UserFunctionError(error.into()))
        })?;
        let mut lines = context.get_raw(0).as_str().map_err(unfit)?.split('\n');
        Ok(lines.all(|line| line.is_empty() || among.contains(line)))
    })
}

/// The conditions on an operation `o`, each with its value.
pub(super) fn conditions(scope: &Scope) -> Vec<(&'static str, Value)> {
    let routes = routes(scope).map(|routes| ("+o.route IN (SELECT value FROM json_each(?))", routes));
    let targets = scope.targets.as_ref().map(|targets| list(targets.iter().map(TargetName::as_str)));
    let targets = targets.map(|targets| ("lines_are_among(o.targets, ?)", targets));
    [routes, targets].into_iter().flatten().collect()
}

/// The routes as a list in JSON; `None`: all.
pub(super) fn routes(scope: &Scope) -> Option<Value> {
    scope.routes.as_ref().map(|routes| list(routes.iter().map(String::as_str)))
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    serde_json::Value::from_iter(names).to_string().into()
}
