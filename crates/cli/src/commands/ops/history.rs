//! `fanfold ops history`

use fanfold_core::OperationId;
use fanfold_core::dialect::native::HistoryEntry;

use super::list::print_json;
use super::show::{exact_time, time};
use crate::client::api::{Api, Pages};
use crate::commands::ServerOption;
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, word};

/// `fanfold ops history`
#[derive(Debug, clap::Args)]
pub(super) struct History {
    /// The id of the operation
    id: OperationId,
    /// The most entries to show, from the first on
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    limit: usize,

    #[command(flatten)]
    server: ServerOption,
}

pub(super) async fn run(history: History) -> Result<(), Failure> {
    let api = Api::new(history.server.url);
    let mut pages = api.history(history.id, history.limit);
    match history.server.output {
        Format::Json => print_json(&mut pages).await,
        Format::Table => print_table(&api, &mut pages).await,
    }
}

async fn print_table(api: &Api, pages: &mut Pages<'_>) -> Result<(), Failure> {
    let mut table = Table::new(&["#", "TIME", "EVENT", "TARGET", "REQUEST", "MEANING", "NOTE"]);
    while let Some(entry) = pages.next().await? {
        table.row(row(&api.parse(&entry)?));
    }
    Ok(table.print()?)
}

fn row(entry: &HistoryEntry) -> [Cell; 7] {
    [
        Cell::plain(entry.sequence.to_string()),
        Cell::plain(exact_time(entry.at)),
        Cell::plain(entry.event.replace('_', " ")),
        Cell::plain(entry.target.clone().unwrap_or_default()),
        Cell::plain(entry.leg.as_ref().map(word).unwrap_or_default()),
        Cell::plain(entry.meaning.as_deref().unwrap_or_default().replace('_', " ")),
        Cell::plain(note(entry)),
    ]
}

/// Whatever else there is, in the order of its weight.
fn note(entry: &HistoryEntry) -> String {
    let parts = [
        entry.response.as_ref().map(|response| format!("answered {}", response.status)),
        entry.error.as_ref().map(|error| error.detail.clone()),
        entry.reference.as_ref().map(|reference| format!("lower operation {reference}")),
        entry.by.as_ref().map(|by| format!("by {by}")),
        entry.remark.clone(),
        entry.until.map(|until| format!("until {}", time(until))),
        entry.retry_after_ms.map(|wait| format!("asked to wait {wait} ms")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
