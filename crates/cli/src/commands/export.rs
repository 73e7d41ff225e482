//! `fanfold export`: operations, the audit trail or tokens as lines of JSON, read from the store itself.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use fanfold_core::TenantId;
use fanfold_store::sqlite::Sqlite;
use fanfold_store::{AuditFilter, Filter, ReadAll, export};

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
end. Of PostgreSQL each operation is read as it is when its turn comes.

With --audit each line is an entry of the audit trail, with --tokens a token without its secret: of all tenants, unless
--tenant names one.")]
pub(crate) struct Export {
    #[command(flatten)]
    which: Which,
    /// Write the audit trail instead; of what chooses operations it takes --since and --until
    #[arg(long, conflicts_with = "tokens")]
    audit: bool,
    /// Write the tokens instead, the revoked ones too; nothing chooses among them but --tenant
    #[arg(long)]
    tokens: bool,
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
    let what = export.what()?;
    let store = open(&export.store.settings()?).await?;
    let count = match &export.output {
        Some(path) => {
            let mut file = BufWriter::new(WholeFile::begin(path)?);
            let count = write(store.as_ref(), &what, &mut file).await?;
            file.into_inner()
                .map_err(|error| Failure::File { path: path.clone(), error: error.into_error() })?
                .replace()?;
            count
        }
        None => write(store.as_ref(), &what, &mut BufWriter::new(io::stdout().lock())).await?,
    };
    say(&format!("exported {count} {}", what.name(count)));
    let What::Operations(filter) = what else { return Ok(()) };
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

/// What is exported.
enum What {
    Operations(Box<Filter>),
    Audit(AuditFilter),
    Tokens(Option<TenantId>),
}

impl Export {
    fn what(&self) -> Result<What, Failure> {
        let (chosen, tenant) = (self.which.filter(), self.tenant.clone().map(TenantId::from));
        if !self.audit && !self.tokens {
            return Ok(What::Operations(Box::new(Filter { tenant: tenant.unwrap_or_default(), ..chosen })));
        }
        let (since, until) = (chosen.since, chosen.until);
        let times = if self.audit { Filter { since, until, ..Filter::default() } } else { Filter::default() };
        if chosen != times {
            let what = if self.audit { "--audit takes --since, --until" } else { "--tokens takes nothing" };
            return Err(Failure::Usage(format!(
                "{what} and --tenant to choose by: the other options are about operations"
            )));
        }
        Ok(match self.audit {
            true => What::Audit(AuditFilter { tenant, since, until, ..AuditFilter::default() }),
            false => What::Tokens(tenant),
        })
    }
}

impl What {
    fn name(&self, count: u64) -> &'static str {
        match (self, count) {
            (Self::Operations(_), 1) => "operation",
            (Self::Operations(_), _) => "operations",
            (Self::Audit(_), 1) => "entry of the audit trail",
            (Self::Audit(_), _) => "entries of the audit trail",
            (Self::Tokens(_), 1) => "token",
            (Self::Tokens(_), _) => "tokens",
        }
    }
}

/// Gives how many lines there were.
async fn write(store: &dyn ReadAll, what: &What, out: &mut impl Write) -> Result<u64, Failure> {
    let mut count = 0;
    let mut put = |line: Vec<u8>| {
        count += 1;
        out.write_all(&line)
    };
    match what {
        What::Operations(filter) => {
            let mut lines = export::Export::new(store, (**filter).clone());
            while let Some(line) = lines.next().await.map_err(Failure::Read)? {
                put(line)?;
            }
        }
        What::Audit(filter) => {
            let mut after = None;
            loop {
                let (lines, last) = export::audit(store, filter, after).await.map_err(Failure::Read)?;
                lines.into_iter().try_for_each(&mut put)?;
                after = last;
                if after.is_none() {
                    break;
                }
            }
        }
        What::Tokens(tenant) => {
            let mut after = None;
            loop {
                let (lines, last) = export::tokens(store, tenant.as_ref(), after).await.map_err(Failure::Read)?;
                lines.into_iter().try_for_each(&mut put)?;
                after = last;
                if after.is_none() {
                    break;
                }
            }
        }
    }
    out.flush()?;
    Ok(count)
}
