//! Fake targets, asked by the client for tests.

use fanfold_testkit::{Answer, Controller, Ending, FakeTarget, Http, Latch, Reply, Resources};
use serde_json::{Value, json};

#[tokio::test]
async fn rules_are_used_in_their_order() {
    let fake = FakeTarget::start().await;
    let http = Http::new(&fake.url());
    assert_eq!(http.get("/x").await.json(), json!({}));
    fake.on("*", "/a/*", Answer::empty(204));
    fake.on("GET", "/a/b", Answer::text(200, "b"));
    fake.once("POST", "/a/*", Answer::empty(500));
    fake.once("POST", "/a/*", Answer::empty(501));
    let mut statuses = Vec::new();
    for (method, path) in [("GET", "/a/b?q"), ("POST", "/a/b"), ("POST", "/a/c"), ("POST", "/a/d"), ("GET", "/other")] {
        statuses.push(http.request(method, path, b"").await.status);
    }
    assert_eq!(statuses, [200, 500, 501, 204, 200]);
    let seen = fake.wait_for(6).await;
    assert_eq!(seen.iter().map(|seen| seen.applied).collect::<Vec<_>>(), [true, true, false, false, true, true]);
    assert_eq!((seen[1].path(), seen[1].uri.as_str()), ("/a/b", "/a/b?q"));
}

#[tokio::test]
async fn rude_targets_are_rude() {
    let mut fake = FakeTarget::start().await;
    let http = Http::new(&fake.url());
    let answer = Answer::text(200, "0123456789");
    for reply in [
        Reply::Reset { applied: true },
        Reply::Close { applied: true },
        Reply::Half(answer.clone(), 3),
        Reply::WrongLength(answer, 11),
        Reply::Raw("nonsense".into()),
    ] {
        fake.once("*", "*", reply.clone());
        assert!(http.try_request("POST", "/x", b"{}").await.is_err(), "{reply:?}");
    }
    fake.reset_connections(1);
    assert!(http.try_request("POST", "/x", b"{}").await.is_err());
    assert_eq!(fake.seen().len(), 5);
    fake.stop().await;
    assert!(http.try_request("POST", "/x", b"{}").await.is_err());
    fake.start_again().await;
    assert_eq!(http.get("/x").await.status, 200);
}

#[tokio::test]
async fn an_answer_waits_for_its_latch() {
    let fake = FakeTarget::start().await;
    let latch = Latch::new();
    fake.once("GET", "/slow", Reply::Slow(Answer::text(200, "onetwo"), 3, latch.clone()));
    let mut connection = Http::new(&fake.url()).open().await;
    connection.send(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    latch.let_through(1);
    assert!(connection.until("one").await.contains("transfer-encoding: chunked"));
    latch.open();
    connection.until("0\r\n\r\n").await;
    connection.send(b"POST /next HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    assert_eq!(connection.answer().await.status, 200);
    assert_eq!(fake.seen()[1].text(), "abc");
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn resources_are_guarded_by_their_tags() {
    let fake = FakeTarget::start().await;
    let resources = Resources::new();
    fake.serve(resources.clone());
    let http = Http::new(&fake.url());
    assert_eq!(http.get("/r/1").await.status, 404);
    let only_new = http.clone().with("if-none-match", "*");
    let created = only_new.put("/r/1", &json!({"v": 1})).await;
    assert_eq!((created.status, only_new.put("/r/1", &json!({})).await.status), (201, 412));
    let tag = created.header("etag").unwrap().to_owned();
    assert_eq!(http.clone().with("if-none-match", &tag).get("/r/1").await.status, 304);
    resources.put("/r/1", "{\"v\":2}");
    let guarded = http.clone().with("if-match", &tag);
    assert_eq!((guarded.put("/r/1", &json!({})).await.status, guarded.delete("/r/1").await.status), (412, 412));
    assert_eq!(resources.get("/r/1").unwrap(), "{\"v\":2}");
    let fresh = http.get("/r/1").await.header("etag").unwrap().to_owned();
    assert_eq!(http.clone().with("if-match", &fresh).delete("/r/1").await.status, 204);
    assert_eq!(http.delete("/r/1").await.status, 404);
    let posted = http.post("/r", &json!({"v": 3})).await;
    let location = posted.header("location").unwrap();
    assert_eq!((posted.status, http.get(location).await.json()), (201, json!({"v": 3})));
}

#[tokio::test]
async fn weak_tags_satisfy_no_condition_of_a_change() {
    let fake = FakeTarget::start().await;
    let resources = Resources::with_weak_tags();
    fake.serve(resources.clone());
    resources.put("/r", "{}");
    let http = Http::new(&fake.url());
    let tag = http.get("/r").await.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/"));
    assert_eq!(http.clone().with("if-match", &tag).put("/r", &json!({})).await.status, 412);
    resources.remove("/r");
    assert_eq!(http.get("/r").await.status, 404);
}

#[tokio::test]
async fn a_controller_follows_its_operations_to_their_end_and_tells_who_asked() {
    let (fake, caller) = (FakeTarget::start().await, FakeTarget::start().await);
    let controller = Controller::new().polls(2).ends(Ending::Failed("060002", "rolled back"));
    fake.serve(controller.clone());
    let http = Http::new(&fake.url());
    controller.next_ends(Ending::Completed(201, "{\"id\":1}".to_owned()));
    let query = format!("notification_address=127.0.0.1&notification_port={}", caller.address().port());
    let accepted = http.post(&format!("/v1/slices?{query}"), &json!({"a": 1})).await;
    assert_eq!(accepted.status, 202);
    let id = accepted.json()["operation_id"].as_str().unwrap().to_owned();
    let poll = format!("/v1/operations/{id}");
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(http.get(&poll).await.json()["status"].clone());
    }
    assert_eq!(statuses, ["executing", "executing", "completed"]);
    assert_eq!(http.get(&poll).await.json()["response"], json!({"status_code": 201, "body": "{\"id\":1}"}));
    assert_eq!(controller.notify(&id).await.status, 200);
    let told = &caller.wait_for(1).await[0];
    assert_eq!((told.method.as_str(), told.path(), &told.json()["status"]), ("PUT", &*poll, &json!("completed")));

    let second = http.delete("/v1/slices/1").await.json()["operation_id"].as_str().unwrap().to_owned();
    controller.finish(&second, Ending::Failed("060002", "rolled back"));
    let failed = http.get(&format!("/v1/operations/{second}")).await.json();
    let body: Value = serde_json::from_str(failed["response"]["body"].as_str().unwrap()).unwrap();
    assert_eq!((&failed["status"], &body["data_consistency"]), (&json!("failed"), &json!("rolled back")));
    controller.forget(&second);
    assert_eq!(http.get(&format!("/v1/operations/{second}")).await.status, 404);
    assert_eq!(controller.operations(), [id]);
}
