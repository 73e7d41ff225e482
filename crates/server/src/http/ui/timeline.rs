//! What happened to an operation as a picture, to scale: a bar for each step and undo, with its attempts, waits and retries.
//!
//! Everything stands at percentages of the width, so that the picture fits a phone and its text keeps its size.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfold_core::dialect::native::{HistoryEntry, OperationDetail, TargetPhase};
use fanfold_core::operation::Leg;
use jiff::{SignedDuration, Timestamp};

use super::words;

/// Marks on the time axis beyond the one at its beginning, at the most.
const TICKS_MAX: u32 = 6;

/// The share of the width, in percent, from which on there is room for a letter.
const LABEL_SHARE_MIN: f64 = 3.0;

/// A mark of the axis at a higher percentage than this has its text before it.
const TICK_BEFORE: f64 = 90.0;

/// A mark of the time axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) x: String,
    pub(super) label: String,
    /// On which side of it its text is.
    pub(super) anchor: &'static str,
    /// Whether it is left out where there is little room.
    pub(super) is_minor: bool,
}

/// The picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    pub(super) lanes: Vec<Lane>,
    pub(super) ticks: Vec<Tick>,
    /// Instants of the operation as a whole: where, its class, what happened.
    pub(super) marks: Vec<(String, &'static str, String)>,
    /// What the whole width is.
    pub(super) span: String,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) is_undo: bool,
    pub(super) bars: Vec<Bar>,
    /// What it says, for those who do not see it.
    pub(super) summary: String,
}

/// Something that lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) class: &'static str,
    /// What stands in it, where there is room for a letter.
    pub(super) label: String,
    pub(super) title: String,
}

/// A piece of a lane, in time.
#[derive(Debug, Clone, PartialEq)]
struct Piece {
    from: Timestamp,
    /// `None`: it lasts.
    to: Option<Timestamp>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An attempt, by its number, and how it ended.
    Attempt(u32, Ending),
    /// A probe on the wire.
    Probe(Ending),
    /// A pause before the next attempt, or before a probe or a person has the word.
    Pause,
    /// The target does not take anything: its breaker is open, it is on hold, it is missing.
    Gate(&'static str),
    /// An operation of the target's own is followed.
    Follow(Ending),
    /// Before anything was sent.
    Queue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    Good,
    Bad,
    Doubtful,
    /// It goes on in another way.
    GoesOn,
}

/// The pieces of one lane so far.
#[derive(Debug, Default)]
struct Course {
    pieces: Vec<Piece>,
    attempts: u32,
    /// An operation of the target's own is followed, whatever the polls of it wait for.
    follows: bool,
}

impl Picture {
    /// The picture of what is known. Of a history that is cut off, nothing is known after the last entry.
    pub(super) fn of(detail: &OperationDetail, entries: &[HistoryEntry], is_cut: bool, now: Timestamp) -> Self {
        let begin = detail.summary.accepted_at;
        let latest = entries.iter().map(|entry| entry.at).max().unwrap_or(begin);
        let end = detail.summary.ended_at.unwrap_or_else(|| now.max(latest)).max(begin);
        let scale = Scale::new(begin, end);
        let mut courses: BTreeMap<(usize, bool), Course> = BTreeMap::new();
        for entry in entries {
            if entry.event == "time_came" && entry.meaning.as_deref() == Some("deadline") {
                let forward = courses.iter_mut().filter(|((_, is_undo), _)| !is_undo);
                forward.for_each(|(_, course)| course.give_up(entry.at));
                continue;
            }
            let Some(index) = detail.targets.iter().position(|target| Some(&target.name) == entry.target.as_ref())
            else {
                continue;
            };
            let is_undo = entry.leg == Some(Leg::Undo);
            courses.entry((index, is_undo)).or_default().take(entry, begin);
        }
        let mut lanes = Vec::new();
        for (index, target) in detail.targets.iter().enumerate() {
            for is_undo in [false, true] {
                let phase = if is_undo { target.undo.as_ref().and_then(|undo| undo.phase) } else { target.phase };
                let mut course = courses.remove(&(index, is_undo)).unwrap_or_default();
                if is_undo && course.pieces.is_empty() {
                    continue;
                }
                if is_cut {
                    course.cut(latest);
                } else {
                    course.close(phase, target.attempts, begin);
                }
                let untold =
                    if target.attempts == 0 { "was not called" } else { "what was sent is not in the picture" };
                lanes.push(Lane::of((&target.name, is_undo), &course.pieces, untold, &scale));
            }
        }
        let marks = entries.iter().filter_map(mark).map(|(at, class, text)| {
            (scale.at(at), class, format!("{text}, {} after acceptance", words::span(words::between(begin, at))))
        });
        Self { lanes, marks: marks.collect(), ticks: scale.ticks(), span: words::span(words::between(begin, end)) }
    }
}

/// What is worth a line through all lanes.
fn mark(entry: &HistoryEntry) -> Option<(Timestamp, &'static str, &'static str)> {
    match (entry.event.as_str(), entry.meaning.as_deref()) {
        ("cancel_requested", _) => Some((entry.at, "mark-cancel", "cancel was requested")),
        ("time_came", Some("deadline")) => Some((entry.at, "mark-deadline", "the deadline passed")),
        ("restored", _) => Some((entry.at, "mark-restored", "restored from a backup")),
        _ => None,
    }
}

impl Course {
    fn take(&mut self, entry: &HistoryEntry, begin: Timestamp) {
        let (at, meaning) = (entry.at, entry.meaning.as_deref().unwrap_or_default());
        match entry.event.as_str() {
            "attempt_started" => {
                if self.pieces.is_empty() && entry.leg == Some(Leg::Forward) {
                    self.pieces.push(Piece { from: begin, to: None, kind: Kind::Queue });
                }
                let kind = if entry.leg == Some(Leg::Probe) {
                    Kind::Probe(Ending::Open)
                } else {
                    self.attempts += 1;
                    Kind::Attempt(self.attempts, Ending::Open)
                };
                self.begin(at, kind);
            }
            "attempt_answered" => {
                self.end(at, ending(meaning));
                self.follows = meaning == "lower_operation_accepted";
                self.go_on(at);
            }
            "attempt_broke" => {
                self.end(at, if meaning == "not_sent" { Ending::Bad } else { Ending::Doubtful });
                self.begin(at, Kind::Pause);
            }
            "lower_ended" => {
                self.end(at, ending(meaning));
                self.follows = false;
                self.go_on(at);
            }
            "time_came" if meaning == "lower_operation" => self.give_up(at),
            "probe_answered" => {
                let ending = match meaning {
                    "applied" => Ending::Good,
                    "not_applied" => Ending::Bad,
                    _ => Ending::Doubtful,
                };
                self.end(at, ending);
                self.begin(at, Kind::Pause);
            }
            "gate_changed" => match meaning {
                "breaker" => self.begin(at, Kind::Gate("breaker open")),
                "held" => self.begin(at, Kind::Gate("on hold")),
                "missing" => self.begin(at, Kind::Gate("not configured")),
                _ => self.go_on(at),
            },
            // A person's word ends the wait for it.
            "person_resolved" => self.end(at, Ending::GoesOn),
            _ => {}
        }
    }

    /// Ends what lasts, and begins something.
    fn begin(&mut self, at: Timestamp, kind: Kind) {
        if let Some(last) = self.pieces.last_mut().filter(|last| last.to.is_none()) {
            last.to = Some(at);
        }
        self.pieces.push(Piece { from: at, to: None, kind });
    }

    /// Begins what goes on while nothing is on the wire.
    fn go_on(&mut self, at: Timestamp) {
        self.begin(at, if self.follows { Kind::Follow(Ending::Open) } else { Kind::Pause });
    }

    /// The operation that is followed has had its time: nobody knows what it does.
    fn give_up(&mut self, at: Timestamp) {
        if std::mem::take(&mut self.follows) {
            self.end(at, Ending::Doubtful);
            self.go_on(at);
        }
    }

    fn end(&mut self, at: Timestamp, how: Ending) {
        let Some(last) = self.pieces.last_mut().filter(|last| last.to.is_none()) else { return };
        last.to = Some(at);
        match &mut last.kind {
            Kind::Attempt(_, ending) | Kind::Probe(ending) | Kind::Follow(ending) => *ending = how,
            Kind::Pause | Kind::Gate(_) | Kind::Queue => {}
        }
    }

    /// What became of what lasts is told by entries that are not there.
    fn cut(&mut self, at: Timestamp) {
        if let Some(last) = self.pieces.last_mut().filter(|last| last.to.is_none()) {
            last.to = Some(at);
        }
    }

    /// A pause that nothing has followed is one only while something is still to come.
    fn close(&mut self, phase: Option<TargetPhase>, attempts: u32, begin: Timestamp) {
        if phase.is_none() && self.pieces.last().is_some_and(|last| last.kind == Kind::Pause) {
            self.pieces.pop();
        }
        if self.pieces.is_empty() && phase.is_some() && attempts == 0 {
            self.pieces.push(Piece { from: begin, to: None, kind: Kind::Queue });
        }
    }
}

fn ending(meaning: &str) -> Ending {
    match meaning {
        "succeeded" => Ending::Good,
        "lower_operation_accepted" => Ending::GoesOn,
        "not_applied" | "precondition_failed" | "not_consistent" => Ending::Bad,
        _ => Ending::Doubtful,
    }
}

impl Lane {
    fn of((name, is_undo): (&str, bool), pieces: &[Piece], untold: &str, scale: &Scale) -> Self {
        let bars: Vec<Bar> = pieces.iter().map(|piece| Bar::of(piece, scale)).collect();
        let told: Vec<&str> = bars.iter().map(|bar| bar.title.as_str()).collect();
        let what = if is_undo { "undo" } else { "request" };
        let told = if told.is_empty() { untold.to_owned() } else { told.join("; ") };
        Self { name: name.to_owned(), is_undo, bars, summary: format!("{name}, {what}: {told}") }
    }
}

impl Bar {
    fn of(piece: &Piece, scale: &Scale) -> Self {
        let to = piece.to.unwrap_or(scale.end);
        let lasts = words::span(words::between(piece.from, to));
        let (class, label, what) = match piece.kind {
            Kind::Attempt(number, ending) => {
                (class(ending), number.to_string(), format!("attempt {number}{}", how(ending)))
            }
            Kind::Probe(ending) => ("bar-probe", "?".to_owned(), format!("probe{}", how(ending))),
            Kind::Pause => ("bar-pause", String::new(), "wait".to_owned()),
            Kind::Gate(why) => ("bar-gate", String::new(), format!("waits: {why}")),
            Kind::Follow(ending) => (follow_class(ending), "…".to_owned(), format!("followed{}", how(ending))),
            Kind::Queue => ("bar-queue", String::new(), "waits for its turn".to_owned()),
        };
        let label = if scale.share(words::between(piece.from, to)) < LABEL_SHARE_MIN { String::new() } else { label };
        let still = if piece.to.is_none() { " so far" } else { "" };
        Self {
            x: scale.at(piece.from),
            width: scale.width(piece.from, to),
            class,
            label,
            title: format!("{what}, {lasts}{still}"),
        }
    }
}

fn class(ending: Ending) -> &'static str {
    match ending {
        Ending::Open => "bar-busy",
        Ending::Good => "bar-good",
        Ending::Bad => "bar-bad",
        Ending::Doubtful => "bar-doubt",
        Ending::GoesOn => "bar-taken",
    }
}

fn follow_class(ending: Ending) -> &'static str {
    match ending {
        Ending::Open => "bar-follow",
        Ending::Good => "bar-good",
        Ending::Bad => "bar-bad",
        Ending::Doubtful | Ending::GoesOn => "bar-doubt",
    }
}

fn how(ending: Ending) -> &'static str {
    match ending {
        Ending::Open => "",
        Ending::Good => ": succeeded",
        Ending::Bad => ": failed",
        Ending::Doubtful => ": in doubt, or to be tried again",
        Ending::GoesOn => ": taken on",
    }
}

/// From time to percent.
struct Scale {
    begin: Timestamp,
    end: Timestamp,
    whole: f64,
}

impl Scale {
    fn new(begin: Timestamp, end: Timestamp) -> Self {
        // An operation that ended within its first microsecond has a width all the same.
        let whole = words::between(begin, end).as_secs_f64().max(1e-6);
        Self { begin, end, whole }
    }

    fn share(&self, span: Duration) -> f64 {
        (span.as_secs_f64() / self.whole * 100.0).clamp(0.0, 100.0)
    }

    fn at(&self, at: Timestamp) -> String {
        format!("{:.3}%", self.share(words::between(self.begin, at)))
    }

    fn width(&self, from: Timestamp, to: Timestamp) -> String {
        let from = from.max(self.begin);
        format!("{:.3}%", self.share(words::between(from, to)))
    }

    /// Round times on the axis.
    fn ticks(&self) -> Vec<Tick> {
        let step = tick_step(Duration::from_secs_f64(self.whole));
        let mut ticks = Vec::new();
        let mut offset = Duration::ZERO;
        while offset.as_secs_f64() <= self.whole {
            let at = SignedDuration::try_from(offset).ok().and_then(|offset| self.begin.checked_add(offset).ok());
            if let Some(at) = at {
                let label = if offset.is_zero() { "0".to_owned() } else { format!("+{}", tick_label(offset)) };
                let anchor = if self.share(offset) > TICK_BEFORE { "end" } else { "start" };
                ticks.push(Tick { x: self.at(at), label, anchor, is_minor: ticks.len() % 2 == 1 });
            }
            offset += step;
        }
        ticks
    }
}

/// The shortest round span of which there are few in the whole.
fn tick_step(whole: Duration) -> Duration {
    const SECOND: u64 = 1_000_000_000;
    let mut steps: Vec<u64> = Vec::new();
    for power in (3..9).map(|power| 10_u64.pow(power)) {
        steps.extend([power, 2 * power, 5 * power]);
    }
    steps
        .extend([1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200].map(|s| s * SECOND));
    let found = steps.into_iter().map(Duration::from_nanos).find(|step| *step * TICKS_MAX >= whole);
    found.unwrap_or_else(|| {
        let days = whole.as_secs().div_ceil(u64::from(TICKS_MAX) * 86_400).max(1);
        Duration::from_secs(days * 86_400)
    })
}

fn tick_label(offset: Duration) -> String {
    let nanos = offset.as_nanos();
    match nanos {
        0..1_000_000 => format!("{} µs", nanos / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        _ if offset.as_secs() < 60 => match offset.subsec_millis() / 100 {
            0 => format!("{} s", offset.as_secs()),
            tenths => format!("{}.{tenths} s", offset.as_secs()),
        },
        _ if offset.as_secs() < 3_600 => match offset.as_secs() % 60 {
            0 => format!("{} min", offset.as_secs() / 60),
            seconds => format!("{} min {seconds} s", offset.as_secs() / 60),
        },
        _ => words::span(offset).replace(" 00 min", ""),
    }
}

#[cfg(test)]
mod tests;
