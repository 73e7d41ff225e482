//! Random acceptances and random next states. A store takes any state, so these follow no rules but those of the store.

use std::time::Duration;

use bytes::Bytes;
use fanfold_core::operation::{
    Cause, Course, Gate, Leg, LockState, Probing, Reading, Restored, Send, Stage, Status, StepPhase, Timer, Trouble,
    TroubleKind, Undo, UndoPhase,
};
use fanfold_core::plan::{DialectName, Front, Lock, OnLocked, Verb};
use fanfold_core::{Answer, Body, Content, Effect, Event, Operation, Plan, Slot, StepIndex};
use jiff::Timestamp;

use super::generator::Generator;
use crate::contract::fixtures::{acceptance, answer, ended, note, notice, plan, policy, request};
use crate::{Acceptance, Commit, IdempotencyKey, NewNotice};

/// Small, at the bound or large.
fn octets(generator: &mut Generator) -> Bytes {
    let length = generator.one_of(&[0, 3, 64, 65, 200]);
    let fill = generator.one_of(b"abcde\xff");
    vec![fill; length].into()
}

fn random_answer(generator: &mut Generator) -> Answer {
    answer(generator.one_of(&[200, 201, 404, 500]), octets(generator))
}

fn step(generator: &mut Generator) -> StepIndex {
    StepIndex(generator.one_of(&[0, 1]))
}

fn random_plan(generator: &mut Generator) -> Plan {
    let retention = generator.one_of(&[600, 3_600, 100_000]);
    let mut plan = Plan {
        route: generator.one_of(&["create", "Change", "remove"]).to_owned(),
        front: Front {
            dialect: generator.one_of(&[DialectName::Native, DialectName::Msf, DialectName::Plas]),
            mount: generator.one_of(&["", "/v1", "/p"]).to_owned(),
            ..plan().front
        },
        verb: generator.one_of(&[Verb::Create, Verb::Update, Verb::Delete, Verb::Action]),
        resource: format!("/v1/things/{}", generator.below(5)),
        request: request("/v1/things", octets(generator)),
        policy: policy(&["tokyo", "osaka"], Duration::from_secs(retention)),
        ..plan()
    };
    plan.steps[0].request.body = Body(Content::Same(Slot::Request));
    plan.steps[1].request.body = Body::inline(octets(generator));
    if generator.once_in(6) {
        plan.steps.pop();
    }
    plan.lock = generator.perhaps(2, |generator| Lock {
        key: format!("lock/{}", generator.below(5)),
        on_locked: generator.one_of(&[OnLocked::Reject, OnLocked::Queue, OnLocked::Queue]),
    });
    plan.start_at = generator.perhaps(5, Generator::soon);
    plan.retry_of = generator.perhaps(6, Generator::operation).flatten();
    plan
}

pub(super) fn key(generator: &mut Generator) -> IdempotencyKey {
    IdempotencyKey { key: format!("key/{}", generator.below(60)), fingerprint: [generator.one_of(&[1, 2]); 32] }
}

pub(super) fn random_acceptance(generator: &mut Generator) -> Acceptance {
    let now = generator.now();
    let number = generator.fresh_number();
    let given = acceptance(number, now, random_plan(generator));
    Acceptance {
        sealed: generator.perhaps(3, |generator| vec![(Slot::Request, octets(generator))]).unwrap_or_default(),
        idempotency: generator.perhaps(3, key),
        lane: generator.one_of(&["a", "b", "c"]).to_owned(),
        owner: generator.perhaps(3, |generator| generator.one_of(&["anna", "bert"]).to_owned()),
        wake_at: generator.perhaps(2, Generator::soon),
        events: generator.some(1, |generator| (now, event(generator))),
        operation: Operation { tenant: generator.tenant(), ..given.operation },
    }
}

fn stage(generator: &mut Generator, operation: &Operation) -> Stage {
    let wants_lock = operation.plan.lock.is_some() && operation.started_at.is_none();
    match generator.below(5) {
        0 if wants_lock => Stage::Unexecuted { start_at: None, lock: LockState::Wanted },
        1 if wants_lock => Stage::Unexecuted { start_at: None, lock: LockState::Held },
        2 => Stage::Closing(Cause::StepsFailed),
        _ => Stage::Forward,
    }
}

/// The next state of an operation, with whatever may belong to the change.
pub(super) fn random_commit(generator: &mut Generator, operation: &Operation) -> Commit {
    let now = generator.now();
    let mut next = Operation {
        revision: operation.revision.next(),
        updated_at: now,
        stage: stage(generator, operation),
        ..operation.clone()
    };
    if matches!(next.stage, Stage::Forward | Stage::Closing(_)) {
        next.started_at = Some(now);
    }
    change_steps(generator, &mut next);
    next.restored = generator.perhaps(12, |_| Restored { since: now, as_of: now });
    if generator.once_in(4) {
        next = end(generator, operation, now);
    }
    Commit {
        events: generator.some(2, |generator| (now, event(generator))),
        effects: generator.some(2, effect),
        sealed: generator.some(1, |generator| (Slot::Before(step(generator)), octets(generator))),
        notices: generator.some(1, |generator| {
            let id = format!("notice/{}", generator.fresh_number());
            let receiver = generator.one_of(&["a:80", "b:80", "c:80"]).to_owned();
            NewNotice { receiver, ..notice(&id, generator.soon()) }
        }),
        wake_at: generator.perhaps(2, Generator::soon),
        free_idempotency_key: generator.once_in(20),
        operation: next,
    }
}

fn end(generator: &mut Generator, operation: &Operation, now: Timestamp) -> Operation {
    let status = generator.one_of(&[Status::Completed, Status::Failed, Status::Canceled]);
    let mut next = ended(operation, status, now);
    if let Stage::Ended { response, .. } = &mut next.stage {
        *response = random_answer(generator);
    }
    next
}

fn change_steps(generator: &mut Generator, next: &mut Operation) {
    for step in &mut next.steps {
        step.phase = generator.perhaps(2, step_phase).unwrap_or_default();
        step.course.trouble = generator.perhaps(4, |generator| Trouble {
            kind: TroubleKind::Refused,
            detail: generator.one_of(&["quota exceeded", "No Route"]).to_owned(),
        });
        if generator.once_in(3) {
            step.course.answer = Some(random_answer(generator));
        }
        if generator.once_in(4) {
            step.undo = Some(Undo {
                phase: UndoPhase::Queued,
                request: generator.perhaps(2, |generator| request("/undo", octets(generator))),
                course: Course { answer: generator.perhaps(2, random_answer), ..Course::default() },
            });
        }
    }
}

fn step_phase(generator: &mut Generator) -> StepPhase {
    let at = generator.now();
    match generator.below(6) {
        0 => StepPhase::Sending(Send::Due { gate: generator.one_of(&[Gate::Held, Gate::Missing]) }),
        1 => StepPhase::Sending(Send::Due { gate: generator.one_of(&[Gate::Permit, Gate::Breaker]) }),
        2 => StepPhase::Sending(Send::BackingOff { until: at }),
        3 => StepPhase::Sending(Send::Calling { since: at }),
        4 => StepPhase::Probing(Probing::Calling { since: at }),
        _ => StepPhase::AwaitingPerson { since: at },
    }
}

fn event(generator: &mut Generator) -> Event {
    match generator.below(4) {
        0 => Event::Dispatched,
        1 => Event::TimeCame { timer: Timer::Deadline },
        2 => Event::ResponseComposed { response: random_answer(generator) },
        _ => Event::AttemptAnswered {
            step: step(generator),
            leg: Leg::Forward,
            answer: random_answer(generator),
            reading: Reading::Ambiguous,
            trouble: None,
        },
    }
}

fn effect(generator: &mut Generator) -> Effect {
    let target = generator.one_of(&["tokyo", "osaka"]);
    match generator.below(8) {
        0 | 1 => Effect::OpenAttention(note(generator.perhaps(2, |generator| step(generator).0), target)),
        2 | 3 => Effect::CloseAttention {
            step: generator.perhaps(2, step),
            by: "anna".to_owned(),
            remark: generator.perhaps(2, |_| "looked at it".to_owned()),
        },
        4 => Effect::HoldTarget { target: target.into(), reason: "undo failed".to_owned() },
        5 => Effect::ReleaseLock,
        _ => Effect::Finish,
    }
}
