//! One true answer for each good status of the native API: the examples of the document.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::prepare::Prepared;

/// Where the document has them from.
pub(super) const FILE: &str = "crates/server/src/http/openapi/examples.json";

/// By operation of the document, and by status.
type Examples = BTreeMap<&'static str, BTreeMap<u16, Value>>;

/// What is asked for an example: the operation of the document, method, path and body.
type Question = (&'static str, &'static str, String, Value);

/// Asks the server for everything once, and gives the answers in the form of the file.
pub(super) async fn collect(prepared: &Prepared) -> Result<String> {
    let known = |operation: &str, name: &str, place: usize| -> Result<String> {
        let value = &prepared.known[operation][name][place];
        let text = value.as_str().map(str::to_owned).or(value.as_u64().map(|number| number.to_string()));
        text.with_context(|| format!("nothing is prepared for {operation}"))
    };
    let id = |operation: &str, place: usize| known(operation, "id", place);
    let ended = id("getOperation", 0)?;
    let mut examples = Examples::new();
    for question in looks(&ended, &id("getNote", 0)?, &id("getNotice", 0)?) {
        ask(prepared, question, &mut examples).await?;
    }
    let scheduled = scheduled(prepared).await?;
    // Its lower operation never ends, so that canceling it takes a while.
    let followed = first(prepared, "operations?route=change-below", "operations").await?;
    let restored = first(prepared, &format!("attention?operation={}", id("releaseOperation", 1)?), "attention").await?;
    let remark = json!({ "remark": "looked at it" });
    let deeds = [
        ("acknowledgeNote", format!("attention/{}/acknowledge", id("acknowledgeNote", 0)?), remark.clone()),
        ("resolveNote", format!("attention/{}/resolve", id("resolveNote", 0)?), json!({ "answer": "applied" })),
        ("resolveNote", format!("attention/{restored}/resolve"), json!({ "answer": "release" })),
        ("replayNotice", format!("notices/{}/replay", id("replayNotice", 0)?), json!({})),
        ("cancelOperation", format!("operations/{scheduled}/cancel"), json!({})),
        ("cancelOperation", format!("operations/{followed}/cancel"), json!({})),
        ("extendOperation", format!("operations/{}/extend", id("extendOperation", 0)?), json!({ "by": "30m" })),
        ("releaseOperation", format!("operations/{}/release", id("releaseOperation", 0)?), remark),
        ("retryOperation", format!("operations/{}/retry", id("retryOperation", 0)?), json!({})),
        ("cancelOperations", "operations/cancel?resource=%2Fwaiting%2Fcancel-1".to_owned(), json!({ "dry_run": true })),
        ("retryOperations", "operations/retry?resource=%2Ffailed%2Fone-1".to_owned(), json!({})),
        ("releaseOperations", "operations/release".to_owned(), json!({ "dry_run": true })),
        ("holdTarget", "targets/spare/hold".to_owned(), json!({ "reason": "work in hall 2" })),
        ("releaseTarget", "targets/spare/release".to_owned(), json!({})),
        ("planRequest", "plan".to_owned(), json!({ "method": "PUT", "uri": "/things/1", "body": "{\"size\": 3}" })),
        ("drain", "drain".to_owned(), json!({})),
        ("resume", "resume".to_owned(), json!({})),
    ];
    for (operation, path, body) in deeds {
        ask(prepared, (operation, "POST", path, body), &mut examples).await?;
    }
    for operation in ["cancelOperation", "resolveNote"] {
        let statuses: Vec<u16> = examples.get(operation).into_iter().flat_map(BTreeMap::keys).copied().collect();
        ensure!(statuses == [200, 202], "{operation} was answered with {statuses:?} only");
    }
    written(&examples)
}

fn looks(ended: &str, note: &str, notice: &str) -> Vec<Question> {
    let paths = [
        ("listNotes", "attention?state=all&limit=1".to_owned()),
        ("getNote", format!("attention/{note}")),
        ("listNotices", "notices?limit=1".to_owned()),
        ("getNotice", format!("notices/{notice}")),
        ("listOperations", "operations?limit=1".to_owned()),
        ("getOperation", format!("operations/{ended}")),
        ("followOperation", format!("operations/{ended}/events")),
        ("listHistory", format!("operations/{ended}/history?limit=3")),
        ("listRoutes", "routes".to_owned()),
        ("getStatus", "status".to_owned()),
        ("listTargets", "targets".to_owned()),
        ("getTarget", "targets/tokyo".to_owned()),
    ];
    paths.into_iter().map(|(operation, path)| (operation, "GET", path, Value::Null)).collect()
}

/// An operation that begins much later.
async fn scheduled(prepared: &Prepared) -> Result<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "it is to lie ahead for the server, which has the clock of the machine"
    )]
    let later = jiff::Timestamp::now() + std::time::Duration::from_secs(86_400);
    let http = prepared.http.clone().with("fanfold-start-at", &later.to_string());
    let answer = http.put("/things/scheduled", &json!({ "size": 3 })).await;
    let id = answer.json()["id"].as_str().map(str::to_owned);
    id.with_context(|| format!("{}: {}", answer.status, answer.text()))
}

/// The id of the first entry of a list.
async fn first(prepared: &Prepared, path: &str, list: &str) -> Result<String> {
    let answer = prepared.http.get(&format!("/api/v1/{path}")).await;
    let id = &answer.json()[list][0]["id"];
    let text = id.as_str().map(str::to_owned).or(id.as_u64().map(|number| number.to_string()));
    text.with_context(|| format!("there is nothing at {path}: {}", answer.text()))
}

async fn ask(prepared: &Prepared, (operation, method, path, body): Question, examples: &mut Examples) -> Result<()> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = prepared.http.request(method, &format!("/api/v1/{path}"), &body).await;
    ensure!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
    if operation == "followOperation" {
        // One stream is like the other.
        let stream = answer.text().split_inclusive("\n\n").take(3).collect::<String>();
        for operation in [operation, "followAll"] {
            examples.entry(operation).or_default().insert(answer.status, stream.clone().into());
        }
        return Ok(());
    }
    let mut shown = answer.json();
    // One entry of a list tells what entries are like.
    for list in ["attention", "notices", "operations", "routes", "targets"] {
        if operation.starts_with("list")
            && let Some(Value::Array(entries)) = shown.get_mut(list)
        {
            entries.truncate(1);
        }
    }
    examples.entry(operation).or_default().entry(answer.status).or_insert(shown);
    Ok(())
}

/// A line for each operation.
fn written(examples: &Examples) -> Result<String> {
    let lines = examples.iter().map(|(operation, answers)| {
        let answers: BTreeMap<String, &Value> =
            answers.iter().map(|(status, answer)| (status.to_string(), answer)).collect();
        Ok(format!("  \"{operation}\": {}", serde_json::to_string(&answers)?))
    });
    Ok(format!("{{\n{}\n}}\n", lines.collect::<Result<Vec<_>>>()?.join(",\n")))
}
