//! `fanfold key`: the keys that secrets of operations are encrypted with.

use fanfold_store::KeyCount;
use fanfold_store::sqlite;

use super::StoreOption;
use crate::config::{StoreSettings, StoreUrl};
use crate::failure::Failure;
use crate::opened::OpenStore;
use crate::output::{Cell, Table, say};

/// `fanfold key`
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the keys, and how many messages need each
    #[command(after_help = "\
The first one seals, the others open what is left of before. A key is shown by its id, which says nothing of it. A running
server seals what is left anew with the first one; where another one has sealed 0 messages, it can be retired.")]
    List {
        #[command(flatten)]
        store: StoreOption,
    },
    /// Make a new key for a database in a file; the one of now goes on opening what it has sealed
    #[command(after_help = "\
No server may have the database open. The new key stands at the beginning of the key file (FILE.key) from then on, and
the server seals with it after its next start. Copies of the key file that were made before do not have it.

A PostgreSQL database has its keys in the configuration: [store] key and other_keys.")]
    Rotate {
        #[command(flatten)]
        store: StoreOption,
    },
    /// Take keys that nothing is sealed with any more out of the key file of a database
    #[command(after_help = "\
No server may have the database open. It is refused as long as a key is needed. Backups that were made before the key was
changed need it still: keep it as long as them, apart from the database.")]
    Retire {
        #[command(flatten)]
        store: StoreOption,
    },
}

pub(super) async fn run(key: Key) -> Result<(), Failure> {
    match key.command {
        Command::List { store } => list(&store.settings()?).await,
        Command::Rotate { store } => rotate(&store),
        Command::Retire { store } => retire(&store),
    }
}

async fn list(settings: &StoreSettings) -> Result<(), Failure> {
    let keys = OpenStore::list_keys(settings).await.map_err(Failure::Store)?;
    let mut table = Table::new(&["KEY", "USE", "MESSAGES"]);
    for (place, KeyCount { id, messages }) in keys.iter().enumerate() {
        let role = match (place, messages) {
            (0, _) => "seals",
            (_, 0) => "not needed",
            (_, _) => "opens",
        };
        table.row([Cell::plain(id), Cell::plain(role), Cell::plain(messages.to_string())]);
    }
    Ok(table.print()?)
}

fn rotate(store: &StoreOption) -> Result<(), Failure> {
    let database = in_file(store)?;
    let id = sqlite::rotate_key(&database).map_err(Failure::Store)?;
    say(&format!(
        "made the key {id} in {}: the server seals with it after its next start, and seals anew what is left of before; copy the file to where you keep the key",
        sqlite::key_beside(&database).display()
    ));
    Ok(())
}

fn retire(store: &StoreOption) -> Result<(), Failure> {
    let database = in_file(store)?;
    let ids = sqlite::retire_keys(&database).map_err(Failure::Store)?;
    let file = sqlite::key_beside(&database);
    match ids.as_slice() {
        [] => say(&format!("there is one key in {}: nothing was changed", file.display())),
        ids => say(&format!(
            "took out of {}: {}; backups that were made before the key was changed need it still",
            file.display(),
            ids.join(", ")
        )),
    }
    Ok(())
}

/// The database, where its keys are in a file.
fn in_file(store: &StoreOption) -> Result<std::path::PathBuf, Failure> {
    match store.settings()?.url {
        StoreUrl::Sqlite { path } => Ok(path),
        StoreUrl::Postgres { .. } => Err(Failure::Usage(
            "the keys of a PostgreSQL database stand in the configuration: [store] key seals, and other_keys open; docs/operating.md has the order in which nodes get them"
                .to_owned(),
        )),
    }
}
