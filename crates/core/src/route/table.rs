//! The table of all routes: checks them together, and finds the one that answers a request.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;

use super::compile;
use super::compiled::{check_beginning, compile_monitor};
use super::handling::Route;
use super::path;
use super::pattern::{self, Pattern, Tree};
use super::problem::{Place, Problem, Problems};
use super::select::Directory;
use super::spec::{RouteSpec, TargetSpec};
use crate::TargetName;
use crate::dialect::Mount;
use crate::plan::{DialectName, Monitor};
use crate::refusal::Refusal;

/// Fanfold's own paths, which go before every route.
const OWN_PATHS: [&str; 6] = ["/api/v1", "/healthz", "/metrics", "/openapi.json", "/readyz", "/ui"];

/// The compiled routes of one configuration.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    patterns: Vec<Pattern>,
    /// One tree for each method, in the order of their names; values are positions in `routes`.
    trees: BTreeMap<String, Tree<usize>>,
    warnings: Vec<Problem>,
    /// The targets as they are configured, whatever a route says otherwise.
    targets: BTreeMap<TargetName, TargetSpec>,
}

/// Which route answers a request.
#[derive(Debug)]
pub enum Found {
    /// This one.
    Route {
        /// The route.
        route: Arc<Route>,
        /// What its pattern captured, decoded.
        captures: BTreeMap<String, String>,
    },
    /// None for this method.
    WrongMethod {
        /// The methods for which there is one.
        allow: Vec<Method>,
    },
    /// None.
    Nothing,
    /// The path is none that any route answers.
    Refused(Refusal),
}

impl RouteTable {
    /// Compiles the routes of a configuration, or tells everything that is wrong with them. Places are as in the configuration
    /// file, with the positions that the routes have in `routes`. What is only suspicious is kept in
    /// [`RouteTable::warnings`], and told along with mistakes.
    pub fn compile(routes: Vec<RouteSpec>, targets: &BTreeMap<TargetName, TargetSpec>) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        check_targets(targets, &mut problems);
        check_names(&routes, &mut problems);
        let directory = Arc::new(Directory::new(targets));
        let mounts = mounts(&routes);
        let mut table = Self::default();
        let mut positions = Vec::new();
        for (at, spec) in routes.iter().enumerate() {
            let compiled = problems.below(&["routes".into(), at.into()], |problems| {
                let pattern = compile_pattern(spec, &mounts, problems);
                let captures: Option<Vec<String>> = match &pattern {
                    Some(pattern) => Some(pattern.names().map(str::to_owned).collect()),
                    // Nothing can be said about captures of a pattern that is not there.
                    None if spec.pattern.is_empty() => None,
                    None => Some(pattern::meant_names(&spec.pattern)),
                };
                let route = compile::route(spec, captures.as_deref(), targets, &directory, problems);
                let pattern = pattern?;
                // A route with other mistakes still takes its place, so that conflicts with it are told.
                let tree = table.trees.entry(spec.method.as_str().to_owned()).or_default();
                if let Err(first) = tree.insert(&pattern, at) {
                    let message = format!("the route `{}` matches the same requests", routes[first].name);
                    problems.mistake(&["match".into()], message);
                }
                Some((pattern, route?))
            });
            if let Some((pattern, route)) = compiled {
                table.patterns.push(pattern);
                table.routes.push(Arc::new(route));
                positions.push(at);
            }
        }
        check_shadowed(&table.trees, &mut problems);
        let (has_mistakes, found) = (problems.mistakes() > 0, problems.into_found());
        if has_mistakes {
            return Err(found);
        }
        // Without mistakes every route has been compiled, so the positions in the trees are those in the table.
        assert_eq!(positions.len(), routes.len(), "a route without a mistake is compiled");
        table.warnings = found;
        table.targets.clone_from(targets);
        Ok(table)
    }

    /// All routes, in configured order.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The targets as they are configured.
    pub fn targets(&self) -> &BTreeMap<TargetName, TargetSpec> {
        &self.targets
    }

    /// What is probably not meant.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The route that answers a request. A route for `GET` answers `HEAD` as well.
    pub fn find(&self, method: &Method, raw_path: &str) -> Found {
        if let Err(bad) = path::check(raw_path) {
            return Found::Refused(bad.into());
        }
        let raw: Vec<&str> = path::segments(raw_path).collect();
        let segments: Vec<Cow<'_, str>> = raw.iter().map(|segment| path::normalise(segment)).collect();
        let searched = if *method == Method::HEAD { &Method::GET } else { method };
        let Some(at) = self.trees.get(searched.as_str()).and_then(|tree| tree.find(&segments)) else {
            return self.other_methods(&segments);
        };
        match self.patterns[at].capture(&raw) {
            Ok(captures) => Found::Route { route: Arc::clone(&self.routes[at]), captures },
            Err(bad) => Found::Refused(bad.into()),
        }
    }

    fn other_methods(&self, segments: &[Cow<'_, str>]) -> Found {
        let matching = self.trees.values().filter_map(|tree| tree.find(segments));
        let mut allow: Vec<Method> = matching.map(|at| self.routes[at].method.clone()).collect();
        if let Some(at) = allow.iter().position(|method| *method == Method::GET) {
            allow.insert(at + 1, Method::HEAD);
        }
        if allow.is_empty() { Found::Nothing } else { Found::WrongMethod { allow } }
    }
}

fn check_targets(targets: &BTreeMap<TargetName, TargetSpec>, problems: &mut Problems) {
    let mut ids: BTreeMap<&str, &TargetName> = BTreeMap::new();
    for (name, target) in targets {
        problems.below(&["targets".into(), name.as_str().into()], |problems| {
            if let Some(first) = ids.insert(&target.id, name) {
                problems.mistake(&["id".into()], format!("the target `{first}` has the id `{}` too", target.id));
            }
            if target.id.is_empty() {
                problems.mistake(&["id".into()], "the id of a target is not empty");
            }
            problems.below(&["monitor".into()], |problems| {
                if let Monitor::Poll(rule) = &target.monitor {
                    check_beginning(Some(&rule.path), problems);
                }
                drop(compile_monitor(&target.monitor, problems));
            });
        });
    }
}

fn check_names(routes: &[RouteSpec], problems: &mut Problems) {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, route) in routes.iter().enumerate() {
        if names.insert(&route.name, at).is_some() {
            let place: [Place; 3] = ["routes".into(), at.into(), "name".into()];
            let message = format!("two routes have the name `{}`", route.name);
            problems.mistake_with_hint(&place, message, "give each a name of its own, or none");
        }
    }
}

/// The mounts that have routes.
fn mounts(routes: &[RouteSpec]) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for route in routes.iter().filter(|route| route.dialect != DialectName::Native) {
        if !mounts.iter().any(|mount| mount.dialect == route.dialect && mount.prefix == route.mount) {
            mounts.push(Mount::new(route.dialect, route.mount.as_str()));
        }
    }
    mounts
}

fn compile_pattern(route: &RouteSpec, mounts: &[Mount], problems: &mut Problems) -> Option<Pattern> {
    let place: [Place; 1] = ["match".into()];
    let pattern = match Pattern::parse(&route.pattern) {
        Ok(pattern) => pattern,
        Err(wrong) => {
            wrong.into_iter().for_each(|message| problems.mistake(&place, message));
            return None;
        }
    };
    let is_below = |prefix: &str, path: &str| {
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if !is_below(&route.mount, &route.pattern) {
        let message = format!("a `{}` route lies below its mount, `{}`", route.dialect, route.mount);
        problems.mistake(&place, message);
    }
    let sample = pattern.sample();
    if let Some(own) = OWN_PATHS.iter().find(|own| is_below(own, &sample)) {
        problems.mistake(&place, format!("`{own}` is one of Fanfold's own paths, which go before routes"));
    }
    if let Some(mount) = mounts.iter().find(|mount| mount.own(&route.method, &sample, None).is_some()) {
        let message = format!(
            "the `{}` mount at `{}` keeps its operations here, and goes before routes",
            mount.dialect, mount.prefix
        );
        problems.mistake(&place, message);
    }
    Some(pattern)
}

fn check_shadowed(trees: &BTreeMap<String, Tree<usize>>, problems: &mut Problems) {
    for at in trees.values().flat_map(Tree::shadowed) {
        let place: [Place; 3] = ["routes".into(), at.into(), "match".into()];
        problems.mistake(&place, "routes with captures beside this wildcard take every request, none is left for it");
    }
}

#[cfg(test)]
mod tests;
