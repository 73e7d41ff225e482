//! `fanfold ops list`

use std::num::NonZeroUsize;

use fanfold_core::dialect::native::OperationSummary;
use fanfold_core::story;

use super::Which;
use super::show::time;
use crate::client::api::{Api, Pages};
use crate::commands::ServerOption;
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, one_line, print_line, say, word};

/// How many operations are laid out as one table; the columns of the next ones may have other widths.
const ROWS_AT_ONCE: usize = 500;

/// `fanfold ops list`
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    which: Which,
    /// The most operations to list
    #[arg(long, value_name = "COUNT", default_value = "50")]
    limit: NonZeroUsize,

    #[command(flatten)]
    server: ServerOption,
}

pub(super) async fn run(list: List) -> Result<(), Failure> {
    let api = list.server.api()?;
    let mut pages = api.operations(list.which.query(), list.limit.get());
    match list.server.output {
        Format::Json => print_json(&mut pages).await,
        Format::Table => print_table(&api, &mut pages).await,
    }
}

/// One JSON array with one entry on each line, written as the pages come in.
pub(in crate::commands) async fn print_json(pages: &mut Pages<'_>) -> Result<(), Failure> {
    let mut before = "[";
    while let Some(entry) = pages.next().await? {
        print_line(&format!("{before}{}", one_line(&entry)))?;
        before = ",";
    }
    Ok(print_line(if before == "[" { "[]" } else { "]" })?)
}

async fn print_table(api: &Api, pages: &mut Pages<'_>) -> Result<(), Failure> {
    let mut count = 0;
    loop {
        let mut table = if count == 0 { Table::new(&HEADINGS) } else { Table::bare() };
        let before = count;
        while count < before + ROWS_AT_ONCE
            && let Some(entry) = pages.next().await?
        {
            table.row(row(&api.parse(&entry)?));
            count += 1;
        }
        if count == 0 {
            say("no operations");
            return Ok(());
        }
        table.print()?;
        if count < before + ROWS_AT_ONCE {
            return Ok(());
        }
    }
}

const HEADINGS: [&str; 7] = ["ID", "STATUS", "PHASE OR DATA", "ACCEPTED", "ROUTE", "VERB", "RESOURCE"];

fn row(summary: &OperationSummary) -> [Cell; 7] {
    // Once it has ended, what is known of the data is worth more than what it is doing.
    let phase = summary.phase.map(|phase| phase.to_string());
    let consistency = summary.consistency.map(|consistency| consistency.as_str().to_owned());
    [
        Cell::plain(summary.id.to_string()),
        Cell::toned(story::status(summary.status), summary.status.to_string()),
        Cell::plain(phase.or(consistency).unwrap_or_else(|| "-".to_owned())),
        Cell::plain(time(summary.accepted_at)),
        Cell::plain(summary.route.as_str()),
        Cell::plain(word(&summary.verb)),
        Cell::plain(summary.resource.as_str()),
    ]
}
