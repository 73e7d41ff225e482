//! The settings of `[auth]`: who may call, and what they may do.

use std::ops::RangeInclusive;
use std::time::Duration;

use fanfold_core::access::{self, SecretDigest};
use fanfold_core::{Access, Scope, TargetName, TenantId};
use fanfold_server::{CertificateName, FixedCertificate, FixedToken};

use super::defaults::{self, span};
use super::{AuthSettings, issuers};
use crate::config::document::Place;
use crate::config::file;
use crate::config::finding::{Findings, Wrong};
use crate::config::secret::Surroundings;

/// How long sessions of the console may last.
const SESSION: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 60 * 60);

/// What tokens may be about.
pub(super) struct Known<'a> {
    pub(super) routes: &'a [String],
    pub(super) targets: &'a [&'a TargetName],
    pub(super) asks_for_certificates: bool,
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
    let certificates = certificates(&auth.certificates, known, findings);
    AuthSettings {
        tokens,
        certificates,
        session_max: session_max(auth, findings),
        issuers: issuers::issuers(auth, known, around, findings),
    }
}

/// How long somebody stays signed in.
fn session_max(auth: &file::Auth, findings: &mut Findings<'_>) -> Duration {
    let session = span(&auth.session).unwrap_or(defaults::SESSION);
    if !SESSION.contains(&session) {
        let wrong = Wrong::new("a session lasts from 1m to 30d").hint("leave it out for 12h");
        findings.mistake(&Place::of(["auth", "session"]), wrong);
    }
    session
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
    let scope = scope(token.routes.as_ref(), token.targets.as_ref(), known, place, findings);
    let access = access(&token.roles, token.tenant.as_deref(), scope, place, findings);
    let expires_at = token.expires.as_ref().map(|text| text.0);
    Some(FixedToken { name: name.clone(), digest, access, expires_at })
}

fn certificates(
    entries: &[file::Certificate],
    known: &Known<'_>,
    findings: &mut Findings<'_>,
) -> Vec<FixedCertificate> {
    let all = Place::of(["auth", "certificates"]);
    if !entries.is_empty() && !known.asks_for_certificates {
        let wrong = Wrong::new("no client is asked for a certificate");
        findings.mistake(&all, wrong.hint("name those who vouch for them as client_authorities in [server.tls]"));
    }
    let mut certificates: Vec<FixedCertificate> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let place = all.index(index);
        let Some(one) = certificate(entry, known, &place, findings) else { continue };
        if certificates.iter().any(|other| other.is == one.is) {
            findings.mistake(&place, Wrong::new("the same certificates stand here twice").hint("put both into one"));
        } else if certificates.iter().any(|other| other.name == one.name && other.access.tenant == one.access.tenant) {
            let wrong = Wrong::new(format!("two certificates are called {:?}", one.name));
            findings.mistake(&place.key("name"), wrong.hint("names tell in the history who did something"));
        } else {
            certificates.push(one);
        }
    }
    certificates
}

fn certificate(
    entry: &file::Certificate,
    known: &Known<'_>,
    place: &Place,
    findings: &mut Findings<'_>,
) -> Option<FixedCertificate> {
    let name = entry.name.as_ref()?;
    check_name(name, &place.key("name"), findings);
    let is = certificate_name(entry, place, findings)?;
    let scope = scope(entry.routes.as_ref(), entry.targets.as_ref(), known, place, findings);
    let access = access(&entry.roles, entry.tenant.as_deref(), scope, place, findings);
    Some(FixedCertificate { name: name.clone(), is, access })
}

/// What tells whose certificates are meant: one thing alone.
fn certificate_name(entry: &file::Certificate, place: &Place, findings: &mut Findings<'_>) -> Option<CertificateName> {
    let digest = entry.sha256.as_ref().map(|text| text.parse().map(CertificateName::Digest));
    let digest = digest.transpose().unwrap_or_else(|bad| {
        let hint = "openssl x509 -in client.pem -outform der | sha256sum";
        findings.mistake(&place.key("sha256"), Wrong::new(format!("sha256 is {bad}")).hint(hint));
        None
    });
    let said = [
        entry.common_name.clone().map(CertificateName::CommonName),
        entry.dns.as_ref().map(|name| CertificateName::Dns(name.to_ascii_lowercase())),
        entry.uri.clone().map(CertificateName::Uri),
        digest,
    ];
    let mut said = said.into_iter().flatten();
    match (said.next(), said.next()) {
        (Some(only), None) => return Some(only),
        (Some(_), Some(_)) => {
            let wrong = Wrong::new("a certificate is known by one thing alone");
            findings.mistake(place, wrong.hint("leave one of common_name, dns, uri and sha256, and the others out"));
        }
        (None, _) => {
            let wrong = Wrong::new("nothing says which certificates are meant");
            findings.mistake(place, wrong.hint("add one of common_name, dns, uri and sha256"));
        }
    }
    None
}

/// What somebody may do who has these roles.
fn access(
    roles: &[file::Role],
    tenant: Option<&str>,
    scope: Scope,
    place: &Place,
    findings: &mut Findings<'_>,
) -> Access {
    let tenant = tenant.map_or_else(TenantId::default, TenantId::from);
    check_name(tenant.as_str(), &place.key("tenant"), findings);
    if roles.is_empty() {
        let wrong = Wrong::new("whoever has no roles may nothing");
        findings.mistake(&place.key("roles"), wrong.hint("roles are submit, read, operate, monitor and admin"));
    }
    let access = Access { tenant, roles: roles.iter().copied().map(Into::into).collect(), scope };
    if roles.contains(&file::Role::Monitor) && !access.is_of_the_house() {
        let wrong = Wrong::new("the metrics are of the whole server: only the tenant \"default\" can monitor");
        findings.mistake(&place.key("roles"), wrong.hint("leave \"monitor\" out, or tenant"));
    }
    access
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
