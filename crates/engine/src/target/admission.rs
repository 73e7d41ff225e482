//! Who may send to a target, and when: permits, the breaker, and hold.
//!
//! Whoever wants to send takes a [`Ticket`], which is a place in a queue, and waits for its [`Turn`]. Undos have permits of
//! their own and go first; steps and passed-through requests share the others and take turns. Within a queue tenants take
//! turns ([`crate::turns`]), and the operations of a tenant go in the order in which they were accepted, over holds, open
//! breakers and restarts too; what has the same rank goes in the order of arrival. A ticket or permit that is dropped gives its
//! place back at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfold_core::TenantId;
use fanfold_core::operation::Gate;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::breaker::{Breaker, BreakerConfig, Pass, Position};
use super::metrics::{Gauges, Picture};
use crate::turns::{Called, Claimant, Turns};

mod share;

pub(crate) use share::Demand;
pub(super) use share::Share;

/// What a permit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PermitKind {
    /// A step, its probe, or a read that belongs to it.
    Forward,
    /// An undo, or a read that belongs to it.
    Undo,
    /// A request that is passed through.
    Pass,
}

impl PermitKind {
    pub(super) const ALL: [Self; 3] = [Self::Forward, Self::Undo, Self::Pass];

    /// The word for it in metrics and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Undo => "undo",
            Self::Pass => "pass",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Forward => 0,
            Self::Undo => 1,
            Self::Pass => 2,
        }
    }
}

/// A place in a target's queue.
#[derive(Debug)]
pub struct Ticket {
    admission: Arc<Admission>,
    kind: PermitKind,
    tenant: TenantId,
    place: Place,
    wake: Arc<Notify>,
    signal: watch::Receiver<Signal>,
    told: Gate,
    spent: bool,
}

/// What became of a wait.
#[derive(Debug)]
pub enum Turn {
    /// It may be sent.
    Go(Permit),
    /// It waits on, from now on for this. Not told while it is a permit that was waited for all along.
    Waits(Gate),
}

/// The right to have one request on the wire. Dropped without being used, it tells the breaker nothing.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    kind: PermitKind,
    tenant: TenantId,
    /// `None` once the end was reported.
    pass: Option<Pass>,
}

/// The settings that may change at a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) max_in_flight: usize,
    pub(super) undo_max_in_flight: usize,
    pub(super) pass_waiting_max: usize,
    pub(super) breaker: BreakerConfig,
}

#[derive(Debug)]
pub(super) struct Admission {
    state: Mutex<State>,
    signal: watch::Sender<Signal>,
    gauges: Gauges,
}

/// Where somebody stands in a queue: the lowest goes first. Ids of operations sort by the time of acceptance.
type Rank = [u8; 16];

/// A place in a queue: by rank, then by arrival. The number is unique.
type Place = (Rank, u64);

/// How many of each kind, by [`PermitKind::index`].
pub(super) type Counts = [usize; 3];

/// What a queue looks like at one instant.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) missing: bool,
    pub(super) held: Option<String>,
    pub(super) breaker: Position,
    pub(super) breaks: u32,
    pub(super) opened: Option<Instant>,
    pub(super) allowance: Option<Allowance>,
    pub(super) in_flight: Counts,
    pub(super) waiting: Counts,
}

#[derive(Debug)]
struct State {
    /// `None`: the target is not configured.
    allowance: Option<Allowance>,
    /// What this node was granted of the limits; `None`: it has them for itself.
    share: Option<Share>,
    held: Option<String>,
    breaker: Breaker,
    /// Who waits, and whose requests are on the wire.
    queues: [Turns<Place, Arc<Notify>>; 3],
    /// Tickets whose turn has come and that have not noticed yet.
    granted: HashMap<u64, Pass>,
    next_number: u64,
    /// Which of the two kinds that share permits goes first when both wait.
    turn: PermitKind,
}

/// What all those who wait have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signal {
    gate: Gate,
    /// When to look again, if nothing happens before.
    look_again: Option<Instant>,
}

impl Ticket {
    /// Waits for the turn, or for a change of what is waited for. May be dropped and called again at will: the place in the
    /// queue belongs to the ticket. After [`Turn::Go`] the ticket is spent, and this never returns.
    pub async fn turn(&mut self) -> Turn {
        if self.spent {
            return std::future::pending().await;
        }
        loop {
            if let Some(permit) = self.claim() {
                return Turn::Go(permit);
            }
            let signal = *self.signal.borrow_and_update();
            if signal.gate != self.told {
                self.told = signal.gate;
                return Turn::Waits(signal.gate);
            }
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                // The sender lives in the admission that this ticket holds, so that it cannot be gone.
                _ = self.signal.changed() => {}
                () = reach(signal.look_again) => self.admission.update(|_| {}),
            }
        }
    }

    /// Waits for the turn, whatever is waited for.
    pub async fn permit(mut self) -> Permit {
        loop {
            if let Turn::Go(permit) = self.turn().await {
                return permit;
            }
        }
    }

    /// What stands between this ticket and its turn at the moment.
    pub fn gate(&self) -> Gate {
        self.signal.borrow().gate
    }

    fn claim(&mut self) -> Option<Permit> {
        let pass = self.admission.lock().granted.remove(&self.place.1)?;
        self.spent = true;
        let (admission, tenant) = (Arc::clone(&self.admission), self.tenant.clone());
        Some(Permit { admission, kind: self.kind, tenant, pass: Some(pass) })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.spent {
            return;
        }
        self.admission.update(|state| {
            let queue = &mut state.queues[self.kind.index()];
            match state.granted.remove(&self.place.1) {
                Some(pass) => {
                    queue.give_back(&self.tenant);
                    state.breaker.abandoned(pass);
                }
                None => queue.leave(&self.tenant, &self.place),
            }
        });
    }
}

impl Permit {
    /// What it is for.
    pub fn kind(&self) -> PermitKind {
        self.kind
    }

    /// Tells the breaker that the target works.
    pub(super) fn answered(&mut self) {
        if self.pass.take().is_some() {
            self.admission.update(|state| state.breaker.answered());
        }
    }

    /// Tells the breaker that the attempt broke.
    pub(super) fn broke(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.admission.update(|state| state.breaker.broke(pass, Instant::now()));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.update(|state| {
            state.queues[self.kind.index()].give_back(&self.tenant);
            if let Some(pass) = self.pass {
                state.breaker.abandoned(pass);
            }
        });
    }
}

impl Admission {
    /// The admission of a target that is not configured until [`Admission::configure`] says otherwise.
    pub(super) fn new(gauges: Gauges) -> Arc<Self> {
        let state = State {
            allowance: None,
            share: None,
            held: None,
            breaker: Breaker::new(BreakerConfig::default()),
            queues: Default::default(),
            granted: HashMap::new(),
            next_number: 0,
            turn: PermitKind::Forward,
        };
        let signal = watch::Sender::new(state.signal(Instant::now()));
        Arc::new(Self { state: Mutex::new(state), signal, gauges })
    }

    /// Sets the limits; `None`: the target is not configured (any more), and whoever waits for it waits on.
    pub(super) fn configure(&self, allowance: Option<Allowance>) {
        self.update(|state| {
            if let Some(allowance) = allowance {
                state.breaker.configure(allowance.breaker);
            }
            state.allowance = allowance;
        });
    }

    /// Holds the target back; one that is on hold stays so, with its first reason.
    pub(super) fn hold(&self, reason: String) {
        self.update(|state| {
            state.held.get_or_insert(reason);
        });
    }

    /// Lets the target go.
    pub(super) fn release(&self) {
        self.update(|state| state.held = None);
    }

    /// Takes a place in a queue, behind everybody of the same tenant with a lower or the same rank.
    pub(super) fn ticket(self: &Arc<Self>, kind: PermitKind, claimant: &Claimant, rank: Rank) -> Ticket {
        self.ticket_if(kind, claimant, rank, |_| true).expect("no condition was given")
    }

    /// Takes a place at the end of the queue of passed-through requests, unless that is full.
    pub(super) fn pass_ticket(self: &Arc<Self>, claimant: &Claimant) -> Option<Ticket> {
        self.ticket_if(PermitKind::Pass, claimant, Rank::default(), |state| {
            let room = state.allowance.map_or(0, |allowance| allowance.pass_waiting_max);
            state.queues[PermitKind::Pass.index()].waiting() < room
        })
    }

    fn ticket_if(
        self: &Arc<Self>,
        kind: PermitKind,
        claimant: &Claimant,
        rank: Rank,
        condition: impl FnOnce(&State) -> bool,
    ) -> Option<Ticket> {
        let wake = Arc::new(Notify::new());
        let place = self.update(|state| {
            let place = (rank, state.next_number);
            condition(state).then(|| {
                state.next_number += 1;
                state.queues[kind.index()].queue(claimant, place, Arc::clone(&wake));
                place
            })
        })?;
        let signal = self.signal.subscribe();
        let (admission, tenant) = (Arc::clone(self), claimant.tenant.clone());
        Some(Ticket { admission, kind, tenant, place, wake, signal, told: Gate::Permit, spent: false })
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot {
            missing: state.allowance.is_none(),
            held: state.held.clone(),
            breaker: state.breaker.position(Instant::now()),
            breaks: state.breaker.breaks(),
            opened: state.breaker.opened(),
            allowance: state.allowance,
            in_flight: state.in_flight(),
            waiting: state.waiting(),
        }
    }

    /// The gate that holds for everybody now, and when it may change by time alone.
    pub(super) fn gate(&self) -> (Gate, Option<Instant>) {
        let now = Instant::now();
        let signal = self.lock().signal(now);
        (signal.gate, signal.look_again)
    }

    /// Applies a change, lets go whoever may go after it, and tells everybody what is waited for now.
    fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let now = Instant::now();
        state.let_go(now);
        let signal = state.signal(now);
        self.gauges.publish(&Picture {
            waiting: &state.waiting(),
            in_flight: &state.in_flight(),
            breaker: state.breaker.position(now),
            breaks: state.breaker.breaks(),
            held: state.held.is_some(),
            allowance: state.allowance,
            granted: state.allowance.map_or([0; 2], |allowance| state.maxima(&allowance)),
        });
        // Told under the lock, so that two changes cannot be told in the wrong order.
        self.signal.send_if_modified(|present| std::mem::replace(present, signal) != signal);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is complete in itself: one that panicked half-way can at worst leak a permit.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn let_go(&mut self, now: Instant) {
        while let Some(kind) = self.next_kind() {
            let Some(pass) = self.breaker.admit(now) else { return };
            let Some(Called { place: (_, number), waiter, .. }) = self.queues[kind.index()].call() else { return };
            self.granted.insert(number, pass);
            waiter.notify_one();
            match kind {
                PermitKind::Forward => self.turn = PermitKind::Pass,
                PermitKind::Pass => self.turn = PermitKind::Forward,
                PermitKind::Undo => {}
            }
        }
    }

    /// The queue whose first ticket is next, as far as hold and permits go.
    fn next_kind(&self) -> Option<PermitKind> {
        let allowance = self.allowance.filter(|_| self.held.is_none())?;
        let [forward_max, undo_max] = self.maxima(&allowance);
        let waits = |kind: PermitKind| self.queues[kind.index()].waiting() > 0;
        let in_flight = self.in_flight();
        if waits(PermitKind::Undo) && in_flight[PermitKind::Undo.index()] < undo_max {
            return Some(PermitKind::Undo);
        }
        let shared = in_flight[PermitKind::Forward.index()] + in_flight[PermitKind::Pass.index()];
        if shared >= forward_max {
            return None;
        }
        let other = if self.turn == PermitKind::Pass { PermitKind::Forward } else { PermitKind::Pass };
        [self.turn, other].into_iter().find(|&kind| waits(kind))
    }

    fn signal(&self, now: Instant) -> Signal {
        let closed = self.breaker.position(now) == Position::Closed;
        let gate = match (&self.allowance, &self.held) {
            (None, _) => Gate::Missing,
            (Some(_), Some(_)) => Gate::Held,
            (Some(_), None) if closed => Gate::Permit,
            (Some(_), None) => Gate::Breaker,
        };
        // A time that has passed is of no use: what is waited for then is a permit, and whoever gives one back looks again.
        let look_again = self.breaker.opens_again().filter(|&at| gate == Gate::Breaker && at > now);
        Signal { gate, look_again }
    }

    fn waiting(&self) -> Counts {
        self.queues.each_ref().map(Turns::waiting)
    }

    fn in_flight(&self) -> Counts {
        self.queues.each_ref().map(Turns::taken)
    }
}

async fn reach(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
