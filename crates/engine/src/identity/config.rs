//! What is configured of those who issue credentials.

use std::fmt;
use std::time::Duration;

use super::address::IssuerAddress;
use super::grant::{ClaimPath, Grants, IssuerTenant, KeystoneTenant};
use super::jwt::KeySet;

/// Everybody whose credentials count.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// Those who issue JWT. Several may have the same issuer, each for an audience of its own.
    pub issuers: Vec<IssuerConfig>,
    /// The Keystone that is asked about tokens.
    pub keystone: Option<KeystoneConfig>,
}

/// One who issues JWT.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuerConfig {
    /// What it is called: in metrics, in the log, and in [`Identity::issuer`](super::Identity::issuer).
    pub name: String,
    /// How it calls itself, sign by sign (`iss`).
    pub issuer: String,
    /// Whom its tokens have to be for (`aud`).
    pub audience: String,
    /// Where its keys are.
    pub keys: KeysFrom,
    /// The PEM of authorities that it is trusted by, beside those of the platform; may be empty.
    pub authorities: Vec<u8>,
    /// How its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// What somebody is called.
    pub name_claim: ClaimPath,
    /// Whose operations somebody sees.
    pub tenant: IssuerTenant,
    /// Where the roles are that it gives.
    pub roles_claim: ClaimPath,
    /// What they are worth here.
    pub grants: Grants,
}

/// Where the keys of an issuer are.
#[derive(Debug, Clone, PartialEq)]
pub enum KeysFrom {
    /// Where the document says that lies below this address (OpenID Connect Discovery). They have to be at the same host and port.
    Discovery(IssuerAddress),
    /// At this address.
    Address(IssuerAddress),
    /// Here.
    Given(KeySet),
}

/// How a token may be signed. With a secret that both sides know, or not at all, is not possible: those who verify could then issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 using SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 using SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 using SHA-512.
    Rs512,
    /// RSASSA-PSS using SHA-256.
    Ps256,
    /// RSASSA-PSS using SHA-384.
    Ps384,
    /// RSASSA-PSS using SHA-512.
    Ps512,
    /// ECDSA using P-256 and SHA-256.
    Es256,
    /// ECDSA using P-384 and SHA-384.
    Es384,
    /// EdDSA using Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Its name in a token (RFC 7518, section 3.1, and RFC 8037).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The one of this name, sign by sign.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    pub(super) fn of_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ps384 => jsonwebtoken::Algorithm::PS384,
            Self::Ps512 => jsonwebtoken::Algorithm::PS512,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// A Keystone, and what its tokens are worth.
#[derive(Debug, Clone, PartialEq)]
pub struct KeystoneConfig {
    /// Where it is, without `/v3`.
    pub address: IssuerAddress,
    /// Who asks it.
    pub credentials: Credentials,
    /// The PEM of authorities that it is trusted by, beside those of the platform; may be empty.
    pub authorities: Vec<u8>,
    /// How long what it said of a token is taken for true. A token that is revoked is good for so long.
    pub cache: Duration,
    /// Whose operations somebody sees.
    pub tenant: KeystoneTenant,
    /// What the roles are worth that it names.
    pub grants: Grants,
}

/// How we show Keystone who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// As a user, in a project.
    Password {
        /// The user.
        user: Owned,
        /// Its password.
        password: Password,
        /// The project in which it has a role that lets it look at tokens.
        project: Owned,
    },
    /// With an application credential, which is of one project.
    Application {
        /// Its id.
        id: String,
        /// Its secret.
        secret: Password,
    },
}

/// A user or a project, by its name and that of its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// Its name.
    pub name: String,
    /// The name of its domain.
    pub domain: String,
}

/// What must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// This one.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}
