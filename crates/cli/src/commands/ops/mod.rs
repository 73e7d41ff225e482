//! `fanfold ops`: operations of a running server, listed, shown, watched and canceled.

mod history;
mod list;
mod show;

use fanfold_core::OperationId;
use fanfold_core::operation::WaitingFor;

use super::{ServerOption, attention};
use crate::client::api::{Api, Shown};
use crate::client::follow::{self, Progress};
use crate::failure::Failure;
use crate::output::{Format, print_line, printable, say};

pub(super) use list::print_json;
pub(super) use show::{print_operation, time};

/// `fanfold ops`
#[derive(Debug, clap::Args)]
pub(crate) struct Ops {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List operations, the newest first
    List(Box<list::List>),
    /// Show one operation with all its targets
    Get(One),
    /// Follow an operation until it has ended
    #[command(after_help = "The exit code is 0 if it completed, and 5 if it failed or was canceled.")]
    Watch(One),
    /// Cancel an operation: what succeeded is undone
    Cancel(One),
    /// Show everything that was recorded about an operation
    History(history::History),
}

/// One operation of a server.
#[derive(Debug, clap::Args)]
struct One {
    /// The id of the operation
    id: OperationId,

    #[command(flatten)]
    server: ServerOption,
}

pub(super) async fn run(ops: Ops) -> Result<(), Failure> {
    match ops.command {
        Command::List(list) => list::run(*list).await,
        Command::Get(one) => get(one).await,
        Command::Watch(one) => watch(one).await,
        Command::Cancel(one) => cancel(one).await,
        Command::History(history) => history::run(history).await,
    }
}

async fn get(one: One) -> Result<(), Failure> {
    let api = Api::new(one.server.url);
    let shown = api.operation(one.id).await?;
    print(&shown, one.server.output)?;
    if one.server.output == Format::Json {
        return Ok(());
    }
    let notes = attention::open_of(&api, one.id).await?;
    if !notes.is_empty() {
        print_line("")?;
    }
    for line in notes.iter().flat_map(attention::Note::lines) {
        print_line(&printable(&line))?;
    }
    Ok(())
}

async fn watch(one: One) -> Result<(), Failure> {
    let api = Api::new(one.server.url);
    let format = one.server.output;
    let mut progress = Progress::new();
    let end = follow::to_the_end(&api, one.id, |shown| match format {
        Format::Table => {
            progress.show(&shown.detail);
            Ok(())
        }
        // Each state on a line of its own, as it comes.
        Format::Json => Ok(print_line(&one_line(shown))?),
    });
    follow::verdict(&end.await?.detail)
}

async fn cancel(one: One) -> Result<(), Failure> {
    let shown = Api::new(one.server.url).cancel(one.id).await?;
    if one.server.output == Format::Json {
        return print(&shown, Format::Json);
    }
    let summary = &shown.detail.summary;
    if summary.status.is_terminal() {
        say(&format!("operation {} is {}", summary.id, summary.status));
    } else {
        say(&format!("operation {} is being canceled; \"fanfold ops watch {0}\" follows it", summary.id));
        if shown.detail.waiting_for.iter().any(|waiting| matches!(waiting, WaitingFor::Person { .. })) {
            say(&format!("a person has to answer first; \"fanfold ops get {}\" tells what", summary.id));
        }
    }
    Ok(())
}

fn print(shown: &Shown, format: Format) -> Result<(), Failure> {
    match format {
        Format::Table => print_operation(&shown.detail)?,
        Format::Json => print_line(shown.json.get())?,
    }
    Ok(())
}

/// JSON text has line breaks only between its parts, where they mean nothing.
fn one_line(shown: &Shown) -> String {
    shown.json.get().replace(['\r', '\n'], " ")
}
