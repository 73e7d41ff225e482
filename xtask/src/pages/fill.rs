//! A database of operations as they may have come in over some hours, made through the store itself: most have ended well, some
//! have not, few wait for something; some routes, targets and wire formats are used by nearly all, and some by hardly any.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use fanfold_core::operation::{Gate, Send, Stage, Status, StepPhase, Trouble, TroubleKind};
use fanfold_core::plan::{DialectName, Front, Policy, StepPlan, Verb};
use fanfold_core::{Effect, Event, Operation, OperationId, Plan};
use fanfold_store::contract::fixtures::{
    acceptance, answer, begun, ended, id, large, note, notice, plan, policy, request,
};
use fanfold_store::sqlite::{Config, Sqlite};
use fanfold_store::{
    Acceptance, Accepted, Commit, Hold, Holds as _, Limits, NewNotice, NoticeId, NoticeOutcome, Operations as _,
    Outbox as _,
};
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

/// Operations that are written at the same time, so that they are committed together.
const AT_ONCE: u64 = 400;

/// Operations that are accepted in the same second.
const EACH_SECOND: u64 = 50;

/// Targets that nearly all operations call some of.
pub(super) const TARGETS: u64 = 29;

/// The target that hardly any operation calls.
pub(super) const SELDOM: &str = "seldom";

/// The target that is on hold.
pub(super) const ON_HOLD: &str = "on-hold";

/// One operation in so many is out of the ordinary.
const RARE: u64 = 20_000;

/// What is filled in.
#[derive(Debug, Clone)]
pub(super) struct Filling {
    pub(super) operations: u64,
    /// When the last one is accepted.
    pub(super) until: Timestamp,
    policy: Arc<Policy>,
}

impl Filling {
    pub(super) fn new(operations: u64, until: Timestamp) -> Self {
        let targets: Vec<String> = targets().collect();
        let names: Vec<&str> = targets.iter().map(String::as_str).collect();
        Self { operations, until, policy: policy(&names, Duration::from_secs(30 * 24 * 60 * 60)) }
    }

    /// When operation `number` is accepted, counted from 1.
    pub(super) fn accepted_at(&self, number: u64) -> Timestamp {
        let seconds = (self.operations.saturating_sub(number)) / EACH_SECOND + 1;
        self.until - SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// Its id.
    pub(super) fn id(&self, number: u64) -> OperationId {
        id(self.accepted_at(number), number)
    }

    /// Makes the database.
    pub(super) async fn fill(&self, path: &Path) -> Result<()> {
        let limits = Limits { waiting_max: u64::MAX, ..Limits::default() };
        let store = Sqlite::open(Config { limits, ..Config::new(path) })?;
        let mut writers = JoinSet::new();
        for first in 0..AT_ONCE {
            let (store, filling) = (Arc::clone(&store), self.clone());
            writers.spawn(async move {
                for number in (first..filling.operations).step_by(usize::try_from(AT_ONCE)?) {
                    filling.write(&store, number + 1).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(written) = writers.join_next().await {
            written??;
        }
        let (by, reason) = ("anna".to_owned(), "maintenance".to_owned());
        store.hold(Hold { target: ON_HOLD.into(), since: self.until, by, reason }).await?;
        Ok(store.close().await?)
    }

    /// What is done with an operation follows from its number alone.
    async fn write(&self, store: &Sqlite, number: u64) -> Result<()> {
        let accepted_at = self.accepted_at(number);
        let Accepted::New { operation, .. } = store.accept(self.wanted(number, accepted_at)).await? else {
            bail!("operation {number} was not accepted");
        };
        match number % RARE {
            // It waits for its time.
            1 => return Ok(()),
            2 => return wait_for_target(store, &operation, accepted_at).await,
            3 | 4 => return wait_for_person(store, &operation, accepted_at).await,
            _ => {}
        }
        let status = match number % 20 {
            0 => Status::Failed,
            19 if number.is_multiple_of(3) => Status::Canceled,
            _ => Status::Completed,
        };
        let mut end = Commit::new(ended(&operation, status, accepted_at));
        if status == Status::Failed {
            let detail = match number.is_multiple_of(RARE * 5) {
                true => format!("the needle {number} is lost"),
                false => format!("409 Conflict: quota of {} is exceeded", number % 1_000),
            };
            end.operation.steps[0].course.trouble = Some(Trouble { kind: TroubleKind::Refused, detail });
        }
        end.events = vec![
            (accepted_at, Event::Dispatched),
            (accepted_at, Event::ResponseComposed { response: answer(200, "{\"done\":true}") }),
        ];
        end.effects = vec![Effect::Finish];
        if number % RARE == 5 {
            end.effects.push(Effect::OpenAttention(note(Some(0), "target-0")));
        }
        if number.is_multiple_of(5) {
            let url = "https://user.example/hook".to_owned();
            end.notices = vec![NewNotice { url, ..notice(&format!("notice-{number}"), accepted_at) }];
        }
        store.commit(end).await?;
        if number.is_multiple_of(5) {
            tell(store, number, accepted_at).await?;
        }
        Ok(())
    }

    fn wanted(&self, number: u64, accepted_at: Timestamp) -> Acceptance {
        let is_rare = |place| number % RARE == place;
        let (dialect, mount) = match number % 10 {
            _ if is_rare(6) => (DialectName::Plas, "/p"),
            0..4 => (DialectName::Msf, "/v1"),
            _ => (DialectName::Native, ""),
        };
        let resource = format!("/v1/slices/{}/ports/{}", number % 200_000, number % 7);
        let uri = format!("{resource}?dry=0&order={number}");
        let body = match number.is_multiple_of(500) {
            true => large(b'x'),
            false => format!("{{\"size\":{number},\"comment\":\"{}\"}}", "c".repeat(150)).into(),
        };
        let plan = Plan {
            route: if is_rare(7) { "rare-route".to_owned() } else { format!("route-{}", number % 19) },
            front: Front { dialect, mount: mount.to_owned(), ..plan().front },
            verb: if is_rare(8) { Verb::Action } else { [Verb::Create, Verb::Update, Verb::Delete][place(number, 3)] },
            resource,
            request: request(&uri, body),
            start_at: is_rare(1).then(|| self.until + SignedDuration::from_hours(24)),
            retry_of: number.is_multiple_of(1_000).then(|| self.id(number - 500)),
            policy: Arc::clone(&self.policy),
            steps: steps(number),
            ..plan()
        };
        let wake_at = plan.start_at;
        let new = acceptance(number, accepted_at, plan);
        Acceptance {
            owner: number.is_multiple_of(11).then(|| format!("owner-{}", number % 17)),
            events: vec![(accepted_at, Event::Dispatched)],
            wake_at,
            ..new
        }
    }
}

/// The names of all targets.
pub(super) fn targets() -> impl Iterator<Item = String> {
    (0..TARGETS).map(|number| format!("target-{number}")).chain([SELDOM.to_owned(), ON_HOLD.to_owned()])
}

fn place(number: u64, of: u64) -> usize {
    usize::try_from(number % of).unwrap_or_default()
}

fn steps(number: u64) -> Vec<StepPlan> {
    let first = match number % RARE {
        2 => ON_HOLD.to_owned(),
        9 => SELDOM.to_owned(),
        _ => format!("target-{}", number % TARGETS),
    };
    let others = (1..3).map(|more| format!("target-{}", (number + more) % TARGETS));
    let step = |(wave, target): (u16, String)| StepPlan {
        target: target.as_str().into(),
        target_id: wave.to_string(),
        wave,
        request: request("/v1/ports", "{\"size\":1}"),
    };
    (0..).zip(std::iter::once(first).chain(others)).map(step).collect()
}

async fn wait_for_target(store: &Sqlite, operation: &Operation, at: Timestamp) -> Result<()> {
    let mut next = begun(operation, at);
    next.steps[0].phase = StepPhase::Sending(Send::Due { gate: Gate::Held });
    let commit = Commit { wake_at: Some(at), ..Commit::new(next) };
    store.commit(commit).await?;
    Ok(())
}

async fn wait_for_person(store: &Sqlite, operation: &Operation, at: Timestamp) -> Result<()> {
    let mut next = begun(operation, at);
    next.stage = Stage::Forward;
    next.steps[0].phase = StepPhase::AwaitingPerson { since: at };
    let effects = vec![Effect::OpenAttention(note(Some(0), "target-1"))];
    store.commit(Commit { effects, ..Commit::new(next) }).await?;
    Ok(())
}

async fn tell(store: &Sqlite, number: u64, at: Timestamp) -> Result<()> {
    let id = NoticeId(format!("notice-{number}"));
    let outcome = match number.is_multiple_of(10_000) {
        true => NoticeOutcome::Dead { error: "410 Gone".to_owned(), at },
        false => NoticeOutcome::Delivered { at },
    };
    Ok(store.record_notice(&id, outcome).await?)
}
