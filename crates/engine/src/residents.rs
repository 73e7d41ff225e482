//! The operations that are in memory: those being carried out, by what they call, and those that ended lately. Also who is
//! waiting for an operation to change.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfold_core::{Event, IllegalEvent, Operation, OperationId, Revision, TenantId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::lane::Lane;
use crate::turns::{Weight, room};

/// How many messages an operation in memory lets queue up before senders wait.
pub(crate) const INBOX_MAX: usize = 64;

/// A fact from outside: a request of a person, mostly.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) event: Event,
    /// Answered once the change is recorded.
    pub(crate) reply: oneshot::Sender<Result<Arc<Operation>, IllegalEvent>>,
}

#[derive(Debug)]
pub(crate) struct Residents {
    state: Mutex<State>,
    /// Counts what was recorded, on any operation.
    recorded: watch::Sender<u64>,
    ended_max: usize,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<OperationId, Resident>,
    all: Occupied,
    /// By the targets that they call.
    by_targets: HashMap<Arc<str>, Occupied>,
    ended: HashMap<OperationId, Arc<Operation>>,
    ended_order: VecDeque<OperationId>,
    followers: HashMap<OperationId, watch::Sender<u64>>,
    /// Whether operations wait in the store for room.
    awaited: bool,
}

/// How many places are taken, and by whom.
#[derive(Debug, Default)]
struct Occupied {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
}

impl Occupied {
    /// How many more places a tenant may take of `max`.
    fn room(&self, tenant: &TenantId, weight: Weight, max: usize) -> usize {
        room(self.of(tenant), max.saturating_sub(self.all), weight)
    }

    fn of(&self, tenant: &TenantId) -> usize {
        self.by_tenant.get(tenant).copied().unwrap_or(0)
    }

    fn enter(&mut self, tenant: &TenantId) {
        self.all += 1;
        *self.by_tenant.entry(tenant.clone()).or_default() += 1;
    }

    fn leave(&mut self, tenant: &TenantId) {
        self.all -= 1;
        if let Some(count) = self.by_tenant.get_mut(tenant) {
            *count -= 1;
            if *count == 0 {
                self.by_tenant.remove(tenant);
            }
        }
    }
}

#[derive(Debug)]
struct Resident {
    targets: Arc<str>,
    inbox: mpsc::Sender<Command>,
    /// The latest recorded state.
    recorded: Arc<Operation>,
    /// Its task, once that has begun.
    task: Option<AbortHandle>,
    /// Whether it knows something that it has not been able to record yet.
    is_recording: bool,
    /// Whether its task was told to end: it records nothing any more.
    is_thrown_out: bool,
    /// Whether it lets time pass before it takes it that attempts of another node broke.
    is_settling: bool,
}

/// What became of throwing an operation out of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThrownOut {
    /// It leaves.
    Done,
    /// It has moved meanwhile, or is about to.
    Moves,
    /// It was not in memory.
    WasNotThere,
}

/// An operation that has come into memory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) sender: mpsc::Sender<Command>,
    pub(crate) inbox: mpsc::Receiver<Command>,
}

/// An operation's place in memory. Dropping it leaves the memory.
#[derive(Debug)]
pub(crate) struct Place {
    residents: Arc<Residents>,
    id: OperationId,
}

impl Residents {
    pub(crate) fn new(ended_max: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), recorded: watch::Sender::new(0), ended_max })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock and has changed half of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an operation into memory, unless it is there already or a bound is reached.
    pub(crate) fn enter(self: &Arc<Self>, operation: &Arc<Operation>, bounds: Bounds) -> Option<Entry> {
        let lane = Lane::of(operation);
        let mut state = self.state();
        if state.running.contains_key(&operation.id) {
            return None;
        }
        if state.room(&lane, bounds) == 0 {
            state.awaited = true;
            return None;
        }
        let targets: Arc<str> = match state.by_targets.get_key_value(lane.targets.as_str()) {
            Some((targets, _)) => Arc::clone(targets),
            None => Arc::from(lane.targets),
        };
        state.by_targets.entry(Arc::clone(&targets)).or_default().enter(&lane.tenant);
        state.all.enter(&lane.tenant);
        let (inbox, messages) = mpsc::channel(INBOX_MAX);
        let recorded = Arc::clone(operation);
        let resident = Resident {
            targets,
            inbox: inbox.clone(),
            recorded,
            task: None,
            is_recording: false,
            is_thrown_out: false,
            is_settling: false,
        };
        state.running.insert(operation.id, resident);
        let place = Place { residents: Arc::clone(self), id: operation.id };
        Some(Entry { place, sender: inbox, inbox: messages })
    }

    /// Notes that operations wait in the store for room.
    pub(crate) fn await_room(&self) {
        self.state().awaited = true;
    }

    /// Whether operations waited in the store for room since this was asked last.
    pub(crate) fn take_awaited(&self) -> bool {
        std::mem::take(&mut self.state().awaited)
    }

    /// How many more operations of a lane may come into memory, and how many of it are there.
    pub(crate) fn room(&self, lane: &Lane, bounds: Bounds) -> (usize, usize) {
        let state = self.state();
        let in_lane = state.by_targets.get(lane.targets.as_str()).map_or(0, |occupied| occupied.of(&lane.tenant));
        (state.room(lane, bounds), in_lane)
    }

    pub(crate) fn is_running(&self, id: OperationId) -> bool {
        self.state().running.contains_key(&id)
    }

    /// Makes the task of an operation in memory known.
    pub(crate) fn attach(&self, id: OperationId, task: AbortHandle) {
        if let Some(resident) = self.state().running.get_mut(&id) {
            resident.task = Some(task);
        }
    }

    /// Ends the task of an operation in memory, which leaves it with that, if the operation still is as it was at `revision`
    /// and nothing of it is being recorded. From then on nothing of it is.
    pub(crate) fn throw_out(&self, id: OperationId, revision: Revision) -> ThrownOut {
        let mut state = self.state();
        let Some(resident) = state.running.get_mut(&id) else { return ThrownOut::WasNotThere };
        let Some(task) = resident.task.clone() else { return ThrownOut::Moves };
        if resident.is_recording || resident.recorded.revision != revision {
            return ThrownOut::Moves;
        }
        resident.is_thrown_out = true;
        task.abort();
        ThrownOut::Done
    }

    /// Notes that a change is being recorded. `false` if that must not be, because the task was thrown out.
    pub(crate) fn begin_recording(&self, id: OperationId) -> bool {
        let mut state = self.state();
        let Some(resident) = state.running.get_mut(&id).filter(|resident| !resident.is_thrown_out) else {
            return false;
        };
        resident.is_recording = true;
        true
    }

    /// Notes that it has been, or was given up.
    pub(crate) fn end_recording(&self, id: OperationId) {
        if let Some(resident) = self.state().running.get_mut(&id) {
            resident.is_recording = false;
        }
    }

    /// Notes whether an operation in memory lets time pass for attempts of another node.
    pub(crate) fn settle(&self, id: OperationId, is_settling: bool) {
        if let Some(resident) = self.state().running.get_mut(&id) {
            resident.is_settling = is_settling;
        }
    }

    /// Whether it does.
    pub(crate) fn is_settling(&self, id: OperationId) -> bool {
        self.state().running.get(&id).is_some_and(|resident| resident.is_settling)
    }

    /// Whether a change of an operation in memory is being recorded.
    pub(crate) fn is_recording(&self, id: OperationId) -> bool {
        self.state().running.get(&id).is_some_and(|resident| resident.is_recording)
    }

    /// The latest recorded state of an operation that is being carried out.
    pub(crate) fn running_state(&self, id: OperationId) -> Option<Arc<Operation>> {
        self.state().running.get(&id).map(|resident| Arc::clone(&resident.recorded))
    }

    /// The same of all of them.
    pub(crate) fn running_states(&self) -> Vec<Arc<Operation>> {
        self.state().running.values().map(|resident| Arc::clone(&resident.recorded)).collect()
    }

    pub(crate) fn running(&self) -> usize {
        self.state().running.len()
    }

    /// Where messages to a running operation go.
    pub(crate) fn inbox(&self, id: OperationId) -> Option<mpsc::Sender<Command>> {
        self.state().running.get(&id).map(|resident| resident.inbox.clone())
    }

    /// An operation that ended lately.
    pub(crate) fn ended(&self, id: OperationId) -> Option<Arc<Operation>> {
        self.state().ended.get(&id).cloned()
    }

    /// A receiver that is notified of each recorded change of an operation from now on.
    pub(crate) fn follow(&self, id: OperationId) -> watch::Receiver<u64> {
        self.state().followers.entry(id).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// A receiver that is notified of everything that is recorded from now on, on any operation.
    pub(crate) fn follow_all(&self) -> watch::Receiver<u64> {
        self.recorded.subscribe()
    }

    /// Makes it known that events were recorded.
    pub(crate) fn note_recorded(&self) {
        self.recorded.send_modify(|count| *count += 1);
    }

    /// Makes it known that operations have changed, perhaps on other nodes. Who follows one of this node's own knows it already.
    pub(crate) fn note_changed(&self, ids: &[OperationId]) {
        let state = self.state();
        for id in ids.iter().filter(|id| !state.running.contains_key(id)) {
            if let Some(followers) = state.followers.get(id) {
                followers.send_modify(|changes| *changes += 1);
            }
        }
        drop(state);
        self.note_recorded();
    }

    /// Makes a recorded state known.
    pub(crate) fn publish(&self, operation: &Arc<Operation>) {
        self.publish_to_followers(operation);
        self.note_recorded();
    }

    fn publish_to_followers(&self, operation: &Arc<Operation>) {
        let mut state = self.state();
        if let Some(resident) = state.running.get_mut(&operation.id) {
            resident.recorded = Arc::clone(operation);
        }
        let ended = operation.end().is_some();
        if ended && state.ended.insert(operation.id, Arc::clone(operation)).is_none() {
            state.ended_order.push_back(operation.id);
        }
        while state.ended_order.len() > self.ended_max {
            if let Some(oldest) = state.ended_order.pop_front() {
                state.ended.remove(&oldest);
            }
        }
        if let Some(followers) = state.followers.get(&operation.id) {
            followers.send_modify(|changes| *changes += 1);
            if ended || followers.is_closed() {
                state.followers.remove(&operation.id);
            }
        }
    }

    /// Forgets followers that have gone away.
    pub(crate) fn forget_followers(&self) {
        self.state().followers.retain(|_, followers| !followers.is_closed());
    }
}

impl State {
    fn room(&self, lane: &Lane, bounds: Bounds) -> usize {
        let Lane { targets, tenant } = lane;
        let in_all = self.all.room(tenant, bounds.weight, bounds.running_max);
        let nothing = Occupied::default();
        let occupied = self.by_targets.get(targets.as_str()).unwrap_or(&nothing);
        in_all.min(occupied.room(tenant, bounds.weight, bounds.lane_running_max))
    }
}

/// How many operations may be in memory, of all tenants: in all, and of those that call the same targets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) running_max: usize,
    pub(crate) lane_running_max: usize,
    /// That of the tenant at hand.
    pub(crate) weight: Weight,
}

impl Bounds {
    /// None: somebody waits for an answer.
    pub(crate) const NONE: Self =
        Self { running_max: usize::MAX, lane_running_max: usize::MAX, weight: Weight::HEAVIEST };
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.residents.state();
        let Some(resident) = state.running.remove(&self.id) else { return };
        let tenant = &resident.recorded.tenant;
        state.all.leave(tenant);
        if let Some(occupied) = state.by_targets.get_mut(&resident.targets) {
            occupied.leave(tenant);
            if occupied.all == 0 {
                state.by_targets.remove(&resident.targets);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfold_store::contract::fixtures;

    use super::*;

    #[tokio::test]
    async fn only_what_does_not_move_is_thrown_out_and_it_records_nothing_any_more() {
        let residents = Residents::new(0);
        let operation = Arc::new(fixtures::acceptance(1, fixtures::at(0), fixtures::plan()).operation);
        let (id, revision) = (operation.id, operation.revision);
        assert_eq!(residents.throw_out(id, revision), ThrownOut::WasNotThere);
        let bounds = Bounds { running_max: 1, lane_running_max: 1, weight: Weight::default() };
        let entry = residents.enter(&operation, bounds).unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        residents.attach(id, tasks.spawn(std::future::pending::<()>()));
        // Its commit has begun: thrown out now, it would leave an attempt behind that was never made.
        assert!(residents.begin_recording(id));
        assert_eq!(residents.throw_out(id, revision), ThrownOut::Moves);
        residents.end_recording(id);
        assert_eq!(residents.throw_out(id, revision.next()), ThrownOut::Moves);
        assert_eq!(residents.throw_out(id, revision), ThrownOut::Done);
        assert!(!residents.begin_recording(id), "its commit begins just now");
        assert!(tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
        drop(entry);
    }
}
