//! What is outside of Fanfold: targets and a receiver of notices, what they truly did, and how they let it be known.
//!
//! Where to look: here is what is remembered and asked for; `target` deals with requests, `lower` with operations that
//! targets carry out on their own, `receiver` with notices, and `answer` has what each manner makes of an answer.

mod answer;
mod lower;
mod receiver;
mod target;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfold_core::operation::Leg;
use fanfold_core::{Operation, OperationId};
use fanfold_store::ReadOperations as _;
use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::routes;
use crate::scenario::{Manner, Monitor, Scenario, TARGETS};
use crate::store::Faulty;

pub(crate) use answer::Out;
pub(crate) use lower::Errand;
pub(crate) use receiver::{Audience, Letters};

/// Where a connection leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Target(usize),
    Receiver,
}

/// A request as it came in.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// What a target let the other side know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Done,
    Refused,
    NotTakenOn,
    Gone,
    /// It is an operation of the target's own now, whose end is told later.
    TakenOn,
    Nothing,
    Truth(bool),
}

/// One attempt that reached a target.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) target: usize,
    pub(crate) operation: OperationId,
    pub(crate) leg: Leg,
    pub(crate) attempt: u32,
    pub(crate) key: String,
    pub(crate) told: Told,
    /// Whether it changes something, now or later.
    pub(crate) applied: bool,
    pub(crate) at: Duration,
    /// Whether its start was recorded when it came in.
    pub(crate) recorded: bool,
}

/// What is true of one operation at one target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) applied: u32,
    pub(crate) stands: bool,
    /// When it became so.
    pub(crate) since: Duration,
}

#[derive(Debug)]
pub(crate) struct World {
    store: Arc<Faulty>,
    monitors: Vec<Monitor>,
    state: Mutex<State>,
    /// There is a new word to pass on.
    news: Notify,
}

#[derive(Debug)]
struct State {
    manners: Vec<VecDeque<Manner>>,
    ears: VecDeque<Manner>,
    calm: bool,
    seen: Vec<Seen>,
    truths: BTreeMap<(usize, OperationId), Truth>,
    /// What stands at a path of a target.
    resources: BTreeMap<(usize, String), Standing>,
    versions: u64,
    late: Vec<(Duration, Change)>,
    errands: Vec<Errand>,
    words: Vec<(Duration, String)>,
    letters: Letters,
    met: BTreeMap<String, usize>,
    /// The time that passed in the lives before this one, and the beginning of this one.
    before: Duration,
    origin: Option<Instant>,
}

/// What stands at a path: a body and its version.
type Standing = (Vec<u8>, u64);

/// What becomes different at a target.
#[derive(Debug, Clone)]
struct Change {
    target: usize,
    operation: OperationId,
    makes: bool,
    /// What stands at a path from then on, or that nothing does.
    resource: Option<(String, Option<Standing>)>,
}

impl World {
    pub(crate) fn new(scenario: &Scenario, store: Arc<Faulty>) -> Arc<Self> {
        let mut resources = BTreeMap::new();
        // What is deleted was there before.
        for target in 0..TARGETS {
            for path in ["/r/shared", "/r/another", "/r/0", "/r/1", "/r/2", "/r/3"] {
                resources.insert((target, path.to_owned()), (b"{\"old\":true}".to_vec(), 1));
            }
        }
        let state = State {
            manners: scenario.manners.iter().map(|manners| manners.iter().copied().collect()).collect(),
            ears: scenario.ears.iter().copied().collect(),
            calm: false,
            seen: Vec::new(),
            truths: BTreeMap::new(),
            resources,
            versions: 1,
            late: Vec::new(),
            errands: Vec::new(),
            words: Vec::new(),
            letters: Letters::default(),
            met: BTreeMap::new(),
            before: Duration::ZERO,
            origin: None,
        };
        Arc::new(Self { store, monitors: scenario.monitors.clone(), state: Mutex::new(state), news: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A life of the process begins or ends: its clock is another one.
    pub(crate) fn begin(&self) {
        self.state().origin = Some(Instant::now());
    }

    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.before = state.now();
        state.origin = None;
    }

    /// The time since the beginning of the history.
    pub(crate) fn now(&self) -> Duration {
        self.state().now()
    }

    /// From now on everybody is polite.
    pub(crate) fn calm(&self) {
        self.state().calm = true;
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        let mut state = self.state();
        state.catch_up(Duration::MAX);
        state.seen.clone()
    }

    pub(crate) fn truth(&self, target: usize, operation: OperationId) -> Truth {
        let mut state = self.state();
        let now = state.now();
        state.catch_up(now);
        state.truths.get(&(target, operation)).copied().unwrap_or_default()
    }

    /// Whether nothing will change there any more by itself.
    pub(crate) fn is_settled(&self, target: usize, operation: OperationId) -> bool {
        let mut state = self.state();
        let now = state.now();
        state.catch_up(now);
        !state.late.iter().any(|(_, change)| change.target == target && change.operation == operation)
    }

    pub(crate) fn letters(&self) -> Letters {
        self.state().letters.clone()
    }

    /// The faults that had their turn, and how often.
    pub(crate) fn met(&self) -> BTreeMap<String, usize> {
        self.state().met.clone()
    }

    /// How the next request there is dealt with, if `fits` says that it can be dealt with so.
    pub(crate) fn manner(&self, place: Place, fits: impl Fn(Manner) -> bool) -> Manner {
        let mut state = self.state();
        if state.calm {
            return Manner::Polite;
        }
        let queue = match place {
            Place::Target(target) => &mut state.manners[target],
            Place::Receiver => &mut state.ears,
        };
        let Some(next) = queue.front().copied().filter(|next| fits(*next)) else { return Manner::Polite };
        queue.pop_front();
        if next != Manner::Polite {
            *state.met.entry(next.name()).or_default() += 1;
        }
        next
    }

    /// Whether the store knows of this attempt.
    fn is_recorded(&self, id: OperationId, target: usize, leg: Leg, attempt: u32) -> bool {
        // The model answers at once.
        let Some(Ok(Some(operation))) = self.store.model.operation(id).now_or_never() else { return false };
        recorded_attempts(&operation, target, leg) >= attempt
    }
}

/// Attempts that the record counts at this target.
pub(crate) fn recorded_attempts(operation: &Operation, target: usize, leg: Leg) -> u32 {
    let mut steps = operation.indexed_steps();
    let step = steps.find(|(_, plan, _)| routes::target_number(&plan.target) == Some(target));
    let Some((_, _, step)) = step else { return 0 };
    match leg {
        Leg::Forward => step.course.attempts,
        Leg::Probe => step.probes,
        Leg::Undo => step.undo.as_ref().map_or(0, |undo| undo.course.attempts),
    }
}

impl State {
    fn now(&self) -> Duration {
        self.before + self.origin.map(|origin| origin.elapsed()).unwrap_or_default()
    }

    /// Makes the changes whose time has come.
    fn catch_up(&mut self, now: Duration) {
        if self.late.iter().all(|(at, _)| *at > now) {
            return;
        }
        let (mut due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = later;
        due.sort_by_key(|(at, _)| *at);
        for (at, change) in due {
            self.make(change, at);
        }
    }

    fn make(&mut self, change: Change, at: Duration) {
        let Change { target, operation, makes, resource } = change;
        let truth = self.truths.entry((target, operation)).or_default();
        truth.stands = makes;
        truth.since = at;
        truth.applied += u32::from(makes);
        match resource {
            Some((path, Some(standing))) => drop(self.resources.insert((target, path), standing)),
            Some((path, None)) => drop(self.resources.remove(&(target, path))),
            None => {}
        }
    }
}
