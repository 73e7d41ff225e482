//! Every configuration in a document is checked by the real program.
//!
//! A document shows what it is about, so most of its configurations are parts of one. [`completed`] is the rule by which they are
//! made whole; what is marked as `wrong` has to be refused.

use fanfold_testkit::Home;
use fanfold_testkit::certificates::Authority;
use toml::{Table, Value};

use super::markdown::{Block, Document, all};
use crate::program::{Ended, PROGRAM};

/// What a configuration consists of. A block in which something else stands on top is a part of a route.
const TABLES: [&str; 9] =
    ["server", "auth", "store", "notices", "telemetry", "mounts", "defaults", "targets", "routes"];

/// What stands for a key of 32 bytes, and for a secret that webhooks are signed with.
const KEY: &str = "RmFuZm9sZCBrZWVwcyB3aGF0IGl0IHByb21pc2VzLiE=";

/// Another one.
const OTHER_KEY: &str = "dGhlIGtleSB0aGF0IG90aGVycyBzZWFsIHdpdGguLi4=";
const SECRET: &str = "whsec_RmFuZm9sZCBrZWVwcyB3aGF0IGl0IHByb21pc2VzLiE=";

/// The targets of what names none.
const TARGETS: [&str; 2] = ["tokyo", "osaka"];

#[tokio::test(flavor = "multi_thread")]
async fn every_configuration_is_accepted_or_meant_to_be_refused() {
    let documents = all();
    let mut count = 0;
    for document in &documents {
        for block in document.blocks.iter().filter(|block| block.kind == "toml") {
            let whole = completed(block, &document.name);
            let ended = check(&whole).await;
            let expected = if block.is_wrong { 3 } else { 0 };
            let place = format!("{}:{}", document.name, block.line);
            assert_eq!(ended.code, Some(expected), "{place}:\n{}{}\n{whole}", ended.stdout, ended.stderr);
            count += 1;
        }
    }
    assert!(count > 3, "{count}");
}

/// The environment that a document's configurations and commands may name variables of.
pub(crate) fn environment(texts: &str) -> Vec<(String, String)> {
    let names = texts.split("${env:").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    let value = |name: &str| match name {
        name if name.ends_with("OTHER_KEY") => OTHER_KEY,
        name if name.ends_with("KEY") => KEY,
        _ => SECRET,
    };
    names.map(|name| (name.to_owned(), value(name).to_owned())).collect()
}

async fn check(config: &str) -> Ended {
    let home = Home::new(config);
    let files = config.split("${file:").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    for file in files {
        let path = home.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, if file.ends_with("key") { KEY } else { SECRET }).unwrap();
    }
    if config.contains("server.pem") {
        let authority = Authority::new();
        authority.server().write(home.path(), "server");
        std::fs::write(home.path().join("clients.pem"), authority.pem()).unwrap();
    }
    let mut command = std::process::Command::new(PROGRAM);
    command.arg("check").current_dir(home.path()).env_clear().envs(environment(config));
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The configurations of a document in one, made whole.
pub(crate) fn joined(document: &Document, base: &str) -> String {
    let mut whole: Table = base.parse().unwrap();
    for block in document.blocks.iter().filter(|block| block.kind == "toml" && !block.is_wrong) {
        merge(&mut whole, part(block, &document.name));
    }
    complete(&mut whole);
    whole.to_string()
}

/// A block as a whole configuration: keys that stand on top and are no table's belong to a route; a route without a pattern or
/// targets gets some; targets that are named are there; a dialect that is spoken is mounted; what is to be signed has a secret.
fn completed(block: &Block, document: &str) -> String {
    let mut whole = part(block, document);
    complete(&mut whole);
    whole.to_string()
}

fn part(block: &Block, document: &str) -> Table {
    let table: Table = block.text.parse().unwrap_or_else(|error| panic!("{document}:{}: {error}", block.line));
    if table.keys().all(|key| TABLES.contains(&key.as_str())) {
        return table;
    }
    Table::from_iter([("routes".to_owned(), Value::Array(vec![Value::Table(table)]))])
}

/// Tables are merged, lists are joined, and what is said later counts.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Array(new)) if ["routes", "mounts"].contains(&key.as_str()) => {
                old.extend(new)
            }
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn complete(whole: &mut Table) {
    let mut routes = match whole.remove("routes") {
        Some(Value::Array(routes)) if !routes.is_empty() => routes,
        _ => vec![Value::Table(Table::new())],
    };
    let (mut named, mut dialects) = (Vec::new(), Vec::new());
    let mut is_told = false;
    for route in routes.iter_mut().filter_map(Value::as_table_mut) {
        route.entry("match").or_insert_with(|| "PUT /things/{id}".into());
        if !["targets", "targets_from", "pass"].iter().any(|key| route.contains_key(*key)) {
            route.insert("targets".to_owned(), TARGETS.map(Value::from).to_vec().into());
        }
        let lists = route.get("targets").and_then(Value::as_array).into_iter().flatten();
        named.extend(lists.chain(route.get("pass")).filter_map(Value::as_str).map(str::to_owned));
        named.extend(route.get("on").and_then(Value::as_table).into_iter().flat_map(Table::keys).cloned());
        dialects.extend(route.get("dialect").and_then(Value::as_str).map(str::to_owned));
        is_told |= route.get("callback").is_some_and(Value::is_str);
    }
    whole.insert("routes".to_owned(), Value::Array(routes));
    let targets = table(whole, "targets");
    for name in named {
        table(targets, &name);
    }
    for name in TARGETS.into_iter().filter(|_| targets.is_empty()).collect::<Vec<_>>() {
        table(targets, name);
    }
    for target in targets.iter_mut().filter_map(|(_, target)| target.as_table_mut()) {
        target.entry("url").or_insert_with(|| "http://10.0.0.1".into());
    }
    for (dialect, prefix) in [("msf", "/v1"), ("plas", "/v1.0/plasconnector")] {
        let mounts = whole.entry("mounts").or_insert_with(|| Value::Array(Vec::new())).as_array_mut().unwrap();
        let is_mounted = mounts.iter().any(|mount| mount["dialect"].as_str() == Some(dialect));
        if !is_mounted && dialects.iter().any(|spoken| spoken == dialect) {
            let mount = [("dialect", dialect), ("prefix", prefix)];
            mounts.push(Value::Table(mount.map(|(key, value)| (key.to_owned(), value.into())).into_iter().collect()));
        }
    }
    if is_told {
        let secrets = || Value::Array(vec!["${env:WEBHOOK_SECRET}".into()]);
        table(whole, "notices").entry("secrets").or_insert_with(secrets);
    }
}

/// The table of this name, which is made if need be.
fn table<'a>(within: &'a mut Table, name: &str) -> &'a mut Table {
    within.entry(name).or_insert_with(|| Value::Table(Table::new())).as_table_mut().unwrap()
}
