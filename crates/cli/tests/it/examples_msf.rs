//! `examples/msf`: two clusters that answer at once, asked in `msf`.

use fanfold_testkit::{Answer, FakeTarget, Latch, Reply, Resources};
use serde_json::{Value, json};

use crate::documents::play;
use crate::example::{Example, address, body, is_msf_time, redacted};

const CPS: &str = "/v1/slices/l3vpn/s1/cps";

/// The two clusters, which answer `POST` with ids of their own and know what they hold.
struct Clusters {
    tokyo: FakeTarget,
    osaka: FakeTarget,
}

impl Clusters {
    async fn start() -> (Self, Example) {
        let clusters = Self { tokyo: FakeTarget::start().await, osaka: FakeTarget::start().await };
        for (fake, id) in [(&clusters.tokyo, "cp-71"), (&clusters.osaka, "cp-72")] {
            fake.on("POST", CPS, Answer::json(201, &json!({ "id": id })));
            fake.on("DELETE", &format!("{CPS}/*"), Answer::empty(204));
        }
        let (tokyo, osaka) = (address(&clusters.tokyo), address(&clusters.osaka));
        let ports = [("127.0.0.1:18081", tokyo.as_str()), ("127.0.0.1:18082", osaka.as_str())];
        let example = Example::start("msf/fanfold.toml", &ports).await;
        (clusters, example)
    }
}

fn id(detail: &Value) -> String {
    detail["operation_id"].as_str().unwrap().to_owned()
}

/// A cluster's part of a detail.
fn cluster(id: &str, request: [&str; 3], status: u16, answer: &str) -> Value {
    let [method, uri, body] = request;
    json!({
        "cluster_id": id,
        "request": {"uri": uri, "method": method, "body": body},
        "response": {"status_code": status, "body": answer},
    })
}

/// Checks both times of a detail and takes them out, so that the rest can be compared as a whole.
fn without_times(mut detail: Value) -> Value {
    for name in ["occurred_time", "last_update_time"] {
        let time = detail.as_object_mut().unwrap().remove(name).unwrap();
        assert!(is_msf_time(&time), "{name}: {time}");
    }
    if let Some(rollbacks) = detail["rollbacks"].as_object_mut() {
        let time = rollbacks.remove("occurred_time").unwrap();
        assert!(is_msf_time(&time), "{time}");
    }
    detail
}

#[tokio::test(flavor = "multi_thread")]
async fn both_clusters_get_the_body_as_it_came_and_nobody_else_sees_the_password() {
    let (clusters, example) = Clusters::start().await;
    let sent = body("msf/create-cp.json");
    let detail = example.msf("POST", CPS, &sent).await;
    let (id, shown) = (id(&detail), redacted(&sent));
    let expected = json!({
        "operation_id": id,
        "status": "completed",
        "request": {"uri": CPS, "method": "POST", "body": shown},
        "response": {"status_code": 201, "body": "{\"id\":\"cp-71\"}"},
        "target_clusters": [
            cluster("1", ["POST", CPS, &shown], 201, "{\"id\":\"cp-71\"}"),
            cluster("2", ["POST", CPS, &shown], 201, "{\"id\":\"cp-72\"}"),
        ],
        "rollbacks": null,
    });
    assert_eq!(without_times(detail), expected);
    for fake in [&clusters.tokyo, &clusters.osaka] {
        let seen = fake.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].method.as_str(), seen[0].uri.as_str()), ("POST", CPS));
        assert_eq!(seen[0].body, sent, "octet for octet");
        assert_eq!(seen[0].header("content-type"), Some("application/json"));
        assert_eq!(seen[0].header("fanfold-operation-id"), Some(id.as_str()));
    }
    let own = format!("/v1/operations/{id}");
    example.shows_no_password(&id, &[&own, "/v1/operations", "/v1/operations?format=detail-list"]).await;
    example.keeps_no_password().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cluster_refuses_and_the_other_is_rolled_back() {
    let (clusters, example) = Clusters::start().await;
    let refusal = json!({"error_code": "030002", "error_message": "CP exists.", "data_consistency": "rolled back"});
    // It refuses only once the other was called: what was not called by then is skipped.
    let both_called = Latch::new();
    clusters.osaka.on("POST", CPS, Reply::from(Answer::json(409, &refusal)).after(&both_called));
    let sent = body("msf/create-cp.json");
    let called = async {
        clusters.tokyo.wait_for(1).await;
        both_called.open();
    };
    let (detail, ()) = tokio::join!(example.msf("POST", CPS, &sent), called);
    let (id, shown) = (id(&detail), redacted(&sent));
    let made = format!("{CPS}/cp-71");
    let error = detail["response"]["body"].as_str().unwrap().to_owned();
    let expected = json!({
        "operation_id": id,
        "status": "failed",
        "request": {"uri": CPS, "method": "POST", "body": shown},
        "response": {"status_code": 500, "body": error},
        "target_clusters": [
            cluster("1", ["POST", CPS, &shown], 201, "{\"id\":\"cp-71\"}"),
            cluster("2", ["POST", CPS, &shown], 409, &refusal.to_string()),
        ],
        "rollbacks": {
            "result": "completed",
            "target_clusters": [cluster("1", ["DELETE", &made, ""], 204, "")],
        },
    });
    assert_eq!(without_times(detail), expected);
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!(error["error_code"], "300001");
    assert_eq!(error["data_consistency"], "rolled back");
    let result = |index: usize| {
        let cluster = &error["target_clusters"][index];
        [&cluster["cluster_id"], &cluster["request_results"], &cluster["error_code"], &cluster["data_consistency"]]
    };
    assert_eq!(result(0), [&json!("1"), &json!("success"), &Value::Null, &json!("rolled back")]);
    assert_eq!(result(1), [&json!("2"), &json!("failed"), &json!("030002"), &json!("rolled back")]);
    let undo = &clusters.tokyo.seen()[1];
    assert_eq!((undo.method.as_str(), undo.uri.as_str(), undo.body.len()), ("DELETE", made.as_str(), 0));
    assert_eq!(clusters.osaka.seen().len(), 1);
    example.shows_no_password(&id, &["/v1/operations?format=detail-list"]).await;
    example.keeps_no_password().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_is_written_back() {
    const SLICE: &str = "/v1/slices/l3vpn/s1";
    let (clusters, example) = Clusters::start().await;
    let before = "{\"remark\":\"vorher\",\"secret\":\"altes-4711\"}";
    let slices = Resources::new();
    slices.put(SLICE, before);
    clusters.tokyo.serve(slices.clone());
    clusters.osaka.on("GET", SLICE, Answer::text(200, "{}").header("etag", "\"7\""));
    let both_called = Latch::new();
    clusters.osaka.on("PUT", SLICE, Reply::from(Answer::empty(422)).after(&both_called));
    let sent = body("msf/put-slice.json");
    let called = async {
        // The read before the change, and the change.
        clusters.tokyo.wait_for(2).await;
        both_called.open();
    };
    let (detail, ()) = tokio::join!(example.msf("PUT", SLICE, &sent), called);
    assert_eq!(detail["status"], "failed");
    let undone = &detail["rollbacks"]["target_clusters"];
    assert_eq!(undone.as_array().map(Vec::len), Some(1), "{detail:#}");
    assert_eq!((&undone[0]["cluster_id"], &undone[0]["request"]["method"]), (&json!("1"), &json!("PUT")));
    assert_eq!(slices.get(SLICE).as_deref(), Some(before));
    let seen = clusters.tokyo.seen();
    let changes: Vec<_> = seen.iter().filter(|seen| seen.method == "PUT").collect();
    assert_eq!(changes[0].body, sent);
    assert_eq!(changes[1].body, before, "the password that was there before is back as well");
    assert!(changes[1].header("if-match").is_some(), "a later change of somebody else is not overwritten");
    assert!(!detail.to_string().contains("altes-4711"));
    example.shows_no_password(&id(&detail), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_itself_names_its_clusters() {
    const EQUIPMENTS: &str = "/v1/equipments";
    let (clusters, example) = Clusters::start().await;
    clusters.osaka.on("POST", EQUIPMENTS, Answer::json(201, &json!({ "id": "eq-1" })));
    let sent = body("msf/register-equipment.json");
    let detail = example.msf("POST", EQUIPMENTS, &sent).await;
    assert_eq!(detail["status"], "completed");
    let expected = cluster("2", ["POST", EQUIPMENTS, &redacted(&sent)], 201, "{\"id\":\"eq-1\"}");
    assert_eq!(detail["target_clusters"], json!([expected]));
    assert!(clusters.tokyo.seen().is_empty());
    assert_eq!(clusters.osaka.seen()[0].body, sent);
    let unknown = example.send("POST", EQUIPMENTS, b"{\"cluster_ids\": [\"9\"]}").await;
    assert_eq!((unknown.status, unknown.json()["error_code"].clone()), (404, json!("030001")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asked_is_notified_and_reading_is_passed_through() {
    let (clusters, example) = Clusters::start().await;
    let host = FakeTarget::start().await;
    host.on("PUT", "/v1/operations/*", Answer::empty(200));
    let port = host.address().port();
    let uri = format!("{CPS}?notification_address=127.0.0.1&notification_port={port}");
    let detail = example.msf("POST", &uri, &body("msf/create-cp.json")).await;
    let told = host.wait_for(1).await.remove(0);
    assert_eq!(told.uri, format!("/v1/operations/{}", id(&detail)));
    assert_eq!(told.json(), detail, "the notification is the detail");
    assert_eq!(clusters.tokyo.seen()[0].uri, CPS, "the address to notify is not passed on");
    assert_eq!(detail["request"]["uri"], uri.as_str());
    clusters.tokyo.on("GET", CPS, Answer::text(200, "[\"cp-71\"]"));
    let read = example.http.get(CPS).await;
    assert_eq!((read.status, read.text().as_str()), (200, "[\"cp-71\"]"));
    assert_eq!(example.http.get("/v1/operations").await.json(), json!({ "operation_ids": [id(&detail)] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_runs_the_password_is_in_no_file_in_clear_and_the_slice_is_locked() {
    let (clusters, example) = Clusters::start().await;
    let latch = Latch::new();
    let late = Reply::from(Answer::json(201, &json!({ "id": "cp-72" }))).after(&latch);
    clusters.osaka.once("POST", CPS, late);
    let sent = body("msf/create-cp.json");
    let accepted = example.send("POST", CPS, &sent).await.json();
    let id = accepted["operation_id"].as_str().unwrap();
    clusters.osaka.wait_for(1).await;
    example.stores_no_password_now();
    let running = example.http.get(&format!("/v1/operations/{id}")).await.json();
    assert_eq!((&running["status"], &running["sub_status"]), (&json!("executing"), &json!("calling")));
    assert_eq!((&running["response"], &running["rollbacks"]), (&Value::Null, &Value::Null));
    let locked = example.send("POST", CPS, &sent).await;
    assert_eq!((locked.status, locked.json()["error_code"].clone()), (409, json!("020003")));
    latch.open();
    assert_eq!(example.msf_ended(id).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_do_what_it_says() {
    let told = play("examples/msf/README.md").await;
    assert!(told[1].contains("[redacted]") && told[1].contains("\"completed\""), "{}", told[1]);
    assert!(told[5].contains("\"rollbacks\":{\"result\":\"completed\""), "{}", told[5]);
}
