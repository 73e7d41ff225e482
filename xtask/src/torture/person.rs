//! The people around the server: they answer what operations ask, truthfully, and hold and release targets.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fanfold_testkit::Http;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::plans::PLAIN;
use super::target::World;

/// How often they look.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// How long after a question came up they look at the target: longer than any target acts late.
const PATIENCE: Duration = Duration::from_millis(300);

/// Looks after the server until told that all is calm.
pub(super) async fn run(http: Http, world: Arc<World>, mut calm: watch::Receiver<bool>) {
    let mut known: HashMap<u64, Instant> = HashMap::new();
    while !*calm.borrow_and_update() {
        answer(&http, &world, &mut known).await;
        let faults = world.faults.load(Ordering::Relaxed);
        if faults && world.draw(12) == 0 {
            hold(&http, &world).await;
        }
        // A failed undo holds its target, until somebody has looked.
        if !faults || world.draw(6) == 0 {
            for target in PLAIN {
                drop(http.try_request("POST", &format!("/api/v1/targets/{target}/release"), b"").await);
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn answer(http: &Http, world: &World, known: &mut HashMap<u64, Instant>) {
    let Ok(read) = http.try_request("GET", "/api/v1/attention?state=open&limit=1000", b"").await else { return };
    let Ok(list) = serde_json::from_slice::<Value>(&read.body) else { return };
    for note in list["attention"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let (Some(id), Some(operation)) = (note["id"].as_u64(), note["operation"].as_str()) else { continue };
        let answers = note["answers"].as_array().map(Vec::as_slice).unwrap_or_default();
        if answers.is_empty() || known.entry(id).or_insert_with(Instant::now).elapsed() < PATIENCE {
            continue;
        }
        let answer = match note["target"].as_str() {
            Some(target) if world.journal.truth(target, operation).stands => json!("applied"),
            Some(_) => json!("not_applied"),
            None => answers[world.draw(answers.len())].clone(),
        };
        let body = json!({ "answer": answer, "remark": "looked at the target" }).to_string();
        let path = format!("/api/v1/attention/{id}/resolve");
        // It may have been answered in the meantime, or the server is not there: then the note is found again.
        drop(http.clone().with("content-type", "application/json").try_request("POST", &path, body.as_bytes()).await);
    }
}

/// Holds a target for a moment. It is released whatever comes in between.
async fn hold(http: &Http, world: &World) {
    let target = PLAIN[world.draw(PLAIN.len())];
    drop(http.try_request("POST", &format!("/api/v1/targets/{target}/hold"), b"").await);
    tokio::time::sleep(Duration::from_millis(50 + world.draw(250) as u64)).await;
    loop {
        match http.try_request("POST", &format!("/api/v1/targets/{target}/release"), b"").await {
            Ok(answer) if answer.status == 200 => return,
            Ok(_) | Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
