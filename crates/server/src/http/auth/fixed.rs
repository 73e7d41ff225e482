//! The tokens that stand in the configuration.

use std::collections::HashMap;
use std::net::SocketAddr;

use fanfold_core::Access;
use fanfold_core::access::SecretDigest;
use jiff::Timestamp;

use super::caller::{Caller, Credential};

/// A token that stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedToken {
    /// Who shows it, for the record of what they do.
    pub name: String,
    /// Of the secret.
    pub digest: SecretDigest,
    /// What it lets its owner do.
    pub access: Access,
    /// From then on it is no good.
    pub expires_at: Option<Timestamp>,
}

/// All of them.
#[derive(Debug)]
pub(in crate::http) struct FixedTokens(HashMap<SecretDigest, FixedToken>);

impl FixedTokens {
    pub(super) fn new(tokens: Vec<FixedToken>) -> Self {
        Self(tokens.into_iter().map(|token| (token.digest, token)).collect())
    }

    /// Who shows a secret of this digest, if it is one of theirs that is good now.
    pub(super) fn find(&self, digest: SecretDigest, from: SocketAddr, now: Timestamp) -> Option<Caller> {
        let token = self.0.get(&digest)?;
        token.expires_at.is_none_or(|expires_at| expires_at > now).then(|| Caller {
            access: token.access.clone(),
            name: token.name.clone(),
            credential: Credential::FixedToken { digest, expires_at: token.expires_at },
            from: Some(from),
        })
    }
}
