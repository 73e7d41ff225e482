//! Torn writes: is what Fanfold has answered still there after a loss of power?
//!
//! `kill -9` never loses the page cache, so it cannot tell. Here the writes and syncs of the real program are recorded with
//! strace (`trace`) while clients use it (`load`). A disk is played from the record (`disk`): what a completed sync covers is
//! there for good; of everything else that was written any part may be missing, whole or by the sector, and a name in a
//! folder counts only once the folder was synced. The files are rebuilt as of many instants, most of them just before a sync
//! returns or just after an answer left, and the real store has to open each of them to a state at or after all that the
//! program had said by then (`judge`).

mod disk;
mod judge;
mod load;
mod trace;

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};

use disk::{Loss, Timeline};
use fanfold_testkit::Random;

/// How much is tried.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// What instants, losses and requests are drawn from.
    pub seed: u64,
    /// Operations that are accepted while the trace is taken.
    pub operations: usize,
    /// States that are rebuilt and opened at the most.
    pub states: usize,
}

/// What came out.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Writes to the files of the store.
    pub writes: usize,
    /// Syncs of them and of their folder.
    pub syncs: usize,
    /// Things that the program said: operations accepted, states shown, attempts sent.
    pub said: usize,
    /// Acceptances among them.
    pub accepted: usize,
    /// States that were rebuilt.
    pub states: usize,
    /// Those in which something was missing that no sync covered.
    pub torn: usize,
    /// Comparisons of something said with a state.
    pub checks: usize,
    /// What was said and is not there.
    pub lost: usize,
    /// States that do not open, or are damaged.
    pub corrupt: usize,
    /// The first few of both, in words.
    pub examples: Vec<String>,
}

/// Examples that are told.
const EXAMPLES_MAX: usize = 10;

impl Findings {
    /// Whether nothing was lost or damaged, and enough was tried to say so.
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.corrupt == 0 && self.torn > 0 && self.checks > 0 && self.accepted > 0
    }

    fn note(&mut self, example: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example);
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "writes={} syncs={} said={} accepted={} states={} torn={} checks={} lost={} corrupt={}",
            self.writes,
            self.syncs,
            self.said,
            self.accepted,
            self.states,
            self.torn,
            self.checks,
            self.lost,
            self.corrupt
        )
    }
}

/// Whether strace is there; without it nothing can be recorded.
pub fn can_trace() -> bool {
    std::process::Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success())
}

/// Records one run of `program` and rebuilds what could be on its disk.
///
/// # Errors
/// If the run cannot be recorded or read. What is found wrong is no error, but in the findings.
pub fn run(program: &Path, effort: Effort) -> Result<Findings> {
    let mut random = Random::new(effort.seed);
    let recorded = load::record(program, effort.operations, &mut random)?;
    let timeline = Timeline::read(&recorded.calls, &recorded.folder, load::DATABASE)?;
    let mut findings = Findings {
        writes: timeline.writes(),
        syncs: timeline.syncs(),
        said: timeline.said(),
        accepted: timeline.accepted(),
        ..Findings::default()
    };
    let scratch = tempfile::tempdir().context("the folder for temporary files can be written")?;
    for (number, instant) in timeline.instants(effort.states, &mut random).into_iter().enumerate() {
        let loss = match number % 4 {
            0 => Loss::Everything,
            1 => Loss::Whole,
            _ => Loss::Sectors,
        };
        let (files, missing) = timeline.lose(instant, loss, &mut random);
        findings.states += 1;
        findings.torn += usize::from(missing > 0);
        let folder = scratch.path().join(number.to_string());
        judge::judge(&folder, &files, timeline.said_before(instant), &mut findings, |what| {
            format!("at line {} of the trace, {loss:?} lost ({missing} writes): {what}", instant.line())
        })?;
        std::fs::remove_dir_all(&folder).context("a folder of ours can be removed")?;
    }
    Ok(findings)
}
