//! `fanfold ops watch`: one operation followed until it has ended, or all of them for as long as somebody looks.

use fanfold_core::OperationId;
use fanfold_core::dialect::native::LiveEntry;

use super::time;
use crate::client::api::Api;
use crate::client::events::{Events, Told};
use crate::client::follow::{self, Seen, Teller};
use crate::commands::ServerOption;
use crate::failure::Failure;
use crate::output::{Format, Paint, print_line, say};
use crate::story;

/// `fanfold ops watch`
#[derive(Debug, clap::Args)]
pub(super) struct Watch {
    /// The id of the operation; without it, all operations are followed, from now on
    id: Option<OperationId>,

    #[command(flatten)]
    server: ServerOption,
}

pub(super) async fn run(watch: Watch) -> Result<(), Failure> {
    let api = watch.server.api()?;
    match watch.id {
        Some(id) => one(&api, id, watch.server.output).await,
        None => all(&api, watch.server.output).await,
    }
}

async fn one(api: &Api, id: OperationId, format: Format) -> Result<(), Failure> {
    let mut teller = Teller::new(Paint::stdout(), |line: &str| Ok(print_line(line)?));
    let end = follow::to_the_end(api, id, |seen| match (format, seen) {
        (Format::Table, seen) => teller.tell(seen),
        // JSON of a stream stands on one line already.
        (Format::Json, Seen::Event(_, json)) => Ok(print_line(json)?),
        (Format::Json, Seen::Begun(_) | Seen::Note(_) | Seen::Ended(_)) => Ok(()),
    });
    follow::verdict(&end.await?.detail)
}

async fn all(api: &Api, format: Format) -> Result<(), Failure> {
    let mut events = Events::of_all(api);
    while let Some(told) = events.next().await? {
        match (told, format) {
            (Told::Event(_, json), Format::Json) => print_line(&json)?,
            (Told::Event(live, _), Format::Table) => {
                if let Some(line) = line(&live, Paint::stdout()) {
                    print_line(&line)?;
                }
            }
            (Told::Gap, _) => say("events are missing here: their operations were deleted"),
        }
    }
    Ok(())
}

fn line(live: &LiveEntry, paint: Paint) -> Option<String> {
    let told = match live.status {
        Some(status) => paint.apply(fanfold_core::story::status(status), &format!("ended {status}")),
        None => story::sentence(&live.entry, paint)?,
    };
    Some(format!("{}  {}  {told}", time(live.entry.at), live.operation))
}
