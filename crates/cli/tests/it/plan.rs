//! Dry runs of requests, with a server and without one.

use fanfold_testkit::{FakeTarget, Home};
use serde_json::Value;

use crate::program::{Server, config, run, things};

const UNDONE: &str = "[[routes]]\nname = \"post-thing\"\nmatch = \"POST /things\"\ntargets = [\"tokyo\"]\n\
     undo = { method = \"DELETE\", path = \"/things/{{ response.json.id }}\" }\n\
     [[routes]]\nname = \"restored\"\nmatch = \"PUT /restored/{id}\"\ntargets = [\"tokyo\"]\nundo = \"restore\"\n\
     lock = \"thing/{{ path.id }}\"\n";

#[tokio::test]
async fn a_plan_is_the_same_with_a_server_and_without() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &format!("{}{UNDONE}", things(&["tokyo"]))));
    let server = Server::start(&home).await;
    for (arguments, code) in [
        (&["PUT", "/things/1", "-d", "{\"size\":3}", "-H", "idempotency-key: k"][..], 0),
        (&["POST", "/things", "-d", "{}", "--answer", "tokyo=201:{\"id\":7}"], 0),
        (&["POST", "/things"], 0),
        (&["PUT", "/restored/1", "-d", "{}"], 0),
        (&["GET", "/healthz"], 0),
        (&["DELETE", "/things/1"], 7),
        (&["POST", "/nowhere"], 7),
    ] {
        for output in ["json", "table"] {
            let command = [&["plan"], arguments, &["--output", output]].concat();
            let online = server.run(&home, &command).await;
            let offline = run(home.path(), &[&command[..], &["--config", "fanfold.toml"]].concat()).await;
            assert_eq!((online.code, offline.code), (Some(code), Some(code)), "{online:?} {offline:?}");
            if output == "json" {
                let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                assert_eq!(parsed(&online.stdout), parsed(&offline.stdout), "{arguments:?}");
            } else {
                assert_eq!(online.stdout, offline.stdout, "{arguments:?}");
            }
        }
    }
    assert!(tokyo.seen().is_empty(), "nothing is sent");
    let list = server.get("/api/v1/operations").await.json();
    assert_eq!(list["operations"], serde_json::json!([]), "nothing is recorded");
}

#[tokio::test]
async fn a_plan_is_told_to_people_target_by_target() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], UNDONE));
    let plan =
        async |arguments: &[&str]| run(home.path(), &[&["plan", "-c", "fanfold.toml"], arguments].concat()).await;
    let shown = plan(&["POST", "/things", "-d", "{\"size\":3}"]).await;
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""), "{}", shown.stdout);
    let url = tokyo.url();
    for part in [
        "POST /things: accepted, route post-thing (native)",
        &format!("  POST {url}/things\n"),
        "    {\"size\":3}\n",
        &format!("  undo: DELETE {url}/things/{{{{ response.json.id }}}}\n"),
        "known only after the answer",
        "otherwise what succeeded is undone",
    ] {
        assert!(shown.stdout.contains(part), "{part} is missing in {}", shown.stdout);
    }
    let full = plan(&["POST", "/things", "-d", "{}", "-a", "tokyo=201:{\"id\":7}"]).await;
    assert!(full.stdout.contains(&format!("  undo: DELETE {url}/things/7\n")), "{}", full.stdout);
    let restored = plan(&["PUT", "/restored/1", "-d", "{}"]).await;
    for part in ["lock \"thing/1\"", "undo if it was not there: DELETE", "read before the change"] {
        assert!(restored.stdout.contains(part), "{part} is missing in {}", restored.stdout);
    }
    let refused = plan(&["PATCH", "/things"]).await;
    assert_eq!((refused.code, refused.stderr.as_str()), (Some(7), "fanfold: the request would be refused\n"));
    assert!(refused.stdout.contains("the client is answered 405"), "{}", refused.stdout);
    for arguments in [&["POST", "things"][..], &["POST", "/things", "-a", "tokyo"], &["POST"]] {
        assert_eq!(plan(arguments).await.code, Some(2), "{arguments:?}");
    }
    let missing = run(home.path(), &["plan", "POST", "/things", "--config", "nothing.toml"]).await;
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
}

#[tokio::test]
async fn what_is_no_question_is_a_mistake_of_the_command_line_with_a_server_and_without() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], UNDONE));
    let server = Server::start(&home).await;
    for arguments in [&["POST", "/thi ngs"][..], &["POST", "/things", "-d", "@-", "--answer", "tokyo=201:@-"]] {
        let command = [&["plan"], arguments].concat();
        let online = server.run(&home, &command).await;
        let offline = run(home.path(), &[&command[..], &["--config", "fanfold.toml"]].concat()).await;
        assert_eq!((online.code, offline.code), (Some(2), Some(2)), "{online:?} {offline:?}");
        assert_eq!((online.stdout.as_str(), &online.stderr), ("", &offline.stderr));
    }
    let once = server.run(&home, &["plan", "POST", "/things", "--answer", "tokyo=201:@-"]).await;
    assert_eq!(once.code, Some(0), "{}", once.stderr);
}
