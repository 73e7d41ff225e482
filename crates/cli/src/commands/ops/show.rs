//! One operation, laid out for people.

use std::io;

use fanfold_core::dialect::native::{AnswerForm, Content, OperationDetail, RequestForm, TroubleForm, UndoForm};
use fanfold_core::operation::WaitingFor;
use fanfold_core::story;
use jiff::Timestamp;

use crate::client::follow::{forward_state, undo_state};
use crate::output::{Cell, Table, Tone, print_line, printable_text, word};

/// How much of a body is shown, in characters; all of it is in the JSON.
const BODY_SHOWN_MAX: usize = 2_000;

/// Prints an operation: what it is, how far it is, each of its targets, and its final response.
pub(crate) fn print_operation(detail: &OperationDetail) -> io::Result<()> {
    facts(detail).print()?;
    print_line("")?;
    targets(detail).print()?;
    print_content("request body", detail.request.body.as_ref())?;
    if let Some(response) = &detail.response {
        print_line("")?;
        print_line(&format!("final response: {}", response.status))?;
        print_content("response body", response.body.as_ref())?;
    }
    Ok(())
}

/// A time as people read it, to the second.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn facts(detail: &OperationDetail) -> Table {
    let summary = &detail.summary;
    let mut table = Table::bare();
    let mut fact = |name: &str, cell: Cell| table.row([Cell::plain(name), cell]);
    fact("operation", Cell::plain(summary.id.to_string()));
    fact("status", Cell::toned(story::status(summary.status), summary.status.to_string()));
    if let Some(phase) = summary.phase {
        fact("phase", Cell::toned(Tone::Busy, phase.to_string()));
    }
    for waiting in &detail.waiting_for {
        fact("waits for", Cell::plain(waiting_words(waiting)));
    }
    if let Some(cause) = &summary.cause {
        let by = cause.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        fact("cause", Cell::plain(format!("{}{by}", cause.kind.replace('_', " "))));
    }
    if let Some(consistency) = summary.consistency {
        fact("data", Cell::plain(consistency.as_str()));
    }
    if let Some(rollback) = &detail.rollback {
        fact("rollback", Cell::plain(word(&rollback.result).replace('_', " ")));
    }
    if let Some(retried) = detail.retry_of {
        fact("retry of", Cell::plain(retried.to_string()));
    }
    if let Some(retry) = detail.retried_by {
        fact("retried by", Cell::plain(retry.to_string()));
    }
    fact("route", Cell::plain(format!("{} ({})", summary.route, summary.dialect)));
    fact("request", Cell::plain(request_line(&detail.request)));
    if let Some(by) = &detail.submitted_by {
        fact("submitted by", Cell::plain(by.as_str()));
    }
    for (name, at) in [
        ("accepted", Some(summary.accepted_at)),
        ("started", summary.started_at),
        ("ended", summary.ended_at),
        ("deadline", detail.deadline_at),
    ] {
        if let Some(at) = at {
            fact(name, Cell::plain(time(at)));
        }
    }
    table
}

fn targets(detail: &OperationDetail) -> Table {
    let mut table = Table::new(&["TARGET", "STATE", "DATA", "ATTEMPTS", "ANSWER", "NOTE"]);
    for target in &detail.targets {
        let consistency = target.consistency.map(|consistency| consistency.as_str().to_owned());
        table.row([
            Cell::plain(target.name.as_str()),
            forward_state(target),
            Cell::plain(consistency.unwrap_or_else(|| "-".to_owned())),
            Cell::plain(target.attempts.to_string()),
            Cell::plain(answer_status(target.response.as_ref())),
            Cell::plain(reason(target.error.as_ref())),
        ]);
        if let Some(undo) = &target.undo {
            table.row(undo_row(undo));
        }
    }
    table
}

/// The undo has a row of its own below its target's, so that what it was answered is not taken for the target's answer.
fn undo_row(undo: &UndoForm) -> [Cell; 6] {
    [
        Cell::plain("  undo"),
        undo_state(undo),
        Cell::plain(""),
        Cell::plain(undo.attempts.to_string()),
        Cell::plain(answer_status(undo.response.as_ref())),
        Cell::plain(reason(undo.error.as_ref())),
    ]
}

fn reason(error: Option<&TroubleForm>) -> String {
    error.map(|error| error.detail.clone()).unwrap_or_default()
}

fn answer_status(answer: Option<&AnswerForm>) -> String {
    let Some(answer) = answer else { return "-".to_owned() };
    let incomplete = if answer.complete { "" } else { " (broke off)" };
    format!("{}{incomplete}", answer.status)
}

fn request_line(request: &RequestForm) -> String {
    format!("{} {}", request.method, request.uri)
}

fn print_content(name: &str, content: Option<&Content>) -> io::Result<()> {
    let text = match content {
        None => return Ok(()),
        Some(Content::Octets { base64 }) => format!("{name}: {} octets in base64, not text", base64.len() / 4 * 3),
        Some(Content::Apart { bytes }) => format!("{name}: {bytes} octets"),
        Some(Content::Text(text)) => match text.char_indices().nth(BODY_SHOWN_MAX) {
            None => format!("{name}: {text}"),
            Some((end, _)) => format!("{name}: {}... ({} octets in all)", &text[..end], text.len()),
        },
    };
    print_line(&printable_text(&text))
}

/// What an operation waits for, in words.
fn waiting_words(waiting: &WaitingFor) -> String {
    match waiting {
        WaitingFor::StartTime { until } => format!("its start at {}", time(*until)),
        WaitingFor::Lock { key, position, holder } => {
            let place = position.map(|position| format!(", at place {position}")).unwrap_or_default();
            let holder = holder.map(|holder| format!(", which operation {holder} holds")).unwrap_or_default();
            format!("the lock {key}{place}{holder}")
        }
        WaitingFor::Dispatch => "being taken up".to_owned(),
        WaitingFor::Permit(call) => format!("a permit of {}", call.target),
        WaitingFor::Breaker(call) => format!("the open breaker of {}", call.target),
        WaitingFor::HeldTarget(call) => format!("{}, which is on hold", call.target),
        WaitingFor::MissingTarget(call) => format!("{}, which is not configured any more", call.target),
        WaitingFor::Backoff { call, until } => format!("the next attempt at {}, at {}", call.target, time(*until)),
        WaitingFor::Settle { call, until } => format!("{} to settle, until {}", call.target, time(*until)),
        WaitingFor::Answer { call, since } => format!("the answer of {}, since {}", call.target, time(*since)),
        WaitingFor::Resource { call, .. } => format!("the resource to be read at {}", call.target),
        WaitingFor::LowerOperation { call, reference, until, unclear } => {
            let unclear = unclear.as_ref().map(|unclear| {
                format!(" (polls tell nothing since {}: {})", time(unclear.since), unclear.trouble.detail)
            });
            let unclear = unclear.unwrap_or_default();
            format!("the operation {reference} at {}, until {}{unclear}", call.target, time(*until))
        }
        WaitingFor::Probe { call, until: Some(until) } => format!("the probe of {}, at {}", call.target, time(*until)),
        WaitingFor::Probe { call, until: None } => format!("the probe of {}", call.target),
        WaitingFor::Person { target: Some(target), since } => {
            format!("a person, about {target}, since {}", time(*since))
        }
        WaitingFor::Person { target: None, since } => format!("a person, since {}", time(*since)),
        WaitingFor::Response => "its final response to be composed".to_owned(),
        WaitingFor::Release { since, as_of } => {
            format!("a person to release it: it was restored at {}, from a backup as of {}", time(*since), time(*as_of))
        }
    }
}
