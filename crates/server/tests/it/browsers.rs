//! What a page of somebody else can do with a server that trusts its machine: nothing.

use fanfold_testkit::Answer;
use serde_json::json;

use crate::rig::{PLAS, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn another_host_is_refused_everywhere() {
    let rig = Rig::start().await;
    let connector = format!("{PLAS}/connectors/7");
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/ui",
        "/ui/live",
        "/api/v1/operations",
        "/v1/operations",
        "/pass/x",
        "/x",
        &connector,
    ] {
        for host in ["evil.example", "192.0.2.1:80", "localhost.evil.example"] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            let answer = rig.http.raw(request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{path} {host}: {answer}");
        }
    }
    assert_eq!(rig.tokyo.seen().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_names_are_answered() {
    let rig = Rig::start().await;
    for host in ["localhost", "127.0.0.1:1", "[::1]", "fanfold.example", "x.localhost:80"] {
        let mut connection = rig.http.open().await;
        connection.send(format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await;
        assert_eq!(connection.answer().await.status, 200, "{host}");
    }
    let mut connection = rig.http.open().await;
    connection.send(b"GET /healthz HTTP/1.1\r\n\r\n").await;
    assert_eq!(connection.answer().await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_reads_nothing_of_a_target_either() {
    let rig = Rig::start().await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("service-worker", "script"),
    ] {
        assert_eq!(rig.http.clone().with(name, value).get("/pass/x").await.status, 400, "{name}: {value}");
    }
    let posted = rig.http.clone().with("sec-fetch-site", "cross-site").post("/things", &json!({})).await;
    assert_eq!(posted.status, 400, "a form that names no origin");
    assert_eq!(rig.tokyo.seen().len(), 0);
    assert_eq!(rig.http.clone().with("sec-fetch-site", "same-origin").get("/pass/x").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_target_cannot_reach_the_console() {
    let rig = Rig::start().await;
    let page = Answer::text(200, "<script>fetch('/api/v1/drain', { method: 'POST' })</script>")
        .header("content-type", "text/html")
        .header("content-security-policy", "default-src *")
        .header("service-worker-allowed", "/")
        .header("clear-site-data", "\"*\"");
    rig.tokyo.on("GET", "/pass/page", page);
    let passed = rig.http.get("/pass/page").await;
    let policies: Vec<_> = passed.headers.iter().filter(|(name, _)| name == "content-security-policy").collect();
    assert_eq!(policies.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["default-src *", "sandbox"]);
    assert_eq!(passed.header("x-content-type-options"), Some("nosniff"));
    assert_eq!((passed.header("service-worker-allowed"), passed.header("clear-site-data")), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_starts_nothing() {
    let rig = Rig::start().await;
    for origin in ["https://evil.example", "null", "http://localhost:3000"] {
        let http = rig.http.clone().with("origin", origin);
        assert_eq!(http.post("/things", &json!({})).await.json()["code"], "bad_value", "{origin}");
        assert_eq!(http.post("/v1/slices/7/cps", &json!({})).await.json()["error_code"], "010002");
        assert_eq!(http.request("POST", "/pass/x", b"").await.status, 400);
        assert_eq!(http.post("/api/v1/targets/tokyo/hold", &json!({})).await.status, 400);
        assert_eq!(http.request("POST", "/ui/targets/tokyo/hold", b"").await.status, 400);
        assert_eq!(http.get("/healthz").await.status, 200);
    }
    assert_eq!(rig.http.get("/api/v1/operations").await.json()["operations"], json!([]));
    assert_eq!(rig.tokyo.seen().len(), 0);
    let own = rig.http.clone().with("origin", &format!("http://{}", rig.address));
    assert_eq!(own.post("/things", &json!({})).await.status, 202);
    let public = rig.http.clone().with("origin", "https://fanfold.example");
    assert_eq!(public.post("/things", &json!({})).await.status, 202);
}
