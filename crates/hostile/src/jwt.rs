//! Tokens of issuers, and their keys.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfold_core::access::Role;
use fanfold_engine::identity::{
    Algorithm, ClaimPath, Grant, Grants, Identity, IssuerConfig, IssuerTenant, KeySet, KeysFrom, TenantNames, verify,
};
use fanfold_testkit::SigningKey;
use serde_json::{Value as Json, json};

use crate::site::now;

const ISSUER: &str = "https://idp.example/realms/x";

const AUDIENCE: &str = "fanfold";

/// An issuer with a key of its own, which nobody else has.
struct House {
    key: SigningKey,
    keys: KeySet,
    config: IssuerConfig,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let key = SigningKey::ed25519("d");
    let set = json!({ "keys": [key.jwk(), SigningKey::p256("p").jwk()] });
    let keys = KeySet::read(set.to_string().as_bytes()).expect("these are keys");
    let grant = Grant { roles: [Role::Operate].into(), ..Grant::default() };
    let config = IssuerConfig {
        name: "idp".to_owned(),
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        keys: KeysFrom::Given(keys.clone()),
        authorities: Vec::new(),
        algorithms: Algorithm::ALL.to_vec(),
        name_claim: ClaimPath::new("sub"),
        tenant: IssuerTenant::Claim(ClaimPath::new("org"), TenantNames::default()),
        roles_claim: ClaimPath::new("roles"),
        grants: Grants([("operator".to_owned(), grant)].into()),
    };
    House { key, keys, config }
});

/// As a token, as what stands in one, and as claims that were truly signed.
pub(crate) fn jwt(octets: &[u8]) {
    let house = &*HOUSE;
    refused(octets);
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"d"}"#);
    let parts: Vec<String> = octets.split(|octet| *octet == b'.').map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
    refused(parts.join(".").as_bytes());
    refused(format!("{head}.{}", parts.join(".")).as_bytes());
    let Ok(claims) = serde_json::from_slice::<Json>(octets) else { return };
    let token = house.key.token(&claims);
    if let Ok(identity) = verify(token.as_bytes(), &house.keys, &house.config, now()) {
        vouched_for(&claims, &identity);
    }
    // One sign of it changed is another token.
    let changed = token.replacen('.', ".A", 1);
    refused(changed.as_bytes());
}

/// Nobody but the issuer can sign.
fn refused(token: &[u8]) {
    let verified = verify(token, &HOUSE.keys, &HOUSE.config, now());
    assert!(verified.is_err(), "{:?} is let in with {:?}", verified, String::from_utf8_lossy(token));
}

fn vouched_for(claims: &Json, identity: &Identity) {
    assert_eq!(claims["iss"], ISSUER);
    let is_for_us = match &claims["aud"] {
        Json::Array(all) => all.iter().any(|one| one == AUDIENCE),
        one => one == AUDIENCE,
    };
    assert!(is_for_us, "a token for {} is taken", claims["aud"]);
    let expires = claims["exp"].as_f64().expect("every token that is taken ends");
    assert!(expires > now().as_second() as f64 - 120.0, "one that has expired is taken: {expires}");
    assert_eq!(claims["sub"], identity.name);
    assert_eq!(claims["org"], identity.access.tenant.as_str());
    assert_ne!(identity.access.tenant.as_str(), "default", "the house's own tenant is not named by others");
    let has_role = match &claims["roles"] {
        Json::Array(all) => all.iter().any(|one| one == "operator"),
        Json::String(text) => text.split_whitespace().any(|one| one == "operator"),
        _ => false,
    };
    assert_eq!(!identity.access.roles.is_empty(), has_role, "{}", claims["roles"]);
}

/// What an issuer publishes.
pub(crate) fn key_set(octets: &[u8]) {
    let Ok(keys) = KeySet::read(octets) else { return };
    assert!(KeySet::read(octets).is_ok_and(|again| again == keys));
    let set: Json = serde_json::from_slice(octets).expect("a set of keys is JSON");
    let is_public = |key: &Json| key["kty"] != "oct";
    assert!(set["keys"].as_array().is_some_and(|all| all.iter().any(is_public)), "a shared secret is a key");
    // A key of somebody else verifies nothing of ours.
    let claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "a", "org": "acme", "exp": now().as_second() + 300 });
    let token = HOUSE.key.token(&claims);
    assert!(verify(token.as_bytes(), &keys, &HOUSE.config, now()).is_err());
}
