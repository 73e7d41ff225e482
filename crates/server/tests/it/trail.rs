//! The audit trail has what was done, whatever became meanwhile of whoever did it, and says with what; and an operation says who
//! submitted it.

use fanfold_core::Access;
use fanfold_core::access::Secret;
use fanfold_server::FixedToken;
use fanfold_testkit::{Answer, Http, PATIENCE};
use serde_json::{Value, json};

use crate::rig::Rig;

/// A server that asks for tokens, and a client of an admin of the house.
async fn guarded() -> (Rig, Http) {
    let rig = Rig::start().await;
    let secret = Secret::from_random([1; 32]);
    let (name, digest) = ("root".to_owned(), secret.digest());
    rig.ask_for(vec![FixedToken { name, digest, access: Access::full(), expires_at: None }]);
    let admin = rig.showing(secret.expose());
    (rig, admin)
}

/// Makes a token for everything, and gives its id and its secret.
async fn made(admin: &Http, name: &str) -> (String, String) {
    let made = admin.post("/api/v1/tokens/create", &json!({ "name": name, "roles": ["admin", "operate"] })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    (made["token"]["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

/// The entries of this action, the newest first.
async fn trail(admin: &Http, action: &str) -> Vec<Value> {
    let trail = admin.get(&format!("/api/v1/audit?action={action}&limit=200")).await.json();
    trail["audit"].as_array().unwrap().clone()
}

/// What came of each thing of this action, the newest first.
async fn outcomes(admin: &Http, action: &str) -> Vec<String> {
    let outcome = |entry: &Value| entry["outcome"].as_str().unwrap().to_owned();
    trail(admin, action).await.iter().map(outcome).collect()
}

/// Goal: whoever takes back what they come with is told so. Method: so often that now and then the end is noticed before the answer
/// is ready.
#[tokio::test(flavor = "multi_thread")]
async fn who_revokes_their_own_token_is_told_so_and_the_trail_has_it() {
    let (rig, admin) = guarded().await;
    for number in 0..40 {
        let (id, secret) = made(&admin, &format!("t{number}")).await;
        let own = rig.showing(&secret);
        let revoked = own.post(&format!("/api/v1/tokens/{id}/revoke"), &json!({})).await;
        assert_eq!(revoked.status, 200, "{}", revoked.text());
        assert_eq!(revoked.json()["revoked_by"], format!("t{number}"));
        assert_eq!(own.get("/api/v1/caller").await.status, 401);
    }
    let outcomes = outcomes(&admin, "token_revoke").await;
    assert_eq!(outcomes, ["done", "asked"].repeat(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_done_when_its_token_is_revoked_is_done_answered_and_written_down() {
    let (rig, admin) = guarded().await;
    let (id, secret) = made(&admin, "ann").await;
    let ann = rig.showing(&secret);
    rig.lossy.hold_up(true);
    let nothing = json!({});
    let revoking = async {
        rig.lossy.something_is_held_up().await;
        assert_eq!(admin.post(&format!("/api/v1/tokens/{id}/revoke"), &nothing).await.status, 200);
        assert_eq!(rig.showing(&secret).get("/api/v1/caller").await.status, 401);
        assert_eq!(outcomes(&admin, "hold").await, ["asked"]);
        rig.lossy.hold_up(false);
    };
    let (held, ()) = tokio::join!(ann.post("/api/v1/targets/tokyo/hold", &nothing), revoking);
    assert_eq!(held.status, 200, "{}", held.text());
    assert_eq!(outcomes(&admin, "hold").await, ["done", "asked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_done_when_its_client_goes_away_is_written_down() {
    let rig = Rig::start().await;
    rig.abandon("POST", "/api/v1/targets/tokyo/hold").await;
    let written = async { while outcomes(&rig.http, "hold").await != ["done", "asked"] {} };
    tokio::time::timeout(PATIENCE, written).await.expect("what came of it is written down");
}

/// Goal: nobody keeps a request open to do something once their token is revoked. Method: half of a body, then the revocation.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_come_as_a_whole_when_its_token_is_revoked_is_not_begun() {
    let (rig, admin) = guarded().await;
    for path in ["/api/v1/targets/tokyo/hold", "/api/v1/tokens/create", "/things"] {
        let (id, secret) = made(&admin, "ann").await;
        let mut connection = rig.http.open().await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {secret}\r\n");
        connection.send(format!("{head}content-length: 2\r\nexpect: 100-continue\r\n\r\n").as_bytes()).await;
        // It has been let in, and is waited for.
        connection.until("100 Continue\r\n\r\n").await;
        connection.send(b"{").await;
        assert_eq!(admin.post(&format!("/api/v1/tokens/{id}/revoke"), &json!({})).await.status, 200);
        assert_eq!(connection.answer().await.status, 401, "{path}");
    }
    assert_eq!(outcomes(&admin, "hold").await, [""; 0]);
    let tokens = trail(&admin, "token_create").await;
    assert!(tokens.iter().all(|entry| entry["by"] == "root"), "{tokens:?}");
    assert_eq!(admin.get("/api/v1/operations").await.json()["operations"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_says_which_token_was_asked_for_and_which_one_it_became() {
    let (rig, admin) = guarded().await;
    let wanted = json!({
        "name": "ci", "tenant": "acme", "roles": ["read", "submit"], "routes": ["thing", "things"], "targets": ["tokyo"],
        "expires_in": "90d"
    });
    let detail = "name \"ci\", tenant \"acme\", roles submit read, routes \"thing\" \"things\", targets \"tokyo\", \
                  good for \"90d\"";
    let made = admin.post("/api/v1/tokens/create", &wanted).await.json();
    assert_eq!(admin.post("/api/v1/tokens/create", &wanted).await.status, 409);
    let seen: Vec<_> = trail(&admin, "token_create")
        .await
        .iter()
        .map(|entry| ["outcome", "subject", "detail"].map(|member| entry[member].clone()))
        .collect();
    let entry = |outcome: &str, subject: &Value| [json!(outcome), subject.clone(), json!(detail)];
    let nothing = Value::Null;
    let both = [entry("refused", &nothing), entry("asked", &nothing)];
    let made = [entry("done", &made["token"]["id"]), entry("asked", &nothing)];
    assert_eq!(seen, [both, made].concat());

    // What somebody writes there cannot pass for something else; and what is left out is the caller's own.
    let wanted = json!({ "name": "x\", tenant \"y\n", "roles": ["admin"] });
    assert_eq!(admin.post("/api/v1/tokens/create", &wanted).await.status, 400);
    let refused = &trail(&admin, "token_create").await[0];
    assert_eq!(refused["detail"], "name \"x\\\", tenant \\\"y\\n\", tenant \"default\", roles admin");
    assert_eq!(refused["outcome"], "refused");
    drop(rig);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_says_who_submitted_it_and_a_retry_who_asked_for_that() {
    let (rig, admin) = guarded().await;
    let wanted = json!({ "name": "feeder", "roles": ["submit", "operate"] });
    let feeder = admin.post("/api/v1/tokens/create", &wanted).await.json();
    let feeder = rig.showing(feeder["secret"].as_str().unwrap());
    rig.osaka.on("POST", "/things", Answer::json(409, &json!({})));
    let id = feeder.post("/things", &json!({})).await.json()["id"].as_str().unwrap().to_owned();
    let detail = |id: String| {
        let admin = &admin;
        async move { admin.get(&format!("/api/v1/operations/{id}?wait=30s")).await.json() }
    };
    assert_eq!(detail(id.clone()).await["submitted_by"], "feeder");
    let page = admin.get(&format!("/ui/operations/{id}")).await.text();
    assert!(page.contains("<dt>submitted by</dt><dd>feeder</dd>"), "{page}");
    let retry = admin.post(&format!("/api/v1/operations/{id}/retry"), &json!({})).await;
    assert_eq!(retry.status, 202, "{}", retry.text());
    let retry = detail(retry.json()["id"].as_str().unwrap().to_owned()).await;
    assert_eq!((&retry["submitted_by"], &retry["retry_of"]), (&json!("root"), &json!(id)));
}
