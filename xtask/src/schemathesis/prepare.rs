//! A server with something of everything in it: operations that wait, run, ended, failed and came from a backup, open notes of
//! both kinds, dead letters, a target on hold.

mod config;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fanfold_testkit::{Home, Http, HttpAnswer, Process};
use serde_json::{Value, json};

use crate::caller;
use config::Targets;

/// How many there are of what can be done with once only.
const EACH: usize = 4;

/// How long everything may take to come to where it is wanted.
const ALL_THERE: Duration = Duration::from_secs(60);

/// How often it is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The server, and what there is to ask about.
pub(super) struct Prepared {
    pub(super) home: Home,
    pub(super) http: Http,
    pub(super) url: String,
    /// By the id of an operation of the document: values of its parameters.
    pub(super) known: Value,
    _server: Process,
    _targets: Targets,
}

impl Prepared {
    pub(super) async fn start(program: &Path) -> Result<Self> {
        let program = program.to_string_lossy().into_owned();
        let targets = Targets::start().await;
        let home = Home::new("");
        let restored = restored(&home, &targets, &program).await?;
        let (server, http, url) = serve(&home, &program).await;
        let known = tokio::time::timeout(ALL_THERE, known(&http, &targets, &restored)).await;
        let known = known.with_context(|| format!("not all came to where it is wanted: {}", server.printed()))??;
        Ok(Self { home, http, url, known, _server: server, _targets: targets })
    }
}

async fn serve(home: &Home, program: &str) -> (Process, Http, String) {
    let server = home.start(program, &["serve", "--log", "error", "--config", "fanfold.toml"]);
    let url = server.url().await;
    (server, caller::client(&url), url)
}

/// Operations that came from a backup.
async fn restored(home: &Home, targets: &Targets, program: &str) -> Result<Vec<String>> {
    home.configure(&targets.config("before.db"));
    let (server, http, _) = serve(home, program).await;
    hold(&http).await?;
    let waiting = accepted(&http, "PUT", "/waiting", "restored").await?;
    let backup: &[&str] = &["backup", "--to", "copy.db", "--with-key"];
    let restore: &[&str] = &["restore", "--from", "copy.db"];
    for (database, arguments) in [("before.db", backup), ("fanfold.db", restore)] {
        home.configure(&targets.config(database));
        let (status, said) = home.start(program, arguments).ended().await;
        ensure!(status.success(), "{arguments:?}: {said}");
    }
    server.kill();
    Ok(waiting)
}

async fn hold(http: &Http) -> Result<()> {
    good(&http.post("/api/v1/targets/busy/hold", &json!({ "reason": "it is busy" })).await)
}

fn good(answer: &HttpAnswer) -> Result<()> {
    ensure!((200..300).contains(&answer.status), "{}: {}", answer.status, answer.text());
    Ok(())
}

/// The ids of some operations of a route.
async fn accepted(http: &Http, method: &str, folder: &str, word: &str) -> Result<Vec<String>> {
    let http = http.clone().with("content-type", "application/json");
    let mut ids = Vec::new();
    for number in 0..EACH {
        let answer = http.request(method, &format!("{folder}/{word}-{number}"), b"{\"size\": 3}").await;
        good(&answer)?;
        ids.push(text(&answer.json()["id"])?);
    }
    Ok(ids)
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is no text"))?.to_owned())
}

/// Waits until a list has enough entries that fit, and gives their ids.
async fn listed(http: &Http, path: &str, member: &str, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    loop {
        let list = http.get(path).await.json();
        let entries = list[member].as_array().map(Vec::as_slice).unwrap_or_default();
        let ids: Vec<Value> = entries.iter().filter(|entry| fits(entry)).map(|entry| entry["id"].clone()).collect();
        if ids.len() >= EACH {
            return ids;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn known(http: &Http, targets: &Targets, restored: &[String]) -> Result<Value> {
    hold(http).await?;
    let to_cancel = accepted(http, "PUT", "/waiting", "cancel").await?;
    let to_extend = accepted(http, "PUT", "/waiting", "extend").await?;
    for (method, folder) in [("POST", "/asked"), ("POST", "/told"), ("PUT", "/failed"), ("PUT", "/called")] {
        accepted(http, method, folder, "one").await?;
    }
    let ended = accepted(http, "PUT", "/things", "ended").await?;
    for id in &ended {
        good(&http.get(&format!("/api/v1/operations/{id}?wait=30s")).await)?;
    }
    let notes = "/api/v1/attention?limit=1000";
    let unknown = |note: &Value| note["reason"] == "outcome_unknown";
    let open = listed(http, notes, "attention", |note| unknown(note) && note["operation_ended"] == false).await;
    let told = listed(http, notes, "attention", |note| unknown(note) && note["operation_ended"] == true).await;
    let failed = listed(http, "/api/v1/operations?route=fail&status=failed", "operations", |_| true).await;
    let dead = listed(http, "/api/v1/notices?state=dead", "notices", |_| true).await;
    let tokens = tokens(http).await?;
    let mut known: BTreeMap<&str, Value> = BTreeMap::from([
        ("getToken", json!({ "id": tokens })),
        ("revokeToken", json!({ "id": tokens })),
        ("acknowledgeNote", json!({ "id": told })),
        ("getNote", json!({ "id": open })),
        ("resolveNote", json!({ "id": open })),
        ("getNotice", json!({ "id": dead })),
        ("replayNotice", json!({ "id": dead })),
        ("cancelOperation", json!({ "id": to_cancel })),
        ("extendOperation", json!({ "id": to_extend })),
        ("releaseOperation", json!({ "id": restored })),
        ("retryOperation", json!({ "id": failed })),
    ]);
    // What has ended is shown at once, and its stream ends.
    known.extend(["followOperation", "getOperation", "listHistory"].map(|name| (name, json!({ "id": ended }))));
    known.extend(["getTarget", "holdTarget", "releaseTarget"].map(|name| (name, json!({ "name": ["spare"] }))));
    known.extend(of_mounts(http, targets).await?);
    Ok(json!(known))
}

/// The ids of some tokens.
async fn tokens(http: &Http) -> Result<Vec<Value>> {
    let mut ids = Vec::new();
    for number in 0..EACH {
        let wanted = json!({ "name": format!("prepared-{number}"), "roles": ["read"] });
        let made = http.post("/api/v1/tokens/create", &wanted).await;
        good(&made)?;
        ids.push(made.json()["token"]["id"].clone());
    }
    Ok(ids)
}

async fn of_mounts(http: &Http, targets: &Targets) -> Result<[(&'static str, Value); 5]> {
    let of_msf = http.post("/v1/slices/s/cps", &json!({ "vlan": 1 })).await;
    let of_plas = http.post("/v1.0/plasconnector/connectors", &json!({ "name": "c" })).await;
    good(&http.put("/v1/slices/s", &json!({})).await)?;
    while targets.controller.operations().is_empty() {
        tokio::time::sleep(ASK_EVERY).await;
    }
    let location = text(&of_plas.json()["location"])?;
    let mut parts = location.rsplit('/');
    let (operation, connector) = (parts.next(), parts.nth(1));
    Ok([
        ("mount /v1 get", json!({ "operation_id": [of_msf.json()["operation_id"]] })),
        ("mount /v1 notify", json!({ "operation_id": targets.controller.operations() })),
        ("mount /v1.0/plasconnector get", json!({ "connector_id": [connector], "operation_id": [operation] })),
        // A path has one name for what stands in it, whatever single routes call it.
        ("route read-things", json!({ "id": ["ended-0"], "rest": ["ended-0"] })),
        ("route read-slices", json!({ "slice_id": ["s"], "rest": ["s"] })),
    ])
}
