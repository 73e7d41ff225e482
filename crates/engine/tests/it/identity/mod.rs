//! Who somebody is, as others say it.

mod attacks;
mod issuer;
mod keys;
mod keystone;
mod lying;

use std::time::Duration;

use fanfold_core::access::Role;
use fanfold_engine::identity::{
    Algorithm, ClaimPath, Grant, Grants, IssuerConfig, IssuerTenant, KeysFrom, TenantNames,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

/// How the issuer of these tests calls itself where nobody asks it.
const ISSUER: &str = "https://idp.example/realms/x";

/// When everything here happens.
fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// So many seconds after that.
fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// An issuer whose keys come from there.
fn issuer_config(issuer: &str, keys: KeysFrom) -> IssuerConfig {
    let grants = [("fanfold-operator", Role::Operate), ("fanfold-user", Role::Submit)];
    let grant = |(name, role): (&str, Role)| (name.to_owned(), Grant { roles: [role].into(), ..Grant::default() });
    IssuerConfig {
        name: "idp".to_owned(),
        issuer: issuer.to_owned(),
        audience: "fanfold".to_owned(),
        keys,
        authorities: Vec::new(),
        algorithms: Algorithm::ALL.to_vec(),
        name_claim: ClaimPath::new("sub"),
        tenant: IssuerTenant::Claim(ClaimPath::new("org"), TenantNames::default()),
        roles_claim: ClaimPath::new("realm_access.roles"),
        grants: Grants(grants.into_iter().map(grant).collect()),
    }
}

/// What a good token claims.
fn claims(issuer: &str) -> Json {
    json!({
        "iss": issuer, "aud": "fanfold", "sub": "alice", "org": "acme",
        "exp": after(300).as_second(), "iat": after(-10).as_second(), "nbf": after(-10).as_second(),
        "realm_access": { "roles": ["fanfold-operator", "offline_access"] },
    })
}

/// Lets time pass at once. What is on the wire does not hear of it.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
