//! Draws histories from a seed.

use super::{
    Act, Deed, Key, Lock, Lower, LowerEnd, Manner, Method, Monitor, Order, Route, Scenario, Start, TARGETS, Undo,
    Unknown, Webhook, Word, WriteFault,
};
use fanfold_testkit::Random;

impl Scenario {
    /// Draws a history.
    pub fn drawn(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = 3 + random.below(2);
        let mut routes: Vec<Route> = (0..count).map(|_| Route::drawn(&mut random)).collect();
        // At least one calls them all.
        routes[0].targets = TARGETS;
        let span = random.one(&[200, 2_000, 20_000]);
        let mut acts: Vec<Act> =
            (0..count).map(|route| Act { at_ms: random.number(span), what: Deed::Submit(route) }).collect();
        for _ in 0..random.below(5) {
            acts.push(Act { at_ms: random.number(span * 2), what: deed(&mut random, count) });
        }
        let ends: Vec<Act> = acts
            .iter()
            .filter_map(|act| Some(Act { at_ms: act.at_ms + random.number(30_000), what: act.what.end()? }))
            .collect();
        acts.extend(ends);
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
            (0..random.below(4)).map(|_| (random.number(40), write_fault(&mut random))).collect();
        writes.sort_by_key(|(number, _)| *number);
        writes.dedup_by_key(|(number, _)| *number);
        let monitors = (0..TARGETS).map(|_| monitor(&mut random)).collect();
        let retention_ms = random.one(&[0, 0, 0, 2_000, 60_000]);
        let notice_attempts = random.one(&[0, 1, 2, 3]);
        let running_max = random.one(&[0, 0, 1]);
        let acceptances = match random.below(6) {
            0 => vec![(random.number(5), random.one(&[WriteFault::AnswerLost, WriteFault::PowerLostAfter]))],
            _ => Vec::new(),
        };
        let seed = random.draw();
        let mut scenario = Self {
            seed,
            routes,
            acts,
            manners,
            ears,
            writes,
            monitors,
            retention_ms,
            notice_attempts,
            running_max,
            acceptances,
        };
        if random.chance(1, 16) {
            scenario.make_slow_and_cut_off(&mut random);
        }
        if random.chance(1, 24) {
            scenario.make_doubtful();
        }
        scenario.make_eventful(&mut random);
        scenario.make_fair();
        scenario
    }

    /// The process ends while a target is at work that cannot be asked again, and that acts only after it has come back.
    fn make_slow_and_cut_off(&mut self, random: &mut Random) {
        let route = &mut self.routes[0];
        route.method = Method::Post;
        route.probe = random.chance(1, 2);
        route.undo = Undo::Request;
        route.on_unknown = Unknown::Undo;
        let target = random.below(TARGETS);
        self.manners[target].insert(0, Manner::Works(500 + random.number(1_400)));
        let number = 1 + random.number(6);
        self.writes.retain(|(other, _)| *other != number);
        self.writes.push((number, WriteFault::PowerLostAfter));
    }

    /// The first acceptance is left in doubt, and nobody asks again; then the dispatcher has other reason to look.
    fn make_doubtful(&mut self) {
        self.acceptances = vec![(0, WriteFault::AnswerLost)];
        let in_doubt = Route { asks_once: true, lock: Lock::None, start: Start::AtOnce, ..self.routes[0] };
        self.routes[0] = in_doubt;
        self.routes[1].start = Start::Scheduled(0);
        self.acts.retain(|act| !matches!(act.what, Deed::Submit(0 | 1)) && act.at_ms > 100);
        let submit = |at_ms, route| Act { at_ms, what: Deed::Submit(route) };
        self.acts.insert(0, submit(0, 0));
        self.acts.insert(1, submit(100, 1));
        self.acts.push(Act { at_ms: 60_000, what: Deed::Acknowledge });
    }

    /// Sees to it that at least two things go wrong.
    fn make_eventful(&mut self, random: &mut Random) {
        while self.faults() < 2 {
            if random.chance(1, 2) {
                let target = random.below(TARGETS);
                self.manners[target].insert(0, manner(random));
            } else {
                let number = random.number(20);
                self.writes.retain(|(other, _)| *other != number);
                self.writes.push((number, write_fault(random)));
            }
        }
    }

    /// A clock that jumps ahead cuts the time short that a target has to settle, which nothing can guard against: then no
    /// target acts late.
    fn make_fair(&mut self) {
        if self.acts.iter().any(|act| matches!(act.what, Deed::Jump(millis) if millis > 0)) {
            for manner in self.manners.iter_mut().flatten() {
                if matches!(manner, Manner::Late(_) | Manner::Works(_)) {
                    *manner = Manner::ResetAfter { applied: true };
                }
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
            key: random.one(&[Key::Header, Key::Header, Key::Dedupe, Key::None]),
            start: match random.below(8) {
                0 => Start::Delayed(random.number(20_000)),
                1 => Start::Scheduled(random.number(20_000)),
                _ => Start::AtOnce,
            },
            webhook: random.one(&[Webhook::None, Webhook::None, Webhook::OfRoute, Webhook::OfCaller]),
            asks_once: random.chance(1, 4),
            of_another: random.chance(1, 3),
        }
    }
}

impl Deed {
    /// What ends the state that it begins, where it begins one.
    fn end(self) -> Option<Self> {
        match self {
            Self::Hold(target) => Some(Self::Release(target)),
            Self::Remove(target) => Some(Self::Configure(target)),
            Self::Drain => Some(Self::Resume),
            Self::Submit(_)
            | Self::Repeat(_)
            | Self::Abuse(_)
            | Self::Cancel(_)
            | Self::Release(_)
            | Self::Restart
            | Self::Jump(_)
            | Self::Extend(..)
            | Self::Retry(..)
            | Self::Answer
            | Self::Acknowledge
            | Self::Resume
            | Self::Configure(_)
            | Self::Replay
            | Self::Forge => None,
        }
    }
}

fn deed(random: &mut Random, routes: usize) -> Deed {
    let route = random.below(routes);
    let target = random.below(TARGETS);
    match random.below(24) {
        0 => Deed::Repeat(route),
        1 => Deed::Abuse(route),
        2..=5 => Deed::Cancel(route),
        6..=7 => Deed::Hold(target),
        8..=9 => Deed::Restart,
        10 => Deed::Jump(3_600_000),
        11 => Deed::Jump(-60_000),
        12..=13 => Deed::Remove(target),
        14 => Deed::Extend(route, random.number(60_000)),
        15 => Deed::Answer,
        16 => Deed::Acknowledge,
        17 => Deed::Drain,
        18 => Deed::Replay,
        19..=22 => Deed::Retry(route, random.chance(1, 3)),
        _ => Deed::Forge,
    }
}

fn monitor(random: &mut Random) -> Monitor {
    match random.below(10) {
        0 => Monitor::Unset,
        1 => Monitor::None,
        2..=4 => Monitor::Msf,
        5 => Monitor::Plas,
        6..=7 => Monitor::Location,
        _ => Monitor::Poll,
    }
}

fn lower(random: &mut Random) -> Lower {
    let applied = random.chance(1, 2);
    Lower {
        millis: random.one(&[0, 300, 2_000, 10_000]) + random.number(500),
        end: match random.below(10) {
            0..=4 => LowerEnd::Done,
            5..=6 => LowerEnd::RolledBack,
            7 => random.one(&[LowerEnd::Failed { applied }, LowerEnd::Canceled { applied }]),
            8 => LowerEnd::Forgotten { applied },
            _ => LowerEnd::Never { applied },
        },
        word: random.one(&[Word::Once, Word::Lost, Word::Twice, Word::Early, Word::Forged]),
    }
}

fn manner(random: &mut Random) -> Manner {
    let applied = random.chance(1, 2);
    match random.below(30) {
        0 => Manner::Slow(50 + random.number(1_500)),
        1 => Manner::RefuseConnection,
        2 => Manner::NeverConnect,
        3 => Manner::ResetBefore,
        4 => Manner::ResetDuring,
        5..=6 => Manner::ResetAfter { applied },
        7..=8 => Manner::Never { applied },
        9 => Manner::HalfHead { applied },
        10 => Manner::HalfBody,
        11 => Manner::Late(random.number(900)),
        12..=13 => Manner::Refuse,
        14 => Manner::Error { applied },
        15 => Manner::SaysRolledBack,
        16 => Manner::SaysUpdated,
        17 => Manner::Busy,
        18 => Manner::TooMany,
        19 => random.one(&[Manner::Moved, Manner::Accepts { applied }]),
        20 => Manner::ClosesIdle,
        // Longer than anybody listens, but not longer than a target is given to settle.
        21..=22 => Manner::Works(random.number(1_900)),
        23 => Manner::Denied,
        24 => Manner::Page,
        _ => Manner::Takes(lower(random)),
    }
}

fn write_fault(random: &mut Random) -> WriteFault {
    match random.below(8) {
        0 => WriteFault::Fails,
        1 => WriteFault::Full,
        2 => WriteFault::AnswerLost,
        3 => WriteFault::Slow(random.number(3_000)),
        4..=5 => WriteFault::PowerLostBefore,
        _ => WriteFault::PowerLostAfter,
    }
}
