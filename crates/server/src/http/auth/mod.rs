//! Who a caller is. Every request comes through [`Authenticator::authenticate`] before anything of it is carried out, and every
//! handler needs the [`Caller`] that only it makes. What a caller must be for which request stands in [`rules`].

mod caller;
mod certificates;
pub(super) mod cookie;
mod fixed;
pub(super) mod keyring;
mod leaving;
pub(super) mod rules;
mod session;
pub(super) mod shown;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fanfold_core::access::SecretDigest;
use fanfold_core::access::secret::PREFIX;
use fanfold_core::dialect::Refusal;
use fanfold_engine::identity::{Issuers, NotVerified};
use http::HeaderMap;
use jiff::Timestamp;

use super::client_certificate::Said;

pub(super) use caller::{Caller, Credential};
pub use certificates::{CertificateName, FixedCertificate};
pub use fixed::FixedToken;
use fixed::FixedTokens;
pub(super) use keyring::Keyring;
pub(super) use leaving::leaving;
use shown::Shown;
pub(super) use shown::{hide, shows};

/// How callers are told apart: what the configuration says of it.
#[derive(Debug, Clone, Default)]
pub enum Authentication {
    /// Whoever connects from this machine is trusted with everything, and nobody else is let in.
    #[default]
    Loopback,
    /// Whoever shows a credential is who it says, wherever they connect from.
    Credentials {
        /// The tokens that stand in the configuration, beside those in the store.
        tokens: Vec<FixedToken>,
        /// Who is known by the certificate that they connect with, where they show no token.
        certificates: Vec<FixedCertificate>,
        /// How long a session of the console lasts at the most.
        session_max: Duration,
    },
}

/// Tells callers apart.
#[derive(Debug)]
pub(in crate::http) enum Authenticator {
    Loopback,
    Credentials { fixed: FixedTokens, certificates: Vec<FixedCertificate>, session_max: Duration },
}

impl From<Authentication> for Authenticator {
    fn from(authentication: Authentication) -> Self {
        match authentication {
            Authentication::Loopback => Self::Loopback,
            Authentication::Credentials { tokens, certificates, session_max } => {
                Self::Credentials { fixed: FixedTokens::new(tokens), certificates, session_max }
            }
        }
    }
}

impl Authenticator {
    /// Whether callers have to show something.
    pub(super) fn asks(&self) -> bool {
        match self {
            Self::Loopback => false,
            Self::Credentials { .. } => true,
        }
    }

    /// Tells who connected from `peer`, showing this `certificate`, with a request that has these fields. Beside what is configured
    /// those count whose token is in the store, and those that others vouch for. What a request shows itself goes before what its
    /// connection was opened with: that may be shared by many.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`]; [`Refusal::StoreUnreachable`] and [`Refusal::Unavailable`] where somebody would have to be asked
    /// who does not answer.
    pub(super) async fn authenticate(
        &self,
        (keyring, issuers): (&Keyring, &Issuers),
        peer: SocketAddr,
        certificate: Option<&Said>,
        fields: &HeaderMap,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        match self {
            Self::Loopback if is_loopback(peer.ip()) => Ok(Caller::local(peer)),
            Self::Loopback => Err(Refusal::Unauthenticated),
            Self::Credentials { fixed, .. } => match (Shown::read(fields)?, certificate) {
                (Shown::Nothing, Some(certificate)) => self.by_certificate(certificate, peer),
                (shown, _) => recognise(fixed, (keyring, issuers), peer, shown, now).await,
            },
        }
    }

    /// The same for whoever wrote this token on the page to sign in.
    ///
    /// # Errors
    /// The same.
    pub(super) async fn authenticate_written(
        &self,
        (keyring, issuers): (&Keyring, &Issuers),
        peer: SocketAddr,
        token: &str,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        match self {
            Self::Loopback => Err(Refusal::Unauthenticated),
            Self::Credentials { fixed, .. } => {
                recognise(fixed, (keyring, issuers), peer, Shown::written(token)?, now).await
            }
        }
    }

    /// Who shows the token of the configuration whose secret has this digest, if it is good now.
    pub(super) fn by_fixed_token(&self, digest: SecretDigest, peer: SocketAddr, now: Timestamp) -> Option<Caller> {
        match self {
            Self::Loopback => None,
            Self::Credentials { fixed, .. } => fixed.find(digest, peer, now),
        }
    }

    /// Who connected from `peer` with this certificate.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`].
    pub(super) fn by_certificate(&self, said: &Said, peer: SocketAddr) -> Result<Caller, Refusal> {
        match self {
            Self::Loopback => Err(Refusal::Unauthenticated),
            Self::Credentials { certificates, .. } => certificates::find(certificates, said, peer),
        }
    }
}

/// Who shows this.
async fn recognise(
    fixed: &FixedTokens,
    (keyring, issuers): (&Keyring, &Issuers),
    peer: SocketAddr,
    shown: Shown<'_>,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let Some(token) = shown.token() else { return Err(Refusal::Unauthenticated) };
    let digest = SecretDigest::of(token);
    // Those of the configuration are good also while the store is away.
    if let Some(caller) = fixed.find(digest, peer, now) {
        return Ok(caller);
    }
    // What is one of ours by its looks is nobody else's business.
    let is_ours = token.starts_with(PREFIX);
    let (by_bearer, by_keystone) = (issuers.has_issuers() && !is_ours, issuers.has_keystone() && !is_ours);
    let identity = match shown {
        Shown::Bearer(token) if by_bearer => issuers.verify_bearer(token, now).await,
        Shown::AuthToken(token) if by_keystone => issuers.verify_keystone(token, now).await,
        Shown::Written(token) if by_bearer && by_keystone => match issuers.verify_bearer(token, now).await {
            // Nobody says of what kind it is.
            Err(NotVerified::Refused(_)) => issuers.verify_keystone(token, now).await,
            verified => verified,
        },
        Shown::Written(token) if by_bearer => issuers.verify_bearer(token, now).await,
        Shown::Written(token) if by_keystone => issuers.verify_keystone(token, now).await,
        Shown::Nothing | Shown::Bearer(_) | Shown::AuthToken(_) | Shown::Written(_) => {
            return keyring.find(digest, peer, now);
        }
    };
    Ok(Caller::vouched_for(identity.map_err(not_verified)?, peer))
}

fn not_verified(why: NotVerified) -> Refusal {
    match why {
        NotVerified::Refused(reason) => {
            tracing::debug!(%reason, "a credential of an issuer is not good");
            Refusal::Unauthenticated
        }
        NotVerified::Unavailable { retry_after } => {
            let detail = "whoever issued the token cannot be asked at the moment";
            Refusal::Unavailable { detail: detail.to_owned(), retry_after }
        }
    }
}

/// Whether an address is this machine's own, an IPv4 address in IPv6 form included.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests;
