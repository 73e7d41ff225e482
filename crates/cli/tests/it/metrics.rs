//! What a real server shows under `/metrics`, the document that tells of it, the alerts and the dashboard that are made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fanfold_testkit::{Answer, FakeTarget, Home, programs};

use super::program::{Server, config, things};

/// Set where an absent promtool must fail the tests instead of skipping them.
const NEED_PROMTOOL: &str = "FANFOLD_TESTS_NEED_PROMTOOL";

/// A metric as the document has it.
#[derive(Debug, PartialEq, Eq)]
struct Documented {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

fn documented() -> BTreeMap<String, Documented> {
    let page = read("docs/metrics.md");
    let sections = page.split("\n### `").skip(1).map(|section| {
        let (name, rest) = section.split_once("`\n\n").unwrap();
        let mut lines = rest.lines();
        let (how, help) = lines.next().unwrap().split_once(": ").unwrap();
        let kind = how.split([' ', ',']).next().unwrap().to_owned();
        let label = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
        let labels = lines.map_while(|line| (!line.starts_with('#')).then_some(line)).filter_map(label).collect();
        (name.to_owned(), Documented { kind, help: help.to_owned(), labels })
    });
    sections.collect()
}

/// A server that has done a bit of everything, and what it shows then.
async fn page_of_a_busy_server() -> String {
    let (tokyo, osaka) = (FakeTarget::start().await, FakeTarget::start().await);
    osaka.on("PUT", "/things/refused", Answer::empty(409));
    let pass = "[[routes]]\nname = \"look\"\nmatch = \"GET /look\"\npass = \"tokyo\"\n";
    let telemetry = "[telemetry]\notlp = \"http://127.0.0.1:9\"\n";
    let routes = format!("{telemetry}{}\n{pass}", things(&["tokyo", "osaka"]));
    let home = Home::new(&config(&[("tokyo", &tokyo), ("osaka", &osaka)], &routes));
    let server = Server::start(&home).await;
    for path in ["/things/1", "/things/refused"] {
        server.end_of(&server.put(path).await).await;
    }
    server.get("/look").await;
    server.get("/nothing").await;
    // Accepted, accepted before, and a key that was used for something else.
    for (body, status) in [("1", 202), ("1", 202), ("2", 422)] {
        let request = format!(
            "PUT /things/2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nidempotency-key: \"k\"\r\n\
             content-type: application/json\r\ncontent-length: 1\r\n\r\n{body}"
        );
        let answer = server.http.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    let page = server.get("/metrics").await.text();
    server.stop().await;
    page
}

/// The name and the labels of a line with a value.
fn sample(line: &str) -> (String, BTreeSet<String>) {
    let (name, labels) = line.split_once('{').unwrap_or((line.split(' ').next().unwrap(), "}"));
    let labels = labels.split_once('}').unwrap().0;
    let keys = labels.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
    (name.to_owned(), keys.filter(|key| key != "le").collect())
}

#[tokio::test]
async fn what_is_shown_is_what_is_documented() {
    let page = page_of_a_busy_server().await;
    let documented = documented();
    let described = |word: &str| -> BTreeMap<String, String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix(&format!("# {word} "))?.split_once(' '));
        lines.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let (helps, kinds) = (described("HELP"), described("TYPE"));
    for (name, help) in &helps {
        let there = documented.get(name).unwrap_or_else(|| panic!("{name} is not in docs/metrics.md"));
        assert_eq!((&there.help, &there.kind), (help, &kinds[name]), "{name}");
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = sample(line);
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let family = name.strip_suffix(suffix)?;
            (kinds.get(family).map(String::as_str) == Some("histogram")).then_some(family)
        });
        let family = family.unwrap_or(&name);
        assert_eq!(documented[family].labels, labels, "{line}");
    }
    // All of them but those that need a credential of an issuer, a request that is turned away, a certificate, a receiver, a collector that loses
    // patience, or a bound.
    let absent: Vec<_> = documented.keys().filter(|name| !helps.contains_key(*name)).collect();
    let expected = [
        "fanfold_credentials_total",
        "fanfold_http_certificate_end_seconds",
        "fanfold_http_rejected_total",
        "fanfold_issuer_requests_total",
        "fanfold_notice_tries_total",
        "fanfold_store_hard_bound_bytes",
        "fanfold_store_soft_bound_bytes",
        "fanfold_trace_spans_lost_total",
    ];
    assert_eq!(absent, expected.each_ref());
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_what_is_shown() {
    let Some(promtool) = programs::found("promtool", "prometheus", NEED_PROMTOOL) else { return };
    let page = page_of_a_busy_server().await;
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    check.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let checked = check.wait_with_output().unwrap();
    let said = [checked.stdout, checked.stderr].map(|said| String::from_utf8(said).unwrap());
    assert_eq!(said, ["", ""], "{page}");
    assert!(checked.status.success());
}

/// The alerts with their lines.
fn alerts() -> BTreeMap<String, String> {
    let rules = read("ops/prometheus/fanfold.rules.yml");
    let alerts = rules.split("- alert: ").skip(1).map(|alert| alert.split_once('\n').unwrap());
    alerts.map(|(name, lines)| (name.to_owned(), lines.to_owned())).collect()
}

#[test]
fn each_alert_has_its_section_in_the_runbook_and_each_section_its_alert() {
    let alerts = alerts();
    let runbook = read("docs/runbook.md");
    let sections: BTreeSet<_> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, alerts.keys().map(String::as_str).collect());
    for (name, lines) in &alerts {
        let url = format!("runbook_url: docs/runbook.md#{}\n", name.to_lowercase());
        for part in ["severity: ", "summary: ", "description: ", &url] {
            assert!(lines.contains(part), "{name} has no {part}");
        }
    }
}

/// Names of metrics in a text, without what histograms put behind theirs.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names = words.filter(|word| word.starts_with("fanfold_") || word.starts_with("process_"));
    names.map(|name| name.strip_suffix("_bucket").unwrap_or(name).to_owned()).collect()
}

#[test]
fn alerts_and_dashboard_are_made_of_metrics_that_are_there() {
    let documented = documented();
    let is_there = |name: &String| {
        let family = ["_sum", "_count"].iter().find_map(|suffix| documented.get(name.strip_suffix(suffix)?));
        documented.contains_key(name) || family.is_some_and(|family| family.kind == "histogram")
    };
    let dashboard: serde_json::Value = serde_json::from_str(&read("ops/grafana/fanfold.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 20, "{queries:#?}");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables = variables.iter().map(|variable| variable["query"].to_string());
    let texts = queries.into_iter().map(str::to_owned).chain(variables).chain(alerts().into_values());
    for text in texts {
        for name in names(&text) {
            assert!(is_there(&name), "{name} is not in docs/metrics.md: {text}");
        }
    }
}

/// The commands of the runbook, each of which the program has to know.
#[tokio::test]
async fn the_runbook_has_commands_of_the_real_program() {
    let runbook = read("docs/runbook.md");
    let commands: BTreeSet<_> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("fanfold "))
        .chain(runbook.split('`').filter_map(|code| code.strip_prefix("fanfold ")))
        .map(|command| command.split_whitespace().take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())))
        .map(|words| words.filter(|word| !word.contains('.')).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    let home = Home::new("");
    for command in commands {
        let (answer, known) = match command.as_slice() {
            // What the answer to a note may be is an argument, and no command.
            [group, verb, ..] if group == "attention" => (format!("{group} {verb}"), vec![group.clone(), verb.clone()]),
            words => (words.join(" "), words.to_vec()),
        };
        let arguments: Vec<_> = known.iter().map(String::as_str).chain(["--help"]).collect();
        let ended = super::program::run(home.path(), &arguments).await;
        assert_eq!(ended.code, Some(0), "fanfold {answer}: {}", ended.stderr);
    }
}
