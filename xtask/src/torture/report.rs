//! The end of a run: every operation is read and judged, and one line tells how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

use super::clients::{Accepted, Book};
use super::coverage::Coverage;
use super::journal::Leg;
use super::oracle::{self, Before, Breach, Case};
use super::plans::Plan;
use super::receiver::Receiver;
use super::server::Server;
use super::world::World;

/// Examples of what is wrong that are told, for each kind.
const EXAMPLES_MAX: usize = 5;

/// How a run went.
#[derive(Debug, Default)]
pub struct Report {
    kills: usize,
    kills_in_flight: usize,
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
    /// Whether no guarantee was broken, and in a long run everything took part.
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.coverage.lacks(self.kills).is_empty()
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
        let lacks = self.coverage.lacks(self.kills);
        if !lacks.is_empty() {
            writeln!(f, "coverage lacks {}", lacks.join(", "))?;
        }
        if let Some(kept) = &self.kept {
            writeln!(f, "database, journal and log are kept in {}", kept.display())?;
        }
        let ended = |status: &str| self.by_status.get(status).copied().unwrap_or(0);
        write!(
            f,
            "torture: kills={} in_flight={} accepted={} completed={} failed={} canceled={} unresolved={} lost={} \
             blind_repeats={} forward_after_undo={} wrong_consistency={} needless_unknown={} stuck={} notices_missing={} \
             unrecorded_sends={} lock_overlaps={} notices_out_of_order={} overwritten={} actions_lost={} wrong_answers={} changed_after_end={} broken_by_stop={}",
            self.kills,
            self.kills_in_flight,
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
            self.count(Breach::WrongAnswer),
            self.count(Breach::ChangedAfterEnd),
            self.count(Breach::BrokenByStop),
        )
    }
}

/// Reads and judges everything.
pub(super) async fn of(server: &Server, world: &World, book: &Book, receiver: &Receiver) -> Result<Report> {
    let mut report = Report { kills: server.kills, coverage: Coverage(world.counts()), ..Report::default() };
    let accepted = book.all();
    report.accepted = accepted.len();
    let listed = server.all("/api/v1/operations", "operations").await?;
    let there: BTreeSet<&str> = listed.iter().filter_map(|one| one["id"].as_str()).collect();
    for one in accepted.iter().filter(|one| !there.contains(one.id.as_str())) {
        report.note(Breach::Lost, format!("{} ({})", one.id, one.plan.name));
    }
    for (_, before) in &server.starts {
        match before {
            Before::Nothing => {}
            Before::Kill => report.coverage.add("stop", "kill", 1),
            Before::Stop => report.coverage.add("stop", "graceful", 1),
        }
    }
    let mut locks = BTreeMap::new();
    let mut killed = BTreeSet::new();
    // Those whose answer was lost are judged like the others.
    for one in &listed {
        let (Some(id), Some(plan)) = (one["id"].as_str(), one["route"].as_str().and_then(Plan::of_route)) else {
            continue;
        };
        judge(server, world, book, &mut report, (id, plan), &mut locks, &mut killed).await?;
    }
    for one in &accepted {
        told(&mut report, one, receiver);
    }
    for (wrong, what) in oracle::overlaps(&locks) {
        report.note(wrong, what);
    }
    world.blamed().into_iter().for_each(|(wrong, what)| report.note(wrong, what));
    report.kills_in_flight = killed.len();
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

async fn judge(
    server: &Server,
    world: &World,
    book: &Book,
    report: &mut Report,
    (id, plan): (&str, &'static Plan),
    locks: &mut BTreeMap<String, Vec<(u64, String)>>,
    killed: &mut BTreeSet<usize>,
) -> Result<()> {
    let detail = server.get(&format!("/api/v1/operations/{id}")).await?;
    let history = server.all(&format!("/api/v1/operations/{id}/history"), "history").await?;
    let seen = world.journal.of(id);
    *report.by_status.entry(detail["status"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    *report.by_route.entry(plan.name.to_owned()).or_default() += 1;
    let targets = detail["targets"].as_array().cloned().unwrap_or_default();
    report.unresolved += targets.iter().filter(|target| target["consistency"] == "unknown").count();
    let case = Case { id, plan, detail: &detail, history: &history, seen: &seen, starts: &server.starts };
    for (wrong, what) in oracle::judge(&case, &world.journal) {
        report.note(wrong, format!("{id} ({}): {what}", plan.name));
    }
    report.coverage.operation(&case);
    if let Some(one) = book.get(id) {
        for event in one.asked.iter().filter(|event| !history.iter().any(|entry| entry["event"] == **event)) {
            report.note(Breach::ActionLost, format!("{id} ({}): {event}", plan.name));
        }
    }
    if plan.shared {
        for entry in seen.iter().filter(|entry| entry.leg != Leg::Probe) {
            locks.entry(entry.path.clone()).or_default().push((entry.number, id.to_owned()));
        }
    }
    killed.extend(
        history
            .iter()
            .filter(|entry| entry["error"]["kind"] == "process_ended")
            .filter_map(|entry| start_of(server, entry)),
    );
    Ok(())
}

/// The number of the start after a kill that recorded this entry.
fn start_of(server: &Server, entry: &Value) -> Option<usize> {
    if oracle::before(&server.starts, entry) != Before::Kill {
        return None;
    }
    let at: jiff::Timestamp = entry["at"].as_str()?.parse().ok()?;
    Some(server.starts.iter().filter(|(start, _)| *start <= at).count())
}

/// Tells how far a long run is.
#[expect(clippy::print_stderr, reason = "this is a command for developers")]
pub(super) fn progress(line: &str) {
    eprintln!("{line}");
}
