//! What a token claims: whether it is for us and for now, and who it makes of whoever shows it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json};

use crate::identity::config::IssuerConfig;
use crate::identity::grant::IssuerTenant;
use crate::identity::issuers::Identity;
use crate::identity::reason::{Reason, Shown};

/// By how much the clock of an issuer may differ from ours.
const LEEWAY: Duration = Duration::from_secs(30);

/// Whoever shows a token with these claims, which its issuer has signed.
pub(super) fn identity(claims: &Map<String, Json>, issuer: &IssuerConfig, now: Timestamp) -> Result<Identity, Reason> {
    let claimed = claims.get("iss").and_then(Json::as_str);
    if claimed != Some(&issuer.issuer) {
        return Err(Reason::UnknownIssuer(Shown::of_optional(claimed)));
    }
    if !audiences(claims).contains(&issuer.audience.as_str()) {
        return Err(Reason::Audience { expected: issuer.audience.clone() });
    }
    let expires_at = Some(check_time(claims, now)?);
    let name = issuer.name_claim.name(claims)?.to_owned();
    let tenant = match &issuer.tenant {
        IssuerTenant::Fixed(tenant) => tenant.clone(),
        IssuerTenant::Claim(path, names) => names.tenant(path.text(claims)?)?,
    };
    let access = issuer.grants.access(tenant, issuer.roles_claim.list(claims)?);
    Ok(Identity { name, issuer: issuer.name.clone(), access, expires_at })
}

/// Whom the token is for (RFC 7519, section 4.1.3).
pub(super) fn audiences(claims: &Map<String, Json>) -> Vec<&str> {
    match claims.get("aud") {
        Some(Json::String(one)) => vec![one],
        Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Until when it is taken, if it is taken now.
fn check_time(claims: &Map<String, Json>, now: Timestamp) -> Result<Timestamp, Reason> {
    let leeway = SignedDuration::try_from(LEEWAY).expect("half a minute is no long time");
    let later = |at: Timestamp| at.checked_add(leeway).unwrap_or(Timestamp::MAX);
    let expires_at = date(claims, "exp")?;
    let expires_at = expires_at.ok_or_else(|| Reason::Claim { claim: "exp".to_owned(), wrong: "is missing" })?;
    // What goes on is not cut off before a new request would be refused.
    let taken_until = later(expires_at);
    if now >= taken_until {
        return Err(Reason::Expired(expires_at));
    }
    let late = later(now);
    if let Some(begins_at) = date(claims, "nbf")?.filter(|at| *at > late) {
        return Err(Reason::TooEarly(begins_at));
    }
    if let Some(issued_at) = date(claims, "iat")?.filter(|at| *at > late) {
        return Err(Reason::FromTheFuture(issued_at));
    }
    Ok(taken_until)
}

/// Seconds since 1970, whole or not (RFC 7519, section 2).
fn date(claims: &Map<String, Json>, claim: &str) -> Result<Option<Timestamp>, Reason> {
    let Some(said) = claims.get(claim) else { return Ok(None) };
    let read = said.as_i64().map_or_else(
        || said.as_f64().and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok()),
        |seconds| Some(SignedDuration::from_secs(seconds)),
    );
    match read.and_then(|since| Timestamp::from_duration(since).ok()) {
        Some(at) => Ok(Some(at)),
        None => Err(Reason::Claim { claim: claim.to_owned(), wrong: "is no date" }),
    }
}
