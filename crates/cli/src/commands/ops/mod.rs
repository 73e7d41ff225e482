//! `fanfold ops`: operations of a running server, listed, shown, watched, canceled and retried.

mod extend;
mod history;
mod list;
mod release;
mod retry;
mod show;
mod watch;
mod which;

use fanfold_core::OperationId;
use fanfold_core::operation::WaitingFor;

use super::{ServerOption, attention};
use crate::client::api::{Api, Shown};
use crate::failure::Failure;
use crate::output::{Format, print_line, printable, say};

pub(super) use list::print_json;
pub(super) use show::{print_operation, time};
pub(super) use which::Which;

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
    /// Tell the story of an operation as it happens, until it has ended; or that of all operations
    #[command(after_help = "The exit code is 0 if it completed, and 5 if it failed or was canceled.")]
    Watch(watch::Watch),
    /// Cancel an operation: what succeeded is undone
    Cancel(One),
    /// Move the deadline of an operation to later
    Extend(extend::Extend),
    /// Retry a failed or canceled operation: call the targets again that are not in the requested state
    Retry(retry::Retry),
    /// Let operations go on that were restored from a backup
    Release(Box<release::Release>),
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
        Command::Watch(watch) => watch::run(watch).await,
        Command::Cancel(one) => cancel(one).await,
        Command::Extend(extend) => extend::run(extend).await,
        Command::Retry(retry) => retry::run(retry).await,
        Command::Release(release) => release::run(*release).await,
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
