//! The document of all metrics, made of what they are registered with.
#![cfg(test)]

use std::fmt::Write as _;
use std::path::Path;

use fanfold_server::Server;
use fanfold_store::metric::{Metric, Of};

const HEAD: &str = "# Metrics

`GET /metrics` shows these, as OpenMetrics to whoever accepts that (Prometheus does) and else in the text format of Prometheus.
A histogram has `_bucket`, `_sum` and `_count` behind its name.
A metric with labels is there once one of its values is.
This page is made from the program: `UPDATE_DOCS=1 cargo test -p fanfold described` renews it.

Of several nodes on one store each shows its own values, which add up (`of this node`), but for what is of the store, which all of them show (`of the store`): take the maximum of those, and not the sum.
What is of the store is asked for when the metrics are, at most once a second and in a bounded time; while the store does not answer it is left out, and `fanfold_store_answers` is 0.

What to watch, and what to do then: [`ops/prometheus/fanfold.rules.yml`](../ops/prometheus/fanfold.rules.yml) and the [runbook](runbook.md); to look at: [`ops/grafana/fanfold.json`](../ops/grafana/fanfold.json).
";

fn document() -> String {
    let mut page = HEAD.to_owned();
    let http: Vec<&Metric> = Server::described_metrics().collect();
    section(&mut page, "Operations, notices, nodes", fanfold_engine::Metrics::DESCRIBED.iter());
    section(&mut page, "Credentials of others", fanfold_engine::identity::Metrics::DESCRIBED.iter());
    section(&mut page, "Targets", fanfold_engine::target::Metrics::DESCRIBED.iter());
    section(&mut page, "Requests, and how things stand", http.into_iter());
    section(&mut page, "The store", fanfold_store::Metrics::DESCRIBED.iter());
    section(&mut page, "Traces", crate::otlp::DESCRIBED.iter());
    section(&mut page, "The process", crate::process::DESCRIBED.iter());
    page
}

fn section<'a>(page: &mut String, title: &str, metrics: impl Iterator<Item = &'a Metric>) {
    write!(page, "\n## {title}\n").unwrap();
    for metric in metrics {
        let (name, kind, help) = (metric.name(), metric.kind().as_str(), metric.help());
        let unit = metric.unit().map_or(String::new(), |unit| format!(" in {}", unit.as_str()));
        let of = match metric.of() {
            Of::Node => "of this node",
            Of::Store => "of the store",
        };
        write!(page, "\n### `{name}`\n\n{kind}{unit}, {of}: {help}.\n").unwrap();
        if !metric.labels().is_empty() {
            page.push_str("\n| label | values |\n|---|---|\n");
        }
        for label in metric.labels() {
            writeln!(page, "| `{}` | {} |", label.name, label.bound).unwrap();
        }
    }
}

#[test]
fn every_metric_is_in_its_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "docs/metrics.md is not up to date: UPDATE_DOCS=1 cargo test -p fanfold described");
}
