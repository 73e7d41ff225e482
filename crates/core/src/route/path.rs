//! Rules of raw request paths: what is refused, when two segments are equal, and how values go in and out of them.
//! Owns no routes; [`super::table`] matches, [`super::template`] renders.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

use crate::refusal::Refusal;

/// What is wrong with a raw path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadPath(String);

impl From<BadPath> for Refusal {
    fn from(bad: BadPath) -> Self {
        Self::BadValue { detail: bad.0 }
    }
}

/// Refuses what no path may contain: dot segments (plain or percent-encoded), NUL, broken percent escapes, two slashes at its
/// beginning, and octets that are not part of a path at all. Everything else is data.
pub(crate) fn check(path: &str) -> Result<(), BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath("the path does not begin with `/`".to_owned()));
    }
    check_octets(path, "path", b"<>`")?;
    if path.starts_with("//") {
        return Err(BadPath("the path begins with `//`, which could name another host".to_owned()));
    }
    if let Some(octet) = path.bytes().find(|octet| *octet == b'?') {
        return Err(BadPath(format!("the path contains `{}`", char::from(octet))));
    }
    match segments(path).find(|segment| is_dot_segment(segment)) {
        Some(segment) => Err(BadPath(format!("the path contains the dot segment `{segment}`"))),
        None => Ok(()),
    }
}

/// Refuses what no query may contain: octets outside of RFC 3986, NUL and broken percent escapes.
pub(crate) fn check_query(query: &str) -> Result<(), BadPath> {
    check_octets(query, "query", b"<>\"")
}

/// Whether a raw path has a dot segment in any spelling in which a server might follow it: a path without one stays below
/// whatever it is joined to.
pub fn has_dot_segment(path: &str) -> bool {
    segments(path).any(is_dot_segment)
}

/// The raw segments of a path that begins with a slash. An encoded slash divides nothing.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// The form in which two raw segments are compared: percent-encoded unreserved characters stand for themselves, and the digits
/// of other escapes are in upper case (RFC 3986, sections 6.2.2.1 and 6.2.2.2). Expects what [`check`] let through.
pub(crate) fn normalise(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let mut normal = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = rest.find('%') {
        normal.push_str(&rest[..at]);
        match escape(&rest.as_bytes()[at..]) {
            Some(octet) if is_unreserved(octet) => normal.push(char::from(octet)),
            Some(octet) => push_escape(&mut normal, octet),
            None => normal.push('%'),
        }
        rest = &rest[(at + if escape(&rest.as_bytes()[at..]).is_some() { 3 } else { 1 })..];
    }
    normal.push_str(rest);
    Cow::Owned(normal)
}

/// The value of a raw segment, decoded once.
pub(crate) fn decode(segment: &str) -> Result<String, BadPath> {
    let decoded = percent_decode_str(segment).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| BadPath(format!("the path segment `{segment}` is not UTF-8")))
}

/// Writes a value so that it is one segment, or one value of a query: everything but unreserved characters is encoded.
pub(crate) fn encode(value: &str, out: &mut String) {
    for octet in value.bytes() {
        if is_unreserved(octet) {
            out.push(char::from(octet));
        } else {
            push_escape(out, octet);
        }
    }
}

/// Whether a decoded value stands for the same or the parent folder, so that no segment may consist of it.
fn is_dots(value: &str) -> bool {
    // Some servers cut off parameters (`..;x`) before they resolve dot segments.
    matches!(value.split(';').next(), Some("." | ".."))
}

/// Besides what stands nowhere in an address, `unfit` octets are refused: whoever writes the request line would not take them.
fn check_octets(text: &str, noun: &str, unfit: &[u8]) -> Result<(), BadPath> {
    let octets = text.as_bytes();
    for (at, octet) in octets.iter().enumerate() {
        match octet {
            b'%' => match escape(&octets[at..]) {
                None => return Err(BadPath(format!("the {noun} has a broken percent escape at octet {at}"))),
                Some(0) => return Err(BadPath(format!("the {noun} contains an encoded NUL"))),
                Some(_) => {}
            },
            octet if matches!(octet, 0..=0x20 | 0x7f.. | b'#' | b'\\') || unfit.contains(octet) => {
                return Err(BadPath(format!(
                    "the {noun} contains the octet 0x{octet:02X}, which must be percent-encoded"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Many servers decode an encoded slash before they resolve dot segments, and some take a backslash for a slash, so what lies
/// between those counts as well.
fn is_dot_segment(segment: &str) -> bool {
    if !segment.contains(['.', '%']) {
        return false;
    }
    let decoded = percent_decode_str(segment).decode_utf8_lossy();
    decoded.split(['/', '\\']).any(is_dots)
}

/// The octet that a percent escape at the start of `text` stands for.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

fn push_escape(out: &mut String, octet: u8) {
    // Writing to a string cannot fail.
    let _ = write!(out, "%{octet:02X}");
}

fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_nul_and_broken_escapes_are_refused() {
        for path in [
            "/a/../b",
            "/a/./b",
            "/..",
            "/.",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a/%2E",
            "/a/..%2fb",
            "/a/b%2F..%2Fc",
            "/a/..;x/b",
            "/a/..%5cb",
            "/a/b%5C..",
            "//evil.example/x",
            "//",
            "/a/%00",
            "/a%0",
            "/a%",
            "/a%zz",
            "/a b",
            "/a\\..\\b",
            "/a#b",
            "/a<b>",
            "/a`b",
            "/a?b",
            "/ä",
            "/a\u{7f}",
            "a",
            "",
            "*",
        ] {
            assert!(check(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_query_has_no_octets_that_a_request_line_cannot_carry() {
        for query in ["a=\"b\"", "<a>", "a b", "a#", "%0", "%00", "ä"] {
            assert!(check_query(query).is_err(), "{query}");
        }
        assert_eq!(check_query("a={b}&c=`|^[]'&d=%22/?"), Ok(()));
    }

    #[test]
    fn other_dots_and_escapes_are_data() {
        for path in ["/", "/a/...", "/a/.b", "/a/b..", "/a%2Fb", "/a//b", "/a/%252e%252e", "/x=1;y=2", "/%E4", "/a:b@c"]
        {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn encoded_unreserved_characters_are_equal_to_plain_ones() {
        assert_eq!(normalise("%61b%7e"), "ab~");
        assert_eq!(normalise("a%2fb"), "a%2Fb");
        assert_eq!(normalise("a%3ab"), "a%3Ab");
        assert_ne!(normalise("a%3ab"), normalise("a:b"));
        assert_eq!(normalise("plain"), "plain");
        assert_eq!(normalise("50%"), "50%");
    }

    #[test]
    fn values_are_decoded_once_and_must_be_text() {
        assert_eq!(decode("a%2Fb%2520").unwrap(), "a/b%20");
        assert_eq!(decode("a+b").unwrap(), "a+b");
        assert!(decode("%ff").is_err());
    }

    #[test]
    fn an_encoded_value_is_one_segment() {
        let mut out = String::new();
        encode("a/b ?#ü.~", &mut out);
        assert_eq!(out, "a%2Fb%20%3F%23%C3%BC.~");
    }
}
