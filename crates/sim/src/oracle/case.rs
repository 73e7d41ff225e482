//! Judges one step of one operation.

use std::time::Duration;

use fanfold_core::operation::{
    Consistency, Event, Leg, Outcome, ProbeVerdict, Purpose, Reading, Sent, Timer, TroubleKind, UndoEnd, UndoPhase,
};
use fanfold_core::{Operation, StepIndex};
use fanfold_store::Recorded;

use super::{Breach, Guarantee};
use crate::clock;
use crate::play::Played;
use crate::routes::ATTEMPTS;
use crate::scenario::{Method, Route, Undo};
use crate::world::{Errand, Seen, Told, Truth, recorded_attempts};

/// One step of one operation.
pub(super) struct Case<'a> {
    pub(super) route: &'a Route,
    pub(super) operation: &'a Operation,
    pub(super) history: &'a [Recorded],
    pub(super) index: StepIndex,
    pub(super) target: usize,
    /// What reached its target.
    pub(super) seen: Vec<Seen>,
    /// What its target carried out on its own.
    pub(super) errands: Vec<Errand>,
    pub(super) settle: Duration,
    pub(super) jumps_ahead: bool,
}

impl Case<'_> {
    pub(super) fn judge(&self, played: &Played) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let mut breach = |guarantee, what: String| {
            let what = format!("{} at t{}: {what}", self.operation.id, self.target);
            breaches.push(Breach { guarantee, what });
        };
        if let Some(seen) = self.seen.iter().find(|seen| !seen.recorded) {
            breach(Guarantee::G3, format!("attempt {} ({:?}) was not recorded when it came", seen.attempt, seen.leg));
        }
        for leg in [Leg::Forward, Leg::Undo] {
            let attempts = recorded_attempts(self.operation, self.target, leg);
            if attempts > ATTEMPTS && !self.person_retried() {
                breach(Guarantee::G3, format!("{attempts} attempts ({leg:?})"));
            }
        }
        if let Some(what) = self.blind_repeat() {
            breach(Guarantee::G3, what);
        }
        let truth = played.world.truth(self.target, self.operation.id);
        let step = &self.operation.steps[self.index.get()];
        let false_claim = match step.consistency() {
            Consistency::Updated => !truth.stands,
            Consistency::RolledBack => truth.stands,
            Consistency::NotConsistent | Consistency::Unknown => false,
        };
        if false_claim && !self.target_said_so() && !self.found_as_before() && !self.acted_too_late(truth) {
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
            let by_person =
                self.person_retried() && (matches!(before.told, Told::Refused | Told::TakenOn) || self.person_denied());
            let safe = before.told == Told::NotTakenOn || probed || by_person;
            let what = || format!("attempt {} ({:?}) was followed by {}", before.attempt, before.told, after.attempt);
            // Nothing can guard against what a target does later, in an operation of its own that nobody knows of.
            let later = |errand: &Errand| errand.began == before.at && errand.at > before.at + self.settle;
            let in_the_dark = probed && self.errands.iter().any(later);
            ((before.applied && !in_the_dark) || !safe).then(what)
        })
    }

    /// Whether the target itself said what is claimed: then it is the target that is wrong, or it had changed before.
    fn target_said_so(&self) -> bool {
        // A `DELETE` that found nothing to delete.
        self.legs(Leg::Forward).any(|seen| seen.told == Told::Gone)
    }

    /// Whether a restore found the resource as it was before, whoever brought it back: another operation may have, that wrote
    /// the same at the same time.
    fn found_as_before(&self) -> bool {
        let of_undo = self.history.iter().rev().find_map(|recorded| match &recorded.event {
            Event::AttemptAnswered { step, leg: Leg::Undo, reading: Reading::Succeeded { .. }, .. }
                if *step == self.index =>
            {
                Some(false)
            }
            Event::ResourceRead { step, purpose: Purpose::Compare | Purpose::Settle, .. } if *step == self.index => {
                Some(true)
            }
            _ => None,
        });
        of_undo == Some(true)
    }

    /// Whether an operation of the target ended well only after it had been given up and had its time to settle, which nothing
    /// can guard against.
    fn acted_too_late(&self, truth: Truth) -> bool {
        self.errands.iter().any(|errand| {
            let given_up = self.history.iter().filter(|recorded| match &recorded.event {
                Event::TimeCame { timer: Timer::Deadline | Timer::Lower(..) } => true,
                Event::LowerEnded { step, reading: Reading::Unknown, .. }
                // The answer that took it on was lost.
                | Event::AttemptBroke { step, sent: Sent::Maybe, .. } => *step == self.index,
                _ => false,
            });
            let settled = given_up.map(|recorded| clock::since_began(recorded.at) + self.settle).min();
            truth.stands
                && truth.since == errand.at
                && (self.jumps_ahead || settled.is_some_and(|settled| errand.at > settled))
        })
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
        if let Some(what) = self.settled_by_the_last(leg) {
            return Some(format!("{leg:?}: unknown, {what}"));
        }
        let of_leg = |step: &StepIndex, of: &Leg| *step == self.index && *of == leg;
        let in_doubt = self.history.iter().any(|recorded| match &recorded.event {
            Event::AttemptBroke { step, leg, sent: Sent::Maybe, .. } => of_leg(step, leg),
            Event::AttemptAnswered { step, leg, reading: Reading::Ambiguous | Reading::Unknown, .. }
            | Event::LowerEnded { step, leg, reading: Reading::Unknown, .. } => of_leg(step, leg),
            Event::TimeCame { timer: Timer::Lower(step, leg) } => of_leg(step, leg),
            // What the target carries out on its own may go on.
            Event::TimeCame { timer: Timer::Deadline } => !self.errands.is_empty(),
            _ => false,
        });
        // What broke off in the middle of the request never reached the target as a whole.
        let started = |event: &Event| matches!(event, Event::AttemptStarted { step, leg, .. } if of_leg(step, leg));
        let broke_off =
            self.legs(leg).count() < self.history.iter().filter(|recorded| started(&recorded.event)).count();
        let open = broke_off || self.legs(leg).any(|seen| matches!(seen.told, Told::Nothing | Told::TakenOn));
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

    /// Whether the last attempt was answered, and its answer is recorded, so that nothing is in doubt any more: by a success,
    /// or because what was to be gone is gone; or whether the target said clearly how its own operation ended.
    fn settled_by_the_last(&self, leg: Leg) -> Option<&'static str> {
        let last = self.history.iter().rev().find_map(|recorded| match &recorded.event {
            Event::AttemptAnswered { step, leg: of, .. } if *step == self.index && *of == leg => Some(true),
            Event::AttemptBroke { step, leg: of, .. } if *step == self.index && *of == leg => Some(false),
            Event::LowerEnded { step, leg: of, reading: Reading::Unknown, .. } if *step == self.index && *of == leg => {
                Some(true)
            }
            _ => None,
        })?;
        let told = self.legs(leg).last().filter(|_| last)?.told;
        let deletes = match leg {
            Leg::Undo => self.route.undo == Undo::Request,
            Leg::Forward | Leg::Probe => self.route.method == Method::Delete,
        };
        match told {
            Told::Done => Some("and the last attempt succeeded"),
            Told::Gone if deletes => Some("and what was to be gone is gone"),
            Told::TakenOn if self.misread(leg) => Some("and the target's own operation ended clearly"),
            Told::TakenOn | Told::Gone | Told::Refused | Told::NotTakenOn | Told::Nothing | Told::Truth(_) => None,
        }
    }

    /// Whether a poll that told the end was recorded as one that tells nothing.
    fn misread(&self, leg: Leg) -> bool {
        let unknown = |event: &Event| {
            matches!(event, Event::LowerEnded { step, leg: of, reading: Reading::Unknown, .. }
                if *step == self.index && *of == leg)
        };
        self.history.iter().any(|recorded| unknown(&recorded.event))
            && self.errands.iter().rev().find(|errand| errand.leg == leg).is_some_and(|errand| errand.told)
    }

    /// Whether no process ended in the middle of an attempt.
    fn played_calmly(&self) -> bool {
        !self.history.iter().any(|recorded| {
            matches!(&recorded.event, Event::AttemptBroke { trouble, .. }
                if trouble.kind == TroubleKind::ProcessEnded)
        })
    }

    /// Whether the last probe told, and what it told is recorded: it may have been lost with the process.
    fn last_probe_is_clear(&self) -> bool {
        let recorded = self.history.iter().rev().find_map(|recorded| match &recorded.event {
            Event::ProbeAnswered { step, verdict, .. } if *step == self.index => {
                Some(*verdict != ProbeVerdict::Unclear)
            }
            Event::AttemptBroke { step, leg: Leg::Probe, .. } if *step == self.index => Some(false),
            _ => None,
        });
        let last = self.legs(Leg::Probe).last();
        recorded == Some(true) && last.is_some_and(|probe| matches!(probe.told, Told::Truth(_)))
    }
}
