//! The two files that come with the program: the example that explains every key, and the one to start from.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::document::{Node, Value};

/// The example.
const EXAMPLE: &str = include_str!("../../../../../fanfold.example.toml");

/// The keys whose commented lines show the default.
const DEFAULTS: [&str; 41] = [
    "shutdown_grace",
    "session",
    "request_head_max",
    "request_body_max",
    "connections_max",
    "followers_max",
    "keep_audit",
    "keep_min",
    "waiting_max",
    "lock_queue_max",
    "inline_max",
    "requests_per_second",
    "requests_burst",
    "failed_authentications_per_minute",
    "attempts",
    "backoff",
    "backoff_max",
    "timeouts",
    "service_name",
    "share",
    "retry",
    "undo_retry",
    "settle",
    "response_body_max",
    "max_in_flight",
    "undo_in_flight",
    "pass_waiting_max",
    "breaker",
    "reuse_idle",
    "targets_max",
    "deadline",
    "retention",
    "time_zone",
    "letter_case",
    "verb",
    "on_locked",
    "order",
    "require",
    "on_failure",
    "on_unknown",
    "on_undo_failure",
];

#[test]
fn the_example_is_valid_and_says_what_the_design_says() {
    let (settings, warnings) = good(EXAMPLE);
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(settings.mounts.len(), 2);
    let tokyo = &settings.targets[&TargetName::from("tokyo")];
    assert_eq!((tokyo.spec.id.as_str(), &tokyo.spec.monitor), ("1", &Monitor::Msf));
    assert_eq!(tokyo.config.max_in_flight, 32);
    assert_eq!((settings.routes[0].name.as_str(), settings.routes[0].mount.as_str()), ("create-cp", "/v1"));
}

#[test]
fn what_the_example_shows_as_defaults_are_the_defaults() {
    let (plain, _) = good(EXAMPLE);
    let shown = uncommented(&EXAMPLE.lines().collect::<Vec<_>>(), |key| DEFAULTS.contains(&key)).remove(0);
    let (shown, _) = good(&shown);
    assert_eq!(plain.server, shown.server);
    assert_eq!(plain.store, shown.store);
    assert_eq!(plain.limits.tenants.otherwise, shown.limits.tenants.otherwise);
    assert_eq!(plain.limits.failures, shown.limits.failures);
    assert_eq!(plain.notices, shown.notices);
    assert_eq!(plain.telemetry, shown.telemetry);
    assert_eq!(plain.mounts, shown.mounts);
    for (name, target) in &plain.targets {
        assert_eq!(target.spec, shown.targets[name].spec, "{name}");
        assert_eq!(target.config, shown.targets[name].config, "{name}");
    }
    let spec = &plain.targets[&TargetName::from("tokyo")].spec;
    let (plain, mut shown) = (operation(&plain, 0).clone(), operation(&shown, 0).clone());
    // What a route says goes before what its targets say; the example shows the same for both.
    assert_eq!(
        (shown.step_limits.over(&spec.step), shown.undo_limits.over(&spec.undo)),
        (spec.step.clone(), spec.undo.clone())
    );
    assert_eq!(shown.verb, Some(fanfold_core::plan::Verb::Create), "the default for POST");
    (shown.step_limits, shown.undo_limits, shown.verb) = (plain.step_limits, plain.undo_limits, plain.verb);
    assert_eq!(plain, shown);
}

#[test]
fn the_example_names_every_key() {
    let mut named = BTreeSet::new();
    for text in uncommented(&EXAMPLE.lines().collect::<Vec<_>>(), |_| true) {
        let document = Document::parse(text).ok().expect("without its comment signs the example is good TOML");
        collect_named(document.root(), "", &mut named);
    }
    let schema = schema();
    let mut declared = BTreeMap::new();
    collect_declared(&schema, &schema, "the file", "", &mut declared);
    for (key, places) in declared {
        // What may stand in several places is explained in one of them.
        assert!(places.iter().any(|place| named.contains(place)), "{key:?} at {places:?}");
    }
}

#[test]
fn the_starter_has_no_mistakes() {
    let (settings, warnings) = good(STARTER);
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(settings.routes.len(), 2);
}

/// A table of the example: its header, and for each key the lines that set it.
type Table<'a> = (&'a str, Vec<(&'a str, Vec<&'a str>)>);

/// The example with those commented lines put in that look like a table or a key of which `wanted` holds. A key that stands
/// in its table several times takes its values in turn, so that each is in one of the texts.
fn uncommented(lines: &[&str], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut tables: Vec<Table<'_>> = vec![("", Vec::new())];
    for line in lines {
        let bare = line.strip_prefix("# ");
        let Some(text) = (if line.starts_with('#') { bare.filter(|text| is_setting(text)) } else { Some(*line) })
        else {
            continue;
        };
        let key = text.split(" = ").next().unwrap_or_default();
        let table = tables.last_mut().expect("there is one from the start");
        if text.starts_with('[') {
            tables.push((text, Vec::new()));
        } else if text.is_empty() || line.starts_with('#') && !wanted(key) {
            continue;
        } else if let Some((_, values)) = table.1.iter_mut().find(|(known, _)| *known == key) {
            values.push(text);
        } else {
            table.1.push((key, vec![text]));
        }
    }
    let most = tables.iter().flat_map(|(_, keys)| keys).map(|(_, values)| values.len()).max().unwrap_or(1);
    let variant = |turn: usize| -> String {
        let table = |(head, keys): &Table<'_>| {
            // The last value is the one that holds.
            let value = |values: &[&str]| values[values.len() - 1 - turn.min(values.len() - 1)].to_owned() + "\n";
            format!("{head}\n{}", keys.iter().map(|(_, values)| value(values)).collect::<String>())
        };
        tables.iter().map(table).collect()
    };
    (0..most).map(variant).collect()
}

fn is_setting(text: &str) -> bool {
    let is_table = text.starts_with('[') && text.ends_with(']');
    is_table || text.split_once(" = ").is_some_and(|(key, _)| !key.is_empty() && !key.contains([' ', '"', ',']))
}

fn collect_named(node: &Node, path: &str, found: &mut BTreeSet<String>) {
    match &node.value {
        Value::Table(members) => {
            for member in members {
                let here = format!("{path}.{}", member.key);
                collect_named(&member.node, &here, found);
                found.insert(here);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|node| collect_named(node, path, found)),
        _ => {}
    }
}

/// Every key of every table that the schema declares, with all the places where it may stand. Names that users choose are as
/// in the example.
fn collect_declared(
    root: &Json,
    schema: &Json,
    table: &str,
    path: &str,
    found: &mut BTreeMap<(String, String), Vec<String>>,
) {
    if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
        collect_declared(root, root.pointer(&reference[1..]).unwrap(), reference, path, found);
    }
    for choice in ["anyOf", "oneOf"].iter().filter_map(|word| schema.get(*word)?.as_array()).flatten() {
        collect_declared(root, choice, table, path, found);
    }
    for (key, member) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let here = format!("{path}.{key}");
        collect_declared(root, member, &here, &here, found);
        found.entry((table.to_owned(), key.clone())).or_default().push(here);
    }
    if let Some(each) = schema.get("items") {
        collect_declared(root, each, table, path, found);
    }
    if let Some(each) = schema.get("additionalProperties").filter(|each| each.is_object()) {
        let name = match path {
            ".targets" => "tokyo",
            ".tenants" => "acme",
            ".routes.on" => "osaka",
            _ => return,
        };
        collect_declared(root, each, table, &format!("{path}.{name}"), found);
    }
}
