//! What is listed for whoever sees only a part of their tenant's.

use std::collections::BTreeSet;

use fanfold_core::access::Secret;
use fanfold_core::{Access, Role, Scope};
use fanfold_engine::RouteCallback;
use fanfold_server::FixedToken;
use fanfold_testkit::{Answer, FakeTarget, Http};
use serde_json::{Value, json};

use crate::rig::{Rig, front, routes};

fn token(number: u8, scope: Scope) -> (FixedToken, Secret) {
    let secret = Secret::from_random([number; 32]);
    let access = Access { roles: [Role::Read].into(), scope, ..Access::full() };
    (FixedToken { name: format!("t{number}"), digest: secret.digest(), access, expires_at: None }, secret)
}

/// The operations that a list of the native API is about.
async fn listed(http: &Http, path: &str, list: &str, key: &str) -> BTreeSet<String> {
    let page = http.get(path).await.json();
    let entries = page[list].as_array().unwrap_or_else(|| panic!("{path}: {page}"));
    entries.iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect()
}

fn set(ids: &[&String]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_what_the_caller_sees() {
    let rig = Rig::start().await;
    let receiver = FakeTarget::start().await;
    receiver.on("POST", "/*", Answer::empty(204));
    let callback = RouteCallback { url: receiver.url().parse().unwrap(), secrets: Vec::new() };
    let callbacks = ["things", "cps"].map(|route| (route.to_owned(), callback.clone()));
    rig.server.replace_front(front(routes()).with_callbacks(callbacks.into()));
    // At both targets; its undo fails, so there is a note.
    rig.tokyo.on("POST", "/things", Answer::json(201, &json!({ "id": "t" })));
    rig.osaka.on("POST", "/things", Answer::json(409, &json!({})));
    rig.tokyo.on("DELETE", "/things/*", Answer::empty(409));
    let both = rig.accept("POST", "/things", &json!({})).await;
    let alone = rig.accept("POST", "/v1/slices/s/cps", &json!({})).await;
    for id in [&both, &alone] {
        rig.ended(id).await;
    }
    let at_tokyo = Scope { targets: Some(["tokyo".into()].into()), routes: None };
    let of_things = Scope { routes: Some(["things".to_owned()].into()), targets: None };
    let nothing = Scope { routes: Some(BTreeSet::new()), targets: None };
    let callers = [
        (token(1, Scope::default()), set(&[&both, &alone])),
        (token(2, at_tokyo), set(&[&alone])),
        (token(3, of_things), set(&[&both])),
        (token(4, nothing), set(&[])),
    ];
    rig.ask_for(callers.iter().map(|((token, _), _)| token.clone()).collect());
    for ((token, secret), seen) in callers {
        let http = rig.showing(secret.expose());
        let of = async |path: &str, list: &str, key: &str| listed(&http, path, list, key).await;
        assert_eq!(of("/api/v1/operations", "operations", "id").await, seen, "{token:?}");
        let noted: BTreeSet<String> = seen.iter().filter(|id| **id == both).cloned().collect();
        assert_eq!(of("/api/v1/attention?state=all", "attention", "operation").await, noted, "{token:?}");
        assert_eq!(of("/api/v1/notices", "notices", "operation").await, seen, "{token:?}");
        let of_msf: Value = http.get("/v1/operations").await.json();
        let has_alone = of_msf["operation_ids"].as_array().unwrap().contains(&Value::from(alone.clone()));
        assert_eq!(has_alone, seen.contains(&alone), "{token:?}");
        for path in ["/ui", "/ui/operations", "/ui/attention", "/ui/notices"] {
            let page = http.get(path).await;
            assert_eq!(page.status, 200, "{path}");
            for id in [&both, &alone] {
                assert!(seen.contains(id) || !page.text().contains(id.as_str()), "{path} shows {id} to {token:?}");
            }
        }
        let page = http.get("/ui/operations").await.text();
        assert!(seen.iter().all(|id| page.contains(id.as_str())), "{token:?}");
    }
}
