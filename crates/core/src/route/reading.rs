//! What one answer to a forward request or an undo means: the table "Reading one attempt" of the documents, from top to
//! bottom. What follows from a reading is decided by [`crate::transition`]; polls of lower operations are [`super::poll`]'s.

use jiff::Timestamp;
use serde::Deserialize;

use super::compiled::{CompiledMonitor, CompiledTarget};
use super::location::{self, Asked};
use super::retry_after::retry_after;
use super::scope::{Answered, Scope};
use crate::message::{Headers, header};
use crate::operation::{Consistency, Leg, Reading, Trouble, TroubleKind};

/// The longest id or location of a lower operation that is used, in octets.
pub const LOWER_REFERENCE_BYTES_MAX: usize = 2048;

/// Reads the answer to an attempt of a forward request or an undo that came at `now`. A 202 of a target that has a monitor is
/// never final, whatever `success` says; the route's `success` judges forward requests only.
pub fn read_answer(
    target: &CompiledTarget,
    leg: Leg,
    asked: &Asked<'_>,
    answer: &Answered<'_>,
    now: Timestamp,
) -> (Reading, Option<Trouble>) {
    if answer.status == 202
        && let Some(reading) = read_accepted(target, leg, asked, answer)
    {
        return reading;
    }
    match judge(target, leg, answer) {
        Judgement::Succeeded => return (Reading::Succeeded { etag: strong_etag(answer.headers) }, None),
        Judgement::Doubtful(why) => return (Reading::Ambiguous, trouble(TroubleKind::Refused, answer.status, &why)),
        Judgement::ByStatus => {}
    }
    match answer.status {
        408 | 425 | 429 => not_taken_on(answer, now),
        503 if retry_after(answer.headers, now).is_some() => not_taken_on(answer, now),
        404 | 410 => (Reading::Gone, refused(answer.status)),
        412 => (Reading::PreconditionFailed, refused(answer.status)),
        400..=499 | 301 | 302 | 307 | 308 => (Reading::NotApplied, refused(answer.status)),
        500..=599 => read_server_error(answer),
        // A success of an undo never gets here; other 3xx, and codes that no final answer has, do.
        _ => (Reading::Ambiguous, trouble(TroubleKind::Nonsense, answer.status, "says nothing about the change")),
    }
}

/// The strong entity tag of an answer, quotes included; a weak one is of no use in a condition (RFC 9110, section 8.8.3).
pub fn strong_etag(headers: &Headers) -> Option<String> {
    let value = header(headers, "etag")?.trim();
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    let is_tag = inner.bytes().all(|octet| octet == 0x21 || (0x23..=0x7e).contains(&octet) || octet >= 0x80);
    is_tag.then(|| value.to_owned())
}

/// What an `msf` error body says of the target's data.
pub(crate) fn data_consistency(body: &[u8]) -> Option<Consistency> {
    #[derive(Deserialize)]
    struct ErrorBody {
        data_consistency: Consistency,
    }
    serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.data_consistency)
}

enum Judgement {
    Succeeded,
    /// A 2xx that the route's condition does not accept.
    Doubtful(String),
    /// Neither a success nor a 2xx.
    ByStatus,
}

fn judge(target: &CompiledTarget, leg: Leg, answer: &Answered<'_>) -> Judgement {
    let is_good_status = (200..=299).contains(&answer.status);
    let condition = match leg {
        Leg::Forward => target.success.as_ref(),
        Leg::Undo | Leg::Probe => None,
    };
    let Some(condition) = condition else {
        return if is_good_status { Judgement::Succeeded } else { Judgement::ByStatus };
    };
    match condition.holds(&Scope::default().with_response(answer)) {
        Ok(true) => Judgement::Succeeded,
        // The body that the condition would judge will never be there; the table has the status decide.
        Ok(false) | Err(_) if is_good_status && !answer.complete => Judgement::Succeeded,
        Ok(false) if is_good_status => Judgement::Doubtful("the `success` condition is false".to_owned()),
        Err(error) if is_good_status => {
            Judgement::Doubtful(format!("the `success` condition cannot be evaluated: {error}"))
        }
        Ok(false) | Err(_) => Judgement::ByStatus,
    }
}

/// Reads a 202; `None`: it is final and read like any other answer.
fn read_accepted(
    target: &CompiledTarget,
    leg: Leg,
    asked: &Asked<'_>,
    answer: &Answered<'_>,
) -> Option<(Reading, Option<Trouble>)> {
    let unknown = |why: &str| Some((Reading::Unknown, trouble(TroubleKind::Nonsense, 202, why)));
    let reference = match &target.monitor {
        CompiledMonitor::None => return None,
        CompiledMonitor::Unset => {
            let condition = match leg {
                Leg::Forward => target.success.as_ref(),
                Leg::Undo | Leg::Probe => None,
            };
            // Without a monitor only the route's own condition can call a 202 a success.
            let is_success =
                condition.is_some_and(|condition| condition.holds(&Scope::default().with_response(answer)) == Ok(true));
            if is_success {
                return None;
            }
            return unknown(
                "accepts the request for later, and the target has no `monitor`: set it to `none`, `msf`, \
                            `plas`, `location` or a poll rule",
            );
        }
        CompiledMonitor::Msf => text_member(answer, "operation_id").and_then(|id| checked_id(&id)),
        CompiledMonitor::Plas => text_member(answer, "location").and_then(|location| used(&location, asked)),
        CompiledMonitor::Location => location_header(answer.headers)
            .ok_or_else(|| "there is no `Location`, `Operation-Location` or `Azure-AsyncOperation` header".to_owned())
            .and_then(|location| used(location, asked)),
        CompiledMonitor::Poll(rule) => rule
            .path
            .render(&Scope::default().with_response(answer))
            .map_err(|error| format!("the path of the poll rule could not be rendered: {error}")),
    };
    match reference.and_then(checked_length) {
        Ok(reference) => Some((Reading::LowerAccepted { reference }, None)),
        Err(why) => unknown(&format!("accepts the request for later, but cannot be followed: {why}")),
    }
}

fn text_member(answer: &Answered<'_>, name: &str) -> Result<String, String> {
    if !answer.complete {
        return Err("its body is incomplete".to_owned());
    }
    let body: serde_json::Value =
        serde_json::from_slice(answer.body).map_err(|error| format!("its body is not JSON: {error}"))?;
    let member = body.get(name).and_then(serde_json::Value::as_str);
    member.map(str::to_owned).ok_or_else(|| format!("its body has no text `{name}`"))
}

fn checked_id(id: &str) -> Result<String, String> {
    let mut segment = String::new();
    super::path::encode(id, &mut segment);
    let is_usable = !id.is_empty() && !super::path::has_dot_segment(&segment) && !id.chars().any(char::is_control);
    if is_usable { Ok(id.to_owned()) } else { Err("its `operation_id` is no usable id".to_owned()) }
}

fn used(location: &str, asked: &Asked<'_>) -> Result<String, String> {
    location::resolve(location, asked).map_err(|why| format!("its location is not used: {why}"))
}

fn checked_length(reference: String) -> Result<String, String> {
    if reference.len() <= LOWER_REFERENCE_BYTES_MAX {
        Ok(reference)
    } else {
        Err(format!("its id or location is longer than {LOWER_REFERENCE_BYTES_MAX} octets"))
    }
}

/// The header that leads to the state of the operation; `Location` may lead to the resource where one of the others is there.
fn location_header(headers: &Headers) -> Option<&str> {
    ["azure-asyncoperation", "operation-location", "location"].iter().find_map(|name| header(headers, name))
}

fn read_server_error(answer: &Answered<'_>) -> (Reading, Option<Trouble>) {
    let consistency = if answer.complete { data_consistency(answer.body) } else { None };
    let Some(consistency) = consistency else {
        return (Reading::Ambiguous, refused(answer.status));
    };
    let trouble = trouble(TroubleKind::Refused, answer.status, &format!("says that its data is `{consistency}`"));
    match consistency {
        Consistency::RolledBack => (Reading::NotApplied, trouble),
        Consistency::Updated => (Reading::Succeeded { etag: None }, trouble),
        Consistency::NotConsistent => (Reading::NotConsistent, trouble),
        Consistency::Unknown => (Reading::Ambiguous, trouble),
    }
}

fn not_taken_on(answer: &Answered<'_>, now: Timestamp) -> (Reading, Option<Trouble>) {
    (Reading::NotTakenOn { retry_after: retry_after(answer.headers, now) }, refused(answer.status))
}

fn refused(status: u16) -> Option<Trouble> {
    Some(Trouble { kind: TroubleKind::Refused, detail: format!("the target answered {status}") })
}

fn trouble(kind: TroubleKind, status: u16, what: &str) -> Option<Trouble> {
    Some(Trouble { kind, detail: format!("the target answered {status}: {what}") })
}

#[cfg(test)]
mod tests;
