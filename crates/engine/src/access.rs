//! Tokens, sessions and the audit trail, as far as the server has them written. Who may ask for it is decided there; that an entry stands
//! in the trail before what it tells of is done, too.

use fanfold_core::access::secret::OCTETS;
use fanfold_core::access::{Secret, SecretDigest, TokenId};
use fanfold_core::{Access, TenantId};
use fanfold_store::{
    AuditNumber, Change, Error as StoreError, NewAuditEntry, NewToken, Revoked, Session, SessionBegun, SessionOf,
    Token, TokenCreated, TokenUse,
};
use jiff::Timestamp;

use crate::{Engine, Error};

/// A token that is wanted.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// What it is to be called.
    pub name: String,
    /// What it is to be good for.
    pub access: Access,
    /// From when on it is to let nobody in any more.
    pub expires_at: Option<Timestamp>,
    /// Who wants it.
    pub by: String,
}

/// What became of a request for a token.
#[derive(Debug, Clone)]
pub enum TokenOutcome {
    /// It is there.
    Created {
        /// It.
        token: Box<Token>,
        /// Its secret, to be shown once: nothing keeps it.
        secret: Secret,
    },
    /// The tenant has another token of this name that is not revoked.
    NameTaken {
        /// That one.
        by: TokenId,
    },
    /// There are as many tokens as there may be; some have to be revoked first.
    TooMany,
    /// The same of the tenant's tokens.
    TenantTooMany,
}

/// What became of a session that was to begin.
#[derive(Debug, Clone)]
pub enum SessionOutcome {
    /// It has begun.
    Begun {
        /// Its secret, for its owner's browser alone: nothing keeps it.
        secret: Secret,
    },
    /// The tenant has as many sessions as it may have.
    TooMany,
}

impl Engine {
    /// Creates a token.
    ///
    /// # Errors
    /// The store's. Where it cannot tell whether the token was recorded, a token may be there whose secret nobody knows, and which
    /// has its name until it is revoked.
    pub async fn create_token(&self, request: TokenRequest) -> Result<TokenOutcome, Error> {
        let clock = &self.shared.clock;
        let mut random = [0; 10];
        clock.fill(&mut random);
        let (secret, created_at) = (self.new_secret(), self.shared.steady_now());
        let new = NewToken {
            id: TokenId::new(created_at, random),
            name: request.name,
            access: request.access,
            digest: secret.digest(),
            created_at,
            created_by: request.by,
            expires_at: request.expires_at,
        };
        Ok(match self.shared.store.create_token(new.clone()).await? {
            TokenCreated::New => TokenOutcome::Created { token: Box::new(new.into()), secret },
            TokenCreated::NameTaken { by } => TokenOutcome::NameTaken { by },
            TokenCreated::TooMany => TokenOutcome::TooMany,
            TokenCreated::TenantTooMany => TokenOutcome::TenantTooMany,
        })
    }

    /// Revokes a token and ends its sessions; one that is revoked stays so. With `tenant` only a token of that tenant is there.
    ///
    /// # Errors
    /// [`Error::NotFound`]; the store's errors.
    pub async fn revoke_token(&self, id: TokenId, tenant: Option<&TenantId>, by: String) -> Result<Change, Error> {
        let revoked = Revoked { at: self.shared.steady_now(), by };
        match self.shared.store.revoke_token(id, tenant, revoked).await {
            Err(StoreError::NotFound { .. }) => Err(Error::NotFound),
            answered => Ok(answered?),
        }
    }

    /// Begins a session of whoever has shown what it is `of`, somebody of `tenant`. It ends at `expires_at` at the latest.
    ///
    /// # Errors
    /// The store's. Where it cannot tell whether the session was recorded, one may be there whose secret nobody knows.
    pub async fn begin_session(
        &self,
        of: SessionOf,
        tenant: TenantId,
        expires_at: Timestamp,
    ) -> Result<SessionOutcome, Error> {
        let (secret, created_at) = (self.new_secret(), self.shared.steady_now());
        let session = Session { digest: secret.digest(), of, tenant, created_at, expires_at };
        Ok(match self.shared.store.begin_session(session).await? {
            SessionBegun::New => SessionOutcome::Begun { secret },
            SessionBegun::TooMany => SessionOutcome::TooMany,
        })
    }

    /// Ends a session; one that is not there has ended.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_session(&self, digest: SecretDigest) -> Result<Change, Error> {
        Ok(self.shared.store.end_session(digest).await?)
    }

    fn new_secret(&self) -> Secret {
        let mut octets = [0; OCTETS];
        self.shared.clock.fill(&mut octets);
        Secret::from_random(octets)
    }

    /// Records when tokens were used, at most [`fanfold_store::USES_MAX`] at once. It may be lost with the power.
    ///
    /// # Errors
    /// The store's.
    pub async fn touch_tokens(&self, uses: &[TokenUse]) -> Result<(), Error> {
        Ok(self.shared.store.touch_tokens(uses).await?)
    }

    /// Adds an entry to the audit trail. On disk when answered.
    ///
    /// # Errors
    /// The store's; what an entry was to tell of is not to be done then.
    pub async fn record_audit(&self, entry: NewAuditEntry) -> Result<AuditNumber, Error> {
        Ok(self.shared.store.record_audit(entry).await?)
    }
}
