//! A file that is there whole and on the disk, or not at all: it is written under another name beside it first.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, PersistError};

use crate::failure::Failure;

/// A file that is being written. Only its owner can read it. Dropping it leaves nothing behind.
#[derive(Debug)]
pub(super) struct WholeFile {
    path: PathBuf,
    draft: NamedTempFile,
}

impl WholeFile {
    /// Begins to write `path`. What is no file is left alone: put in place of a device, a pipe or a folder, a file would take that
    /// away from everybody.
    pub(super) fn begin(path: &Path) -> Result<Self, Failure> {
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            let error = io::Error::other("there is something that is not a file; write to standard output instead");
            return Err(failed(path, error));
        }
        let draft = tempfile::Builder::new().prefix(".fanfold-").suffix(".new").tempfile_in(folder(path));
        Ok(Self { path: path.to_owned(), draft: draft.map_err(|error| failed(path, error))? })
    }

    /// Where it stands until it appears.
    pub(super) fn draft(&self) -> &Path {
        self.draft.path()
    }

    /// Makes it appear where nothing was.
    pub(super) fn appear(self) -> Result<(), Failure> {
        self.finish(|draft, path| draft.persist_noclobber(path))
    }

    /// Makes it appear, in place of what was there.
    pub(super) fn replace(self) -> Result<(), Failure> {
        self.finish(|draft, path| draft.persist(path))
    }

    fn finish(self, persist: impl FnOnce(NamedTempFile, &Path) -> Result<File, PersistError>) -> Result<(), Failure> {
        let Self { path, draft } = self;
        let finished = draft
            .as_file()
            .sync_all()
            .and_then(|()| persist(draft, &path).map_err(|error| error.error))
            .and_then(|_| File::open(folder(&path))?.sync_all());
        finished.map_err(|error| failed(&path, error))
    }
}

impl Write for WholeFile {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.draft.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::File { path: path.to_owned(), error }
}
