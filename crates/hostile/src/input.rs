//! Messages in the simplest form that a fuzzer can find its way in: a first line, header fields, an empty line, the body. Lines
//! end with LF.

use bytes::Bytes;
use fanfold_core::Headers;
use http::{HeaderName, HeaderValue};

/// A message, taken apart.
pub(crate) struct Message<'a> {
    pub(crate) first: &'a str,
    /// As whoever parses heads gives them: names in lower case, values that are text without control characters.
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

impl<'a> Message<'a> {
    /// `None` if its head is not text.
    pub(crate) fn read(octets: &'a [u8]) -> Option<Self> {
        let at = octets.windows(2).position(|two| two == b"\n\n");
        let (head, body) = at.map_or((octets, &[][..]), |at| (&octets[..at], &octets[at + 2..]));
        let head = std::str::from_utf8(head).ok()?;
        let (first, rest) = head.split_once('\n').unwrap_or((head, ""));
        let headers = rest.lines().filter_map(field).collect();
        Some(Self { first, headers, body: Bytes::copy_from_slice(body) })
    }
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let value = value.trim();
    HeaderValue::from_str(value).ok()?;
    Some((name.as_str().to_owned(), value.to_owned()))
}
