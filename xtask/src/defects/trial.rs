//! A copy of the workspace, in which one defect at a time is planted and looked for.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use anyhow::{Context as _, Result, bail};

use super::Defect;

/// How many of the last lines of a command's output are told.
const LINES_TOLD: usize = 3;

/// The copy. It stays from run to run, with a target folder of its own, so that only what a patch touches is built again.
#[derive(Debug)]
pub struct Trial {
    tree: PathBuf,
    target: PathBuf,
    looks: Looks,
}

/// How a defect is looked for: two commands, each a program and its arguments.
#[derive(Debug, Clone)]
pub struct Looks {
    /// Builds what is planted in; whatever fails here is a patch that is wrong.
    pub build: Vec<String>,
    /// Fails where it finds something.
    pub command: Vec<String>,
}

/// What the command made of one defect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it failed, as it has to.
    pub found: bool,
    /// The last lines that it printed.
    pub said: String,
}

impl Trial {
    /// Copies the workspace below `root` as it stands, and sees that the command finds nothing in it: one that fails anyhow finds
    /// no defect by failing.
    ///
    /// # Errors
    /// If the copy cannot be made, or the command fails on it.
    pub fn new(root: &Path, looks: Looks) -> Result<Self> {
        let place = root.canonicalize()?.join("target/defects");
        let trial = Self { tree: place.join("tree"), target: place.join("target"), looks };
        copy(root, &trial.tree)?;
        trial.build().context("there is no defect in it yet")?;
        let sound = trial.command()?;
        if !sound.status.success() {
            bail!("the command fails without any defect:\n{}", last_lines(&sound, 30));
        }
        Ok(trial)
    }

    /// Plants a defect, runs the command, and takes the defect out again.
    ///
    /// # Errors
    /// If the patch does not apply, or what it makes cannot be compiled.
    pub fn of(&self, defect: &Defect) -> Result<Finding> {
        defect.apply(&self.tree, &[])?;
        let finding = self.build().and_then(|()| self.command());
        defect.apply(&self.tree, &["--reverse"])?;
        let output = finding.with_context(|| defect.name.clone())?;
        Ok(Finding { found: !output.status.success(), said: last_lines(&output, LINES_TOLD) })
    }

    /// Cargo fails in the same way for a test that fails and for code that does not compile; only the first one finds anything.
    fn build(&self) -> Result<()> {
        let output = self.run(&self.looks.build)?;
        if !output.status.success() {
            bail!("the copy does not compile:\n{}", last_lines(&output, 30));
        }
        Ok(())
    }

    fn command(&self) -> Result<Output> {
        let output = self.run(&self.looks.command)?;
        ended(output.status)?;
        Ok(output)
    }

    fn run(&self, command: &[String]) -> Result<Output> {
        let (program, arguments) = command.split_first().context("no command is given")?;
        let program = if program == "cargo" { cargo() } else { program.into() };
        Command::new(&program)
            .args(arguments)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .output()
            .with_context(|| format!("{} cannot be run", program.display()))
    }
}

/// Programs of ours end with 1 and cargo with 101 where something was found; whatever else a command ends with, it has not run as
/// it should, and has found nothing.
fn ended(status: ExitStatus) -> Result<()> {
    match status.code() {
        Some(0 | 1 | 101) => Ok(()),
        Some(_) | None => bail!("the command did not come to a result: {status}"),
    }
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn last_lines(output: &Output, count: usize) -> String {
    let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Makes `tree` what `root` is, as far as git knows of it. Files that are the same already stay untouched, so that nothing is
/// built again for their sake.
fn copy(root: &Path, tree: &Path) -> Result<()> {
    let wanted: BTreeSet<PathBuf> = files(root)?.into_iter().filter(|path| root.join(path).is_file()).collect();
    for path in &wanted {
        let text = std::fs::read(root.join(path)).with_context(|| path.display().to_string())?;
        let copy = tree.join(path);
        if std::fs::read(&copy).is_ok_and(|present| present == text) {
            continue;
        }
        std::fs::create_dir_all(copy.parent().context("a file lies in a folder")?)?;
        std::fs::write(&copy, text).with_context(|| copy.display().to_string())?;
    }
    let mut present = Vec::new();
    below(tree, Path::new(""), &mut present)?;
    for path in present.iter().filter(|path| !wanted.contains(*path)) {
        std::fs::remove_file(tree.join(path)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The files of the workspace: those that git tracks, and new ones that it does not ignore.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let list = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git cannot be run")?;
    if !list.status.success() {
        bail!("git does not know the files: {}", String::from_utf8_lossy(&list.stderr).trim());
    }
    let text = String::from_utf8(list.stdout).context("the name of a file is no UTF-8")?;
    Ok(text.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}

fn below(tree: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(tree.join(folder)).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            below(tree, &path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}
