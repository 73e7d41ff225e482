//! `fanfold ops history`: what was recorded about an operation, told as its story.

use fanfold_core::OperationId;
use fanfold_core::dialect::native::HistoryEntry;

use super::list::print_json;
use crate::client::api::Api;
use crate::commands::ServerOption;
use crate::failure::Failure;
use crate::output::{Format, Paint, print_line, say};
use crate::story::Story;

/// `fanfold ops history`
#[derive(Debug, clap::Args)]
pub(super) struct History {
    /// The id of the operation
    id: OperationId,
    /// The most entries to show, from the first on
    #[arg(long, value_name = "COUNT", default_value = "10000")]
    limit: std::num::NonZeroUsize,

    #[command(flatten)]
    server: ServerOption,
}

pub(super) async fn run(history: History) -> Result<(), Failure> {
    let api = history.server.api()?;
    let limit = history.limit.get();
    match history.server.output {
        Format::Json => print_json(&mut api.history(history.id, limit)).await,
        Format::Table => tell(&api, history.id, limit).await,
    }
}

async fn tell(api: &Api, id: OperationId, limit: usize) -> Result<(), Failure> {
    // The history comes first: what the detail says of targets and the end is then never older than the last entry.
    let mut pages = api.history(id, limit);
    let mut entries: Vec<HistoryEntry> = Vec::new();
    while let Some(entry) = pages.next().await? {
        entries.push(api.parse(&entry)?);
    }
    let shown = api.operation(id).await?;
    for line in Story::of(&shown.detail, &entries).lines(Paint::stdout()) {
        print_line(&line)?;
    }
    if entries.len() == limit {
        say(&format!("these are the first {limit} entries at most; --limit shows more"));
    }
    Ok(())
}
