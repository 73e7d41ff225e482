//! What a fake target does with a request, and the rules that choose it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::{Seen, Service};
use crate::latch::Latch;

/// A proper answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The fields; the length of the body is told by itself.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Whether the connection is closed after it, and says so.
    pub close: bool,
}

/// What is done with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// It is answered.
    Answer(Answer),
    /// It is read, recorded, and then dealt with once the latch lets it through.
    After(Latch, Box<Reply>),
    /// The connection is reset after the request was read.
    Reset {
        /// Whether it was done all the same.
        applied: bool,
    },
    /// The connection is closed after the request was read.
    Close {
        /// Whether it was done all the same.
        applied: bool,
    },
    /// Nothing happens until the other side gives up.
    Never {
        /// Whether it was done all the same.
        applied: bool,
    },
    /// The answer begins, and the connection is reset after so many octets of its body.
    Half(Answer, usize),
    /// The answer claims another length of its body than it has, and the connection is closed after it.
    WrongLength(Answer, usize),
    /// The answer's body comes in chunks of so many octets, each of which waits to be let through.
    Slow(Answer, usize, Latch),
    /// These octets are sent, and the connection is closed.
    Raw(Bytes),
}

impl Answer {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), close: false }
    }

    /// An answer with a JSON body.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, body.to_string()).header("content-type", "application/json")
    }

    /// An answer with these octets as its body.
    pub fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::empty(status) }
    }

    /// The same with one more field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same, after which the connection is closed.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl Reply {
    /// The same, once `latch` lets it through.
    #[must_use]
    pub fn after(self, latch: &Latch) -> Self {
        Self::After(latch.clone(), Box::new(self))
    }

    /// Whether the request is done.
    pub(crate) fn applies(&self) -> bool {
        match self {
            Self::Answer(answer) | Self::Half(answer, _) | Self::WrongLength(answer, _) | Self::Slow(answer, ..) => {
                (200..300).contains(&answer.status)
            }
            Self::After(_, then) => then.applies(),
            Self::Reset { applied } | Self::Close { applied } | Self::Never { applied } => *applied,
            Self::Raw(_) => false,
        }
    }
}

/// The rules of one target.
#[derive(Default)]
pub(crate) struct Script {
    once: VecDeque<Rule>,
    always: Vec<Rule>,
    pub(crate) services: Vec<Arc<dyn Service>>,
    /// So many connections are still to be reset.
    pub(crate) resets: usize,
}

struct Rule {
    method: String,
    path: String,
    reply: Reply,
}

impl Script {
    pub(crate) fn once(&mut self, method: &str, path: &str, reply: Reply) {
        self.once.push_back(Rule { method: method.to_owned(), path: path.to_owned(), reply });
    }

    pub(crate) fn always(&mut self, method: &str, path: &str, reply: Reply) {
        self.always.push(Rule { method: method.to_owned(), path: path.to_owned(), reply });
    }

    pub(crate) fn choose(&mut self, request: &Seen) -> Reply {
        if let Some(at) = self.once.iter().position(|rule| rule.fits(request))
            && let Some(rule) = self.once.remove(at)
        {
            return rule.reply;
        }
        let rule = self.always.iter().rev().find(|rule| rule.fits(request)).map(|rule| rule.reply.clone());
        rule.or_else(|| self.services.iter().find_map(|service| service.answer(request)))
            .unwrap_or_else(|| Answer::json(200, &serde_json::json!({})).into())
    }
}

impl Rule {
    fn fits(&self, request: &Seen) -> bool {
        let path = match self.path.strip_suffix('*') {
            Some(prefix) => request.path().starts_with(prefix),
            None => request.path() == self.path,
        };
        path && (self.method == "*" || self.method == request.method)
    }
}
