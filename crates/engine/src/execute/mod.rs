//! Carries out one operation. Each operation in memory has one task, which alone records on it: it takes in what happened
//! (attempts, reads, times, requests of people), lets core decide, commits, and only then begins what is to be done.
//!
//! An attempt's start is committed before its first byte leaves; what ends in the same instant is committed together.

mod call;
mod commit;
mod compose;
mod draft;
mod follow;
mod originals;
mod orphans;
mod prepare;
mod read;
mod tasks;
mod turn;

use std::sync::Arc;

use fanfold_core::operation::{Cause, Leg, Sent, Stage, Timer, Work};
use fanfold_core::{Context, Event, IllegalEvent, Operation, OperationId, transition};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::clock::{Steady, jitter};
use crate::doubts::Canceling;
use crate::members::Term;
use crate::residents::{Command, Place};
use crate::shared::Shared;
use crate::stalled::Waiting;
use draft::Draft;
use orphans::Orphans;
pub(crate) use prepare::sealed_form;
use tasks::{Input, Tasks};

/// How many things that happened are taken into one commit at the most.
const BATCH_MAX: usize = 64;

/// The wait before the store is asked again that failed to give what a task needs.
const STORE_RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// The wait before work is begun again that a mistake in the program ended.
const TASK_RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// The longest that a task sleeps before it looks at the clock again, so that a clock that jumps is noticed.
const SLEEP_MAX: std::time::Duration = std::time::Duration::from_secs(30);

pub(crate) struct Actor {
    shared: Arc<Shared>,
    /// With everything taken in, recorded or not.
    op: Arc<Operation>,
    /// Its place in memory; kept to leave it when the task ends.
    _place: Place,
    inbox: mpsc::Receiver<Command>,
    tasks: Tasks,
    draft: Draft,
    /// The process is about to stop: no attempt starts any more.
    halted: bool,
    /// Does not go back while the operation is in memory, nor behind what is recorded of it.
    steady: Steady,
    /// Its acceptance could not be answered: it is canceled before anything else, and its idempotency key is freed.
    canceling: Option<Canceling>,
    /// It came into memory to be told something, though there was no room.
    is_beyond_bounds: bool,
    /// Under which lease it came into memory.
    term: Term,
    orphans: Orphans,
}

/// Why waiting ended.
enum Woken {
    Input(Input),
    Command(Box<Command>),
    Time,
    /// The state of the process or of the tasks has changed: look again.
    Idle,
}

impl Actor {
    /// For an operation as it was read in this term.
    pub(crate) fn new(
        shared: Arc<Shared>,
        op: Arc<Operation>,
        term: Term,
        (place, inbox): (Place, mpsc::Receiver<Command>),
    ) -> Self {
        let (tasks, draft) = (Tasks::default(), Draft::default());
        let steady = Steady::from(op.updated_at);
        Self {
            shared,
            op,
            _place: place,
            inbox,
            tasks,
            draft,
            halted: false,
            steady,
            canceling: None,
            is_beyond_bounds: false,
            term,
            orphans: Orphans::default(),
        }
    }

    pub(crate) fn term(&self) -> Term {
        self.term
    }

    pub(crate) fn id(&self) -> OperationId {
        self.op.id
    }

    /// What log lines about it carry along.
    pub(crate) fn in_logs(&self) -> tracing::Span {
        self.shared.traces.in_logs(&self.op)
    }

    /// The same for an operation whose acceptance could not be answered.
    pub(crate) fn canceled_by(mut self, canceling: Canceling) -> Self {
        self.canceling = Some(canceling);
        self
    }

    /// The same for one that comes into memory to be told something, though there is no room.
    pub(crate) fn beyond_bounds(mut self) -> Self {
        self.is_beyond_bounds = true;
        self
    }

    /// Goes on with the operation until it has ended, or nothing is to be done for it for a while. Gives it as it is then.
    pub(crate) async fn run(mut self) -> Arc<Operation> {
        if self.canceling.is_some() {
            self.take(Event::CancelRequested { by: "fanfold".to_owned() });
        }
        let (mut stopping, mut clock_set) = (self.shared.stopping(), self.shared.clock_set());
        let shared = Arc::clone(&self.shared);
        let mut waiting = None;
        loop {
            if self.shared.lease.is_over(self.term) {
                return self.op;
            }
            let done = self.do_at_once().await;
            match &done {
                Ok(()) => Waiting::end(waiting.take()),
                Err(error) => {
                    waiting.get_or_insert_with(|| shared.unread.wait(error));
                }
            }
            // What happened is recorded even if what follows from it cannot be done yet.
            if self.draft.is_urgent() {
                if !self.commit().await {
                    return self.op;
                }
                // Recording that its start time has come may have given it the lock.
                if self.op.queues_for_lock() {
                    continue;
                }
            }
            if done.is_err() {
                tokio::time::sleep(STORE_RETRY).await;
                continue;
            }
            self.halted = *stopping.borrow_and_update();
            self.tasks.keep(&self.op, self.halted);
            if self.is_done() {
                return self.op;
            }
            if !self.halted {
                self.begin();
            }
            let woken = self.wait(&mut stopping, &mut clock_set).await;
            self.take_in(woken);
        }
    }

    /// The time by which the operation goes.
    fn now(&self) -> Timestamp {
        self.steady.now(self.shared.clock.now())
    }

    /// A start is asked for by the time of day, whatever that is; all else waits for as long as it was planned to.
    fn now_for(&self, timer: Timer) -> Timestamp {
        match timer {
            Timer::Start => self.shared.clock.now(),
            Timer::Deadline | Timer::Step(_) | Timer::Undo(_) | Timer::Lower(..) => self.now(),
        }
    }

    /// Takes one event in. One that does not fit any more is dropped: what it tells is not wanted any longer.
    fn take(&mut self, event: Event) -> bool {
        match self.decide(event) {
            Ok(()) => true,
            Err(illegal) => {
                tracing::debug!(operation.id = %self.op.id, %illegal, "an event came too late");
                false
            }
        }
    }

    fn decide(&mut self, event: Event) -> Result<(), IllegalEvent> {
        let clock = self.shared.clock.as_ref();
        let context = Context { now: self.now(), jitter: jitter(clock) };
        let (next, effects) = transition(&self.op, event.clone(), context)?;
        self.op = Arc::new(next);
        self.draft.add(context.now, event, effects);
        Ok(())
    }

    /// Does what needs no waiting for anything outside: takes the operation up, looks after its lock, composes the response.
    async fn do_at_once(&mut self) -> Result<(), crate::Error> {
        self.take_over().await?;
        loop {
            let work = self.op.work();
            // Where there is no room it is taken up when there is: its deadline runs from then on.
            if work.contains(&Work::Dispatch) && !self.is_beyond_bounds {
                self.take(Event::Dispatched);
            } else if work.contains(&Work::Compose) {
                self.compose().await?;
            } else if work.contains(&Work::AwaitLock) && self.holds_lock().await? {
                self.take(Event::LockGranted);
            } else {
                return Ok(());
            }
        }
    }

    async fn holds_lock(&self) -> Result<bool, crate::Error> {
        let Some(lock) = &self.op.plan.lock else { return Ok(false) };
        let holder = self.shared.store.lock_holder(&self.op.tenant, &lock.key).await?;
        Ok(holder == Some(self.op.id))
    }

    /// Whether there is nothing for this task to do: it ended, or it waits for a person, a lock or a far-off time, and the
    /// dispatcher will take it up again.
    fn is_done(&self) -> bool {
        if matches!(self.op.stage, Stage::Ended { .. }) || (self.halted && self.tasks.is_empty()) {
            return true;
        }
        // What it was to be told is recorded and answered; the rest is taken up when there is room (G8).
        if self.is_beyond_bounds && self.inbox.is_empty() && !self.tasks.has_calls() {
            return true;
        }
        self.tasks.is_empty() && self.inbox.is_empty() && wake_at(&self.op, &self.shared, self.now()) != Wake::Now
    }

    fn begin(&mut self) {
        for work in self.op.work() {
            if self.tasks.has(&work) {
                continue;
            }
            match work {
                Work::Send { step, leg, attempt } => {
                    let turn = prepare::wait_for_turn(self.context(), step, leg, attempt);
                    self.tasks.spawn(work, turn);
                }
                Work::Read { step, purpose, tries } => self.begin_read(read::Due { step, purpose, tries }, None),
                Work::Follow { step, leg } => self.tasks.spawn(work, follow::follow(self.context(), step, leg)),
                // No protocol that is spoken today can ask a lower operation to cancel; it is followed to its end.
                Work::CancelLower { .. } => {}
                Work::Wait { .. } | Work::AwaitPerson { .. } | Work::AwaitLock | Work::Dispatch | Work::Compose => {}
            }
        }
    }

    fn context(&self) -> tasks::TaskContext {
        tasks::TaskContext { shared: Arc::clone(&self.shared), op: Arc::clone(&self.op), term: self.term }
    }

    async fn wait(&mut self, stopping: &mut watch::Receiver<bool>, clock_set: &mut watch::Receiver<()>) -> Woken {
        let pause = timers(&self.op)
            .map(|(timer, until)| until.duration_since(self.now_for(timer)))
            .map(|left| std::time::Duration::try_from(left).unwrap_or_default())
            .min()
            .unwrap_or(SLEEP_MAX)
            .min(SLEEP_MAX)
            .min(self.orphans.pause());
        tokio::select! {
            biased;
            input = self.tasks.next(), if !self.tasks.is_empty() => input.map_or(Woken::Idle, Woken::Input),
            Some(command) = self.inbox.recv() => Woken::Command(Box::new(command)),
            () = tokio::time::sleep(pause), if !self.halted => Woken::Time,
            Ok(()) = clock_set.changed(), if !self.halted => Woken::Time,
            _ = stopping.changed(), if !self.halted => Woken::Idle,
        }
    }

    /// Takes in what woke the task, and all else that is there already.
    fn take_in(&mut self, woken: Woken) {
        match woken {
            Woken::Input(input) => self.take_input(input),
            Woken::Command(command) => self.take_command(*command),
            Woken::Time => self.take_time(),
            Woken::Idle => return,
        }
        for _ in 0..BATCH_MAX {
            if let Some(input) = self.tasks.next_now() {
                self.take_input(input);
            } else if let Ok(command) = self.inbox.try_recv() {
                self.take_command(command);
            } else {
                return;
            }
        }
    }

    fn take_time(&mut self) {
        self.take_orphans();
        let due: Vec<Timer> =
            timers(&self.op).filter(|(timer, until)| *until <= self.now_for(*timer)).map(|(timer, _)| timer).collect();
        for timer in due {
            self.take(Event::TimeCame { timer });
        }
    }

    fn take_command(&mut self, command: Command) {
        if matches!(command.event, Event::CancelRequested { .. }) && self.is_cancel_idle() {
            // Asked before, or too late to change anything: there is nothing to record.
            drop(command.reply.send(Ok(Arc::clone(&self.op))));
            return;
        }
        let was_restored = self.op.restored.is_some();
        match self.decide(command.event) {
            Ok(()) => {
                // What the backup has on the wire broke when its process ended.
                if was_restored {
                    self.take_released();
                }
                self.draft.reply_when_recorded(command.reply);
            }
            // Nobody may be listening any more; then there is nobody to tell.
            Err(illegal) => drop(command.reply.send(Err(illegal))),
        }
    }

    /// Whether a request to cancel would change nothing.
    fn is_cancel_idle(&self) -> bool {
        // One that was restored is given up by it.
        if self.op.restored.is_some() {
            return false;
        }
        match &self.op.stage {
            Stage::Closing(Cause::Canceled { .. } | Cause::RequirementMet)
            | Stage::RollingBack { .. }
            | Stage::Finishing(_) => true,
            Stage::Closing(Cause::StepsFailed | Cause::DeadlinePassed)
            | Stage::Unexecuted { .. }
            | Stage::Forward
            | Stage::Deciding { .. }
            | Stage::Ended { .. } => false,
        }
    }

    fn take_input(&mut self, input: Input) {
        match input {
            Input::Gated { step, leg, gate, waiting } => {
                if self.take(Event::GateChanged { step, leg, gate }) {
                    let work = Work::Send { step, leg, attempt: waiting.attempt };
                    self.tasks.spawn(work, prepare::go_on_waiting(self.context(), step, leg, waiting));
                }
            }
            Input::Ready { .. } if self.halted => {}
            // The lease has run out while the request was made ready.
            Input::Ready { .. } if !self.shared.lease.holds(self.term) => {}
            // The target was held, or taken out of the configuration, while the request was made ready: it gives its permit
            // back, and takes a place in the queue again.
            Input::Ready { step, .. } if self.context().target(step).is_closed() => {}
            Input::Ready { step, leg, ready } => {
                let request = match leg {
                    Leg::Forward => None,
                    Leg::Undo | Leg::Probe => ready.recorded.as_ref().map(|recorded| recorded.public.clone()),
                };
                if self.take(Event::AttemptStarted { step, leg, request }) {
                    self.seal_request(step, leg, &ready);
                    self.draft.send_when_recorded(step, leg, *ready);
                }
            }
            Input::NotRendered { step, leg, trouble } => match leg {
                Leg::Undo => {
                    self.take(Event::UndoNotRendered { step, trouble });
                }
                // A probe that cannot be rendered has been asked and told nothing; a forward request was rendered at acceptance,
                // so that only its sealed original can be missing.
                Leg::Forward | Leg::Probe => {
                    if self.take(Event::AttemptStarted { step, leg, request: None }) {
                        self.take(Event::AttemptBroke { step, leg, sent: Sent::No, trouble });
                    }
                }
            },
            Input::Called { step, leg, ended } => self.take_call(step, leg, *ended),
            Input::Read { step, purpose, read } => self.take_read(step, purpose, *read),
            Input::ReadGated { due, gated } => self.take_read_gate(due, gated),
            Input::PollGated { step, leg, gate, follower } => self.take_poll_gate(step, leg, gate, *follower),
            Input::PollsChanged { step, leg, trouble, follower } => self.take_polls(step, leg, trouble, *follower),
            Input::LowerEnded { step, leg, lower } => self.take_lower(step, leg, *lower),
            Input::TaskFailed { work } => {
                tracing::error!(operation.id = %self.op.id, ?work, "a task of the operation failed and is begun again after a while");
                // It keeps the place of the work, so that the work does not begin before.
                self.tasks.spawn(work, async {
                    tokio::time::sleep(TASK_RETRY).await;
                    Input::Rested
                });
            }
            Input::Rested => {}
        }
    }
}

/// When an operation is to be taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// Something is to be done now.
    Now,
    /// Nothing before this time.
    At(Timestamp),
    /// Nothing until somebody outside does something.
    Never,
}

/// Reads off the state when an operation has to be in memory, where its own time is `now`.
fn wake_at(op: &Operation, shared: &Shared, now: Timestamp) -> Wake {
    let mut wake = Wake::Never;
    for work in op.work() {
        match work {
            Work::Dispatch | Work::Compose | Work::Send { .. } | Work::Read { .. } | Work::Follow { .. } => {
                return Wake::Now;
            }
            Work::Wait { timer, until } => {
                let now = if timer == Timer::Start { shared.clock.now() } else { now };
                if until <= now + shared.config.park_after {
                    return Wake::Now;
                }
                wake = match wake {
                    Wake::At(other) => Wake::At(until.min(other)),
                    Wake::Now | Wake::Never => Wake::At(until),
                }
            }
            Work::AwaitLock | Work::AwaitPerson { .. } | Work::CancelLower { .. } => {}
        }
    }
    if op.calling().is_empty() { wake } else { Wake::Now }
}

fn timers(op: &Operation) -> impl Iterator<Item = (Timer, Timestamp)> + use<> {
    op.work().into_iter().filter_map(|work| match work {
        Work::Wait { timer, until } => Some((timer, until)),
        Work::AwaitLock
        | Work::Dispatch
        | Work::Send { .. }
        | Work::Read { .. }
        | Work::Follow { .. }
        | Work::CancelLower { .. }
        | Work::Compose
        | Work::AwaitPerson { .. } => None,
    })
}
