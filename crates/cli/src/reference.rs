//! `docs/configuration.md`: the reference of every key, generated from the structures of the file and from what a reload changes.

mod limits;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value as Json;

use crate::assemble::FIXED;
use crate::config::schema;

/// What shows every key.
const EXAMPLE: &str = include_str!("../../../fanfold.example.toml");

/// The sections of the reference: the heading, and the structure that is explained there.
const SECTIONS: [(&str, &str); 29] = [
    ("[server]", "Server"),
    ("[store]", "Store"),
    ("[limits]", "Limits"),
    ("[tenants.NAME]", "Tenant"),
    ("[notices]", "Notices"),
    ("[telemetry]", "Telemetry"),
    ("[[mounts]]", "Mount"),
    ("[defaults]", "Defaults"),
    ("[targets.NAME]", "Target"),
    ("[[routes]]", "Route"),
    ("[routes.on.NAME]", "OnTarget"),
    ("request, undo", "RequestParts"),
    ("probe", "Probe"),
    ("result", "ResultParts"),
    ("redact", "Redact"),
    ("callback", "CallbackParts"),
    ("timeouts", "Timeouts"),
    ("timeouts of notices", "NoticeTimeouts"),
    ("retry, undo_retry", "Retry"),
    ("breaker", "Breaker"),
    ("monitor by a rule", "Poll"),
    ("tls of a target", "TargetTls"),
    ("[auth]", "Auth"),
    ("tokens", "Token"),
    ("certificates", "Certificate"),
    ("issuers", "Issuer"),
    ("keystone", "Keystone"),
    ("roles of issuers and of Keystone", "NarrowedRoles"),
    ("tls of the server", "ServerTls"),
];

const HEAD: &str = "\
# Configuration

Every key of the configuration file. Generated from the code; do not edit.

[`fanfold.example.toml`](../fanfold.example.toml) shows the same as a file with comments, [routes.md](routes.md) explains routes and templates with examples, and `fanfold schema` prints a JSON Schema for editors.

- The file is TOML. `fanfold check` names every mistake in it, with line and hint; a key that is unknown, or without effect where it stands, is one.
- A *duration* is a text: a whole number and `ms`, `s`, `m`, `h` or `d`. A *size* is a number of bytes, or a text with a unit: `KiB`, `MiB`, `GiB`, `TiB` (1024), `kB`, `MB`, `GB`, `TB` (1000).
- A *template* is text with `{{ ... }}`; an *expression* and a *condition* are what stands between those braces: see [routes.md](routes.md#templates).
- Relative paths count from the folder of the file.
- Key by key, a route goes before its targets, a target before `[defaults]`, and these before what is built in.
- `${env:NAME}` puts an environment variable in, `${file:PATH}` a file: in `headers` of targets and of the collector, `key` and `password` of the store, credentials for Keystone, and `secrets`. One that is missing is a mistake.
- The variables `FANFOLD_LISTEN` and `FANFOLD_STORE_URL` go before `listen` and `url` of the file.
- `SIGHUP` has the file read again, all or nothing: *reload* says what changes by that. What has been accepted goes on as it was planned, but for addresses, headers, TLS and limits of its targets.
";

#[test]
fn the_reference_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/configuration.md is stale: run `UPDATE_DOCS=1 cargo test -p fanfold --bin fanfold reference`"
    );
}

#[test]
fn every_structure_is_explained_and_every_key_has_a_description() {
    let schema = schema();
    let structures = schema["$defs"].as_object().unwrap().iter().filter(|(_, one)| one.get("properties").is_some());
    let explained: BTreeSet<&str> = SECTIONS.iter().map(|(_, name)| *name).collect();
    for (name, structure) in structures {
        assert!(explained.contains(name.as_str()), "{name} has no section");
        for (key, member) in structure["properties"].as_object().unwrap() {
            assert!(member["description"].is_string(), "{name}.{key} has no description");
        }
    }
}

/// The example is known to be right, so what it shows tells whether a description is.
#[test]
fn the_defaults_are_those_of_the_example() {
    let schema = schema();
    let mut compared = 0;
    for (_, name) in &SECTIONS[..9] {
        for (key, member) in schema["$defs"][name]["properties"].as_object().unwrap() {
            let (_, default) = meaning(&schema, member);
            let lines = EXAMPLE.lines().map(|line| line.trim_start_matches("# "));
            let shown: Vec<&str> = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).collect();
            if shown.is_empty() || !default.starts_with('`') {
                continue;
            }
            assert!(
                shown.iter().any(|shown| shown.replace('_', "") == default.trim_matches('`')),
                "{name}.{key}: {default} {shown:?}"
            );
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
}

fn reference() -> String {
    let schema = schema();
    let mut text = HEAD.to_owned();
    for (heading, name) in SECTIONS {
        let structure = &schema["$defs"][name];
        let purpose = about(&schema, heading).unwrap_or_else(|| description(structure));
        // What the heading says already is not said again.
        let purpose =
            if purpose.starts_with('`') && !purpose.contains(':') { String::new() } else { format!("\n{purpose}\n") };
        let _ = write!(text, "\n## {heading}\n{purpose}\n{}", reload(heading));
        let has_both = heading == "[server]";
        let (title, line) = if has_both { (" reload |", "---|") } else { ("", "") };
        let _ = write!(text, "| key | type | default | limits |{title} meaning |\n|---|---|---|---|{line}---|\n");
        let needed: BTreeSet<&str> =
            structure["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        for (key, member) in structure["properties"].as_object().unwrap() {
            let (meaning, default) = meaning(&schema, member);
            let default = if needed.contains(key.as_str()) { "(needed)".to_owned() } else { default };
            let cell = if has_both { format!(" {} |", when(&format!("[server] {key}"))) } else { String::new() };
            let _ = writeln!(
                text,
                "| `{key}` | {} | {default} | {} |{cell} {meaning} |",
                kind(&schema, member),
                limits(member)
            );
        }
    }
    text
}

/// What the file says of a table of its own.
fn about(schema: &Json, heading: &str) -> Option<String> {
    let name = heading.trim_matches(['[', ']']).trim_end_matches(".NAME");
    Some(description(schema["properties"].get(name)?))
}

/// When a change in this table has its effect, where that is the same for all its keys.
fn reload(heading: &str) -> String {
    let is_of_file = heading.starts_with('[') && heading != "[server]";
    if is_of_file { format!("A reload changes it {}.\n\n", when(heading)) } else { String::new() }
}

fn when(name: &str) -> &'static str {
    if FIXED.iter().any(|(fixed, _)| *fixed == name) { "at the next start only" } else { "at once" }
}

fn description(schema: &Json) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

/// What a key means, its words explained; and its default, which stands in its description.
fn meaning(schema: &Json, member: &Json) -> (String, String) {
    let text = description(member);
    let (before, default) = text.split_once("Default: ").unwrap_or((&text, ""));
    let (default, after) = default.split_once(". ").unwrap_or((default.trim_end_matches('.'), ""));
    let mut meaning = format!("{before}{after}").trim().to_owned();
    for (word, what) in words(schema, member) {
        let what = what.trim_end_matches('.');
        if what != "The only one" && what != format!("`{word}`") {
            let _ = write!(meaning, " `\"{word}\"`: {what}.");
        }
    }
    (meaning, literal(default).map_or_else(|| default.to_owned(), |literal| format!("`{literal}`")))
}

/// A default as it is written in the file, if it is a value and not told in words.
fn literal(default: &str) -> Option<String> {
    if ["true", "false"].contains(&default)
        || default.starts_with('"') && default.matches('"').count() == 2 && default.ends_with('"')
    {
        return Some(default.to_owned());
    }
    let plain = default.replace(',', "");
    let (number, unit) = plain.split_once(' ').unwrap_or((&plain, ""));
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match unit {
        _ if !is_number => None,
        "" => Some(number.to_owned()),
        "min" => Some(format!("\"{number}m\"")),
        unit if !unit.contains(' ') => Some(format!("\"{number}{unit}\"")),
        _ => None,
    }
}

/// The words that can be chosen from, with what they mean.
fn words<'a>(schema: &'a Json, member: &'a Json) -> Vec<(&'a str, &'a str)> {
    let chosen = resolved(schema, member);
    let choices = ["oneOf", "anyOf"].iter().filter_map(|word| chosen.get(*word)?.as_array()).flatten();
    choices
        .flat_map(|choice| match (choice.get("const"), choice.get("$ref")) {
            (Some(Json::String(word)), _) => vec![(word.as_str(), choice["description"].as_str().unwrap_or_default())],
            (_, Some(_)) => words(schema, choice),
            _ => Vec::new(),
        })
        .collect()
}

fn resolved<'a>(schema: &'a Json, member: &'a Json) -> &'a Json {
    match member.get("$ref").and_then(Json::as_str) {
        Some(reference) => schema.pointer(&reference[1..]).unwrap(),
        None => member,
    }
}

/// What can stand there, in words.
fn kind(schema: &Json, member: &Json) -> String {
    if member.get("x-range").is_some() && member.get("anyOf").is_some() {
        return "size".to_owned();
    }
    if let Some(reference) = member.get("$ref").and_then(Json::as_str) {
        let name = reference.rsplit('/').next().unwrap();
        if let Some((heading, _)) = SECTIONS.iter().find(|(_, structure)| *structure == name) {
            let kept: String =
                heading.to_lowercase().chars().filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign)).collect();
            return format!("[table](#{})", kept.replace(' ', "-"));
        }
        let chosen = resolved(schema, member);
        if let Some(word) = chosen.get("const").and_then(Json::as_str) {
            return format!("`\"{word}\"`");
        }
        return kind(schema, chosen);
    }
    let choices = ["oneOf", "anyOf"].iter().find_map(|word| member.get(*word)?.as_array());
    if let Some(choices) = choices {
        let kinds = choices.iter().map(|choice| match choice.get("const").and_then(Json::as_str) {
            Some(word) => format!("`\"{word}\"`"),
            None => match choice.get("properties").and_then(Json::as_object).and_then(|keys| keys.iter().next()) {
                Some((key, inner)) => format!("`{{ {key} = ... }}` ({})", kind(schema, inner)),
                None => kind(schema, choice),
            },
        });
        return kinds.collect::<Vec<_>>().join(", ");
    }
    let example = member.get("examples").and_then(|examples| examples[0].as_str());
    match (member.get("type").and_then(Json::as_str), member.get("format").and_then(Json::as_str), example) {
        (_, Some("fanfold-duration"), _) => "duration".to_owned(),
        (Some("string"), _, Some(example)) => format!("text, as in `\"{example}\"`"),
        (Some("string"), ..) => "text".to_owned(),
        (Some("integer"), ..) => "number".to_owned(),
        (Some("number"), ..) => "number, whole or not".to_owned(),
        (Some("boolean"), ..) => "`true`, `false`".to_owned(),
        (Some("array"), ..) => format!("list of: {}", kind(schema, &member["items"])),
        (Some("object"), ..) => format!("table, by name: {}", kind(schema, &member["additionalProperties"])),
        _ => "text or table".to_owned(),
    }
}

/// The bounds of a value.
fn limits(member: &Json) -> String {
    match (member.get("x-range").and_then(Json::as_array), member.get("minimum"), member.get("maximum")) {
        (Some(range), ..) => format!("{} to {}", range[0].as_str().unwrap(), range[1].as_str().unwrap()),
        (None, Some(least), Some(most)) => format!("{least} to {most}"),
        _ => match member.get("minItems") {
            Some(_) => "not empty".to_owned(),
            None => String::new(),
        },
    }
}
