//! What the targets truly did: one line for each request, in one order over all of them, on disk and at hand.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use serde::Serialize;

/// Which of a step's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Leg {
    Forward,
    Undo,
    Probe,
}

/// What the target let the other side know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Told {
    /// That it did it.
    Done,
    /// That it did not, and will not.
    Refused,
    /// That it did not take it on for now.
    NotTakenOn,
    /// That what was to be deleted is not there.
    Gone,
    /// Nothing, half of it, or an error that leaves it open.
    Nothing,
    /// That an operation of its own does it, whose end tells.
    Lower {
        /// Whether its end leaves nothing open.
        clear: bool,
    },
    /// The truth, to a probe.
    Truth(bool),
}

/// One request that reached a target.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    /// Its number over all targets.
    pub(super) number: u64,
    pub(super) target: &'static str,
    pub(super) operation: String,
    pub(super) leg: Leg,
    pub(super) attempt: u32,
    pub(super) at_ms: u128,
    pub(super) told: Told,
    /// Whether it was done, now or a little later.
    pub(super) applied: bool,
    /// What it was about.
    pub(super) path: String,
}

/// What is true of one operation at one target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Truth {
    /// How often its change was made.
    pub(super) applied: u32,
    /// Whether its change stands now.
    pub(super) stands: bool,
    /// Whether it took away what somebody else had put there after the operation had looked: nobody can bring that back.
    pub(super) unseen: bool,
}

/// The journal of all targets.
#[derive(Debug)]
pub(super) struct Journal(Mutex<State>);

#[derive(Debug)]
struct State {
    file: File,
    entries: HashMap<String, Vec<Entry>>,
    truths: HashMap<String, HashMap<&'static str, Truth>>,
    count: u64,
}

impl Journal {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let (entries, truths) = (HashMap::new(), HashMap::new());
        Ok(Self(Mutex::new(State { file, entries, truths, count: 0 })))
    }

    /// Writes an entry down; its number is given here.
    pub(super) fn add(&self, mut entry: Entry) {
        let mut state = self.state();
        state.count += 1;
        entry.number = state.count;
        let line = serde_json::to_string(&entry).unwrap_or_default();
        // The process that writes is never killed, so that the page cache is as good as a disk.
        if let Err(error) = writeln!(state.file, "{line}") {
            panic!("the journal cannot be written: {error}");
        }
        state.entries.entry(entry.operation.clone()).or_default().push(entry);
    }

    /// Changes what is true of an operation at a target.
    pub(super) fn change(&self, target: &'static str, operation: &str, change: impl FnOnce(&mut Truth)) {
        change(self.state().truths.entry(operation.to_owned()).or_default().entry(target).or_default());
    }

    pub(super) fn truth(&self, target: &str, operation: &str) -> Truth {
        self.state().truths.get(operation).and_then(|at| at.get(target)).copied().unwrap_or_default()
    }

    /// The requests of an operation, in order.
    pub(super) fn of(&self, operation: &str) -> Vec<Entry> {
        self.state().entries.get(operation).cloned().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
