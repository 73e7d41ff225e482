//! What somebody's scope lets them see, as conditions on the row of an operation.

use fanfold_core::{Scope, TargetName};

use super::columns::escaped;

/// How many targets of a scope lead to what it has, each by its facet. With more of them, or none, something else leads.
pub(super) const LEADS_MAX: usize = 16;

/// The conditions on an operation, each with its value, which stands in it as `?`. `of`: what goes before the columns.
pub(super) fn conditions(scope: &Scope, of: &str) -> Vec<(String, Vec<String>)> {
    let routes = routes(scope).map(|routes| (format!("{of}route = ANY(?::text[])"), routes));
    let named = format!("string_to_array(trim(both E'\\n' from {of}targets), E'\\n') <@ ?::text[]");
    let targets = targets(scope).map(|targets| (named, targets));
    [routes, targets].into_iter().flatten().collect()
}

/// The routes; `None`: all.
fn routes(scope: &Scope) -> Option<Vec<String>> {
    scope.routes.as_ref().map(|routes| routes.iter().map(|name| escaped(name).into_owned()).collect())
}

/// The targets; `None`: all.
pub(super) fn targets(scope: &Scope) -> Option<Vec<String>> {
    let name = |target: &TargetName| escaped(target.as_str()).into_owned();
    scope.targets.as_ref().map(|targets| targets.iter().map(name).collect())
}
