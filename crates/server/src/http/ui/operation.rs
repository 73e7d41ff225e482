//! One operation: its story as a picture, what was sent to each target and what came back, and what can be done.

use std::collections::BTreeMap;

use askama::Template;
use fanfold_core::OperationId;
use fanfold_core::dialect::native::{AnswerForm, Content, HistoryEntry, OperationDetail, OutcomeWord, TargetForm};
use fanfold_core::operation::{Consistency, Leg, Status, UndoEnd, WaitingFor};
use fanfold_core::story::{self, Teller};
use fanfold_store::{EventNumber, NoteFilter, NoticeFilter};
use jiff::Timestamp;

use super::attention::NoteView;
use super::form::Form;
use super::message::Message;
use super::notices::NoticeView;
use super::questions::stays;
use super::shell::{Place, Shell};
use super::timeline::Picture;
use super::words::{self, Chip, Stamp};
use super::{OK, page};
use crate::http::native::attention::notes;
use crate::http::native::notices::notices;
use crate::http::native::operation::show_detail;
use crate::http::outcome::{Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

/// Events that a page shows, the oldest ones; the native API has all of them.
const EVENTS_MAX: usize = 1_000;

/// Notes and notices that a page shows of one operation.
const BESIDE_MAX: usize = 100;

#[derive(Template)]
#[template(path = "operation.html")]
struct OperationPage {
    shell: Shell,
    id: String,
    status: Chip,
    phase: Option<Chip>,
    consistency: Option<(Chip, &'static str)>,
    request_line: String,
    facts: Vec<(&'static str, String)>,
    times: Vec<(&'static str, Stamp)>,
    links: Vec<(&'static str, String, String)>,
    end: Vec<(&'static str, String)>,
    waits: Vec<String>,
    notes: Vec<NoteView>,
    actions: Vec<(&'static str, &'static str)>,
    picture: Picture,
    targets: Vec<TargetView>,
    request: Message,
    response: Option<Message>,
    notices: Vec<NoticeView>,
    events: Vec<EventView>,
    /// How many events it is made of, where there are more.
    cut: Option<usize>,
}

/// A target of the operation.
struct TargetView {
    name: String,
    outcome: Chip,
    /// What is known of its data, in words.
    consistency: Option<(Chip, &'static str)>,
    undo: Option<Chip>,
    error: Option<String>,
    attempts: Vec<AttemptView>,
    /// Whether nothing was sent to it.
    is_untouched: bool,
}

/// One attempt: what was sent, and what came back.
struct AttemptView {
    title: String,
    at: String,
    result: Chip,
    request: Message,
    answer: Option<Message>,
}

/// One event.
struct EventView {
    after: String,
    stamp: Stamp,
    target: String,
    tone: &'static str,
    mark: &'static str,
    text: String,
    remark: Option<String>,
}

/// `GET /ui/operations/{id}`
pub(super) async fn show(shared: &Shared, visit: &Visit, id: OperationId) -> Result<Response, Stop> {
    let form = Form::of(visit.query().unwrap_or_default()).unwrap_or_default();
    let operation = shared.operation(&visit.caller, id).await?;
    let events = shared.store.history(id, EventNumber(0), EVENTS_MAX).await?;
    // The store gives no more than so many at once: whether there are more is another question.
    let cut = match events.last().filter(|_| events.len() == EVENTS_MAX) {
        Some(last) => !shared.store.history(id, last.number, 1).await?.is_empty(),
        None => false,
    };
    let entry = |recorded: &fanfold_store::Recorded| {
        HistoryEntry::of(&operation, recorded.sequence, recorded.at, &recorded.event)
    };
    let entries: Vec<HistoryEntry> = events.iter().map(entry).collect();
    let detail = show_detail(shared, &visit.front, std::sync::Arc::clone(&operation)).await?;
    let tenant = visit.caller.access.tenant.clone();
    let about = NoteFilter { tenant: tenant.clone(), operation: Some(id), ..NoteFilter::default() };
    let (notes, _) = notes(shared, &about, None, BESIDE_MAX).await?;
    let about = NoticeFilter { tenant, operation: Some(id), ..NoticeFilter::default() };
    let (notices, _) = notices(shared, &about, None, BESIDE_MAX).await?;
    let now = shared.clock.now();
    let request_line = format!("{} {}", detail.request.method, detail.request.uri);
    let shell = Shell::of(shared, &visit.caller, Place::Operations, &request_line).await;
    let path = format!("/ui/operations/{id}");
    let shell = shell.having_done(form.one("done"));
    let is_over = detail.summary.status.is_terminal() && notices.iter().all(|notice| notice.state != "pending");
    let shell = if is_over { shell } else { shell.live(format!("/ui/live/{id}"), path) };
    let bases = bases(shared);
    let page = OperationPage {
        id: id.to_string(),
        status: Chip::of_status(detail.summary.status),
        phase: detail.summary.phase.map(Chip::of_phase),
        consistency: detail.summary.consistency.map(in_words),
        request_line,
        facts: facts(&detail),
        times: times(&detail, now),
        links: links(&detail),
        end: story::end(&detail).into_iter().map(|(tone, text)| (words::class(tone), text)).collect(),
        waits: detail.waiting_for.iter().map(|wait| wait_in_words(wait, now)).collect(),
        notes: notes.into_iter().map(|form| NoteView::of(form, now, &shell)).collect(),
        actions: actions(&detail, &shell),
        picture: Picture::of(&detail, &entries, cut, now),
        targets: detail.targets.iter().map(|target| TargetView::of(target, &entries, &detail, &bases)).collect(),
        request: Message::of_request(&detail.request, None),
        response: detail.response.as_ref().map(Message::of_answer),
        notices: notices.into_iter().map(|form| NoticeView::of(form, now, &shell)).collect(),
        events: event_views(&detail, &entries, now),
        cut: cut.then_some(EVENTS_MAX),
        shell,
    };
    page::render(OK, &page)
}

/// Where each target is, by its name.
fn bases(shared: &Shared) -> BTreeMap<String, String> {
    let status = shared.engine.targets().status().into_iter();
    status.filter_map(|target| Some((target.name.to_string(), target.url?))).collect()
}

/// What a consistency says.
fn in_words(consistency: Consistency) -> (Chip, &'static str) {
    (Chip::of_consistency(consistency), story::data(consistency).1)
}

fn facts(detail: &OperationDetail) -> Vec<(&'static str, String)> {
    let summary = &detail.summary;
    let mut facts = vec![
        ("route", summary.route.clone()),
        ("dialect", summary.dialect.to_string()),
        ("kind", summary.verb.as_str().to_owned()),
        ("resource", summary.resource.clone()),
    ];
    if let Some(id) = &detail.resource_id {
        facts.push(("resource id", id.clone()));
    }
    facts.push(("tenant", summary.tenant.to_string()));
    facts.extend(detail.submitted_by.clone().map(|by| ("submitted by", by)));
    if let (Some(started), Some(ended)) = (summary.started_at, summary.ended_at) {
        facts.push(("took", words::span(words::between(started, ended))));
    }
    facts
}

fn times(detail: &OperationDetail, now: Timestamp) -> Vec<(&'static str, Stamp)> {
    let summary = &detail.summary;
    let stamp = |name, at: Option<Timestamp>| at.map(|at| (name, Stamp::of(at, now)));
    [
        stamp("accepted", Some(summary.accepted_at)),
        stamp("started", summary.started_at),
        stamp("deadline", detail.deadline_at),
        stamp("ended", summary.ended_at),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Other operations that have to do with this one: what they are, their address, their name.
fn links(detail: &OperationDetail) -> Vec<(&'static str, String, String)> {
    let link = |what, id: OperationId| (what, format!("/ui/operations/{id}"), id.to_string());
    let mut links: Vec<_> = detail.retry_of.map(|id| link("retry of", id)).into_iter().collect();
    links.extend(detail.retried_by.map(|id| link("retried by", id)));
    for wait in &detail.waiting_for {
        if let WaitingFor::Lock { holder: Some(holder), .. } = wait {
            links.push(link("waits for", *holder));
        }
    }
    links
}

/// What the state allows whoever looks at it to do: the last part of its path, and what the link says.
fn actions(detail: &OperationDetail, shell: &Shell) -> Vec<(&'static str, &'static str)> {
    let id = detail.summary.id;
    let all = possible(detail).into_iter();
    all.filter(|(action, _)| shell.may(&format!("/ui/operations/{id}/{action}"))).collect()
}

fn possible(detail: &OperationDetail) -> Vec<(&'static str, &'static str)> {
    let is_restored = detail.waiting_for.iter().any(|wait| matches!(wait, WaitingFor::Release { .. }));
    match detail.summary.status {
        _ if is_restored => vec![("release", "Release…"), ("cancel", "Cancel…")],
        Status::Unexecuted => vec![("cancel", "Cancel…")],
        Status::Executing => vec![("cancel", "Cancel…"), ("extend", "More time…")],
        Status::Failed | Status::Canceled if detail.retried_by.is_none() => vec![("retry", "Retry…")],
        Status::Failed | Status::Canceled | Status::Completed => Vec::new(),
    }
}

fn wait_in_words(wait: &WaitingFor, now: Timestamp) -> String {
    let then = |until: Timestamp| words::relative(until, now);
    match wait {
        WaitingFor::StartTime { until } => format!("its start time, {}", then(*until)),
        WaitingFor::Lock { key, position, .. } => {
            let place = position.map(|place| format!(", as number {place} in the queue")).unwrap_or_default();
            format!("the lock {key}{place}")
        }
        WaitingFor::Dispatch => "being sent for the first time".to_owned(),
        WaitingFor::Permit(call) => {
            format!("{}: its turn to be sent, which comes with a permit", call.target)
        }
        WaitingFor::Breaker(call) => format!("{}: its breaker, which is open", call.target),
        WaitingFor::HeldTarget(call) => format!("{}: somebody to release it, since it is on hold", call.target),
        WaitingFor::MissingTarget(call) => format!("{}: being configured again", call.target),
        WaitingFor::Backoff { call, until } => format!("{}: the next attempt, {}", call.target, then(*until)),
        WaitingFor::Settle { call, until } => {
            format!(
                "{}: the time from which on it cannot act any more on an attempt in doubt, {}",
                call.target,
                then(*until)
            )
        }
        WaitingFor::Answer { call, since } => format!("{}: the answer to what was sent {}", call.target, then(*since)),
        WaitingFor::Resource { call, .. } => format!("{}: the resource that is read for a restore", call.target),
        WaitingFor::LowerOperation { call, reference, until, unclear } => {
            let silent = if unclear.is_some() { "; it tells nothing at the moment" } else { "" };
            format!("{}: the end of its own operation {reference}, given up {}{silent}", call.target, then(*until))
        }
        WaitingFor::Probe { call, until: Some(until) } => {
            format!("{}: the time of its probe, {}", call.target, then(*until))
        }
        WaitingFor::Probe { call, until: None } => format!("{}: the answer to a probe", call.target),
        WaitingFor::Person { target: Some(target), .. } => {
            format!("{target}: a person to say what became of the request")
        }
        WaitingFor::Person { target: None, .. } => "a person to choose how to go on".to_owned(),
        WaitingFor::Response => "its final response to be composed".to_owned(),
        WaitingFor::Release { as_of, .. } => {
            format!("a person to release it: it came from a backup of {}", as_of.strftime("%Y-%m-%d %H:%M:%S UTC"))
        }
    }
}

fn event_views(detail: &OperationDetail, entries: &[HistoryEntry], now: Timestamp) -> Vec<EventView> {
    let mut teller = Teller::new(detail);
    let accepted_at = detail.summary.accepted_at;
    let view = |entry: &HistoryEntry| {
        let (tone, text) = teller.sentence(entry)?;
        Some(EventView {
            after: words::span(words::between(accepted_at, entry.at)),
            stamp: Stamp::of(entry.at, now),
            target: entry.target.clone().unwrap_or_default(),
            tone: words::class(tone),
            mark: words::mark(tone),
            text,
            remark: entry.remark.clone(),
        })
    };
    entries.iter().filter_map(view).collect()
}

impl TargetView {
    fn of(
        target: &TargetForm,
        entries: &[HistoryEntry],
        detail: &OperationDetail,
        bases: &BTreeMap<String, String>,
    ) -> Self {
        let own = entries.iter().filter(|entry| entry.target.as_ref() == Some(&target.name));
        Self {
            name: target.name.clone(),
            outcome: outcome_chip(target),
            consistency: target.consistency.map(|consistency| target_in_words(consistency, target)),
            undo: target.undo.as_ref().map(|undo| match undo.outcome {
                Some(end) => undo_chip(end),
                None => Chip::new(story::Tone::Busy, "undo goes on"),
            }),
            error: target.error.as_ref().map(|error| error.detail.clone()),
            is_untouched: target.attempts == 0,
            attempts: attempts(target, own, detail.summary.accepted_at, bases.get(&target.name).map(String::as_str)),
        }
    }
}

/// What is known of the data of one target.
fn target_in_words(consistency: Consistency, target: &TargetForm) -> (Chip, &'static str) {
    let words = match consistency {
        Consistency::NotConsistent if stays(target) => "in the requested state still: the undo was not done",
        Consistency::Updated => "in the requested state",
        Consistency::RolledBack => "as it was before",
        Consistency::NotConsistent => "perhaps in parts: neither in the requested state nor as it was before",
        Consistency::Unknown => "nobody knows in which state",
    };
    (Chip::of_consistency(consistency), words)
}

fn outcome_chip(target: &TargetForm) -> Chip {
    use story::Tone;
    match (&target.outcome, target.phase) {
        (Some(OutcomeWord::Succeeded), _) => Chip::new(Tone::Good, "succeeded"),
        (Some(OutcomeWord::Failed), _) => Chip::new(Tone::Bad, "failed"),
        (Some(OutcomeWord::Unknown), _) => Chip::new(Tone::Doubtful, "unknown"),
        (Some(OutcomeWord::Skipped), _) => Chip::new(Tone::Plain, "not called"),
        (None, Some(phase)) => {
            let word =
                serde_json::to_value(phase).ok().and_then(|word| word.as_str().map(|word| word.replace('_', " ")));
            Chip::new(Tone::Busy, word.unwrap_or_default())
        }
        (None, None) => Chip::new(Tone::Plain, "planned"),
    }
}

fn undo_chip(end: UndoEnd) -> Chip {
    use story::Tone;
    match end {
        UndoEnd::Undone => Chip::new(Tone::Good, "undone"),
        UndoEnd::Failed => Chip::new(Tone::Bad, "undo failed"),
        UndoEnd::Conflict => Chip::new(Tone::Bad, "not undone: somebody else has changed it"),
        UndoEnd::Unknown => Chip::new(Tone::Doubtful, "undo in doubt"),
        UndoEnd::NotPossible => Chip::new(Tone::Bad, "cannot be undone"),
    }
}

/// Every attempt of a target with what was sent and what came back, in their order.
fn attempts<'a>(
    target: &TargetForm,
    entries: impl Iterator<Item = &'a HistoryEntry>,
    accepted_at: Timestamp,
    base: Option<&str>,
) -> Vec<AttemptView> {
    let mut views: Vec<AttemptView> = Vec::new();
    let mut numbers: BTreeMap<Leg, u32> = BTreeMap::new();
    let mut undo = target.undo.as_ref().and_then(|undo| undo.request.clone());
    for entry in entries {
        match entry.event.as_str() {
            "attempt_started" => {
                let leg = entry.leg.unwrap_or(Leg::Forward);
                let number = numbers.entry(leg).or_default();
                *number += 1;
                let request = match (&entry.request, leg) {
                    (Some(request), Leg::Undo) => {
                        // The detail has the whole body, where the history may have only its length.
                        undo.get_or_insert_with(|| request.clone()).clone()
                    }
                    (Some(request), _) => request.clone(),
                    (None, Leg::Forward | Leg::Probe) => target.request.clone(),
                    (None, Leg::Undo) => undo.clone().unwrap_or_else(|| target.request.clone()),
                };
                let what = match leg {
                    Leg::Forward => "Attempt",
                    Leg::Undo => "Undo",
                    Leg::Probe => "Probe",
                };
                views.push(AttemptView {
                    title: format!("{what} {number}"),
                    at: format!("+{}", words::span(words::between(accepted_at, entry.at))),
                    result: Chip::new(story::Tone::Busy, "on the wire"),
                    request: Message::of_request(&request, base),
                    answer: None,
                });
            }
            "attempt_answered" | "attempt_broke" | "probe_answered" | "lower_ended" => {
                let Some(view) = views.last_mut() else { continue };
                let (tone, text) = result(entry);
                view.result = Chip::new(tone, text);
                if let Some(response) = &entry.response {
                    view.answer = Some(Message::of_answer(whole(response, target)));
                }
            }
            _ => {}
        }
    }
    views
}

/// The answer with its body, where the history has only the length of it and the detail has the same answer.
fn whole<'a>(response: &'a AnswerForm, target: &'a TargetForm) -> &'a AnswerForm {
    if !matches!(response.body, Some(Content::Apart { .. })) {
        return response;
    }
    let undo = target.undo.as_ref().and_then(|undo| undo.response.as_ref());
    let same = |known: &&AnswerForm| known.status == response.status && known.headers == response.headers;
    [target.response.as_ref(), undo].into_iter().flatten().find(same).unwrap_or(response)
}

fn result(entry: &HistoryEntry) -> (story::Tone, String) {
    use story::Tone;
    let meaning = entry.meaning.as_deref().unwrap_or_default();
    let status = entry.response.as_ref().map(|response| format!("{}: ", response.status)).unwrap_or_default();
    let tone = match meaning {
        "succeeded" | "applied" => Tone::Good,
        "lower_operation_accepted" => Tone::Busy,
        "not_applied" | "precondition_failed" | "not_consistent" => Tone::Bad,
        _ => Tone::Doubtful,
    };
    let error = entry.error.as_ref().map(|error| format!(" ({})", error.detail)).unwrap_or_default();
    (tone, format!("{status}{}{error}", meaning.replace('_', " ")))
}
