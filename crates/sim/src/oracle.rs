//! Judges a history: what Fanfold says, against what the targets truly did.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use fanfold_core::operation::{Consistency, Event, Leg, Outcome, Reading, Sent, UndoEnd, UndoPhase};
use fanfold_core::{Operation, OperationId, StepIndex};
use fanfold_store::{
    EventNumber, Filter, LIST_MAX, NoticeFilter, NoticeState, Page, ReadHistory as _, ReadNotices as _,
    ReadOperations as _, Recorded,
};
use futures_util::FutureExt as _;

use crate::play::{Played, Submitted};
use crate::routes::{ATTEMPTS, SETTLE};
use crate::scenario::{Deed, Lock, Order, Route, Scenario};
use crate::world::{Seen, Told, recorded_attempts};

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

/// All operations of a history, with what happened to them.
pub(crate) fn operations(played: &Played) -> Vec<(Operation, Vec<Recorded>)> {
    // The model answers at once.
    let model = &played.store.model;
    let listed = model.list(&Filter::default(), Page::newest(LIST_MAX)).now_or_never();
    let operations = listed.and_then(Result::ok).unwrap_or_default();
    let with_history = operations.into_iter().map(|operation| {
        let history = model.history(operation.id, EventNumber::default(), LIST_MAX).now_or_never();
        let history = history.and_then(Result::ok).unwrap_or_default();
        (operation, history)
    });
    with_history.collect()
}

/// What is wrong about a history.
pub(crate) fn judge(scenario: &Scenario, played: &Played, operations: &[(Operation, Vec<Recorded>)]) -> Vec<Breach> {
    // A clock that jumps ahead cuts every wait short.
    let jumps = scenario.acts.iter().any(|act| matches!(act.what, Deed::Jump(millis) if millis > 0));
    let settle = if jumps { Duration::ZERO } else { SETTLE };
    let mut judge = Judge { played, seen: played.world.seen(), settle, breaches: Vec::new() };
    judge.clients(operations);
    for (operation, history) in operations {
        let number = operation.plan.route.strip_prefix('o').and_then(|number| number.parse::<usize>().ok());
        let Some(route) = number.and_then(|number| scenario.routes.get(number)) else { continue };
        judge.operation(route, operation, history);
    }
    judge.locks(scenario, operations);
    judge.breaches
}

struct Judge<'a> {
    played: &'a Played,
    seen: Vec<Seen>,
    /// How long after an attempt in doubt a probe that says "not applied" proves it.
    settle: Duration,
    breaches: Vec<Breach>,
}

impl Judge<'_> {
    fn breach(&mut self, guarantee: Guarantee, what: impl Into<String>) {
        self.breaches.push(Breach { guarantee, what: what.into() });
    }

    /// What was answered is there, once.
    fn clients(&mut self, operations: &[(Operation, Vec<Recorded>)]) {
        let played = self.played;
        for (route, submitted) in played.submitted.iter().enumerate() {
            let Submitted::Accepted(id) = submitted else { continue };
            if !operations.iter().any(|(operation, _)| operation.id == *id) {
                self.breach(Guarantee::G1, format!("{id} was accepted and is not there"));
            }
            let name = format!("o{route}");
            let count = operations.iter().filter(|(operation, _)| operation.plan.route == name).count();
            // An acceptance in doubt is canceled when its key is freed; more than one that ran is not possible.
            let ran = operations.iter().filter(|(op, _)| op.plan.route == name && op.started_at.is_some()).count();
            if ran > 1 {
                self.breach(Guarantee::G9, format!("one request with one key became {count} operations"));
            }
        }
        for wrong in &played.wrong {
            self.breach(Guarantee::G9, wrong.clone());
        }
        if played.over_bound > 0 {
            self.breach(Guarantee::G8, format!("{} operations in memory beyond the bound", played.over_bound));
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
        for (index, _, _) in operation.indexed_steps() {
            let case = Case { route, operation, history, index, seen: self.of(id, index), settle: self.settle };
            let found = case.judge(self.played);
            self.breaches.extend(found);
        }
        let claimed = operation.consistency();
        if end.consistency != claimed {
            self.breach(Guarantee::G5, format!("{id} ended `{}`, its targets say `{claimed}`", end.consistency));
        }
        if route.noticed && !self.played.world.is_told(id) && !self.is_dead(id) {
            self.breach(Guarantee::G10, format!("nobody was told of the end of {id}"));
        }
    }

    fn of(&self, id: OperationId, index: StepIndex) -> Vec<Seen> {
        self.seen.iter().filter(|seen| seen.operation == id && seen.target == index.get()).cloned().collect()
    }

    fn is_dead(&self, id: OperationId) -> bool {
        let filter = NoticeFilter { state: Some(NoticeState::Dead), operation: Some(id), ..NoticeFilter::default() };
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

    /// Operations with the same lock take turns.
    fn locks(&mut self, scenario: &Scenario, operations: &[(Operation, Vec<Recorded>)]) {
        let locked = |id: OperationId| {
            let operation = operations.iter().find(|(operation, _)| operation.id == id);
            let number =
                operation.and_then(|(operation, _)| operation.plan.route.strip_prefix('o')?.parse::<usize>().ok());
            number.and_then(|number| scenario.routes.get(number)).is_some_and(|route| route.lock != Lock::None)
        };
        let mut turns: Vec<OperationId> =
            self.seen.iter().filter(|seen| locked(seen.operation)).map(|seen| seen.operation).collect();
        turns.dedup();
        let count = turns.len();
        turns.sort_unstable();
        turns.dedup();
        if turns.len() != count {
            self.breach(Guarantee::G6, format!("{} operations with one lock took {count} turns", turns.len()));
        }
    }
}

/// One step of one operation.
struct Case<'a> {
    route: &'a Route,
    operation: &'a Operation,
    history: &'a [Recorded],
    index: StepIndex,
    /// What reached its target.
    seen: Vec<Seen>,
    settle: Duration,
}

impl Case<'_> {
    fn judge(&self, played: &Played) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let mut breach = |guarantee, what: String| {
            let what = format!("{} at t{}: {what}", self.operation.id, self.index);
            breaches.push(Breach { guarantee, what });
        };
        if let Some(seen) = self.seen.iter().find(|seen| !seen.recorded) {
            breach(Guarantee::G3, format!("attempt {} ({:?}) was not recorded when it came", seen.attempt, seen.leg));
        }
        for leg in [Leg::Forward, Leg::Undo] {
            let attempts = recorded_attempts(self.operation, self.index.get(), leg);
            if attempts > ATTEMPTS && !self.person_retried() {
                breach(Guarantee::G3, format!("{attempts} attempts ({leg:?})"));
            }
        }
        if let Some(what) = self.blind_repeat() {
            breach(Guarantee::G3, what);
        }
        let truth = played.world.truth(self.index.get(), self.operation.id);
        let step = &self.operation.steps[self.index.get()];
        let false_claim = match step.consistency() {
            Consistency::Updated => !truth.stands,
            Consistency::RolledBack => truth.stands,
            Consistency::NotConsistent | Consistency::Unknown => false,
        };
        if false_claim && !self.target_said_so() {
            breach(Guarantee::G5, format!("`{}`, but the truth is {truth:?}", step.consistency()));
        }
        if let Some(what) = self.needless_unknown() {
            breach(Guarantee::G5, what);
        }
        breaches
    }

    fn legs(&self, leg: Leg) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(move |seen| seen.leg == leg)
    }

    /// Whether a person found that it had not been applied.
    fn person_denied(&self) -> bool {
        let denied =
            |event: &Event| matches!(event, Event::PersonResolved { step, applied: false, .. } if *step == self.index);
        self.history.iter().any(|recorded| denied(&recorded.event))
    }

    fn person_retried(&self) -> bool {
        self.history.iter().any(|recorded| matches!(recorded.event, Event::PersonChose { .. }))
    }

    /// What may have been applied is sent again only where that is safe, or where the target said that it was not.
    fn blind_repeat(&self) -> Option<String> {
        if self.route.is_repeatable() {
            return None;
        }
        let attempts: Vec<&Seen> = self.legs(Leg::Forward).collect();
        attempts.windows(2).find_map(|pair| {
            let (before, after) = (pair[0], pair[1]);
            let probed = self.legs(Leg::Probe).any(|probe| {
                probe.told == Told::Truth(false) && probe.at >= before.at + self.settle && probe.at <= after.at
            });
            let by_person = self.person_retried() && (before.told == Told::Refused || self.person_denied());
            let safe = before.told == Told::NotTakenOn || probed || by_person;
            let what = || format!("attempt {} ({:?}) was followed by {}", before.attempt, before.told, after.attempt);
            (before.applied || !safe).then(what)
        })
    }

    /// Whether the target itself said what is claimed: then it is the target that is wrong, or it had changed before.
    fn target_said_so(&self) -> bool {
        // A `DELETE` that found nothing to delete; or a restore that found the old state.
        self.legs(Leg::Forward).any(|seen| seen.told == Told::Gone)
    }

    fn needless_unknown(&self) -> Option<String> {
        let step = &self.operation.steps[self.index.get()];
        let undo = step.undo.as_ref().map(|undo| &undo.phase);
        let leg = if step.outcome() == Some(Outcome::Unknown) {
            Leg::Forward
        } else if undo == Some(&UndoPhase::Ended(UndoEnd::Unknown)) {
            Leg::Undo
        } else {
            return None;
        };
        let in_doubt = self.history.iter().any(|recorded| match &recorded.event {
            Event::AttemptBroke { step, leg: of, sent: Sent::Maybe, .. } => *step == self.index && *of == leg,
            Event::AttemptAnswered { step, leg: of, reading: Reading::Ambiguous | Reading::Unknown, .. } => {
                *step == self.index && *of == leg
            }
            _ => false,
        });
        // What broke off in the middle of the request never reached the target as a whole.
        let reached = u32::try_from(self.legs(leg).count()).unwrap_or(u32::MAX);
        let broke_off = reached < recorded_attempts(self.operation, self.index.get(), leg);
        let open = broke_off || self.legs(leg).any(|seen| seen.told == Told::Nothing);
        if !in_doubt {
            return Some(format!("{leg:?}: unknown, and nothing was in doubt"));
        }
        if self.played_calmly() && !open {
            return Some(format!("{leg:?}: unknown, and the target had answered everything clearly"));
        }
        let probed = self.legs(Leg::Probe).any(|probe| matches!(probe.told, Told::Truth(_)));
        // One that says "not applied" too early proves nothing, but then it is asked again.
        (leg == Leg::Forward && probed && self.last_probe_is_clear())
            .then(|| "unknown, and a probe had told the truth".to_owned())
    }

    /// Whether no process ended in the middle of an attempt.
    fn played_calmly(&self) -> bool {
        !self.history.iter().any(|recorded| {
            matches!(&recorded.event, Event::AttemptBroke { trouble, .. }
                if trouble.kind == fanfold_core::operation::TroubleKind::ProcessEnded)
        })
    }

    fn last_probe_is_clear(&self) -> bool {
        let last = self.legs(Leg::Probe).last();
        last.is_some_and(|probe| matches!(probe.told, Told::Truth(_)))
            && self.history.iter().any(|recorded| {
                matches!(recorded.event, Event::ProbeAnswered { verdict, step, .. }
                if step == self.index && verdict != fanfold_core::operation::ProbeVerdict::Unclear)
            })
    }
}
