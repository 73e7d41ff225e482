//! Lists and their pages, native and of dialects.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::rig::Rig;

/// The path in a `Link` field.
fn target(link: &str) -> String {
    let url = link.split(['<', '>']).nth(1).unwrap();
    url.strip_prefix("https://fanfold.example").unwrap_or(url).to_owned()
}

async fn accepted(rig: &Rig, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(rig.accept("POST", "/v1/slices/7/cps", &json!({ "n": n })).await);
    }
    ids.sort_unstable_by(|one, other| other.cmp(one));
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn msf_lists_are_whole_or_in_pages() {
    let rig = Rig::start().await;
    assert_eq!(rig.http.get("/v1/operations").await.json(), json!({ "operation_ids": [] }));
    assert_eq!(rig.http.get("/v1/operations?format=detail-list").await.json(), json!({ "operations": [] }));
    rig.accept("POST", "/things", &json!({})).await;
    let ids = accepted(&rig, 5).await;
    let whole = rig.http.get("/v1/operations").await;
    assert_eq!(whole.header("transfer-encoding"), Some("chunked"));
    assert_eq!(whole.json(), json!({ "operation_ids": ids }));
    let mut next = Some("/v1/operations?limit=2".to_owned());
    let mut pages = Vec::new();
    while let Some(path) = next.take() {
        let page = rig.http.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.text());
        pages.push(page.json()["operation_ids"].clone());
        next = page.header("link").map(target);
    }
    assert_eq!(pages, [json!(ids[..2]), json!(ids[2..4]), json!(ids[4..])]);
    let exact = rig.http.get("/v1/operations?limit=5").await;
    assert_eq!((exact.json(), exact.header("link")), (json!({ "operation_ids": ids }), None));
    let details = rig.http.get("/v1/operations?format=detail-list&limit=1").await.json();
    assert_eq!(details["operations"][0]["operation_id"], ids[0].as_str());
    assert_eq!(details["operations"][0]["request"].get("body"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_streamed_to_its_end() {
    let rig = Rig::start().await;
    let ids = accepted(&rig, 205).await;
    let whole = rig.http.get("/v1/operations").await.json();
    assert_eq!(whole, json!({ "operation_ids": ids }));
    let details = rig.http.get("/v1/operations?format=detail-list").await.json();
    let listed: Vec<_> = details["operations"].as_array().unwrap().iter().map(|one| &one["operation_id"]).collect();
    assert_eq!(json!(listed), json!(ids));
    let page = rig.http.get("/api/v1/operations?limit=150").await.json();
    assert_eq!(page["operations"].as_array().map(Vec::len), Some(150));
    assert_eq!(page["operations"][149]["id"], ids[149].as_str());
    let head = rig.http.request("HEAD", "/v1/operations", b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn native_pages_lead_from_one_to_the_next() {
    let rig = Rig::start().await;
    let ids = accepted(&rig, 5).await;
    let mut path = "/api/v1/operations?limit=2&dialect=msf&text=SLICES".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = rig.http.get(&path).await;
        let body = page.json();
        seen.extend(body["operations"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        match page.header("link") {
            None => {
                assert_eq!(body["next_page_token"], Value::Null);
                break;
            }
            Some(link) => {
                let token = body["next_page_token"].as_str().unwrap();
                path = target(link);
                assert!(link.contains("rel=\"next\"") && path.contains("text=SLICES"), "{link}");
                let by_token = format!("/api/v1/operations?limit=2&page_token={token}&dialect=msf&text=SLICES");
                assert_eq!(rig.http.get(&by_token).await.json(), rig.http.get(&path).await.json());
            }
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_the_list() {
    let rig = Rig::start().await;
    let create = rig.accept("POST", "/things", &json!({})).await;
    let update = rig.accept("PUT", "/things/7", &json!({})).await;
    let msf = accepted(&rig, 1).await.remove(0);
    for id in [&create, &update, &msf] {
        rig.ended(id).await;
    }
    for (query, expected) in [
        ("", vec![&create, &update, &msf]),
        ("?dialect=native", vec![&create, &update]),
        ("?dialect=msf&mount=%2Fv1", vec![&msf]),
        ("?route=thing", vec![&update]),
        ("?verb=update", vec![&update]),
        ("?resource=%2Fthings%2F7", vec![&update]),
        ("?target=osaka", vec![&create]),
        ("?status=completed&status=failed", vec![&create, &update, &msf]),
        ("?status=executing", vec![]),
        ("?attention=true", vec![]),
        ("?until=2020-01-01T00:00:00Z", vec![]),
        ("?since=2020-01-01T00:00:00Z", vec![&create, &update, &msf]),
        ("?text=CPS", vec![&msf]),
    ] {
        let list = rig.http.get(&format!("/api/v1/operations{query}")).await.json();
        let listed = list["operations"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
        let expected: BTreeSet<&str> = expected.into_iter().map(String::as_str).collect();
        assert_eq!(listed.collect::<BTreeSet<_>>(), expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_misspells_is_told() {
    let rig = Rig::start().await;
    for (path, words) in [
        ("/api/v1/operations?stats=failed", "known are: attention, dialect"),
        ("/api/v1/operations?status=done", "unexecuted, executing, completed, failed, canceled"),
        ("/api/v1/operations?limit=1001", "1 to 1000"),
        ("/api/v1/operations?page_token=zzz", "page_token"),
        ("/api/v1/operations?since=yesterday", "RFC 3339"),
        ("/api/v1/operations?route=a&route=b", "more than once"),
        ("/api/v1/targets?x=1", "known are: none"),
        ("/api/v1/attention?state=x", "open, closed, all"),
        ("/api/v1/notices?state=x", "pending, delivered, dead"),
        ("/api/v1/notices?operation=x", "the id of an operation"),
    ] {
        let answer = rig.http.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.json()["detail"].as_str().unwrap().contains(words), "{path}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_complete_over_its_pages() {
    let rig = Rig::start().await;
    let id = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&id).await;
    let path = format!("/api/v1/operations/{id}/history");
    let whole = rig.http.get(&path).await.json();
    let whole = whole["history"].as_array().unwrap();
    let sequence: Vec<_> = whole.iter().map(|entry| entry["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (1..=whole.len() as u64).collect::<Vec<_>>());
    assert!(whole.iter().any(|entry| entry["event"] == "attempt_started" && entry["target"] == "osaka"));
    let mut pieces = Vec::new();
    let mut next = Some(format!("{path}?limit=2"));
    while let Some(path) = next.take() {
        let page = rig.http.get(&path).await;
        pieces.extend(page.json()["history"].as_array().unwrap().clone());
        next = page.header("link").map(target);
    }
    assert_eq!(&pieces, whole);
    // However far a token is made up to lead, there is nothing behind the end.
    for number in [u64::MAX, i64::MAX as u64 + 1, i64::MAX as u64] {
        let beyond = rig.http.get(&format!("{path}?page_token=e.{number}")).await;
        assert_eq!((beyond.status, &beyond.json()["history"]), (200, &json!([])), "{number}");
    }
    let foreign = rig.http.get(&format!("{path}?page_token=e.5.18446744073709551615")).await;
    assert_eq!((foreign.status, &foreign.json()["code"]), (400, &json!("bad_value")));
}
