//! Deliberate defects: patches kept in `crates/sim/defects`, each of which breaks one guarantee. Whatever claims to check the
//! guarantees has to find every one of them: it is run on a copy of the workspace with one defect planted at a time.
//!
//! Where to look: here are the patches and what is asked of each; `trial` has the copy, and runs a command on it.

mod trial;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

pub use trial::{Finding, Looks, Trial};

/// Where the patches are, below the root of the workspace.
const FOLDER: &str = "crates/sim/defects";

/// Where it is told, in one place, which defect is there for which guarantee.
const LIST: &str = "crates/sim/defects/README.md";

/// The guarantees that need a defect. G7 is about several nodes, of which there are none yet.
const GUARANTEES: [&str; 9] = ["G1", "G2", "G3", "G4", "G5", "G6", "G8", "G9", "G10"];

/// One planted defect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// The name of its file, without the ending.
    pub name: String,
    /// The guarantee that it breaks: `G3`.
    pub guarantee: String,
    /// What is wrong then, in words.
    pub what: String,
    patch: PathBuf,
}

impl Defect {
    /// A patch begins with a line that says what it does: `G3: the first byte leaves before ...`.
    fn read(patch: PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(&patch).with_context(|| patch.display().to_string())?;
        let first = text.lines().next().unwrap_or_default();
        let said = first.split_once(": ").filter(|(guarantee, _)| GUARANTEES.contains(guarantee));
        let (guarantee, what) = said.with_context(|| {
            format!("{}: the first line has to be `G1: what is wrong`, with one of G1 to G10 but G7", patch.display())
        })?;
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, guarantee: guarantee.to_owned(), what: what.to_owned(), patch })
    }

    /// What `git apply` does with it in `folder`; `options` before the patch.
    fn apply(&self, folder: &Path, options: &[&str]) -> Result<()> {
        // Within a repository, `git apply` passes over files that lie outside of the folder that it is called in. So it is not
        // to know of one, and takes the patch as what it is.
        let above = folder.canonicalize().with_context(|| folder.display().to_string())?;
        let above = above.parent().context("the root of the file system is no workspace")?.to_owned();
        let patch = self.patch.canonicalize().with_context(|| self.patch.display().to_string())?;
        let applied = Command::new("git")
            .arg("apply")
            .args(options)
            .arg(patch)
            .current_dir(folder)
            .env("GIT_CEILING_DIRECTORIES", above)
            .output()
            .context("git cannot be run")?;
        if !applied.status.success() {
            bail!("the patch {} does not apply: {}", self.name, String::from_utf8_lossy(&applied.stderr).trim());
        }
        Ok(())
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.guarantee, self.name, self.what)
    }
}

/// All of them, by name.
///
/// # Errors
/// If one cannot be read, or does not say what it breaks.
pub fn all(root: &Path) -> Result<Vec<Defect>> {
    let folder = root.join(FOLDER);
    let mut patches = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            patches.push(path);
        }
    }
    patches.sort();
    patches.into_iter().map(Defect::read).collect()
}

/// What is wrong with the patches, in words: one that does not fit the sources any more or is not listed, a guarantee without
/// a defect.
///
/// # Errors
/// If they cannot be read, or git cannot be run.
pub fn problems(root: &Path) -> Result<Vec<String>> {
    let defects = all(root)?;
    let mut problems = Vec::new();
    let listed = std::fs::read_to_string(root.join(LIST)).unwrap_or_default();
    for defect in &defects {
        let line = format!("| {} | `{}` | {} |", defect.guarantee, defect.name, defect.what);
        if !listed.lines().any(|listed| listed == line) {
            problems.push(format!("{LIST} lacks the line: {line}"));
        }
        if let Err(error) = defect.apply(root, &["--check"]) {
            problems.push(format!("{error:#}; write it anew against the present sources"));
        }
    }
    for guarantee in GUARANTEES {
        if !defects.iter().any(|defect| defect.guarantee == guarantee) {
            problems.push(format!("no defect in {FOLDER} breaks {guarantee}"));
        }
    }
    Ok(problems)
}
