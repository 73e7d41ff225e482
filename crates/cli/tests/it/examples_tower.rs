//! `examples/tower`: a Fanfold over two Fanfolds, which speak `msf` with each other.

use fanfold_testkit::{Answer, FakeTarget, Latch, Reply};
use serde_json::{Value, json};

use crate::callbacks::free_address;
use crate::documents::play;
use crate::example::{Example, PASSWORD, address, body, redacted};

const CPS: &str = "/v1/slices/s1/cps";

/// Where the parent listens, in its own file and in those of the leaves, which notify it.
const PARENT: &str = "127.0.0.1:8080";

/// One lower floor: its server, and its devices.
struct Leaf {
    devices: FakeTarget,
    server: Example,
}

struct Tower {
    parent: Example,
    east: Leaf,
    west: Leaf,
}

impl Leaf {
    async fn start(name: &str, port: &str, parent: &str, made: &str) -> Self {
        let devices = FakeTarget::start().await;
        devices.on("POST", CPS, Answer::json(201, &json!({ "id": made })));
        devices.on("DELETE", &format!("{CPS}/*"), Answer::empty(204));
        let to = address(&devices);
        let ports = [(port, to.as_str()), (PARENT, parent)];
        let server = Example::start(&format!("tower/leaf-{name}.toml"), &ports).await;
        Self { devices, server }
    }

    fn address(&self) -> &str {
        self.server.url.trim_start_matches("http://")
    }

    /// Its operations in the order of their acceptance, each in full.
    async fn operations(&self) -> Vec<Value> {
        let list = self.server.http.get("/v1/operations").await.json();
        let mut ids: Vec<_> = list["operation_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        // Their ids sort by time.
        ids.sort_unstable();
        let mut details = Vec::new();
        for id in ids {
            details.push(self.server.msf_ended(id).await);
        }
        details
    }

    fn calls(&self) -> Vec<String> {
        self.devices.seen().iter().map(|seen| format!("{} {}", seen.method, seen.uri)).collect()
    }
}

impl Tower {
    async fn start() -> Self {
        let address = free_address();
        let east = Leaf::start("east", "127.0.0.1:18081", &address, "cp-e").await;
        let west = Leaf::start("west", "127.0.0.1:18082", &address, "cp-w").await;
        let ports = [("127.0.0.1:8081", east.address()), ("127.0.0.1:8082", west.address()), (PARENT, &address)];
        let parent = Example::start("tower/parent.toml", &ports).await;
        Self { parent, east, west }
    }
}

fn cluster(id: &str, request: [&str; 3], status: u16, answer: &str) -> Value {
    let [method, uri, body] = request;
    json!({
        "cluster_id": id,
        "request": {"uri": uri, "method": method, "body": body},
        "response": {"status_code": status, "body": answer},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_the_parent_changes_the_devices_of_both_leaves() {
    let tower = Tower::start().await;
    let sent = body("tower/create-cp.json");
    let detail = tower.parent.msf("POST", CPS, &sent).await;
    let shown = redacted(&sent);
    assert_eq!(detail["status"], "completed", "{detail:#}");
    assert_eq!(detail["request"], json!({"uri": CPS, "method": "POST", "body": shown}));
    assert_eq!(detail["response"], json!({"status_code": 201, "body": "{\"id\":\"cp-e\"}"}));
    let clusters = json!([
        cluster("1", ["POST", CPS, &shown], 201, "{\"id\":\"cp-e\"}"),
        cluster("2", ["POST", CPS, &shown], 201, "{\"id\":\"cp-w\"}"),
    ]);
    assert_eq!(detail["target_clusters"], clusters);
    assert_eq!(detail["rollbacks"], Value::Null);
    for leaf in [&tower.east, &tower.west] {
        let seen = leaf.devices.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].body, sent, "octet for octet, through both floors");
        let operations = leaf.operations().await;
        assert_eq!(operations.len(), 1);
        assert_eq!((&operations[0]["status"], &operations[0]["request"]["body"]), (&json!("completed"), &json!(shown)));
    }
    let id = detail["operation_id"].as_str().unwrap();
    tower.parent.shows_no_password(id, &["/v1/operations?format=detail-list"]).await;
    for server in [tower.parent, tower.east.server, tower.west.server] {
        server.keeps_no_password().await;
    }
}

/// An operation of a leaf that lasts is told of when it ends, and the parent asks at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_leaves_notify_the_parent() {
    let tower = Tower::start().await;
    let latch = Latch::new();
    let made = Reply::from(Answer::json(201, &json!({ "id": "cp-e" }))).after(&latch);
    tower.east.devices.on("POST", CPS, made);
    let sent = body("tower/create-cp.json");
    let called = async {
        tower.east.devices.wait_for(1).await;
        latch.open();
    };
    let (detail, ()) = tokio::join!(tower.parent.msf("POST", CPS, &sent), called);
    assert_eq!(detail["status"], "completed", "{detail:#}");
    for leaf in [&tower.east, &tower.west] {
        let notices = leaf.server.http.get("/api/v1/notices").await.json();
        let notices = notices["notices"].as_array().unwrap();
        assert_eq!(notices.len(), 1, "{notices:#?}");
        assert!(notices[0].to_string().contains(tower.parent.url.trim_start_matches("http://")), "{notices:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leaf_fails_and_the_other_carries_out_the_undo_as_an_operation_of_its_own() {
    let tower = Tower::start().await;
    // It refuses only once the other was called: what was not called by then is skipped.
    let both_called = Latch::new();
    let refusal = Reply::from(Answer::json(409, &json!({ "error": "port in use" }))).after(&both_called);
    tower.west.devices.on("POST", CPS, refusal);
    let sent = body("tower/create-cp.json");
    let called = async {
        tower.east.devices.wait_for(1).await;
        both_called.open();
    };
    let (detail, ()) = tokio::join!(tower.parent.msf("POST", CPS, &sent), called);
    let shown = redacted(&sent);
    assert_eq!(detail["status"], "failed", "{detail:#}");
    let error: Value = serde_json::from_str(detail["response"]["body"].as_str().unwrap()).unwrap();
    assert_eq!((&error["error_code"], &error["data_consistency"]), (&json!("300001"), &json!("rolled back")));
    assert_eq!(error["target_clusters"][0]["request_results"], "success");
    assert_eq!(error["target_clusters"][1]["request_results"], "failed");
    let east = cluster("1", ["POST", CPS, &shown], 201, "{\"id\":\"cp-e\"}");
    assert_eq!(detail["target_clusters"][0], east);
    // The answer of the west is what its own operation ended with.
    let west = tower.west.operations().await;
    assert_eq!((west.len(), &west[0]["status"]), (1, &json!("failed")));
    assert_eq!(detail["target_clusters"][1]["response"], west[0]["response"]);
    // The undo is an operation of the east, and its end is the answer to it.
    let undo = &detail["rollbacks"]["target_clusters"];
    let uri = format!("{CPS}/cp-e");
    assert_eq!(undo, &json!([cluster("1", ["DELETE", &uri, ""], 204, "")]));
    assert_eq!(detail["rollbacks"]["result"], "completed");
    let east = tower.east.operations().await;
    let requests: Vec<_> = east.iter().map(|operation| &operation["request"]["method"]).collect();
    assert_eq!(requests, ["POST", "DELETE"]);
    assert!(east.iter().all(|operation| operation["status"] == "completed"), "{east:#?}");
    assert_eq!(tower.east.calls(), [format!("POST {CPS}"), format!("DELETE {uri}")]);
    assert_eq!(tower.west.calls(), [format!("POST {CPS}")]);
    assert!(!detail.to_string().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_readme_do_what_it_says() {
    let told = play("examples/tower/README.md").await;
    assert!(told[1].contains("\"completed\""), "{}", told[1]);
    assert!(told[5].contains("\"rollbacks\":{\"result\":\"completed\""), "{}", told[5]);
    assert_eq!(told[6].matches("\"operation_id\"").count(), 3, "{}", told[6]);
    assert_eq!(told[7].matches("\"operation_id\"").count(), 2, "{}", told[7]);
}
