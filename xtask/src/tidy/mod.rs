//! The rules of the house that a program can check: imports go only along the arrows, no cycle between the modules of a crate,
//! files stay short, names say something, nothing unfinished.

mod arrows;
mod cycles;
mod files;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Where the workspace is.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every breach, in words.
///
/// # Errors
/// If a file cannot be read.
pub fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = arrows::problems(root)?;
    for source in sources(&root.join("crates"))?.into_iter().chain(sources(&root.join("xtask"))?) {
        problems.extend(files::problems(root, &source)?);
    }
    for entry in std::fs::read_dir(root.join("crates")).context("crates/")? {
        problems.extend(cycles::problems(&entry?.path())?);
    }
    problems.sort();
    Ok(problems)
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}
