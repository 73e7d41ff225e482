//! `Prefer: wait=N`: the answer to the request is that of its operation.

use fanfold_testkit::{Answer, Latch, Reply};
use serde_json::json;

use crate::rig::{PLAS, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn the_final_response_comes_as_it_is() {
    let rig = Rig::start().await;
    rig.tokyo.on(
        "POST",
        "/things",
        Answer::text(201, vec![0xff, 0x00, 0x80])
            .header("content-type", "application/octet-stream")
            .header("location", "/things/1")
            .header("connection", "close")
            .closing(),
    );
    let http = rig.http.clone().with("prefer", "wait=30");
    for path in ["/things", "/v1/slices/7/cps", &format!("{PLAS}/connectors")] {
        let answer = http.post(path, &json!({ "n": 1 })).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        assert_eq!(answer.body, [0xff, 0x00, 0x80].as_slice());
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.header("location"), Some("/things/1"));
        assert_eq!(answer.header("preference-applied"), Some("wait=30"));
        let link = answer.header("link").unwrap();
        let id = link.split(['/', '>']).find(|part| part.len() == 36).unwrap();
        assert_eq!(link, format!("<https://fanfold.example/api/v1/operations/{id}>; rel=\"status\""));
        assert_eq!(rig.ended(id).await["response"]["status"], 201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_comes_in_the_words_of_the_dialect() {
    let rig = Rig::start().await;
    rig.tokyo.on("POST", "/things", Answer::empty(403));
    let http = rig.http.clone().with("prefer", "wait=30");
    let msf = http.post("/v1/slices/7/cps", &json!({})).await;
    assert_eq!((msf.status, &msf.json()["error_code"]), (500, &json!("060002")));
    let plas = http.post(&format!("{PLAS}/connectors"), &json!({})).await;
    assert_eq!((plas.status, &plas.json()["error_code"]), (500, &json!("PLAS.1001")));
    let native = http.post("/things", &json!({})).await;
    assert_eq!((native.status, &native.json()["code"]), (500, &json!("operation_failed")));
    assert_eq!(native.header("content-type"), Some("application/problem+json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_response_stands_apart_and_comes_whole() {
    let rig = Rig::start().await;
    let large = "y".repeat(200_000);
    rig.tokyo.on("POST", "/things", Answer::text(200, large.clone()));
    let answer = rig.http.clone().with("prefer", "wait=30").post("/v1/slices/7/cps", &json!({})).await;
    assert_eq!((answer.status, answer.text() == large), (200, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_in_time_is_accepted() {
    let rig = Rig::start().await;
    let latch = Latch::new();
    rig.tokyo.on("POST", "/things", Reply::from(Answer::json(201, &json!({ "id": "t" }))).after(&latch));
    let answer = rig.http.clone().with("prefer", "wait=1").post("/v1/slices/7/cps", &json!({})).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (202, None));
    latch.open();
    let id = answer.json()["operation_id"].as_str().unwrap().to_owned();
    assert_eq!(rig.ended(&id).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_answered_so_though_waiting_for_it_fails() {
    let rig = Rig::start().await;
    let latch = Latch::new();
    // A body that stands apart has to be read for the final answer.
    let large = Answer::text(200, "y".repeat(200_000));
    rig.tokyo.on("POST", "/things", Reply::from(large).after(&latch));
    let http = rig.http.clone().with("prefer", "wait=30");
    let body = json!({});
    let asked = http.post("/v1/slices/7/cps", &body);
    let broken = async {
        rig.tokyo.wait_for(1).await;
        rig.lossy.fail_reads(true);
        latch.open();
    };
    let (answer, ()) = tokio::join!(asked, broken);
    assert_eq!((answer.status, answer.header("preference-applied")), (202, None), "{}", answer.text());
    rig.lossy.fail_reads(false);
    assert_eq!(rig.ended(answer.json()["operation_id"].as_str().unwrap()).await["status"], "completed");
}
