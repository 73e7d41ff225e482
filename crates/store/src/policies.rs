//! Policies, and the hashes under which they are recorded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fanfold_core::PolicyHash;
use fanfold_core::plan::Policy;

use crate::Error;

/// Policies whose hashes are remembered. When there are more, all are forgotten and worked out again as they are needed.
const HASHES_MAX: usize = 1_024;

/// Recorded policies that are kept in memory. When there are more, all are forgotten and read again as they are needed.
const KNOWN_MAX: usize = 256;

/// Recorded policies by their hashes. One that is recorded never changes.
#[derive(Debug, Default)]
pub(crate) struct KnownPolicies(Mutex<HashMap<PolicyHash, Arc<Policy>>>);

impl KnownPolicies {
    pub(crate) fn get(&self, hash: &PolicyHash) -> Option<Arc<Policy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    /// Keeps one, which was read as this text.
    pub(crate) fn read(&self, hash: PolicyHash, text: &str) -> Result<Arc<Policy>, Error> {
        let policy = serde_json::from_str(text);
        let policy = policy.map_err(|error| Error::corrupt(format!("policy {hash} cannot be read: {error}")))?;
        let policy = Arc::new(policy);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(hash, Arc::clone(&policy));
        Ok(policy)
    }
}

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
