//! `fanfold notices`: who is told of the ends of operations, and sending dead letters again.

use std::num::NonZeroUsize;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use fanfold_core::OperationId;
use fanfold_store::NoticeState;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::ops::{print_json, time};
use super::{ServerOption, each};
use crate::client::api::{Api, NOTICES, segment};
use crate::failure::Failure;
use crate::output::{Cell, Format, Table, Tone, one_line, print_line, say};

/// `fanfold notices`
#[derive(Debug, clap::Args)]
pub(crate) struct Notices {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List notices, the newest first
    List(List),
    /// Show one notice
    Show {
        /// The id of the notice
        id: String,

        #[command(flatten)]
        server: ServerOption,
    },
    /// Send dead letters again, from the first try on
    Replay(Replay),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only those of this state: dead ones are dead letters
    #[arg(long, value_name = "STATE", value_parser = state_word())]
    state: Option<NoticeState>,
    /// Only those about this operation
    #[arg(long, value_name = "ID")]
    operation: Option<OperationId>,
    /// The most notices to list
    #[arg(long, value_name = "COUNT", default_value = "50")]
    limit: NonZeroUsize,

    #[command(flatten)]
    server: ServerOption,
}

#[derive(Debug, clap::Args)]
struct Replay {
    /// The ids of the notices
    #[arg(value_name = "ID", required_unless_present = "all_dead")]
    ids: Vec<String>,
    /// All dead letters
    #[arg(long, conflicts_with = "ids")]
    all_dead: bool,
    /// With --all-dead: only those about this operation
    #[arg(long, value_name = "ID", requires = "all_dead")]
    operation: Option<OperationId>,

    #[command(flatten)]
    server: ServerOption,
}

/// A notice as the server shows it.
#[derive(Debug, Deserialize)]
struct Notice {
    id: String,
    operation: OperationId,
    kind: String,
    #[serde(deserialize_with = "read_state")]
    state: NoticeState,
    method: String,
    url: String,
    attempts: u32,
    last_error: Option<String>,
    created_at: Timestamp,
    due_at: Option<Timestamp>,
    settled_at: Option<Timestamp>,
}

pub(super) async fn run(notices: Notices) -> Result<(), Failure> {
    match notices.command {
        Command::List(options) => list(options).await,
        Command::Show { id, server } => {
            let api = server.api()?;
            let json = api.get(format!("{NOTICES}/{}", segment(&id))).await?;
            match server.output {
                Format::Json => print_line(json.get())?,
                Format::Table => facts(&api.parse(&json)?).print()?,
            }
            Ok(())
        }
        Command::Replay(options) => replay(options).await,
    }
}

async fn list(list: List) -> Result<(), Failure> {
    let api = list.server.api()?;
    let mut pages = api.notices(query(list.state, list.operation), list.limit.get());
    if list.server.output == Format::Json {
        return print_json(&mut pages).await;
    }
    let mut table = Table::new(&["ID", "OPERATION", "STATE", "TRIES", "NEXT OR SETTLED", "TO", "NOTE"]);
    let mut is_empty = true;
    while let Some(entry) = pages.next().await? {
        table.row(row(&api.parse(&entry)?));
        is_empty = false;
    }
    if is_empty {
        say("no notices");
        return Ok(());
    }
    Ok(table.print()?)
}

async fn replay(replay: Replay) -> Result<(), Failure> {
    let api = replay.server.api()?;
    let ids = if replay.all_dead { dead(&api, replay.operation).await? } else { replay.ids };
    if ids.is_empty() {
        say("no dead letters");
    }
    // Somebody else may have taken one up meanwhile, or it is gone.
    let refused = |id: &String, failure: &Failure| say(&format!("notice {id} is not sent again: {failure}"));
    each(&ids, async |id| replay_one(&api, id, replay.server.output).await, refused).await
}

async fn replay_one(api: &Api, id: &str, format: Format) -> Result<(), Failure> {
    let json = api.post(format!("{NOTICES}/{}/replay", segment(id)), None).await?;
    match format {
        Format::Table => say(&format!("notice {id} is sent again")),
        Format::Json => print_line(&one_line(&json))?,
    }
    Ok(())
}

/// The ids of dead letters, oldest first, so that they are taken up in the order in which they were recorded.
async fn dead(api: &Api, operation: Option<OperationId>) -> Result<Vec<String>, Failure> {
    let mut pages = api.notices(query(Some(NoticeState::Dead), operation), usize::MAX);
    let mut ids = Vec::new();
    while let Some(entry) = pages.next().await? {
        ids.push(api.parse::<Notice>(&entry)?.id);
    }
    ids.reverse();
    Ok(ids)
}

fn query(state: Option<NoticeState>, operation: Option<OperationId>) -> Vec<(String, String)> {
    let operation = operation.map(|id| ("operation".to_owned(), id.to_string()));
    state.map(|state| ("state".to_owned(), state.as_str().to_owned())).into_iter().chain(operation).collect()
}

fn row(notice: &Notice) -> [Cell; 7] {
    [
        Cell::plain(notice.id.as_str()),
        Cell::plain(notice.operation.to_string()),
        state(notice),
        Cell::plain(notice.attempts.to_string()),
        Cell::plain(notice.due_at.or(notice.settled_at).map_or_else(|| "-".to_owned(), time)),
        Cell::plain(format!("{} {}", notice.method, notice.url)),
        Cell::plain(notice.last_error.as_deref().unwrap_or_default()),
    ]
}

fn facts(notice: &Notice) -> Table {
    let mut table = Table::bare();
    let mut fact = |name: &str, cell: Cell| table.row([Cell::plain(name), cell]);
    fact("notice", Cell::plain(notice.id.as_str()));
    fact("operation", Cell::plain(notice.operation.to_string()));
    fact("kind", Cell::plain(notice.kind.as_str()));
    fact("state", state(notice));
    fact("to", Cell::plain(format!("{} {}", notice.method, notice.url)));
    fact("tries", Cell::plain(notice.attempts.to_string()));
    let times = [("recorded", Some(notice.created_at)), ("next try", notice.due_at), ("settled", notice.settled_at)];
    for (name, at) in times {
        if let Some(at) = at {
            fact(name, Cell::plain(time(at)));
        }
    }
    if let Some(error) = &notice.last_error {
        fact("last error", Cell::plain(error.as_str()));
    }
    table
}

fn state(notice: &Notice) -> Cell {
    let tone = match notice.state {
        NoticeState::Delivered => Tone::Good,
        NoticeState::Dead => Tone::Bad,
        NoticeState::Pending => Tone::Busy,
    };
    Cell::toned(tone, notice.state.as_str())
}

fn state_of(word: &str) -> Option<NoticeState> {
    NoticeState::ALL.into_iter().find(|state| state.as_str() == word)
}

fn state_word() -> impl TypedValueParser<Value = NoticeState> {
    let words = PossibleValuesParser::new(NoticeState::ALL.map(NoticeState::as_str));
    words.map(|word| state_of(&word).expect("it is one of these words"))
}

fn read_state<'de, D: Deserializer<'de>>(from: D) -> Result<NoticeState, D::Error> {
    let word = String::deserialize(from)?;
    state_of(&word).ok_or_else(|| serde::de::Error::custom(format!("no notice is {word}")))
}
