//! `fanfold export`: operations as lines of JSON, read from the store itself.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use fanfold_core::TenantId;
use fanfold_store::sqlite::Sqlite;
use fanfold_store::{Filter, ReadAll, export};

use super::StoreOption;
use super::ops::Which;
use super::whole_file::WholeFile;
use crate::config::{StoreSettings, StoreUrl};
use crate::failure::Failure;
use crate::opened::OpenStore;
use crate::output::say;

/// `fanfold export`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each line is one operation, oldest first, with its plan, bodies, events, notes and notices in their public form: what
was redacted stays so. The same content gives the same bytes, whatever store it is in.

It reads the database itself, past the server, and so works whether one runs or not. Of a database in a file all lines are
one picture, as of the start of the command; the server goes on meanwhile, and its log (the -wal file) grows until the
end. Of PostgreSQL each operation is read as it is when its turn comes.")]
pub(crate) struct Export {
    #[command(flatten)]
    which: Which,
    /// Of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Where the lines go instead of the standard output; the file appears once it is whole, in place of what was there
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    store: StoreOption,
}

pub(super) async fn run(export: Export) -> Result<(), Failure> {
    let store = open(&export.store.settings()?).await?;
    let tenant = export.tenant.map(TenantId::from).unwrap_or_default();
    let filter = Filter { tenant, ..export.which.filter() };
    let count = match &export.output {
        Some(path) => {
            let mut file = BufWriter::new(WholeFile::begin(path)?);
            let count = write(store.as_ref(), filter.clone(), &mut file).await?;
            file.into_inner()
                .map_err(|error| Failure::File { path: path.clone(), error: error.into_error() })?
                .replace()?;
            count
        }
        None => write(store.as_ref(), filter.clone(), &mut BufWriter::new(io::stdout().lock())).await?,
    };
    say(&format!("exported {count} {}", if count == 1 { "operation" } else { "operations" }));
    let all: u64 = store.counts(None).await.map_err(Failure::Read)?.values().sum();
    let of_tenant: u64 = store.counts(Some(&filter.tenant)).await.map_err(Failure::Read)?.values().sum();
    if all > of_tenant {
        say(&format!("{} operations of other tenants are not among them; --tenant names one", all - of_tenant));
    }
    Ok(())
}

async fn open(settings: &StoreSettings) -> Result<Arc<dyn ReadAll>, Failure> {
    if let StoreUrl::Sqlite { path } = &settings.url {
        return Sqlite::open_to_read(path).map_err(Failure::Store);
    }
    Ok(OpenStore::open(settings).await.map_err(Failure::Store)?.read_all())
}

async fn write(store: &dyn ReadAll, filter: Filter, out: &mut impl Write) -> Result<u64, Failure> {
    let mut lines = export::Export::new(store, filter);
    let mut count = 0;
    while let Some(line) = lines.next().await.map_err(Failure::Read)? {
        out.write_all(&line)?;
        count += 1;
    }
    out.flush()?;
    Ok(count)
}
