//! What this machine tells of a process, and allows one.

use anyhow::{Context as _, Result, bail};
use fanfold_testkit::Process;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The resident memory of a process.
pub(crate) fn resident_kib(process: &Process) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc tells no resident memory")?;
    let number = line.trim().trim_end_matches("kB").trim();
    number.parse().with_context(|| format!("{line:?} is no size"))
}

/// Lets this process, and those that it starts, open so many files.
pub(crate) fn raise_open_files(needed: u64) -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < needed) {
        bail!("{needed} open files are needed, and {} are allowed at the most (ulimit -Hn)", maximum.unwrap_or(0));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })?;
    Ok(())
}
