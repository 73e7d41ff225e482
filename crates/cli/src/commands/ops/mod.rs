//! `fanfold ops`: operations of a running server, listed, shown, watched, canceled and retried.

mod bulk;
mod cancel;
mod extend;
mod history;
mod list;
mod release;
mod retry;
mod show;
mod watch;
mod which;

use fanfold_core::OperationId;

use super::{ServerOption, attention};
use crate::client::api::Shown;
use crate::failure::Failure;
use crate::output::{Format, print_line, printable};

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
    /// Cancel operations: what succeeded is undone
    Cancel(Box<cancel::Cancel>),
    /// Move the deadline of an operation to later
    Extend(extend::Extend),
    /// Retry failed or canceled operations: call the targets again that are not in the requested state
    Retry(Box<retry::Retry>),
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
        Command::Cancel(cancel) => cancel::run(*cancel).await,
        Command::Extend(extend) => extend::run(extend).await,
        Command::Retry(retry) => retry::run(*retry).await,
        Command::Release(release) => release::run(*release).await,
        Command::History(history) => history::run(history).await,
    }
}

async fn get(one: One) -> Result<(), Failure> {
    let api = one.server.api()?;
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

fn print(shown: &Shown, format: Format) -> Result<(), Failure> {
    match format {
        Format::Table => print_operation(&shown.detail)?,
        Format::Json => print_line(shown.json.get())?,
    }
    Ok(())
}
