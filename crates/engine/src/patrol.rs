//! Goes round everything that has not ended, again and again, whatever was recorded about when to look: so that nothing
//! depends on a task that lives, a timer that fires, or a start that finds it.
//!
//! An operation is *overdue* if it has something to do and nobody is about to do it, in two rounds in a row and without any
//! change in between. It is taken up again, told once in the log, and counted. What waits for a person, a held or missing
//! target, an open breaker, a permit or room in memory is not overdue: somebody waits for it.
//! While the server drains, the same look tells when nothing is under way any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::operation::{Gate, Leg, Timer, Work};
use fanfold_core::{Operation, OperationId, Revision, StepIndex};
use fanfold_store::Error;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::clock::Jumps;
use crate::dispatch;
use crate::drain::Search;
use crate::lane::Lane;
use crate::members::Term;
use crate::residents::ThrownOut;
use crate::shared::Shared;
use crate::target::{PerKind, Target};

/// How many operations are looked at in one go.
const BATCH: usize = 500;

/// How many times as many in one go while the engine drains, when somebody waits for what is found.
const DRAIN_BATCHES: usize = 10;

/// The pause between two goes.
const PAUSE: Duration = Duration::from_secs(1);

/// How many operations that may be overdue are remembered from one round to the next; those beyond are found later.
const SUSPECTS_MAX: usize = 10_000;

/// Runs until the engine stops.
pub(crate) async fn run(shared: Arc<Shared>, mut jumps: Jumps) {
    let mut stopping = shared.stopping();
    let mut round = Round::begin();
    let mut draining = Draining::default();
    let mut failing = false;
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE.min(shared.config.look_after_every)) => {}
            () = shared.drain.changed() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        if let Some(by) = jumps.look(shared.clock.now()) {
            shared.metrics.clock_jumped();
            shared.clock_was_set();
            tracing::warn!(
                by_s = by.as_secs(),
                "the clock was set, or the machine slept; waits go by the time of day, and some come earlier or later by that"
            );
        }
        let looked = look(&shared, &mut round, &mut draining).await;
        match &looked {
            Err(error) if !failing => tracing::error!(%error, "cannot look after the operations that have not ended"),
            Err(_) | Ok(()) => {}
        }
        failing = looked.is_err();
    }
}

async fn look(shared: &Arc<Shared>, round: &mut Round, draining: &mut Draining) -> Result<(), Error> {
    draining.go_on(shared).await?;
    round.go_on(shared).await
}

/// One round over all operations that have not ended.
struct Round {
    /// Not before this time; it has begun once `after` is given.
    next: Instant,
    after: Option<OperationId>,
    /// Found in the round before.
    suspects: HashMap<OperationId, Suspect>,
    /// Found in this one.
    found: HashMap<OperationId, Suspect>,
    overdue: i64,
}

#[derive(Debug, Clone, Copy)]
struct Suspect {
    revision: Revision,
    /// Whether the log knows.
    told: bool,
}

impl Round {
    fn begin() -> Self {
        Self { next: Instant::now(), after: None, suspects: HashMap::new(), found: HashMap::new(), overdue: 0 }
    }

    async fn go_on(&mut self, shared: &Arc<Shared>) -> Result<(), Error> {
        let now = Instant::now();
        if self.after.is_none() {
            if now < self.next {
                return Ok(());
            }
            self.next = now + shared.config.look_after_every;
        }
        let term = shared.lease.term();
        let ids = shared.store.open_operations(self.after, BATCH).await?;
        for id in &ids {
            if let Some(operation) = stuck(shared, *id).await? {
                self.suspect(shared, &operation, term);
            }
        }
        self.after = ids.last().copied();
        if ids.len() < BATCH {
            self.after = None;
            self.suspects = std::mem::take(&mut self.found);
            shared.metrics.overdue(std::mem::take(&mut self.overdue));
        }
        Ok(())
    }

    fn suspect(&mut self, shared: &Arc<Shared>, operation: &Arc<Operation>, term: Term) {
        let before = self.suspects.get(&operation.id).filter(|before| before.revision == operation.revision);
        if let Some(before) = before {
            self.overdue += 1;
            if !before.told {
                let in_memory = shared.residents.is_running(operation.id);
                tracing::error!(operation.id = %operation.id, in_memory, "an operation is overdue: it was forgotten, and is taken up again");
            }
            take_up_again(shared, Arc::clone(operation), term);
        }
        if self.found.len() < SUSPECTS_MAX {
            self.found.insert(operation.id, Suspect { revision: operation.revision, told: before.is_some() });
        }
    }
}

/// What is in memory and does not move is thrown out of it first: it goes on from its record, as after a restart.
fn take_up_again(shared: &Arc<Shared>, operation: Arc<Operation>, term: Term) {
    match shared.residents.throw_out(operation.id, operation.revision) {
        ThrownOut::Done => shared.wake_dispatcher(),
        ThrownOut::WasNotThere => dispatch::take_up(shared, operation, term),
        ThrownOut::Moves => {}
    }
}

/// The operation, if it has something to do and nobody seems to be about to do it.
async fn stuck(shared: &Arc<Shared>, id: OperationId) -> Result<Option<Arc<Operation>>, Error> {
    let now = shared.clock.now();
    // It is being accepted, or canceled because nobody knows whether it was.
    if shared.doubts.hold_back(id) {
        return Ok(None);
    }
    if let Some(operation) = shared.residents.running_state(id) {
        // What is known and cannot be recorded at the moment must not be thrown away with its task.
        let is_recording = shared.residents.is_recording(id);
        let waits = is_recording || shared.residents.is_settling(id);
        let is_stuck = operation.end().is_none() && !waits && is_stuck_in_memory(shared, &operation, now);
        return Ok(is_stuck.then_some(operation));
    }
    let Some(operation) = shared.store.operation(id).await? else { return Ok(None) };
    // It may have come into memory, or ended, meanwhile.
    if operation.end().is_some() || shared.residents.is_running(id) {
        return Ok(None);
    }
    let (room, _) = shared.residents.room(&Lane::of(&operation), shared.bounds(&operation.tenant));
    let is_stuck = room > 0 && is_due(shared, &operation, now).await?;
    Ok(is_stuck.then(|| Arc::new(operation)))
}

/// Whether an operation that is not in memory ought to be.
async fn is_due(shared: &Shared, operation: &Operation, now: Timestamp) -> Result<bool, Error> {
    if !operation.calling().is_empty() {
        return Ok(true);
    }
    let mut wants_lock = false;
    for work in operation.work() {
        match work {
            Work::Dispatch | Work::Compose | Work::Send { .. } | Work::Read { .. } | Work::Follow { .. } => {
                return Ok(true);
            }
            Work::Wait { until, .. } if until <= now => return Ok(true),
            // Until its start time comes, having the lock makes no difference.
            Work::Wait { timer: Timer::Start, .. } => return Ok(false),
            Work::AwaitLock => wants_lock = true,
            Work::Wait { .. } | Work::AwaitPerson { .. } | Work::CancelLower { .. } => {}
        }
    }
    let Some(lock) = operation.plan.lock.as_ref().filter(|_| wants_lock) else { return Ok(false) };
    Ok(shared.store.lock_holder(&operation.tenant, &lock.key).await? == Some(operation.id))
}

/// Whether what is in memory has been left by the tasks that should do its work.
fn is_stuck_in_memory(shared: &Shared, operation: &Operation, now: Timestamp) -> bool {
    let is_left = |step: StepIndex, leg: Leg| {
        let target = shared.targets.get(&operation.plan.steps[step.get()].target);
        is_left_alone(&target, leg)
    };
    let of_work = operation.work().into_iter().any(|work| match work {
        Work::Compose => true,
        Work::Wait { until, .. } => until <= now,
        Work::Send { step, leg, .. } => is_left(step, leg),
        Work::Read { step, purpose, .. } => is_left(step, purpose.leg()),
        // A poll rests in between, and the time of the lower operation is another piece of work; but none of it passes while
        // the poll waits for its target.
        Work::Follow { step, leg } => operation.due_gate(step, leg).is_some() && is_left(step, leg),
        // Being taken up is not recorded by itself, so its steps may wait for their turn already.
        Work::Dispatch | Work::AwaitLock | Work::AwaitPerson { .. } | Work::CancelLower { .. } => false,
    });
    of_work || operation.calling().into_iter().any(|(step, leg)| is_left(step, leg))
}

/// Whether nobody waits for the target's permits of this kind, or has one.
fn is_left_alone(target: &Target, leg: Leg) -> bool {
    let status = target.status();
    let of_leg = |counts: PerKind| match leg {
        Leg::Forward | Leg::Probe => counts.forward,
        Leg::Undo => counts.undo,
    };
    of_leg(status.waiting) == 0 && of_leg(status.in_flight) == 0
}

/// Looks, while the engine drains, whether any operation goes on without a person, a start time or another operation. Those in
/// memory are looked at each time; the others in slices, and the one first that was found last.
#[derive(Debug, Default)]
struct Draining {
    search: Option<Search>,
    after: Option<OperationId>,
    /// Found by the latest look.
    under_way: Option<OperationId>,
}

impl Draining {
    async fn go_on(&mut self, shared: &Arc<Shared>) -> Result<(), Error> {
        let search = shared.drain.search();
        if search != self.search {
            *self = Self { search, ..Self::default() };
        }
        let Some(search) = search else { return Ok(()) };
        if shared.residents.running_states().iter().any(|operation| is_under_way(shared, operation, true)) {
            shared.drain.found(search, false);
            return Ok(());
        }
        if let Some(found) = self.under_way.take()
            && self.look_at(shared, search, found).await?
        {
            return Ok(());
        }
        for _ in 0..DRAIN_BATCHES {
            let ids = shared.store.open_operations(self.after, BATCH).await?;
            for id in &ids {
                if self.look_at(shared, search, *id).await? {
                    return Ok(());
                }
            }
            self.after = ids.last().copied().filter(|_| ids.len() == BATCH);
            if self.after.is_none() {
                shared.drain.found(search, true);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether this one is under way, which then is remembered and told.
    async fn look_at(&mut self, shared: &Shared, search: Search, id: OperationId) -> Result<bool, Error> {
        let operation = match shared.residents.running_state(id) {
            Some(operation) => Some(operation),
            None => shared.store.operation(id).await?.map(Arc::new),
        };
        let in_memory = shared.residents.is_running(id);
        let found = operation.is_some_and(|operation| is_under_way(shared, &operation, in_memory));
        if found {
            self.under_way = Some(id);
            shared.drain.found(search, false);
        }
        Ok(found)
    }
}

fn is_under_way(shared: &Shared, operation: &Operation, in_memory: bool) -> bool {
    let may_send = |step: StepIndex| {
        let target = shared.targets.get(&operation.plan.steps[step.get()].target);
        matches!(target.gate(), Gate::Permit | Gate::Breaker)
    };
    let works = operation.work().into_iter().any(|work| match work {
        Work::Dispatch | Work::Compose => true,
        Work::Send { step, .. } | Work::Read { step, .. } | Work::Follow { step, .. } => may_send(step),
        Work::Wait { timer: Timer::Step(_) | Timer::Undo(_) | Timer::Lower(..), .. } => true,
        Work::Wait { timer: Timer::Start | Timer::Deadline, .. } => false,
        // In memory it has the lock: that is recorded only with its first attempt.
        Work::AwaitLock => in_memory,
        Work::AwaitPerson { .. } | Work::CancelLower { .. } => false,
    });
    works || !operation.calling().is_empty()
}
