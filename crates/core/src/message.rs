//! HTTP messages as the record keeps them: a request, an answer, and bodies that may stand elsewhere.
//!
//! What is kept here is the *public* form: redacted, fit for every list, page and log. Where redaction took something
//! out, `sealed` is set and the original stands in the store's sealed table under the same [`Slot`] until the operation ends.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::StepIndex;

/// Header fields in the order in which they were received or will be sent; names in lower case.
pub type Headers = Vec<(String, String)>;

/// The first value of the header `name` (in lower case).
pub fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// A request: the one that was accepted (`uri` as the client sent it), or one to a target (`uri` below the target's prefix).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `POST`, `PUT`, `PATCH`, `DELETE`; also `GET` for a probe.
    #[serde(with = "crate::text::method")]
    pub method: http::Method,
    /// Path and query.
    pub uri: String,
    /// The fields that are part of the request; credentials of a target and fields that change with each attempt are not.
    pub headers: Headers,
    /// The body; empty where there is none.
    pub body: Body,
    /// Whether the original differs from this public form, and stands in the sealed table.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
}

/// An answer of a target, or the final response of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status code, 100 to 599.
    pub status: u16,
    /// The fields that came with it, without hop-by-hop fields.
    pub headers: Headers,
    /// The body as far as it was read.
    pub body: Body,
    /// Whether the whole body was read: false where it broke off or was longer than `response_body_max`.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub complete: bool,
    /// Whether the original differs from this public form, and stands in the sealed table.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sealed: bool,
}

fn yes() -> bool {
    true
}

/// A message body in the record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Body(pub Content);

/// Where the octets of a body are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// There is no body.
    #[default]
    Empty,
    /// Here.
    #[serde(with = "crate::text::octets")]
    Inline(Bytes),
    /// In the store's table of bodies, under the slot of the message that this body belongs to.
    Apart {
        /// Its length in octets.
        bytes: u64,
    },
    /// The same octets as the body in another slot: a forward request that passes the accepted body on, for instance.
    Same(Slot),
}

impl Body {
    /// A body that stands in the record itself.
    pub fn inline(octets: impl Into<Bytes>) -> Self {
        let octets = octets.into();
        if octets.is_empty() { Self(Content::Empty) } else { Self(Content::Inline(octets)) }
    }
}

/// Names one message of an operation: the key of its body, and of its sealed original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The accepted request.
    Request,
    /// The forward request of a step.
    StepRequest(StepIndex),
    /// The answer that decided a step (or the latest one).
    StepAnswer(StepIndex),
    /// The undo request of a step.
    UndoRequest(StepIndex),
    /// The answer that decided an undo (or the latest one).
    UndoAnswer(StepIndex),
    /// The representation read before the change, for `undo = "restore"`.
    Before(StepIndex),
    /// The final response of the operation.
    Final,
    /// The address that the client asked to be told at. It has no public form of its own; the record has that in an attribute.
    Callback,
    /// The address that the route's configuration had told, likewise.
    Webhook,
}

impl Slot {
    /// Those whose originals are needed after the end of the operation, for its notices and for a retry: they stay sealed until
    /// it is purged.
    pub const LASTING: [Self; 2] = [Self::Callback, Self::Webhook];
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("request"),
            Self::StepRequest(step) => write!(f, "step/{step}/request"),
            Self::StepAnswer(step) => write!(f, "step/{step}/answer"),
            Self::UndoRequest(step) => write!(f, "undo/{step}/request"),
            Self::UndoAnswer(step) => write!(f, "undo/{step}/answer"),
            Self::Before(step) => write!(f, "step/{step}/before"),
            Self::Final => f.write_str("final"),
            Self::Callback => f.write_str("callback"),
            Self::Webhook => f.write_str("webhook"),
        }
    }
}

/// The text names no slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no message of an operation")]
pub struct BadSlot(String);

impl FromStr for Slot {
    type Err = BadSlot;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadSlot(text.to_owned());
        match text {
            "request" => return Ok(Self::Request),
            "final" => return Ok(Self::Final),
            "callback" => return Ok(Self::Callback),
            "webhook" => return Ok(Self::Webhook),
            _ => {}
        }
        let mut parts = text.split('/');
        let (Some(side), Some(step), Some(which), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad());
        };
        let step = StepIndex(step.parse().map_err(|_| bad())?);
        match (side, which) {
            ("step", "request") => Ok(Self::StepRequest(step)),
            ("step", "answer") => Ok(Self::StepAnswer(step)),
            ("step", "before") => Ok(Self::Before(step)),
            ("undo", "request") => Ok(Self::UndoRequest(step)),
            ("undo", "answer") => Ok(Self::UndoAnswer(step)),
            _ => Err(bad()),
        }
    }
}

impl Serialize for Slot {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Slot {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_survive_their_text_form() {
        let step = StepIndex(7);
        for slot in [
            Slot::Request,
            Slot::StepRequest(step),
            Slot::StepAnswer(step),
            Slot::UndoRequest(step),
            Slot::UndoAnswer(step),
            Slot::Before(step),
            Slot::Final,
            Slot::Callback,
            Slot::Webhook,
        ] {
            assert_eq!(slot.to_string().parse(), Ok(slot));
        }
        assert!("step/x/request".parse::<Slot>().is_err());
        assert!("undo/1/before".parse::<Slot>().is_err());
    }

    #[test]
    fn bodies_that_are_no_text_survive_json() {
        for octets in [&b"{\"a\":1}"[..], &[0xff, 0x00, 0x80], "héllo".as_bytes()] {
            let body = Body::inline(octets.to_vec());
            let json = serde_json::to_string(&body).unwrap();
            assert_eq!(serde_json::from_str::<Body>(&json).unwrap(), body);
        }
    }
}
