//! `[[auth.issuers]]` and `[auth.keystone]`.

use fanfold_core::access::Role;
use fanfold_core::{Scope, TenantId};
use fanfold_engine::identity::{
    Algorithm, Config, Credentials, Grant, IssuerTenant, KeysFrom, KeystoneTenant, Owned, TenantNames,
};

use super::*;

/// An octet key pair that RFC 8037 shows.
const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

const ISSUER: &str = "[[auth.issuers]]\nissuer = \"https://login.example/realms/x\"\naudience = \"fanfold\"\n";

const ROLES: &str = "roles = { theirs = [\"read\"] }\n";

const KEYSTONE: &str = "[auth.keystone]\nurl = \"https://keystone.example:5000\"\n";

const USER: &str = "username = \"fanfold\"\npassword = \"${env:TOKYO_TOKEN}\"\nproject = \"service\"\n";

/// What stands behind [`BASE`].
fn load(text: &str, folder: &Path) -> Result<(Config, Vec<String>), Vec<String>> {
    let around = Surroundings { folder: folder.to_owned(), variable: &variable, now: NOW.parse().unwrap() };
    match load_text("f.toml", format!("{BASE}{text}{ROUTE}"), &around) {
        Ok((settings, warnings)) => {
            Ok((settings.auth.unwrap().issuers, warnings.iter().map(ToString::to_string).collect()))
        }
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

#[track_caller]
fn accepted(text: &str) -> Config {
    let (config, warnings) = load(text, Path::new("etc")).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    assert_eq!(warnings, Vec::<String>::new());
    config
}

#[track_caller]
fn refused(text: &str) -> String {
    let mistakes = load(text, Path::new("etc")).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    mistakes.into_iter().next().unwrap()
}

#[test]
fn an_issuer_has_the_documented_defaults() {
    let config = accepted(&format!("{ISSUER}tenant_claim = \"org\"\n{ROLES}"));
    assert!(config.keystone.is_none());
    let issuer = &config.issuers[0];
    assert_eq!((issuer.name.as_str(), issuer.issuer.as_str()), ("login.example", "https://login.example/realms/x"));
    assert_eq!((issuer.name_claim.as_str(), issuer.roles_claim.as_str()), ("sub", "roles"));
    assert_eq!(issuer.keys, KeysFrom::Discovery("https://login.example/realms/x".parse().unwrap()));
    assert_eq!(issuer.algorithms, Algorithm::ALL);
    assert!(matches!(&issuer.tenant, IssuerTenant::Claim(path, names) if path.as_str() == "org" && names.0.is_empty()));
    let grant = Grant { roles: [Role::Read].into(), scope: Scope::default() };
    assert_eq!(issuer.grants.0, [("theirs".to_owned(), grant)].into());
}

#[test]
fn everything_of_an_issuer_can_be_said() {
    let text = format!(
        "{ISSUER}name = \"corp\"\njwks_url = \"https://keys.example/x?y=1\"\nalgorithms = [\"RS256\", \"EdDSA\"]\n\
         name_claim = \"email\"\ntenant_claim = \"a.b\"\ntenants = {{ \"8f2c\" = \"acme\", ops = \"default\" }}\n\
         roles_claim = \"realm_access.roles\"\n\
         roles = {{ a = [\"submit\", \"read\"], b = {{ roles = [\"operate\"], targets = [\"tokyo\"], routes = [\"get-last\"] }} }}\n"
    );
    let config = accepted(&text);
    let issuer = &config.issuers[0];
    assert_eq!((issuer.name.as_str(), issuer.name_claim.as_str()), ("corp", "email"));
    assert_eq!(issuer.keys, KeysFrom::Address("https://keys.example/x?y=1".parse().unwrap()));
    assert_eq!(issuer.algorithms, [Algorithm::Rs256, Algorithm::EdDsa]);
    let names = TenantNames([("8f2c".to_owned(), "acme".into()), ("ops".to_owned(), TenantId::default())].into());
    assert!(matches!(&issuer.tenant, IssuerTenant::Claim(path, said) if path.as_str() == "a.b" && *said == names));
    let narrow = &issuer.grants.0["b"];
    assert_eq!(narrow.roles, [Role::Operate].into());
    assert_eq!(narrow.scope.routes, Some(["get-last".to_owned()].into()));
    assert_eq!(narrow.scope.targets, Some([TargetName::from("tokyo")].into()));
}

#[test]
fn keys_may_stand_in_a_file_for_an_issuer_that_nobody_can_reach() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys.json"), KEYS).unwrap();
    std::fs::write(folder.path().join("none.json"), "{\"keys\": []}").unwrap();
    let text = |file: &str| {
        let more = format!("tenant = \"default\"\njwks_file = \"{file}\"\n{ROLES}");
        format!("[[auth.issuers]]\nissuer = \"kubernetes/serviceaccount\"\naudience = \"fanfold\"\n{more}")
    };
    let (config, _) = load(&text("keys.json"), folder.path()).unwrap();
    assert!(matches!(config.issuers[0].keys, KeysFrom::Given(_)));
    assert_eq!(config.issuers[0].name, "kubernetes/serviceaccount");
    for (file, expected) in
        [("none.json", "jwks_file: the key set has no key"), ("missing.json", "jwks_file: cannot read")]
    {
        let mistakes = load(&text(file), folder.path()).unwrap_err();
        assert!(mistakes[0].contains(expected), "{mistakes:?}");
    }
}

#[test]
fn what_is_wrong_with_an_issuer_is_told_with_what_to_do() {
    let with = |more: &str| format!("{ISSUER}{more}{ROLES}");
    let plain = |issuer: &str| {
        format!("[[auth.issuers]]\nissuer = \"{issuer}\"\naudience = \"a\"\ntenant = \"default\"\n{ROLES}")
    };
    let claim = "tenant_claim = \"org\"\n";
    let one = with(claim);
    for (text, expected) in [
        (with(""), "does not say who the tenant is; write tenant_claim"),
        (with("tenant = \"a\"\ntenant_claim = \"b\"\n"), "tenant and tenant_claim both say"),
        (with("tenant = \"a\"\ntenants = { x = \"y\" }\n"), "tenants without effect"),
        (with("tenant = \"a/b\"\n"), "\"a/b\" is not a name"),
        (with(&format!("{claim}tenants = {{ x = \"\\n\" }}\n")), "is not a name"),
        (with(&format!("{claim}jwks_url = \"http://keys.example\"\n")), "jwks_url: the address is not https"),
        (with(&format!("{claim}jwks_url = \"https://a:b@keys.example\"\n")), "jwks_url: the address holds credentials"),
        (
            with(&format!("{claim}jwks_url = \"https://keys.example\"\njwks_file = \"x\"\n")),
            "both say where the keys are",
        ),
        (with(&format!("{claim}algorithms = [\"HS256\"]\n")), "\"HS256\" is not one of \"RS256\""),
        (with(&format!("{claim}algorithms = [\"none\"]\n")), "\"none\" is not one of \"RS256\""),
        (with(&format!("{claim}authorities = \"none.pem\"\n")), "authorities: cannot read"),
        (with(&format!("{claim}name = \"keystone\"\n")), "cannot be called \"keystone\""),
        (plain("http://login.example"), "the keys cannot be found below issuer: the address is not https"),
        (plain("https://login.example/?a=b"), "the keys cannot be found below issuer: the address has a query"),
        (
            plain("accounts.example"),
            "the keys cannot be found below issuer: this is not a web address; say where they are",
        ),
        (format!("{ISSUER}{claim}"), "has no \"roles\""),
        (format!("{ISSUER}{claim}roles = {{}}\n"), "no role is worth anything here"),
        (format!("{ISSUER}{claim}roles = {{ a = [] }}\n"), "a is worth nothing; roles are submit"),
        (format!("{ISSUER}{claim}roles = {{ a = [\"root\"] }}\n"), "\"root\" is not one of \"submit\""),
        (
            format!("{ISSUER}{claim}roles = {{ a = {{ roles = [\"read\"], targets = [\"x\"] }} }}\n"),
            "there is no target \"x\"",
        ),
        (
            format!("{ISSUER}{claim}roles = {{ a = {{ roles = [\"read\"], routes = [\"x\"] }} }}\n"),
            "there is no route \"x\"",
        ),
        (format!("{one}{one}"), "two tables have this issuer and this audience"),
        (
            format!("{one}{}", one.replace("\"fanfold\"", "\"b\"")),
            "two issuers are called \"login.example\"; give each",
        ),
        (with(&format!("{claim}audience_claim = \"x\"\n")), "unknown key \"audience_claim\""),
    ] {
        let found = refused(&text);
        assert!(found.contains(expected), "{text}{found}");
    }
    assert!(
        refused("[[auth.issuers]]\nissuer = \"https://a\"\ntenant = \"b\"\nroles = { a = [\"read\"] }\n")
            .contains("has no \"audience\"")
    );
}

#[test]
fn a_keystone_is_asked_as_a_user_or_with_an_application_credential() {
    let config = accepted(&format!("{KEYSTONE}{USER}{ROLES}"));
    assert!(config.issuers.is_empty());
    let keystone = config.keystone.unwrap();
    let owned = |name: &str, domain: &str| Owned { name: name.to_owned(), domain: domain.to_owned() };
    assert!(matches!(&keystone.credentials, Credentials::Password { user, project, .. }
        if *user == owned("fanfold", "Default") && *project == owned("service", "Default")));
    assert!(!format!("{keystone:?}").contains("s3cret"));
    assert_eq!(keystone.cache, Duration::from_secs(60));
    assert_eq!(keystone.tenant, KeystoneTenant::ProjectId(TenantNames::default()));
    let text = "[auth.keystone]\nurl = \"https://cloud.example/identity/v3/\"\napplication_credential_id = \"1f\"\n\
                application_credential_secret = \"${env:TOKYO_TOKEN}\"\ncache = \"5m\"\ntenant_from = \"domain_name\"\n\
                tenants = { Ops = \"default\" }\n";
    let keystone = accepted(&format!("{text}{ROLES}")).keystone.unwrap();
    assert_eq!(keystone.address, "https://cloud.example/identity".parse().unwrap());
    assert!(matches!(&keystone.credentials, Credentials::Application { id, .. } if id == "1f"));
    assert_eq!(keystone.cache, Duration::from_secs(300));
    let names = TenantNames([("Ops".to_owned(), TenantId::default())].into());
    assert_eq!(keystone.tenant, KeystoneTenant::DomainName(names));
    let domains = "user_domain = \"a\"\nproject_domain = \"b\"\ntenant = \"lab\"\n";
    let keystone = accepted(&format!("{KEYSTONE}{USER}{domains}{ROLES}")).keystone.unwrap();
    assert!(matches!(&keystone.credentials, Credentials::Password { user, project, .. }
        if user.domain == "a" && project.domain == "b"));
    assert_eq!(keystone.tenant, KeystoneTenant::Fixed("lab".into()));
}

#[test]
fn what_is_wrong_with_a_keystone_is_told_and_no_password_shown() {
    let with = |more: &str| format!("{KEYSTONE}{USER}{more}{ROLES}");
    let bare = |more: &str| format!("{KEYSTONE}{more}{ROLES}");
    for (text, expected) in [
        (bare(""), "nothing says who we are to Keystone; write username, password and project"),
        (bare("username = \"a\"\n"), "username without password and project; they go together"),
        (bare("user_domain = \"a\"\n"), "domains without username and password and project"),
        (
            bare("application_credential_id = \"a\"\n"),
            "application_credential_id without application_credential_secret",
        ),
        (with("application_credential_id = \"a\"\n"), "a user and an application credential: one is enough"),
        (with("cache = \"10m\"\n"), "cache: \"10m\" is out of range; 1s to 5m is possible"),
        (with("cache = \"0s\"\n"), "cache: \"0s\" is out of range"),
        (with("tenant = \"a\"\ntenant_from = \"project_id\"\n"), "tenant and tenant_from both say"),
        (with("tenant_from = \"project\"\n"), "\"project\" is not one of \"project_id\""),
        (with("tenant = \"a\"\ntenants = { x = \"y\" }\n"), "tenants without effect"),
        (with("authorities = \"none.pem\"\n"), "authorities: cannot read"),
        (with("").replace("https", "http"), "url: the address is not https"),
        (with("").replace(":5000", ":5000/?a=b"), "the address has a query"),
        (with("").replace("TOKYO_TOKEN", "NONE"), "password: the environment variable \"NONE\" is not set"),
        (format!("{KEYSTONE}{USER}"), "has no \"roles\""),
    ] {
        let found = refused(&text);
        assert!(found.contains(expected), "{text}{found}");
    }
    let (_, warnings) = load(&with("").replace("${env:TOKYO_TOKEN}", "hunter2"), Path::new("etc")).unwrap();
    assert!(warnings[0].contains("a password stands in this file") && !warnings[0].contains("hunter2"), "{warnings:?}");
}
