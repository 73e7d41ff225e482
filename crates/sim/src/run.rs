//! Many histories, on as many threads as there are processors.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::{Breach, Guarantee, Scenario, Verdict, simulate};

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
    /// Shapes among them.
    pub shapes: HashSet<u64>,
    /// Histories in which fewer operations were accepted than the smallest that counts, or less went wrong.
    pub small: u64,
    /// Operations in all of them.
    pub operations: u64,
    /// Losses of power.
    pub losses: u64,
    /// States and events that were met.
    pub states: BTreeSet<String>,
    /// Faults that were met.
    pub faults: BTreeSet<String>,
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

impl Findings {
    fn take(&mut self, seed: u64, scenario: Scenario, verdict: Verdict) {
        self.histories += 1;
        self.operations += u64::try_from(verdict.operations).unwrap_or(0);
        self.losses += u64::try_from(verdict.losses).unwrap_or(0);
        // Only those count as a history of their own in which enough happened.
        if verdict.operations >= 3 && verdict.faults.len() + verdict.losses >= 2 {
            self.shapes.insert(verdict.shape);
        } else {
            self.small += 1;
        }
        self.states.extend(verdict.states.iter().cloned());
        self.faults.extend(verdict.faults.iter().cloned());
        if !verdict.breaches.is_empty() {
            self.failures.push((seed, scenario, verdict));
        }
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
