//! Canceling and retrying all operations that a query chooses.

use fanfold_engine::{BULK_MAX, BulkRequest, Clock as _, Deed};
use fanfold_store::Filter;
use fanfold_testkit::Answer;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::rig::Rig;

async fn post(rig: &Rig, path: &str, body: Value) -> Value {
    let answer = rig.http.post(path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_retried_once_and_its_retries_are_not() {
    let rig = Rig::start().await;
    rig.osaka.on("POST", "/things", Answer::json(409, &json!({})));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = rig.accept("POST", "/things", &json!({})).await;
        rig.ended(&id).await;
        ids.push(id);
    }
    let look = post(&rig, "/api/v1/operations/retry?route=things", json!({ "dry_run": true })).await;
    assert_eq!((&look["done"], &look["refused"], &look["next_page_token"]), (&json!(3), &json!([]), &Value::Null));
    assert_eq!(look["operations"][0], json!({ "operation": ids[0], "effect": "calls tokyo, osaka" }));
    let done = post(&rig, "/api/v1/operations/retry?route=things", json!({})).await;
    assert_eq!(done["done"], 3);
    for entry in done["operations"].as_array().unwrap() {
        let retry = rig.ended(entry["retried_by"].as_str().unwrap()).await;
        assert_eq!((&retry["status"], &retry["retry_of"]), (&json!("failed"), &entry["operation"]));
    }
    // Those that were retried are refused, and their retries, which failed as well, can be retried.
    let again = post(&rig, "/api/v1/operations/retry?route=things", json!({ "dry_run": true })).await;
    assert_eq!((again["done"].as_u64(), again["refused"].as_array().map(Vec::len)), (Some(3), Some(3)));
    assert!(again["refused"][0]["detail"].as_str().unwrap().contains("retry that one"), "{again}");
}

/// Accepts something that starts tomorrow.
pub(crate) async fn scheduled(rig: &Rig, number: usize) {
    let start_at = rig.clock.now() + std::time::Duration::from_secs(86_400);
    let client = rig.http.clone().with("fanfold-start-at", &start_at.to_string());
    let answer = client.put(&format!("/things/{number}"), &json!({})).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_looks_at_a_bounded_number_and_tells_where_to_go_on() {
    let rig = Rig::start().await;
    for number in 0..BULK_MAX + 3 {
        scheduled(&rig, number).await;
    }
    let first = post(&rig, "/api/v1/operations/cancel", json!({ "all": true, "dry_run": true })).await;
    assert_eq!(first["done"], BULK_MAX);
    // What is accepted after the first request is none of its business.
    scheduled(&rig, BULK_MAX + 3).await;
    let (until, token) = (first["until"].as_str().unwrap(), first["next_page_token"].as_str().unwrap());
    let path = format!("/api/v1/operations/cancel?until={until}&page_token={token}");
    for dry_run in [true, false] {
        let rest = post(&rig, &path, json!({ "all": true, "dry_run": dry_run })).await;
        assert_eq!((&rest["done"], &rest["next_page_token"]), (&json!(3), &Value::Null), "{rest}");
    }
    assert_eq!(post(&rig, &path, json!({})).await["done"], 0, "they are canceled, once and for all");
    assert!(rig.tokyo.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_tenant_has_is_left_alone() {
    let rig = Rig::start().await;
    scheduled(&rig, 1).await;
    let of = |tenant: &str| BulkRequest {
        deed: Deed::Cancel,
        filter: Filter { tenant: tenant.into(), ..Filter::default() },
        after: None,
        until: Timestamp::MAX,
        dry_run: true,
        by: "ann".to_owned(),
    };
    let mine = rig.engine.bulk(BulkRequest { filter: Filter::default(), ..of("") }).await.unwrap();
    assert_eq!(mine.done.len(), 1);
    let others = rig.engine.bulk(of("another")).await.unwrap();
    assert!(others.done.is_empty() && others.refused.is_empty(), "{others:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_means_all_by_leaving_something_out() {
    let rig = Rig::start().await;
    let id = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&id).await;
    for path in ["/api/v1/operations/cancel", "/api/v1/operations/retry"] {
        for (query, body) in [
            ("", json!({})),
            ("", json!({ "dry_run": true })),
            ("?route=things", json!({ "all": true })),
            ("?limit=3", json!({ "all": true })),
            ("?nothing=1", json!({})),
            ("?route=things", json!({ "dry_rum": true })),
        ] {
            let answer = rig.http.post(&format!("{path}{query}"), &body).await;
            assert_eq!(answer.status, 400, "{path}{query} {body}");
        }
        let none = post(&rig, path, json!({ "all": true })).await;
        assert_eq!((&none["done"], &none["operations"]), (&json!(0), &json!([])), "it was completed");
        assert_eq!(rig.http.get(path).await.status, 405);
    }
    let ended = post(&rig, "/api/v1/operations/cancel?status=completed", json!({})).await;
    assert_eq!(ended["done"], 0);
}
