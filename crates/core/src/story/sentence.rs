//! How one entry of a history is said.

use std::collections::BTreeMap;

use super::{Tone, excerpt, printable};
use crate::dialect::native::{HistoryEntry, OperationDetail, RequestForm};
use crate::operation::{Leg, Purpose};

/// Says one entry after the other, and remembers what later ones refer to.
#[derive(Debug, Default)]
pub struct Teller {
    /// What is sent to each target, by name and leg.
    requests: BTreeMap<(String, Leg), String>,
    /// Attempts so far.
    attempts: BTreeMap<(String, Leg), u32>,
}

impl Teller {
    /// Knows what the operation sends to its targets; the default one does not.
    pub fn new(detail: &OperationDetail) -> Self {
        let mut requests = BTreeMap::new();
        for target in &detail.targets {
            requests.insert((target.name.clone(), Leg::Forward), request(&target.request));
            if let Some(undo) = target.undo.as_ref().and_then(|undo| undo.request.as_ref()) {
                requests.insert((target.name.clone(), Leg::Undo), request(undo));
            }
        }
        Self { requests, attempts: BTreeMap::new() }
    }

    /// The entry in words; `None` for what is told by the entries around it.
    pub fn sentence(&mut self, entry: &HistoryEntry) -> Option<(Tone, String)> {
        let meaning = entry.meaning.as_deref().unwrap_or_default();
        let by = || printable(entry.by.as_deref().unwrap_or("somebody"));
        let said = match entry.event.as_str() {
            "response_composed" => return None,
            "time_came" => return time_came(meaning).map(|text| (Tone::Doubtful, text.to_owned())),
            "dispatched" => (Tone::Plain, "work begins".to_owned()),
            "lock_granted" => (Tone::Plain, "it holds its lock: nobody else changes the same thing".to_owned()),
            "cancel_requested" => (Tone::Doubtful, format!("{} asks to cancel it", by())),
            "deadline_extended" => (Tone::Plain, format!("{} moves its deadline", by())),
            "person_resolved" => (Tone::Plain, format!("{} says that it was {}", by(), spaced(meaning))),
            "person_chose" => (Tone::Plain, format!("{} chooses: {}", by(), spaced(meaning))),
            "restored" => {
                let as_of = entry.as_of.map(|at| format!(" as of {at}")).unwrap_or_default();
                (Tone::Doubtful, format!("it was restored from a backup{as_of}, and waits to be released"))
            }
            "restore_released" => (Tone::Plain, format!("{} releases it: it goes on from there", by())),
            "gate_changed" => gate(meaning),
            "resource_read" => read(entry, meaning),
            "attempt_started" => (Tone::Busy, self.started(entry)),
            "attempt_answered" => answered(entry, meaning, "answers"),
            "polls_changed" => polls(entry, meaning),
            "lower_ended" => answered(entry, meaning, "its own operation ends with"),
            "attempt_broke" => broke(entry, meaning),
            "probe_answered" => (Tone::Plain, format!("asked whether it was done: {}", spaced(meaning))),
            "undo_not_rendered" => (Tone::Bad, format!("no undo can be made{}", trouble(entry))),
            // A server of a later version may know more; what it calls it is better than silence.
            other => (Tone::Plain, format!("{} {}", spaced(other), spaced(meaning)).trim_end().to_owned()),
        };
        Some(said)
    }

    fn started(&mut self, entry: &HistoryEntry) -> String {
        let leg = entry.leg.unwrap_or(Leg::Forward);
        let key = (entry.target.clone().unwrap_or_default(), leg);
        let sent = entry.request.as_ref().map(request).or_else(|| self.requests.get(&key).cloned());
        let number = self.attempts.entry(key).or_default();
        *number += 1;
        let what = match leg {
            Leg::Forward => "is sent",
            Leg::Undo => "undo: is sent",
            Leg::Probe => "probe: is asked",
        };
        let again = if *number > 1 { format!(" again (attempt {number})") } else { String::new() };
        format!("{what} {}{again}", sent.unwrap_or_default())
    }
}

fn request(request: &RequestForm) -> String {
    format!("{} {}", request.method, printable(&request.uri))
}

fn is_undo(entry: &HistoryEntry) -> bool {
    entry.leg == Some(Leg::Undo)
}

fn time_came(timer: &str) -> Option<&'static str> {
    match timer {
        "start" => Some("its start time has come"),
        "deadline" => Some("the deadline passes: nothing more is begun"),
        "lower_operation" => Some("its own operation has had its time"),
        // That a pause is over is told by what follows it.
        _ => None,
    }
}

fn gate(gate: &str) -> (Tone, String) {
    let (tone, text) = match gate {
        "permit" => (Tone::Plain, "may be called again"),
        "breaker" => (Tone::Doubtful, "has broken off too often, and is left alone for a while"),
        "held" => (Tone::Doubtful, "is on hold: what is sent to it waits"),
        "missing" => (Tone::Doubtful, "is no longer configured: what is sent to it waits"),
        other => return (Tone::Plain, format!("waits: {other}")),
    };
    (tone, text.to_owned())
}

fn polls(entry: &HistoryEntry, meaning: &str) -> (Tone, String) {
    let prefix = if is_undo(entry) { "undo: " } else { "" };
    let (tone, what) = match meaning {
        "unclear" => (Tone::Doubtful, "asking about its own operation tells nothing for now, and goes on"),
        "clear" => (Tone::Plain, "asking about its own operation tells something again"),
        other => (Tone::Plain, other),
    };
    (tone, format!("{prefix}{what}{}", trouble(entry)))
}

fn read(entry: &HistoryEntry, meaning: &str) -> (Tone, String) {
    let why = match entry.purpose {
        Some(Purpose::Before) => "is read before the change",
        Some(Purpose::After) => "is read right after the change",
        Some(Purpose::Compare) => "undo: is read to see whether somebody else has changed it",
        Some(Purpose::Settle) => "undo: is read to see whether it is undone already",
        None => "is read",
    };
    let (tone, what) = match meaning {
        "present" => (Tone::Plain, "what is there is kept"),
        "absent" => (Tone::Plain, "there is nothing"),
        "failed" => (Tone::Doubtful, "no answer for now"),
        "unusable" => (Tone::Bad, "what is there cannot be used"),
        other => (Tone::Plain, other),
    };
    (tone, format!("{why}: {what}{}", trouble(entry)))
}

fn answered(entry: &HistoryEntry, meaning: &str, verb: &str) -> (Tone, String) {
    let undo = is_undo(entry);
    let (tone, what) = match meaning {
        "succeeded" if undo => (Tone::Good, "undone".to_owned()),
        "succeeded" => (Tone::Good, "done".to_owned()),
        "not_taken_on" => (Tone::Doubtful, format!("not now{}", wait(entry))),
        "not_applied" if undo => (Tone::Bad, "refused, not undone".to_owned()),
        "not_applied" => (Tone::Bad, "refused, nothing is changed".to_owned()),
        "precondition_failed" => (Tone::Bad, "it is not as it was expected, nothing is changed".to_owned()),
        "gone" => (Tone::Doubtful, "there is nothing to change".to_owned()),
        "not_consistent" => (Tone::Bad, "its data is neither changed nor as it was".to_owned()),
        "maybe_applied" => (Tone::Doubtful, format!("perhaps done, perhaps not{}", trouble(entry))),
        "unknown" => (Tone::Doubtful, format!("whether it is done is not known{}", trouble(entry))),
        "lower_operation_accepted" => {
            let id = printable(entry.reference.as_deref().unwrap_or_default());
            (Tone::Busy, format!("an operation of its own, {id}, which is followed"))
        }
        other => (Tone::Plain, spaced(other)),
    };
    let response = entry.response.as_ref();
    let status = response.map(|response| response.status.to_string()).unwrap_or_default();
    // A body is worth a look only where it may say why.
    let body = response.filter(|_| !matches!(tone, Tone::Good | Tone::Busy));
    let body = body.and_then(|response| excerpt(response.body.as_ref()));
    let body = body.map(|body| format!(" {body}")).unwrap_or_default();
    let prefix = if undo { "undo: " } else { "" };
    (tone, format!("{prefix}{verb} {status}{body}: {what}"))
}

fn broke(entry: &HistoryEntry, meaning: &str) -> (Tone, String) {
    let prefix = if is_undo(entry) { "undo: " } else { "" };
    let what = match meaning {
        "not_sent" => "is not reached, and nothing was sent",
        _ => "does not answer: perhaps done, perhaps not",
    };
    (Tone::Doubtful, format!("{prefix}{what}{}", trouble(entry)))
}

fn wait(entry: &HistoryEntry) -> String {
    let asks = |ms: u64| format!(", asks to wait {}.{:03} s", ms / 1000, ms % 1000);
    entry.retry_after_ms.map(asks).unwrap_or_default()
}

fn trouble(entry: &HistoryEntry) -> String {
    entry.error.as_ref().map(|error| format!(" ({})", printable(&error.detail))).unwrap_or_default()
}

fn spaced(word: &str) -> String {
    printable(&word.replace('_', " "))
}
