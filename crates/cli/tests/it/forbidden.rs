//! Addresses that a client gives and nobody may have called, asked of the real program over real sockets. Where they would lead
//! somebody listens, who hears nothing.

use std::fmt::Write as _;

use fanfold_testkit::{FakeTarget, Home, PATIENCE};
use serde_json::json;

use crate::program::{Server, config};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A server whose rules allow as much as one can without naming what is inside, or this machine too.
fn settings(tokyo: &FakeTarget, more: &str) -> String {
    let rest = format!(
        "[notices]\nallow = [\"0.0.0.0/0\", \"::/0\", \"localhost\", \"*.localhost\", \"*.example\"{more}]\n\
         secrets = [\"{SECRET}\"]\nattempts = 1\n\n\
         [[mounts]]\ndialect = \"msf\"\nprefix = \"/v1\"\n\n\
         [[routes]]\nname = \"things\"\nmatch = \"PUT /things/{{id}}\"\ntargets = [\"tokyo\"]\n\n\
         [[routes]]\nname = \"old\"\ndialect = \"msf\"\nmatch = \"PUT /v1/things/{{id}}\"\ntargets = [\"tokyo\"]\n\n\
         [[routes]]\nname = \"pass\"\nmatch = \"GET /{{*rest}}\"\npass = \"tokyo\"\n"
    );
    config(&[("tokyo", tokyo)], &rest)
}

/// Spellings of addresses at which this machine listens, at a port in place of `:P`; and of others that nobody may have called.
const CALLBACKS: &[&str] = &[
    "http://127.0.0.1:P/",
    "HTTP://127.0.0.1:P/",
    "http://127.0.0.1.:P/",
    "http://2130706433:P/",
    "http://0177.0.0.1:P/",
    "http://0x7f.1:P/",
    "http://0x7f000001:P/",
    "http://127.1:P/",
    "http://0:P/",
    "http://0.0.0.0:P/",
    "http://localhost:P/",
    "http://LOCALHOST.:P/",
    "http://a.localhost:P/",
    "http://[::1]:P/",
    "http://[::]:P/",
    "http://[0:0:0:0:0:0:0:1]:P/",
    "http://[::1%25lo]:P/",
    "http://[::ffff:127.0.0.1]:P/",
    "http://[::ffff:7f00:1]:P/",
    "http://[::127.0.0.1]:P/",
    "http://[64:ff9b::7f00:1]:P/",
    "http://[2002:7f00:1::]:P/",
    "http://hooks.example@127.0.0.1:P/",
    "http://hooks.example:80@127.0.0.1:P/",
    "http://127.0.0.1:P\\@hooks.example/",
    "http:\\\\127.0.0.1:P/",
    "http://127.0.0.1\t:P/",
    "http://%31%32%37.0.0.1:P/",
    "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1:P/",
    "http://127\u{3002}0\u{3002}0\u{3002}1:P/",
    "http://\u{24db}ocalhost:P/",
    "http://127.0.0.1:P0000/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:65536/",
    "ftp://127.0.0.1:P/",
    "file:///etc/passwd",
    "unix:///run/docker.sock",
    "//127.0.0.1:P/",
    "127.0.0.1:P",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/",
];

/// The same for the two parameters of `msf`.
const ADDRESSES: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1.",
    "2130706433",
    "0177.0.0.1",
    "0x7f.1",
    "127.1",
    "0.0.0.0",
    "localhost",
    "::1",
    "%3A%3A1",
    "[::1]",
    "::ffff:127.0.0.1",
    "%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1",
    "127.0.0.1%00",
    "127.0.0.1%0d%0a",
    "%20127.0.0.1",
    "127.0.0.1:80",
    "hooks.example@127.0.0.1",
    "http://127.0.0.1/",
    "169.254.169.254",
    "10.0.0.1",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
];

/// Asks with bytes as they are; gives status and answer.
async fn asked(server: &Server, path: &str, field: &str) -> (u16, String) {
    let host = server.url.trim_start_matches("http://");
    let head =
        format!("PUT {path} HTTP/1.1\r\nhost: {host}\r\n{field}content-length: 2\r\nconnection: close\r\n\r\n{{}}");
    let answer = server.http.raw(head.as_bytes()).await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer to {head:?}: {answer:?}")), answer)
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "how much was tried is worth knowing")]
async fn nobody_inside_is_called_in_any_spelling_until_a_rule_names_the_network() {
    let (tokyo, inside, six) = (FakeTarget::start().await, FakeTarget::start().await, FakeTarget::start_v6().await);
    let [port, port_of_six] = [&inside, &six].map(|listener| listener.address().port().to_string());
    let home = Home::new(&settings(&tokyo, ""));
    let server = Server::start(&home).await;
    let mut wrong = String::new();
    let both = [&port, &port_of_six]
        .into_iter()
        .flat_map(|port| CALLBACKS.iter().map(move |text| text.replace(":P", &format!(":{port}"))));
    for callback in both {
        let (status, answer) = asked(&server, "/things/1", &format!("fanfold-callback-url: {callback}\r\n")).await;
        if status != 400 {
            writeln!(wrong, "{callback:?}: {answer}").unwrap();
        }
    }
    for address in ADDRESSES {
        let path = format!("/v1/things/1?notification_address={address}&notification_port={port}");
        let (status, answer) = asked(&server, &path, "").await;
        if status != 400 || !answer.contains("010002") && !answer.contains("010001") {
            writeln!(wrong, "{address:?}: {answer}").unwrap();
        }
    }
    for wrong_port in ["0", "65536", "+80", "-1", "80a", "%38%30%0a", ""] {
        let path = format!("/v1/things/1?notification_address=9.9.9.9&notification_port={wrong_port}");
        let (status, answer) = asked(&server, &path, "").await;
        if status != 400 {
            writeln!(wrong, "port {wrong_port:?}: {answer}").unwrap();
        }
    }
    assert_eq!(wrong, "");
    assert_eq!(server.get("/api/v1/operations").await.json()["operations"], json!([]), "nothing is recorded");
    assert_eq!([inside.connections(), six.connections(), tokyo.connections()], [0; 3]);
    println!(
        "{} addresses at which somebody listens, and {} of msf: nobody was called",
        CALLBACKS.len(),
        ADDRESSES.len()
    );

    // The same is called once a rule names it: it is the rules that kept everybody away.
    home.configure(&settings(&tokyo, ", \"127.0.0.0/8\""));
    server.process.reload();
    server.process.line("the configuration was reloaded").await;
    let callback = format!("fanfold-callback-url: http://127.0.0.1:{port}/\r\n");
    assert_eq!(asked(&server, "/things/1", &callback).await.0, 202);
    tokio::time::timeout(PATIENCE, inside.wait_for(1)).await.unwrap();
    assert_eq!(inside.connections(), 1);
    server.stop().await;
}

/// Request targets that name somebody else, or try to climb.
const TARGETS: &[&str] = &[
    "http://EVIL/x",
    "http://EVIL@127.0.0.1/x",
    "//EVIL/x",
    "///EVIL/x",
    "/\\EVIL/x",
    "\\\\EVIL\\x",
    "/x/..",
    "/../x",
    "/x/%2e%2e/y",
    "/x/%2E./y",
    "/x/..%2fy",
    "/x/..%5cy",
    "/x/..;/y",
    "/x/.%00./y",
    "/x@EVIL/",
    "/:80/x",
    "/x?url=http://EVIL/",
    "/x#//EVIL",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_through_stays_at_its_target_and_below_its_prefix() {
    let (tokyo, evil) = (FakeTarget::start().await, FakeTarget::start().await);
    let address = evil.address().to_string();
    tokyo.on("GET", "/base/moved", fanfold_testkit::Answer::empty(302).header("location", evil.url()));
    let own = format!("url = \"{}\"", tokyo.url());
    let home = Home::new(&settings(&tokyo, "").replace(&own, &format!("url = \"{}/base\"", tokyo.url())));
    let server = Server::start(&home).await;
    let host = server.url.trim_start_matches("http://");
    for target in TARGETS.iter().chain(&["/moved"]) {
        let target = target.replace("EVIL", &address);
        let head = format!(
            "GET {target} HTTP/1.1\r\nhost: {host}\r\nx-forwarded-host: {address}\r\nconnection: close\r\n\r\n"
        );
        let answer = server.http.raw(head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{target}: {answer:?}");
    }
    for seen in tokyo.seen() {
        assert!(seen.path().starts_with("/base/") && !seen.path().contains(".."), "{}", seen.uri);
        assert_eq!(seen.header("host"), Some(tokyo.address().to_string().as_str()), "{}", seen.uri);
    }
    assert!(tokyo.seen().len() >= 3, "{:?}", tokyo.seen());
    assert_eq!(evil.connections(), 0);
    server.stop().await;
}
