//! A target that behaves badly, and writes down what it truly did.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfold_testkit::fake::Service;
use fanfold_testkit::{Answer, Reply, Seen};
use serde_json::json;

use super::announce::Announcing;
use super::journal::{Entry, Leg, Told};
use super::lower::{Lower, Lowers};
use super::plans::Style;
use super::shelf::{self, Shelf};
use super::world::{Kind, Later, World};

/// How long after a request that it broke off a target may still act, in milliseconds at the most. It has as long as for
/// any request (`config::ANSWERED`), and nobody may be led astray by what it does meanwhile.
const LATE_MS: usize = 700;

/// How long it takes where it is slow, in milliseconds: at least, and at the most beyond that. Whoever waits gets an answer.
const SLOW_MS: (usize, usize) = (10, 200);

/// A target.
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) style: Option<Style>,
    pub(super) world: Arc<World>,
    shelf: Arc<Shelf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was deleted.
    deleted: HashSet<String>,
    lowers: Lowers,
}

/// How a request that changes something is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Polite,
    Slow(u64),
    Closing,
    Refuse,
    /// 500, with or without having done it.
    Error {
        applied: bool,
    },
    /// 500 with `data_consistency = "rolled back"`.
    Undone,
    Busy(u16),
    Reset {
        applied: bool,
    },
    Close {
        applied: bool,
    },
    Never {
        applied: bool,
    },
    /// Done, and half of the answer sent.
    Half,
    /// The connection is reset, and it is done a little later.
    Late,
}

/// The request as far as it matters here.
struct Asked {
    operation: String,
    leg: Leg,
    attempt: u32,
}

impl Target {
    pub(super) fn new(name: &'static str, style: Option<Style>, world: Arc<World>, shelf: Arc<Shelf>) -> Self {
        Self { name, style, world, shelf, state: Mutex::default() }
    }

    fn manner(&self, leg: Leg) -> Manner {
        if !self.world.has_faults() {
            return Manner::Polite;
        }
        // Undos are refused more seldom: most roll-backs should come to an end.
        match self.world.draw(if leg == Leg::Undo { 400 } else { 200 }) {
            0..=7 => Manner::Refuse,
            8..=10 => Manner::Error { applied: false },
            11..=13 => Manner::Error { applied: true },
            14..=15 => Manner::Undone,
            16..=18 => Manner::Busy(503),
            19..=20 => Manner::Busy(429),
            21..=22 => Manner::Busy(408),
            23..=25 => Manner::Reset { applied: false },
            26..=28 => Manner::Reset { applied: true },
            29..=30 => Manner::Close { applied: true },
            31 => Manner::Never { applied: false },
            32 => Manner::Never { applied: true },
            33..=34 => Manner::Half,
            35..=37 => Manner::Late,
            38..=47 => Manner::Closing,
            48..=70 => Manner::Slow((SLOW_MS.0 + self.world.draw(SLOW_MS.1)) as u64),
            _ => Manner::Polite,
        }
    }

    fn change(&self, request: &Seen, asked: &Asked) -> Reply {
        let manner = self.manner(asked.leg);
        if let (Some(style), true) = (self.style, matches!(manner, Manner::Polite | Manner::Slow(_) | Manner::Closing))
        {
            return self.accept_lower(style, request, asked);
        }
        let nothing = Answer::json(500, &json!({ "error": "it broke" }));
        match manner {
            Manner::Refuse => self.say(request, asked, Told::Refused, false, Answer::json(409, &json!({})).into()),
            Manner::Error { applied: false } => self.say(request, asked, Told::Nothing, false, nothing.into()),
            Manner::Error { applied: true } => self.done(request, asked, Told::Nothing, |_| nothing.into()),
            Manner::Undone => {
                let body = json!({ "error_code": "060002", "error_message": "-", "data_consistency": "rolled back" });
                self.say(request, asked, Told::Refused, false, Answer::json(500, &body).into())
            }
            Manner::Busy(status) => {
                let busy = Answer::json(status, &json!({})).header("retry-after", "0");
                self.say(request, asked, Told::NotTakenOn, false, busy.into())
            }
            Manner::Reset { applied: false } => {
                self.say(request, asked, Told::Nothing, false, Reply::Reset { applied: false })
            }
            Manner::Never { applied: false } => {
                self.say(request, asked, Told::Nothing, false, Reply::Never { applied: false })
            }
            Manner::Reset { applied: true } => {
                self.done(request, asked, Told::Nothing, |_| Reply::Reset { applied: true })
            }
            Manner::Close { applied } => self.done(request, asked, Told::Nothing, |_| Reply::Close { applied }),
            Manner::Never { applied: true } => {
                self.done(request, asked, Told::Nothing, |_| Reply::Never { applied: true })
            }
            Manner::Half => self.done(request, asked, Told::Done, |answer| Reply::Half(answer, 1)),
            Manner::Late => self.late(request, asked),
            Manner::Polite => self.done(request, asked, Told::Done, Reply::from),
            Manner::Closing => self.done(request, asked, Told::Done, |answer| answer.closing().into()),
            Manner::Slow(millis) => {
                let wait = Duration::from_millis(millis);
                if asked.leg == Leg::Forward && is_plain(request) {
                    // It works as long as it takes, whoever still waits for it.
                    self.later(asked, Kind::Make, wait);
                    let answer = Reply::from(made(asked)).after(&self.world.latch(wait));
                    return self.say(request, asked, Told::Done, true, answer);
                }
                let latch = self.world.latch(wait);
                self.done(request, asked, Told::Done, |answer| Reply::from(answer).after(&latch))
            }
        }
    }

    /// Writes down what is told, and tells it.
    fn say(&self, request: &Seen, asked: &Asked, told: Told, applied: bool, reply: Reply) -> Reply {
        self.world.journal.add(Entry {
            number: 0,
            target: self.name,
            operation: asked.operation.clone(),
            leg: asked.leg,
            attempt: asked.attempt,
            at_ms: self.world.began.elapsed().as_millis(),
            told,
            applied,
            path: request.path().to_owned(),
        });
        reply
    }

    /// Does what is asked, as far as it can be done, and tells it in some way.
    fn done(&self, request: &Seen, asked: &Asked, told: Told, say: impl FnOnce(Answer) -> Reply) -> Reply {
        let (answer, applied) = self.apply(request, asked);
        // What could not be done is told like what was, or not at all.
        let told = match (told, answer.status) {
            (Told::Done, 404) => Told::Gone,
            (Told::Done, 400..) => Told::Refused,
            (told, _) => told,
        };
        // Half of nothing is the whole of it.
        let reply = if answer.body.is_empty() && told == Told::Done { answer.into() } else { say(answer) };
        self.say(request, asked, told, applied, reply)
    }

    fn late(&self, request: &Seen, asked: &Asked) -> Reply {
        let kind = if asked.leg == Leg::Undo { Kind::TakeBack } else { Kind::Make };
        if !is_plain(request) {
            return self.done(request, asked, Told::Nothing, |_| Reply::Reset { applied: true });
        }
        self.later(asked, kind, Duration::from_millis(self.world.draw(LATE_MS) as u64));
        self.say(request, asked, Told::Nothing, true, Reply::Reset { applied: true })
    }

    fn later(&self, asked: &Asked, kind: Kind, wait: Duration) {
        let change = Later::Change { target: self.name, operation: asked.operation.clone(), kind };
        self.world.at(wait, change);
    }

    fn apply(&self, request: &Seen, asked: &Asked) -> (Answer, bool) {
        let path = request.path();
        let change = |kind| self.world.change(self.name, &asked.operation, kind);
        if path.starts_with("/by-op/") {
            let stands = self.world.journal.truth(self.name, &asked.operation).stands;
            change(Kind::TakeBack);
            return if stands { (Answer::empty(204), true) } else { (Answer::empty(404), false) };
        }
        if path.starts_with("/r/") {
            return self.put(request, asked);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if path.starts_with("/d/") {
            let first = state.deleted.insert(path.to_owned());
            if first {
                change(Kind::Make);
            }
            return if first { (Answer::empty(204), true) } else { (Answer::empty(404), false) };
        }
        change(Kind::Make);
        (made(asked), true)
    }

    fn put(&self, request: &Seen, asked: &Asked) -> (Answer, bool) {
        let (answer, written) = self.shelf.write(request, &asked.operation, asked.leg, self.world.lives());
        shelf::judge(&self.world, self.name, request.path(), &asked.operation, written);
        if written.applied {
            let kind = if asked.leg == Leg::Undo { Kind::TakeBack } else { Kind::Make };
            self.world.change(self.name, &asked.operation, kind);
        }
        if written.unseen {
            self.world.journal.change(self.name, &asked.operation, |truth| truth.unseen = true);
        }
        (answer, written.applied)
    }

    fn read(&self, request: &Seen) -> Reply {
        if self.world.has_faults() && self.world.draw(25) == 0 {
            return Answer::empty(500).into();
        }
        let operation = request.header("fanfold-operation-id").unwrap_or_default();
        self.shelf.read(request.path(), operation, self.world.lives()).into()
    }

    fn probe(&self, request: &Seen, asked: &Asked) -> Reply {
        let faults = self.world.has_faults();
        if faults && self.world.draw(8) == 0 {
            return self.say(request, asked, Told::Nothing, false, Answer::empty(500).into());
        }
        let applied = self.world.journal.truth(self.name, &asked.operation).stands;
        let reply = Answer::json(200, &json!({ "applied": applied })).into();
        self.say(request, asked, Told::Truth(applied), false, reply)
    }

    fn accept_lower(&self, style: Style, request: &Seen, asked: &Asked) -> Reply {
        let mut lower = Lower::drawn(self.world.has_faults(), asked.leg == Leg::Undo, |bound| self.world.draw(bound));
        let (clear, applies) = (lower.is_clear(style), lower.applies());
        let applied = applies && self.apply(request, asked).1;
        let address = request.query("notification_address").zip(request.query("notification_port"));
        let notify = address.filter(|_| style == Style::Msf).map(|(host, port)| format!("{host}:{port}"));
        let plan = notify.as_ref().map(|_| Announcing::drawn(&self.world));
        lower.ends_at = plan.as_ref().map(Announcing::ends_at);
        let id = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.lowers.add(lower.clone())
        };
        let reply = Reply::from(Lowers::accepted(style, &id));
        let reply = match plan.zip(notify) {
            Some((plan, to)) => plan.announce(&self.world, &lower, &id, to, reply),
            None => reply,
        };
        self.say(request, asked, Told::Lower { clear }, applied, reply)
    }
}

/// Whether it does what it does whatever is there.
fn is_plain(request: &Seen) -> bool {
    request.path().starts_with("/by-op/") || matches!(request.method.as_str(), "POST" | "PATCH")
}

fn made(asked: &Asked) -> Answer {
    Answer::json(201, &json!({ "id": asked.operation }))
}

impl Service for Target {
    fn answer(&self, request: &Seen) -> Option<Reply> {
        self.world.tick();
        if request.method == "GET" && !request.path().starts_with("/probe/") {
            if let Some(style) = self.style {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                return Some(state.lowers.polled(style, request.path()).into());
            }
            return Some(self.read(request));
        }
        let operation = request.header("fanfold-operation-id").unwrap_or("-").to_owned();
        let attempt = request.header("fanfold-attempt").and_then(|text| text.parse().ok()).unwrap_or(0);
        let undo = request.header("idempotency-key").is_some_and(|key| key.trim_matches('"').ends_with("-undo"));
        let leg = match (request.method.as_str(), undo) {
            ("GET", _) => Leg::Probe,
            (_, true) => Leg::Undo,
            (_, false) => Leg::Forward,
        };
        let asked = Asked { operation, leg, attempt };
        Some(if leg == Leg::Probe { self.probe(request, &asked) } else { self.change(request, &asked) })
    }
}
