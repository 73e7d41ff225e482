//! Two tenants beside each other: to each the other one does not exist.

use fanfold_core::access::Secret;
use fanfold_core::{Access, Role};
use fanfold_server::FixedToken;
use fanfold_testkit::Http;
use serde_json::{Value, json};

use crate::events::Stream;
use crate::rig::Rig;

/// A tenant, as one of its people.
struct Tenant {
    http: Http,
    /// The field that shows who asks.
    field: String,
}

/// Two of them, neither of which is the house's own.
fn two(rig: &Rig) -> [Tenant; 2] {
    let secrets = [1, 2].map(|number| Secret::from_random([number; 32]));
    let tokens = ["acme", "beta"].into_iter().zip(&secrets).map(|(tenant, secret)| {
        let access = Access { tenant: tenant.into(), roles: [Role::Admin].into(), ..Access::full() };
        FixedToken { name: tenant.to_owned(), digest: secret.digest(), access, expires_at: None }
    });
    rig.ask_for(tokens.collect());
    secrets.map(|secret| Tenant {
        http: rig.showing(secret.expose()),
        field: format!("authorization: Bearer {}\r\n", secret.expose()),
    })
}

impl Tenant {
    async fn accept(&self, path: &str) -> String {
        let answer = self.http.post(path, &json!({})).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// What a list has.
    async fn ids(&self, path: &str, list: &str) -> Vec<String> {
        let page = self.http.get(path).await.json();
        let entries = page[list].as_array().unwrap_or_else(|| panic!("{path}: {page}"));
        let id = |entry: &Value| entry["id"].as_str().or(entry.as_str()).unwrap().to_owned();
        entries.iter().map(id).collect()
    }

    async fn counted(&self) -> Value {
        self.http.get("/api/v1/status").await.json()["operations"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_searches_have_what_is_the_tenants_own() {
    let rig = Rig::start().await;
    let [acme, beta] = two(&rig);
    let id = acme.accept("/things").await;
    for filter in ["", "?route=things", "?resource=%2Fthings", "?text=things", &format!("?text={id}"), "?target=tokyo"]
    {
        let path = format!("/api/v1/operations{filter}");
        assert_eq!(acme.ids(&path, "operations").await, [id.as_str()], "{path}");
        assert!(beta.ids(&path, "operations").await.is_empty(), "{path}");
    }
    let of_msf = acme.http.post("/v1/slices/s/cps", &json!({})).await.json()["operation_id"].clone();
    assert_eq!(acme.ids("/v1/operations", "operation_ids").await, [of_msf.as_str().unwrap()]);
    assert!(beta.ids("/v1/operations", "operation_ids").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_the_tenants_own() {
    let rig = Rig::start().await;
    let [acme, beta] = two(&rig);
    rig.engine.hold(&"tokyo".into(), "me".to_owned(), String::new()).await.unwrap();
    let none = beta.counted().await;
    acme.accept("/locked/x").await;
    assert_eq!(beta.counted().await, none);
    assert_ne!(acme.counted().await, none);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_tell_of_what_is_the_tenants_own() {
    let rig = Rig::start().await;
    let [acme, beta] = two(&rig);
    let mut stream = Stream::open(&beta.http, "/api/v1/events", &beta.field).await;
    // It is recorded, and so told of, before that of the other one.
    acme.accept("/things").await;
    let own = beta.accept("/things").await;
    assert_eq!(stream.event().await.data["operation"], own.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_the_tenants_own() {
    let rig = Rig::start().await;
    let [acme, beta] = two(&rig);
    let with_key = |tenant: &Tenant| tenant.http.clone().with("idempotency-key", "the same");
    let mut ids = Vec::new();
    for tenant in [&acme, &beta, &acme, &beta] {
        let answer = with_key(tenant).post("/things", &json!({})).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        ids.push(answer.json()["id"].clone());
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[..2], ids[2..]);
    // What it was used for by another tenant refuses nothing.
    assert_eq!(with_key(&acme).post("/things", &json!({ "other": 1 })).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_the_tenants_own() {
    let rig = Rig::start().await;
    let [acme, beta] = two(&rig);
    rig.engine.hold(&"tokyo".into(), "me".to_owned(), String::new()).await.unwrap();
    let id = acme.accept("/locked/x").await;
    beta.accept("/locked/x").await;
    let refused = acme.http.post("/locked/x", &json!({})).await;
    assert_eq!((refused.status, refused.text().contains(&id)), (409, true), "{}", refused.text());
    let refused = beta.http.post("/locked/x", &json!({})).await;
    assert_eq!((refused.status, refused.text().contains(&id)), (409, false), "{}", refused.text());
}
