//! Who a caller is. Every request comes through [`Authenticator::authenticate`] before anything of it is carried out, and every
//! handler needs the [`Caller`] that only it makes. What a caller must be for which request stands in [`rules`].

mod caller;
mod certificates;
mod fixed;
pub(super) mod keyring;
mod leaving;
pub(super) mod rules;
mod shown;

use std::net::{IpAddr, SocketAddr};

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
pub(super) use shown::hide;

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
    },
}

/// Tells callers apart.
#[derive(Debug)]
pub(in crate::http) enum Authenticator {
    Loopback,
    Credentials { fixed: FixedTokens, certificates: Vec<FixedCertificate> },
}

impl From<Authentication> for Authenticator {
    fn from(authentication: Authentication) -> Self {
        match authentication {
            Authentication::Loopback => Self::Loopback,
            Authentication::Credentials { tokens, certificates } => {
                Self::Credentials { fixed: FixedTokens::new(tokens), certificates }
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
            Self::Credentials { fixed, .. } => match Shown::read(fields)? {
                Shown::Nothing => self.by_certificate(certificate.ok_or(Refusal::Unauthenticated)?, peer),
                shown @ (Shown::Bearer(token) | Shown::AuthToken(token)) => {
                    let digest = SecretDigest::of(token);
                    // Those of the configuration are good also while the store is away.
                    if let Some(caller) = fixed.find(digest, peer, now) {
                        return Ok(caller);
                    }
                    // What is one of ours by its looks is nobody else's business.
                    let identity = match shown {
                        Shown::Bearer(token) if issuers.has_issuers() && !token.starts_with(PREFIX) => {
                            issuers.verify_bearer(token, now).await
                        }
                        Shown::AuthToken(token) if issuers.has_keystone() && !token.starts_with(PREFIX) => {
                            issuers.verify_keystone(token, now).await
                        }
                        Shown::Nothing | Shown::Bearer(_) | Shown::AuthToken(_) => {
                            return keyring.find(digest, peer, now);
                        }
                    };
                    Ok(Caller::vouched_for(identity.map_err(not_verified)?, peer))
                }
            },
        }
    }
}

impl Authenticator {
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

    /// Who shows the token of the configuration that has this digest.
    fn by_fixed_token(&self, digest: SecretDigest, peer: SocketAddr, now: Timestamp) -> Option<Caller> {
        match self {
            Self::Loopback => None,
            Self::Credentials { fixed, .. } => fixed.find(digest, peer, now),
        }
    }
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
