//! `fanfold backup`: the database of a server, running or not, in one file.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use fanfold_engine::{Clock as _, SystemClock};
use fanfold_store::sqlite::{self, BackedUp};

use super::StoreOption;
use super::whole_file::WholeFile;
use crate::failure::Failure;
use crate::output::say;

/// `fanfold backup`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server goes on meanwhile: the backup is one picture of the database, as of the start of the command, and keeps
nobody from writing. The log (the -wal file) grows until it is made. The file appears once it is whole, checked and on
the disk, and never in place of another one.

Secrets in it are encrypted. The key that opens them stands beside the database (FILE.key) and is not in the backup;
without it a backup cannot be restored. Keep a copy of it elsewhere, or take it along with --with-key: then whoever
can read both files can read every secret of the operations that have not ended.")]
pub(crate) struct Backup {
    /// The file to be made; it must not be there
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Copy the sealing key too, beside the backup: TO.key
    #[arg(long)]
    with_key: bool,

    #[command(flatten)]
    store: StoreOption,
}

pub(super) fn run(backup: &Backup) -> Result<(), Failure> {
    let database = backup.store.sqlite()?;
    let key_to = sqlite::key_beside(&backup.to);
    refuse_taken(&backup.to)?;
    if backup.with_key {
        refuse_taken(&key_to)?;
    }
    let file = WholeFile::begin(&backup.to)?;
    let now = SystemClock.now();
    let made = sqlite::back_up(&database, file.draft(), now).map_err(Failure::BackUp)?;
    let key_from = sqlite::key_beside(&database);
    if backup.with_key {
        copy_key(&key_from, &key_to, &made)?;
    }
    file.appear()?;
    let BackedUp { operations, open, bytes, .. } = &made;
    say(&format!(
        "backed up {} to {}: {operations} operations, {open} of them not ended, as of {now}; {bytes} bytes, checked",
        database.display(),
        backup.to.display()
    ));
    if backup.with_key {
        say(&format!(
            "WARNING: {} is the sealing key. Whoever can read it and the backup can read every secret in it: keep it as you keep passwords, best not in the same place",
            key_to.display()
        ));
    } else {
        say(&format!(
            "the sealing key is not in it: {} is needed to restore it, so keep a copy of that elsewhere",
            key_from.display()
        ));
    }
    Ok(())
}

fn refuse_taken(path: &Path) -> Result<(), Failure> {
    // A link that leads nowhere is there too.
    if path.symlink_metadata().is_ok() { Err(Failure::Taken(path.to_owned())) } else { Ok(()) }
}

fn copy_key(from: &Path, to: &Path, made: &BackedUp) -> Result<(), Failure> {
    let key = sqlite::read_key(from, made.key_ids.as_deref()).map_err(Failure::BackUp)?;
    let mut file = WholeFile::begin(to)?;
    file.write_all(&key).map_err(|error| Failure::File { path: to.to_owned(), error })?;
    file.appear()
}
