//! What one tenant or one token may take, as it is configured.

use fanfold_testkit::{FakeTarget, Home, PATIENCE};
use serde_json::json;

use crate::program::{Server, config, things};

#[tokio::test]
async fn a_tenant_has_no_more_operations_than_it_may_have() {
    let tokyo = FakeTarget::start().await;
    let limits = "[limits]\ntenant_waiting_max = 1\n[tenants.default]\nwaiting_max = 2\n";
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{}{limits}", things(&["tokyo"]))));
    let server = Server::start(&home).await;
    server.http.post("/api/v1/targets/tokyo/hold", &json!({ "reason": "test" })).await;
    let ids = [server.put("/things/1").await, server.put("/things/2").await];
    let refused = server.http.put("/things/3", &json!({})).await;
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{}", refused.text());
    assert!(refused.text().contains("as many operations of this tenant as allowed"), "{}", refused.text());
    server.http.post("/api/v1/targets/tokyo/release", &json!({})).await;
    for id in ids {
        assert_eq!(server.end_of(&id).await["status"], "completed");
    }
    server.put("/things/3").await;
}

#[tokio::test]
async fn a_token_makes_no_more_requests_than_it_may() {
    let tokyo = FakeTarget::start().await;
    let limits = "[tenants.default]\nrequests_per_second = 1\nrequests_burst = 3\n";
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{}{limits}", things(&["tokyo"]))));
    let server = Server::start(&home).await;
    let refused = async {
        loop {
            let answer = server.http.get("/api/v1/status").await;
            if answer.status == 429 {
                return answer;
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.expect("they come faster than that");
    assert!(refused.text().contains("local makes more than 1 request a second"), "{}", refused.text());
    assert_eq!(server.http.get("/healthz").await.status, 200);
}
