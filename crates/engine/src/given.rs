//! What a client says in Fanfold's own header fields.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfold_core::dialect::Refusal;
use fanfold_core::route::CALLBACK;
use fanfold_core::trace::{TRACEPARENT, TRACESTATE, TRACESTATE_MAX, TraceContext};
use fanfold_core::{Headers, OperationId};
use jiff::Timestamp;

use crate::Engine;
use crate::notify::{CALLBACK_ATTRIBUTE, allowed_callback};
use crate::receiver::WebhookUrl;

/// The longest idempotency key of a client, in octets.
const IDEMPOTENCY_KEY_MAX: usize = 255;

/// How far ahead a client may schedule an operation.
const START_AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// What they say, beside the idempotency key.
#[derive(Debug)]
pub(crate) struct Given {
    /// When the operation shall start.
    pub(crate) start_at: Option<Timestamp>,
    /// What is kept with the operation: whom to tell, and the trace.
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Engine {
    /// Reads them, and checks that the client may have told whom it names. What stays among the headers is what may be shown.
    pub(crate) async fn given(&self, headers: &mut Headers, now: Timestamp) -> Result<Given, Refusal> {
        let start_at = only(headers, "Fanfold-Start-At")?.map(|text| start_at(text, now)).transpose()?;
        // Of two nobody could say which one counts; then there is none.
        let trace = only(headers, TRACEPARENT).ok().flatten();
        let trace = trace.filter(|trace| TraceContext::read(trace).is_some()).map(str::to_owned);
        let state = trace.as_ref().and_then(|_| trace_state(headers));
        let callback = self.callback(headers).await?.map(|callback| callback.text());
        let attributes = [(CALLBACK_ATTRIBUTE, callback), (TRACEPARENT, trace), (TRACESTATE, state)].into_iter();
        let attributes = attributes.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        Ok(Given { start_at, attributes })
    }

    /// Who is to be told in a webhook, where the client asks for one. What stays among its headers is what may be shown.
    async fn callback(&self, headers: &mut Headers) -> Result<Option<WebhookUrl>, Refusal> {
        let Some(text) = only(headers, "Fanfold-Callback-Url")?.map(str::to_owned) else { return Ok(None) };
        let callback = allowed_callback(&self.shared, &text).await?;
        for (_, value) in headers.iter_mut().filter(|(name, _)| name == CALLBACK) {
            *value = callback.public();
        }
        Ok(Some(callback))
    }
}

/// What tracing systems say to each other, which may come in several fields. What is too long is left out as a whole, as the
/// specification allows it.
fn trace_state(headers: &Headers) -> Option<String> {
    let fields = headers.iter().filter(|(name, _)| name == TRACESTATE).map(|(_, value)| value.trim());
    let state = fields.filter(|field| !field.is_empty()).collect::<Vec<_>>().join(",");
    (!state.is_empty() && state.len() <= TRACESTATE_MAX).then_some(state)
}

/// The idempotency key that a client gives. Other than the rest it says nothing about how things are now, so it is read first.
pub(crate) fn key(headers: &Headers) -> Result<Option<String>, Refusal> {
    only(headers, "Idempotency-Key")?.map(idempotency_key).transpose()
}

/// The value of a field that has one meaning only: given twice, nobody could say which one counts.
fn only<'a>(headers: &'a Headers, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut given =
        headers.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    match (given.next(), given.next()) {
        (_, Some(_)) => Err(Refusal::BadValue { detail: format!("{name} is given more than once") }),
        (value, None) => Ok(value),
    }
}

/// The operation whose request a client sends again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RetryOf {
    /// The operation.
    pub(crate) id: OperationId,
    /// Whether those targets are called again too of which it is not known whether they are in the requested state.
    pub(crate) force: bool,
}

/// Whether the request is that of an operation to be retried: `Fanfold-Retry-Of: ID`, or `ID; force`.
pub(crate) fn retry_of(headers: &Headers) -> Result<Option<RetryOf>, Refusal> {
    let Some(text) = only(headers, "Fanfold-Retry-Of")? else { return Ok(None) };
    let (id, parameter) = text.split_once(';').map_or((text, None), |(id, parameter)| (id, Some(parameter.trim())));
    let bad = || Refusal::BadValue {
        detail: "Fanfold-Retry-Of is the id of an operation, which `; force` may follow".to_owned(),
    };
    let id = id.trim().parse().map_err(|_| bad())?;
    match parameter {
        None => Ok(Some(RetryOf { id, force: false })),
        Some("force") => Ok(Some(RetryOf { id, force: true })),
        Some(_) => Err(bad()),
    }
}

/// The key, bare or as a structured string (RFC 8941 has the quotation marks, and nothing after the second one).
fn idempotency_key(value: &str) -> Result<String, Refusal> {
    let value = value.trim();
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    if bare.is_empty() {
        return Err(Refusal::BadValue { detail: "Idempotency-Key is empty".to_owned() });
    }
    if bare.contains('"') {
        let detail = "Idempotency-Key is one key, bare or between two quotation marks, with none in it".to_owned();
        return Err(Refusal::BadValue { detail });
    }
    if bare.len() > IDEMPOTENCY_KEY_MAX {
        let detail = format!("Idempotency-Key is longer than {IDEMPOTENCY_KEY_MAX} bytes");
        return Err(Refusal::OutOfRange { detail });
    }
    Ok(bare.to_owned())
}

fn start_at(text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    let at: Timestamp = text.trim().parse().map_err(|error: jiff::Error| {
        if error.is_range() {
            let detail = "Fanfold-Start-At is not a time that there is, or one that is too far away";
            return Refusal::OutOfRange { detail: detail.to_owned() };
        }
        let detail = "Fanfold-Start-At is not a time as in RFC 3339, for instance 2026-12-01T04:00:00Z";
        Refusal::BadValue { detail: detail.to_owned() }
    })?;
    let latest = now.checked_add(START_AHEAD_MAX).unwrap_or(Timestamp::MAX);
    if at > latest {
        return Err(Refusal::OutOfRange { detail: "Fanfold-Start-At is more than 366 days ahead".to_owned() });
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use fanfold_core::route::RETRY_OF;

    use super::*;

    #[test]
    fn keys_are_bare_or_structured_strings() {
        assert_eq!(idempotency_key("abc").unwrap(), "abc");
        assert_eq!(idempotency_key("\"abc\"").unwrap(), "abc");
        for bad in ["", "\"\"", "\"", "\"a", "a\"", "a\"b", "\"a\"; b=1", "\"a\", \"b\""] {
            assert!(matches!(idempotency_key(bad), Err(Refusal::BadValue { .. })), "{bad}");
        }
        assert!(matches!(idempotency_key(&"k".repeat(256)), Err(Refusal::OutOfRange { .. })));
    }

    #[test]
    fn a_field_is_given_once() {
        let fields = |values: &[&str]| -> Headers {
            values.iter().map(|value| ("idempotency-key".to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(key(&fields(&[])).unwrap(), None);
        assert_eq!(key(&fields(&["a"])).unwrap().as_deref(), Some("a"));
        assert!(matches!(key(&fields(&["a", "a"])), Err(Refusal::BadValue { .. })));
    }

    #[test]
    fn what_is_sent_again_names_one_operation() {
        let read = |values: &[&str]| {
            let fields = values.iter().map(|value| (RETRY_OF.to_owned(), (*value).to_owned()));
            retry_of(&fields.collect())
        };
        let id = OperationId::from_bytes([1; 16]);
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[&id.to_string()]).unwrap(), Some(RetryOf { id, force: false }));
        assert_eq!(read(&[&format!(" {id} ;force ")]).unwrap(), Some(RetryOf { id, force: true }));
        for bad in ["", "force", "latest", &format!("{id}; forced"), &format!("{id};"), &format!("{id}, {id}")] {
            assert!(matches!(read(&[bad]), Err(Refusal::BadValue { .. })), "{bad}");
        }
        assert!(matches!(read(&[&id.to_string(), &id.to_string()]), Err(Refusal::BadValue { .. })));
    }

    #[test]
    fn a_start_must_be_a_time_and_not_too_far_ahead() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(start_at("2026-01-02T00:00:00Z", now).unwrap(), "2026-01-02T00:00:00Z".parse().unwrap());
        assert!(matches!(start_at("tomorrow", now), Err(Refusal::BadValue { .. })));
        for far in ["2030-01-02T00:00:00Z", "9999-12-31T23:59:59Z"] {
            assert!(matches!(start_at(far, now), Err(Refusal::OutOfRange { .. })), "{far}");
        }
    }
}
