//! Judges a history: what Fanfold says, against what the targets truly did.
//!
//! Where to look: here is what concerns clients and whole operations; `case` judges one step, and `whole` what an
//! operation says of all of them.

mod case;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use fanfold_core::operation::{Consistency, Leg};
use fanfold_core::{Operation, OperationId};
use fanfold_store::{NoticeFilter, NoticeState, Page, ReadNotices as _, Recorded};
use futures_util::FutureExt as _;

use self::case::Case;
use crate::play::{Played, Submitted};
use crate::routes::{self, SETTLE};
use crate::scenario::{Deed, Key, Lock, Order, Route, Scenario, Webhook};
use crate::world::{Audience, Errand, Letters, Seen};

/// The guarantees, as far as one history can break them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    G1,
    G2,
    G3,
    G4,
    G5,
    G6,
    G8,
    G9,
    G10,
}

/// A guarantee that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub guarantee: Guarantee,
    /// How, in words.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.guarantee, self.what)
    }
}

/// What is wrong about a history.
pub(crate) fn judge(scenario: &Scenario, played: &Played, operations: &[(Operation, Vec<Recorded>)]) -> Vec<Breach> {
    // A clock that jumps ahead cuts every wait short.
    let jumps_ahead = scenario.acts.iter().any(|act| matches!(act.what, Deed::Jump(millis) if millis > 0));
    let jumps = scenario.acts.iter().any(|act| matches!(act.what, Deed::Jump(_)));
    let settle = if jumps_ahead { Duration::ZERO } else { SETTLE };
    let (seen, errands, letters) = (played.world.seen(), played.world.errands(), played.world.letters());
    let mut judge = Judge { played, seen, errands, letters, settle, jumps, jumps_ahead, breaches: Vec::new() };
    judge.clients(scenario, operations);
    for (operation, history) in operations {
        let Some(route) = number_of(operation).and_then(|number| scenario.routes.get(number)) else { continue };
        judge.operation(route, operation, history);
    }
    judge.locks(scenario, operations);
    judge.retries(operations);
    judge.breaches
}

/// Which route accepted it.
fn number_of(operation: &Operation) -> Option<usize> {
    operation.plan.route.strip_prefix('o')?.parse().ok()
}

struct Judge<'a> {
    played: &'a Played,
    seen: Vec<Seen>,
    errands: Vec<Errand>,
    letters: Letters,
    /// How long after an attempt in doubt a probe that says "not applied" proves it.
    settle: Duration,
    jumps: bool,
    jumps_ahead: bool,
    breaches: Vec<Breach>,
}

impl Judge<'_> {
    fn breach(&mut self, guarantee: Guarantee, what: impl Into<String>) {
        self.breaches.push(Breach { guarantee, what: what.into() });
    }

    /// What was answered is there, once.
    fn clients(&mut self, scenario: &Scenario, operations: &[(Operation, Vec<Recorded>)]) {
        let played = self.played;
        for (number, (route, submitted)) in scenario.routes.iter().zip(&played.submitted).enumerate() {
            let own: Vec<&Operation> = operations
                .iter()
                .map(|(operation, _)| operation)
                .filter(|operation| number_of(operation) == Some(number))
                .collect();
            match submitted {
                Submitted::Accepted(id) if !own.iter().any(|operation| operation.id == *id) => {
                    self.breach(Guarantee::G1, format!("{id} was accepted and is not there"));
                }
                Submitted::InDoubt { at, life } => self.doubtful(*at, *life, &own),
                Submitted::Accepted(_) | Submitted::No | Submitted::Refused => {}
            }
            // An acceptance in doubt is canceled when its key is freed, and a key lives as long as its operation: more than one
            // that ran is not possible.
            let by_request = own.iter().filter(|op| op.plan.retry_of.is_none() && !played.store.is_purged(op.id));
            let ran = by_request.filter(|op| op.started_at.is_some()).count();
            if ran > 1 && route.key != Key::None {
                self.breach(Guarantee::G9, format!("one request with one key became {} operations", own.len()));
            }
        }
        for wrong in &played.wrong {
            self.breach(Guarantee::G9, wrong.clone());
        }
        for wrong in self.letters.wrong.clone() {
            self.breach(Guarantee::G10, wrong);
        }
        if played.over_bound > 0 {
            self.breach(Guarantee::G8, format!("{} operations in memory beyond the bound", played.over_bound));
        }
    }

    /// Nothing is sent of what may have been accepted, by the process that said so.
    fn doubtful(&mut self, at: Duration, life: usize, own: &[&Operation]) {
        let until = self.played.lives.get(life).copied().unwrap_or(Duration::MAX);
        let calm = self.played.calm_at;
        let sent = self.seen.iter().find(|seen| {
            seen.at >= at && seen.at < until.min(calm) && own.iter().any(|operation| operation.id == seen.operation)
        });
        if let Some(sent) = sent.map(|sent| sent.operation) {
            self.breach(
                Guarantee::G1,
                format!("{sent} was sent, though its acceptance was in doubt and nobody asked again"),
            );
        }
    }

    fn operation(&mut self, route: &Route, operation: &Operation, history: &[Recorded]) {
        let id = operation.id;
        let Some(end) = operation.end() else {
            self.breach(Guarantee::G2, format!("{id} did not end: {}", operation.in_words()));
            return;
        };
        self.order(route, id);
        self.keys(id);
        let found = whole::judge(route, operation, history, self.played);
        self.breaches.extend(found);
        for (index, plan, _) in operation.indexed_steps() {
            let Some(target) = routes::target_number(&plan.target) else { continue };
            let of_step = |errand: &&Errand| errand.operation == id && errand.target == target;
            let errands = self.errands.iter().filter(of_step).cloned().collect();
            let case = Case {
                route,
                operation,
                history,
                index,
                target,
                seen: self.of(id, target),
                errands,
                settle: self.settle,
                jumps_ahead: self.jumps_ahead,
            };
            let found = case.judge(self.played);
            self.breaches.extend(found);
        }
        let claimed = operation.consistency();
        if end.consistency != claimed {
            self.breach(Guarantee::G5, format!("{id} ended `{}`, its targets say `{claimed}`", end.consistency));
        }
        let is_early = |at| operation.started_at.is_some_and(|started| started < at);
        if operation.plan.start_at.is_some_and(is_early) && !self.jumps {
            self.breach(Guarantee::G2, format!("{id} was started before its time"));
        }
        self.notices(route, id);
    }

    /// Everybody who is to be told is told, or a dead letter says so; under one id, however often.
    fn notices(&mut self, route: &Route, id: OperationId) {
        let audience = [
            (route.noticed, Audience::Dialect),
            (route.webhook == Webhook::OfRoute, Audience::Route),
            (route.webhook == Webhook::OfCaller, Audience::Caller),
        ];
        for (_, audience) in audience.into_iter().filter(|(is_wanted, _)| *is_wanted) {
            if !self.letters.has_reached(id, audience)
                && !self.is_dead(route, id)
                && !self.played.store.is_purged_dead(id)
            {
                self.breach(Guarantee::G10, format!("nobody was told of the end of {id} ({audience:?})"));
            }
            if self.letters.ids(id, audience) > 1 {
                self.breach(Guarantee::G10, format!("the end of {id} was told under several ids ({audience:?})"));
            }
        }
    }

    fn of(&self, id: OperationId, target: usize) -> Vec<Seen> {
        self.seen.iter().filter(|seen| seen.operation == id && seen.target == target).cloned().collect()
    }

    fn is_dead(&self, route: &Route, id: OperationId) -> bool {
        let (state, tenant) = (Some(NoticeState::Dead), route.tenant());
        let filter = NoticeFilter { state, tenant, operation: Some(id), ..NoticeFilter::default() };
        let dead = self.played.store.model.notices(&filter, Page::newest(1)).now_or_never();
        dead.and_then(Result::ok).is_some_and(|dead| !dead.is_empty())
    }

    /// No forward attempt after an undo, and undos in the defined order.
    fn order(&mut self, route: &Route, id: OperationId) {
        let legs: Vec<&Seen> = self.seen.iter().filter(|seen| seen.operation == id && seen.leg != Leg::Probe).collect();
        let first_undo = legs.iter().position(|seen| seen.leg == Leg::Undo).unwrap_or(legs.len());
        let late = legs[first_undo..].iter().any(|seen| seen.leg == Leg::Forward);
        let undone: Vec<usize> = legs.iter().filter(|seen| seen.leg == Leg::Undo).map(|seen| seen.target).collect();
        let in_order = match route.order {
            Order::Parallel => true,
            Order::Sequence => undone.is_sorted_by(|one, next| one >= next),
            // A canary, then the others together.
            Order::Waves => undone.iter().map(|target| usize::from(*target > 0)).is_sorted_by(|one, next| one >= next),
        };
        if late {
            self.breach(Guarantee::G4, format!("{id}: a forward attempt after an undo"));
        }
        if !in_order {
            self.breach(Guarantee::G4, format!("{id}: undos in the order {undone:?}"));
        }
    }

    /// The same key for each attempt of a step, and another one for its undo.
    fn keys(&mut self, id: OperationId) {
        let mut keys: BTreeMap<(usize, Leg), &str> = BTreeMap::new();
        let mut wrong = None;
        for seen in self.seen.iter().filter(|seen| seen.operation == id && seen.leg != Leg::Probe) {
            let key = *keys.entry((seen.target, seen.leg)).or_insert(&seen.key);
            if key != seen.key || key.is_empty() {
                wrong = Some(format!("{id}: key {} after {key}", seen.key));
            }
        }
        if let Some(wrong) = wrong {
            self.breach(Guarantee::G3, wrong);
        }
    }

    /// A retry calls what is not in the requested state, and nothing else; there is one of each operation at the most.
    fn retries(&mut self, operations: &[(Operation, Vec<Recorded>)]) {
        let played = self.played;
        for (id, _) in &played.retries {
            if !operations.iter().any(|(operation, _)| operation.id == *id) {
                self.breach(Guarantee::G1, format!("the retry {id} was accepted and is not there"));
            }
        }
        let mut retried = BTreeSet::new();
        for (retry, _) in operations {
            let Some(of) = retry.plan.retry_of else { continue };
            if !retried.insert(of) && !played.store.is_purged(of) {
                self.breach(Guarantee::G3, format!("{of} was retried twice"));
            }
            let Some((before, _)) = operations.iter().find(|(operation, _)| operation.id == of) else { continue };
            let is_forced = played.retries.contains(&(retry.id, true));
            for (_, plan, step) in before.indexed_steps() {
                let again = retry.plan.steps.iter().any(|other| other.target == plan.target);
                let allowed = match step.consistency() {
                    Consistency::Updated => false,
                    Consistency::Unknown => is_forced || !played.retries.contains(&(retry.id, false)),
                    // Where its undo failed it stands as it was requested.
                    Consistency::NotConsistent => {
                        let target = routes::target_number(&plan.target);
                        !target.is_some_and(|target| played.world.truth(target, of).stands)
                    }
                    Consistency::RolledBack => true,
                };
                if again && !allowed {
                    let what = format!("{} retries {}, which was `{}`", retry.id, plan.target, step.consistency());
                    self.breach(Guarantee::G3, what);
                }
            }
        }
    }

    /// Operations of one tenant with the same lock take turns.
    fn locks(&mut self, scenario: &Scenario, operations: &[(Operation, Vec<Recorded>)]) {
        let locked = |id: OperationId| {
            let operation = operations.iter().find(|(operation, _)| operation.id == id);
            let number = operation.and_then(|(operation, _)| number_of(operation));
            number.and_then(|number| scenario.routes.get(number)).is_some_and(|route| route.lock != Lock::None)
        };
        for tenant in routes::tenants() {
            let is_own = |id| operations.iter().any(|(operation, _)| operation.id == id && operation.tenant == tenant);
            let seen = self.seen.iter().map(|seen| seen.operation);
            let mut turns: Vec<OperationId> = seen.filter(|id| locked(*id) && is_own(*id)).collect();
            turns.dedup();
            let count = turns.len();
            turns.sort_unstable();
            turns.dedup();
            if turns.len() != count {
                self.breach(Guarantee::G6, format!("{} operations with one lock took {count} turns", turns.len()));
            }
        }
    }
}
