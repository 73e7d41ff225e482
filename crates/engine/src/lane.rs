//! The lanes of the dispatcher's queue: what belongs to one tenant and calls the same targets waits in one line, for which the
//! store keeps the order. Lanes of the same targets share the room in memory.

use std::fmt;

use fanfold_core::{Operation, Plan, TenantId};

/// The longest list of targets in the name of a lane, in octets; a longer one is named by its hash.
const TARGETS_MAX: usize = 200;

/// What no name of a target has in it, and no hash, so that whatever the tenant is called the name of a lane can be read again.
const BETWEEN: char = ':';

/// A lane. Its name, which is how the store knows it, is what it displays as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lane {
    /// What the operations call.
    pub(crate) targets: String,
    /// Whose they are.
    pub(crate) tenant: TenantId,
}

impl Lane {
    /// That of an operation.
    pub(crate) fn of(operation: &Operation) -> Self {
        Self { targets: targets(&operation.plan), tenant: operation.tenant.clone() }
    }

    /// The lane of this name.
    pub(crate) fn named(name: &str) -> Self {
        match name.rsplit_once(BETWEEN) {
            Some((tenant, targets)) => Self { targets: targets.to_owned(), tenant: tenant.into() },
            None => Self { targets: name.to_owned(), tenant: TenantId::default() },
        }
    }
}

/// Lanes of the default tenant are named by their targets alone.
impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tenant != TenantId::default() {
            write!(f, "{}{BETWEEN}", self.tenant)?;
        }
        f.write_str(&self.targets)
    }
}

fn targets(plan: &Plan) -> String {
    let names: Vec<&str> = plan.steps.iter().map(|step| step.target.as_str()).collect();
    let list = names.join(",");
    if list.len() <= TARGETS_MAX && !list.contains(BETWEEN) {
        return list;
    }
    use sha2::{Digest as _, Sha256};
    Sha256::digest(list.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use fanfold_store::contract::fixtures;

    use super::*;

    #[test]
    fn a_lane_is_found_again_by_its_name() {
        let operation = |tenant: &str, targets: &[&str]| Operation {
            tenant: tenant.into(),
            ..Operation::accepted(
                fixtures::id(fixtures::at(0), 1),
                TenantId::default(),
                std::sync::Arc::new(fixtures::plan_for(targets)),
                fixtures::at(0),
            )
        };
        let long = "x".repeat(150);
        for (tenant, targets, name) in [
            ("default", &["tokyo", "osaka"][..], Some("tokyo,osaka")),
            ("acme", &["tokyo"], Some("acme:tokyo")),
            ("a:b", &["tokyo"], Some("a:b:tokyo")),
            ("acme", &[&long, &long], None),
            ("default", &["odd:name"], None),
        ] {
            let lane = Lane::of(&operation(tenant, targets));
            assert_eq!(Lane::named(&lane.to_string()), lane);
            match name {
                Some(name) => assert_eq!(lane.to_string(), name),
                None => assert_eq!(lane.targets.len(), 64, "it is a hash"),
            }
        }
    }
}
