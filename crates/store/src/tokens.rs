//! Bearer tokens that people make for programs and for each other. Of a token's secret there is its digest alone.

use std::time::Duration;

use async_trait::async_trait;
use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_core::{Access, TenantId};
use jiff::Timestamp;

use crate::{Change, Error, Limits, Page, Session, time};

/// How long a token stays listed after it was revoked; then a sweep deletes it ([`crate::Retention::sweep_access`]).
pub const REVOKED_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Uses of tokens that are recorded at once at the most.
pub const USES_MAX: usize = 10_000;

/// Makes tokens and takes them back.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Records a new token. A name stands for one token of a tenant that is not revoked, expired or not. Nothing is recorded
    /// unless [`TokenCreated::New`] is answered, which it is once the token is on disk.
    ///
    /// # Errors
    /// [`Error::Conflict`] if there is a token of this id or of this digest.
    async fn create_token(&self, token: NewToken) -> Result<TokenCreated, Error>;

    /// Revokes a token and ends its sessions; one that is revoked stays so, since when and by whom it was first. On disk when
    /// answered. With `tenant` only a token of that tenant is there.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    async fn revoke_token(&self, id: TokenId, tenant: Option<&TenantId>, revoked: Revoked) -> Result<Change, Error>;

    /// Records when tokens were used last, where that is later than what is recorded; those that are not there are passed over.
    /// Meant to be called with many at a time. What is answered may be lost with the power.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than [`USES_MAX`].
    async fn touch_tokens(&self, uses: &[TokenUse]) -> Result<(), Error>;
}

/// Reads tokens.
#[async_trait]
pub trait ReadTokens: Send + Sync {
    /// One token.
    async fn token(&self, id: TokenId) -> Result<Option<Token>, Error>;

    /// One page of the tokens of a tenant, or of all, in the order of their ids (which is that of their making); revoked ones
    /// too, as long as they are kept.
    async fn tokens(&self, tenant: Option<&TenantId>, page: Page<TokenId>) -> Result<Vec<Token>, Error>;

    /// All tokens that are not revoked, by id, and all sessions, by digest; expired ones too.
    async fn live_tokens(&self) -> Result<LiveTokens, Error>;

    /// Where tokens and sessions stand. So cheap that every node can ask several times a second, and read [`ReadTokens::live_tokens`]
    /// only after a change.
    async fn tokens_changed(&self) -> Result<TokenChanges, Error>;
}

/// Grows with each token that is made or revoked, and each session that begins or ends before its time, and with nothing else. A
/// version is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TokenChanges(pub u64);

/// A token to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its id.
    pub id: TokenId,
    /// What it is called among those of its tenant.
    pub name: String,
    /// Whose operations it is about, and what may be done with them.
    pub access: Access,
    /// The digest of its secret.
    pub digest: SecretDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// From when on it lets nobody in any more; `None`: it does until it is revoked.
    pub expires_at: Option<Timestamp>,
}

/// A recorded token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it is called among those of its tenant.
    pub name: String,
    /// Whose operations it is about, and what may be done with them.
    pub access: Access,
    /// The digest of its secret.
    pub digest: SecretDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// From when on it lets nobody in any more; `None`: it does until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// That it was taken back.
    pub revoked: Option<Revoked>,
    /// When it was used last, as far as that is recorded.
    pub last_used_at: Option<Timestamp>,
}

impl From<NewToken> for Token {
    fn from(new: NewToken) -> Self {
        let NewToken { id, name, access, digest, created_at, created_by, expires_at } = new;
        let (revoked, last_used_at) = (None, None);
        Self { id, name, access, digest, created_at, created_by, expires_at, revoked, last_used_at }
    }
}

/// How a token was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// That a token was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenUse {
    /// The token.
    pub id: TokenId,
    /// When.
    pub at: Timestamp,
}

/// What became of a token that was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCreated {
    /// It is recorded, on disk.
    New,
    /// The tenant has another token of this name that is not revoked.
    NameTaken {
        /// That one.
        by: TokenId,
    },
    /// As many tokens as allowed (`tokens_max`) are not revoked, over all tenants.
    TooMany,
    /// As many tokens of its tenant as allowed (`tenant_tokens_max`) are not revoked.
    TenantTooMany,
}

/// The tokens that are not revoked, the sessions, and the version that this is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LiveTokens {
    /// The version.
    pub changes: TokenChanges,
    /// The tokens, by id; at most `tokens_max` ([`crate::Limits`]).
    pub tokens: Vec<Token>,
    /// The sessions, by digest; at most `sessions_max` ([`crate::Limits`]).
    pub sessions: Vec<Session>,
}

/// What stands against one more token, by how many are not revoked, of all and of its tenant.
pub(crate) fn too_many(limits: &Limits, tenant: &TenantId, all: u64, tenants: u64) -> Option<TokenCreated> {
    if all >= limits.tokens_max {
        return Some(TokenCreated::TooMany);
    }
    (tenants >= limits.tokens_max_of(tenant)).then_some(TokenCreated::TenantTooMany)
}

pub(crate) fn refuse_too_many(uses: &[TokenUse]) -> Result<(), Error> {
    match uses.len() {
        0..=USES_MAX => Ok(()),
        more => Err(Error::invalid(format!("{more} uses of tokens are more than the {USES_MAX} that go at once"))),
    }
}

/// Whatever was revoked by then, in microseconds, is kept no longer.
pub(crate) fn revoked_before(now: Timestamp) -> i64 {
    let kept = i64::try_from(REVOKED_KEPT.as_micros()).unwrap_or(i64::MAX);
    time::floor(now).saturating_sub(kept)
}

pub(crate) fn not_found(id: TokenId) -> Error {
    Error::NotFound { what: format!("token {id}") }
}
