//! Passing through: both ways, as it comes, with nothing recorded.

use std::time::Duration;

use fanfold_server::ServerConfig;
use fanfold_testkit::{Answer, Latch, Reply};
use serde_json::json;

use crate::rig::{PLAS, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_its_answer_pass_as_they_are() {
    let rig = Rig::start().await;
    let answer = Answer::text(418, "short and stout")
        .header("x-kind", "teapot")
        .header("keep-alive", "timeout=5")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2");
    rig.tokyo.on("GET", "/pass/*", answer);
    let http = rig.http.clone().with("authorization", "Bearer t").with("connection", "x-hop").with("x-hop", "1");
    let passed = http.with("te", "trailers").with("x-mine", "2").get("/pass/a%2Fb?q=%20x").await;
    assert_eq!((passed.status, passed.text().as_str()), (418, "short and stout"));
    assert_eq!(passed.header("x-kind"), Some("teapot"));
    assert_eq!(passed.header("keep-alive"), None);
    let cookies: Vec<_> = passed.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert_eq!(cookies.len(), 2);
    let seen = &rig.tokyo.seen()[0];
    assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("GET", "/pass/a%2Fb?q=%20x"));
    assert_eq!(seen.header("host"), Some(rig.tokyo.address().to_string().as_str()));
    assert_eq!((seen.header("authorization"), seen.header("x-mine")), (Some("Bearer t"), Some("2")));
    assert_eq!((seen.header("x-hop"), seen.header("te")), (None, None));
    let list = rig.http.get("/api/v1/operations").await.json();
    assert_eq!(list["operations"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_streamed_both_ways() {
    let rig = Rig::start().await;
    // Far beyond what may be read as a whole.
    let large = vec![b'x'; 8 * 1024 * 1024];
    rig.tokyo.on("POST", "/pass/*", Answer::text(200, large.clone()));
    let answer = rig.http.request("POST", "/pass/large", &large).await;
    assert_eq!((answer.status, answer.body == large), (200, true));
    assert!(rig.tokyo.seen()[0].body == large);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_passed_on_piece_by_piece() {
    let rig = Rig::start().await;
    let latch = Latch::new();
    rig.tokyo.once("GET", "/pass/slow", Reply::Slow(Answer::text(200, "onetwo"), 3, latch.clone()));
    let mut connection = rig.http.open().await;
    connection.send(b"GET /pass/slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    connection.until("\r\n\r\n").await;
    latch.let_through(1);
    connection.until("one").await;
    latch.let_through(2);
    connection.until("two").await;
    connection.until("0\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_for_get_answers_head_too() {
    let rig = Rig::start().await;
    rig.tokyo.on("*", "/pass/*", Answer::text(200, "12345").header("etag", "\"1\""));
    let head = rig.http.request("HEAD", "/pass/x", b"").await;
    assert_eq!((head.status, head.header("etag"), head.header("content-length")), (200, Some("\"1\""), Some("5")));
    assert_eq!((head.body.len(), rig.tokyo.seen()[0].method.as_str()), (0, "HEAD"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_is_told_in_the_dialect() {
    let mut rig = Rig::start().await;
    let connector = format!("{PLAS}/connectors/7");
    let paths = ["/pass/x", "/v1/slices/7", &connector];
    let codes = async |http: &fanfold_testkit::Http| {
        let mut codes = Vec::new();
        for path in paths {
            let answer = http.get(path).await;
            let body = answer.json();
            let code = body.get("code").or(body.get("error_code")).unwrap().as_str().unwrap().to_owned();
            codes.push((answer.status, code));
        }
        codes
    };
    let are = |codes: [(u16, &str); 3]| codes.map(|(status, code)| (status, code.to_owned())).to_vec();
    rig.tokyo.on("*", "*", Reply::Raw("nonsense\r\n\r\n".into()));
    let broken = codes(&rig.http).await;
    assert_eq!(broken, are([(502, "target_unreachable"), (500, "060003"), (500, "PLAS.0502")]));
    rig.tokyo.stop().await;
    let gone = rig.http.get("/v1/slices/7").await;
    assert_eq!((gone.status, &gone.json()["error_code"]), (500, &json!("060001")));
    rig.http.post("/api/v1/targets/tokyo/hold", &json!({ "reason": "test" })).await;
    let held = codes(&rig.http).await;
    assert_eq!(held, are([(503, "unavailable"), (500, "000001"), (500, "PLAS.0503")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_breaks_off_here_too() {
    let rig = Rig::start().await;
    rig.tokyo.once("GET", "/pass/half", Reply::Half(Answer::text(200, "123456"), 3));
    let broken = rig.http.try_request("GET", "/pass/half", b"").await;
    assert!(broken.is_err(), "{broken:?}");
    assert_eq!(rig.http.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pauses_is_not_the_targets_fault() {
    let config = ServerConfig { upload_idle_max: Duration::from_millis(100), ..ServerConfig::default() };
    let rig = Rig::with(config).await;
    let head = b"POST /pass/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345";
    let answer = rig.http.raw(head).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let target = rig.http.get("/api/v1/targets/tokyo").await.json();
    assert_eq!((&target["state"], &target["totals"]["broke"]), (&json!("ok"), &json!(0)));
    assert_eq!(target["in_flight"], json!({ "forward": 0, "undo": 0, "pass": 0 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_left() {
    let config = ServerConfig { write_idle_max: Duration::from_millis(100), ..ServerConfig::default() };
    let rig = Rig::with(config).await;
    // More than all buffers on the way hold together.
    rig.tokyo.on("GET", "/pass/x", Answer::text(200, vec![b'x'; 64 * 1024 * 1024]));
    let mut connection = rig.http.open().await;
    connection.send(b"GET /pass/x HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    rig.tokyo.wait_for(1).await;
    rig.tokyo.wait_until_left_alone().await;
    drop(connection);
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_and_tunnels_are_refused() {
    let rig = Rig::start().await;
    let upgrade = rig.http.clone().with("upgrade", "websocket").with("connection", "upgrade");
    let answer = upgrade.request("GET", "/pass/x", b"").await;
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("bad_value")));
    let tunnel = rig.http.raw(b"CONNECT localhost:1 HTTP/1.1\r\nhost: localhost:1\r\nconnection: close\r\n\r\n").await;
    assert!(tunnel.starts_with("HTTP/1.1 400 "), "{tunnel}");
}
