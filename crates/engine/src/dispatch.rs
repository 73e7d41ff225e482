//! Takes operations from the store into memory: those that are due, lane by lane, as far as there is room. Tenants take turns.
//! It is woken when something becomes due, and looks by itself every few seconds, so that nothing depends on being told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fanfold_core::{Operation, OperationId};
use fanfold_store::Error;
use jiff::Timestamp;
use tokio::task::JoinError;
use tracing::Instrument as _;

use crate::doubts::Canceling;
use crate::execute::Actor;
use crate::lane::Lane;
use crate::members::Term;
use crate::residents::{Bounds, Command};
use crate::shared::Shared;

/// Runs until the engine stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping();
    let mut failing = false;
    loop {
        let swept = sweep(&shared).await;
        if let Err(error) = &swept
            && !failing
        {
            tracing::error!(%error, "cannot search the store for what is due; this is told once, until it can be searched");
        }
        failing = swept.is_err();
        let pause = swept.unwrap_or(shared.config.sweep_every);
        tokio::select! {
            biased;
            () = shared.dispatcher_woken() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Takes up what is due, and tells how long there is nothing more to do.
async fn sweep(shared: &Arc<Shared>) -> Result<Duration, Error> {
    let (now, term) = (shared.clock.now(), shared.lease.term());
    let mut by_targets: BTreeMap<String, Vec<Lane>> = BTreeMap::new();
    for name in shared.store.lanes(now).await? {
        let lane = Lane::named(&name);
        by_targets.entry(lane.targets.clone()).or_default().push(lane);
    }
    for lanes in by_targets.into_values() {
        let mut waiting = Vec::new();
        for lane in lanes {
            waiting.extend(due(shared, &lane, now).await?.map(|due| (lane, due)));
        }
        // Lane after lane the first would take the room that all of them have been found.
        while !waiting.is_empty() {
            for (lane, due) in &mut waiting {
                for id in due.drain(..due.len().min(turn(shared, lane))) {
                    read_and_take_up(shared, id, term).await;
                }
                if shared.residents.room(lane, shared.bounds(&lane.tenant)).0 == 0 && !due.is_empty() {
                    shared.residents.await_room();
                    due.clear();
                }
            }
            waiting.retain(|(_, due)| !due.is_empty());
        }
    }
    let next = shared.store.next_wake(now).await?;
    let until_next = next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    Ok(until_next.unwrap_or(shared.config.sweep_every).min(shared.config.sweep_every))
}

/// What is due in a lane and not in memory, as much as there is room for; `None` if there is none.
async fn due(shared: &Shared, lane: &Lane, now: Timestamp) -> Result<Option<VecDeque<OperationId>>, Error> {
    let (room, running) = shared.residents.room(lane, shared.bounds(&lane.tenant));
    if room == 0 {
        shared.residents.await_room();
        return Ok(None);
    }
    // Those in memory stay due in the store, so that they are found again if the process ends.
    let due = shared.store.due(&lane.to_string(), now, room + running).await?;
    if due.len() == room + running {
        shared.residents.await_room();
    }
    let is_free = |id: &OperationId| !shared.residents.is_running(*id) && !shared.doubts.hold_back(*id);
    Ok(Some(due.into_iter().filter(is_free).take(room).collect()))
}

/// How many of a lane go before those of another tenant.
fn turn(shared: &Shared, lane: &Lane) -> usize {
    shared.config.weights.of(&lane.tenant).turns()
}

async fn read_and_take_up(shared: &Arc<Shared>, id: OperationId, term: Term) {
    match shared.store.operation(id).await {
        Ok(Some(operation)) => take_up(shared, Arc::new(operation), term),
        Ok(None) => {}
        Err(error) => tracing::error!(operation.id = %id, %error, "cannot read an operation that is due"),
    }
}

/// Takes an operation, read in this term, into memory and begins to carry it out, unless it is there already or there is no room.
pub(crate) fn take_up(shared: &Arc<Shared>, operation: Arc<Operation>, term: Term) {
    if shared.is_stopping() || operation.end().is_some() || shared.doubts.hold_back(operation.id) {
        return;
    }
    if let Some(entry) = shared.residents.enter(&operation, shared.bounds(&operation.tenant)) {
        let actor = Actor::new(Arc::clone(shared), operation, term, (entry.place, entry.inbox));
        begin(shared, actor);
    }
}

/// Takes an operation into memory whose acceptance could not be answered, to cancel it before anything else.
pub(crate) fn take_up_to_cancel(shared: &Arc<Shared>, operation: Arc<Operation>, term: Term, canceling: Canceling) {
    let Some(entry) = shared.residents.enter(&operation, Bounds::NONE) else { return };
    let actor = Actor::new(Arc::clone(shared), operation, term, (entry.place, entry.inbox));
    begin(shared, actor.canceled_by(canceling));
}

/// Takes an operation into memory to tell it something, whatever the bounds: somebody waits for the answer. Where there
/// is no room it leaves again once it has answered, and is due in the store as far as there is something to do. `false` if the
/// operation came into memory meanwhile: then it is to be told where it is.
pub(crate) fn take_up_to_tell(shared: &Arc<Shared>, operation: Arc<Operation>, term: Term, command: Command) -> bool {
    let has_room = shared.residents.room(&Lane::of(&operation), shared.bounds(&operation.tenant)).0 > 0;
    let Some(entry) = shared.residents.enter(&operation, Bounds::NONE) else { return false };
    // It is in the inbox before the task begins, so that the task does not end without it.
    if entry.sender.try_send(command).is_err() {
        return false;
    }
    let actor = Actor::new(Arc::clone(shared), operation, term, (entry.place, entry.inbox));
    if has_room {
        begin(shared, actor);
    } else {
        shared.residents.await_room();
        begin(shared, actor.beyond_bounds());
    }
    true
}

fn begin(shared: &Arc<Shared>, actor: Actor) {
    let id = actor.id();
    let ended = Arc::clone(shared);
    let mut actors = shared.actors();
    // Another node has taken over what this one owned when it read the operation.
    if shared.lease.is_over(actor.term()) {
        return;
    }
    let in_logs = actor.in_logs();
    let living = async move {
        let left = actor.run().await;
        // The lock may have been granted in the moment between the last look at it and leaving the memory.
        if ended.residents.take_awaited() || (left.queues_for_lock() && holds_lock(&ended, &left).await) {
            ended.wake_dispatcher();
        }
    };
    let task = actors.spawn(living.instrument(in_logs));
    shared.residents.attach(id, task);
    // What has ended already is taken out, so that the set does not grow.
    while let Some(ended) = actors.try_join_next() {
        report(ended);
    }
}

/// Whether the operation is the holder of its lock. An error is told by whoever asks next.
async fn holds_lock(shared: &Shared, operation: &Operation) -> bool {
    let Some(lock) = &operation.plan.lock else { return false };
    let holder = shared.store.lock_holder(&operation.tenant, &lock.key).await;
    matches!(holder, Ok(Some(holder)) if holder == operation.id)
}

/// The task of an operation ends by itself, unless a mistake in the program ends it; then the next sweep takes it up again.
pub(crate) fn report(ended: Result<(), JoinError>) {
    // What the patrol threw out has been told about.
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(%error, "the task of an operation met a mistake in the program");
    }
}
