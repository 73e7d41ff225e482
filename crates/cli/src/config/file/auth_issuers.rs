//! `[[auth.issuers]]` and `[auth.keystone]`: those whose credentials count here, and what they are worth.

use std::collections::BTreeMap;

use fanfold_engine::identity::IssuerAddress;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Role, SecretText};
use crate::config::value::{Span, Text};

/// `[[auth.issuers]]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issuer {
    /// What it is called in metrics, in the log and in the history of operations. Default: the host of `issuer`.
    pub(crate) name: Option<String>,
    /// How it calls itself, sign by sign: `iss` of its tokens. Its keys are found below it (OpenID Connect Discovery) where neither
    /// `jwks_url` nor `jwks_file` is given.
    #[schemars(required)]
    pub(crate) issuer: Option<String>,
    /// Whom its tokens have to be for: one of their `aud`.
    #[schemars(required)]
    pub(crate) audience: Option<String>,
    /// Where its keys are, if not where it says itself, or at another host than it is.
    pub(crate) jwks_url: Option<Text<IssuerAddress>>,
    /// File with its keys (a JSON Web Key Set), for an issuer that cannot be reached from here. It is read anew at a reload.
    pub(crate) jwks_file: Option<String>,
    /// File with authorities in PEM form that it is trusted by, beside those of the platform.
    pub(crate) authorities: Option<String>,
    /// How its tokens may be signed. Default: all of these.
    #[schemars(length(min = 1))]
    pub(crate) algorithms: Option<Vec<Algorithm>>,
    /// The claim that says what somebody is called. Default: "sub".
    pub(crate) name_claim: Option<String>,
    /// Whose operations all its people see and start. Either this or `tenant_claim` is needed.
    pub(crate) tenant: Option<String>,
    /// The claim that says whose operations somebody sees and starts. A token without it is refused.
    pub(crate) tenant_claim: Option<String>,
    /// Tenants that are called otherwise there than here: what `tenant_claim` says, and who that is here. Others are called the same,
    /// but nobody is "default", the house's own, unless it stands here.
    #[serde(default)]
    pub(crate) tenants: BTreeMap<String, String>,
    /// The claim that has the roles: a list, or text with spaces between. Names with dots lead to a claim within claims, such as
    /// `realm_access.roles`. Default: "roles".
    pub(crate) roles_claim: Option<String>,
    /// What each of these roles is worth here: a list of our roles, or a table that says for what. Others are worth nothing.
    #[schemars(required)]
    pub(crate) roles: Option<BTreeMap<String, RoleGrant>>,
}

/// A way in which tokens may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum Algorithm {
    /// `RS256`
    #[serde(rename = "RS256")]
    Rs256,
    /// `RS384`
    #[serde(rename = "RS384")]
    Rs384,
    /// `RS512`
    #[serde(rename = "RS512")]
    Rs512,
    /// `PS256`
    #[serde(rename = "PS256")]
    Ps256,
    /// `PS384`
    #[serde(rename = "PS384")]
    Ps384,
    /// `PS512`
    #[serde(rename = "PS512")]
    Ps512,
    /// `ES256`
    #[serde(rename = "ES256")]
    Es256,
    /// `ES384`
    #[serde(rename = "ES384")]
    Es384,
    /// `EdDSA`
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// What a role of somebody else's is worth here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RoleGrant {
    /// These roles.
    Roles(Vec<Role>),
    /// These roles, for some routes or targets.
    Narrowed(NarrowedRoles),
}

/// What a role of somebody else's is worth here, for some routes or targets only.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NarrowedRoles {
    /// The roles.
    #[schemars(required)]
    pub(crate) roles: Option<Vec<Role>>,
    /// The routes that they are good for, by name. Default: all.
    pub(crate) routes: Option<Vec<String>>,
    /// The targets that they are good for: operations that go to any other one do not exist for whoever has them. Default: all.
    pub(crate) targets: Option<Vec<String>>,
}

/// `[auth.keystone]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keystone {
    /// Where it is, with or without /v3.
    #[schemars(required)]
    pub(crate) url: Option<Text<IssuerAddress>>,
    /// The user that looks at tokens of others, which takes a role that may (`identity:validate_token`).
    pub(crate) username: Option<String>,
    /// Its password, put in with ${env:NAME} or ${file:PATH}.
    pub(crate) password: Option<SecretText>,
    /// The name of its domain. Default: "Default".
    pub(crate) user_domain: Option<String>,
    /// The project in which it has that role.
    pub(crate) project: Option<String>,
    /// The name of the domain of that project. Default: "Default".
    pub(crate) project_domain: Option<String>,
    /// The id of an application credential, instead of user, password and project.
    pub(crate) application_credential_id: Option<String>,
    /// Its secret, put in with ${env:NAME} or ${file:PATH}.
    pub(crate) application_credential_secret: Option<SecretText>,
    /// File with authorities in PEM form that it is trusted by, beside those of the platform.
    pub(crate) authorities: Option<String>,
    /// How long what it said of a token is taken for true, never beyond the token's end. A token that is revoked is good for so long.
    /// Default: 60 s.
    #[schemars(extend("x-range" = ["1s", "5m"]))]
    pub(crate) cache: Option<Text<Span>>,
    /// Whose operations everybody sees and starts who has a token of it, instead of `tenant_from`.
    pub(crate) tenant: Option<String>,
    /// What of a token says whose operations somebody sees and starts. Default: "project_id".
    pub(crate) tenant_from: Option<TenantFrom>,
    /// Tenants that are called otherwise there than here: what `tenant_from` says, and who that is here. Others are called the same,
    /// but nobody is "default", the house's own, unless it stands here.
    #[serde(default)]
    pub(crate) tenants: BTreeMap<String, String>,
    /// What each role of a token is worth here: a list of our roles, or a table that says for what. Others are worth nothing.
    #[schemars(required)]
    pub(crate) roles: Option<BTreeMap<String, RoleGrant>>,
}

/// What of a token of Keystone is the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TenantFrom {
    /// The id of its project.
    ProjectId,
    /// The names of its project and of that one's domain, as in `lab@Default`.
    ProjectName,
    /// The id of the domain of its project, or its own.
    DomainId,
    /// The name of that domain.
    DomainName,
}
