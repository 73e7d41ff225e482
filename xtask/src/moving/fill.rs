//! Operations of all kinds, through the store itself.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use fanfold_core::operation::Status;
use fanfold_core::plan::OnLocked;
use fanfold_core::{Effect, Event, Plan, Slot};
use fanfold_store::contract::fixtures::{
    acceptance, answer, at, begun, ended, keyed, large, locked_plan, note, notice, plan, request,
};
use fanfold_store::sqlite::{Config, Sqlite};
use fanfold_store::{
    Acceptance, Accepted, AttentionId, Closed, Commit, Hold, Holds as _, Limits, NewNotice, Notes as _, NoticeId,
    NoticeOutcome, Operations as _, Outbox as _,
};
use tokio::task::JoinSet;

/// Operations that are written at the same time, so that they are committed together.
const AT_ONCE: u64 = 400;

/// Operations that are accepted in the same second.
const EACH_SECOND: u64 = 50;

/// Locks that some of them queue for.
const LOCKS: u64 = 211;

/// Makes a database with so many operations.
pub(super) async fn fill(path: &Path, operations: u64) -> Result<()> {
    let limits = Limits { waiting_max: u64::MAX, lock_queue_max: u64::MAX, ..Limits::default() };
    let store = Sqlite::open(Config { limits, ..Config::new(path) })?;
    let mut writers = JoinSet::new();
    for first in 0..AT_ONCE {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for number in (first..operations).step_by(usize::try_from(AT_ONCE)?) {
                write(&store, number + 1).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    for target in ["tokyo", "nagoya"] {
        let (by, reason) = ("anna".to_owned(), "a\0b".to_owned());
        store.hold(Hold { target: target.into(), since: at(5), by, reason }).await?;
    }
    Ok(store.close().await?)
}

/// What is done with an operation follows from its number alone.
async fn write(store: &Sqlite, number: u64) -> Result<()> {
    let accepted_at = at(i64::try_from(number / EACH_SECOND)?);
    let Accepted::New { operation, .. } = store.accept(wanted(number, accepted_at)).await? else {
        bail!("operation {number} was not accepted");
    };
    if number.is_multiple_of(7) {
        return Ok(());
    }
    let mut begin = Commit::new(begun(&operation, accepted_at));
    begin.events = vec![(accepted_at, Event::Dispatched)];
    begin.wake_at = number.is_multiple_of(4).then_some(accepted_at);
    if number.is_multiple_of(10) {
        begin.effects = vec![Effect::OpenAttention(note(Some(0), "tokyo"))];
    }
    if number.is_multiple_of(15) {
        begin.sealed = vec![(Slot::Before(fanfold_core::StepIndex(0)), large(b'b'))];
    }
    let operation = store.commit(begin).await?.operation;
    if number.is_multiple_of(3) {
        return Ok(());
    }
    let status = [Status::Completed, Status::Failed, Status::Canceled][usize::try_from(number % 3)?];
    let mut end = Commit::new(ended(&operation, status, accepted_at));
    let answered = if number.is_multiple_of(8) { large(b'r') } else { "{\"done\":true}".into() };
    end.events = vec![(accepted_at, Event::ResponseComposed { response: answer(200, answered) })];
    end.effects = vec![Effect::Finish];
    if number.is_multiple_of(5) {
        let url = "https://user.example/hook?token=s3cret".to_owned();
        end.notices = vec![NewNotice { url, ..notice(&format!("notice-{number}"), accepted_at) }];
    }
    store.commit(end).await?;
    if number.is_multiple_of(5) {
        tell(store, number).await?;
    }
    if number.is_multiple_of(50) {
        let closed = Closed { at: accepted_at, by: "bert".to_owned(), remark: Some("looked\0at".to_owned()) };
        // Which note it is depends on who came first; one there is by now.
        store.acknowledge(AttentionId(1 + number / 100), closed).await?;
    }
    Ok(())
}

fn wanted(number: u64, accepted_at: jiff::Timestamp) -> Acceptance {
    let mut plan = match number.is_multiple_of(6) {
        true => locked_plan(&format!("lock\0{}", number % LOCKS), OnLocked::Queue),
        false => plan(),
    };
    plan = Plan { resource: format!("/v1/things/{number}"), ..plan };
    if number.is_multiple_of(20) {
        plan.request = request("/v1/things", large(b'x'));
    }
    let new = acceptance(number, accepted_at, plan);
    let new = match number.is_multiple_of(2) {
        true => keyed(&format!("key-{number}"), 7, new),
        false => new,
    };
    Acceptance {
        sealed: if number.is_multiple_of(9) { vec![(Slot::Request, large(b's'))] } else { Vec::new() },
        owner: number.is_multiple_of(11).then(|| format!("owner-{}", number % 17)),
        events: vec![(accepted_at, Event::Dispatched)],
        ..new
    }
}

async fn tell(store: &Sqlite, number: u64) -> Result<()> {
    let id = NoticeId(format!("notice-{number}"));
    let at = at(i64::try_from(number)?);
    let error = "connection refused".to_owned();
    let outcome = match number % 4 {
        0 => NoticeOutcome::Delivered { at },
        1 => NoticeOutcome::Failed { error, again_at: at },
        2 => NoticeOutcome::Dead { error, at },
        _ => return Ok(()),
    };
    Ok(store.record_notice(&id, outcome).await?)
}
