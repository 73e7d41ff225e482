//! Sessions of the console: whoever has signed in with a credential is let in by a session as by the credential itself, and for no
//! longer than that is good.

use std::net::SocketAddr;
use std::time::Duration;

use fanfold_core::access::SecretDigest;
use fanfold_core::dialect::Refusal;
use fanfold_engine::identity::Issuers;
use fanfold_store::{Session, SessionOf};
use jiff::Timestamp;

use super::caller::{Caller, Credential};
use super::fixed::FixedTokens;
use super::{Authenticator, Keyring};

impl Authenticator {
    /// Who shows the session whose secret has this digest.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] if it has ended, or what it was begun with; [`Refusal::StoreUnreachable`] if that is not known.
    pub(in crate::http) fn by_session(
        &self,
        (keyring, issuers): (&Keyring, &Issuers),
        digest: SecretDigest,
        peer: SocketAddr,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        let Self::Credentials { fixed, .. } = self else { return Err(Refusal::Unauthenticated) };
        let session = keyring.session(digest, now)?;
        let caller = holder(fixed, (keyring, issuers), &session, peer, now)?;
        if let SessionOf::Token(id) = session.of {
            keyring.used(id, now);
        }
        Ok(caller)
    }

    /// The same, as far as is known, of a session that is being used already.
    pub(super) fn by_known_session(
        &self,
        (keyring, issuers): (&Keyring, &Issuers),
        digest: SecretDigest,
        peer: SocketAddr,
        now: Timestamp,
    ) -> Option<Caller> {
        let Self::Credentials { fixed, .. } = self else { return None };
        let session = keyring.good_session(digest, now)?;
        holder(fixed, (keyring, issuers), &session, peer, now).ok()
    }

    /// How a session of this caller is to begin, and when it is to end; `None` for whoever has shown nothing of which one could be.
    pub(in crate::http) fn session_of(&self, caller: &Caller, now: Timestamp) -> Option<(SessionOf, Timestamp)> {
        let Self::Credentials { session_max, .. } = self else { return None };
        let of = match &caller.credential {
            Credential::FixedToken { digest, .. } => SessionOf::FixedToken(*digest),
            Credential::Token { id, .. } => SessionOf::Token(*id),
            Credential::Issuer { issuer, .. } => {
                SessionOf::Vouched { name: caller.name.clone(), issuer: issuer.clone(), access: caller.access.clone() }
            }
            Credential::Nothing | Credential::Machine | Credential::Certificate { .. } | Credential::Session { .. } => {
                return None;
            }
        };
        Some((of, ends(now, *session_max, caller.credential.expires_at())))
    }
}

/// When a session ends that begins now.
fn ends(now: Timestamp, session_max: Duration, credential_ends: Option<Timestamp>) -> Timestamp {
    let latest = now.checked_add(session_max).unwrap_or(Timestamp::MAX);
    credential_ends.map_or(latest, |end| end.min(latest))
}

/// Whoever the credential is for that a session was begun with.
fn holder(
    fixed: &FixedTokens,
    (keyring, issuers): (&Keyring, &Issuers),
    session: &Session,
    peer: SocketAddr,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let Session { digest, of, expires_at, .. } = session;
    let holder = match of {
        SessionOf::Token(id) => keyring.holder(*id, peer, now)?,
        SessionOf::FixedToken(secret) => fixed.find(*secret, peer, now).ok_or(Refusal::Unauthenticated)?,
        SessionOf::Vouched { issuer, .. } if !issuers.has(issuer) => return Err(Refusal::Unauthenticated),
        SessionOf::Vouched { name, issuer, access } => Caller {
            access: access.clone(),
            name: name.clone(),
            credential: Credential::Issuer { issuer: issuer.clone(), expires_at: None },
            from: Some(peer),
        },
    };
    let expires_at = holder.credential.expires_at().map_or(*expires_at, |end| end.min(*expires_at));
    Ok(Caller { credential: Credential::Session { digest: *digest, expires_at }, ..holder })
}
