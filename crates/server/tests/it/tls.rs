//! TLS in front: what clients are shown, and how long they may take.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::Access;
use fanfold_core::access::Secret;
use fanfold_server::{FixedToken, ServerConfig, Tls};
use fanfold_testkit::certificates::{Authority, Identity};
use fanfold_testkit::{Http, PATIENCE};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::rig::{Rig, front_at, routes};

fn tls(identity: &Identity) -> Tls {
    Tls::new(identity.chain.as_bytes(), identity.key.as_bytes(), None).unwrap()
}

/// A server that speaks TLS, and a client that trusts it.
async fn rig(config: ServerConfig) -> (Rig, Authority, Http) {
    let (rig, authority) = (Rig::with(config).await, Authority::new());
    rig.server.replace_tls(Some(tls(&authority.server())));
    let client = Http::new(&rig.address).trusting(authority.pem());
    (rig, authority, client)
}

#[tokio::test]
async fn a_session_that_is_begun_within_tls_is_shown_within_tls_alone() {
    let (rig, _, client) = rig(ServerConfig::default()).await;
    rig.server.replace_front(front_at("http://fanfold.example", routes()));
    let secret = Secret::from_random([1; 32]);
    let (name, digest) = ("root".to_owned(), secret.digest());
    rig.ask_for(vec![FixedToken { name, digest, access: Access::full(), expires_at: None }]);
    let own = client.with("origin", &format!("https://{}", rig.address));
    let signed_in = own.request("POST", "/ui/sign-in", format!("token={}", secret.expose()).as_bytes()).await;
    let field = signed_in.header("set-cookie").unwrap_or_else(|| panic!("{}", signed_in.text()));
    assert!(field.starts_with("__Secure-fanfold-session=fanfold_") && field.ends_with("; Secure"), "{field}");
    let cookie = field.split(';').next().unwrap();
    assert_eq!(own.clone().with("cookie", cookie).get("/ui").await.status, 200);
    assert_eq!(own.with("cookie", cookie.trim_start_matches("__Secure-")).get("/ui").await.status, 303);
}

/// Reads the metrics until one of them has this line.
async fn until_metrics_say(client: &Http, line: &str) {
    let said = async { while !client.get("/metrics").await.text().contains(line) {} };
    tokio::time::timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("the metrics do not say {line:?}"));
}

#[tokio::test]
async fn requests_are_answered_within_tls() {
    let (_rig, _, client) = rig(ServerConfig::default()).await;
    let answer = client.post("/things", &serde_json::json!({})).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let mut connection = client.open().await;
    for _ in 0..3 {
        connection.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert_eq!(connection.answer().await.text(), "ok\n");
    }
}

#[tokio::test]
async fn a_client_that_trusts_others_gets_no_answer() {
    let (_rig, _, client) = rig(ServerConfig::default()).await;
    let stranger = client.clone().trusting(Authority::new().pem());
    let refused = stranger.try_request("GET", "/healthz", b"").await.unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    until_metrics_say(&client, "fanfold_http_rejected_total{reason=\"no_handshake\"} 1\n").await;
}

#[tokio::test]
async fn another_certificate_is_shown_from_the_next_connection_on() {
    let (rig, authority, client) = rig(ServerConfig::default()).await;
    let mut open = client.open().await;
    let before = client.certificate().await.unwrap();
    rig.server.replace_tls(Some(tls(&authority.server())));
    assert_ne!(client.certificate().await.unwrap(), before);
    open.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(open.answer().await.status, 200);
}

#[tokio::test]
async fn http_in_clear_is_told_what_is_spoken() {
    let (rig, _, client) = rig(ServerConfig::default()).await;
    let answer = rig.http.get("/healthz").await;
    assert_eq!((answer.status, &answer.json()["detail"]), (400, &"this port speaks HTTPS only".into()));
    assert!(!rig.http.raw(b"\x00\x01\x02\x03\x04\x05\x06\x07").await.contains("HTTP"));
    until_metrics_say(&client, "fanfold_http_rejected_total{reason=\"no_handshake\"} 2\n").await;
    // Whoever merely looks whether somebody listens did nothing wrong.
    drop(rig.http.open().await);
    until_metrics_say(&client, "fanfold_http_connections 1\n").await;
    until_metrics_say(&client, "fanfold_http_rejected_total{reason=\"no_handshake\"} 2\n").await;
}

#[tokio::test]
async fn a_handshake_that_comes_to_no_end_is_given_up_and_counts_as_a_connection_until_then() {
    let config =
        ServerConfig { connections_max: 1, handshake_time_max: Duration::from_secs(1), ..ServerConfig::default() };
    let (rig, _, client) = rig(config).await;
    let mut silent = rig.http.open().await;
    let mut half = rig.http.open().await;
    // The head of a record that is never there as a whole.
    half.send(b"\x16\x03\x01\x02\x00\x01").await;
    assert_eq!(silent.rest().await, "");
    assert_eq!(half.rest().await, "");
    let metrics = client.get("/metrics").await.text();
    assert!(metrics.contains("fanfold_http_rejected_total{reason=\"no_handshake\"} 2\n"), "{metrics}");
    assert!(metrics.contains("fanfold_http_connections 1\n"), "{metrics}");
}

#[tokio::test]
async fn the_head_has_its_time_from_the_handshake_on() {
    let config = ServerConfig { head_time_max: Duration::from_millis(300), ..ServerConfig::default() };
    let (_rig, _, client) = rig(config).await;
    let mut slow = client.open().await;
    slow.send(b"GET /healthz HTTP/1.1\r\nhost: loc").await;
    assert!(slow.rest().await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn a_stop_waits_for_no_handshake() {
    let (mut rig, _, client) = rig(ServerConfig::default()).await;
    let mut silent = rig.http.open().await;
    until_metrics_say(&client, "fanfold_http_connections 2\n").await;
    assert_eq!(rig.stopped().await, 0);
    assert_eq!(silent.rest().await, "");
}

#[tokio::test]
async fn the_end_of_the_certificate_is_among_the_metrics() {
    let (rig, authority, client) = rig(ServerConfig::default()).await;
    rig.server.replace_tls(Some(tls(&authority.server_between(2020, 2070))));
    let metrics = client.get("/metrics").await.text();
    assert!(metrics.contains("fanfold_http_certificate_end_seconds 3155760000\n"), "{metrics}");
    rig.server.replace_tls(None);
    assert!(!rig.http.get("/metrics").await.text().contains("fanfold_http_certificate_end_seconds 3"));
}

#[tokio::test]
async fn what_is_sent_within_tls_is_looked_at_as_closely() {
    let (rig, _, client) = rig(ServerConfig::default()).await;
    let doubtful =
        b"POST /things HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut connection = client.open().await;
    connection.send(doubtful).await;
    assert!(connection.rest().await.starts_with("HTTP/1.1 400 "));
    let page = client.with("origin", &format!("http://{}", rig.address));
    assert_eq!(page.post("/things", &serde_json::json!({})).await.status, 400, "its page came without TLS");
}

/// What a client that offers these versions and protocols agrees on with the server.
async fn agreed(
    rig: &Rig,
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> std::io::Result<(Option<ProtocolVersion>, Option<Vec<u8>>)> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(&rig.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let session = stream.get_ref().1;
    Ok((session.protocol_version(), session.alpn_protocol().map(<[u8]>::to_vec)))
}

#[tokio::test]
async fn both_versions_are_spoken_and_http_1_1_within() {
    let (rig, authority, _) = rig(ServerConfig::default()).await;
    let both: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
    let older: &[&SupportedProtocolVersion] = &[&TLS12];
    let http = || Some(b"http/1.1".to_vec());
    let agreed = async |versions, protocols: &[&str]| agreed(&rig, &authority, versions, protocols).await;
    assert_eq!(agreed(both, &["h2", "http/1.1"]).await.unwrap(), (Some(ProtocolVersion::TLSv1_3), http()));
    assert_eq!(agreed(older, &["http/1.1"]).await.unwrap(), (Some(ProtocolVersion::TLSv1_2), http()));
    assert_eq!(agreed(both, &[]).await.unwrap(), (Some(ProtocolVersion::TLSv1_3), None));
    let refused = agreed(both, &["h2"]).await.unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up_within_tls_too() {
    let config = ServerConfig { write_idle_max: Duration::from_millis(300), ..ServerConfig::default() };
    let (_rig, _, client) = rig(config).await;
    let mut greedy = client.open().await;
    // More answers than all buffers between here and there hold.
    let asking =
        async { while greedy.try_send(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n").await.is_ok() {} };
    tokio::time::timeout(PATIENCE, asking).await.expect("the server gives the connection up");
    until_metrics_say(&client, "fanfold_http_connections 1\n").await;
}
