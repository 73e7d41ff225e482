//! Compiled policies by their hash. After a restart only the stored policy is at hand, so compiling happens here and not at load.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use fanfold_core::operation::{Trouble, TroubleKind};
use fanfold_core::plan::Policy;
use fanfold_core::route::{CompiledPolicy, CompiledTarget};
use fanfold_core::{Plan, PolicyHash, StepIndex};

/// How many are kept; beyond that all are forgotten and compiled again as they are needed.
const KEPT_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Policies {
    by_hash: RwLock<HashMap<PolicyHash, Arc<CompiledPolicy>>>,
    /// Operations of one route share one policy in memory: looking it up by its address spares hashing it.
    by_address: RwLock<HashMap<usize, Known>>,
}

/// A policy and what it was compiled to.
type Known = (Arc<Policy>, Arc<CompiledPolicy>);

impl Policies {
    /// The compiled form of a policy.
    pub(crate) fn compiled(&self, policy: &Arc<Policy>) -> Result<Arc<CompiledPolicy>, Trouble> {
        let address = Arc::as_ptr(policy).addr();
        if let Some((_, compiled)) = self.by_address.read().unwrap_or_else(PoisonError::into_inner).get(&address) {
            return Ok(Arc::clone(compiled));
        }
        let hash = policy.hash();
        let known = self.by_hash.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        let compiled = match known {
            Some(compiled) => compiled,
            None => Arc::new(CompiledPolicy::new(policy).map_err(|problems| not_compiled(&problems))?),
        };
        keep(&self.by_hash, hash, Arc::clone(&compiled));
        // The policy is kept too, so that its address stays its own.
        keep(&self.by_address, address, (Arc::clone(policy), Arc::clone(&compiled)));
        Ok(compiled)
    }

    /// The compiled rules of one step.
    pub(crate) fn target(&self, plan: &Plan, step: StepIndex) -> Result<Arc<CompiledTarget>, Trouble> {
        let compiled = self.compiled(&plan.policy)?;
        let target = &plan.steps[step.get()].target;
        compiled.target(target).cloned().ok_or_else(|| Trouble {
            kind: TroubleKind::Template,
            detail: format!("the recorded policy does not cover target {target}"),
        })
    }
}

fn keep<K: std::hash::Hash + Eq, V>(map: &RwLock<HashMap<K, V>>, key: K, value: V) {
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= KEPT_MAX {
        map.clear();
    }
    map.insert(key, value);
}

fn not_compiled(problems: &[fanfold_core::route::Problem]) -> Trouble {
    let detail = problems.first().map(ToString::to_string).unwrap_or_default();
    Trouble {
        kind: TroubleKind::Template,
        detail: format!("the recorded policy cannot be used by this version: {detail}"),
    }
}
