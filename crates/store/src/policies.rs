//! The hashes under which policies are recorded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fanfold_core::PolicyHash;
use fanfold_core::plan::Policy;

/// Policies whose hashes are remembered. When there are more, all are forgotten and worked out again as they are needed.
const HASHES_MAX: usize = 1_024;

/// The hashes of policies in use. All operations of a route share one policy, so it is hashed once and not for each of them.
#[derive(Debug, Default)]
pub(crate) struct PolicyHashes {
    /// By address; the policy is held, so that its address is not used for another one.
    known: Mutex<HashMap<usize, (Arc<Policy>, PolicyHash)>>,
}

impl PolicyHashes {
    pub(crate) fn of(&self, policy: &Arc<Policy>) -> PolicyHash {
        let address = Arc::as_ptr(policy).addr();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, hash)) = known.get(&address) {
            return hash.clone();
        }
        if known.len() >= HASHES_MAX {
            known.clear();
        }
        let hash = policy.hash();
        known.insert(address, (Arc::clone(policy), hash.clone()));
        hash
    }
}
