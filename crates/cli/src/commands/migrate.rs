//! `fanfold migrate`: everything of a database in a file, moved into an empty one that nodes share.

mod compare;

use fanfold_core::OperationId;
use fanfold_store::moving::{Batch, Inventory};
use fanfold_store::postgres::{self, Destination};
use fanfold_store::sqlite::Source;
use fanfold_store::{Error, Limits};

use super::{ConfigOption, serve};
use crate::config::StoreUrl;
use crate::failure::Failure;
use crate::output::say;

/// A line tells of the progress after so many operations.
const TOLD_EVERY: u64 = 10_000;

/// `fanfold migrate`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server of the database has to be stopped first, and is not started on it again: FILE.migrated stands beside it then,
and it can be moved away. Removing that mark is the way back, as long as no node has served the new database.
The PostgreSQL database has to be empty. It is the one of the configuration file, or the one that --to names.

All goes along: operations as they are, bodies, secrets, histories, notes, notices, locks, holds, idempotency keys, tokens,
the audit trail, and the numbers that all of it has. Whichever node starts first on the new database goes on with what has
not ended.

Secrets are encrypted anew with [store] key, whichever it is. With --to it is the key of the file (FILE.key, the first 32
bytes); to write that down for [store] key = \"${file:fanfold.key}\":

    head -c 32 fanfold.db.key | base64 -w0 > fanfold.key

A migration that is broken off is gone on with by running it again; no server takes the new database up before it is
done. At the end both are compared: rows, originals, and every line that an export of them has.")]
pub(crate) struct Migrate {
    /// The database to be moved, written as the url of a store
    #[arg(long, value_name = "sqlite:FILE", value_parser = StoreUrl::of_argument)]
    from: StoreUrl,
    /// The database that it is moved into; then no configuration file is read
    #[arg(long, value_name = "postgres://...", value_parser = StoreUrl::of_argument, conflicts_with = "file")]
    to: Option<StoreUrl>,

    #[command(flatten)]
    config: ConfigOption,
}

pub(super) async fn run(migrate: Migrate) -> Result<(), Failure> {
    let StoreUrl::Sqlite { path } = &migrate.from else {
        return Err(Failure::Usage("--from names no file: it is written as sqlite:FILE".to_owned()));
    };
    let source = Source::open(path).map_err(Failure::Migrate)?;
    let config = migrate.destination(&source)?;
    let shown = config.url.shown().to_owned();
    let mut destination = Destination::begin(config, source.identity()).await.map_err(Failure::Migrate)?;
    if destination.is_resumed() {
        say(&format!("going on with a migration into {shown} that was broken off"));
    }
    let source = copy(source, &mut destination).await?;
    let (source, inventory) = off_thread(source, Source::inventory).await.map_err(Failure::Migrate)?;
    require_same(&inventory, &destination.inventory().await.map_err(Failure::Migrate)?)?;
    let octets = compare::exports(&source, &destination, &inventory).await?;
    // Before the new database may be served, so that both never are.
    source.mark_moved(&shown).map_err(Failure::Migrate)?;
    destination.release().await.map_err(Failure::Migrate)?;
    let rows: u64 = inventory.rows.iter().map(|(_, number)| number).sum();
    say(&format!(
        "migrated {} to {shown}: {} operations, {rows} rows, {octets} bytes of exports compared; the file is not served any more (FILE.migrated says so): move it away",
        source.path().display(),
        operations(&inventory)
    ));
    Ok(())
}

impl Migrate {
    /// Where to, and with which key.
    fn destination(&self, source: &Source) -> Result<postgres::Config, Failure> {
        let (url, key) = match &self.to {
            Some(StoreUrl::Postgres { url }) => (url.as_ref().clone(), source.key().0),
            Some(StoreUrl::Sqlite { .. }) => {
                return Err(Failure::Usage("--to names a file, and a migration goes to postgres://...".to_owned()));
            }
            None => {
                let settings = serve::load(self.config.path())?.store;
                match (settings.url, settings.node) {
                    (StoreUrl::Postgres { url }, Some(node)) => (*url, node.key.0),
                    (StoreUrl::Postgres { .. } | StoreUrl::Sqlite { .. }, _) => {
                        return Err(Failure::Usage(format!(
                            "[store] url in {} is not where a migration can go: write url = \"postgres://...\" and key there, or give --to",
                            self.config.path().display()
                        )));
                    }
                }
            }
        };
        // Whatever stands in records stays there.
        let limits = Limits { inline_max: usize::MAX, ..Limits::default() };
        Ok(postgres::Config { limits, ..postgres::Config::new(url, key) })
    }
}

/// Copies what is not there yet. The next batch is read while one is written.
async fn copy(source: Source, destination: &mut Destination) -> Result<Source, Failure> {
    if destination.is_whole() {
        return Ok(source);
    }
    let (mut source, mut batch) = read(source, destination.after()).await.map_err(Failure::Migrate)?;
    let mut copied = 0;
    while let Some(last) = batch.last() {
        let number = batch.len() as u64;
        let (written, next) = tokio::join!(destination.add(batch), read(source, Some(last)));
        written.map_err(Failure::Migrate)?;
        (source, batch) = next.map_err(Failure::Migrate)?;
        if copied / TOLD_EVERY != (copied + number) / TOLD_EVERY {
            say(&format!("{} operations copied", copied + number));
        }
        copied += number;
    }
    let source = copy_audit(source, destination).await?;
    let (source, rest) = off_thread(source, Source::rest).await.map_err(Failure::Migrate)?;
    destination.complete(rest).await.map_err(Failure::Migrate)?;
    say(&format!("{copied} operations copied, and all that belongs to them; now both are compared"));
    Ok(source)
}

async fn copy_audit(mut source: Source, destination: &mut Destination) -> Result<Source, Failure> {
    loop {
        let after = destination.audit_after();
        let (read, entries) = off_thread(source, move |source| source.audit(after)).await.map_err(Failure::Migrate)?;
        source = read;
        if entries.is_empty() {
            return Ok(source);
        }
        destination.add_audit(entries).await.map_err(Failure::Migrate)?;
    }
}

async fn read(source: Source, after: Option<OperationId>) -> Result<(Source, Batch), Error> {
    off_thread(source, move |source| source.batch(after)).await
}

/// Reads where it keeps nobody waiting.
async fn off_thread<T: Send + 'static>(
    source: Source,
    read: impl FnOnce(&Source) -> Result<T, Error> + Send + 'static,
) -> Result<(Source, T), Error> {
    let reading = tokio::task::spawn_blocking(move || read(&source).map(|answer| (source, answer)));
    reading.await.map_err(|error| Error::Unavailable { detail: error.to_string(), may_have_committed: false })?
}

fn operations(inventory: &Inventory) -> u64 {
    inventory.rows.iter().find(|(table, _)| *table == "operations").map_or(0, |(_, number)| *number)
}

fn require_same(source: &Inventory, destination: &Inventory) -> Result<(), Failure> {
    for ((table, expected), (_, found)) in source.rows.iter().zip(&destination.rows) {
        if expected != found {
            return Err(Failure::MigratedOtherwise(format!("{table} had {expected} rows, and has {found}")));
        }
    }
    if source.counts != destination.counts {
        return Err(Failure::MigratedOtherwise("the operations of each status are not as many".to_owned()));
    }
    if source.hidden != destination.hidden {
        return Err(Failure::MigratedOtherwise(
            "idempotency keys, originals, tokens or the audit trail differ".to_owned(),
        ));
    }
    Ok(())
}
