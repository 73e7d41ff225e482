//! Many histories, on as many threads as there are processors.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::scenario::FAULTS;
use crate::{Breach, Guarantee, Scenario, Verdict, simulate};

/// Operations in a history that counts, at the least.
const OPERATIONS_MIN: usize = 3;

/// Targets that were called in it.
const TARGETS_MIN: usize = 3;

/// Faults that had their turn in it.
const FAULTS_MIN: usize = 2;

/// How many histories are played.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// The first history is drawn from this seed, the next one from the next.
    pub seed: u64,
    /// Histories.
    pub histories: u64,
    /// Threads.
    pub threads: usize,
    /// Failures after which the run ends.
    pub failures_max: usize,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Findings {
    /// Histories that were played.
    pub histories: u64,
    /// Shapes among those that count.
    pub shapes: HashSet<u64>,
    /// Histories that do not count: fewer operations were accepted, fewer targets called, or less went wrong.
    pub small: u64,
    /// Operations in all of them.
    pub operations: u64,
    /// Losses of power.
    pub losses: u64,
    /// States and events, and in how many histories each was met.
    pub states: BTreeMap<String, u64>,
    /// Faults, and in how many histories each was met.
    pub faults: BTreeMap<String, u64>,
    /// What people and clients did, and in how many histories.
    pub deeds: BTreeMap<String, u64>,
    /// How many histories it took until the first failure.
    pub first_failure: Option<u64>,
    /// The first failures: their seeds, inputs and breaches.
    pub failures: Vec<(u64, Scenario, Verdict)>,
}

/// Plays many histories.
///
/// # Errors
/// If one cannot be played at all.
pub fn run(effort: Effort) -> Result<Findings> {
    let findings = Mutex::new(Findings::default());
    let next = AtomicU64::new(0);
    let work = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= effort.histories {
                return Ok(());
            }
            let seed = effort.seed.wrapping_add(number);
            let scenario = Scenario::drawn(seed);
            let verdict = without_panic(&scenario)?;
            let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
            if !verdict.breaches.is_empty() {
                let first = findings.first_failure.unwrap_or(u64::MAX).min(number + 1);
                findings.first_failure = Some(first);
            }
            findings.take(seed, scenario, verdict);
            if findings.failures.len() >= effort.failures_max {
                return Ok(());
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..effort.threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(findings.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A panic is a failure like any other, and its inputs are worth as much.
fn without_panic(scenario: &Scenario) -> Result<Verdict> {
    std::panic::catch_unwind(|| simulate(scenario)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        let what = format!("it panicked: {}", words.unwrap_or_default());
        Ok(Verdict { breaches: vec![Breach { guarantee: Guarantee::G2, what }], ..Verdict::default() })
    })
}

/// Histories after which everything that can go wrong has to have gone wrong.
const LONG: u64 = 10_000;

impl Findings {
    /// What can go wrong and never did, in a run that is long enough for it.
    pub fn never_met(&self) -> Vec<&'static str> {
        let met = |name: &&str| self.faults.keys().any(|fault| fault.starts_with(*name));
        FAULTS.into_iter().filter(|name| self.histories >= LONG && !met(name)).collect()
    }

    fn take(&mut self, seed: u64, scenario: Scenario, verdict: Verdict) {
        self.histories += 1;
        self.operations += u64::try_from(verdict.operations).unwrap_or(0);
        self.losses += u64::try_from(verdict.losses).unwrap_or(0);
        // Only those count as a history of their own in which enough happened.
        let is_small =
            verdict.operations < OPERATIONS_MIN || verdict.targets < TARGETS_MIN || verdict.fault_count < FAULTS_MIN;
        if !is_small {
            self.shapes.insert(verdict.shape);
        } else {
            self.small += 1;
        }
        count(&mut self.states, &verdict.states);
        count(&mut self.faults, &verdict.faults);
        count(&mut self.deeds, &verdict.deeds);
        if !verdict.breaches.is_empty() {
            self.failures.push((seed, scenario, verdict));
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, met: &BTreeSet<String>) {
    for name in met {
        *counts.entry(name.clone()).or_default() += 1;
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "histories={} distinct={} small={} operations={} power_losses={} states={} faults={} failures={}",
            self.histories,
            self.shapes.len(),
            self.small,
            self.operations,
            self.losses,
            self.states.len(),
            self.faults.len(),
            self.failures.len()
        )?;
        match self.first_failure {
            Some(after) => write!(f, " first_failure_after={after}"),
            None => Ok(()),
        }
    }
}
