//! The settings of `[auth]`: who may call, and what they may do.

use fanfold_core::access::{self, SecretDigest};
use fanfold_core::{Access, Scope, TargetName, TenantId};
use fanfold_server::FixedToken;

use super::{AuthSettings, issuers};
use crate::config::document::Place;
use crate::config::file;
use crate::config::finding::{Findings, Wrong};
use crate::config::secret::Surroundings;

/// What tokens may be about.
pub(super) struct Known<'a> {
    pub(super) routes: &'a [String],
    pub(super) targets: &'a [&'a TargetName],
}

/// `[auth]`
pub(super) fn auth(
    auth: &file::Auth,
    known: &Known<'_>,
    around: &Surroundings<'_>,
    findings: &mut Findings<'_>,
) -> AuthSettings {
    let mut tokens: Vec<FixedToken> = Vec::new();
    for (index, token) in auth.tokens.iter().enumerate() {
        let place = Place::of(["auth", "tokens"]).index(index);
        let Some(token) = self::token(token, known, &place, findings) else { continue };
        if tokens.iter().any(|other| other.digest == token.digest) {
            findings.mistake(&place.key("sha256"), Wrong::new("the same token stands here twice"));
        } else if tokens.iter().any(|other| is_namesake(other, &token)) {
            let wrong = Wrong::new(format!("two tokens are called {:?}", token.name));
            findings.mistake(&place.key("name"), wrong.hint("names tell in the history who did something"));
        } else {
            tokens.push(token);
        }
    }
    AuthSettings { tokens, issuers: issuers::issuers(auth, known, around, findings) }
}

fn is_namesake(one: &FixedToken, other: &FixedToken) -> bool {
    one.name == other.name && one.access.tenant == other.access.tenant
}

fn token(token: &file::Token, known: &Known<'_>, place: &Place, findings: &mut Findings<'_>) -> Option<FixedToken> {
    let (name, sha256) = (token.name.as_ref()?, token.sha256.as_ref()?);
    check_name(name, &place.key("name"), findings);
    let digest: SecretDigest = match sha256.parse() {
        Ok(digest) => digest,
        Err(bad) => {
            let hint = "make a token and its SHA-256 with: fanfold token new";
            findings.mistake(&place.key("sha256"), Wrong::new(format!("sha256 is {bad}")).hint(hint));
            return None;
        }
    };
    let tenant = token.tenant.as_deref().map_or_else(TenantId::default, TenantId::from);
    check_name(tenant.as_str(), &place.key("tenant"), findings);
    if token.roles.is_empty() {
        let wrong = Wrong::new(format!("the token {name:?} has no roles, and may nothing"));
        findings.mistake(&place.key("roles"), wrong.hint("roles are submit, read, operate, monitor and admin"));
    }
    let access = Access {
        tenant,
        roles: token.roles.iter().copied().map(Into::into).collect(),
        scope: scope(token.routes.as_ref(), token.targets.as_ref(), known, place, findings),
    };
    if token.roles.contains(&file::Role::Monitor) && !access.is_of_the_house() {
        let wrong =
            Wrong::new("the metrics are of the whole server: only tokens of the tenant \"default\" can monitor");
        findings.mistake(&place.key("roles"), wrong.hint("leave \"monitor\" out, or tenant"));
    }
    let expires_at = token.expires.as_ref().map(|text| text.0);
    Some(FixedToken { name: name.clone(), digest, access, expires_at })
}

/// What is meant by these names, which are to be those of routes and targets; none means all.
pub(super) fn scope(
    routes: Option<&Vec<String>>,
    targets: Option<&Vec<String>>,
    known: &Known<'_>,
    place: &Place,
    findings: &mut Findings<'_>,
) -> Scope {
    for (index, route) in routes.into_iter().flatten().enumerate() {
        if !known.routes.contains(route) {
            let wrong = Wrong::new(format!("there is no route {route:?}"));
            findings.mistake(&place.key("routes").index(index), wrong);
        }
    }
    for (index, target) in targets.into_iter().flatten().enumerate() {
        if !known.targets.contains(&&TargetName::from(target.as_str())) {
            let wrong = Wrong::new(format!("there is no target {target:?}"));
            findings.mistake(&place.key("targets").index(index), wrong);
        }
    }
    Scope {
        routes: routes.map(|routes| routes.iter().cloned().collect()),
        targets: targets.map(|targets| targets.iter().map(|target| target.as_str().into()).collect()),
    }
}

pub(super) fn check_name(name: &str, place: &Place, findings: &mut Findings<'_>) {
    if !access::is_name(name) {
        findings.mistake(place, Wrong::new(format!("{name:?} is not a name")).hint(access::A_NAME));
    }
}
