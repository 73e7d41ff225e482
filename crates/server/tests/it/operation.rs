//! One operation in the native API: its detail, waiting for news of it, canceling it.

use fanfold_engine::Clock as _;
use fanfold_testkit::{Answer, Latch, Reply};
use serde_json::json;

use crate::rig::Rig;

/// A running operation whose only target answers once the latch is opened.
async fn running(rig: &Rig) -> (String, Latch) {
    let latch = Latch::new();
    rig.tokyo.on("PUT", "/things/7", Reply::from(Answer::json(200, &json!({ "id": "7" }))).after(&latch));
    let id = rig.accept("PUT", "/things/7", &json!({})).await;
    rig.tokyo.wait_for(1).await;
    (id, latch)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_detail_is_not_sent_again() {
    let rig = Rig::start().await;
    let (id, latch) = running(&rig).await;
    let path = format!("/api/v1/operations/{id}");
    let detail = rig.detail(&id).await;
    assert_eq!((detail.status, &detail.json()["status"]), (200, &json!("executing")));
    let tag = detail.header("etag").unwrap().to_owned();
    let seconds: u64 = detail.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    let known = rig.http.clone().with("if-none-match", &tag);
    let same = known.get(&path).await;
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, Some(tag.as_str())));
    assert_eq!(same.header("cache-control"), detail.header("cache-control"));
    latch.open();
    let news = known.get(&format!("{path}?wait=30s")).await;
    assert_eq!(news.status, 200);
    assert_ne!(news.header("etag"), Some(tag.as_str()));
    let ended = rig.ended(&id).await;
    assert_eq!((&ended["status"], &ended["waiting_for"]), (&json!("completed"), &json!([])));
    let detail = rig.detail(&id).await;
    assert_eq!(detail.header("retry-after"), None);
    // Nothing is waited for that never changes again.
    let tag = detail.header("etag").unwrap().to_owned();
    let same = rig.http.clone().with("if-none-match", &tag).get(&format!("{path}?wait=5m")).await;
    assert_eq!(same.status, 304);
    let head = rig.http.request("HEAD", &path, b"").await;
    assert_eq!((head.status, head.header("etag"), head.body.len()), (200, Some(tag.as_str()), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_operation_says_when_to_ask_again() {
    let rig = Rig::start().await;
    let scheduled = rig.http.clone().with("fanfold-start-at", "2020-01-01T00:00:00Z");
    let past = scheduled.put("/things/7", &json!({})).await.json();
    assert_eq!(rig.ended(past["id"].as_str().unwrap()).await["status"], "completed");
    let at = jiff::Timestamp::from_second(4_000_000_000).unwrap();
    let soon = rig.clock.now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
    let refused = rig.http.clone().with("fanfold-start-at", &at.to_string()).put("/things/7", &json!({})).await;
    assert_eq!(refused.json()["code"], "out_of_range");
    let accepted = rig.http.clone().with("fanfold-start-at", &soon.to_string()).put("/things/7", &json!({})).await;
    let detail = rig.detail(accepted.json()["id"].as_str().unwrap()).await;
    assert_eq!(detail.header("retry-after"), Some("300"));
    assert_eq!(detail.json()["waiting_for"][0]["for"], "start_time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_in_time_with_what_there_is() {
    let rig = Rig::start().await;
    let (id, latch) = running(&rig).await;
    let path = format!("/api/v1/operations/{id}?wait=50ms");
    let answer = rig.http.get(&path).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("executing")));
    let tag = rig.detail(&id).await.header("etag").unwrap().to_owned();
    assert_eq!(rig.http.clone().with("if-none-match", &tag).get(&path).await.status, 304);
    let stale = rig.http.clone().with("if-none-match", "\"0\"").get(&format!("/api/v1/operations/{id}?wait=5m")).await;
    assert_eq!(stale.status, 200);
    for (wait, code) in [("x", "bad_value"), ("1h", "bad_value"), ("301s", "out_of_range"), ("6m", "out_of_range")] {
        let answer = rig.http.get(&format!("/api/v1/operations/{id}?wait={wait}")).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(code)), "{wait}");
    }
    latch.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_canceled() {
    let rig = Rig::start().await;
    let latch = Latch::new();
    rig.osaka.on("POST", "/things", Reply::from(Answer::json(201, &json!({ "id": "o" }))).after(&latch));
    let id = rig.accept("POST", "/things", &json!({})).await;
    rig.osaka.wait_for(1).await;
    let path = format!("/api/v1/operations/{id}/cancel");
    let canceling = rig.http.request("POST", &path, b"").await;
    assert_eq!(canceling.status, 202, "{}", canceling.text());
    assert_eq!(canceling.json()["cause"], json!({ "kind": "canceled", "by": "local" }));
    // Asking again changes nothing.
    assert_eq!(rig.http.post(&path, &json!({})).await.status, 202);
    latch.open();
    let ended = rig.ended(&id).await;
    assert_eq!((&ended["status"], &ended["consistency"]), (&json!("canceled"), &json!("rolled back")));
    let late = rig.http.post(&path, &json!({})).await;
    assert_eq!((late.status, &late.json()["code"]), (409, &json!("not_possible")));
    assert_eq!(rig.detail(&id).await.json()["status"], "canceled");
    let odd = rig.http.post(&path, &json!({ "force": true })).await;
    assert_eq!((odd.status, &odd.json()["code"]), (400, &json!("unparsable")));
    assert_eq!(rig.http.request("POST", &path, b"{").await.json()["code"], "unparsable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_operation_tells_its_place() {
    let rig = Rig::start().await;
    let latch = Latch::new();
    rig.tokyo.on("POST", "*", Reply::from(Answer::json(200, &json!({ "id": "q" }))).after(&latch));
    let first = rig.accept("POST", "/queue/7", &json!({})).await;
    let second = rig.accept("POST", "/queue/7", &json!({})).await;
    let third = rig.accept("POST", "/queue/7", &json!({})).await;
    for (id, position) in [(&second, 1), (&third, 2)] {
        let detail = rig.detail(id).await.json();
        assert_eq!(
            detail["waiting_for"],
            json!([{ "for": "lock", "key": "thing/7", "position": position, "holder": first }])
        );
    }
    let place = rig.http.clone().with("if-none-match", rig.detail(&third).await.header("etag").unwrap());
    let path = format!("/api/v1/operations/{third}");
    assert_eq!(place.get(&path).await.status, 304);
    // A queued operation is canceled at once.
    let canceled = rig.http.post(&format!("/api/v1/operations/{second}/cancel"), &json!({})).await;
    assert!(matches!(canceled.status, 200 | 202), "{}", canceled.text());
    assert_eq!(rig.ended(&second).await["status"], "canceled");
    // Its place is not recorded with the third one, and news all the same, also to whoever would wait.
    for path in [path.clone(), format!("{path}?wait=5m")] {
        let news = place.get(&path).await;
        assert_eq!(news.status, 200, "{path}");
        assert_eq!(news.json()["waiting_for"][0]["position"], 1);
    }
    latch.open();
    assert_eq!(rig.ended(&first).await["status"], "completed");
    assert_eq!(rig.ended(&third).await["status"], "completed");
}
