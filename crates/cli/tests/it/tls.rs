//! The real program with TLS in front.

use fanfold_testkit::certificates::{Authority, Names};
use fanfold_testkit::{FakeTarget, Home, Http};

use crate::program::{Server, config, run, things};

const TLS: &str = "[server.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";

/// A server that speaks TLS with a certificate of this authority.
async fn start(authority: &Authority, target: &FakeTarget) -> (Home, Server) {
    let home = Home::new(&config(&[("tokyo", target)], &format!("{TLS}{}", things(&["tokyo"]))));
    authority.server().write(home.path(), "server");
    let mut server = Server::start(&home).await;
    assert!(server.url.starts_with("https://"), "{}", server.url);
    server.http = Http::new(&server.url).trusting(authority.pem());
    (home, server)
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_after_a_reload_and_open_connections_go_on() {
    let (authority, tokyo) = (Authority::new(), FakeTarget::start().await);
    let (home, server) = start(&authority, &tokyo).await;
    let id = server.put("/things/1").await;
    assert_eq!(server.end_of(&id).await["status"], "completed");
    let mut open = server.http.open().await;
    let first = server.http.certificate().await.unwrap();

    let renewed = authority.server();
    renewed.write(home.path(), "server");
    assert_eq!(server.http.certificate().await.unwrap(), first, "nobody said that there is a new one");
    server.process.reload();
    server.process.line("the configuration was reloaded").await;
    let second = server.http.certificate().await.unwrap();
    assert_ne!(second, first);
    open.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(open.answer().await.status, 200);

    std::fs::write(home.path().join("server.key"), authority.server().key).unwrap();
    server.process.reload();
    server.process.line("the key is not that of the certificate").await;
    server.process.line("nothing has changed").await;
    assert_eq!(server.http.certificate().await.unwrap(), second);
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_told_of_and_stops_nothing_that_was_accepted() {
    let (authority, tokyo) = (Authority::new(), FakeTarget::start().await);
    let (home, server) = start(&authority, &tokyo).await;
    let id = server.put("/things/1").await;
    server.end_of(&id).await;
    server.stop().await;
    authority.server_between(2001, 2002).write(home.path(), "server");
    let checked = run(home.path(), &["check"]).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains("the certificate was good until 2002-01-01T00:00:00Z"), "{}", checked.stdout);
    let server = Server::start(&home).await;
    let refused = Http::new(&server.url).trusting(authority.pem()).certificate().await.unwrap_err();
    assert!(refused.to_string().contains("expired"), "{refused}");
    server.process.line("handshakes do not succeed").await;
    server.stop().await;
}

#[tokio::test]
async fn commands_talk_to_a_server_whose_authority_they_know() {
    let (authority, tokyo) = (Authority::new(), FakeTarget::start().await);
    let (home, server) = start(&authority, &tokyo).await;
    std::fs::write(home.path().join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(home.path().join("other.pem"), Authority::new().pem()).unwrap();
    let sent = server.run(&home, &["send", "PUT", "/things/1", "--data", "{}", "--ca-file", "ca.pem"]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.stderr);
    let status = server.run(&home, &["status", "--ca-file", "ca.pem"]).await;
    assert_eq!(status.code, Some(0), "{}", status.stderr);

    let stranger = server.run(&home, &["status", "--ca-file", "other.pem"]).await;
    assert_eq!(stranger.code, Some(4), "{}", stranger.stderr);
    assert!(
        stranger.stderr.contains("UnknownIssuer; an authority of your own is named with --ca-file"),
        "{}",
        stranger.stderr
    );
    let missing = server.run(&home, &["status", "--ca-file", "none.pem"]).await;
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);
    let nonsense = server.run(&home, &["status", "--ca-file", "server.key"]).await;
    assert!(nonsense.stderr.contains("cannot read certificates from PEM: there are none"), "{}", nonsense.stderr);
    let in_clear = run(home.path(), &["status", "--server", &server.url.replace("https", "http")]).await;
    assert_eq!(in_clear.code, Some(7), "{}", in_clear.stderr);
    assert!(in_clear.stderr.contains("400: this port speaks HTTPS only"), "{}", in_clear.stderr);
}

#[tokio::test]
async fn a_command_is_known_by_its_certificate_until_a_reload_takes_that_back() {
    let (servers, clients, tokyo) = (Authority::new(), Authority::new(), FakeTarget::start().await);
    let home = Home::new("");
    let configure = |name: &str| {
        let tls = format!("{TLS}client_authorities = \"clients.pem\"\nrequire_client_certificate = true\n");
        let known =
            format!("[[auth.certificates]]\nname = \"{name}\"\ncommon_name = \"{name}\"\nroles = [\"admin\"]\n");
        home.configure(&config(&[("tokyo", &tokyo)], &format!("{tls}{known}{}", things(&["tokyo"]))));
    };
    configure("ann");
    servers.server().write(home.path(), "server");
    std::fs::write(home.path().join("ca.pem"), servers.pem()).unwrap();
    std::fs::write(home.path().join("clients.pem"), clients.pem()).unwrap();
    for name in ["ann", "bert"] {
        clients.client(&Names { common_name: Some(name), ..Names::default() }).write(home.path(), name);
    }
    let server = Server::start(&home).await;
    let run_as = async |name: &str, command: &[&str]| {
        let (chain, key) = (format!("{name}.pem"), format!("{name}.key"));
        let shown = ["--ca-file", "ca.pem", "--cert-file", &chain, "--key-file", &key];
        server.run(&home, &[command, &shown].concat()).await
    };
    let drained = run_as("ann", &["drain"]).await;
    assert_eq!(drained.code, Some(0), "{}", drained.stderr);
    let told = run_as("ann", &["whoami"]).await;
    assert!(told.stdout.contains("ann") && told.stdout.contains("certificate"), "{}", told.stdout);
    let trail = run_as("ann", &["audit", "--output", "json"]).await;
    assert!(trail.stdout.contains("\"credential\":\"certificate\""), "{} {}", trail.stdout, trail.stderr);
    let unknown = run_as("bert", &["whoami"]).await;
    assert_eq!(unknown.code, Some(7), "{}", unknown.stderr);
    let nothing = server.run(&home, &["whoami", "--ca-file", "ca.pem"]).await;
    assert_eq!(nothing.code, Some(4), "{}", nothing.stderr);

    configure("bert");
    server.process.reload();
    server.process.line("the configuration was reloaded").await;
    assert_eq!(run_as("ann", &["whoami"]).await.code, Some(7));
    assert_eq!(run_as("bert", &["whoami"]).await.code, Some(0));
}
