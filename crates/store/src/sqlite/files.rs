//! The files beside the database: that it is there with the right mode, and the lock that keeps a second process out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::Error;

/// Only the account that runs Fanfold may read what it stores.
const OWNER_ONLY: u32 = 0o600;

/// Holds the database for this process as long as it lives. The operating system frees it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct ProcessLock {
    file: File,
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        // Closing is not enough where another thread is starting a program just now: until that has begun it has the file open
        // as well, and with it the lock. If this fails, the lock goes with the last of them.
        drop(self.file.unlock());
    }
}

/// `fanfold.db` -> `fanfold.db.lock`.
pub(super) fn beside(database: &Path, extension: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

impl ProcessLock {
    /// Takes the lock file beside the database, which is left there afterwards: deleting it would race with another start.
    pub(super) fn take(database: &Path) -> Result<Self, Error> {
        let path = beside(database, "lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(OWNER_ONLY);
        let mut file = options.open(&path).map_err(|error| refused(database, &path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { path: database.to_owned(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(refused(database, &path, &error)),
        }
        // The number only makes the other process's message clearer; a disk that is full is found out about soon enough.
        if let Err(error) = write_holder(&mut file) {
            tracing::warn!(path = %path.display(), %error, "the process id could not be written to the lock file");
        }
        Ok(Self { file })
    }
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Makes sure that the database file is there, readable by its owner alone, and writable.
pub(super) fn create_database(path: &Path) -> Result<(), Error> {
    match OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path) {
        Ok(_) => sync_directory(path).map_err(|error| refused(path, path, &error)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let metadata = path.metadata().map_err(|error| refused(path, path, &error))?;
            if !metadata.is_file() {
                let detail = "it is not a file".to_owned();
                return Err(Error::Unusable { path: path.to_owned(), detail });
            }
            // A file without any write bit is meant to be left alone, even where the account could write it all the same.
            if metadata.permissions().readonly() { Err(Error::ReadOnly { path: path.to_owned() }) } else { Ok(()) }
        }
        Err(error) => Err(refused(path, path, &error)),
    }
}

/// Writes a file that only its owner can read: whole and on the disk, or not at all. One that is there already keeps its owner
/// and its mode, so that whoever reads it can do so afterwards, and its place, if there is only a link to it here.
pub(super) fn write_private(path: &Path, octets: &[u8]) -> std::io::Result<()> {
    let path = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => std::fs::canonicalize(path)?,
        Ok(_) | Err(_) => path.to_owned(),
    };
    let new = beside(&path, "new");
    // The process lock is held, so nobody else writes it between the caller's look and this.
    let written = write_like(&path, &new, octets).and_then(|()| std::fs::rename(&new, &path));
    if written.is_err() {
        drop(std::fs::remove_file(&new));
    }
    written?;
    sync_directory(&path)
}

/// Writes `new`, as what `path` is to be.
fn write_like(path: &Path, new: &Path, octets: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(new)?;
    match std::fs::metadata(path) {
        Ok(before) => {
            let made = file.metadata()?;
            if (made.uid(), made.gid()) != (before.uid(), before.gid()) {
                fchown(&file, Some(before.uid()), Some(before.gid())).map_err(of_another_account)?;
            }
            file.set_permissions(before.permissions())?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.write_all(octets)?;
    file.sync_all()
}

fn of_another_account(error: std::io::Error) -> std::io::Error {
    match error.kind() {
        ErrorKind::PermissionDenied => std::io::Error::new(
            ErrorKind::PermissionDenied,
            "it belongs to another account or group: run this as the account that runs the server",
        ),
        _ => error,
    }
}

pub(super) fn sync_directory(file: &Path) -> std::io::Result<()> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

fn refused(database: &Path, path: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Error::ReadOnly { path: database.to_owned() },
        ErrorKind::StorageFull => Error::Full { detail: error.to_string(), may_have_committed: false },
        _ => Error::Unusable { path: path.to_owned(), detail: error.to_string() },
    }
}
