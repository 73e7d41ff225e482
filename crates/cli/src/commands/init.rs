//! `fanfold init`: a first configuration file, with comments.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use crate::config;
use crate::failure::Failure;
use crate::output::say;

/// `fanfold init`
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The file to write
    #[arg(default_value = super::CONFIG_FILE, value_name = "FILE")]
    file: PathBuf,

    /// Overwrite the file if it is there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(init: &Init) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    if init.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options.open(&init.file).and_then(|mut file| file.write_all(config::STARTER.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::Exists(init.file.clone()),
        _ => Failure::File { path: init.file.clone(), error },
    })?;
    let file = init.file.display();
    say(&format!("{file} is written; edit it, then: fanfold check {file} && fanfold serve --config {file}"));
    Ok(())
}
