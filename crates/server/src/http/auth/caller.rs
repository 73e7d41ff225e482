//! Who makes a request.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use fanfold_core::Access;
use fanfold_core::access::{SecretDigest, TokenId};
use fanfold_engine::identity::Identity;
use jiff::Timestamp;

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Caller {
    /// Whose operations they see, and what they may do.
    pub(in crate::http) access: Access,
    /// Their name, for the record of what they do.
    pub(in crate::http) name: String,
    /// What they are known by.
    pub(in crate::http) credential: Credential,
    /// Where they connect from.
    pub(in crate::http) from: Option<SocketAddr>,
}

/// What a caller is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Credential {
    /// Nothing: whoever asks for what everybody may have.
    Nothing,
    /// That they are on this machine, where nothing else is asked for.
    Machine,
    /// The certificate that they have shown as they connected.
    Certificate {
        /// From then on it is no good.
        ends_at: Timestamp,
    },
    /// A token of the configuration.
    FixedToken {
        /// Of its secret.
        digest: SecretDigest,
        /// From then on it is no good.
        expires_at: Option<Timestamp>,
    },
    /// What an issuer vouches for.
    Issuer {
        /// Which.
        issuer: String,
        /// From then on it does not.
        expires_at: Option<Timestamp>,
    },
    /// A token of the store.
    Token {
        /// Which.
        id: TokenId,
        /// From then on it is no good.
        expires_at: Option<Timestamp>,
    },
    /// A session that was begun with one of these, in the console.
    Session {
        /// Of its secret.
        digest: SecretDigest,
        /// From then on neither it nor what it was begun with is any good.
        expires_at: Timestamp,
    },
}

impl Credential {
    /// Whether something that is nobody else's business was shown for it.
    pub(in crate::http) fn is_shown(&self) -> bool {
        match self {
            Self::Nothing | Self::Machine => false,
            Self::Certificate { .. }
            | Self::FixedToken { .. }
            | Self::Issuer { .. }
            | Self::Token { .. }
            | Self::Session { .. } => true,
        }
    }

    /// From when on it is no good.
    pub(in crate::http) fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Nothing | Self::Machine => None,
            Self::FixedToken { expires_at, .. } | Self::Issuer { expires_at, .. } | Self::Token { expires_at, .. } => {
                *expires_at
            }
            Self::Certificate { ends_at: at } | Self::Session { expires_at: at, .. } => Some(*at),
        }
    }

    /// The word for it in records and answers.
    pub(in crate::http) fn as_str(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Machine => "machine",
            Self::Certificate { .. } => "certificate",
            Self::FixedToken { .. } => "fixed_token",
            Self::Issuer { .. } => "issuer",
            Self::Token { .. } => "token",
            Self::Session { .. } => "session",
        }
    }
}

impl Caller {
    /// Whoever is on this machine.
    pub(in crate::http) fn local(from: SocketAddr) -> Self {
        Self { from: Some(from), ..Self::the_program() }
    }

    /// Whom an issuer vouches for. Two issuers may call two people the same.
    pub(in crate::http) fn vouched_for(identity: Identity, from: SocketAddr) -> Self {
        let Identity { name, issuer, access, expires_at } = identity;
        let name = format!("{name} ({issuer})");
        Self { access, name, credential: Credential::Issuer { issuer, expires_at }, from: Some(from) }
    }

    /// Whoever runs this program.
    pub(in crate::http) fn the_program() -> Self {
        Self { access: Access::full(), name: "local".to_owned(), credential: Credential::Machine, from: None }
    }

    /// Whoever it is: they asked for what everybody may have.
    pub(in crate::http) fn anybody(from: SocketAddr) -> Self {
        let access = Access { roles: BTreeSet::new(), ..Access::full() };
        Self { access, name: "anybody".to_owned(), credential: Credential::Nothing, from: Some(from) }
    }

    /// Whether they see all operations of their tenant, so that they may be told how many there are.
    pub(in crate::http) fn sees_all(&self) -> bool {
        self.access.scope.is_all()
    }
}
