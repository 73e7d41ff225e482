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
            report(table.warnings(), findings);
            Some(Arc::new(table))
        }
        Err(problems) => {
            report(&problems, findings);
            None
        }
    }
}

fn report(problems: &[Problem], findings: &mut Findings<'_>) {
    let (warnings, mistakes): (Vec<&Problem>, Vec<&Problem>) = problems.iter().partition(|problem| problem.warning);
    findings.consequences(mistakes.into_iter().map(found));
    for (place, wrong) in warnings.into_iter().map(found) {
        findings.warning(&place, wrong);
    }
}

/// The problem at its place in the file. Planning sees every route of it, so that the positions are the same.
fn found(problem: &Problem) -> (Place, Wrong) {
    let place = problem.place.iter().fold(Place::default(), |place, part| match part {
        route::Place::Key(key) => place.key(key),
        route::Place::Index(index) => place.index(*index),
    });
    (place, Wrong { message: problem.message.clone(), hint: problem.hint.clone() })
}
