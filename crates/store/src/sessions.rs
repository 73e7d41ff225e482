//! Sessions of people: what a browser shows once somebody has signed in with a credential. Of a session's secret there is its
//! digest alone, and what it may do is what the credential may that it was begun with: it is good no longer than that one is.

use async_trait::async_trait;
use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::{Access, TenantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Change, Error};

/// Ends the oldest session of those tenants that have most, in the words of both databases.
pub(crate) const GIVE_WAY: &str = "DELETE FROM sessions WHERE digest IN
    (SELECT s.digest FROM sessions s JOIN (SELECT tenant, count(*) AS number FROM sessions GROUP BY tenant) t
     ON t.tenant = s.tenant ORDER BY t.number DESC, s.created_at, s.digest LIMIT 1)";

/// Begins sessions and ends them. They are read with the tokens ([`crate::ReadTokens::live_tokens`]), and change their number.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Records a new session; those that have expired by its beginning are deleted. Where its holder has as many as one may have
    /// (`sessions_each_max`, [`crate::Limits`]), the oldest of them ends; otherwise, where there are as many as there may be
    /// (`sessions_max`), the oldest of a tenant that has most: nobody keeps others out by being many. On disk when answered.
    ///
    /// # Errors
    /// [`Error::Conflict`] if there is a session of this digest.
    async fn begin_session(&self, session: Session) -> Result<SessionBegun, Error>;

    /// Ends a session. On disk when answered. One that is not there has ended.
    async fn end_session(&self, digest: SecretDigest) -> Result<Change, Error>;
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The digest of its secret.
    pub digest: SecretDigest,
    /// What it was begun with.
    pub of: SessionOf,
    /// Among whose sessions it counts: of whoever began it, at the time.
    pub tenant: TenantId,
    /// When it was begun.
    pub created_at: Timestamp,
    /// From when on it lets nobody in any more.
    pub expires_at: Timestamp,
}

/// What a session was begun with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionOf {
    /// A token of the store: what it may do is looked up there.
    Token(TokenId),
    /// A token of the configuration, by the digest of its secret: what it may do is looked up there.
    FixedToken(SecretDigest),
    /// What an issuer vouched for at the time. Nobody is asked again.
    Vouched {
        /// For whom, by the name that records have.
        name: String,
        /// Who did.
        issuer: String,
        /// What they may do.
        access: Access,
    },
}

impl SessionOf {
    /// Whose sessions are counted together.
    pub(crate) fn holder(&self) -> String {
        match self {
            Self::Token(id) => format!("token {id}"),
            Self::FixedToken(digest) => format!("fixed_token {digest}"),
            Self::Vouched { name, issuer: _, access } => format!("issuer {} {name}", access.tenant),
        }
    }
}

/// What became of a session that was to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionBegun {
    /// It is recorded, on disk.
    New,
    /// As many sessions of its tenant as allowed (`tenant_sessions_max`, [`crate::Limits`]) have not expired.
    TooMany,
}
