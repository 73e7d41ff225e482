//! What happens in one history, from outside: all of it is drawn before it begins, and can be written down and played again.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// Targets in a history.
pub const TARGETS: usize = 3;

/// The inputs of one history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// What ids and jitter are drawn from.
    pub seed: u64,
    /// The routes, one for each operation.
    pub routes: Vec<Route>,
    /// What clients and people do, in the order of time.
    pub acts: Vec<Act>,
    /// How each target deals with one request after the other; politely, when these are used up.
    pub manners: Vec<Vec<Manner>>,
    /// How the receiver of notices does.
    pub ears: Vec<Manner>,
    /// What befalls writes of the store, by their number.
    pub writes: Vec<(u64, WriteFault)>,
}

/// How operations of one route are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Route {
    pub method: Method,
    pub order: Order,
    /// At least so many must succeed; 0: all.
    pub require: u32,
    pub undo: Undo,
    pub on_failure_holds: bool,
    pub on_unknown: Unknown,
    pub on_undo_failure_holds: bool,
    pub probe: bool,
    pub lock: Lock,
    /// In milliseconds.
    pub deadline_ms: u64,
    /// Accepted over `msf`, whose caller wants to be told of the end.
    pub noticed: bool,
    /// Which targets are called: how many, from the first on.
    pub targets: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Post,
    /// `POST` that may be sent again.
    RepeatablePost,
    Put,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Parallel,
    Sequence,
    Waves,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    None,
    Request,
    Restore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    Fail,
    Undo,
    Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    None,
    Reject,
    Queue,
}

/// Something that is done at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Act {
    /// In milliseconds from the beginning.
    pub at_ms: u64,
    pub what: Deed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Starts the operation of this route; again and again with the same key, until it is answered.
    Submit(usize),
    /// The same request with the same key once more.
    Repeat(usize),
    /// Another request with the same key.
    Abuse(usize),
    Cancel(usize),
    Hold(usize),
    Release(usize),
    /// A graceful stop and a start.
    Restart,
    /// The clock of the machine jumps, in milliseconds.
    Jump(i64),
}

/// How one request is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    Polite,
    /// Answered after so many milliseconds.
    Slow(u64),
    /// The connection is refused.
    RefuseConnection,
    /// It never comes about.
    NeverConnect,
    /// It is reset before a byte of the request is taken.
    ResetBefore,
    /// It is reset in the middle of the request, which is not done.
    ResetDuring,
    /// It is reset after the request.
    ResetAfter {
        applied: bool,
    },
    /// There is no answer.
    Never {
        applied: bool,
    },
    /// Half of the head of the answer, then the end.
    HalfHead {
        applied: bool,
    },
    /// Half of the body of the answer, then the end.
    HalfBody,
    /// The connection is reset; what was asked is done so many milliseconds later.
    Late(u64),
    /// 409.
    Refuse,
    /// 500.
    Error {
        applied: bool,
    },
    /// 500 that says `rolled back`.
    SaysRolledBack,
    /// 500 that says `updated`.
    SaysUpdated,
    /// 503 with `Retry-After`.
    Busy,
    /// 429.
    TooMany,
    /// 301.
    Moved,
    /// Answered, and the connection is closed without a word when it is used again.
    ClosesIdle,
    /// 202, and nothing that could be followed.
    Accepts {
        applied: bool,
    },
}

/// What befalls one write of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteFault {
    /// Nothing is recorded, and this is told.
    Fails,
    /// The disk is full.
    Full,
    /// It is recorded, and the answer is lost.
    AnswerLost,
    /// It takes so many milliseconds.
    Slow(u64),
    /// The power goes before anything is recorded.
    PowerLostBefore,
    /// The power goes when it is recorded and not answered.
    PowerLostAfter,
}

impl Scenario {
    /// Draws a history.
    pub fn drawn(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 3 + usize::try_from(random.below(2)).unwrap_or(0);
        let routes: Vec<Route> = (0..count).map(|_| Route::drawn(&mut random)).collect();
        let span = random.one(&[200, 2_000, 20_000]);
        let mut acts: Vec<Act> =
            (0..count).map(|route| Act { at_ms: random.below(span), what: Deed::Submit(route) }).collect();
        for _ in 0..random.below(4) {
            acts.push(Act { at_ms: random.below(span * 2), what: deed(&mut random, count) });
        }
        let held: Vec<Act> = acts
            .iter()
            .filter_map(|act| match act.what {
                Deed::Hold(target) => {
                    Some(Act { at_ms: act.at_ms + random.below(30_000), what: Deed::Release(target) })
                }
                _ => None,
            })
            .collect();
        acts.extend(held);
        acts.sort_by_key(|act| act.at_ms);
        let rude = random.one(&[1, 2, 4]);
        let mut manners = Vec::new();
        for _ in 0..TARGETS {
            let share =
                (0..random.below(8)).map(|_| if random.chance(rude, 6) { manner(&mut random) } else { Manner::Polite });
            manners.push(share.collect::<Vec<_>>());
        }
        let ears = (0..random.below(3)).map(|_| manner(&mut random)).collect();
        let mut writes: Vec<(u64, WriteFault)> =
            (0..random.below(4)).map(|_| (random.below(40), write_fault(&mut random))).collect();
        writes.sort_by_key(|(number, _)| *number);
        writes.dedup_by_key(|(number, _)| *number);
        let mut scenario = Self { seed: random.next(), routes, acts, manners, ears, writes };
        scenario.make_eventful(&mut random);
        scenario.make_fair();
        scenario
    }

    /// Sees to it that at least two things go wrong.
    fn make_eventful(&mut self, random: &mut Random) {
        while self.faults() < 2 {
            if random.chance(1, 2) {
                let target = usize::try_from(random.below(TARGETS as u64)).unwrap_or(0);
                self.manners[target].insert(0, manner(random));
            } else {
                let number = random.below(20);
                self.writes.retain(|(other, _)| *other != number);
                self.writes.push((number, write_fault(random)));
            }
        }
    }

    /// A clock that jumps ahead cuts the time short that a target has to settle, which nothing can guard against: then no
    /// target acts late.
    fn make_fair(&mut self) {
        if self.acts.iter().any(|act| matches!(act.what, Deed::Jump(millis) if millis > 0)) {
            for manner in self.manners.iter_mut().flatten().filter(|manner| matches!(manner, Manner::Late(_))) {
                *manner = Manner::ResetAfter { applied: true };
            }
        }
    }

    /// How many things go wrong, as far as they get their turn.
    pub fn faults(&self) -> usize {
        let rude = self.manners.iter().flatten().filter(|manner| **manner != Manner::Polite).count();
        rude + self.writes.len()
    }
}

impl Route {
    fn drawn(random: &mut Random) -> Self {
        let method = random.one(&[Method::Post, Method::Post, Method::RepeatablePost, Method::Put, Method::Delete]);
        let undo = match method {
            Method::Post | Method::RepeatablePost => random.one(&[Undo::Request, Undo::Request, Undo::None]),
            Method::Put | Method::Delete => random.one(&[Undo::Restore, Undo::Request, Undo::None]),
        };
        let targets = random.one(&[1, 2, 3, 3, 3]);
        Self {
            method,
            order: random.one(&[Order::Parallel, Order::Sequence, Order::Waves]),
            require: if targets == 3 { random.one(&[0, 0, 1, 2]) } else { 0 },
            undo,
            on_failure_holds: random.chance(1, 5),
            on_unknown: random.one(&[Unknown::Fail, Unknown::Undo, Unknown::Hold]),
            on_undo_failure_holds: random.chance(1, 6),
            probe: random.chance(1, 3),
            lock: random.one(&[Lock::None, Lock::None, Lock::Reject, Lock::Queue]),
            deadline_ms: random.one(&[3_000, 60_000, 3_600_000]),
            noticed: random.chance(1, 2),
            targets,
        }
    }
}

fn deed(random: &mut Random, routes: usize) -> Deed {
    let route = usize::try_from(random.below(routes as u64)).unwrap_or(0);
    let target = usize::try_from(random.below(TARGETS as u64)).unwrap_or(0);
    match random.below(12) {
        0 => Deed::Repeat(route),
        1 => Deed::Abuse(route),
        2..=5 => Deed::Cancel(route),
        6..=7 => Deed::Hold(target),
        8..=9 => Deed::Restart,
        10 => Deed::Jump(3_600_000),
        _ => Deed::Jump(-60_000),
    }
}

fn manner(random: &mut Random) -> Manner {
    let applied = random.chance(1, 2);
    match random.below(21) {
        0 => Manner::Slow(50 + random.below(1_500)),
        1 => Manner::RefuseConnection,
        2 => Manner::NeverConnect,
        3 => Manner::ResetBefore,
        4 => Manner::ResetDuring,
        5..=6 => Manner::ResetAfter { applied },
        7..=8 => Manner::Never { applied },
        9 => Manner::HalfHead { applied },
        10 => Manner::HalfBody,
        11 => Manner::Late(random.below(900)),
        12..=13 => Manner::Refuse,
        14 => Manner::Error { applied },
        15 => Manner::SaysRolledBack,
        16 => Manner::SaysUpdated,
        17 => Manner::Busy,
        18 => Manner::TooMany,
        19 => random.one(&[Manner::Moved, Manner::Accepts { applied }]),
        _ => Manner::ClosesIdle,
    }
}

fn write_fault(random: &mut Random) -> WriteFault {
    match random.below(8) {
        0 => WriteFault::Fails,
        1 => WriteFault::Full,
        2 => WriteFault::AnswerLost,
        3 => WriteFault::Slow(random.below(3_000)),
        4..=5 => WriteFault::PowerLostBefore,
        _ => WriteFault::PowerLostAfter,
    }
}
