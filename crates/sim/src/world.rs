//! What is outside of Fanfold: targets and a receiver of notices, what they truly did, and how they let it be known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfold_core::operation::Leg;
use fanfold_core::{Operation, OperationId, StepIndex};
use fanfold_store::ReadOperations as _;
use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::routes::RESPONSE;
use crate::scenario::{Manner, Scenario, TARGETS};
use crate::store::Faulty;

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
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What is done on a connection, after a while.
#[derive(Debug)]
pub(crate) enum Out {
    Octets(Vec<u8>),
    Close,
    Reset,
}

/// What a target let the other side know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Done,
    Refused,
    NotTakenOn,
    Gone,
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
}

#[derive(Debug)]
pub(crate) struct World {
    store: Arc<Faulty>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    manners: Vec<VecDeque<Manner>>,
    ears: VecDeque<Manner>,
    calm: bool,
    seen: Vec<Seen>,
    truths: BTreeMap<(usize, OperationId), Truth>,
    /// Versions of what stands at a path of a target.
    resources: BTreeMap<(usize, String), (Vec<u8>, u64)>,
    versions: u64,
    late: Vec<(Duration, usize, OperationId, bool)>,
    told: BTreeSet<String>,
    met: BTreeSet<String>,
    /// The time that passed in the lives before this one, and the beginning of this one.
    before: Duration,
    origin: Option<Instant>,
}

impl World {
    pub(crate) fn new(scenario: &Scenario, store: Arc<Faulty>) -> Arc<Self> {
        let mut resources = BTreeMap::new();
        // What is deleted was there before.
        for target in 0..TARGETS {
            for path in ["/r/shared", "/r/0", "/r/1", "/r/2", "/r/3"] {
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
            told: BTreeSet::new(),
            met: BTreeSet::new(),
            before: Duration::ZERO,
            origin: None,
        };
        Arc::new(Self { store, state: Mutex::new(state) })
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

    pub(crate) fn is_told(&self, operation: OperationId) -> bool {
        self.state().told.contains(&operation.to_string())
    }

    pub(crate) fn met(&self) -> BTreeSet<String> {
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
            let words = format!("{next:?}");
            let kind = words.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
            state.met.insert(kind);
        }
        next
    }

    /// Deals with a request.
    pub(crate) fn answer(&self, place: Place, request: &Request, manner: Manner) -> Vec<(Duration, Out)> {
        match place {
            Place::Target(target) => self.at_target(target, request, manner),
            Place::Receiver => {
                let good = Reply { status: 200, body: Vec::new(), headers: String::new() };
                let reply = if manner.applies() { good } else { manner.refusal() };
                // The head of a good answer is enough.
                let confirms = matches!(
                    manner,
                    Manner::Polite | Manner::Slow(_) | Manner::ClosesIdle | Manner::HalfBody | Manner::Accepts { .. }
                );
                if confirms {
                    let id = request.path.rsplit('/').next().unwrap_or_default();
                    self.state().told.insert(id.to_owned());
                }
                say(manner, &reply)
            }
        }
    }

    fn at_target(&self, target: usize, request: &Request, manner: Manner) -> Vec<(Duration, Out)> {
        let mut state = self.state();
        let now = state.now();
        state.catch_up(now);
        let header =
            |name: &str| request.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let operation = header("fanfold-operation-id").and_then(|id| id.parse().ok());
        let attempt = header("fanfold-attempt").and_then(|number| number.parse().ok());
        let key = header("idempotency-key").unwrap_or_default().to_owned();
        let leg = match request.method.as_str() {
            "GET" => Leg::Probe,
            _ if key.trim_matches('"').ends_with("-undo") => Leg::Undo,
            _ => Leg::Forward,
        };
        let (Some(operation), Some(attempt)) = (operation, attempt) else {
            // A read of a resource is no attempt.
            let reply = state.read(target, &request.path);
            return say(manner, &reply);
        };
        let asked = Asked { target, operation, leg };
        let (reply, applied) = match manner.applies() {
            true => state.apply(asked, request, manner),
            false => (manner.refusal(), false),
        };
        // A target says what it does not know, but nothing that is not true.
        let manner = if manner == Manner::SaysUpdated && !applied { Manner::Polite } else { manner };
        let told = manner.tells(&reply, leg);
        let recorded = self.is_recorded(operation, target, leg, attempt);
        state.seen.push(Seen { target, operation, leg, attempt, key, told, applied, at: now, recorded });
        say(manner, &reply)
    }

    /// Whether the store knows of this attempt.
    fn is_recorded(&self, id: OperationId, target: usize, leg: Leg, attempt: u32) -> bool {
        // The model answers at once.
        let Some(Ok(Some(operation))) = self.store.model.operation(id).now_or_never() else { return false };
        recorded_attempts(&operation, target, leg) >= attempt
    }
}

/// Attempts that the record counts; targets are called in their order.
pub(crate) fn recorded_attempts(operation: &Operation, target: usize, leg: Leg) -> u32 {
    let index = StepIndex(u16::try_from(target).unwrap_or(u16::MAX));
    let Some(step) = operation.steps.get(index.get()) else { return 0 };
    match leg {
        Leg::Forward => step.course.attempts,
        Leg::Probe => step.probes,
        Leg::Undo => step.undo.as_ref().map_or(0, |undo| undo.course.attempts),
    }
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    target: usize,
    operation: OperationId,
    leg: Leg,
}

#[derive(Debug, Clone)]
struct Reply {
    status: u16,
    body: Vec<u8>,
    headers: String,
}

impl State {
    fn now(&self) -> Duration {
        self.before + self.origin.map(|origin| origin.elapsed()).unwrap_or_default()
    }

    /// Makes the changes whose time has come.
    fn catch_up(&mut self, now: Duration) {
        let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|(at, ..)| *at <= now);
        self.late = later;
        for (_, target, operation, makes) in due {
            self.change(target, operation, makes);
        }
    }

    fn change(&mut self, target: usize, operation: OperationId, makes: bool) {
        let truth = self.truths.entry((target, operation)).or_default();
        truth.stands = makes;
        truth.applied += u32::from(makes);
    }

    fn read(&self, target: usize, path: &str) -> Reply {
        match self.resources.get(&(target, path.to_owned())) {
            Some((body, version)) => Reply {
                status: 200,
                body: body.clone(),
                headers: format!("etag: \"{version}\"\r\ncontent-type: application/json\r\n"),
            },
            None => Reply { status: 404, body: Vec::new(), headers: String::new() },
        }
    }

    fn apply(&mut self, asked: Asked, request: &Request, manner: Manner) -> (Reply, bool) {
        let Asked { target, operation, leg } = asked;
        let makes = leg == Leg::Forward;
        let bare = |status| Reply { status, body: Vec::new(), headers: String::new() };
        if leg == Leg::Probe {
            let stands = self.truths.get(&(target, operation)).is_some_and(|truth| truth.stands);
            let body = format!("{{\"applied\":{stands}}}").into_bytes();
            return (Reply { status: 200, body, headers: "content-type: application/json\r\n".into() }, false);
        }
        if let Manner::Late(millis) = manner
            && !request.path.starts_with("/r/")
        {
            let at = self.now() + Duration::from_millis(millis);
            self.late.push((at, target, operation, makes));
            return (bare(200), true);
        }
        if request.path.starts_with("/r/") {
            return self.put(asked, request);
        }
        if leg == Leg::Undo {
            let stands = self.truths.get(&(target, operation)).is_some_and(|truth| truth.stands);
            self.change(target, operation, false);
            return if stands { (bare(204), true) } else { (bare(404), false) };
        }
        self.change(target, operation, true);
        let body = format!("{{\"id\":\"{operation}\"}}").into_bytes();
        (Reply { status: 201, body, headers: "content-type: application/json\r\n".into() }, true)
    }

    /// `PUT` and `DELETE` under conditions (RFC 9110, section 13.1).
    fn put(&mut self, asked: Asked, request: &Request) -> (Reply, bool) {
        let Asked { target, operation, leg } = asked;
        let bare = |status| Reply { status, body: Vec::new(), headers: String::new() };
        let place = (target, request.path.clone());
        let present = self.resources.get(&place).map(|(_, version)| format!("\"{version}\""));
        let header =
            |name: &str| request.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        let holds = header("if-match").is_none_or(|tag| Some(tag) == present)
            && header("if-none-match").is_none_or(|_| present.is_none());
        if !holds {
            return (bare(412), false);
        }
        if request.method == "DELETE" {
            if self.resources.remove(&place).is_none() {
                return (bare(404), false);
            }
            self.change(target, operation, leg == Leg::Forward);
            return (bare(204), true);
        }
        self.versions += 1;
        self.resources.insert(place, (request.body.clone(), self.versions));
        self.change(target, operation, leg == Leg::Forward);
        (Reply { status: 200, body: b"{}".to_vec(), headers: format!("etag: \"{}\"\r\n", self.versions) }, true)
    }
}

impl Manner {
    /// Whether what is asked is done.
    fn applies(self) -> bool {
        match self {
            Self::Polite | Self::Slow(_) | Self::HalfBody | Self::Late(_) | Self::SaysUpdated | Self::ClosesIdle => {
                true
            }
            Self::ResetAfter { applied }
            | Self::Never { applied }
            | Self::HalfHead { applied }
            | Self::Error { applied }
            | Self::Accepts { applied } => applied,
            Self::RefuseConnection
            | Self::NeverConnect
            | Self::ResetBefore
            | Self::ResetDuring
            | Self::Refuse
            | Self::SaysRolledBack
            | Self::Busy
            | Self::TooMany
            | Self::Moved => false,
        }
    }

    fn refusal(self) -> Reply {
        let (status, headers) = match self {
            Self::Refuse => (409, ""),
            Self::Busy => (503, "retry-after: 1\r\n"),
            Self::TooMany => (429, ""),
            Self::Moved => (301, "location: /elsewhere\r\n"),
            _ => (500, ""),
        };
        Reply { status, body: Vec::new(), headers: headers.to_owned() }
    }

    /// What the other side can know after it.
    fn tells(self, reply: &Reply, leg: Leg) -> Told {
        let plain = match (leg, reply.status) {
            (Leg::Probe, _) => Told::Truth(reply.body.ends_with(b"true}")),
            (_, 404) => Told::Gone,
            (_, 400..) => Told::Refused,
            _ => Told::Done,
        };
        match self {
            // Later, nobody listens any more.
            Self::Slow(millis) if Duration::from_millis(millis) >= RESPONSE => Told::Nothing,
            Self::Polite | Self::Slow(_) | Self::ClosesIdle => plain,
            // Half of a good answer is a good answer; a probe's tells nothing.
            Self::HalfBody if leg != Leg::Probe => plain,
            Self::SaysUpdated if leg != Leg::Probe => Told::Done,
            Self::Refuse | Self::SaysRolledBack | Self::Moved if leg != Leg::Probe => Told::Refused,
            Self::Busy | Self::TooMany if leg != Leg::Probe => Told::NotTakenOn,
            _ => Told::Nothing,
        }
    }
}

/// What is done on the connection.
fn say(manner: Manner, reply: &Reply) -> Vec<(Duration, Out)> {
    let now = Duration::ZERO;
    let Reply { status, body, headers } = reply;
    let whole = |status: u16, body: &[u8], headers: &str| {
        let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let mut octets = format!("HTTP/1.1 {status} -\r\n{headers}{length}\r\n").into_bytes();
        octets.extend_from_slice(body);
        octets
    };
    let consistency = |word: &str| {
        let body = format!("{{\"error_code\":\"060002\",\"error_message\":\"-\",\"data_consistency\":\"{word}\"}}");
        vec![(now, Out::Octets(whole(500, body.as_bytes(), "content-type: application/json\r\n")))]
    };
    match manner {
        Manner::Slow(millis) => vec![(Duration::from_millis(millis), Out::Octets(whole(*status, body, headers)))],
        Manner::ResetAfter { .. } | Manner::Late(_) | Manner::ResetBefore | Manner::ResetDuring => {
            vec![(now, Out::Reset)]
        }
        Manner::Never { .. } => Vec::new(),
        Manner::HalfHead { .. } => vec![(now, Out::Octets(b"HTTP/1.1 20".to_vec())), (now, Out::Close)],
        Manner::HalfBody => {
            let octets = format!("HTTP/1.1 {status} -\r\n{headers}content-length: 1000\r\n\r\n{{").into_bytes();
            vec![(now, Out::Octets(octets)), (now, Out::Close)]
        }
        Manner::Error { .. } => vec![(now, Out::Octets(whole(500, b"", "")))],
        Manner::SaysRolledBack => consistency("rolled back"),
        Manner::SaysUpdated => consistency("updated"),
        Manner::Accepts { .. } => vec![(now, Out::Octets(whole(202, b"", "")))],
        Manner::Polite
        | Manner::ClosesIdle
        | Manner::RefuseConnection
        | Manner::NeverConnect
        | Manner::Refuse
        | Manner::Busy
        | Manner::TooMany
        | Manner::Moved => vec![(now, Out::Octets(whole(*status, body, headers)))],
    }
}
