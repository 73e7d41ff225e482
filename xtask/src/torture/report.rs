//! The end of a run: every operation is read and judged, and one line tells how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::clients::{Accepted, Book};
use super::config::CONNECT;
use super::coverage::Coverage;
use super::journal::{Entry, Leg};
use super::oracle::{self, Before, Breach, Case};
use super::plans::{PLANS, Plan};
use super::receiver::Receiver;
use super::server::Server;
use super::world::World;

/// Examples of what is wrong that are told, for each kind.
const EXAMPLES_MAX: usize = 5;

/// In a run of so many kills, every route accepts something.
const EVERY_ROUTE: usize = 20;

/// How a run went.
#[derive(Debug, Default)]
pub struct Report {
    kills: usize,
    kills_in_flight: usize,
    pauses: usize,
    nodes: usize,
    /// Requests that left as a paused process went on, later than the recorded start of their attempt allows: it was stopped between
    /// its last look at its lease and the write. Nobody can prevent that; what can follow from it is not judged.
    window_sends: usize,
    accepted: usize,
    by_status: BTreeMap<String, usize>,
    /// Outcomes that are unknown, in operations that ended.
    unresolved: usize,
    by_route: BTreeMap<String, usize>,
    coverage: Coverage,
    wrong: BTreeMap<Breach, Vec<String>>,
    /// Where the folder of the run is kept.
    pub(super) kept: Option<PathBuf>,
}

impl Report {
    /// Whether no guarantee was broken, and enough took part to say so.
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.lacks().is_empty()
    }

    /// What had to take part and did not.
    fn lacks(&self) -> Vec<String> {
        let mut lacks = self.coverage.lacks(self.kills, self.nodes);
        // A kill ends one node, and finds only what that one of them has begun.
        if self.kills_in_flight * 2 * self.nodes <= self.kills {
            lacks.push("attempts in flight at enough kills".to_owned());
        }
        if self.kills >= EVERY_ROUTE {
            let idle = PLANS.iter().filter(|plan| !self.by_route.contains_key(plan.name));
            lacks.extend(idle.map(|plan| format!("route={}", plan.name)));
        }
        lacks
    }

    fn count(&self, wrong: Breach) -> usize {
        self.wrong.get(&wrong).map_or(0, Vec::len)
    }

    fn note(&mut self, wrong: Breach, what: String) {
        self.wrong.entry(wrong).or_default().push(what);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (wrong, all) in &self.wrong {
            for what in all.iter().take(EXAMPLES_MAX) {
                writeln!(f, "{wrong:?}: {what}")?;
            }
        }
        for (route, count) in &self.by_route {
            writeln!(f, "  {count:>7} {route}")?;
        }
        write!(f, "{}", self.coverage)?;
        let lacks = self.lacks();
        if !lacks.is_empty() {
            writeln!(f, "the run lacks {}", lacks.join(", "))?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "database, journal and log are kept in {}", kept.display())?;
        }
        let ended = |status: &str| self.by_status.get(status).copied().unwrap_or(0);
        write!(
            f,
            "torture: kills={} pauses={} in_flight={} window_sends={} accepted={} completed={} failed={} canceled={} unresolved={} lost={} \
             blind_repeats={} forward_after_undo={} wrong_consistency={} needless_unknown={} stuck={} notices_missing={} \
             unrecorded_sends={} lock_overlaps={} notices_out_of_order={} overwritten={} actions_lost={} unflagged={} twice={} wrong_answers={} changed_after_end={} broken_by_stop={}",
            self.kills,
            self.pauses,
            self.kills_in_flight,
            self.window_sends,
            self.accepted,
            ended("completed"),
            ended("failed"),
            ended("canceled"),
            self.unresolved,
            self.count(Breach::Lost),
            self.count(Breach::BlindRepeat),
            self.count(Breach::ForwardAfterUndo),
            self.count(Breach::WrongConsistency),
            self.count(Breach::NeedlessUnknown),
            self.count(Breach::Stuck),
            self.count(Breach::NoticeMissing),
            self.count(Breach::UnrecordedSend),
            self.count(Breach::LockOverlap),
            self.count(Breach::NoticeOutOfOrder),
            self.count(Breach::Overwritten),
            self.count(Breach::ActionLost),
            self.count(Breach::Unflagged),
            self.count(Breach::Twice),
            self.count(Breach::WrongAnswer),
            self.count(Breach::ChangedAfterEnd),
            self.count(Breach::BrokenByStop),
        )
    }
}

/// Reads and judges everything.
pub(super) async fn of(server: &Server, world: &World, book: &Book, receiver: &Receiver) -> Result<Report> {
    let mut report = Report {
        kills: server.kills,
        pauses: server.resumed.len(),
        nodes: world.nodes,
        coverage: Coverage(world.counts()),
        ..Report::default()
    };
    let accepted = book.all();
    report.accepted = accepted.len();
    let listed = server.all("/api/v1/operations", "operations").await?;
    let there: BTreeSet<&str> = listed.iter().filter_map(|one| one["id"].as_str()).collect();
    for one in accepted.iter().filter(|one| !there.contains(one.id.as_str())) {
        report.note(Breach::Lost, format!("{} ({})", one.id, one.plan.name));
    }
    for id in book.retries().iter().filter(|id| !there.contains(id.as_str())) {
        report.note(Breach::Lost, format!("{id} (a retry)"));
    }
    for (_, before) in &server.starts.all {
        match before {
            Before::Nothing => {}
            Before::Kill => report.coverage.add("stop", "kill", 1),
            Before::Stop => report.coverage.add("stop", "graceful", 1),
        }
    }
    let mut notes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for note in server.all("/api/v1/attention?state=all", "attention").await? {
        notes.entry(note["operation"].as_str().unwrap_or_default().to_owned()).or_default().push(note);
    }
    let mut judging = Judging { server, world, book, notes, locks: BTreeMap::new(), killed: BTreeSet::new() };
    let mut by_path: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    // Those whose answer was lost are judged like the others.
    for one in &listed {
        let (Some(id), Some(plan)) = (one["id"].as_str(), one["route"].as_str().and_then(Plan::of_route)) else {
            continue;
        };
        let is_retry = judging.judge(&mut report, id, plan).await?;
        if !plan.shared && !is_retry {
            by_path.entry(one["resource"].to_string()).or_default().push(id);
        }
    }
    for (path, ids) in by_path.iter().filter(|(_, ids)| ids.len() > 1) {
        report.note(Breach::Twice, format!("{path}: {ids:?}"));
    }
    for one in &accepted {
        told(&mut report, one, receiver);
    }
    for (wrong, what) in oracle::overlaps(&judging.locks) {
        report.note(wrong, what);
    }
    world.blamed().into_iter().for_each(|(wrong, what)| report.note(wrong, what));
    report.kills_in_flight = judging.killed.len();
    Ok(report)
}

fn told(report: &mut Report, one: &Accepted, receiver: &Receiver) {
    for kind in &one.notices {
        if receiver.confirmed(&one.id, kind) {
            report.coverage.add("notice", kind, 1);
        } else {
            report.note(Breach::NoticeMissing, format!("{} ({}): {kind}", one.id, one.plan.name));
        }
    }
}

/// Goes through all operations.
struct Judging<'a> {
    server: &'a Server,
    world: &'a World,
    book: &'a Book,
    /// Notes by operation.
    notes: BTreeMap<String, Vec<Value>>,
    /// By path: the requests, and of which operation each was.
    locks: BTreeMap<String, Vec<(u64, String)>>,
    /// The starts that found attempts on the wire.
    killed: BTreeSet<usize>,
}

impl Judging<'_> {
    /// Says whether it retries another one.
    async fn judge(&mut self, report: &mut Report, id: &str, plan: &'static Plan) -> Result<bool> {
        let server = self.server;
        let detail = server.get(&format!("/api/v1/operations/{id}")).await?;
        let history = server.all(&format!("/api/v1/operations/{id}/history"), "history").await?;
        let first = match detail["retry_of"].as_str() {
            Some(first) => Some(server.get(&format!("/api/v1/operations/{first}")).await?),
            None => None,
        };
        let seen = self.world.journal.of(id);
        *report.by_status.entry(detail["status"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        *report.by_route.entry(plan.name.to_owned()).or_default() += 1;
        let targets = detail["targets"].as_array().cloned().unwrap_or_default();
        report.unresolved += targets.iter().filter(|target| target["consistency"] == "unknown").count();
        let one = self.book.get(id);
        let case = Case {
            id,
            plan,
            detail: &detail,
            history: &history,
            seen: &seen,
            starts: &server.starts,
            notes: self.notes.get(id).map(Vec::as_slice).unwrap_or_default(),
            remembered: one.as_ref().and_then(|one| one.remembered.as_ref()),
            journal: &self.world.journal,
            first: first.as_ref(),
        };
        let window_sends = seen.iter().filter(|entry| self.is_window_send(entry, &history)).count();
        report.window_sends += window_sends;
        let verdict = oracle::judge(&case).into_iter();
        for (wrong, what) in verdict.filter(|(wrong, _)| window_sends == 0 || !follows_from_window_send(*wrong)) {
            report.note(wrong, format!("{id} ({}): {what}", plan.name));
        }
        report.coverage.operation(&case);
        let asked = one.iter().flat_map(|one| &one.asked);
        for event in asked.filter(|event| !history.iter().any(|entry| entry["event"] == **event)) {
            report.note(Breach::ActionLost, format!("{id} ({}): {event}", plan.name));
        }
        if plan.shared {
            for entry in seen.iter().filter(|entry| entry.leg != Leg::Probe) {
                self.locks.entry(entry.path.clone()).or_default().push((entry.number, id.to_owned()));
            }
        }
        let broken = history.iter().filter(|entry| entry["error"]["kind"] == "process_ended");
        self.killed.extend(broken.filter_map(|entry| start_of(server, entry)));
        Ok(first.is_some())
    }
}

impl Judging<'_> {
    /// Whether a request came to its target just after a pause, and so long after the latest recorded start of an attempt that it must
    /// have been under way when its process was stopped.
    fn is_window_send(&self, entry: &Entry, history: &[Value]) -> bool {
        let seen = self.world.time_of(entry.at_ms);
        if !self.server.resumed.iter().any(|resumed| *resumed <= seen && seen <= *resumed + LATE) {
            return false;
        }
        let leg = match entry.leg {
            Leg::Forward => "forward",
            Leg::Undo => "undo",
            Leg::Probe => "probe",
        };
        let of_it =
            |one: &&Value| one["event"] == "attempt_started" && one["leg"] == leg && one["target"] == entry.target;
        let start = |one: &Value| one["at"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let latest = history.iter().filter(of_it).filter_map(start).filter(|at| *at <= seen).max();
        latest.is_some_and(|latest| latest + CONNECT + LATE < seen)
    }
}

/// What a request that left too late can bring about.
fn follows_from_window_send(wrong: Breach) -> bool {
    match wrong {
        Breach::BlindRepeat
        | Breach::ForwardAfterUndo
        | Breach::WrongConsistency
        | Breach::NeedlessUnknown
        | Breach::Overwritten => true,
        Breach::Lost
        | Breach::Unflagged
        | Breach::Twice
        | Breach::Stuck
        | Breach::UnrecordedSend
        | Breach::LockOverlap
        | Breach::NoticeMissing
        | Breach::NoticeOutOfOrder
        | Breach::ActionLost
        | Breach::WrongAnswer
        | Breach::ChangedAfterEnd
        | Breach::BrokenByStop => false,
    }
}

/// How much longer than it may take to leave a request may take to be written down, on a busy machine.
const LATE: Duration = Duration::from_millis(700);

/// The number of the start after a kill that recorded this entry.
fn start_of(server: &Server, entry: &Value) -> Option<usize> {
    if oracle::before(&server.starts, entry) != Before::Kill {
        return None;
    }
    let at: jiff::Timestamp = entry["at"].as_str()?.parse().ok()?;
    Some(server.starts.all.iter().filter(|(start, _)| *start <= at).count())
}

/// Tells how far a long run is.
#[expect(clippy::print_stderr, reason = "this is a command for developers")]
pub(super) fn progress(line: &str) {
    eprintln!("{line}");
}
