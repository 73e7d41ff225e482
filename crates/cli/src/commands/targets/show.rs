//! `fanfold targets show`: one target, with what the configuration allows requests to it.

use serde::Deserialize;

use super::{TARGETS, Target, note, row};
use crate::client::api::segment;
use crate::commands::ServerOption;
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, print_line};

/// What is shown of a target beside its row.
#[derive(Debug, Deserialize)]
struct Shown {
    budgets: Option<Budgets>,
    overrides: Vec<Override>,
}

#[derive(Debug, Deserialize)]
struct Override {
    route: String,
    #[serde(flatten)]
    budgets: Budgets,
}

#[derive(Debug, Deserialize)]
struct Budgets {
    retry: Retry,
    undo_retry: Retry,
    timeouts: Timeouts,
    undo_timeouts: Timeouts,
    settle_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Retry {
    attempts: u32,
    backoff_ms: u64,
    backoff_max_ms: u64,
    budget_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Timeouts {
    connect_ms: u64,
    response_ms: u64,
    lower_ms: u64,
}

pub(super) async fn show(server: ServerOption, name: &str) -> Result<(), Failure> {
    let api = server.api()?;
    let json = api.get(&format!("{TARGETS}/{}", segment(name))).await?;
    if server.output == Format::Json {
        return Ok(print_line(json.get())?);
    }
    let target: Target = api.parse(&json)?;
    let Shown { budgets, overrides } = api.parse(&json)?;
    let mut table = super::table();
    table.row(row(&target));
    table.print()?;
    let note = note(&target);
    if !note.is_empty() {
        print_line(&note)?;
    }
    let mut table =
        Table::new(&["ROUTE", "FOR", "ATTEMPTS", "BACKOFF", "BUDGET", "CONNECT", "ANSWER", "LOWER", "SETTLE"]);
    for (route, budgets) in
        budgets.iter().map(|budgets| ("", budgets)).chain(overrides.iter().map(|on| (on.route.as_str(), &on.budgets)))
    {
        let settle = span(budgets.settle_ms);
        table.row(line(route, "steps", &budgets.retry, &budgets.timeouts, &settle));
        table.row(line(route, "undos", &budgets.undo_retry, &budgets.undo_timeouts, &settle));
    }
    print_line("")?;
    Ok(table.print()?)
}

fn line(route: &str, what: &str, retry: &Retry, timeouts: &Timeouts, settle: &str) -> [Cell; 9] {
    [
        Cell::plain(if route.is_empty() { "(any other)" } else { route }),
        Cell::plain(what),
        Cell::plain(retry.attempts.to_string()),
        Cell::plain(format!("{} to {}", span(retry.backoff_ms), span(retry.backoff_max_ms))),
        Cell::plain(span(retry.budget_ms)),
        Cell::plain(span(timeouts.connect_ms)),
        Cell::plain(span(timeouts.response_ms)),
        Cell::plain(span(timeouts.lower_ms)),
        Cell::plain(settle),
    ]
}

/// As the configuration has it.
fn span(ms: u64) -> String {
    match ms {
        0 => "0s".to_owned(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_in_the_configuration() {
        let spans: Vec<String> = [0, 250, 3_000, 90_000, 1_800_000, 7_200_000].into_iter().map(span).collect();
        assert_eq!(spans, ["0s", "250ms", "3s", "90s", "30m", "2h"]);
    }
}
