//! Which header fields may be sent on, and fields as the record keeps them.

use fanfold_core::Headers;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Fields that concern one connection only, beside those that `Connection` names (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Hop-by-hop fields that were never registered as more than a habit.
const HOP_BY_HOP_BY_HABIT: [&str; 3] = ["keep-alive", "proxy-connection", "proxy-authentication-info"];

/// A recorded field cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the header field {0:?} cannot be sent")]
pub struct BadHeader(String);

/// Whether a field concerns one connection only, and is never sent on.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || HOP_BY_HOP_BY_HABIT.contains(&name.as_str())
}

/// Fields of the record as they go on the wire.
///
/// # Errors
/// If a name or value has octets that a header field cannot carry. The value is not told.
pub fn to_wire(headers: &Headers) -> Result<HeaderMap, BadHeader> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let bad = || BadHeader(name.clone());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        map.append(key, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad())?);
    }
    Ok(map)
}

/// Fields of an answer as the record keeps them: without hop-by-hop fields. Octets that are not UTF-8 are replaced.
pub fn from_wire(headers: &HeaderMap) -> Headers {
    headers
        .iter()
        .filter(|(name, _)| !is_hop_by_hop(name))
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// How clearly the fields of an answer say where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// By its length, by chunks, or with its connection.
    Clear,
    /// By its length and by chunks. The chunks count (RFC 9112, section 6.3), and what follows on the connection may be anything.
    TwoWays,
    /// In a coding that nobody asked for (`TE`), so that its octets are not those of the content.
    Coded,
}

impl Ending {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        match (codings.next(), codings.next()) {
            (None, _) => Self::Clear,
            (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
                if headers.contains_key(header::CONTENT_LENGTH) { Self::TwoWays } else { Self::Clear }
            }
            (Some(_), _) => Self::Coded,
        }
    }
}

/// Takes out what concerns one connection only.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP_BY_HABIT {
        headers.remove(name);
    }
}

/// Puts `extra` over `headers`: a field that is in both comes from `extra`.
pub(super) fn overlay(headers: &mut HeaderMap, extra: &HeaderMap) {
    for name in extra.keys() {
        headers.remove(name);
    }
    for (name, value) in extra {
        headers.append(name, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        to_wire(&fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()).unwrap()
    }

    #[test]
    fn fields_of_one_connection_are_not_sent_on() {
        let mut headers = map(&[
            ("connection", "close, X-Secret"),
            ("connection", "keep-alive"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "x"),
            ("proxy-connection", "close"),
            ("authorization", "kept"),
            ("content-length", "3"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("authorization", "kept"), ("content-length", "3")]));
    }

    #[test]
    fn an_answer_ends_in_one_way_or_in_doubt() {
        for (fields, ending) in [
            (&[][..], Ending::Clear),
            (&[("content-length", "3")], Ending::Clear),
            (&[("transfer-encoding", "Chunked")], Ending::Clear),
            (&[("transfer-encoding", "chunked"), ("content-length", "3")], Ending::TwoWays),
            (&[("transfer-encoding", "gzip, chunked")], Ending::Coded),
            (&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], Ending::Coded),
            (&[("transfer-encoding", "identity"), ("content-length", "3")], Ending::Coded),
        ] {
            assert_eq!(Ending::of(&map(fields)), ending, "{fields:?}");
        }
    }

    #[test]
    fn configured_fields_replace_those_of_the_request() {
        let mut headers = map(&[("authorization", "client"), ("authorization", "twice"), ("accept", "a")]);
        overlay(&mut headers, &map(&[("authorization", "target"), ("x-many", "1"), ("x-many", "2")]));
        assert_eq!(headers, map(&[("accept", "a"), ("authorization", "target"), ("x-many", "1"), ("x-many", "2")]));
    }

    #[test]
    fn a_field_that_cannot_be_sent_is_named_without_its_value() {
        let error = to_wire(&vec![("x-a".to_owned(), "sec\nret".to_owned())]).unwrap_err();
        assert!(!error.to_string().contains("ret\""), "{error}");
        assert_eq!(error, BadHeader("x-a".to_owned()));
    }
}
