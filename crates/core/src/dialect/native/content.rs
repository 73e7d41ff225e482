//! Messages in native JSON.
//!
//! A body is always shown octet for octet, in one of three forms: `null` where there is none, a string where it is UTF-8
//! (JSON bodies too: a string is exact, and needs no guess at what a content type means), else `{"base64": "..."}`.
//! In the history, bodies that stand apart from the record are shown by their length: `{"bytes": 4096}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dialect::View;
use crate::{Answer, Headers, Request, Slot};

/// A message body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    /// UTF-8.
    Text(String),
    /// Any other octets.
    Octets {
        /// The octets in base64 (RFC 4648, section 4).
        base64: String,
    },
    /// Not shown here.
    Apart {
        /// Its length in octets.
        bytes: u64,
    },
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Request")]
pub struct RequestForm {
    /// The method.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// Name and value of each field.
    pub headers: Headers,
    /// The body; null where there is none.
    pub body: Option<Content>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Answer")]
pub struct AnswerForm {
    /// The HTTP status code.
    pub status: u16,
    /// Name and value of each field.
    pub headers: Headers,
    /// The body; null where there is none.
    pub body: Option<Content>,
    /// Whether the whole body was read.
    pub complete: bool,
}

impl Content {
    /// The form of these octets.
    pub fn of(octets: &[u8]) -> Option<Self> {
        match std::str::from_utf8(octets) {
            Ok("") => None,
            Ok(text) => Some(Self::Text(text.to_owned())),
            Err(_) => Some(Self::Octets { base64: STANDARD.encode(octets) }),
        }
    }

    /// The form of a body of which only the record is at hand.
    pub(super) fn alone(body: &crate::Body) -> Option<Self> {
        match &body.0 {
            crate::Content::Inline(octets) => Self::of(octets),
            crate::Content::Apart { bytes } => Some(Self::Apart { bytes: *bytes }),
            // Only plans and final responses refer to other bodies; who shows those follows what they refer to.
            crate::Content::Empty | crate::Content::Same(_) => None,
        }
    }
}

impl RequestForm {
    /// The request whose body is in `slot`.
    pub fn of(view: View<'_>, request: &Request, slot: Slot) -> Self {
        Self { body: Content::of(view.octets(slot)), ..Self::alone(request) }
    }

    pub(crate) fn alone(request: &Request) -> Self {
        Self {
            method: request.method.to_string(),
            uri: request.uri.clone(),
            headers: request.headers.clone(),
            body: Content::alone(&request.body),
        }
    }
}

impl AnswerForm {
    /// The answer whose body is in `slot`.
    pub fn of(view: View<'_>, answer: &Answer, slot: Slot) -> Self {
        Self { body: Content::of(view.octets(slot)), ..Self::alone(answer) }
    }

    pub(super) fn alone(answer: &Answer) -> Self {
        Self {
            status: answer.status,
            headers: answer.headers.clone(),
            body: Content::alone(&answer.body),
            complete: answer.complete,
        }
    }
}
