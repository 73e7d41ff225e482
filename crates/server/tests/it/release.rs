//! Releasing what came from a backup: what is refused. What is released is shown by the whole program.

use serde_json::json;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_come_from_a_backup_is_not_released() {
    let rig = Rig::start().await;
    let id = rig.accept("PUT", "/things/1", &json!({})).await;
    rig.ended(&id).await;
    let refused = rig.http.post(&format!("/api/v1/operations/{id}/release"), &json!({})).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("not_possible")), "{}", refused.text());
    let nothing = rig.http.request("POST", "/api/v1/operations/release", b"").await;
    let expected = json!({ "found": 0, "released": 0, "refused": [], "next_page_token": null });
    assert_eq!((nothing.status, nothing.json()), (200, expected));
    let other = "/api/v1/operations/01a20105-0000-7000-8000-000000000001/release";
    let long = "x".repeat(1_001);
    for (path, body, status) in [
        ("/api/v1/operations/release", json!({ "dry": true }), 400),
        ("/api/v1/operations/release", json!({ "remark": long }), 400),
        ("/api/v1/operations/release?limit=3", json!({}), 400),
        ("/api/v1/operations/release?status=done", json!({}), 400),
        ("/api/v1/operations/release?page_token=n.1", json!({}), 400),
        (other, json!({}), 404),
        (other, json!({ "dry_run": true }), 400),
    ] {
        let answer = rig.http.post(path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    }
    for path in ["/api/v1/operations/release", other] {
        let refused = rig.http.get(path).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")), "{path}");
    }
}
