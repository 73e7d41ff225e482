//! Lets libFuzzer look for bytes that break what must hold of a parser: the targets of `fuzz/`, one after the other or several at
//! the same time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Octets that an input has at the most. No target needs more to be reached, and short ones are tried faster.
const OCTETS_MAX: usize = 4096;

/// Seconds that one input may take: what takes longer hangs.
const SECONDS_MAX: u64 = 5;

/// Memory that a target may take, in MiB.
const MEMORY_MIB_MAX: u64 = 2048;

/// How much is kept of a target: inputs, and octets of all of them. Short and long ones are, as there are.
const KEPT_MAX: usize = 40;
const KEPT_OCTETS_MAX: u64 = 8 * 1024;

/// How a target is built: without the instruments against errors of memory, which safe Rust has none of, and with the checks of
/// a debug build.
const BUILD: [&str; 4] = ["-O", "--debug-assertions", "--sanitizer", "none"];

/// What came of one target.
#[derive(Debug)]
pub struct Finding {
    target: String,
    executions: u64,
    kept: usize,
    /// The end of what libFuzzer said, where it found something.
    broken: Option<String>,
}

/// Fuzzing of one workspace.
#[derive(Debug)]
pub struct Fuzzing {
    root: PathBuf,
    built: PathBuf,
}

impl Fuzzing {
    /// `built` is where what is built is kept.
    ///
    /// # Errors
    /// If what it takes is not there.
    pub fn new(root: &Path, built: &Path) -> Result<Self> {
        let fuzzing = Self { root: root.to_owned(), built: built.join("fuzz") };
        let asked = fuzzing.cargo().args(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !asked.is_ok_and(|status| status.success()) {
            bail!(
                "cargo-fuzz and a nightly compiler are needed: rustup toolchain install nightly; cargo install cargo-fuzz"
            );
        }
        Ok(fuzzing)
    }

    /// The names of all targets.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn targets(&self) -> Result<Vec<String>> {
        let listed = self.cargo().args(["fuzz", "list"]).output().context("cargo fuzz list")?;
        Ok(String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect())
    }

    /// Builds all of them.
    ///
    /// # Errors
    /// If that fails.
    pub fn build(&self) -> Result<()> {
        let built = self.cargo().args(["fuzz", "build"]).args(BUILD).args(self.folder()).status();
        if built.is_ok_and(|status| status.success()) { Ok(()) } else { bail!("the targets cannot be built") }
    }

    /// Runs one for so many seconds, from what is kept and what was found before, and keeps what is worth it.
    ///
    /// # Errors
    /// If it cannot be run, or what it found cannot be kept.
    pub fn run(&self, target: &str, seconds: u64) -> Result<Finding> {
        let (kept, found) = (self.kept(target), self.built.join("found").join(target));
        std::fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
        let limits = [
            format!("-max_total_time={seconds}"),
            format!("-max_len={OCTETS_MAX}"),
            format!("-timeout={SECONDS_MAX}"),
            format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
            "-print_final_stats=1".to_owned(),
        ];
        let ran = self.running(target).args([&found, &kept]).arg("--").args(limits).output();
        let ran = ran.with_context(|| format!("cargo fuzz run {target}"))?;
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        let number = |line: &str| line.split_whitespace().last().and_then(|number| number.parse().ok());
        let executions = said.lines().find_map(|line| number(line.strip_prefix("stat::number_of_executed_units:")?));
        let broken = (!ran.status.success()).then(|| last_lines(&said));
        if broken.is_none() {
            self.keep(target, &found)?;
        }
        let kept = std::fs::read_dir(kept)?.count();
        Ok(Finding { target: target.to_owned(), executions: executions.unwrap_or(0), kept, broken })
    }

    /// Takes into what is kept the inputs that reach something further, as long as there is room.
    fn keep(&self, target: &str, found: &Path) -> Result<()> {
        let kept = self.kept(target);
        let smaller = tempfile::tempdir()?;
        let limits = ["--", "-merge=1", &format!("-max_len={OCTETS_MAX}")].map(str::to_owned);
        let merged = self.running(target).args([smaller.path(), &kept, found]).args(limits).output()?;
        if !merged.status.success() {
            bail!("what {target} found cannot be merged: {}", last_lines(&String::from_utf8_lossy(&merged.stderr)));
        }
        // What was found is small now, for the next time.
        std::fs::remove_dir_all(found)?;
        std::fs::create_dir_all(found)?;
        let mut inputs: Vec<(u64, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(smaller.path())? {
            let entry = entry?;
            std::fs::copy(entry.path(), found.join(entry.file_name()))?;
            inputs.push((entry.metadata()?.len(), entry.path()));
        }
        inputs.sort();
        let lengths: Vec<u64> =
            std::fs::read_dir(&kept)?.map(|entry| Ok(entry?.metadata()?.len())).collect::<Result<_>>()?;
        let mut octets: u64 = lengths.iter().sum();
        let room = KEPT_MAX.saturating_sub(lengths.len());
        let step = inputs.len().div_ceil(room.max(1)).max(1);
        for (length, path) in inputs.iter().step_by(step).take(room) {
            let name = path.file_name().context("an input has a name")?;
            octets += length;
            if octets <= KEPT_OCTETS_MAX {
                std::fs::copy(path, kept.join(name))?;
            }
        }
        Ok(())
    }

    fn kept(&self, target: &str) -> PathBuf {
        self.root.join("fuzz/corpus").join(target)
    }

    fn running(&self, target: &str) -> Command {
        let mut command = self.cargo();
        command.args(["fuzz", "run"]).args(BUILD).args(self.folder()).arg(target);
        command
    }

    fn folder(&self) -> [PathBuf; 2] {
        ["--target-dir".into(), self.built.clone()]
    }

    /// The nightly compiler's, whatever compiler this was started with.
    fn cargo(&self) -> Command {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo"]).current_dir(&self.root).stdin(Stdio::null());
        for name in ["CARGO", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR"] {
            command.env_remove(name);
        }
        command
    }
}

impl Finding {
    /// Whether nothing broke, and something was tried.
    pub fn is_good(&self) -> bool {
        self.broken.is_none() && self.executions > 0
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, executions, kept, broken } = self;
        write!(f, "{target}: {executions} executions, {kept} inputs kept")?;
        match broken {
            Some(said) => write!(f, ", BROKEN:\n{said}"),
            None => Ok(()),
        }
    }
}

fn last_lines(said: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
