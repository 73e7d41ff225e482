//! The table of limits in `docs/security.md`: every bound that can be set, with its default and what comes beyond it.

use std::fmt::Write as _;
use std::path::Path;

use super::{limits, meaning};
use crate::config::schema;

/// What the table stands between.
const MARKS: [&str; 2] = ["<!-- generated: limits -->\n", "<!-- end of what is generated -->\n"];

/// The section, the structure and the key of each limit, and what comes beyond it.
const LIMITS: [(&str, &str, &str, &str); 39] = [
    ("`[server]`", "Server", "connections_max", "it waits until another one ends"),
    ("`[server]`", "Server", "request_head_max", "431"),
    ("`[server]`", "Server", "request_body_max", "413"),
    ("`[server]`", "Server", "followers_max", "503 with `Retry-After`"),
    ("`[server]`", "Server", "shutdown_grace", "what is on the wire counts as after a crash"),
    ("`[limits]`", "Limits", "requests_per_second", "429 with `Retry-After`"),
    ("`[limits]`", "Limits", "requests_burst", "429 with `Retry-After`"),
    ("`[limits]`", "Limits", "failed_authentications_per_minute", "429 instead of 401"),
    ("`[limits]`", "Limits", "tenant_waiting_max", "503 with `Retry-After`"),
    ("`[limits]`", "Limits", "tenant_followers_max", "503 with `Retry-After`"),
    ("`[tenants.NAME]`", "Tenant", "requests_per_second", "429 with `Retry-After`"),
    ("`[tenants.NAME]`", "Tenant", "requests_burst", "429 with `Retry-After`"),
    ("`[tenants.NAME]`", "Tenant", "waiting_max", "503 with `Retry-After`"),
    ("`[tenants.NAME]`", "Tenant", "followers_max", "503 with `Retry-After`"),
    ("`[store]`", "Store", "waiting_max", "503 with `Retry-After`"),
    ("`[store]`", "Store", "lock_queue_max", "409"),
    ("`[store]`", "Store", "size_soft", "the oldest that have ended go"),
    ("`[store]`", "Store", "size_hard", "503"),
    ("`[store]`", "Store", "keep_audit", "the entry goes"),
    ("`[store]`", "Store", "readers", "reads wait"),
    ("`[notices]`", "Notices", "attempts", "it becomes a dead letter"),
    ("`[notices]`", "Notices", "backoff_max", "it is not waited longer"),
    ("timeouts of `[notices]`", "NoticeTimeouts", "connect", "it is tried again"),
    ("timeouts of `[notices]`", "NoticeTimeouts", "response", "it is tried again"),
    ("`[defaults]`, routes", "Route", "targets_max", "400"),
    ("`[defaults]`, routes", "Defaults", "deadline", "what has not ended fails or is undone"),
    ("`[defaults]`, routes", "Defaults", "retention", "the operation goes"),
    ("`[defaults]`, targets", "Target", "max_in_flight", "requests wait, fairly between tenants"),
    ("`[defaults]`, targets", "Target", "undo_in_flight", "undos wait"),
    ("`[defaults]`, targets", "Target", "pass_waiting_max", "503"),
    ("`[defaults]`, targets, routes", "Target", "response_body_max", "the rest is not read"),
    ("timeouts", "Timeouts", "connect", "the attempt was not made; it is tried again"),
    ("timeouts", "Timeouts", "response", "the outcome is unknown"),
    ("timeouts", "Timeouts", "lower", "the outcome is unknown"),
    ("`retry`, `undo_retry`", "Retry", "attempts", "the outcome of the last one counts"),
    ("`retry`, `undo_retry`", "Retry", "backoff_max", "it is not waited longer"),
    ("`retry`, `undo_retry`", "Retry", "budget", "the outcome of the last one counts"),
    ("`breaker`", "Breaker", "breaks", "the target is left alone for `pause`"),
    ("`breaker`", "Breaker", "pause", "one request tries whether it is back"),
];

fn table() -> String {
    let schema = schema();
    let mut text = "| where | key | default | limits | what | beyond it |\n|---|---|---|---|---|---|\n".to_owned();
    for (section, structure, key, beyond) in LIMITS {
        let member = &schema["$defs"][structure]["properties"][key];
        assert!(member.is_object(), "there is no {structure}.{key}");
        let (meaning, default) = meaning(&schema, member);
        let _ = writeln!(text, "| {section} | `{key}` | {default} | {} | {meaning} | {beyond} |", limits(member));
    }
    text
}

#[test]
fn the_table_of_limits_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/security.md");
    let kept = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = kept.split_once(MARKS[0]).expect("its beginning is marked");
    let (_, after) = rest.split_once(MARKS[1]).expect("its end is marked");
    let text = format!("{before}{}{}{}{after}", MARKS[0], table(), MARKS[1]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
        return;
    }
    assert!(
        kept == text,
        "docs/security.md is stale: run `UPDATE_DOCS=1 cargo test -p fanfold --bin fanfold reference`"
    );
}

/// What bounds nothing that a caller makes grow.
const OTHERS: [(&str, &str); 1] = [("Store", "inline_max")];

/// A bound that is added is in the table, too. Of `[defaults]`, of targets and of routes one each does.
#[test]
fn every_key_that_bounds_something_is_in_the_table() {
    let schema = schema();
    let levels = ["Defaults", "Target", "Route", "OnTarget"];
    let is_listed = |name: &str, key: &str| {
        let same = |structure: &str| structure == name || levels.contains(&structure) && levels.contains(&name);
        LIMITS.iter().any(|(_, structure, listed, _)| *listed == key && same(structure))
    };
    for (name, structure) in schema["$defs"].as_object().unwrap() {
        for (key, member) in structure["properties"].as_object().into_iter().flatten() {
            let bounds = ["_max", "_in_flight", "_burst", "attempts"].iter().any(|end| key.ends_with(end))
                || key.contains("_per_")
                || name.ends_with("Timeouts") && !limits(member).is_empty();
            let is_other = OTHERS.contains(&(name.as_str(), key.as_str()));
            assert!(!bounds || is_other || is_listed(name, key), "{name}.{key} is not in the table");
        }
    }
}
