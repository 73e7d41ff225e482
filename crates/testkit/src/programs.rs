//! Programs that some tests need and that not every machine has.

use std::path::PathBuf;

use crate::machine::{on_path, or_skipped};

/// A program in `PATH`. Without it this says so and gives nothing, and the test is skipped; but where the variable `need` is set
/// it fails.
///
/// # Panics
/// If the program is not there, and must be.
pub fn found(program: &str, package: &str, need: &str) -> Option<PathBuf> {
    or_skipped(on_path(program).ok_or_else(|| format!("no {program} in PATH: install {package}")), need)
}
