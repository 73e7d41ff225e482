//! `[auth]`: who may call, and what they may do.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Issuer, Keystone};
use crate::config::value::{Span, Text};

/// `[auth]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    /// How long somebody stays signed in to the console, from 1m to 30d, and never longer than the token is good that they signed in
    /// with. Default: 12h.
    pub(crate) session: Option<Text<Span>>,
    /// Tokens that callers may show, beside those that were made with `fanfold token create`.
    #[serde(default)]
    pub(crate) tokens: Vec<Token>,
    /// Who is known by the certificate that they connect with. Needs `client_authorities` in `[server.tls]`.
    #[serde(default)]
    pub(crate) certificates: Vec<Certificate>,
    /// Those who issue JWT that callers may show (OpenID Connect).
    #[serde(default)]
    pub(crate) issuers: Vec<Issuer>,
    /// The OpenStack Keystone whose tokens callers may show.
    pub(crate) keystone: Option<Keystone>,
}

/// `[[auth.tokens]]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    /// Who shows it, as it will stand in the history of operations.
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// The SHA-256 of the token, in hexadecimal: the token itself stands nowhere.
    #[schemars(required)]
    pub(crate) sha256: Option<String>,
    /// What its owner may do.
    #[schemars(required)]
    #[serde(default)]
    pub(crate) roles: Vec<Role>,
    /// Whose operations its owner sees and starts: letters, digits, `.`, `_`, `-` and `@`. Default: "default", the house's own, whose
    /// people alone may do what concerns the whole server.
    pub(crate) tenant: Option<String>,
    /// The routes that it is good for, by name. Default: all.
    pub(crate) routes: Option<Vec<String>>,
    /// The targets that it is good for: operations that go to any other one do not exist for its owner. Default: all.
    pub(crate) targets: Option<Vec<String>>,
    /// From then on it is no good (RFC 3339). Default: never.
    pub(crate) expires: Option<Text<Timestamp>>,
}

/// `[[auth.certificates]]`: one of `common_name`, `dns`, `uri` and `sha256` says whose certificates are meant.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    /// Who shows it, as it will stand in the history of operations.
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// Those whose subject has this common name.
    pub(crate) common_name: Option<String>,
    /// Those with this name of a host among their alternative names.
    pub(crate) dns: Option<String>,
    /// Those with this URI among their alternative names.
    pub(crate) uri: Option<String>,
    /// The one that has this SHA-256, in hexadecimal.
    pub(crate) sha256: Option<String>,
    /// What its owner may do.
    #[schemars(required)]
    #[serde(default)]
    pub(crate) roles: Vec<Role>,
    /// Whose operations its owner sees and starts, as for tokens. Default: "default", the house's own.
    pub(crate) tenant: Option<String>,
    /// The routes that it is good for, by name. Default: all.
    pub(crate) routes: Option<Vec<String>>,
    /// The targets that it is good for, as for tokens. Default: all.
    pub(crate) targets: Option<Vec<String>>,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Start operations, and pass requests through that change something.
    Submit,
    /// See operations, targets, routes and notices, and pass requests through that change nothing.
    Read,
    /// Cancel, retry, resolve, extend, hold, release and replay, and all that `read` may.
    Operate,
    /// See the metrics of the whole server (of the tenant "default" only), and nothing else.
    Monitor,
    /// Manage tokens, read the audit trail, drain, and all that the others may.
    Admin,
}

impl From<Role> for fanfold_core::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Submit => Self::Submit,
            Role::Read => Self::Read,
            Role::Operate => Self::Operate,
            Role::Monitor => Self::Monitor,
            Role::Admin => Self::Admin,
        }
    }
}
