//! What a dialect writes: whole answers, lists in pieces, and notices.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Serialize;

use crate::{Answer, Body, Headers, Operation, OperationId};

/// The media type of JSON.
pub(super) const JSON: &str = "application/json";

/// A whole HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: StatusCode,
    /// The fields; names in lower case. `Content-Length` is the server's to add.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// An answer with a JSON body.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        let headers = vec![("content-type".to_owned(), JSON.to_owned())];
        Self { status, headers, body: to_json(body).into() }
    }

    /// The same answer with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same answer with these fields in addition.
    #[must_use]
    pub(super) fn with_fields(mut self, fields: Headers) -> Self {
        self.headers.extend(fields);
        self
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self {
            status: reply.status.as_u16(),
            headers: reply.headers,
            body: Body::inline(reply.body),
            complete: true,
            sealed: false,
        }
    }
}

/// Where the next page of a list starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextPage<'a> {
    /// Entries on each page.
    pub limit: u32,
    /// Where it starts, in the words of whoever reads the pages.
    pub token: &'a str,
}

/// Everything of a list but its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFrame {
    /// The fields; names in lower case.
    pub headers: Headers,
    /// The body up to the first entry.
    pub head: &'static str,
    /// What stands between two entries.
    pub separator: &'static str,
    /// The body after the last entry.
    pub tail: &'static str,
}

/// One entry of a list.
#[derive(Debug, Clone, Copy)]
pub enum ListEntry<'a> {
    /// For [`super::ListFormat::Ids`].
    Id(OperationId),
    /// For [`super::ListFormat::Details`].
    Operation(&'a Operation),
}

/// A request that tells somebody of the end of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRequest {
    /// The method.
    pub method: Method,
    /// The absolute address.
    pub url: String,
    /// The fields; names in lower case.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

/// The JSON text of a form of ours.
pub(super) fn to_json(form: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(form).expect("the forms of dialects have text keys only, which JSON can carry")
}
