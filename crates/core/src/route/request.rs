//! Request templates, compiled: the parts of a request that configuration replaces. What stands in for an absent part is
//! decided by who renders: [`super::accept`] for forward requests, [`super::render`] for undos.

use http::{HeaderName, Method};

use super::headers;
use super::problem::{Place, Problems};
use super::scope::Scope;
use super::sees::Sees;
use super::template::{Expression, Mode, Template, TemplateError};
use crate::plan::{BodyTemplate, RequestTemplate};

/// The methods of changes.
pub(crate) const CHANGES: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// A compiled request template.
#[derive(Debug, Default)]
pub(crate) struct CompiledRequest {
    pub(crate) method: Option<Method>,
    path: Option<Template>,
    query: Option<Template>,
    headers: Vec<(String, Template)>,
    body: Option<CompiledBody>,
}

/// The parts of one request, as far as templates gave them.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The method.
    pub(crate) method: Option<Method>,
    /// The path, which may carry a query.
    pub(crate) path: Option<String>,
    /// The raw query.
    pub(crate) query: Option<String>,
    /// Headers with their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Option<Vec<u8>>,
    /// Whether the body is JSON.
    pub(crate) is_json: bool,
}

/// Which part of a request could not be rendered, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {part}: {error}")]
pub(crate) struct PartError {
    /// `path`, `query`, `body`, or the name of a header.
    pub(crate) part: String,
    /// Why.
    pub(crate) error: TemplateError,
}

impl CompiledRequest {
    /// Compiles the parts; mistakes are told at the names that they have in the configuration. `None` if there are any.
    pub(crate) fn compile(template: &RequestTemplate, sees: &Sees<'_>, problems: &mut Problems) -> Option<Self> {
        let before = problems.mistakes();
        let method = template.method.as_deref().map(|name| compile_method(name, problems));
        let path = template.path.as_deref();
        if path.is_some_and(|path| path.contains('?')) && template.query.is_some() {
            problems.mistake(&["query".into()], "there is a query in `path` already");
        }
        let path = path.map(|source| problems.template(&["path".into()], Mode::Path, source, sees));
        let query =
            template.query.as_deref().map(|source| problems.template(&["query".into()], Mode::Query, source, sees));
        let content_type = template.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let content_type = content_type.map(|(_, value)| value.as_str());
        let body = template.body.as_ref().map(|body| {
            problems.below(&["body".into()], |problems| CompiledBody::compile(body, content_type, sees, problems))
        });
        let headers = compile_headers(template, sees, problems);
        if problems.mistakes() > before {
            return None;
        }
        // Without a mistake no part is missing that the template has.
        Some(Self {
            method: method.flatten(),
            path: path.flatten(),
            query: query.flatten(),
            headers: headers?,
            body: body.flatten(),
        })
    }

    /// Whether any part depends on the request.
    pub(crate) fn needs_values(&self) -> bool {
        let templates = self.path.iter().chain(&self.query).chain(self.headers.iter().map(|(_, value)| value));
        !templates.into_iter().all(Template::is_literal) || self.body.as_ref().is_some_and(|body| !body.is_literal())
    }

    /// Renders every part that there is.
    pub(crate) fn render(&self, scope: &Scope) -> Result<Parts, PartError> {
        let text = |part: &str, template: &Option<Template>| {
            template
                .as_ref()
                .map(|template| template.render(scope))
                .transpose()
                .map_err(|error| part_error(part, error))
        };
        let headers = self.headers.iter().map(|(name, value)| {
            let value = value.render(scope).map_err(|error| part_error(&format!("header `{name}`"), error))?;
            Ok((name.clone(), value))
        });
        let body = self.body.as_ref().map(|body| body.render(scope)).transpose();
        Ok(Parts {
            method: self.method.clone(),
            path: text("path", &self.path)?,
            query: text("query", &self.query)?,
            headers: headers.collect::<Result<_, PartError>>()?,
            body: body.map_err(|error| part_error("body", error))?,
            is_json: self.body.as_ref().is_some_and(CompiledBody::is_json),
        })
    }
}

/// A compiled body template.
#[derive(Debug)]
pub(crate) enum CompiledBody {
    /// Text, in the mode that its media type asks for.
    Text(Template, Mode),
    /// JSON with templated leaves.
    Json(Json),
}

impl CompiledBody {
    /// Compiles a body. Text is JSON unless the request's own `Content-Type` says otherwise.
    pub(crate) fn compile(
        body: &BodyTemplate,
        content_type: Option<&str>,
        sees: &Sees<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mode = match content_type {
            None => Mode::Json,
            Some(value) if headers::is_json(value) => Mode::Json,
            Some(value) if headers::is_form(value) => Mode::Query,
            Some(_) => Mode::Text,
        };
        match body {
            BodyTemplate::Text(source) => {
                problems.template(&[], mode, source, sees).map(|template| Self::Text(template, mode))
            }
            BodyTemplate::Json(value) => Json::compile(value, sees, problems).map(Self::Json),
        }
    }

    /// The octets.
    pub(crate) fn render(&self, scope: &Scope) -> Result<Vec<u8>, TemplateError> {
        match self {
            Self::Text(template, _) => template.render(scope).map(String::into_bytes),
            Self::Json(json) => {
                let octets = serde_json::to_vec(&json.render(scope)?).expect("JSON values have text keys only");
                if octets.len() > super::template::TEMPLATE_OUTPUT_BYTES_MAX {
                    return Err(TemplateError::TooMuch);
                }
                Ok(octets)
            }
        }
    }

    /// Whether it gives JSON.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Text(_, Mode::Json))
    }

    fn is_literal(&self) -> bool {
        match self {
            Self::Text(template, _) => template.is_literal(),
            Self::Json(json) => json.is_literal(),
        }
    }
}

/// JSON whose leaves may be templates.
#[derive(Debug)]
pub(crate) enum Json {
    /// As it stands in the configuration.
    Fixed(serde_json::Value),
    /// Text with values in it.
    Text(Template),
    /// One lone expression, which keeps the type of its value.
    Value(Expression),
    /// A list.
    List(Vec<Json>),
    /// An object; its keys are no templates.
    Object(Vec<(String, Json)>),
}

impl Json {
    fn compile(value: &serde_json::Value, sees: &Sees<'_>, problems: &mut Problems) -> Option<Self> {
        use serde_json::Value;
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Some(Self::Fixed(value.clone())),
            Value::String(source) => Self::compile_leaf(source, sees, problems),
            Value::Array(items) => {
                // All are compiled before any is missed, so that every mistake is told.
                let items: Vec<_> = items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| problems.below(&[at.into()], |problems| Self::compile(item, sees, problems)))
                    .collect();
                items.into_iter().collect::<Option<_>>().map(Self::List)
            }
            Value::Object(members) => {
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, member)| {
                        let member =
                            problems.below(&[key.as_str().into()], |problems| Self::compile(member, sees, problems));
                        member.map(|member| (key.clone(), member))
                    })
                    .collect();
                members.into_iter().collect::<Option<_>>().map(Self::Object)
            }
        }
    }

    fn compile_leaf(source: &str, sees: &Sees<'_>, problems: &mut Problems) -> Option<Self> {
        if let Some(inner) = lone_expression(source)
            && Expression::compile(inner).is_ok()
        {
            return problems.expression(&[], inner, sees).map(Self::Value);
        }
        let template = problems.template(&[], Mode::Text, source, sees)?;
        Some(if template.is_literal() { Self::Fixed(source.into()) } else { Self::Text(template) })
    }

    fn render(&self, scope: &Scope) -> Result<serde_json::Value, TemplateError> {
        Ok(match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(template) => template.render(scope)?.into(),
            Self::Value(expression) => expression.json(scope)?,
            Self::List(items) => items.iter().map(|item| item.render(scope)).collect::<Result<Vec<_>, _>>()?.into(),
            Self::Object(members) => {
                let members = members.iter().map(|(key, member)| Ok((key.clone(), member.render(scope)?)));
                members.collect::<Result<serde_json::Map<_, _>, TemplateError>>()?.into()
            }
        })
    }

    fn is_literal(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Text(_) | Self::Value(_) => false,
            Self::List(items) => items.iter().all(Self::is_literal),
            Self::Object(members) => members.iter().all(|(_, member)| member.is_literal()),
        }
    }
}

/// Path and query in one.
pub(crate) fn uri(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// What stands between `{{` and `}}` of a text that is nothing else.
fn lone_expression(source: &str) -> Option<&str> {
    let inner = source.strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    Some(inner.strip_suffix('-').unwrap_or(inner))
}

fn compile_method(name: &str, problems: &mut Problems) -> Option<Method> {
    let method = Method::from_bytes(name.as_bytes()).ok().filter(|method| CHANGES.contains(method));
    if method.is_none() {
        problems.mistake_with_hint(
            &["method".into()],
            format!("`{name}` changes nothing"),
            "use POST, PUT, PATCH or DELETE",
        );
    }
    method
}

fn compile_headers(
    template: &RequestTemplate,
    sees: &Sees<'_>,
    problems: &mut Problems,
) -> Option<Vec<(String, Template)>> {
    let compiled: Vec<_> = template
        .headers
        .iter()
        .map(|(name, source)| {
            let place: [Place; 2] = ["headers".into(), name.as_str().into()];
            let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
                let message = format!("`{name}` is not the name of a header");
                problems.mistake_with_hint(&place, message, headers::NAME_HINT);
                return None;
            };
            if let Some(why) = headers::why_not_set(parsed.as_str()) {
                problems.mistake(&place, format!("`{name}` {why}"));
            }
            let value = problems.template(&place, Mode::Header, source, sees)?;
            Some((parsed.as_str().to_owned(), value))
        })
        .collect();
    compiled.into_iter().collect()
}

fn part_error(part: &str, error: TemplateError) -> PartError {
    PartError { part: part.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::route::scope::Answered;
    use crate::route::sees::{ANSWER, UNDO};

    fn scope(json: &str) -> Scope {
        let body = Bytes::from(json.to_owned());
        Scope::default().with_response(&Answered { status: 200, headers: &vec![], body: &body, complete: true })
    }

    fn compile(template: &RequestTemplate) -> Result<CompiledRequest, Vec<String>> {
        let mut problems = Problems::default();
        let compiled = CompiledRequest::compile(template, &UNDO, &mut problems);
        compiled.ok_or_else(|| problems.into_found().iter().map(ToString::to_string).collect())
    }

    fn json_body(body: serde_json::Value, response: &str) -> Result<String, TemplateError> {
        let mut problems = Problems::default();
        let body = CompiledBody::compile(&BodyTemplate::Json(body), None, &ANSWER, &mut problems).unwrap();
        body.render(&scope(response)).map(|octets| String::from_utf8(octets).unwrap())
    }

    #[test]
    fn a_lone_expression_keeps_its_type_and_text_does_not() {
        let body = json!({
            "lone": "{{ response.json.n }}", "text": "n={{ response.json.n }}", "list": ["{{- response.json.l -}}", 1, null],
            "fixed": "a\"b", "twice": "{{ response.json.n }}{{ response.json.n }}", "nothing": "{{ response.json.none }}",
        });
        assert_eq!(
            json_body(body, r#"{"n":5,"l":[true,{"a":"\"\n"}],"none":null}"#).unwrap(),
            r#"{"fixed":"a\"b","list":[[true,{"a":"\"\n"}],1,null],"lone":5,"nothing":null,"text":"n=5","twice":"55"}"#
        );
        assert!(json_body(json!("{{ response.json.nope }}"), "{}").is_err());
    }

    #[test]
    fn the_media_type_decides_how_text_is_written() {
        for (content_type, source, expected) in [
            (None, "{\"a\":{{ response.json }}}", "{\"a\":\"x&y\"}"),
            (Some("application/merge-patch+json"), "[{{ response.json }}]", "[\"x&y\"]"),
            (Some("application/x-www-form-urlencoded"), "a={{ response.json }}&b", "a=x%26y&b"),
            (Some("text/plain"), "a={{ response.json }}", "a=x&y"),
        ] {
            let mut problems = Problems::default();
            let body = BodyTemplate::Text(source.to_owned());
            let body = CompiledBody::compile(&body, content_type, &ANSWER, &mut problems).unwrap();
            assert_eq!(body.render(&scope("\"x&y\"")).unwrap(), expected.as_bytes(), "{content_type:?}");
        }
    }

    #[test]
    fn every_mistake_of_a_request_is_told_at_its_place() {
        let template = RequestTemplate {
            method: Some("GET".into()),
            path: Some("/a?x=1{{".into()),
            query: Some("a=1".into()),
            headers: [("Host", "x"), ("a b", "x"), ("x-ok", "{{ nope }}")].map(|(k, v)| (k.into(), v.into())).into(),
            body: Some(BodyTemplate::Json(json!({"a": ["{{ nope }}", "{% if"], "b": "{{ target.nope }}"}))),
        };
        let places: Vec<String> =
            compile(&template).unwrap_err().iter().map(|text| text.split(':').next().unwrap().to_owned()).collect();
        assert_eq!(
            places,
            [
                "method",
                "query",
                "path",
                "body.a[0]",
                "body.a[1]",
                "body.b",
                "headers.Host",
                "headers.a b",
                "headers.x-ok"
            ]
        );
    }

    #[test]
    fn a_part_that_cannot_be_rendered_is_named() {
        let template =
            RequestTemplate { headers: [("x-a".into(), "{{ response.json.a }}".into())].into(), ..Default::default() };
        let compiled = compile(&template).unwrap();
        assert!(compiled.needs_values());
        let error = compiled.render(&scope("{\"a\":\"1\\n2\"}")).unwrap_err();
        assert_eq!(error.to_string(), "the header `x-a`: the value of a header contains a control character");
        assert!(!compile(&RequestTemplate { path: Some("/x".into()), ..Default::default() }).unwrap().needs_values());
    }
}
