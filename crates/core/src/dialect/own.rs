//! Requests to a dialect's own paths, where it keeps its operations.

use http::Method;
use percent_encoding::percent_decode_str;

use super::Refusal;
use crate::OperationId;

/// Entries on one page of a list at the most.
pub(super) const PAGE_ENTRIES_MAX: u32 = 1000;

/// The longest token of a page, in octets.
pub(super) const PAGE_TOKEN_BYTES_MAX: usize = 256;

/// The head of a request, as far as a dialect reads it.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The raw path below the mount's prefix: empty, or with a leading slash.
    pub path: &'a str,
    /// The raw query, without the `?`.
    pub query: Option<&'a str>,
}

/// What a request to one of the dialect's own paths asks for. `HEAD` asks for the same as `GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnRequest {
    /// A list of operations.
    List {
        /// What it shows of each.
        format: ListFormat,
        /// Entries at the most, 1 to 1000; `None`: all of them.
        limit: Option<u32>,
        /// Where it goes on, as the `Link` of the page before said.
        page_token: Option<String>,
    },
    /// One operation.
    Detail {
        /// Its id.
        id: OperationId,
        /// Whose it must be (the connector of `plas`).
        owner: Option<String>,
    },
    /// A lower controller says that its operation changed or ended. That claim is never believed, it only makes us ask.
    Notified {
        /// The lower controller's own id.
        lower: String,
    },
}

/// What a list shows of each operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListFormat {
    /// Its id.
    Ids,
    /// All but the bodies.
    Details,
}

/// The decoded segments of a raw path below a prefix, the leading slash aside; `None` where one is not UTF-8.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    path.split('/').map(|raw| percent_decode_str(raw).decode_utf8().ok().map(Into::into)).collect()
}

/// Reads the id of one of our operations. A text that cannot be one names no operation, so it is simply not found.
pub(super) fn operation_id(text: &str) -> Result<OperationId, Refusal> {
    text.parse().map_err(|_| Refusal::NotFound { detail: "there is no such operation".to_owned() })
}
