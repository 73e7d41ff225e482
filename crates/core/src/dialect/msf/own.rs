//! The paths where `msf` keeps its operations: `/operations` and `/operations/{operation_id}` below the mount.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::dialect::own::{PAGE_ENTRIES_MAX, PAGE_TOKEN_BYTES_MAX, operation_id, segments};
use crate::dialect::{Head, ListFormat, Mount, NextPage, OwnRequest, Refusal, query};

/// The longest id of a lower controller's operation, in octets. Its form is that controller's business.
const LOWER_ID_BYTES_MAX: usize = 255;

pub(super) fn read(head: Head<'_>) -> Option<Result<OwnRequest, Refusal>> {
    let segments = segments(head.path)?;
    match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["operations"] => Some(list(head)),
        ["operations", id] => Some(one(head, id)),
        _ => None,
    }
}

/// The `Link` to the next page (RFC 8288).
pub(super) fn next_link(mount: &Mount, format: ListFormat, next: NextPage<'_>) -> String {
    let token = utf8_percent_encode(next.token, NON_ALPHANUMERIC);
    let path = format!("{}/operations?format={}&limit={}&page_token={token}", mount.prefix, word(format), next.limit);
    format!("<{}>; rel=\"next\"", mount.link(&path))
}

fn list(head: Head<'_>) -> Result<OwnRequest, Refusal> {
    if !matches!(*head.method, Method::GET | Method::HEAD) {
        return Err(Refusal::MethodNotAllowed { allow: vec![Method::GET, Method::HEAD] });
    }
    let format = match query::value(head.query, "format")?.as_deref() {
        None => ListFormat::Ids,
        Some(text) if text == word(ListFormat::Ids) => ListFormat::Ids,
        Some(text) if text == word(ListFormat::Details) => ListFormat::Details,
        Some(_) => {
            return Err(Refusal::BadValue { detail: "`format` is neither `list` nor `detail-list`".to_owned() });
        }
    };
    Ok(OwnRequest::List { format, limit: limit(head.query)?, page_token: page_token(head.query)? })
}

fn one(head: Head<'_>, id: &str) -> Result<OwnRequest, Refusal> {
    match *head.method {
        Method::GET | Method::HEAD => Ok(OwnRequest::Detail { id: operation_id(id)?, owner: None }),
        Method::PUT if id.is_empty() || id.len() > LOWER_ID_BYTES_MAX => {
            Err(Refusal::NotFound { detail: "nothing waits for that operation".to_owned() })
        }
        Method::PUT => Ok(OwnRequest::Notified { lower: id.to_owned() }),
        _ => Err(Refusal::MethodNotAllowed { allow: vec![Method::GET, Method::HEAD, Method::PUT] }),
    }
}

fn limit(query: Option<&str>) -> Result<Option<u32>, Refusal> {
    let Some(text) = query::value(query, "limit")? else {
        return Ok(None);
    };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::Unparsable { detail: "`limit` is not a number".to_owned() });
    }
    match text.parse() {
        Ok(limit) if (1..=PAGE_ENTRIES_MAX).contains(&limit) => Ok(Some(limit)),
        Ok(_) | Err(_) => Err(Refusal::OutOfRange { detail: format!("`limit` is not from 1 to {PAGE_ENTRIES_MAX}") }),
    }
}

fn page_token(query: Option<&str>) -> Result<Option<String>, Refusal> {
    match query::value(query, "page_token")? {
        Some(token) if token.is_empty() || token.len() > PAGE_TOKEN_BYTES_MAX => {
            Err(Refusal::BadValue { detail: "`page_token` is not one that was given out".to_owned() })
        }
        token => Ok(token.map(Into::into)),
    }
}

/// The word for a format in the query.
fn word(format: ListFormat) -> &'static str {
    match format {
        ListFormat::Ids => "list",
        ListFormat::Details => "detail-list",
    }
}
