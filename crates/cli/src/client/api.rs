//! The native API as the commands use it: what is asked for, and what the answers mean.

use std::collections::VecDeque;

use fanfold_core::OperationId;
use fanfold_core::dialect::native::{OPERATIONS, OperationDetail, Problem, operation_path};
use http::header::HeaderValue;
use http::{Method, StatusCode};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Answer, Call, Client};
use crate::failure::Failure;
use crate::output::printable;

/// Where the native API keeps notes that a person is needed.
pub(crate) const ATTENTION: &str = "/api/v1/attention";

/// Where the native API keeps notices.
pub(crate) const NOTICES: &str = "/api/v1/notices";

/// Where the native API tells what would become of a request.
pub(crate) const PLAN: &str = "/api/v1/plan";

/// The most entries that are asked for at once.
const PAGE_MAX: usize = 500;

/// Everything but what RFC 3986 calls unreserved.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The native API of one server.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
}

/// An operation as the server shows it at one instant.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// What it says.
    pub(crate) detail: OperationDetail,
    /// The same as it came.
    pub(crate) json: Box<RawValue>,
}

/// A list that is read page by page, so that one of any length takes little memory.
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    api: &'a Api,
    path: String,
    /// The name of the member that holds the entries.
    member: &'static str,
    query: Vec<(String, String)>,
    left: usize,
    entries: VecDeque<Box<RawValue>>,
    next: Next,
}

/// Where a list goes on.
#[derive(Debug)]
enum Next {
    First,
    Token(String),
    End,
}

impl Api {
    /// The native API of the server of this client.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client underneath, for requests that are not of the native API.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: impl Into<String>) -> Result<Box<RawValue>, Failure> {
        let answer = self.ask(Call::new(Method::GET, path)).await?;
        self.read(&answer)
    }

    /// `POST`, with or without a body.
    pub(crate) async fn post(&self, path: impl Into<String>, body: Option<&Value>) -> Result<Box<RawValue>, Failure> {
        let mut call = Call::new(Method::POST, path);
        if let Some(body) = body {
            call.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            call.body = body.to_string().into();
        }
        let answer = self.ask(call).await?;
        self.read(&answer)
    }

    /// The operation as it is now.
    pub(crate) async fn operation(&self, id: OperationId) -> Result<Shown, Failure> {
        let answer = self.ask(Call::new(Method::GET, operation_path(id))).await?;
        self.shown(&answer)
    }

    /// Requests that an operation be canceled.
    pub(crate) async fn cancel(&self, id: OperationId) -> Result<Shown, Failure> {
        let answer = self.ask(Call::new(Method::POST, format!("{}/cancel", operation_path(id)))).await?;
        self.shown(&answer)
    }

    /// Operations, at most `limit`, by these filters.
    pub(crate) fn operations(&self, query: Vec<(String, String)>, limit: usize) -> Pages<'_> {
        self.pages(OPERATIONS.to_owned(), "operations", query, limit)
    }

    /// The history of an operation, oldest entry first.
    pub(crate) fn history(&self, id: OperationId, limit: usize) -> Pages<'_> {
        self.pages(format!("{}/history", operation_path(id)), "history", Vec::new(), limit)
    }

    /// Notices, at most `limit`, by these filters.
    pub(crate) fn notices(&self, query: Vec<(String, String)>, limit: usize) -> Pages<'_> {
        self.pages(NOTICES.to_owned(), "notices", query, limit)
    }

    /// JSON of the server as a type.
    pub(crate) fn parse<T: DeserializeOwned>(&self, json: &RawValue) -> Result<T, Failure> {
        serde_json::from_str(json.get()).map_err(|error| self.not_understood(error.to_string()))
    }

    /// The same of a text.
    pub(crate) fn parse_text<T: DeserializeOwned>(&self, json: &str) -> Result<T, Failure> {
        serde_json::from_str(json).map_err(|error| self.not_understood(error.to_string()))
    }

    /// Opens a stream: a good answer whose body is still to come.
    pub(super) async fn open(&self, call: Call) -> Result<(StatusCode, Incoming), Failure> {
        let response = self.client.open(call).await?;
        if response.status().is_success() {
            let (head, body) = response.into_parts();
            return Ok((head.status, body));
        }
        let answer = self.client.whole(response).await?;
        Err(self
            .success(answer)
            .map_or_else(|failure| failure, |answer| self.not_understood(answer.status.to_string())))
    }

    /// Any list of the API.
    pub(crate) fn pages(
        &self,
        path: String,
        member: &'static str,
        query: Vec<(String, String)>,
        limit: usize,
    ) -> Pages<'_> {
        Pages { api: self, path, member, query, left: limit, entries: VecDeque::new(), next: Next::First }
    }

    async fn ask(&self, call: Call) -> Result<Answer, Failure> {
        self.success(self.client.send(call).await?)
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, Failure> {
        serde_json::from_slice(&answer.body).map_err(|error| self.not_understood(error.to_string()))
    }

    fn shown(&self, answer: &Answer) -> Result<Shown, Failure> {
        Ok(Shown { detail: self.read(answer)?, json: self.read(answer)? })
    }

    /// The answer, if it is a good one.
    fn success(&self, answer: Answer) -> Result<Answer, Failure> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
        Err(match (answer.status, problem) {
            (StatusCode::NOT_FOUND, Some(problem)) => Failure::NotFound(printable(&problem.detail)),
            // A Fanfold says what is not there; something else knows nothing of these paths and methods.
            (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, None) => {
                self.not_understood(answer.status.to_string())
            }
            (status, Some(problem)) => Failure::refused(status, printable(&problem.detail)),
            (status, None) => Failure::refused(status, status_words(status)),
        })
    }

    fn not_understood(&self, detail: String) -> Failure {
        Failure::NotUnderstood { server: self.client.server().to_string(), detail }
    }
}

impl Pages<'_> {
    /// The next entry.
    pub(crate) async fn next(&mut self) -> Result<Option<Box<RawValue>>, Failure> {
        while self.left > 0 {
            if let Some(entry) = self.entries.pop_front() {
                self.left -= 1;
                return Ok(Some(entry));
            }
            let token = match std::mem::replace(&mut self.next, Next::End) {
                Next::First => None,
                Next::Token(token) => Some(token),
                Next::End => break,
            };
            self.fetch(token).await?;
        }
        Ok(None)
    }

    async fn fetch(&mut self, token: Option<String>) -> Result<(), Failure> {
        let mut query = self.query.clone();
        query.push(("limit".to_owned(), self.left.min(PAGE_MAX).to_string()));
        query.extend(token.map(|token| ("page_token".to_owned(), token)));
        let answer = self.api.ask(Call::new(Method::GET, format!("{}{}", self.path, encode(&query)))).await?;
        let page: std::collections::HashMap<String, Box<RawValue>> = self.api.read(&answer)?;
        let member = |name: &str| page.get(name).ok_or_else(|| self.api.not_understood(format!("no member {name}")));
        self.entries = self.api.parse(member(self.member)?)?;
        if let Some(token) = self.api.parse(member("next_page_token")?)? {
            self.next = Next::Token(token);
        }
        Ok(())
    }
}

/// The parameters as a query, with the question mark.
pub(crate) fn encode(query: &[(String, String)]) -> String {
    let pairs = query.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, VALUE)));
    let pairs = pairs.collect::<Vec<_>>().join("&");
    if pairs.is_empty() { pairs } else { format!("?{pairs}") }
}

/// The text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}

/// What a status code means, where nothing else tells what was wrong.
pub(crate) fn status_words(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or("no reason is given").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query_are_encoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(encode(&[]), "");
        assert_eq!(encode(&[pair("text", "a b&c=d/é"), pair("limit", "1")]), "?text=a%20b%26c%3Dd%2F%C3%A9&limit=1");
        assert_eq!(segment("a/b"), "a%2Fb");
    }
}
