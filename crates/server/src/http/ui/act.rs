//! What a person does with one thing: asked first, in words that say what it will do, then done by the engine as the native API
//! has it done.

use fanfold_core::access::audit::Action;
use fanfold_core::dialect::Refusal;
use fanfold_core::dialect::native::OperationDetail;
use fanfold_core::{Access, Headers, Role, TargetName};
use fanfold_engine::{CancelOutcome, Error, Resolution, RetryRequest};
use fanfold_store::{NoticeFilter, NoticeState, Order, Page};

use super::form::Form;
use super::questions::REPLAY_MAX;
use super::shell::Place;
use super::{operation_id, page, questions};
use crate::http::audited::Audited;
use crate::http::auth::rules::Needs;
use crate::http::native::attention::{check_remark, note_of, resolution};
use crate::http::native::extend::read_extension;
use crate::http::native::notices;
use crate::http::native::operation::show_detail;
use crate::http::native::targets::{check_reason, to_hold};
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// What is to be done, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act<'a> {
    Cancel(&'a str),
    Retry(&'a str),
    Extend(&'a str),
    ReleaseRestored(&'a str),
    Hold(&'a str),
    Release(&'a str),
    Answer(&'a str, Resolution),
    Acknowledge(&'a str),
    Replay(&'a str),
    ReplayDead,
    Drain,
    Resume,
}

impl<'a> Act<'a> {
    pub(super) fn of(segments: &[&'a str]) -> Option<Self> {
        Some(match segments {
            ["operations", id, "cancel"] => Self::Cancel(id),
            ["operations", id, "retry"] => Self::Retry(id),
            ["operations", id, "extend"] => Self::Extend(id),
            ["operations", id, "release"] => Self::ReleaseRestored(id),
            ["targets", name, "hold"] => Self::Hold(name),
            ["targets", name, "release"] => Self::Release(name),
            ["attention", id, "acknowledge"] => Self::Acknowledge(id),
            ["attention", id, answer] => Self::Answer(id, resolution(answer).ok()?),
            ["notices", "replay"] => Self::ReplayDead,
            ["notices", id, "replay"] => Self::Replay(id),
            ["drain"] => Self::Drain,
            ["resume"] => Self::Resume,
            _ => return None,
        })
    }
}

impl Act<'_> {
    /// What goes into the audit trail of it.
    pub(super) fn audited(self) -> Audited {
        match self {
            Self::Cancel(id) => Audited::operation(Action::Cancel, id),
            Self::Retry(id) => Audited::operation(Action::Retry, id),
            Self::Extend(id) => Audited::operation(Action::Extend, id),
            Self::ReleaseRestored(id) => Audited::operation(Action::ReleaseRestored, id),
            Self::Hold(name) => Audited::target(Action::Hold, name),
            Self::Release(name) => Audited::target(Action::Release, name),
            Self::Answer(id, _) => Audited::other(Action::Resolve, id),
            Self::Acknowledge(id) => Audited::other(Action::Acknowledge, id),
            Self::Replay(id) => Audited::other(Action::Replay, id),
            Self::ReplayDead => Audited::other(Action::Replay, "all that are dead"),
            Self::Drain => Audited::server(Action::Drain),
            Self::Resume => Audited::server(Action::Resume),
        }
    }

    /// What a request to do it needs, and one to be asked first.
    pub(super) fn needs(self) -> Needs {
        match self {
            Self::Cancel(_)
            | Self::Retry(_)
            | Self::Extend(_)
            | Self::ReleaseRestored(_)
            | Self::Hold(_)
            | Self::Release(_)
            | Self::Answer(..)
            | Self::Acknowledge(_)
            | Self::Replay(_)
            | Self::ReplayDead => Needs::Role(Role::Operate),
            Self::Drain | Self::Resume => Needs::House(Role::Admin),
        }
    }
}

/// Asks.
pub(super) async fn ask(shared: &Shared, visit: &Visit, act: Act<'_>) -> Result<Response, Stop> {
    let (place, question) = match act {
        Act::Cancel(id) => (Place::Operations, questions::cancel(&detail(shared, visit, id).await?)),
        Act::Retry(id) => (Place::Operations, questions::retry(&detail(shared, visit, id).await?)),
        Act::Extend(id) => (Place::Operations, questions::extend(&detail(shared, visit, id).await?)),
        Act::ReleaseRestored(id) => (Place::Operations, questions::release_restored(&detail(shared, visit, id).await?)),
        Act::Hold(name) => {
            to_hold(shared, &visit.caller, name).await?;
            (Place::Targets, questions::hold(name))
        }
        Act::Release(name) => {
            to_hold(shared, &visit.caller, name).await?;
            (Place::Targets, questions::release(name))
        }
        Act::Answer(id, answer) => {
            (Place::Attention, questions::answer_note(&note_of(shared, &visit.caller, id).await?, id, answer))
        }
        Act::Acknowledge(id) => (Place::Attention, questions::acknowledge(&note_of(shared, &visit.caller, id).await?)),
        Act::Replay(id) => {
            let notice = notices::one(shared, &visit.caller, id).await?;
            (Place::Notices, questions::replay(&notices::NoticeForm::of(notice)))
        }
        Act::ReplayDead => (Place::Notices, questions::replay_dead()),
        Act::Drain => (Place::Now, questions::drain()),
        Act::Resume => (Place::Now, questions::resume()),
    };
    question.ask(shared, visit, place).await
}

/// Does it, and shows what has become of it.
pub(super) async fn perform(shared: &Shared, visit: Visit, act: Act<'_>) -> Result<Response, Stop> {
    let Visit { caller, body, .. } = visit;
    let form = Form::read(body)?;
    let remark = form.one("remark").map(str::to_owned);
    check_remark(remark.as_deref())?;
    let engine = &shared.engine;
    let by = caller.name.clone();
    let of = |id: &str, done: &str| page::go_to(&format!("/ui/operations/{id}?done={done}"));
    match act {
        Act::Cancel(text) => {
            let id = operation_id(text)?;
            shared.operation(&caller, id).await?;
            match engine.cancel(id, by).await? {
                CancelOutcome::Accepted(_) => Ok(of(text, "canceled")),
                CancelOutcome::TooLate(_) => {
                    let detail = "enough has succeeded already: nothing further starts, and the operation is about to be completed";
                    Err(Refusal::NotPossible { detail: detail.to_owned() }.into())
                }
            }
        }
        Act::Retry(text) => {
            let (id, force, access) = (operation_id(text)?, form.one("force").is_some(), caller.access);
            let retry = RetryRequest { access: &access, id, force, by: &by, headers: Headers::new() };
            let accepted = engine.retry(retry).await?.operation;
            Ok(of(&accepted.id.to_string(), "retried"))
        }
        Act::Extend(text) => {
            let id = operation_id(text)?;
            let extension = read_extension(None, form.one("by").map(str::to_owned))?;
            shared.operation(&caller, id).await?;
            engine.extend(id, extension, by).await?;
            Ok(of(text, "extended"))
        }
        Act::ReleaseRestored(text) => {
            let id = operation_id(text)?;
            shared.operation(&caller, id).await?;
            engine.release_restored(id, by, remark).await?;
            Ok(of(text, "released"))
        }
        Act::Hold(name) => {
            let reason = form.one("reason").unwrap_or_default().to_owned();
            check_reason(&reason)?;
            to_hold(shared, &caller, name).await?;
            engine.hold(&TargetName::from(name), by, reason).await?;
            Ok(page::go_to("/ui/targets?done=held"))
        }
        Act::Release(name) => {
            to_hold(shared, &caller, name).await?;
            engine.release(&TargetName::from(name)).await?;
            Ok(page::go_to("/ui/targets?done=released"))
        }
        Act::Answer(id, answer) => {
            let note = note_of(shared, &caller, id).await?;
            let operation = engine.resolve(note.id, answer, by, remark).await?;
            Ok(of(&operation.id.to_string(), "resolved"))
        }
        Act::Acknowledge(id) => {
            let note = note_of(shared, &caller, id).await?;
            engine.acknowledge(note.id, by, remark).await?;
            Ok(of(&note.operation.to_string(), "acknowledged"))
        }
        Act::Replay(id) => {
            let notice = notices::one(shared, &caller, id).await?;
            engine.replay_notice(&notice.notice.id).await?;
            Ok(page::go_to("/ui/notices?done=replayed"))
        }
        Act::ReplayDead => {
            let Access { tenant, scope, .. } = caller.access;
            let filter = NoticeFilter { tenant, scope, state: Some(NoticeState::Dead), ..NoticeFilter::default() };
            replay_all(shared, filter).await?;
            Ok(page::go_to("/ui/notices?done=replayed"))
        }
        Act::Drain | Act::Resume => {
            let draining = act == Act::Drain;
            engine.drain(draining);
            tracing::info!(by = %by, draining, "accepting was switched");
            Ok(page::go_to(if draining { "/ui?done=draining" } else { "/ui?done=resumed" }))
        }
    }
}

/// The oldest dead letters first, up to a bound. One that somebody else has taken up meanwhile, or that was deleted, is passed
/// over: the others are sent all the same.
async fn replay_all(shared: &Shared, filter: NoticeFilter) -> Result<(), Stop> {
    let dead =
        shared.store.notices(&filter, Page { order: Order::OldestFirst, after: None, limit: REPLAY_MAX }).await?;
    for notice in dead {
        match shared.engine.replay_notice(&notice.notice.id).await {
            Ok(()) | Err(Error::NotFound | Error::NotPossible(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn detail(shared: &Shared, visit: &Visit, id: &str) -> Result<OperationDetail, Stop> {
    let operation = shared.operation(&visit.caller, operation_id(id)?).await?;
    show_detail(shared, &visit.front, operation).await
}
