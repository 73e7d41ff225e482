use std::time::Duration;

use fanfold_core::access::Role;

use super::*;
use crate::identity::config::Password;
use crate::identity::grant::{Grant, Grants};

/// An answer as the API describes it, the catalogue left out.
pub(in crate::identity::keystone) const SAMPLE: &str = r#"{ "token": {
    "is_domain": false,
    "methods": ["password"],
    "roles": [{ "id": "df8b7e3b", "name": "member" }, { "id": "51cc6828", "name": "reader" }],
    "expires_at": "2026-11-07T02:58:43.578887Z",
    "issued_at": "2026-11-07T01:58:43.578929Z",
    "project": { "domain": { "id": "default", "name": "Default" }, "id": "a6944d763bf64ee6a275f1263fae0352", "name": "lab" },
    "user": { "password_expires_at": null, "domain": { "id": "e01d", "name": "Staff" }, "id": "ee4d", "name": "alice" },
    "audit_ids": ["3T2dc1CGQxyJsHdDu1xkcw"]
} }"#;

fn described(change: impl FnOnce(&mut Json)) -> Described {
    let mut json: Json = serde_json::from_str(SAMPLE).unwrap();
    change(&mut json["token"]);
    read(json.to_string().as_bytes()).unwrap()
}

fn config(tenant: KeystoneTenant) -> KeystoneConfig {
    let grants = [("member", Role::Submit), ("admin", Role::Admin)];
    let grant = |(name, role): (&str, Role)| (name.to_owned(), Grant { roles: [role].into(), ..Grant::default() });
    KeystoneConfig {
        address: "https://keystone.example/identity".parse().unwrap(),
        credentials: Credentials::Application { id: "id".to_owned(), secret: Password::new("s3cret".to_owned()) },
        authorities: Vec::new(),
        cache: Duration::from_secs(60),
        tenant,
        grants: Grants(grants.into_iter().map(grant).collect()),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NOW: &str = "2026-11-07T02:00:00Z";

fn tenant_of(described: &Described, rule: KeystoneTenant) -> Result<String, Reason> {
    let identity = identity(described, &config(rule), at(NOW))?;
    Ok(identity.access.tenant.as_str().to_owned())
}

#[test]
fn a_description_says_who_shows_the_token() {
    let identity = identity(&described(|_| {}), &config(KeystoneTenant::ProjectId(TenantNames::default())), at(NOW));
    let identity = identity.unwrap();
    assert_eq!((identity.name.as_str(), identity.issuer.as_str()), ("alice@Staff", "keystone"));
    assert_eq!(identity.access.tenant, "a6944d763bf64ee6a275f1263fae0352".into());
    assert_eq!(identity.access.roles, [Role::Submit].into(), "what is not mapped is worth nothing");
    assert_eq!(identity.expires_at, Some(at("2026-11-07T02:58:43.578887Z")));
}

#[test]
fn the_tenant_is_what_is_configured() {
    let plain = TenantNames::default;
    let sample = described(|_| {});
    assert_eq!(tenant_of(&sample, KeystoneTenant::ProjectName(plain())).unwrap(), "lab@Default");
    assert_eq!(tenant_of(&sample, KeystoneTenant::Fixed("acme".into())).unwrap(), "acme");
    // The first domain of every Keystone is called as the house is here.
    for rule in [KeystoneTenant::DomainId(plain()), KeystoneTenant::DomainName(plain())] {
        assert!(matches!(tenant_of(&sample, rule), Err(Reason::Tenant(..))));
    }
    let named = TenantNames([("default".to_owned(), "lab".into())].into());
    assert_eq!(tenant_of(&sample, KeystoneTenant::DomainId(named)).unwrap(), "lab");
    let of_domain = described(|token| {
        token.as_object_mut().unwrap().remove("project");
        token["domain"] = json!({ "id": "e01d", "name": "Staff" });
    });
    assert_eq!(tenant_of(&of_domain, KeystoneTenant::DomainName(plain())).unwrap(), "Staff");
    assert!(matches!(tenant_of(&of_domain, KeystoneTenant::ProjectId(plain())), Err(Reason::Claim { .. })));
}

#[test]
fn a_token_of_no_project_is_of_no_tenant() {
    for scope in [json!(null), json!({ "all": true })] {
        let unscoped = described(|token| {
            token.as_object_mut().unwrap().remove("project");
            token["system"] = scope;
        });
        for rule in [KeystoneTenant::ProjectId, KeystoneTenant::ProjectName, KeystoneTenant::DomainId] {
            let refused = tenant_of(&unscoped, rule(TenantNames::default())).unwrap_err();
            assert!(matches!(refused, Reason::Claim { .. }), "{refused}");
        }
    }
}

#[test]
fn names_of_projects_of_two_domains_stay_apart() {
    let of = |domain: &str, project: &str| {
        let described = described(|token| {
            token["project"]["domain"]["name"] = domain.into();
            token["project"]["name"] = project.into();
        });
        tenant_of(&described, KeystoneTenant::ProjectName(TenantNames::default()))
    };
    assert_eq!(of("c", "a@b").unwrap(), "a@b@c");
    assert!(of("b@c", "a").is_err());
}

#[test]
fn what_is_restricted_or_over_is_refused() {
    let refused = |described: &Described, now: &str| {
        identity(described, &config(KeystoneTenant::Fixed("acme".into())), at(now)).unwrap_err()
    };
    let sample = described(|_| {});
    assert!(matches!(refused(&sample, "2026-11-07T02:58:43.578887Z"), Reason::Expired(_)));
    let rules = described(|token| {
        token["application_credential"] = json!({ "id": "x", "name": "y", "restricted": true, "access_rules": [] });
    });
    assert!(matches!(refused(&rules, NOW), Reason::Restricted(_)));
    let bound = described(|token| token["bind"] = json!({ "kerberos": "alice" }));
    assert!(matches!(refused(&bound, NOW), Reason::Restricted(_)));
    let plain = described(|token| {
        token["application_credential"] = json!({ "id": "x", "name": "y", "restricted": true });
        token["bind"] = json!({});
    });
    assert!(identity(&plain, &config(KeystoneTenant::Fixed("acme".into())), at(NOW)).is_ok());
    let nameless = described(|token| token["user"]["name"] = "a\nb".into());
    assert!(matches!(refused(&nameless, NOW), Reason::Claim { .. }));
}

#[test]
fn an_answer_that_is_no_description_is_told_without_what_stands_in_it() {
    for body in ["", "{}", "[]", "{\"token\": \"s3cret\"}", "{\"token\": {\"expires_at\": \"s3cret\"}}", "<html>s3cret"]
    {
        let why = read(body.as_bytes()).unwrap_err();
        assert!(why.starts_with("at line") && !why.contains("s3cret"), "{why}");
    }
}

#[test]
fn a_token_of_our_own_is_asked_for_as_the_api_wants_it() {
    let owned = |name: &str| Owned { name: name.to_owned(), domain: "Default".to_owned() };
    let password = Password::new("s3cret".to_owned());
    assert!(!format!("{password:?}").contains("s3cret"));
    let credentials = Credentials::Password { user: owned("fanfold"), password, project: owned("service") };
    let expected = json!({ "auth": {
        "identity": {
            "methods": ["password"],
            "password": { "user": { "name": "fanfold", "domain": { "name": "Default" }, "password": "s3cret" } }
        },
        "scope": { "project": { "name": "service", "domain": { "name": "Default" } } }
    } });
    assert_eq!(request(&credentials), expected);
    let credentials = Credentials::Application { id: "1f".to_owned(), secret: Password::new("s3cret".to_owned()) };
    let expected = json!({ "auth": { "identity": {
        "methods": ["application_credential"],
        "application_credential": { "id": "1f", "secret": "s3cret" }
    } } });
    assert_eq!(request(&credentials), expected);
}
