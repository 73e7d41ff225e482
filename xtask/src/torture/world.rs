//! What all targets, clients and people share: the journal, chance, what is to happen later, and what was found wrong.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfold_testkit::Latch;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::journal::Journal;
use super::oracle::Breach;
use fanfold_testkit::Random;

/// What happened, by kind and word, and how often.
pub(super) type Counts = BTreeMap<&'static str, BTreeMap<String, usize>>;

#[derive(Debug)]
pub(super) struct World {
    pub(super) journal: Journal,
    /// Whether anybody behaves badly at all.
    pub(super) faults: AtomicBool,
    /// Whether some targets are not configured at the moment.
    pub(super) reduced: AtomicBool,
    /// Counts the ends and the starts of the server: who finds it unchanged talked to one and the same process.
    pub(super) lives: AtomicU64,
    pub(super) began: Instant,
    began_at: Timestamp,
    /// How many servers there are.
    pub(super) nodes: usize,
    /// Whether others could share their store.
    pub(super) on_postgres: bool,
    random: Mutex<Random>,
    /// Answers that are late, and changes that are made late.
    later: Mutex<Vec<(Instant, Later)>>,
    errands: mpsc::UnboundedSender<Errand>,
    wrong: Mutex<Vec<(Breach, String)>>,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
pub(super) enum Later {
    Answer(Latch),
    Change { target: &'static str, operation: String, kind: Kind },
    Notify(Errand),
}

/// A notification that somebody sends to the server.
#[derive(Debug)]
pub(super) struct Errand {
    /// Host and port of whoever asked for it.
    pub(super) to: String,
    pub(super) id: String,
    pub(super) body: Value,
    /// Whether the target knows an operation of this id.
    pub(super) known: bool,
    /// What is special about it.
    pub(super) kind: &'static str,
}

/// What a request changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its operation's change is made.
    Make,
    /// It is taken back.
    TakeBack,
}

impl World {
    /// The world, and where its notifications come out.
    pub(super) fn new(
        journal: Journal,
        random: Random,
        (nodes, on_postgres): (usize, bool),
    ) -> (Self, mpsc::UnboundedReceiver<Errand>) {
        let (errands, to_run) = mpsc::unbounded_channel();
        let world = Self {
            journal,
            faults: AtomicBool::new(true),
            reduced: AtomicBool::new(false),
            lives: AtomicU64::new(0),
            began: Instant::now(),
            began_at: now(),
            nodes,
            on_postgres,
            random: Mutex::new(random),
            later: Mutex::default(),
            errands,
            wrong: Mutex::default(),
            counts: Mutex::default(),
        };
        (world, to_run)
    }

    /// The time of day of an entry of the journal.
    pub(super) fn time_of(&self, at_ms: u128) -> Timestamp {
        self.began_at + Duration::from_millis(u64::try_from(at_ms).unwrap_or(u64::MAX))
    }

    /// A number below `bound`.
    pub(super) fn draw(&self, bound: usize) -> usize {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).below(bound)
    }

    pub(super) fn has_faults(&self) -> bool {
        self.faults.load(Ordering::Relaxed)
    }

    pub(super) fn is_reduced(&self) -> bool {
        self.reduced.load(Ordering::SeqCst)
    }

    pub(super) fn lives(&self) -> u64 {
        self.lives.load(Ordering::SeqCst)
    }

    /// Something that must not be was seen.
    pub(super) fn blame(&self, breach: Breach, what: impl Into<String>) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push((breach, what.into()));
    }

    pub(super) fn blamed(&self) -> Vec<(Breach, String)> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something worth counting took part.
    pub(super) fn count(&self, kind: &'static str, word: &str) {
        *self.lock_counts().entry(kind).or_default().entry(word.to_owned()).or_default() += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock_counts().clone()
    }

    fn lock_counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what has come due; to be called every few milliseconds.
    pub(super) fn tick(&self) {
        let now = Instant::now();
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, rest) = later.drain(..).partition(|(at, _)| *at <= now);
        *later = rest;
        drop(later);
        let due: Vec<(Instant, Later)> = due;
        for (_, what) in due {
            match what {
                Later::Answer(latch) => latch.open(),
                Later::Change { target, operation, kind } => self.change(target, &operation, kind),
                // The other end is gone only when the run is over.
                Later::Notify(errand) => drop(self.errands.send(errand)),
            }
        }
    }

    pub(super) fn at(&self, wait: Duration, what: Later) {
        self.later.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now() + wait, what));
    }

    /// A latch that opens after a while.
    pub(super) fn latch(&self, wait: Duration) -> Latch {
        let latch = Latch::new();
        self.at(wait, Later::Answer(latch.clone()));
        latch
    }

    pub(super) fn change(&self, target: &'static str, operation: &str, kind: Kind) {
        self.journal.change(target, operation, |truth| match kind {
            Kind::Make => {
                truth.applied += 1;
                truth.stands = true;
            }
            Kind::TakeBack => truth.stands = false,
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "the world has a clock of its own")]
fn now() -> Timestamp {
    Timestamp::now()
}
