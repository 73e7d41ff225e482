//! Targets, routes, attention, notices, status, and the pages for monitoring.

use fanfold_engine::{Clock as _, SystemClock};
use fanfold_testkit::{Answer, Latch, PATIENCE, Reply};
use serde_json::{Value, json};

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_held_and_released() {
    let rig = Rig::start().await;
    let listed = rig.http.get("/api/v1/targets").await.json();
    let names: Vec<_> = listed["targets"].as_array().unwrap().iter().map(|target| &target["name"]).collect();
    assert_eq!(names, ["osaka", "tokyo"]);
    let held = rig.http.post("/api/v1/targets/tokyo/hold", &json!({ "reason": "maintenance" })).await;
    assert_eq!(held.status, 200, "{}", held.text());
    let held = held.json();
    assert_eq!((&held["state"], &held["hold"]["by"]), (&json!("held"), &json!("local")));
    assert_eq!(held["hold"]["reason"], "maintenance");
    assert_eq!(held["url"], format!("{}/", rig.tokyo.url()).trim_end_matches('/'));
    let id = rig.accept("PUT", "/things/7", &json!({})).await;
    let waiting = rig.http.get(&format!("/api/v1/operations/{id}?wait=100ms")).await.json();
    assert_eq!(waiting["ended_at"], Value::Null);
    assert_eq!(rig.tokyo.seen().len(), 0);
    let released = rig.http.request("POST", "/api/v1/targets/tokyo/release", b"").await;
    assert_eq!(
        (released.status, &released.json()["state"], &released.json()["hold"]),
        (200, &json!("ok"), &Value::Null)
    );
    assert_eq!(rig.ended(&id).await["status"], "completed");
    let target = rig.http.get("/api/v1/targets/tokyo").await.json();
    assert_eq!(target["totals"]["answered"], 1);
    assert!(target["latency"]["median_ms"].is_u64(), "{target}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_a_release_are_carried_to_their_end_though_the_client_goes_away() {
    let rig = Rig::start().await;
    let both_say = async |held: bool| {
        let agreed = async {
            loop {
                let target = rig.http.get("/api/v1/targets/tokyo").await.json();
                if (target["state"] == "held", target["hold"].is_object()) == (held, held) {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, agreed).await.expect("store and memory say the same");
    };
    rig.abandon("POST", "/api/v1/targets/tokyo/hold").await;
    both_say(true).await;
    rig.abandon("POST", "/api/v1/targets/tokyo/release").await;
    both_say(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_tells_its_limits_and_what_its_breaker_does() {
    let (rig, began) = (Rig::start().await, SystemClock.now());
    let target = rig.http.get("/api/v1/targets/tokyo").await.json();
    let limits = json!({ "max_in_flight": 64, "undo_max_in_flight": 16, "pass_waiting_max": 256, "breaker_after": 5,
        "breaker_retry_after_ms": 10_000 });
    assert_eq!(target["limits"], limits);
    assert_eq!(target["breaker"], json!({ "state": "closed", "since": null, "retry_in_ms": null, "breaks": 0 }));
    rig.tokyo.on("PUT", "/things/7", Reply::Reset { applied: true });
    // Two attempts for each of them; the fifth break opens it, and the third one waits.
    let mut accepted = Vec::new();
    for _ in 0..3 {
        accepted.push(rig.accept("PUT", "/things/7", &json!({})).await);
        rig.tokyo.wait_for((2 * accepted.len()).min(5)).await;
    }
    let target = loop {
        let target = rig.http.get("/api/v1/targets/tokyo").await.json();
        if target["waiting"]["forward"] == 1 {
            break target;
        }
    };
    let breaker = &target["breaker"];
    assert_eq!(
        (&target["state"], &breaker["state"], &breaker["breaks"]),
        (&json!("breaker_open"), &json!("open"), &json!(5))
    );
    assert!(breaker["retry_in_ms"].as_u64().unwrap() <= 10_000, "{target}");
    let since: jiff::Timestamp = breaker["since"].as_str().unwrap().parse().unwrap();
    assert!(since <= SystemClock.now() && since >= began, "{target}");
    let waiting = loop {
        let detail = rig.detail(&accepted[2]).await.json();
        if detail["waiting_for"][0]["for"] == "breaker" {
            break detail;
        }
    };
    assert_eq!((&waiting["status"], &waiting["targets"][0]["attempts"]), (&json!("executing"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_targets_that_are_there_can_be_held() {
    let rig = Rig::start().await;
    for (method, path) in [("GET", ""), ("POST", "/hold"), ("POST", "/release")] {
        let answer = rig.http.request(method, &format!("/api/v1/targets/kyoto{path}"), b"").await;
        assert_eq!((answer.status, &answer.json()["code"]), (404, &json!("not_found")), "{path}");
    }
    let path = "/api/v1/targets/tokyo/hold";
    let long = rig.http.post(path, &json!({ "reason": "x".repeat(1001) })).await;
    assert_eq!(long.json()["code"], "out_of_range");
    assert_eq!(rig.http.post(path, &json!({ "why": "x" })).await.json()["code"], "unparsable");
    assert_eq!(rig.http.post(path, &json!(["x"])).await.json()["code"], "unparsable");
    assert_eq!(rig.http.get("/api/v1/targets/tokyo").await.json()["state"], "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_shown_as_they_are_configured() {
    let rig = Rig::start().await;
    let routes = rig.http.get("/api/v1/routes").await.json();
    let routes = routes["routes"].as_array().unwrap();
    let named = |name: &str| routes.iter().find(|route| route["name"] == name).unwrap();
    let things = named("things");
    assert_eq!((&things["method"], &things["pattern"]), (&json!("POST"), &json!("/things")));
    let shown = ["targets", "selected", "order", "undo"].map(|member| things["operation"][member].clone());
    assert_eq!(shown, [json!(["tokyo", "osaka"]), json!("all"), json!("parallel"), json!("request")]);
    assert_eq!(things["pass"], Value::Null);
    let pass = named("pass-msf");
    assert_eq!((&pass["pass"], &pass["operation"], &pass["mount"]), (&json!("tokyo"), &Value::Null, &json!("/v1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_person_is_listed() {
    let rig = Rig::start().await;
    rig.tokyo.on("DELETE", "/things/*", Answer::empty(403));
    // It refuses only once the other was called: what was not called by then is skipped.
    let called = Latch::new();
    rig.osaka.on("POST", "/things", Reply::from(Answer::empty(403)).after(&called));
    let mut ids = Vec::new();
    for number in 0..3 {
        let id = rig.accept("POST", "/things", &json!({})).await;
        // A change and its undo for each one before.
        rig.tokyo.wait_for(2 * number + 1).await;
        called.let_through(1);
        assert_eq!(rig.ended(&id).await["consistency"], "not consistent");
        ids.push(id);
    }
    let notes = rig.http.get("/api/v1/attention").await.json();
    let notes = notes["attention"].as_array().unwrap();
    assert_eq!(notes.len(), 3);
    assert_eq!((&notes[0]["operation"], &notes[0]["target"]), (&json!(ids[2]), &json!("tokyo")));
    assert_eq!((&notes[0]["reason"], &notes[0]["closed"]), (&json!("undo_failed"), &Value::Null));
    let first = rig.http.get("/api/v1/attention?limit=2").await;
    assert_eq!(first.json()["attention"], json!(notes[..2]));
    let token = first.json()["next_page_token"].as_str().unwrap().to_owned();
    let second = rig.http.get(&format!("/api/v1/attention?limit=2&page_token={token}")).await.json();
    assert_eq!((&second["attention"], &second["next_page_token"]), (&json!(notes[2..]), &Value::Null));
    let one = rig.http.get(&format!("/api/v1/attention?operation={}&target=tokyo", ids[1])).await.json();
    assert_eq!(one["attention"].as_array().map(Vec::len), Some(1));
    assert_eq!(rig.http.get("/api/v1/attention?state=closed").await.json()["attention"], json!([]));
    let path = format!("/api/v1/attention/{}/acknowledge", notes[0]["id"]);
    let closed = rig.http.post(&path, &json!({ "remark": "looked at it" })).await;
    assert_eq!(closed.status, 200, "{}", closed.text());
    assert_eq!(
        (&closed.json()["closed"]["by"], &closed.json()["closed"]["remark"]),
        (&json!("local"), &json!("looked at it"))
    );
    let again = rig.http.post(&path, &json!({ "remark": "twice" })).await.json();
    assert_eq!(again["closed"]["remark"], "looked at it", "the first one stays");
    let open = rig.http.get("/api/v1/attention").await.json();
    assert_eq!(open["attention"].as_array().map(Vec::len), Some(notes.len() - 1));
    for nothing in ["/api/v1/attention/4711/acknowledge", "/api/v1/attention/x/acknowledge"] {
        assert_eq!(rig.http.post(nothing, &json!({})).await.status, 404, "{nothing}");
    }
    let list = rig.http.get("/api/v1/operations?attention=true").await.json();
    assert_eq!(list["operations"].as_array().map(Vec::len), Some(2), "the third one's note is closed");
    assert_eq!(rig.http.get("/api/v1/notices").await.json(), json!({ "next_page_token": null, "notices": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_how_it_is() {
    let rig = Rig::start().await;
    let id = rig.accept("POST", "/v1/slices/7/cps", &json!({})).await;
    rig.ended(&id).await;
    let status = rig.http.get("/api/v1/status").await.json();
    assert_eq!(status["operations"]["completed"], 1);
    assert_eq!((&status["operations"]["failed"], &status["draining"]), (&json!(0), &json!(false)));
    assert!(status["store"]["used_bytes"].as_u64().unwrap() > 0);
    assert_eq!(rig.http.get("/healthz").await.text(), "ok\n");
    assert_eq!(rig.http.get("/readyz").await.json(), json!({ "ready": true, "reasons": [] }));
    rig.http.get("/nothing").await;
    let asked = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
        accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n";
    let page = rig.http.raw(asked).await;
    assert!(page.contains("content-type: application/openmetrics-text"), "{page}");
    for line in [
        "fanfold_http_requests_total{route=\"cps\",dialect=\"msf\",door=\"operation\",class=\"success\"} 1",
        "fanfold_http_requests_total{route=\"\",dialect=\"native\",door=\"nothing\",class=\"client_error\"} 1",
        "fanfold_http_in_flight 1",
        "fanfold_http_request_duration_seconds_count{route=\"cps\",dialect=\"msf\",door=\"operation\"} 1",
        "fanfold_operations{status=\"completed\"} 1",
        "fanfold_operation_oldest_age_seconds{status=\"executing\"} 0.0",
        "fanfold_attention_open{reason=\"undo_failed\"} 0",
        "fanfold_store_answers 1",
        "fanfold_store_trouble 0",
        "# EOF",
    ] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
    let plain = rig.http.get("/metrics").await;
    assert!(plain.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(plain.text().contains("# TYPE fanfold_http_requests_total counter\n"), "{}", plain.text());
    assert!(!plain.text().contains("# EOF"), "{}", plain.text());
}
