//! Judges one operation: what Fanfold says of it, against what the targets truly did.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::config::{ANSWERED, SETTLE};
use super::journal::{Entry, Journal, Leg, Told, Truth};
use super::plans::Plan;

mod whole;

pub(super) use whole::fixed;

/// What a judgement found wrong, by the guarantee that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Breach {
    /// An accepted operation is not there.
    Lost,
    /// A request that may have been applied was sent again though that was not safe.
    BlindRepeat,
    /// A forward attempt after an undo, or undos out of order.
    ForwardAfterUndo,
    /// More was claimed than is true.
    WrongConsistency,
    /// An outcome was called unknown that the rules allow to know.
    NeedlessUnknown,
    /// Something is left changed or unknown, and was neither to be undone nor is there a note of it.
    Unflagged,
    /// One request, with one key, became several operations.
    Twice,
    /// It did not come to an end.
    Stuck,
    /// A request was seen that no recorded attempt accounts for.
    UnrecordedSend,
    /// Two operations with the same lock at the same time.
    LockOverlap,
    /// A notice was neither delivered nor is a dead letter.
    NoticeMissing,
    /// What one operation had to tell one receiver came out of order, or under different ids.
    NoticeOutOfOrder,
    /// A restore wrote over what somebody else had written.
    Overwritten,
    /// What a person asked for, and was answered with success, is not recorded.
    ActionLost,
    /// A client saw an answer that must not be.
    WrongAnswer,
    /// An ended operation was another one later.
    ChangedAfterEnd,
    /// A graceful stop made an attempt break.
    BrokenByStop,
}

/// How the process before one start ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    Kill,
    Stop,
}

/// The starts of servers, oldest first, by their own clock.
#[derive(Debug, Default)]
pub(super) struct Starts {
    pub(super) all: Vec<(Timestamp, Before)>,
    /// Where several nodes share the work, what one of them left behind is recorded by the others this much later at the most.
    pub(super) adopted_within: Option<Duration>,
}

/// Everything about one operation.
pub(super) struct Case<'a> {
    pub(super) id: &'a str,
    pub(super) plan: &'static Plan,
    /// The native detail.
    pub(super) detail: &'a Value,
    /// The entries of its history.
    pub(super) history: &'a [Value],
    /// The requests that targets saw.
    pub(super) seen: &'a [Entry],
    pub(super) starts: &'a Starts,
    /// The notes about it, open and closed.
    pub(super) notes: &'a [Value],
    /// What a client saw of it after its end.
    pub(super) remembered: Option<&'a Value>,
    pub(super) journal: &'a Journal,
    /// What it retries: the detail of that operation.
    pub(super) first: Option<&'a Value>,
}

/// What is wrong about it, with words.
pub(super) type Verdict = Vec<(Breach, String)>;

/// Judges an operation that has ended, or should have.
pub(super) fn judge(case: &Case<'_>) -> Verdict {
    let mut verdict = Verdict::new();
    let ended = ["completed", "failed", "canceled"].map(Value::from).contains(&case.detail["status"]);
    if !ended {
        verdict.push((Breach::Stuck, format!("{} waits for {}", case.detail["status"], case.detail["waiting_for"])));
        return verdict;
    }
    order(case, &mut verdict);
    whole::judge(case, &mut verdict);
    for target in case.detail["targets"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let name = text(&target["name"]);
        let one = Target { case, name, form: target, truth: case.journal.truth(name, case.id) };
        one.repeats(&mut verdict);
        one.attempts(&mut verdict);
        one.consistency(&mut verdict);
        one.unknown(&mut verdict);
    }
    verdict
}

/// No forward attempt after the first undo; undos in the defined order.
fn order(case: &Case<'_>, verdict: &mut Verdict) {
    let first_undo = case.seen.iter().position(|entry| entry.leg == Leg::Undo).unwrap_or(usize::MAX);
    let late = case.seen.iter().skip(first_undo).find(|entry| entry.leg == Leg::Forward);
    if let Some(late) = late {
        verdict.push((
            Breach::ForwardAfterUndo,
            format!("attempt {} at {} came after an undo", late.attempt, late.target),
        ));
    }
    let Some(order) = case.plan.undo_order else { return };
    let undone: Vec<&str> = case.seen.iter().filter(|entry| entry.leg == Leg::Undo).map(|entry| entry.target).collect();
    let place = |name: &&str| order.iter().position(|one| one == name);
    if !undone.iter().map(place).is_sorted() {
        verdict.push((Breach::ForwardAfterUndo, format!("undos came in the order {undone:?}")));
    }
}

struct Target<'a> {
    case: &'a Case<'a>,
    name: &'a str,
    form: &'a Value,
    truth: Truth,
}

impl Target<'_> {
    fn seen(&self, leg: Leg) -> impl Iterator<Item = &Entry> {
        self.case.seen.iter().filter(move |entry| entry.target == self.name && entry.leg == leg)
    }

    fn history(&self, leg: &'static str) -> impl Iterator<Item = &Value> {
        self.case.history.iter().filter(move |entry| entry["target"] == self.name && entry["leg"] == leg)
    }

    fn wrong(&self, verdict: &mut Verdict, wrong: Breach, what: impl std::fmt::Display) {
        verdict.push((wrong, format!("at {}: {what}", self.name)));
    }

    /// What may have been applied is not sent again, unless that is safe or the target said otherwise in between.
    fn repeats(&self, verdict: &mut Verdict) {
        if self.case.plan.repeatable {
            return;
        }
        let attempts: Vec<&Entry> = self.seen(Leg::Forward).collect();
        for pair in attempts.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            let probed = self
                .seen(Leg::Probe)
                .any(|probe| (before.number..after.number).contains(&probe.number) && probe.told == Told::Truth(false));
            let person = self.history_of_person();
            if before.applied || !(before.told == Told::NotTakenOn || before.told == Told::Refused && person || probed)
            {
                let what = format!("attempt {} ({:?}) was followed by {}", before.attempt, before.told, after.attempt);
                self.wrong(verdict, Breach::BlindRepeat, what);
            }
        }
        if self.truth.applied > 1 {
            self.wrong(verdict, Breach::BlindRepeat, format!("it was done {} times", self.truth.applied));
        }
    }

    /// Whether a person chose to try again what had failed.
    fn history_of_person(&self) -> bool {
        self.case.history.iter().any(|entry| entry["event"] == "person_chose" && entry["meaning"] == "retry")
    }

    /// Every request that was seen is a recorded attempt. One that was recorded may not have left any more.
    fn attempts(&self, verdict: &mut Verdict) {
        for (leg, word) in [(Leg::Forward, "forward"), (Leg::Undo, "undo"), (Leg::Probe, "probe")] {
            let started = self.history(word).filter(|entry| entry["event"] == "attempt_started").count();
            let seen = self.seen(leg).count();
            if seen > started {
                self.wrong(verdict, Breach::UnrecordedSend, format!("{seen} {word} requests, {started} recorded"));
            }
        }
    }

    /// What is claimed of its data is true.
    fn consistency(&self, verdict: &mut Verdict) {
        let (outcome, claim) = (text(&self.form["outcome"]), text(&self.form["consistency"]));
        let stands = self.truth.stands;
        let holds = match claim {
            // What was to be deleted, and is not there, is as requested.
            "updated" => stands || self.seen(Leg::Forward).any(|entry| entry.told == Told::Gone),
            "rolled back" => !stands || self.truth.unseen,
            _ => true,
        };
        if !holds {
            self.wrong(
                verdict,
                Breach::WrongConsistency,
                format!("`{claim}` ({outcome}), but the truth is {:?}", self.truth),
            );
        }
        if outcome == "succeeded"
            && self.truth.applied == 0
            && !self.seen(Leg::Forward).any(|entry| entry.told == Told::Gone)
        {
            self.wrong(verdict, Breach::WrongConsistency, "succeeded, but it was never done");
        }
        if outcome == "skipped" && self.seen(Leg::Forward).next().is_some() {
            self.wrong(verdict, Breach::WrongConsistency, "skipped, but a request was seen");
        }
    }

    /// An unknown outcome has a reason that the rules of the fold accept.
    fn unknown(&self, verdict: &mut Verdict) {
        if self.form["outcome"] == "unknown"
            && let Some(why) = self.needless(Leg::Forward, "forward")
        {
            self.wrong(verdict, Breach::NeedlessUnknown, why);
        }
        if self.form["undo"]["outcome"] == "unknown"
            && let Some(why) = self.needless(Leg::Undo, "undo")
        {
            self.wrong(verdict, Breach::NeedlessUnknown, format!("the undo: {why}"));
        }
        for broke in self.case.history.iter().filter(|entry| entry["error"]["kind"] == "process_ended") {
            if before(self.case.starts, broke) == Before::Stop {
                self.wrong(verdict, Breach::BrokenByStop, "an attempt was broken by a graceful stop");
            }
        }
    }

    /// Why nobody had to be in doubt about a leg; `None`: somebody had.
    fn needless(&self, leg: Leg, word: &'static str) -> Option<String> {
        if let Some(settled) = self.settled(leg, word) {
            return Some(settled);
        }
        let in_doubt: Vec<&Value> = self
            .history(word)
            .filter(|entry| {
                matches!(text(&entry["meaning"]), "maybe_sent" | "maybe_applied" | "unknown" | "lower_operation")
            })
            .collect();
        // An operation at the target that was followed when the deadline passed is one, too.
        let followed = self.history(word).any(|entry| entry["meaning"] == "lower_operation_accepted");
        let passed = self.case.history.iter().any(|one| one["event"] == "time_came" && one["meaning"] == "deadline");
        if followed && passed {
            return None;
        }
        let Some(last) = in_doubt.last() else { return Some("no attempt was in doubt".to_owned()) };
        // A target that was in time may have been late all the same, on a busy machine.
        let excused = ["process_ended", "timed_out"].map(Value::from).contains(&last["error"]["kind"]);
        if excused || last["meaning"] == "lower_operation" {
            return self.could_have_asked(leg);
        }
        // The targets know which of them left something open.
        let open = |entry: &Entry| matches!(entry.told, Told::Nothing | Told::Lower { clear: false });
        if !self.seen(leg).any(open) && self.seen(leg).count() >= self.history_starts(word) {
            return Some(format!("each attempt was answered clearly, but one was read as {}", last["meaning"]));
        }
        self.could_have_asked(leg)
    }

    /// What the last answer to a leg settled, whatever was in doubt before.
    fn settled(&self, leg: Leg, word: &'static str) -> Option<String> {
        let ends = ["attempt_answered", "attempt_broke", "lower_ended"].map(Value::from);
        let last = self.history(word).filter(|entry| ends.contains(&entry["event"])).last()?;
        let deletes = match leg {
            Leg::Forward => self.case.plan.method == "DELETE",
            Leg::Undo => self.case.plan.undo() == "request",
            Leg::Probe => false,
        };
        let settles = last["meaning"] == "succeeded" || deletes && last["meaning"] == "gone";
        settles.then(|| format!("its last answer was {}", last["meaning"]))
    }

    fn history_starts(&self, word: &'static str) -> usize {
        self.history(word).filter(|entry| entry["event"] == "attempt_started").count()
    }

    /// With a probe, doubt remains only if no probe told anything, or only before the target had settled.
    fn could_have_asked(&self, leg: Leg) -> Option<String> {
        if leg != Leg::Forward || !self.case.plan.probe {
            return None;
        }
        let started = self.history("forward").filter(|entry| entry["event"] == "attempt_started").last()?;
        let settled = time(started)? + ANSWERED + SETTLE;
        let told = self.history("probe").find(|entry| match text(&entry["meaning"]) {
            "applied" => true,
            "not_applied" => time(entry).is_some_and(|at| at > settled),
            _ => false,
        })?;
        Some(format!("a probe had told {}", told["meaning"]))
    }
}

fn time(entry: &Value) -> Option<Timestamp> {
    text(&entry["at"]).parse().ok()
}

/// How the process ended before the start that recorded this entry.
pub(super) fn before(starts: &Starts, entry: &Value) -> Before {
    let Some(at) = time(entry) else { return Before::Nothing };
    let ended = |before: &&(Timestamp, Before)| before.0 <= at;
    if let Some(within) = starts.adopted_within {
        let lately = |(start, before): &(Timestamp, Before)| *before == Before::Kill && *start + within >= at;
        if starts.all.iter().filter(ended).any(lately) {
            return Before::Kill;
        }
    }
    starts.all.iter().rev().find(ended).map_or(Before::Nothing, |(_, before)| *before)
}

/// Operations that hold the same lock take turns: their requests never interleave. `by_lock`: for each lock and target, the
/// operations of the requests in the order in which they came.
pub(super) fn overlaps(by_lock: &BTreeMap<String, Vec<(u64, String)>>) -> Verdict {
    let mut verdict = Verdict::new();
    for (lock, requests) in by_lock {
        let mut ordered = requests.clone();
        ordered.sort_unstable();
        let mut turns: Vec<&str> = ordered.iter().map(|(_, operation)| operation.as_str()).collect();
        turns.dedup();
        let count = turns.len();
        turns.sort_unstable();
        turns.dedup();
        if turns.len() != count {
            verdict.push((Breach::LockOverlap, format!("{lock}: {} operations took {count} turns", turns.len())));
        }
    }
    verdict
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
