//! Planning's view of the routes: has them compiled, and puts what it finds at its place in the file.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfold_core::TargetName;
use fanfold_core::route::spec::TargetSpec;
use fanfold_core::route::{self, Problem, RouteTable};

use super::route::Routes;
use crate::config::document::Place;
use crate::config::finding::{Findings, Wrong};

/// The compiled routes. `None` only if there is a mistake in the findings.
pub(super) fn compile(
    routes: &Routes,
    targets: &BTreeMap<TargetName, TargetSpec>,
    findings: &mut Findings<'_>,
) -> Option<Arc<RouteTable>> {
    match RouteTable::compile(routes.specs.clone(), targets) {
        Ok(table) => {
            for problem in table.warnings() {
                report(problem, routes, findings);
            }
            Some(Arc::new(table))
        }
        Err(problems) => {
            for problem in &problems {
                report(problem, routes, findings);
            }
            None
        }
    }
}

fn report(problem: &Problem, routes: &Routes, findings: &mut Findings<'_>) {
    let place = place(&problem.place, &routes.positions);
    let wrong = Wrong { message: problem.message.clone(), hint: problem.hint.clone() };
    if problem.warning {
        findings.warning(&place, wrong);
    } else {
        findings.consequence(&place, wrong);
    }
}

/// The place in the file. Planning sees only the routes of which enough was right; `positions` are those that they have in the
/// file.
fn place(found: &[route::Place], positions: &[usize]) -> Place {
    let mut place = Place::default();
    for (depth, part) in found.iter().enumerate() {
        place = match part {
            route::Place::Key(key) => place.key(key),
            route::Place::Index(index) if depth == 1 && place == Place::of(["routes"]) => {
                place.index(positions.get(*index).copied().unwrap_or(*index))
            }
            route::Place::Index(index) => place.index(*index),
        };
    }
    place
}
