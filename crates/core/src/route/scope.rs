//! The values that templates see. Bodies are parsed when a template first asks for them, and only then.
//!
//! `path` (captures), `query`, `request.{method,path,headers,text,json}`, `operation.id`, `resource.id`, `target.{name,id}`;
//! later also `response.{status,headers,text,json}` and `snapshot.{headers,text,json}`; in a result `targets`.
//! A query parameter that is given more than once has its last value. A header that is given more than once has its values
//! joined by commas (RFC 9110, section 5.3). Names of headers are found in any letter case.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Error, ErrorKind};

use super::template::TemplateError;
use crate::message::Headers;
use crate::{OperationId, TargetName};

/// What one rendering sees.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    values: Arc<Values>,
}

#[derive(Debug, Clone, Default)]
struct Values(BTreeMap<&'static str, Value>);

impl Object for Values {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|key| Value::from(*key)).collect())
    }
}

/// The accepted request, as templates see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted<'a> {
    /// The operation that it became.
    pub(crate) operation: OperationId,
    /// The id that was issued for the resource.
    pub(crate) resource_id: Option<&'a str>,
    /// What the pattern captured.
    pub(crate) captures: &'a BTreeMap<String, String>,
    /// The method.
    pub(crate) method: &'a http::Method,
    /// The raw path.
    pub(crate) path: &'a str,
    /// The raw query.
    pub(crate) query: Option<&'a str>,
    /// The headers that are recorded.
    pub(crate) headers: &'a Headers,
    /// The original body.
    pub(crate) body: &'a Bytes,
}

/// The answer of a target, as templates see it.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The status code.
    pub status: u16,
    /// Its headers.
    pub headers: &'a Headers,
    /// The original body, as far as it was read.
    pub body: &'a Bytes,
    /// Whether all of it was read.
    pub complete: bool,
}

impl Scope {
    /// The values of an accepted request.
    pub(crate) fn accepted(accepted: &Accepted<'_>) -> Self {
        let request = Message {
            noun: "request",
            head: BTreeMap::from([
                ("method", Value::from(accepted.method.as_str())),
                ("path", Value::from(accepted.path)),
            ]),
            headers: accepted.headers.clone(),
            body: accepted.body.clone(),
            complete: true,
            json: OnceLock::new(),
        };
        let resource = accepted.resource_id.map(|id| ("id", Value::from(id)));
        Self::default()
            .with("path", Value::from_pairs(accepted.captures.clone()))
            .with("query", query(accepted.query.unwrap_or_default()))
            .with("request", Value::from_object(request))
            .with("operation", Value::from_pairs([("id", accepted.operation.to_string())]))
            .with("resource", Value::from_pairs(resource))
    }

    /// The same values and those of a target.
    pub(crate) fn with_target(&self, name: &TargetName, id: &str) -> Self {
        self.clone().with("target", Value::from_pairs([("name", name.as_str()), ("id", id)]))
    }

    /// The same values and those of an answer.
    pub(crate) fn with_response(&self, answer: &Answered<'_>) -> Self {
        self.clone().with("response", answer.value())
    }

    /// The same values and those of a representation that was read before the change.
    pub(crate) fn with_snapshot(&self, content_type: Option<&str>, body: &Bytes) -> Self {
        let headers = content_type.map(|value| ("content-type".to_owned(), value.to_owned())).into_iter().collect();
        let snapshot = Message {
            noun: "snapshot",
            head: BTreeMap::new(),
            headers,
            body: body.clone(),
            complete: true,
            json: OnceLock::new(),
        };
        self.clone().with("snapshot", Value::from_object(snapshot))
    }

    /// The same values and `targets.<name>.{outcome,response}`; a target without an answer has no `response`.
    pub(crate) fn with_targets<'a>(
        &self,
        targets: impl Iterator<Item = (&'a TargetName, &'static str, Option<Answered<'a>>)>,
    ) -> Self {
        let targets = targets.map(|(name, outcome, answer)| {
            let response = answer.map(|answer| ("response", answer.value()));
            (name.as_str(), Value::from_pairs([("outcome", Value::from(outcome))].into_iter().chain(response)))
        });
        self.clone().with("targets", Value::from_pairs(targets))
    }

    /// The values as the engine takes them.
    pub(crate) fn as_value(&self) -> Value {
        Value::from_dyn_object(Arc::clone(&self.values))
    }

    pub(super) fn with(mut self, name: &'static str, value: Value) -> Self {
        Arc::make_mut(&mut self.values).0.insert(name, value);
        self
    }
}

impl Answered<'_> {
    fn value(&self) -> Value {
        Value::from_object(Message {
            noun: "response",
            head: BTreeMap::from([("status", Value::from(self.status))]),
            headers: self.headers.clone(),
            body: self.body.clone(),
            complete: self.complete,
            json: OnceLock::new(),
        })
    }
}

/// A message whose body is read as text or JSON on demand.
#[derive(Debug)]
struct Message {
    noun: &'static str,
    head: BTreeMap<&'static str, Value>,
    headers: Headers,
    body: Bytes,
    complete: bool,
    json: OnceLock<Value>,
}

impl Object for Message {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "headers" => Some(Value::from_object(HeaderValues(Arc::clone(self)))),
            "text" => Some(self.text().map_or_else(Value::from, Value::from)),
            "json" => Some(self.json.get_or_init(|| self.parse().unwrap_or_else(Value::from)).clone()),
            _ => self.head.get(key).cloned(),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.head.keys().copied().chain(["headers", "text", "json"]);
        Enumerator::Values(names.map(Value::from).collect())
    }
}

impl Message {
    fn text(&self) -> Result<&str, Error> {
        let body = self.whole_body()?;
        std::str::from_utf8(body).map_err(|_| self.body_error("is not UTF-8 text"))
    }

    fn parse(&self) -> Result<Value, Error> {
        let body = self.whole_body()?;
        if body.is_empty() {
            return Err(self.body_error("is empty, and so is not JSON"));
        }
        serde_json::from_slice(body).map_err(|error| self.body_error(&format!("is not JSON: {error}")))
    }

    fn whole_body(&self) -> Result<&[u8], Error> {
        if self.complete { Ok(&self.body) } else { Err(self.body_error("is incomplete")) }
    }

    fn body_error(&self, what: &str) -> Error {
        let cause = TemplateError::Body { detail: format!("the body of the {} {what}", self.noun) };
        Error::new(ErrorKind::InvalidOperation, cause.to_string()).with_source(cause)
    }
}

/// The headers of a message.
#[derive(Debug)]
struct HeaderValues(Arc<Message>);

impl Object for HeaderValues {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let same = self.0.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key));
        let values: Vec<&str> = same.map(|(_, value)| value.as_str()).collect();
        if values.is_empty() { None } else { Some(Value::from(values.join(", "))) }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names: std::collections::BTreeSet<&str> = self.0.headers.iter().map(|(name, _)| name.as_str()).collect();
        Enumerator::Values(names.into_iter().map(Value::from).collect())
    }
}

fn query(raw: &str) -> Value {
    Value::from_pairs(super::form::pairs(raw).map(|(name, value)| (name.into_owned(), value.into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::template::{Expression, Mode, Template};

    fn scope(body: &'static str) -> Scope {
        Scope::accepted(&Accepted {
            operation: OperationId::from_bytes([7; 16]),
            resource_id: Some("r-1"),
            captures: &BTreeMap::from([("slice".to_owned(), "a/b".to_owned())]),
            method: &http::Method::POST,
            path: "/v1/a%2Fb",
            query: Some("force=yes&x=1&x=2&n=a+b%21"),
            headers: &vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("x-a".to_owned(), "1".to_owned()),
                ("x-a".to_owned(), "2".to_owned()),
            ],
            body: &Bytes::from_static(body.as_bytes()),
        })
    }

    fn text(scope: &Scope, source: &str) -> Result<String, TemplateError> {
        Template::compile(Mode::Text, source).unwrap().render(scope)
    }

    #[test]
    fn every_documented_value_is_there() {
        let answer =
            Answered { status: 201, headers: &vec![], body: &Bytes::from_static(b"{\"id\":5}"), complete: true };
        let scope = scope("{\"n\":{\"m\":[1,2.5,\"x\"]}}")
            .with_target(&"tokyo".into(), "1")
            .with_response(&answer)
            .with_snapshot(Some("text/plain"), &Bytes::from_static(b"old"));
        for (source, expected) in [
            ("{{ path.slice }}", "a/b"),
            ("{{ query.force }} {{ query.x }} {{ query.n }}", "yes 2 a b!"),
            ("{{ request.method }} {{ request.path }}", "POST /v1/a%2Fb"),
            ("{{ request.headers['Content-Type'] }} {{ request.headers['x-a'] }}", "application/json 1, 2"),
            ("{{ request.json.n.m[2] }} {{ request.json.n }}", "x {\"m\":[1,2.5,\"x\"]}"),
            ("{{ request.text }}", "{\"n\":{\"m\":[1,2.5,\"x\"]}}"),
            ("{{ resource.id }} {{ operation.id }}", "r-1 07070707-0707-0707-0707-070707070707"),
            ("{{ target.name }} {{ target.id }}", "tokyo 1"),
            ("{{ response.status }} {{ response.json.id }}", "201 5"),
            ("{{ snapshot.text }} {{ snapshot.headers['content-type'] }}", "old text/plain"),
        ] {
            assert_eq!(text(&scope, source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn a_body_that_is_not_json_fails_only_where_it_is_touched() {
        let scope = scope("<xml/>");
        assert_eq!(text(&scope, "{{ request.text }}").as_deref(), Ok("<xml/>"));
        for source in ["{{ request.json }}", "{{ request.json.a.b }}", "{% if request.json.a == 1 %}x{% endif %}"] {
            let Err(TemplateError::Body { detail }) = text(&scope, source) else {
                panic!("{source} does not fail for its body");
            };
            assert!(detail.starts_with("the body of the request is not JSON"), "{detail}");
        }
        let condition = Expression::compile("request.json.ok").unwrap();
        assert!(matches!(condition.holds(&scope), Err(TemplateError::Body { .. })));
    }

    #[test]
    fn an_incomplete_body_cannot_be_read() {
        let answer = Answered { status: 200, headers: &vec![], body: &Bytes::from_static(b"{}"), complete: false };
        let scope = Scope::default().with_response(&answer);
        assert_eq!(text(&scope, "{{ response.status }}").as_deref(), Ok("200"));
        let detail = "the body of the response is incomplete".to_owned();
        assert_eq!(text(&scope, "{{ response.json.id }}"), Err(TemplateError::Body { detail: detail.clone() }));
        assert_eq!(text(&scope, "{{ response.text }}"), Err(TemplateError::Body { detail }));
    }

    #[test]
    fn a_target_without_an_answer_has_no_response() {
        let (tokyo, osaka) = (TargetName::from("tokyo"), TargetName::from("osaka"));
        let answer = Answered { status: 200, headers: &vec![], body: &Bytes::from_static(b"[3]"), complete: true };
        let targets = [(&tokyo, "succeeded", Some(answer)), (&osaka, "skipped", None)];
        let scope = Scope::default().with_targets(targets.into_iter());
        let both = "{{ targets.tokyo.response.json[0] }} {{ targets['osaka'].outcome }}";
        assert_eq!(text(&scope, both).as_deref(), Ok("3 skipped"));
        assert!(text(&scope, "{{ targets.osaka.response.status }}").is_err());
    }
}
