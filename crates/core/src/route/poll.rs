//! Following a lower operation: where it is polled, and what one poll shows. When to ask again is the engine's.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

use super::compiled::{CompiledMonitor, CompiledPoll, CompiledTarget};
use super::path;
use super::reading::data_consistency;
use super::retry_after::retry_after;
use super::scope::{Answered, Scope};
use crate::message::header;
use crate::operation::{Consistency, Reading, Trouble, TroubleKind};
use crate::{Answer, Body};

/// How much of a status that is not understood is told.
const STATUS_CHARS_MAX: usize = 60;

/// Where a lower operation is polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollAddress {
    /// Path and query below the target's prefix, like every request of a plan.
    BelowPrefix(String),
    /// Path and query from the root of the target's authority, as the target itself gave them.
    FromRoot(String),
}

/// What one poll of a lower operation shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poll {
    /// It goes on.
    StillRunning {
        /// What the target asked to wait before the next poll, if it did.
        retry_after: Option<Duration>,
    },
    /// It ended.
    Ended {
        /// What that means for the step or undo.
        reading: Reading,
        /// The response of the lower operation, in original form.
        answer: Answer,
        /// What was wrong, where something was.
        trouble: Option<Trouble>,
    },
    /// Nothing. Asking again, until the lower operation has had its time, may help.
    Unclear {
        /// What happened.
        trouble: Trouble,
        /// What the target asked to wait before the next poll, if it did.
        retry_after: Option<Duration>,
    },
}

impl CompiledTarget {
    /// Where the lower operation of this reference is polled; `None` if the target has no monitor that polls.
    pub fn poll_address(&self, reference: &str) -> Option<PollAddress> {
        match &self.monitor {
            CompiledMonitor::Unset | CompiledMonitor::None => None,
            CompiledMonitor::Msf => {
                let mut address = "/v1/operations/".to_owned();
                path::encode(reference, &mut address);
                Some(PollAddress::BelowPrefix(address))
            }
            CompiledMonitor::Plas | CompiledMonitor::Location => Some(PollAddress::FromRoot(reference.to_owned())),
            CompiledMonitor::Poll(_) => Some(PollAddress::BelowPrefix(reference.to_owned())),
        }
    }

    /// Whether it can be told to notify us of the ends of its operations.
    pub fn notifies(&self) -> bool {
        match &self.monitor {
            CompiledMonitor::Msf => true,
            CompiledMonitor::Unset
            | CompiledMonitor::None
            | CompiledMonitor::Plas
            | CompiledMonitor::Location
            | CompiledMonitor::Poll(_) => false,
        }
    }

    /// Reads the answer to one poll, which came at `now`.
    pub fn read_poll(&self, answer: &Answered<'_>, now: Timestamp) -> Poll {
        let wait = retry_after(answer.headers, now);
        if let CompiledMonitor::Poll(rule) = &self.monitor {
            return read_custom(rule, answer, wait);
        }
        match answer.status {
            404 | 410 => return lost(answer),
            400 if matches!(self.monitor, CompiledMonitor::Plas) && is_unknown_to_plas(answer) => return lost(answer),
            200..=299 => {}
            303 if matches!(self.monitor, CompiledMonitor::Location) => {
                let why = "the operation ended with a redirect, which is not followed: describe its end by a poll rule";
                return ended(Reading::Unknown, own_answer(answer), Some(lower_failed(why)));
            }
            status => return unclear(TroubleKind::Refused, &format!("the poll was answered {status}"), wait),
        }
        if !answer.complete {
            return unclear(TroubleKind::Nonsense, "the answer to the poll is incomplete", wait);
        }
        match &self.monitor {
            CompiledMonitor::Msf => read_msf(answer, wait),
            CompiledMonitor::Plas => read_plas(answer, wait),
            CompiledMonitor::Location => read_location(answer, wait),
            CompiledMonitor::Unset | CompiledMonitor::None | CompiledMonitor::Poll(_) => {
                unclear(TroubleKind::Nonsense, "the target has no monitor that polls", wait)
            }
        }
    }
}

#[derive(Deserialize)]
struct MsfDetail {
    status: String,
    #[serde(default)]
    response: Option<MsfResponse>,
}

#[derive(Deserialize)]
struct MsfResponse {
    status_code: u16,
    #[serde(default)]
    body: String,
}

fn read_msf(answer: &Answered<'_>, wait: Option<Duration>) -> Poll {
    let detail: MsfDetail = match serde_json::from_slice(answer.body) {
        Ok(detail) => detail,
        Err(error) => return not_understood(answer, &not_json(&error), wait),
    };
    let response = |default: u16| match &detail.response {
        Some(MsfResponse { status_code: status @ 200..=599, body }) => text_answer(*status, body),
        Some(_) | None => text_answer(default, ""),
    };
    match detail.status.as_str() {
        "unexecuted" | "executing" => Poll::StillRunning { retry_after: wait },
        "completed" => ended(Reading::Succeeded { etag: None }, response(200), None),
        "failed" => {
            let body = detail.response.as_ref().map_or("", |response| response.body.as_str());
            let (reading, trouble) = failed(data_consistency(body.as_bytes()));
            let answer = response(500);
            // Not applied because there is nothing of that name, which is what a `DELETE` wants.
            let gone = reading == Reading::NotApplied && matches!(answer.status, 404 | 410);
            ended(if gone { Reading::Gone } else { reading }, answer, Some(trouble))
        }
        "canceled" => {
            ended(Reading::Unknown, response(500), Some(lower_failed("the operation at the target was canceled")))
        }
        other => {
            let word: String = other.chars().take(STATUS_CHARS_MAX).collect();
            unclear(TroubleKind::Nonsense, &format!("`{word}` is not a status of an operation"), wait)
        }
    }
}

#[derive(Deserialize)]
struct PlasDetail {
    finished: bool,
    #[serde(default)]
    result: Option<PlasResult>,
}

#[derive(Deserialize)]
struct PlasResult {
    result: String,
    #[serde(default)]
    reason: Option<String>,
}

/// An id that is not known there is wrong with the request in the words of this protocol, which has no 404.
fn is_unknown_to_plas(answer: &Answered<'_>) -> bool {
    #[derive(Deserialize)]
    struct ErrorBody {
        error_code: String,
    }
    serde_json::from_slice::<ErrorBody>(answer.body).is_ok_and(|body| body.error_code == "PLAS.0404")
}

fn read_plas(answer: &Answered<'_>, wait: Option<Duration>) -> Poll {
    let detail: PlasDetail = match serde_json::from_slice(answer.body) {
        Ok(detail) => detail,
        Err(error) => return not_understood(answer, &not_json(&error), wait),
    };
    if !detail.finished {
        return Poll::StillRunning { retry_after: wait };
    }
    let result = detail.result.as_ref().map(|result| result.result.as_str());
    match result {
        Some("success") => ended(Reading::Succeeded { etag: None }, own_answer(answer), None),
        Some("failed") => {
            let reason = detail.result.and_then(|result| result.reason).unwrap_or_default();
            let body = serde_json::json!({ "error_msg": reason }).to_string();
            ended(Reading::Unknown, text_answer(500, &body), Some(lower_failed("the operation at the target failed")))
        }
        Some(_) | None => ended(
            Reading::Unknown,
            own_answer(answer),
            Some(lower_failed("the operation at the target finished without saying how")),
        ),
    }
}

/// The word of a `status` in the ways that vendors spell it (`properties.provisioningState` and the like are described by a poll
/// rule). A word that says neither how it ended nor that it runs is no end: nothing is claimed that is not known.
fn read_location(answer: &Answered<'_>, wait: Option<Duration>) -> Poll {
    if answer.status == 202 {
        return Poll::StillRunning { retry_after: wait };
    }
    if answer.body.is_empty() {
        return ended(Reading::Succeeded { etag: None }, own_answer(answer), None);
    }
    // A page for people, of a proxy or for signing in, is no word of the target's.
    let body: Value = match serde_json::from_slice(answer.body) {
        Ok(body) => body,
        Err(error) => return not_understood(answer, &not_json(&error), wait),
    };
    let status = body.get("status").and_then(Value::as_str);
    let word = status.map(|status| {
        status.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect::<String>()
    });
    match word.as_deref() {
        Some(
            "notstarted" | "accepted" | "pending" | "queued" | "running" | "inprogress" | "executing" | "creating"
            | "updating" | "deleting" | "provisioning" | "canceling" | "cancelling",
        ) => Poll::StillRunning { retry_after: wait },
        Some("failed" | "failure" | "error") => {
            let (reading, trouble) = failed(data_consistency(answer.body));
            ended(reading, own_answer(answer), Some(trouble))
        }
        Some("canceled" | "cancelled") => {
            let trouble = lower_failed("the operation at the target was canceled");
            ended(Reading::Unknown, own_answer(answer), Some(trouble))
        }
        // Without a status it is the representation of the resource itself.
        Some("succeeded" | "success" | "successful" | "completed" | "complete" | "done" | "ok") | None => {
            ended(Reading::Succeeded { etag: None }, own_answer(answer), None)
        }
        Some(_) => {
            let word: String = status.unwrap_or_default().chars().take(STATUS_CHARS_MAX).collect();
            let why =
                format!("the status {word:?} says neither that it runs nor how it ended: describe it by a poll rule");
            unclear(TroubleKind::Nonsense, &why, wait)
        }
    }
}

/// The conditions judge what is about the operation; what is about the request or the moment (no access, too many, a broken
/// server) says nothing of it, whatever a condition would make of its body.
fn read_custom(rule: &CompiledPoll, answer: &Answered<'_>, wait: Option<Duration>) -> Poll {
    if matches!(answer.status, 401 | 403 | 407 | 408 | 425 | 429 | 500..) {
        return unclear(TroubleKind::Refused, &format!("the poll was answered {}", answer.status), wait);
    }
    if !answer.complete {
        return unclear(TroubleKind::Nonsense, "the answer to the poll is incomplete", wait);
    }
    let scope = Scope::default().with_response(answer);
    match rule.done.holds(&scope) {
        Ok(true) => {}
        Ok(false) if (200..=299).contains(&answer.status) => return Poll::StillRunning { retry_after: wait },
        Ok(false) | Err(_) if matches!(answer.status, 404 | 410) => return lost(answer),
        Ok(false) => return unclear(TroubleKind::Refused, &format!("the poll was answered {}", answer.status), wait),
        Err(_) if media_type(answer).is_some_and(|kind| !kind.ends_with("json")) => {
            return not_understood(answer, &"the `done` condition cannot be evaluated", wait);
        }
        Err(error) => {
            return unclear(TroubleKind::Nonsense, &format!("the `done` condition cannot be evaluated: {error}"), wait);
        }
    }
    match rule.success.holds(&scope) {
        Ok(true) => ended(Reading::Succeeded { etag: None }, own_answer(answer), None),
        Ok(false) => {
            let (reading, trouble) = failed(data_consistency(answer.body));
            ended(reading, own_answer(answer), Some(trouble))
        }
        Err(error) => {
            let trouble = lower_failed(&format!("its end cannot be judged: {error}"));
            ended(Reading::Unknown, own_answer(answer), Some(trouble))
        }
    }
}

/// A failure says what became of the data, or leaves it unknown.
fn failed(consistency: Option<Consistency>) -> (Reading, Trouble) {
    let reading = match consistency {
        Some(Consistency::RolledBack) => Reading::NotApplied,
        Some(Consistency::Updated) => Reading::Succeeded { etag: None },
        Some(Consistency::NotConsistent) => Reading::NotConsistent,
        Some(Consistency::Unknown) | None => Reading::Unknown,
    };
    let detail = match consistency {
        Some(consistency) => format!("the operation at the target failed, its data is `{consistency}`"),
        None => "the operation at the target failed and does not say what became of its data".to_owned(),
    };
    (reading, lower_failed(&detail))
}

fn lost(answer: &Answered<'_>) -> Poll {
    ended(Reading::Unknown, own_answer(answer), Some(lower_failed("the target does not know its operation any more")))
}

fn ended(reading: Reading, answer: Answer, trouble: Option<Trouble>) -> Poll {
    Poll::Ended { reading, answer, trouble }
}

fn unclear(kind: TroubleKind, detail: &str, retry_after: Option<Duration>) -> Poll {
    Poll::Unclear { trouble: Trouble { kind, detail: detail.to_owned() }, retry_after }
}

/// A page for people, of a proxy or for signing in, most often: its type tells more than where it is no JSON.
fn not_understood(answer: &Answered<'_>, why: &dyn std::fmt::Display, wait: Option<Duration>) -> Poll {
    let detail = match media_type(answer).filter(|kind| !kind.ends_with("json")) {
        Some(kind) => {
            let kind: String = kind.chars().take(STATUS_CHARS_MAX).collect();
            format!("the poll was answered {} with `{kind}`, which is not JSON", answer.status)
        }
        None => format!("the answer to the poll cannot be understood: {why}"),
    };
    unclear(TroubleKind::Nonsense, &detail, wait)
}

/// What is wrong with a text as JSON, without anything of the text itself, which the error has in its words.
fn not_json(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => "it has another form than is expected",
        Category::Syntax | Category::Eof | Category::Io => "it is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

/// What the answer says that its body is, without parameters.
fn media_type<'a>(answer: &Answered<'a>) -> Option<&'a str> {
    header(answer.headers, "content-type")?.split(';').next().map(str::trim)
}

fn lower_failed(detail: &str) -> Trouble {
    Trouble { kind: TroubleKind::LowerFailed, detail: detail.to_owned() }
}

/// The answer to the poll, as the response of the lower operation.
fn own_answer(answer: &Answered<'_>) -> Answer {
    Answer {
        status: answer.status,
        headers: answer.headers.clone(),
        body: Body::inline(answer.body.clone()),
        complete: answer.complete,
        sealed: false,
    }
}

/// A response that came as text within the answer to the poll.
fn text_answer(status: u16, body: &str) -> Answer {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
    let content_type = if is_json { Some("application/json") } else { None };
    Answer {
        status,
        headers: content_type.map(|value| ("content-type".to_owned(), value.to_owned())).into_iter().collect(),
        body: Body::inline(Bytes::from(body.to_owned())),
        complete: true,
        sealed: false,
    }
}

#[cfg(test)]
mod tests;
