//! `fanfold attention`, and the API underneath, against the real server.

use fanfold_testkit::{Answer, FakeTarget, Home, Reply};
use serde_json::{Value, json};

use crate::program::{Server, config, text};

/// A route that asks a person about everything.
const ASKS: &str = "[[routes]]\nname = \"post-thing\"\nmatch = \"POST /things\"\ntargets = [\"tokyo\"]\n\
                    on_unknown = \"hold\"\non_failure = \"hold\"\n";

async fn asked() -> (FakeTarget, Home, Server, String) {
    let tokyo = FakeTarget::start().await;
    tokyo.once("POST", "/things", Reply::Reset { applied: true });
    let home = Home::new(&config(&[("tokyo", &tokyo)], ASKS));
    let server = Server::start(&home).await;
    let id = text(&server.http.post("/things", &json!({})).await.json()["id"]);
    loop {
        let detail = server.get(&format!("/api/v1/operations/{id}?wait=100ms")).await.json();
        if detail["phase"] == "needs attention" {
            return (tokyo, home, server, id);
        }
    }
}

#[tokio::test]
async fn a_note_is_listed_shown_and_resolved() {
    let (tokyo, home, server, id) = asked().await;
    let listed = server.run(&home, &["attention", "list"]).await;
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    for part in ["outcome unknown", "tokyo", id.as_str(), "applied, not_applied"] {
        assert!(listed.stdout.contains(part), "{part} is missing in {}", listed.stdout);
    }
    let shown = server.run(&home, &["attention", "show", "1"]).await.stdout;
    let told = server.run(&home, &["ops", "get", &id]).await.stdout;
    for part in ["say whether it did", "fanfold attention resolve 1 applied", "fanfold attention resolve 1 not_applied"]
    {
        assert!(shown.contains(part), "{part} is missing in {shown}");
        assert!(told.contains(part), "{part} is missing in {told}");
    }

    let wrong = server.run(&home, &["attention", "resolve", "1", "retry"]).await;
    assert_eq!(wrong.code, Some(7));
    assert!(wrong.stderr.contains("this note takes one of: applied, not_applied"), "{}", wrong.stderr);
    let early = server.run(&home, &["attention", "acknowledge", "1"]).await;
    assert_eq!(early.code, Some(7));
    assert!(early.stderr.contains("resolve the note with one of: applied, not_applied"), "{}", early.stderr);

    let resolved = server.run(&home, &["attention", "resolve", "1", "applied", "--remark", "it is there"]).await;
    assert_eq!(resolved.code, Some(0), "{}", resolved.stderr);
    assert!(resolved.stderr.contains("note 1 is resolved"), "{}", resolved.stderr);
    assert_eq!(server.end_of(&id).await["status"], "completed");
    assert_eq!(tokyo.seen().len(), 1);
    let none = server.run(&home, &["attention", "list"]).await;
    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (Some(0), "", "no notes\n"));
    let closed = server.run(&home, &["attention", "list", "--state", "closed", "--output", "json"]).await.stdout;
    let closed: Vec<Value> = serde_json::from_str(&closed).unwrap();
    assert_eq!(closed[0]["closed"]["remark"], "it is there");
    let shown = server.run(&home, &["attention", "show", "1"]).await.stdout;
    assert!(shown.contains("by local") && shown.contains("it is there"), "{shown}");
    let history = server.run(&home, &["ops", "history", &id]).await.stdout;
    assert!(history.contains("local says that it was applied"), "{history}");
    let nothing = server.run(&home, &["attention", "show", "99"]).await;
    assert_eq!((nothing.code, nothing.stderr.as_str()), (Some(6), "fanfold: there is no such note\n"));
}

#[tokio::test]
async fn answers_to_notes_are_checked() {
    let (_tokyo, _home, server, id) = asked().await;
    let note = server.get("/api/v1/attention/1").await.json();
    assert_eq!((&note["answers"], &note["operation_ended"]), (&json!(["applied", "not_applied"]), &json!(false)));
    let path = "/api/v1/attention/1/resolve";
    for (body, code, part) in [
        (json!({}), "unparsable", "missing field `answer`"),
        (json!({ "answer": "yes" }), "bad_value", "applied, not_applied, retry, roll_back, end_as_it_is"),
        (json!({ "answer": "applied", "why": "x" }), "unparsable", "unknown field"),
        (json!({ "answer": "applied", "remark": "x".repeat(1001) }), "out_of_range", "1000 characters"),
    ] {
        let refused = server.http.post(path, &body).await;
        assert_eq!((refused.status, &refused.json()["code"]), (400, &json!(code)), "{}", refused.text());
        assert!(text(&refused.json()["detail"]).contains(part), "{}", refused.text());
    }
    let other = server.http.post(path, &json!({ "answer": "roll_back" })).await;
    assert_eq!((other.status, &other.json()["code"]), (409, &json!("not_possible")));
    assert!(text(&other.json()["detail"]).contains("this note takes one of: applied, not_applied"), "{}", other.text());
    let resolved = server.http.post(path, &json!({ "answer": "not_applied" })).await;
    assert!(matches!(resolved.status, 200 | 202), "{}", resolved.text());
    let resolved = resolved.json();
    assert_eq!((&resolved["closed"]["by"], &resolved["answers"]), (&json!("local"), &json!([])));
    assert_eq!(server.end_of(&id).await["consistency"], "rolled back");
    let twice = server.http.post(path, &json!({ "answer": "applied" })).await;
    assert_eq!((twice.status, &twice.json()["code"]), (409, &json!("not_possible")));
    assert_eq!(server.http.post("/api/v1/attention/77/resolve", &json!({ "answer": "applied" })).await.status, 404);
}

#[tokio::test]
async fn the_note_of_an_ended_operation_is_acknowledged() {
    let tokyo = FakeTarget::start().await;
    tokyo.on("POST", "/things", Answer::empty(500));
    let home = Home::new(&config(&[("tokyo", &tokyo)], &ASKS.replace("on_unknown = \"hold\"\n", "")));
    let server = Server::start(&home).await;
    let id = text(&server.http.post("/things", &json!({})).await.json()["id"]);
    assert_eq!(server.end_of(&id).await["consistency"], "unknown");
    let shown = server.run(&home, &["ops", "get", &id]).await.stdout;
    assert!(shown.contains("fanfold attention acknowledge 1"), "{shown}");
    let late = server.run(&home, &["attention", "resolve", "1", "applied"]).await;
    assert_eq!(late.code, Some(7));
    assert!(late.stderr.contains("the operation has ended: acknowledge the note"), "{}", late.stderr);
    for _ in 0..2 {
        let closed = server.run(&home, &["attention", "acknowledge", "1", "--remark", "put right"]).await;
        assert_eq!((closed.code, closed.stderr.as_str()), (Some(0), "note 1 is acknowledged\n"));
    }
    assert_eq!(server.get("/api/v1/attention").await.json()["attention"], json!([]));
}
