//! What is said to Keystone and what it says (Identity API v3, "Authentication and token management"): pure functions.

use fanfold_core::TenantId;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::identity::config::{Credentials, KeystoneConfig, Owned};
use crate::identity::grant::{KeystoneTenant, TenantNames, is_showable};
use crate::identity::issuers::Identity;
use crate::identity::metrics::KEYSTONE;
use crate::identity::reason::{Reason, Shown};

/// Where tokens are made and looked at, below the address of Keystone. The catalogue of services is of no use here, and long.
pub(super) const TOKENS: &str = "/v3/auth/tokens?nocatalog";

/// Somebody else's token, or our own, as Keystone describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Described {
    pub(super) expires_at: Timestamp,
    user: User,
    #[serde(default)]
    roles: Vec<Named>,
    project: Option<Project>,
    domain: Option<Domain>,
    application_credential: Option<ApplicationCredential>,
    #[serde(default)]
    bind: Option<Json>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct User {
    name: String,
    domain: Domain,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Project {
    id: String,
    name: String,
    domain: Domain,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Domain {
    id: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct ApplicationCredential {
    access_rules: Option<Json>,
}

#[derive(Deserialize)]
struct Envelope {
    token: Described,
}

/// The body of the request for a token of our own.
pub(super) fn request(credentials: &Credentials) -> Json {
    let owned = |owned: &Owned| json!({ "name": owned.name, "domain": { "name": owned.domain } });
    match credentials {
        Credentials::Password { user, password, project } => {
            let mut user = owned(user);
            user["password"] = password.expose().into();
            json!({ "auth": {
                "identity": { "methods": ["password"], "password": { "user": user } },
                "scope": { "project": owned(project) },
            }})
        }
        // It has its scope in itself: to name one is an error.
        Credentials::Application { id, secret } => json!({ "auth": { "identity": {
            "methods": ["application_credential"],
            "application_credential": { "id": id, "secret": secret.expose() },
        }}}),
    }
}

/// The description of a token, which is the body of the answer both where one is made and where one is looked at.
pub(super) fn read(body: &[u8]) -> Result<Described, String> {
    let read: Result<Envelope, _> = serde_json::from_slice(body);
    // Where it went wrong is told, and not what stood there.
    let wrong = |error: serde_json::Error| format!("at line {}, column {}", error.line(), error.column());
    read.map(|envelope| envelope.token).map_err(wrong)
}

/// Whoever shows a token that is described so.
pub(super) fn identity(described: &Described, config: &KeystoneConfig, now: Timestamp) -> Result<Identity, Reason> {
    if now >= described.expires_at {
        return Err(Reason::Expired(described.expires_at));
    }
    check_restrictions(described)?;
    // Names of users are unique within a domain only.
    let name = format!("{}@{}", described.user.name, described.user.domain.name);
    if !is_showable(&name) {
        return Err(claim("user.name", "cannot be shown, or is longer than 256 bytes"));
    }
    let tenant = tenant(described, &config.tenant)?;
    let access = config.grants.access(tenant, described.roles.iter().map(|role| role.name.as_str()));
    Ok(Identity { name, issuer: KEYSTONE.to_owned(), access, expires_at: Some(described.expires_at) })
}

/// Keystone does not describe tokens with access rules to whoever does not say that they can heed them, and bound ones are not made
/// any more; but who goes between may say it, and so may old versions.
fn check_restrictions(described: &Described) -> Result<(), Reason> {
    let is_there = |value: &Json| !value.is_null() && value.as_object().is_none_or(|object| !object.is_empty());
    if described.application_credential.as_ref().is_some_and(|credential| credential.access_rules.is_some()) {
        return Err(Reason::Restricted("access rules of an application credential"));
    }
    if described.bind.as_ref().is_some_and(is_there) {
        return Err(Reason::Restricted("it is bound to how its owner showed who they are"));
    }
    Ok(())
}

fn tenant(described: &Described, rule: &KeystoneTenant) -> Result<TenantId, Reason> {
    let project = || described.project.as_ref().ok_or_else(|| claim("project", "is missing: it is of no project"));
    let domain = || {
        let of_project = described.project.as_ref().map(|project| &project.domain);
        of_project
            .or(described.domain.as_ref())
            .ok_or_else(|| claim("domain", "is missing: it is of no project and no domain"))
    };
    let named = |names: &TenantNames, theirs: &str| names.tenant(theirs);
    match rule {
        KeystoneTenant::Fixed(tenant) => Ok(tenant.clone()),
        KeystoneTenant::ProjectId(names) => named(names, &project()?.id),
        KeystoneTenant::ProjectName(names) => {
            let Project { name, domain, .. } = project()?;
            // Else a of b@c could be taken for a@b of c.
            if domain.name.contains('@') {
                return Err(Reason::Tenant(Shown::of(&domain.name), "a domain with an @ in its name"));
            }
            named(names, &format!("{name}@{}", domain.name))
        }
        KeystoneTenant::DomainId(names) => named(names, &domain()?.id),
        KeystoneTenant::DomainName(names) => named(names, &domain()?.name),
    }
}

fn claim(claim: &str, wrong: &'static str) -> Reason {
    Reason::Claim { claim: claim.to_owned(), wrong }
}

#[cfg(test)]
pub(super) use tests::SAMPLE;

#[cfg(test)]
mod tests;
