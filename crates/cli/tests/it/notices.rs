//! Notices: who is told of the end of an operation, what becomes of those that nobody takes, and sending them again.

use fanfold_testkit::{Answer, FakeTarget, Home, Latch, PATIENCE, Reply};
use serde_json::{Value, json};

use crate::program::{Server, config, database, run, text, things};

/// A server in front of one target whose `msf` clients may be told at this machine.
fn msf(tokyo: &FakeTarget) -> String {
    let rest = "[notices]\nallow = [\"127.0.0.1\"]\nattempts = 2\nbackoff = \"1ms\"\nbackoff_max = \"5ms\"\n\n\
                [[mounts]]\ndialect = \"msf\"\nprefix = \"/v1\"\n\n\
                [[routes]]\nname = \"put-thing\"\ndialect = \"msf\"\nmatch = \"PUT /v1/things/{id}\"\ntargets = [\"tokyo\"]\n";
    config(&[("tokyo", tokyo)], rest)
}

/// Puts a thing and asks to be told at the receiver; gives the id of the operation.
async fn put(server: &Server, receiver: &FakeTarget) -> String {
    let address = receiver.address();
    let path = format!("/v1/things/1?notification_address={}&notification_port={}", address.ip(), address.port());
    let answer = server.http.put(&path, &json!({ "size": 3 })).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    text(&answer.json()["operation_id"])
}

/// The only notice about an operation, once it is in this state.
async fn notice(server: &Server, operation: &str, state: &str) -> Value {
    let path = format!("/api/v1/notices?operation={operation}&state={state}");
    let found = async {
        loop {
            let listed = server.get(&path).await.json();
            if let [notice] = listed["notices"].as_array().unwrap().as_slice() {
                return notice.clone();
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no {state} notice about {operation}"))
}

#[tokio::test]
async fn dead_letter_and_replay() {
    let (tokyo, receiver) = (FakeTarget::start().await, FakeTarget::start().await);
    receiver.on("PUT", "*", Answer::empty(500));
    let home = Home::new(&msf(&tokyo));
    let server = Server::start(&home).await;
    let operation = put(&server, &receiver).await;

    let dead = notice(&server, &operation, "dead").await;
    assert_eq!((&dead["attempts"], &dead["due_at"]), (&json!(2), &Value::Null));
    assert!(text(&dead["last_error"]).contains("500"), "{dead}");
    assert_eq!(receiver.seen().len(), 2);
    let id = text(&dead["id"]);
    assert_eq!(server.get(&format!("/api/v1/notices/{id}")).await.json(), dead);
    let listed = server.run(&home, &["notices", "list", "--state", "dead"]).await;
    assert!(listed.stdout.contains(&id) && listed.stdout.contains(&operation), "{}", listed.stdout);
    let shown = server.run(&home, &["notices", "show", &id]).await;
    assert!(shown.stdout.contains("answered 500"), "{}", shown.stdout);

    // It outlives the process, and so does its id.
    server.stop().await;
    let server = Server::start(&home).await;
    receiver.on("PUT", "*", Answer::empty(204));
    let replayed = server.http.request("POST", &format!("/api/v1/notices/{id}/replay"), b"").await;
    assert_eq!(replayed.status, 200, "{}", replayed.text());
    let delivered = notice(&server, &operation, "delivered").await;
    assert_eq!((text(&delivered["id"]), &delivered["attempts"]), (id.clone(), &json!(1)));
    let seen = receiver.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request.body == seen[0].body && request.uri == seen[0].uri));
    assert_eq!(text(&seen[2].json()["operation_id"]), operation);

    let again = server.http.request("POST", &format!("/api/v1/notices/{id}/replay"), b"").await;
    assert_eq!((again.status, text(&again.json()["code"]).as_str()), (409, "not_possible"), "{}", again.text());
    assert!(again.text().contains("the notice is delivered"), "{}", again.text());
    let refused = run(home.path(), &["notices", "replay", &id, "--server", &server.url]).await;
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);
    for (method, path) in [("GET", "/api/v1/notices/x"), ("POST", "/api/v1/notices/x/replay")] {
        assert_eq!(server.http.request(method, path, b"").await.status, 404, "{method} {path}");
    }
}

#[tokio::test]
async fn all_dead_letters_are_replayed_by_one_command() {
    let (tokyo, receiver) = (FakeTarget::start().await, FakeTarget::start().await);
    receiver.on("PUT", "*", Answer::empty(500));
    let home = Home::new(&msf(&tokyo));
    let server = Server::start(&home).await;
    let mut operations = Vec::new();
    for _ in 0..3 {
        operations.push(put(&server, &receiver).await);
        notice(&server, &operations[operations.len() - 1], "dead").await;
    }
    let [one, other, third] = operations.try_into().unwrap();
    receiver.on("PUT", "*", Answer::empty(204));
    let first = server.run(&home, &["notices", "replay", "--all-dead", "--operation", &one]).await;
    assert_eq!((first.code, first.stderr.lines().count()), (Some(0), 1), "{}", first.stderr);
    let delivered = text(&notice(&server, &one, "delivered").await["id"]);
    // What is refused keeps none of the others back, and the worst of it is the exit code.
    let dead = text(&notice(&server, &third, "dead").await["id"]);
    let named = server.run(&home, &["notices", "replay", "nothing", &delivered, &dead]).await;
    assert_eq!(named.code, Some(7), "{}", named.stderr);
    assert!(named.stderr.contains(&format!("notice {delivered} is not sent again: ")), "{}", named.stderr);
    assert!(named.stderr.ends_with("fanfold: 2 of 3 were not done\n"), "{}", named.stderr);
    notice(&server, &third, "delivered").await;
    let second = server.run(&home, &["notices", "replay", "--all-dead", "--output", "json"]).await;
    assert_eq!((second.code, second.stdout.lines().count()), (Some(0), 1), "{}", second.stdout);
    notice(&server, &other, "delivered").await;
    let none = server.run(&home, &["notices", "replay", "--all-dead"]).await;
    assert_eq!((none.code, none.stderr.as_str()), (Some(0), "no dead letters\n"));
}

/// 32 octets each.
const OLD: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW: &str = "whsec_Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

#[tokio::test]
async fn webhooks_are_signed_with_what_is_configured_now_and_show_no_secret() {
    let (tokyo, receiver) = (FakeTarget::start().await, FakeTarget::start().await);
    let signed_with = |secrets: &str| {
        let notices = format!("[notices]\nallow = [\"127.0.0.1\"]\nsecrets = [{secrets}]\n");
        config(&[("tokyo", &tokyo)], &format!("{notices}{}", things(&["tokyo"])))
    };
    let home = Home::new(&signed_with("\"${file:old}\""));
    std::fs::write(home.path().join("old"), OLD).unwrap();
    std::fs::write(home.path().join("new"), NEW).unwrap();
    let server = Server::start(&home).await;
    let asking = server.http.clone().with("fanfold-callback-url", &format!("{}/a?token=s3cret", receiver.url()));
    let put = async || {
        let answer = asking.put("/things/1", &json!({})).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        text(&answer.json()["id"])
    };
    let operation = put().await;
    let delivered = notice(&server, &operation, "delivered").await;
    assert_eq!(delivered["kind"], "callback");
    assert_eq!(delivered["url"], format!("{}/a?token=[redacted]", receiver.url()));
    for path in [format!("/api/v1/operations/{operation}"), format!("/api/v1/operations/{operation}/history")] {
        let shown = server.get(&path).await.text();
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    home.configure(&signed_with("\"${file:new}\", \"${file:old}\""));
    server.process.reload();
    server.process.line("the configuration was reloaded").await;
    let other = put().await;
    notice(&server, &other, "delivered").await;
    let seen = receiver.seen();
    let signatures = |index: usize| seen[index].header("webhook-signature").unwrap().split(' ').count();
    assert_eq!((signatures(0), signatures(1)), (1, 2));
    assert_eq!((seen[0].uri.as_str(), text(&seen[0].json()["subject"])), ("/a?token=s3cret", operation));
    assert!(tokyo.seen().iter().all(|request| request.header("fanfold-callback-url").is_none()));

    let metrics = server.get("/metrics").await.text();
    for line in [
        "fanfold_notice_tries_total{result=\"delivered\"} 2",
        "fanfold_notices_dead 0",
        "fanfold_notice_oldest_age_seconds 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    server.stop().await;
    let kept = std::fs::read(database(&home)).unwrap();
    for secret in [OLD, NEW] {
        assert!(!kept.windows(20).any(|octets| octets == &secret.as_bytes()[6..26]), "a secret was recorded");
    }
}

#[tokio::test]
async fn a_client_of_any_dialect_may_ask_only_for_what_is_allowed() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&msf(&tokyo));
    let server = Server::start(&home).await;
    let asking = server.http.clone().with("fanfold-callback-url", "http://127.0.0.1:1/");
    let refused = asking.put("/v1/things/1", &json!({})).await;
    assert_eq!((refused.status, text(&refused.json()["error_code"]).as_str()), (400, "010002"), "{}", refused.text());
    assert!(refused.text().contains("[notices] secrets"), "{}", refused.text());
    assert_eq!(tokyo.connections(), 0);
}

#[tokio::test]
async fn a_route_that_a_reload_takes_out_keeps_what_it_promised_and_its_address_is_not_shown() {
    let (tokyo, receiver, answer) = (FakeTarget::start().await, FakeTarget::start().await, Latch::new());
    tokyo.once("PUT", "*", Reply::from(Answer::empty(500)).after(&answer));
    let notices = "[notices]\nsecrets = [\"${file:old}\"]\n";
    let routes = things(&["tokyo"]);
    let callback = format!("callback = \"{}/a?token=s3cret\"\n", receiver.url());
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{notices}{routes}{callback}")));
    std::fs::write(home.path().join("old"), OLD).unwrap();
    let server = Server::start(&home).await;
    let operation = server.put("/things/1").await;
    tokyo.wait_for(1).await;

    home.configure(&config(&[("tokyo", &tokyo)], &format!("{notices}{}", routes.replace("put-thing", "renamed"))));
    server.process.reload();
    server.process.line("the configuration was reloaded").await;
    answer.open();
    let delivered = notice(&server, &operation, "delivered").await;
    assert_eq!((text(&delivered["kind"]).as_str(), receiver.seen()[0].uri.as_str()), ("webhook", "/a?token=s3cret"));
    for path in ["", "/history", "/response"].map(|part| format!("/api/v1/operations/{operation}{part}")) {
        let shown = server.get(&path).await.text();
        assert!(!shown.contains("s3cret") && !shown.contains("route_webhook"), "{shown}");
    }
    assert!(!delivered.to_string().contains("s3cret") && !receiver.seen()[0].text().contains("s3cret"), "{delivered}");
}
