//! `fanfold status`: how a running server is doing.

use std::collections::BTreeMap;

use fanfold_core::operation::Status as OperationStatus;
use fanfold_core::story;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;

use super::ServerOption;
use super::ops::time;
use crate::client::Call;
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, Tone, print_line};

/// `fanfold status`
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// Only whether the process answers, for what restarts it if not: a server that asks for tokens wants none for this
    #[arg(long)]
    live: bool,

    #[command(flatten)]
    server: ServerOption,
}

/// The status of a server, as far as the table needs it. What is of all tenants together is told to the house alone, and counts to
/// whoever sees all that is counted.
#[derive(Debug, Deserialize)]
struct Form {
    version: String,
    started_at: Timestamp,
    draining: bool,
    drained: bool,
    #[serde(default)]
    overdue: u64,
    running: Option<u64>,
    operations: Option<BTreeMap<String, u64>>,
    store: Option<Store>,
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    name: String,
    epoch: u64,
    this: bool,
    standing: String,
    version: String,
    configuration: String,
    beat_at: Timestamp,
}

#[derive(Debug, Deserialize)]
struct Store {
    used_bytes: u64,
    free_bytes: u64,
    log_bytes: u64,
    hard_bound_bytes: Option<u64>,
    trouble: Option<String>,
}

pub(super) async fn run(status: Status) -> Result<(), Failure> {
    let api = status.server.api()?;
    if status.live {
        let answer = api.client().send(Call::new(Method::GET, "/healthz")).await?;
        return if answer.status.is_success() { Ok(()) } else { Err(Failure::refused(answer.status, answer.text())) };
    }
    let json = api.get("/api/v1/status").await?;
    match status.server.output {
        Format::Json => print_line(json.get())?,
        Format::Table => table(&status.server.url.to_string(), &api.parse(&json)?).print()?,
    }
    Ok(())
}

fn table(url: &str, form: &Form) -> Table {
    let mut table = Table::bare();
    let mut fact = |name: &str, cell: Cell| table.row([Cell::plain(name), cell]);
    let state = match (form.draining, form.drained) {
        (true, true) => Cell::toned(Tone::Doubtful, "accepts nothing: drained, nothing is under way any more"),
        (true, false) => Cell::toned(Tone::Doubtful, "accepts nothing: draining or about to stop"),
        (false, _) => match form.store.as_ref().and_then(|store| store.trouble.as_ref()) {
            Some(trouble) => Cell::toned(Tone::Bad, format!("accepts nothing: {trouble}")),
            None => Cell::toned(Tone::Good, "accepting"),
        },
    };
    fact("server", Cell::plain(format!("{url}, version {}, since {}", form.version, time(form.started_at))));
    fact("state", state);
    for (operations, status) in form.operations.iter().flat_map(|counts| OperationStatus::ALL.map(|one| (counts, one)))
    {
        let count = operations.get(status.as_str()).copied().unwrap_or(0);
        fact(
            status.as_str(),
            Cell::toned(if count == 0 { Tone::Plain } else { story::status(status) }, count.to_string()),
        );
    }
    if form.overdue > 0 {
        fact("overdue", Cell::toned(Tone::Bad, form.overdue.to_string()));
    }
    if let Some(running) = form.running {
        fact("in memory", Cell::plain(running.to_string()));
    }
    if let Some(Store { used_bytes, free_bytes, log_bytes, hard_bound_bytes, .. }) = form.store {
        let bound = hard_bound_bytes.map(|bound| format!(" of {}", size(bound))).unwrap_or_default();
        let (used, free, log) = (size(used_bytes), size(free_bytes), size(log_bytes));
        fact("store", Cell::plain(format!("{used} used{bound}, {free} of unused pages in the file, {log} in the log")));
    }
    let own = form.nodes.iter().find(|node| node.this).map(|node| node.configuration.as_str());
    for node in &form.nodes {
        fact("node", node_cell(node, own));
    }
    table
}

/// A server on the same store. `own`: how the one that answers is configured.
fn node_cell(node: &Node, own: Option<&str>) -> Cell {
    let Node { name, epoch, standing, version, beat_at, .. } = node;
    let this = if node.this { ", this one" } else { "" };
    let text = format!("{name} ({epoch}){this}, {standing}, version {version}, last beat {}", time(*beat_at));
    match own {
        Some(own) if own != node.configuration => {
            Cell::toned(Tone::Doubtful, format!("{text}; its mounts, targets or routes are configured otherwise"))
        }
        _ => Cell::plain(text),
    }
}

/// A number of octets with a unit, to one decimal.
fn size(bytes: u64) -> String {
    let mut tenths = u128::from(bytes) * 10;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if tenths < 10_240 {
            let text = format!("{}.{} {unit}", tenths / 10, tenths % 10);
            return text.replace(".0 ", " ");
        }
        tenths /= 1024;
    }
    format!("{}.{} TiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let sizes = [0, 1023, 1024, 1536, 5 * 1024 * 1024, 3 << 40];
        assert_eq!(sizes.map(size), ["0 B", "1023 B", "1 KiB", "1.5 KiB", "5 MiB", "3.0 TiB"]);
    }
}
