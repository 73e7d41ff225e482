//! Every class of refusal over the wire, in each dialect.

use std::time::Duration;

use fanfold_core::PerTenant;
use fanfold_server::{Pace, ServerConfig};
use fanfold_store::ReadOperations as _;
use fanfold_testkit::{Answer, HttpAnswer, Latch, Reply};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::rig::{PLAS, Rig};

/// Status and code.
fn of(answer: &HttpAnswer) -> (u16, String) {
    let body = answer.json();
    let code = body.get("code").or(body.get("error_code")).and_then(|code| code.as_str()).unwrap_or_default();
    (answer.status, code.to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

async fn listed(rig: &Rig) -> usize {
    let list = rig.http.get("/api/v1/operations").await.json();
    list["operations"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let rig = Rig::start().await;
    let unknown = "0190a1b2-0000-7000-8000-000000000000";
    let long = "x".repeat(400);
    for path in ["/nothing".to_owned(), "/api/v1/nothing".to_owned(), "/api/v1".to_owned(), "/api/v1/".to_owned()] {
        assert_eq!(of(&rig.http.get(&path).await), is(404, "not_found"), "{path}");
    }
    for id in [unknown, "x", "", &long, "0190A1B2-0000-7000-8000-000000000000", "%ff"] {
        for path in [format!("/api/v1/operations/{id}"), format!("/api/v1/operations/{id}/history")] {
            assert_eq!(of(&rig.http.get(&path).await), is(404, "not_found"), "{path}");
        }
        let cancel = rig.http.post(&format!("/api/v1/operations/{id}/cancel"), &json!({})).await;
        assert_eq!(of(&cancel), is(404, "not_found"), "{id}");
    }
    for path in
        ["/v1/nothing", &format!("/v1/operations/{unknown}"), "/v1/operations/x", &format!("/v1/operations/{long}")]
    {
        assert_eq!(of(&rig.http.get(path).await), is(404, "030001"), "{path}");
    }
    assert_eq!(of(&rig.http.put("/v1/operations/lower-1", &json!({})).await), is(404, "030001"));
    for path in ["/nothing", &format!("/connectors/c/operations/{unknown}"), "/connectors/c/operations/x"] {
        assert_eq!(of(&rig.http.get(&format!("{PLAS}{path}")).await), is(400, "PLAS.0404"), "{path}");
    }
    let path = format!("{PLAS}/connectors/{long}/operations/{unknown}");
    assert_eq!(of(&rig.http.get(&path).await), is(400, "PLAS.0400"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_is_told() {
    let rig = Rig::start().await;
    let request = |method: &'static str, path: String| {
        let http = rig.http.clone();
        async move { http.request(method, &path, b"").await }
    };
    for (method, path, allow) in [
        ("DELETE", "/things", "POST"),
        ("PATCH", "/pass/x", "GET, HEAD, POST"),
        ("POST", "/api/v1/operations", "GET, HEAD"),
        ("DELETE", "/api/v1/operations/x", "GET, HEAD"),
        ("GET", "/api/v1/operations/x/cancel", "POST"),
        ("GET", "/api/v1/targets/tokyo/hold", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("BREW", "/things", "POST"),
    ] {
        let answer = request(method, path.to_owned()).await;
        assert_eq!(of(&answer), is(405, "method_not_allowed"), "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    assert_eq!(of(&request("POST", "/v1/operations".to_owned()).await), is(404, "030001"));
    assert_eq!(of(&request("DELETE", "/v1/slices/7/cps".to_owned()).await), is(404, "030001"));
    assert_eq!(of(&request("DELETE", format!("{PLAS}/connectors")).await), is(400, "PLAS.0405"));
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_climb_or_hide_are_refused() {
    let rig = Rig::start().await;
    for path in ["/a/../things", "/./things", "/things/%2e%2E/x", "/things/a%00", "/things/%zz", "/api/v1/../x"] {
        assert_eq!(of(&rig.http.get(path).await), is(400, "bad_value"), "{path}");
    }
    assert_eq!(of(&rig.http.post("/v1/slices/%2e%2e/cps", &json!({})).await), is(400, "010002"));
    assert_eq!(of(&rig.http.get("/v1/operations/../x").await), is(400, "010002"));
    assert_eq!(of(&rig.http.get(&format!("{PLAS}/connectors/..")).await), is(400, "PLAS.0400"));
    assert_eq!(of(&rig.http.put("/things/%ff", &json!({})).await), is(400, "bad_value"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_and_nothing_recorded() {
    let rig = Rig::start().await;
    for body in ["{\"n\":", "not json", "", "{\"m\":1}"] {
        let native = rig.http.request("POST", "/typed", body.as_bytes()).await;
        assert_eq!(native.status, 400, "{body}: {}", native.text());
        let msf = rig.http.request("POST", "/v1/typed", body.as_bytes()).await;
        assert_eq!((msf.status, msf.json()["data_consistency"].as_str()), (400, Some("rolled back")), "{body}");
        let plas = rig.http.request("POST", &format!("{PLAS}/typed"), body.as_bytes()).await;
        assert_eq!(of(&plas), is(400, "PLAS.0400"), "{body}");
    }
    for (path, code) in [
        ("/v1/operations?format=x", "010002"),
        ("/v1/operations?limit=x", "010001"),
        ("/v1/operations?limit=0", "010003"),
        ("/v1/operations?limit=5&page_token=x", "010002"),
        ("/v1/operations?page_token=n.1", "010002"),
    ] {
        assert_eq!(of(&rig.http.get(path).await), is(400, code), "{path}");
    }
    let notify = rig.http.post("/v1/slices/7/cps?notification_address=x&notification_port=1", &json!({})).await;
    assert_eq!(of(&notify), is(400, "010002"));
    let key = rig.http.clone().with("idempotency-key", &"k".repeat(300));
    assert_eq!(of(&key.post("/things", &json!({})).await), is(400, "out_of_range"));
    assert_eq!(listed(&rig).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_a_limit_whether_they_tell_their_length_or_not() {
    let config = ServerConfig { body_bytes_max: 1000, ..ServerConfig::default() };
    let rig = Rig::with(config).await;
    let connectors = format!("{PLAS}/connectors");
    let large = vec![b' '; 1001];
    let cases =
        [("/things", 413, "body_too_large"), ("/v1/slices/7/cps", 400, "010003"), (&*connectors, 400, "PLAS.0413")];
    for (path, status, code) in cases {
        assert_eq!(of(&rig.http.request("POST", path, &large).await), is(status, code), "{path}");
        let mut connection = rig.http.open().await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n");
        connection.send(head.as_bytes()).await;
        connection.send(&large).await;
        connection.send(b"\r\n0\r\n\r\n").await;
        assert_eq!(of(&connection.answer().await), is(status, code), "{path}, chunked");
    }
    assert_eq!(listed(&rig).await, 0);
    assert_eq!(rig.http.request("POST", "/things", &large[1..]).await.status, 202);
}

/// The client sends all of a body that is refused by its length; the refusal still arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_arrives_although_the_client_is_still_sending() {
    let rig = Rig::start().await;
    let large = vec![b' '; 5 * 1024 * 1024];
    assert_eq!(of(&rig.http.request("POST", "/things", &large).await), is(413, "body_too_large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_a_limit_that_speaks_the_dialect() {
    let rig = Rig::start().await;
    let padded = rig.http.clone().with("x-padding", &"x".repeat(40_000));
    assert_eq!(of(&padded.get("/api/v1/operations").await), is(431, "head_too_large"));
    assert_eq!(of(&padded.get("/v1/operations").await), is(400, "010003"));
    assert_eq!(of(&padded.get(&format!("{PLAS}/connectors/c")).await), is(400, "PLAS.0413"));
    let many = (0..101).fold(rig.http.clone(), |http, n| http.with(&format!("x-{n}"), "y"));
    assert_eq!(of(&many.get("/v1/operations").await), is(400, "010003"));
    let long = rig.http.get(&format!("/v1/operations?format={}", "x".repeat(40_000))).await;
    assert_eq!(of(&long), is(400, "010003"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_gets_a_bare_status() {
    let rig = Rig::start().await;
    let huge = "x".repeat(200_000);
    for (octets, status) in [
        ("GET / HTTP/1.1\r\nhost: localhost\r\nbad name: x\r\n\r\n".to_owned(), "400"),
        ("NONSENSE\r\n\r\n".to_owned(), "400"),
        ("POST /things HTTP/1.1\r\nhost: localhost\r\ncontent-length: x\r\n\r\n".to_owned(), "400"),
        (
            "POST /things HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12".to_owned(),
            "400",
        ),
        (format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {huge}\r\n\r\n"), "431"),
        (format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", &huge[..70_000]), "414"),
    ] {
        let answer = rig.http.raw(octets.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
    assert_eq!(listed(&rig).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_could_be_read_in_two_ways_is_refused_in_its_dialect() {
    let rig = Rig::start().await;
    let connectors = format!("{PLAS}/connectors");
    let cases = [("/things", 400, "unparsable"), ("/v1/slices/7/cps", 400, "010001"), (&*connectors, 400, "PLAS.0400")];
    for (path, status, code) in cases {
        let mut connection = rig.http.open().await;
        // What comes before is answered as ever, what comes behind is not read.
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n");
        let doubtful = format!("{head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
        let good = format!("{head}content-length: 2\r\n\r\n{{}}");
        connection.send(format!("{good}{doubtful}{good}").as_bytes()).await;
        assert!([201, 202].contains(&connection.answer().await.status), "{path}");
        let refused = connection.answer().await;
        assert_eq!(of(&refused), is(status, code), "{path}");
        assert_eq!(refused.header("connection"), Some("close"));
        assert!(refused.text().contains("both `Content-Length` and `Transfer-Encoding`"), "{}", refused.text());
        assert_eq!(connection.rest().await, "", "{path}");
    }
    assert_eq!(listed(&rig).await, 3);
    assert!(rig.http.get("/metrics").await.text().contains("fanfold_http_rejected_total{reason=\"malformed\"} 3\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_not_text_is_named() {
    let rig = Rig::start().await;
    let mut connection = rig.http.open().await;
    connection
        .send(b"POST /things HTTP/1.1\r\nhost: localhost\r\nx-odd: \xff\xfe\r\ncontent-length: 2\r\n\r\n{}")
        .await;
    let answer = connection.answer().await;
    assert_eq!(of(&answer), is(400, "bad_value"));
    assert!(answer.text().contains("x-odd"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_records_nothing() {
    let rig = Rig::start().await;
    for request in [
        "POST /things HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{\"n\":",
        "POST /things HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"n\":\r\n",
    ] {
        let mut connection = rig.http.open().await;
        connection.send(request.as_bytes()).await;
        drop(connection);
    }
    let broken = "POST /v1/slices/7/cps HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let mut connection = rig.http.open().await;
    connection.send(broken.as_bytes()).await;
    assert_eq!(of(&connection.answer().await), is(400, "010001"));
    assert_eq!(listed(&rig).await, 0);
    assert_eq!(rig.tokyo.seen().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_not_waited_for() {
    let short = Duration::from_millis(100);
    let rig = Rig::with(ServerConfig { head_time_max: short, body_time_max: short, ..ServerConfig::default() }).await;
    let head = rig.http.raw(b"GET /things HTTP/1.1\r\nhost: loc").await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    let idle = rig.http.raw(b"").await;
    assert_eq!(idle, "");
    let body = rig.http.raw(b"POST /things HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{").await;
    assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
    assert!(body.contains("connection: close"), "{body}");
    assert_eq!(listed(&rig).await, 0);
}

/// Another octet from time to time keeps nobody waiting for longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_drips_is_cut_off_as_one_that_stops() {
    let (short, pause) = (Duration::from_millis(300), Duration::from_millis(20));
    let rig = Rig::with(ServerConfig { head_time_max: short, body_time_max: short, ..ServerConfig::default() }).await;
    for begun in [
        "GET /things HTTP/1.1\r\nhost: localhost\r\nx: ",
        "POST /things HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n",
        "POST /things HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n",
        "POST /things HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1;",
    ] {
        let stream = tokio::net::TcpStream::connect(&rig.address).await.unwrap();
        let (mut answers, mut stream) = stream.into_split();
        let dripping = async {
            let mut drops = tokio::time::interval(pause);
            stream.write_all(begun.as_bytes()).await.unwrap();
            while stream.write_all(b"x").await.is_ok() {
                drops.tick().await;
            }
        };
        let heard = async {
            let mut answer = Vec::new();
            // However the connection ends, what was said before counts.
            while let Ok(1..) = answers.read_buf(&mut answer).await {}
            String::from_utf8(answer).unwrap()
        };
        let both = async { tokio::join!(dripping, heard).1 };
        let answer = tokio::time::timeout(fanfold_testkit::PATIENCE, both).await.expect("it is cut off");
        assert!(answer.starts_with("HTTP/1.1 408 "), "{begun}: {answer}");
    }
    assert_eq!(listed(&rig).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_held_refuses_the_next() {
    let rig = Rig::start().await;
    let latch = Latch::new();
    rig.tokyo.on("POST", "*", Reply::from(Answer::json(200, &json!({ "id": 1 }))).after(&latch));
    assert_eq!(rig.http.post("/locked/7", &json!({})).await.status, 202);
    assert_eq!(of(&rig.http.post("/locked/7", &json!({})).await), is(409, "locked"));
    assert_eq!(of(&rig.http.post("/v1/locked/7", &json!({})).await), is(409, "020003"));
    assert_eq!(of(&rig.http.post(&format!("{PLAS}/locked/7"), &json!({})).await), is(400, "PLAS.0409"));
    assert_eq!(rig.http.post("/locked/8", &json!({})).await.status, 202);
    latch.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_refused_with_a_time_in_the_dialect() {
    let pace = Pace::new(1, Duration::from_secs(3_600), 4);
    let rig = Rig::with(ServerConfig { request_pace: PerTenant::same(pace), ..ServerConfig::default() }).await;
    for _ in 0..4 {
        assert_eq!(rig.http.get("/api/v1/status").await.status, 200);
    }
    let connectors = format!("{PLAS}/connectors");
    for (path, code) in [("/things", "too_many_requests"), ("/v1/slices/7/cps", "000001"), (&*connectors, "PLAS.0429")]
    {
        // Its body is not waited for.
        let mut connection = rig.http.open().await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n");
        connection.send(head.as_bytes()).await;
        let answer = connection.answer().await;
        assert_eq!(of(&answer), is(429, code));
        let wait: u64 = answer.header("retry-after").expect("it says when to come again").parse().unwrap();
        assert!((3_000..=3_600).contains(&wait), "{wait}");
        assert!(answer.text().contains("local makes more than 1 request"), "{}", answer.text());
    }
    assert_eq!(rig.http.get("/ui").await.status, 429);
    assert_eq!(rig.http.get("/healthz").await.status, 200);
    let metrics = rig.http.get("/metrics").await.text();
    assert!(metrics.contains("fanfold_http_rejected_total{reason=\"too_many_requests\"} 4\n"), "{metrics}");
    assert_eq!(rig.store.counts(None).await.unwrap().len(), 0, "nothing was accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_server_refuses_with_a_time() {
    let rig = Rig::start().await;
    rig.engine.drain(true);
    let connectors = format!("{PLAS}/connectors");
    for (path, status, code) in
        [("/things", 503, "unavailable"), ("/v1/slices/7/cps", 500, "000001"), (&*connectors, 500, "PLAS.0503")]
    {
        let answer = rig.http.post(path, &json!({})).await;
        assert_eq!(of(&answer), is(status, code));
        assert!(answer.header("retry-after").is_some());
    }
    let ready = rig.http.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &json!(false)));
    rig.engine.drain(false);
    assert_eq!(rig.http.post("/things", &json!({})).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_gone_is_told_in_the_dialect() {
    let rig = Rig::start().await;
    let id = rig.accept("POST", "/v1/slices/7/cps", &json!({})).await;
    rig.ended(&id).await;
    rig.store.close().await.unwrap();
    assert_eq!(of(&rig.http.get("/api/v1/operations").await), is(503, "store_unreachable"));
    assert_eq!(of(&rig.http.get("/v1/operations").await), is(500, "020001"));
    assert_eq!(of(&rig.http.post("/v1/slices/7/cps", &json!({})).await), is(500, "020001"));
    assert_eq!(of(&rig.http.post(&format!("{PLAS}/connectors"), &json!({})).await), is(500, "PLAS.0500"));
    assert_eq!(rig.http.get("/readyz").await.status, 503);
    assert_eq!(rig.http.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_program_is_answered_and_survived() {
    let rig = Rig::start().await;
    let id = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&id).await;
    rig.clock.break_down(true);
    assert_eq!(of(&rig.detail(&id).await), is(500, "internal"));
    rig.clock.break_down(false);
    assert_eq!(rig.detail(&id).await.status, 200);
}
