//! Takes operations from the store into memory: those that are due, lane by lane, as far as there is room. It is woken when
//! something becomes due, and looks by itself every few seconds, so that nothing depends on being told.

use std::sync::Arc;
use std::time::Duration;

use fanfold_core::{Operation, OperationId, Plan};
use fanfold_store::Error;
use tokio::task::JoinError;

use crate::doubts::Canceling;
use crate::execute::Actor;
use crate::members::Term;
use crate::residents::{Bounds, Command};
use crate::shared::Shared;

/// The longest name of a lane, in octets; a longer list of targets is named by its hash.
const LANE_NAME_MAX: usize = 200;

/// The lane of a plan: operations that call the same targets wait for each other, and for nobody else.
pub(crate) fn lane(plan: &Plan) -> String {
    let names: Vec<&str> = plan.steps.iter().map(|step| step.target.as_str()).collect();
    let name = names.join(",");
    if name.len() <= LANE_NAME_MAX {
        return name;
    }
    use sha2::{Digest as _, Sha256};
    Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

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
    for lane in shared.store.lanes(now).await? {
        let (room, running) = shared.residents.room(&lane, shared.bounds());
        if room == 0 {
            shared.residents.await_room();
            continue;
        }
        // Those in memory stay due in the store, so that they are found again if the process ends.
        let due = shared.store.due(&lane, now, room + running).await?;
        if due.len() == room + running {
            shared.residents.await_room();
        }
        let is_free = |id: &OperationId| !shared.residents.is_running(*id) && !shared.doubts.hold_back(*id);
        let waiting = due.into_iter().filter(is_free).take(room);
        for id in waiting.collect::<Vec<_>>() {
            match shared.store.operation(id).await {
                Ok(Some(operation)) => take_up(shared, Arc::new(operation), term),
                Ok(None) => {}
                Err(error) => tracing::error!(operation.id = %id, %error, "cannot read an operation that is due"),
            }
        }
    }
    let next = shared.store.next_wake(now).await?;
    let until_next = next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    Ok(until_next.unwrap_or(shared.config.sweep_every).min(shared.config.sweep_every))
}

/// Takes an operation, read in this term, into memory and begins to carry it out, unless it is there already or there is no room.
pub(crate) fn take_up(shared: &Arc<Shared>, operation: Arc<Operation>, term: Term) {
    if shared.is_stopping() || operation.end().is_some() || shared.doubts.hold_back(operation.id) {
        return;
    }
    if let Some(entry) = shared.residents.enter(&operation, &lane(&operation.plan), shared.bounds()) {
        let actor = Actor::new(Arc::clone(shared), operation, term, (entry.place, entry.inbox));
        begin(shared, actor);
    }
}

/// Takes an operation into memory whose acceptance could not be answered, to cancel it before anything else.
pub(crate) fn take_up_to_cancel(shared: &Arc<Shared>, operation: Arc<Operation>, term: Term, canceling: Canceling) {
    let bounds = Bounds { running_max: usize::MAX, lane_running_max: usize::MAX };
    let Some(entry) = shared.residents.enter(&operation, &lane(&operation.plan), bounds) else { return };
    let actor = Actor::new(Arc::clone(shared), operation, term, (entry.place, entry.inbox));
    begin(shared, actor.canceled_by(canceling));
}

/// Takes an operation into memory to tell it something, whatever the bounds: somebody waits for the answer. Where there
/// is no room it leaves again once it has answered, and is due in the store as far as there is something to do. `false` if the
/// operation came into memory meanwhile: then it is to be told where it is.
pub(crate) fn take_up_to_tell(shared: &Arc<Shared>, operation: Arc<Operation>, term: Term, command: Command) -> bool {
    let bounds = Bounds { running_max: usize::MAX, lane_running_max: usize::MAX };
    let lane = lane(&operation.plan);
    let has_room = shared.residents.room(&lane, shared.bounds()).0 > 0;
    let Some(entry) = shared.residents.enter(&operation, &lane, bounds) else { return false };
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
    let task = actors.spawn(async move {
        let left = actor.run().await;
        // The lock may have been granted in the moment between the last look at it and leaving the memory.
        if ended.residents.take_awaited() || (left.queues_for_lock() && holds_lock(&ended, &left).await) {
            ended.wake_dispatcher();
        }
    });
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
