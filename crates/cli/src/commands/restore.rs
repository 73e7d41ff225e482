//! `fanfold restore`: a backup in place of a database that is not there.

use std::path::PathBuf;

use fanfold_engine::{Clock as _, SystemClock, mark_restored};
use fanfold_store::ReadOperations as _;
use fanfold_store::sqlite::Sqlite;

use super::StoreOption;
use crate::failure::Failure;
use crate::output::say;

/// `fanfold restore`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The database must not be there, and no server may have it open. The sealing key has to stand in its place (the database's
name with .key after it), or beside the backup (FILE.key).

A backup does not know what has happened since it was made. So every operation that had not ended then waits for a
person: nothing is sent for it until it is released (fanfold ops release), or canceled. Notices that were still to be
sent become dead letters (fanfold notices replay).

A restore that is broken off is gone on with by running it again; no server takes the database up before it is done.")]
pub(crate) struct Restore {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    #[command(flatten)]
    store: StoreOption,
}

pub(super) async fn run(restore: Restore) -> Result<(), Failure> {
    let path = restore.store.sqlite()?;
    let now = SystemClock.now();
    let restoring = Sqlite::restore(&path, &restore.from, now).map_err(Failure::Restore)?;
    if restoring.is_resumed() {
        say(&format!("going on with a restore of {} that was broken off", path.display()));
    }
    let as_of = restoring.as_of();
    let store = restoring.store();
    mark_restored(store.as_ref(), as_of, now).await.map_err(|error| Failure::Mark(error.to_string()))?;
    let counts = store.counts(None).await.map_err(Failure::Restore)?;
    let open: u64 = counts.iter().filter(|(status, _)| !status.is_terminal()).map(|(_, count)| count).sum();
    let dead = restoring.finish(SystemClock.now()).await.map_err(Failure::Restore)?;
    say(&format!("restored {}, as of {as_of}", path.display()));
    say(&format!(
        "{open} operations had not ended: nothing is sent for them until they are released or canceled; \"fanfold ops list --attention\" shows them, \"fanfold ops release\" lets them go on"
    ));
    if dead > 0 {
        say(&format!(
            "{dead} notices were still to be sent, and are dead letters now; \"fanfold notices replay --all-dead\" sends them"
        ));
    }
    Ok(())
}
