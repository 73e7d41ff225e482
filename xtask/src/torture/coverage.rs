//! What took part in a run, and how often. In a long run everything has to.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::oracle::Case;
use super::plans::LOWER;
use super::world::Counts;

/// A run of so many kills is a long one.
const LONG: usize = 100;

/// A lock that was granted so much later than the operation was accepted was waited for.
const WAITED_MS: i64 = 100;

/// What has to take part, by kind.
const NEEDED: &[(&str, &[&str])] = &[
    ("order", &["parallel", "sequence", "waves"]),
    ("undo", &["request_undone", "request_failed", "request_unknown", "restore_undone", "restore_conflict", "none"]),
    ("on_unknown", &["fail", "undo", "hold"]),
    ("probe", &["applied", "not_applied", "unclear"]),
    ("monitor", &["msf", "plas", "location", "poll"]),
    ("lock", &["reject", "queue", "rejected", "waited"]),
    ("key", &["same_at_once", "other_at_once", "same_after_a_restart", "other_after_a_restart", "made_by_the_server"]),
    ("cause", &["steps_failed", "deadline_passed", "canceled"]),
    ("start", &["delay", "start_at"]),
    ("gate", &["held", "missing"]),
    ("broke", &["process_ended"]),
    (
        "person",
        &[
            "acknowledged",
            "applied",
            "canceled",
            "drained",
            "end_as_it_is",
            "extended",
            "held",
            "not_applied",
            "released",
            "replayed",
            "resumed",
            "retried",
            "retry",
            "roll_back",
        ],
    ),
    ("reload", &["added", "removed", "bad"]),
    ("callback", &["on_time", "twice", "late", "early", "lost", "forged", "of_nobody", "nonsense"]),
    ("notice", &["msf", "webhook", "callback"]),
    ("receiver", &["confirmed", "slow", "failed", "reset", "never", "answer_lost", "redirected", "gone"]),
    ("client", &["saw_the_end"]),
    ("stranger", &["wrote"]),
    ("retry", &["completed", "failed", "refused"]),
    ("stop", &["kill", "graceful"]),
];

/// What took part.
#[derive(Debug, Default)]
pub(super) struct Coverage(pub(super) Counts);

impl Coverage {
    pub(super) fn add(&mut self, kind: &'static str, word: &str, count: usize) {
        *self.0.entry(kind).or_default().entry(word.to_owned()).or_default() += count;
    }

    fn of(&self, kind: &str, word: &str) -> usize {
        self.0.get(kind).and_then(|words| words.get(word)).copied().unwrap_or(0)
    }

    /// What had to take part in a run of so many kills, and did not.
    pub(super) fn lacks(&self, kills: usize, nodes: usize) -> Vec<String> {
        let needed = NEEDED.iter().filter(|_| kills >= LONG);
        let words = needed.flat_map(|(kind, words)| words.iter().map(move |word| (kind, word)));
        // Only a server that is alone is drained.
        let is_left_out = |word: &str| nodes > 1 && matches!(word, "drained" | "resumed");
        words
            .filter(|(kind, word)| self.of(kind, word) == 0 && !is_left_out(word))
            .map(|(kind, word)| format!("{kind}={word}"))
            .collect()
    }

    /// Counts what took part in one operation.
    pub(super) fn operation(&mut self, case: &Case<'_>) {
        let plan = case.plan;
        if !case.seen.is_empty() {
            self.add("order", plan.order(), 1);
        }
        if let Some(cause) = case.detail["cause"]["kind"].as_str() {
            self.add("cause", cause, 1);
        }
        if plan.undo() == "none" && case.detail["consistency"] == "not consistent" {
            self.add("undo", "none", 1);
        }
        for target in case.detail["targets"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let undo = target["undo"]["outcome"].as_str();
            if let Some(outcome) = undo {
                self.add("undo", &format!("{}_{outcome}", plan.undo()), 1);
            }
            let is_unknown = target["outcome"] == "unknown";
            if is_unknown && (plan.on_unknown() == "fail" || plan.on_unknown() == "undo" && undo == Some("undone")) {
                self.add("on_unknown", plan.on_unknown(), 1);
            }
        }
        if let (Some(_), Some(status)) = (case.first, case.detail["status"].as_str()) {
            self.add("retry", status, 1);
        }
        for entry in case.history {
            self.event(case, entry);
        }
    }

    fn event(&mut self, case: &Case<'_>, entry: &Value) {
        let meaning = entry["meaning"].as_str().unwrap_or_default();
        if let Some(kind) = entry["error"]["kind"].as_str() {
            self.add("broke", kind, 1);
        }
        match entry["event"].as_str().unwrap_or_default() {
            "probe_answered" => self.add("probe", meaning, 1),
            "gate_changed" => self.add("gate", meaning, 1),
            "person_resolved" => self.add("on_unknown", "hold", 1),
            "time_came" if meaning == "start" => {
                self.add("start", if case.plan.name == "delayed" { "delay" } else { "start_at" }, 1);
            }
            "lower_ended" => {
                if let Some((_, style)) = LOWER.iter().find(|(name, _)| entry["target"] == *name) {
                    self.add("monitor", &format!("{style:?}").to_lowercase(), 1);
                }
            }
            "lock_granted" => {
                if let Some(on_locked) = case.plan.on_locked() {
                    self.add("lock", on_locked, 1);
                    if waited_ms(case.detail, entry) > WAITED_MS {
                        self.add("lock", "waited", 1);
                    }
                }
            }
            _ => {}
        }
    }
}

fn waited_ms(detail: &Value, entry: &Value) -> i64 {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let waited = time(&entry["at"]).zip(time(&detail["accepted_at"]));
    waited.map_or(0, |(at, accepted)| at.as_millisecond() - accepted.as_millisecond())
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is needed comes first, also where it did not take part; then whatever else was counted.
        for (kind, words) in NEEDED {
            write!(f, "  {kind}:")?;
            for word in *words {
                write!(f, " {word}={}", self.of(kind, word))?;
            }
            let more = self.0.get(kind).into_iter().flatten().filter(|(word, _)| !words.contains(&word.as_str()));
            for (word, count) in more {
                write!(f, " {word}={count}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_needs_everything_and_a_short_one_does_not() {
        let mut coverage = Coverage::default();
        assert!(coverage.lacks(LONG - 1, 1).is_empty());
        let all: usize = NEEDED.iter().map(|(_, words)| words.len()).sum();
        assert_eq!(coverage.lacks(LONG, 1).len(), all);
        for (kind, word) in NEEDED.iter().flat_map(|(kind, words)| words.iter().map(move |word| (*kind, *word))) {
            coverage.add(kind, word, 1);
        }
        assert!(coverage.lacks(LONG, 1).is_empty());
    }
}
