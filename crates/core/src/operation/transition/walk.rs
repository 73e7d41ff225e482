//! Goal: no reachable state is stuck, ended operations stay as they are, and G3 (repeats), G4 and G5 hold.
//! Method: a breadth-first walk over every state that small plans can reach, taking every event that can happen in each. Beside the
//! operation each state carries what could really be the case at each target ("worlds"); every claim is compared with it.
#![expect(clippy::wildcard_enum_match_arm, reason = "what a target does depends on few of the events")]

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;

use super::fixtures::{CONNECT, RESPONSE, SETTLE, Sketch, answer, at, delete, request};
use super::table::Table;
use super::transition;
use crate::operation::{
    Choice, Consistency, Context, Effect, Event, Found, Gate, Image, Leg, Outcome, ProbeVerdict, Probing, Purpose,
    Reading, Send, Sent, Stage, Status, StepPhase, Timer, Trouble, TroubleKind, UndoEnd, UndoPhase, Work,
};
use crate::plan::{OnFailure, OnUndoFailure, OnUnknown, Order, Require, UndoRule, is_repeatable};
use crate::{Operation, StepIndex};

/// What a target's data may really be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum World {
    Old,
    New,
    Neither,
}

type Worlds = BTreeSet<World>;

#[derive(Clone)]
struct Node {
    op: Operation,
    worlds: Vec<Worlds>,
    /// Until when each target may still act on what it was asked, though nobody saw its answer.
    acts_until: Vec<jiff::Timestamp>,
}

impl Node {
    fn key(&self) -> u64 {
        let mut op = self.op.clone();
        op.updated_at = at(0);
        let mut hasher = DefaultHasher::new();
        format!("{:?}{:?}{:?}{:?}", op.stage, op.steps, op.deadline, op.restored).hash(&mut hasher);
        self.worlds.hash(&mut hasher);
        self.acts_until.hash(&mut hasher);
        hasher.finish()
    }
}

fn trouble() -> Trouble {
    Trouble { kind: TroubleKind::Broken, detail: "test".into() }
}

fn now(seconds: i64) -> Context {
    Context { now: at(seconds), jitter: 0.5 }
}

/// Every event that can happen in this state, and when.
fn possible(op: &Operation, sketch: &Sketch) -> Vec<(Event, Context)> {
    let mut events = vec![(Event::CancelRequested { by: "walk".into() }, now(0))];
    if op.restored.is_some() {
        events.push((Event::RestoreReleased { by: "walk".into(), remark: None }, now(0)));
        return events;
    }
    if sketch.restored {
        events.push((Event::Restored { as_of: at(0) }, now(0)));
    }
    for work in op.work() {
        work_events(op, sketch, &work, &mut events);
    }
    for (step, leg) in op.calling() {
        call_events(sketch, step, leg, &mut events);
    }
    events
}

fn work_events(op: &Operation, sketch: &Sketch, work: &Work, events: &mut Vec<(Event, Context)>) {
    match *work {
        Work::AwaitLock => events.push((Event::LockGranted, now(0))),
        Work::Dispatch => events.push((Event::Dispatched, now(0))),
        Work::Send { step, leg, .. } => {
            let request = (leg != Leg::Forward).then(|| request(undo_method(op, step)));
            let started = Event::AttemptStarted { step, leg, request };
            // Only the first probe may be asked before the target has settled: later ones have waited for it.
            let early = leg != Leg::Probe || op.steps[step.get()].probes == 0;
            if early {
                events.push((started.clone(), now(0)));
            }
            if leg == Leg::Probe {
                let late = jiff::SignedDuration::try_from(SETTLE).unwrap();
                let settled = op.steps[step.get()].course.tainted_at.unwrap_or(at(0)) + late;
                events.push((started, Context { now: settled, jitter: 0.5 }));
            }
            if leg == Leg::Undo && op.steps[step.get()].undo.as_ref().unwrap().request.is_none() {
                events.push((Event::UndoNotRendered { step, trouble: trouble() }, now(0)));
            }
            gate_events(sketch, step, leg, events);
        }
        Work::Read { step, purpose, .. } => {
            let deletes = op.plan.steps[step.get()].request.method == http::Method::DELETE;
            read_events(step, purpose, deletes, events);
            gate_events(sketch, step, purpose.leg(), events);
        }
        Work::Follow { step, leg } => {
            let troubles = if sketch.polls { vec![None, Some(trouble())] } else { Vec::new() };
            events.extend(troubles.into_iter().map(|trouble| (Event::PollsChanged { step, leg, trouble }, now(0))));
            gate_events(sketch, step, leg, events);
            for reading in [
                Reading::Succeeded { etag: None },
                Reading::NotApplied,
                Reading::NotConsistent,
                Reading::Unknown,
                Reading::Ambiguous,
            ] {
                let ended = Event::LowerEnded { step, leg, answer: answer(200), reading, trouble: None };
                events.push((ended, now(0)));
            }
        }
        Work::Wait { timer, until } => events.push((Event::TimeCame { timer }, Context { now: until, jitter: 0.5 })),
        Work::Compose => events.push((Event::ResponseComposed { response: answer(200) }, now(0))),
        Work::AwaitPerson { step: Some(step) } => {
            for applied in [true, false] {
                events.push((Event::PersonResolved { step, applied, by: "ann".into(), remark: None }, now(0)));
            }
        }
        Work::AwaitPerson { step: None } => {
            for choice in [Choice::Retry, Choice::RollBack, Choice::EndAsItIs] {
                events.push((Event::PersonChose { choice, by: "ann".into(), remark: None }, now(0)));
            }
        }
        Work::CancelLower { .. } => {}
    }
}

fn gate_events(sketch: &Sketch, step: StepIndex, leg: Leg, events: &mut Vec<(Event, Context)>) {
    if sketch.gates {
        let gates = [Gate::Permit, Gate::Breaker, Gate::Held, Gate::Missing];
        events.extend(gates.map(|gate| (Event::GateChanged { step, leg, gate }, now(0))));
    }
}

fn undo_method(op: &Operation, step: StepIndex) -> http::Method {
    let policy = op.plan.step_policy(step);
    match &policy.undo {
        Some(UndoRule::Request(template)) => template.method.clone().unwrap_or_default().parse().unwrap(),
        Some(UndoRule::Restore) | None => match op.steps[step.get()].before {
            Some(Image::Absent) => http::Method::DELETE,
            Some(Image::Present { .. }) | None => http::Method::PUT,
        },
    }
}

fn call_events(sketch: &Sketch, step: StepIndex, leg: Leg, events: &mut Vec<(Event, Context)>) {
    for sent in [Sent::No, Sent::Maybe] {
        events.push((Event::AttemptBroke { step, leg, sent, trouble: trouble() }, now(0)));
    }
    if leg == Leg::Probe {
        for verdict in [ProbeVerdict::Applied, ProbeVerdict::NotApplied, ProbeVerdict::Unclear] {
            events.push((Event::ProbeAnswered { step, verdict, answer: answer(200), retry_after: None }, now(0)));
        }
        return;
    }
    let mut readings = vec![
        Reading::Succeeded { etag: None },
        Reading::Succeeded { etag: Some("\"2\"".into()) },
        Reading::NotTakenOn { retry_after: None },
        Reading::NotApplied,
        Reading::PreconditionFailed,
        Reading::Gone,
        Reading::NotConsistent,
        Reading::Ambiguous,
        Reading::Unknown,
    ];
    if sketch.lower {
        readings.push(Reading::LowerAccepted { reference: "lower".into() });
    }
    for reading in readings {
        events.push((Event::AttemptAnswered { step, leg, answer: answer(200), reading, trouble: None }, now(0)));
    }
}

fn image(etag: Option<&str>, digest: &str) -> Found {
    let etag = etag.map(str::to_owned);
    Found::Image(Image::Present { etag, digest: Some(digest.to_owned()), content_type: None })
}

/// Before the change the resource is "old" or not there; after it, "new"; before the undo it may be any of these, or somebody else's.
fn read_events(step: StepIndex, purpose: Purpose, deletes: bool, events: &mut Vec<(Event, Context)>) {
    let mut found =
        vec![Found::Failed { trouble: trouble(), retry_after: None }, Found::Unusable { trouble: trouble() }];
    match purpose {
        // Nothing there and nothing to delete would make "old" and "new" the same thing.
        Purpose::Before if deletes => found.extend([image(Some("\"1\""), "old"), image(None, "old")]),
        Purpose::Before => found.extend([Found::Image(Image::Absent), image(Some("\"1\""), "old"), image(None, "old")]),
        Purpose::After => found.extend([image(Some("\"2\""), "new"), image(None, "new")]),
        Purpose::Compare | Purpose::Settle => {
            found.extend([Found::Image(Image::Absent), image(None, "old"), image(None, "new"), image(None, "other")]);
        }
    }
    events.extend(found.into_iter().map(|found| (Event::ResourceRead { step, purpose, found }, now(0))));
}

/// What the event makes possible at the target, by what targets really do, without looking at what was decided.
fn worlds_after(node: &Node, event: &Event, next: &Operation) -> Vec<Worlds> {
    let mut worlds = node.worlds.clone();
    let set = |world| BTreeSet::from([world]);
    let mut answered = |step: StepIndex, leg: Leg, reading: &Reading, deletes: bool| {
        let (goal, worlds) = match leg {
            Leg::Undo => (World::Old, &mut worlds[step.get()]),
            Leg::Forward | Leg::Probe => (World::New, &mut worlds[step.get()]),
        };
        match reading {
            Reading::Succeeded { .. } => *worlds = set(goal),
            Reading::NotConsistent => *worlds = set(World::Neither),
            Reading::Ambiguous | Reading::Unknown => {
                worlds.insert(goal);
            }
            // A `DELETE` that finds nothing: it is gone, by an earlier attempt of ours where one is in doubt.
            Reading::Gone if deletes && (leg == Leg::Undo || worlds.len() > 1) => *worlds = set(goal),
            Reading::Gone
            | Reading::NotTakenOn { .. }
            | Reading::NotApplied
            | Reading::PreconditionFailed
            | Reading::LowerAccepted { .. } => {}
        }
    };
    match event {
        Event::AttemptAnswered { step, leg, reading, .. } | Event::LowerEnded { step, leg, reading, .. } => {
            let method = match leg {
                Leg::Undo => &node.op.steps[step.get()].undo.as_ref().unwrap().request.as_ref().unwrap().method,
                Leg::Forward | Leg::Probe => &node.op.plan.steps[step.get()].request.method,
            };
            answered(*step, *leg, reading, *method == http::Method::DELETE);
        }
        Event::AttemptBroke { step, leg: leg @ (Leg::Forward | Leg::Undo), sent: Sent::Maybe, .. } => {
            answered(*step, *leg, &Reading::Ambiguous, false);
        }
        Event::TimeCame { timer: Timer::Lower(step, leg) } => answered(*step, *leg, &Reading::Unknown, false),
        Event::TimeCame { timer: Timer::Deadline } => {
            for (index, step) in node.op.steps.iter().enumerate() {
                if matches!(step.phase, StepPhase::Sending(Send::Following(_))) {
                    worlds[index].insert(World::New);
                }
            }
        }
        Event::ProbeAnswered { step, verdict: ProbeVerdict::Applied, .. } => worlds[step.get()] = set(World::New),
        Event::ProbeAnswered { step, verdict: ProbeVerdict::NotApplied, .. } => {
            let StepPhase::Probing(Probing::Calling { since }) = node.op.steps[step.get()].phase else { panic!() };
            if since >= node.acts_until[step.get()] {
                worlds[step.get()] = set(World::Old);
            }
        }
        Event::PersonResolved { step, applied, .. } => {
            worlds[step.get()] = set(if *applied { World::New } else { World::Old });
        }
        Event::ResourceRead { step, purpose: Purpose::Compare | Purpose::Settle, found: Found::Image(found) } => {
            let before = node.op.steps[step.get()].before.as_ref();
            let old = match (found, before) {
                (Image::Absent, Some(Image::Absent)) => true,
                (Image::Present { digest, .. }, Some(Image::Present { digest: old, .. })) => digest == old,
                (Image::Absent | Image::Present { .. }, _) => false,
            };
            let other = matches!(found, Image::Present { digest: Some(digest), .. } if digest == "other");
            if old {
                worlds[step.get()] = set(World::Old);
            } else if other && node.op.steps[step.get()].phase == StepPhase::Ended(Outcome::Succeeded) {
                worlds[step.get()] = set(World::Neither);
            }
        }
        _ => {}
    }
    // What is given up may have gone on after the backup was made.
    if node.op.restored.is_some() && matches!(event, Event::CancelRequested { .. }) {
        for (index, (before, after)) in node.op.steps.iter().zip(&next.steps).enumerate() {
            if before != after {
                worlds[index] = BTreeSet::from([World::Old, World::New, World::Neither]);
            }
        }
    }
    // A conflict leaves somebody else's representation in place.
    for (index, step) in next.steps.iter().enumerate() {
        let conflict = step.undo.as_ref().is_some_and(|undo| undo.phase == UndoPhase::Ended(UndoEnd::Conflict));
        if conflict && step.phase == StepPhase::Ended(Outcome::Succeeded) {
            worlds[index] = set(World::Neither);
        }
    }
    worlds
}

/// Until when targets may still act after the event: one whose answer was not seen takes as long for it as it ever may, and as
/// long as it has to settle after it. All attempts of the walk begin at its beginning.
fn acts_until_after(node: &Node, event: &Event) -> Vec<jiff::Timestamp> {
    let late = |span: std::time::Duration| at(i64::try_from(span.as_secs()).unwrap());
    let (step, until) = match event {
        Event::AttemptBroke { step, leg: Leg::Forward, sent: Sent::Maybe, .. } => {
            (step, late(CONNECT + RESPONSE + SETTLE))
        }
        Event::AttemptAnswered { step, leg: Leg::Forward, reading: Reading::Ambiguous | Reading::Unknown, .. }
        | Event::LowerEnded { step, leg: Leg::Forward, reading: Reading::Ambiguous | Reading::Unknown, .. } => {
            (step, late(SETTLE))
        }
        _ => return node.acts_until.clone(),
    };
    let mut acts_until = node.acts_until.clone();
    acts_until[step.get()] = acts_until[step.get()].max(until);
    acts_until
}

fn check_start(node: &Node, event: &Event) {
    let Event::AttemptStarted { step, leg, .. } = event else { return };
    let op = &node.op;
    let planned = &op.plan.steps[step.get()];
    let doubt = &op.steps[step.get()].course.tainted_at;
    match leg {
        Leg::Forward => {
            assert!(doubt.is_none() || is_repeatable(&planned.request.method), "G3: repeated blindly: {op:#?}");
            let undone = op.steps.iter().flat_map(|step| &step.undo).any(|undo| undo.course.attempts > 0);
            assert!(!undone, "G4: a forward attempt after an undo: {op:#?}");
            for (index, other, state) in op.indexed_steps() {
                let ended = matches!(state.phase, StepPhase::Ended(_));
                assert!(other.wave >= planned.wave || ended, "step {index} of an earlier wave has not ended: {op:#?}");
            }
        }
        Leg::Undo => {
            for (_, other, state) in op.indexed_steps() {
                let open = state.undo.as_ref().is_some_and(|undo| !matches!(undo.phase, UndoPhase::Ended(_)));
                assert!(other.wave <= planned.wave || !open, "an undo of a later wave is open: {op:#?}");
                assert!(matches!(state.phase, StepPhase::Ended(_)), "undo before every step has an outcome: {op:#?}");
            }
        }
        Leg::Probe => assert!(doubt.is_some(), "a probe without doubt: {op:#?}"),
    }
}

fn check_end(node: &Node, sketch: &Sketch) {
    let op = &node.op;
    let Stage::Ended { end, .. } = &op.stage else { return };
    let all = |world| node.worlds.iter().all(|worlds| *worlds == BTreeSet::from([world]));
    let context = || format!("{} {:?} {op:#?}", sketch.name, node.worlds);
    match end.consistency {
        Consistency::RolledBack => assert!(all(World::Old), "G5: not all are old: {}", context()),
        Consistency::Updated => assert!(all(World::New), "G5: not all are new: {}", context()),
        Consistency::NotConsistent => {
            assert!(node.worlds.iter().all(|worlds| worlds.len() == 1), "G5: something is unknown: {}", context());
            assert!(!all(World::Old), "all are old: {}", context());
        }
        Consistency::Unknown => {
            // Where the outcome was unknown and the undo failed, "unknown" is claimed whatever the undo's answer tells.
            let doubted = op.steps.iter().any(|step| step.phase == StepPhase::Ended(Outcome::Unknown));
            assert!(doubted || node.worlds.iter().any(|worlds| worlds.len() > 1), "all is known: {}", context());
        }
    }
    if end.status == Status::Completed {
        let succeeded = op.steps.iter().filter(|step| step.phase == StepPhase::Ended(Outcome::Succeeded)).count();
        assert!(succeeded >= op.plan.required(), "completed without enough: {}", context());
    }
}

#[derive(Default)]
struct Seen {
    states: usize,
    transitions: usize,
    ends: BTreeSet<(Status, Consistency)>,
}

fn walk(sketch: &Sketch, table: &mut Table) -> Seen {
    let op = sketch.operation();
    let worlds = vec![BTreeSet::from([World::Old]); op.steps.len()];
    let acts_until = vec![at(0); op.steps.len()];
    let start = Node { op, worlds, acts_until };
    let mut known = HashSet::from([start.key()]);
    let mut open = VecDeque::from([start]);
    let mut seen = Seen::default();
    while let Some(node) = open.pop_front() {
        seen.states += 1;
        if let Stage::Ended { end, .. } = &node.op.stage {
            check_end(&node, sketch);
            seen.ends.insert((end.status, end.consistency));
            assert_eq!(node.op.work(), [], "an ended operation has work");
            for (event, context) in
                [(Event::CancelRequested { by: "late".into() }, now(9)), (Event::Dispatched, now(9))]
            {
                assert!(transition(&node.op, event, context).is_err(), "an ended operation changed");
            }
            continue;
        }
        let stuck = node.op.work().is_empty() && node.op.calling().is_empty();
        assert!(!stuck, "stuck: {}: {:#?}", sketch.name, node.op);
        check_no_forward_in_rollback(&node.op);
        check_nothing_follows_while_restored(&node.op, sketch);
        for (event, context) in possible(&node.op, sketch) {
            seen.transitions += 1;
            check_start(&node, &event);
            let taken = transition(&node.op, event.clone(), context);
            let (op, effects) = taken.unwrap_or_else(|error| panic!("{error}: {event:?} in {:#?}", node.op));
            check_effects(&node.op, &op, &effects, sketch);
            table.record(&node.op, &event, &op);
            let worlds = worlds_after(&node, &event, &op);
            let acts_until = acts_until_after(&node, &event);
            let next = Node { op, worlds, acts_until };
            if known.insert(next.key()) {
                open.push_back(next);
            }
        }
    }
    seen
}

/// Whatever could happen to the operation if it had not been restored cannot happen to it now.
fn check_nothing_follows_while_restored(op: &Operation, sketch: &Sketch) {
    if op.restored.is_none() {
        return;
    }
    assert_eq!((op.work(), op.calling()), (vec![Work::AwaitPerson { step: None }], Vec::new()));
    let as_in_the_backup = Operation { restored: None, ..op.clone() };
    for (event, context) in possible(&as_in_the_backup, sketch) {
        if !matches!(event, Event::CancelRequested { .. }) {
            assert!(transition(op, event, context).is_err(), "it is carried on before it is released: {op:#?}");
        }
    }
}

fn check_no_forward_in_rollback(op: &Operation) {
    if matches!(op.stage, Stage::RollingBack { .. } | Stage::Finishing(_) | Stage::Deciding { .. }) {
        for (step, _, _) in op.indexed_steps() {
            let started = Event::AttemptStarted { step, leg: Leg::Forward, request: None };
            assert!(transition(op, started, now(0)).is_err(), "G4: a forward attempt may start: {op:#?}");
        }
    }
}

fn check_effects(before: &Operation, after: &Operation, effects: &[Effect], sketch: &Sketch) {
    let ended = matches!(after.stage, Stage::Ended { .. });
    let finishes = effects.iter().filter(|effect| **effect == Effect::Finish).count();
    assert_eq!(finishes, usize::from(ended), "exactly one finish");
    let releases = effects.iter().filter(|effect| **effect == Effect::ReleaseLock).count();
    assert_eq!(releases, usize::from(ended && sketch.lock), "the lock is released at the end, once");
    for effect in effects {
        if let Effect::Begin(work) = effect {
            assert!(after.work().contains(work) && !before.work().contains(work));
        }
    }
    for (step, _, _) in after.indexed_steps() {
        for leg in [Leg::Forward, Leg::Undo, Leg::Probe] {
            let left =
                before.due_gate(step, leg) == Some(Gate::Missing) && after.due_gate(step, leg) != Some(Gate::Missing);
            let closed = effects
                .iter()
                .any(|effect| matches!(effect, Effect::CloseAttention { step: at, .. } if *at == Some(step)));
            assert!(!left || closed, "a note about a missing target outlives its reason: {after:#?}");
        }
    }
    if let (Stage::Finishing(end), false) = (&after.stage, matches!(before.stage, Stage::Finishing(_))) {
        let noted = effects.iter().any(|effect| matches!(effect, Effect::OpenAttention(_)));
        let chosen = sketch.on_failure == OnFailure::Hold;
        let quorum = sketch.require != Require::All;
        let clean = matches!(end.consistency, Consistency::RolledBack | Consistency::Updated);
        assert!(clean || noted || chosen || quorum, "an unclean end without attention: {after:#?}");
    }
}

fn sketches() -> Vec<Sketch> {
    let base = Sketch::default();
    let put = http::Method::PUT;
    let post_undo = UndoRule::Request(Box::new(crate::plan::RequestTemplate {
        method: Some("POST".into()),
        ..crate::plan::RequestTemplate::default()
    }));
    vec![
        Sketch { name: "parallel POST", ..base.clone() },
        Sketch { name: "no undo", undo: None, ..base.clone() },
        Sketch {
            name: "one target",
            targets: 1,
            probe: true,
            lower: true,
            gates: true,
            attempts: 3,
            restored: false,
            ..base.clone()
        },
        Sketch { name: "gates", targets: 1, lower: true, gates: true, attempts: 1, ..base.clone() },
        Sketch { name: "PUT, repeated", method: put.clone(), undo: Some(post_undo), ..base.clone() },
        Sketch { name: "DELETE", method: http::Method::DELETE, ..base.clone() },
        Sketch { name: "unknown: undo", on_unknown: OnUnknown::Undo, attempts: 1, ..base.clone() },
        Sketch { name: "unknown: hold", on_unknown: OnUnknown::Hold, ..base.clone() },
        Sketch { name: "probe", probe: true, attempts: 1, ..base.clone() },
        Sketch { name: "probe, then hold", probe: true, targets: 1, on_unknown: OnUnknown::Hold, ..base.clone() },
        Sketch { name: "lower operations", lower: true, polls: true, attempts: 1, ..base.clone() },
        Sketch { name: "sequence", order: Order::Sequence, targets: 3, attempts: 1, ..base.clone() },
        Sketch {
            name: "canary",
            order: Order::Waves(vec![1]),
            targets: 3,
            attempts: 1,
            method: put.clone(),
            ..base.clone()
        },
        Sketch {
            name: "waves with a quorum",
            order: Order::Waves(vec![1, 1]),
            targets: 3,
            require: Require::AtLeast(1),
            wave_failures: 1,
            attempts: 1,
            ..base.clone()
        },
        Sketch { name: "quorum", targets: 3, require: Require::AtLeast(2), attempts: 1, ..base.clone() },
        Sketch { name: "failure: hold", on_failure: OnFailure::Hold, attempts: 1, ..base.clone() },
        Sketch { name: "restore PUT", method: put.clone(), undo: Some(UndoRule::Restore), attempts: 1, ..base.clone() },
        Sketch {
            name: "restore PUT, undo repeated",
            method: put.clone(),
            undo: Some(UndoRule::Restore),
            order: Order::Sequence,
            attempts: 1,
            undo_attempts: 2,
            restored: false,
            ..base.clone()
        },
        Sketch {
            name: "restore PUT, gates",
            method: put.clone(),
            undo: Some(UndoRule::Restore),
            order: Order::Sequence,
            gates: true,
            attempts: 1,
            restored: false,
            ..base.clone()
        },
        Sketch {
            name: "restore DELETE",
            method: http::Method::DELETE,
            undo: Some(UndoRule::Restore),
            attempts: 1,
            ..base.clone()
        },
        Sketch {
            name: "restore, unknown: undo",
            method: http::Method::PATCH,
            undo: Some(UndoRule::Restore),
            on_unknown: OnUnknown::Undo,
            attempts: 1,
            ..base.clone()
        },
        Sketch {
            name: "lock, schedule, hold of the target",
            lock: true,
            scheduled: true,
            on_undo_failure: OnUndoFailure::Hold,
            undo: Some(delete()),
            attempts: 1,
            ..base
        },
    ]
}

/// Tells how far the walk went even if the test passes: the test runner keeps back only what is printed by macros.
fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error is open");
}

#[test]
fn every_reachable_state_of_small_plans_is_sound() {
    let (mut states, mut transitions, mut ends) = (0, 0, BTreeSet::new());
    let mut table = Table::default();
    for sketch in sketches() {
        let seen = walk(&sketch, &mut table);
        tell(&format!("walk: {:<40} {:>8} states {:>9} transitions", sketch.name, seen.states, seen.transitions));
        states += seen.states;
        transitions += seen.transitions;
        ends.extend(seen.ends);
    }
    tell(&format!("walk: {states} states visited, {transitions} transitions taken, ends: {ends:?}"));
    for status in [Status::Completed, Status::Failed, Status::Canceled] {
        assert!(ends.iter().any(|(end, _)| *end == status), "no walk ended {status}");
    }
    table.compare_with_documents();
    for consistency in [Consistency::RolledBack, Consistency::Updated, Consistency::NotConsistent, Consistency::Unknown]
    {
        assert!(ends.iter().any(|(_, end)| *end == consistency), "no walk ended {consistency}");
    }
}
