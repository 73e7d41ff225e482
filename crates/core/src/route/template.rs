//! Templates and expressions: compiled when configuration is loaded, rendered with limits, and written in the way that the
//! place they stand in needs. Owns the engine's settings; which values there are is [`super::scope`]'s.

use std::fmt;
use std::io;
use std::sync::LazyLock;

use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Expression as Compiled, Output, UndefinedBehavior};

use super::later::Later;
use super::path;
use super::scope::Scope;

/// How many instructions of the engine one rendering or evaluation may take.
pub const TEMPLATE_FUEL: u64 = 100_000;

/// How much text one rendering may give, in octets.
pub const TEMPLATE_OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a template or an expression gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not written correctly; found when configuration is loaded.
    #[error("line {line}: {detail}")]
    Syntax {
        /// The line within the template, counted from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// A value that it needs is not there, or is not of a kind that fits.
    #[error("{detail}")]
    Render {
        /// Which.
        detail: String,
    },
    /// It reads the body of a message as JSON or text, and the body is not that.
    #[error("{detail}")]
    Body {
        /// Which message, and what is wrong with its body.
        detail: String,
    },
    /// What it gave must not stand where it would: it would change more than its own place.
    #[error("{detail}")]
    Unfit {
        /// Why.
        detail: String,
    },
    /// It gave more than [`TEMPLATE_OUTPUT_BYTES_MAX`], or took more than [`TEMPLATE_FUEL`].
    #[error("the template takes or gives more than is allowed")]
    TooMuch,
}

/// Where the text of a template will stand, which decides how values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// The path of a request, which may carry a query: each value is one segment, percent-encoded.
    Path,
    /// A query or a form: each value is percent-encoded.
    Query,
    /// The value of a header: no control characters.
    Header,
    /// A JSON text: each value is written as JSON.
    Json,
    /// Any other text.
    Text,
}

/// A compiled template.
#[derive(Debug)]
pub(crate) struct Template {
    mode: Mode,
    form: Form,
}

enum Form {
    /// Text without any tag; it was checked when it was compiled.
    Literal(String),
    /// A template, under [`NAME`] in an environment of its own, since an environment is what owns templates.
    Tagged(Box<Environment<'static>>),
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text) => f.debug_tuple("Literal").field(text).finish(),
            Self::Tagged(_) => f.write_str("Tagged"),
        }
    }
}

const NAME: &str = "template";

impl Template {
    /// Compiles a template. One without tags is checked at once as if it had been rendered.
    pub(crate) fn compile(mode: Mode, source: &str) -> Result<Self, TemplateError> {
        if !["{{", "{%", "{#"].iter().any(|tag| source.contains(tag)) {
            check(mode, source)?;
            return Ok(Self { mode, form: Form::Literal(source.to_owned()) });
        }
        let mut environment = prototype(mode).clone();
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| syntax_error(&error))?;
        Ok(Self { mode, form: Form::Tagged(Box::new(environment)) })
    }

    /// Whether it gives the same text for every request.
    pub(crate) fn is_literal(&self) -> bool {
        matches!(self.form, Form::Literal(_))
    }

    /// The text that it gives, fit for the place that it was compiled for.
    pub(crate) fn render(&self, scope: &Scope) -> Result<String, TemplateError> {
        let environment = match &self.form {
            Form::Literal(text) => return Ok(text.clone()),
            Form::Tagged(environment) => environment,
        };
        let template = environment.get_template(NAME).expect("the template was added when it was compiled");
        let mut out = Bounded { octets: Vec::new(), is_full: false };
        let rendered = template.render_captured_to(scope.as_value(), &mut out).map(drop);
        if out.is_full {
            return Err(TemplateError::TooMuch);
        }
        rendered.map_err(|error| render_error(&error))?;
        let text = String::from_utf8(out.octets).expect("the engine writes only text");
        let text = if self.mode == Mode::Path { settle_empty_values(&text)? } else { text };
        check(self.mode, &text)?;
        Ok(text)
    }

    /// The names that it looks up and does not set itself, with the parts of paths that are plain: `request.json.name`.
    pub(crate) fn names(&self) -> Vec<String> {
        match &self.form {
            Form::Literal(_) => Vec::new(),
            Form::Tagged(environment) => {
                let template = environment.get_template(NAME).expect("the template was added when it was compiled");
                sorted(template.undeclared_variables(true))
            }
        }
    }
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression(Compiled<'static, 'static>);

impl Expression {
    /// Compiles an expression.
    pub(crate) fn compile(source: &str) -> Result<Self, TemplateError> {
        let environment: &'static Environment<'static> = prototype(Mode::Text);
        let compiled = environment.compile_expression_owned(source.to_owned()).map_err(|error| syntax_error(&error))?;
        Ok(Self(compiled))
    }

    /// Its value, which may be undefined.
    pub(crate) fn evaluate(&self, scope: &Scope) -> Result<Value, TemplateError> {
        self.0.eval(scope.as_value()).map_err(|error| render_error(&error))
    }

    /// Its value as a condition. Undefined is neither true nor false, but an error.
    pub(crate) fn holds(&self, scope: &Scope) -> Result<bool, TemplateError> {
        let value = self.evaluate(scope)?;
        if value.is_undefined() {
            return Err(TemplateError::Render { detail: "the condition is undefined".to_owned() });
        }
        Ok(value.is_true())
    }

    /// Its value as JSON.
    pub(crate) fn json(&self, scope: &Scope) -> Result<serde_json::Value, TemplateError> {
        let value = self.evaluate(scope)?;
        if value.is_undefined() {
            return Err(TemplateError::Render { detail: "the value is undefined".to_owned() });
        }
        serde_json::to_value(&value).map_err(|error| TemplateError::Render { detail: format!("no JSON: {error}") })
    }

    /// The names that it looks up, like [`Template::names`].
    pub(crate) fn names(&self) -> Vec<String> {
        sorted(self.0.undeclared_variables(true))
    }
}

/// Several segments of a path in one value: what the filter `segments` gives.
#[derive(Debug)]
struct Segments(String);

impl Object for Segments {
    fn repr(self: &std::sync::Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// An empty value leaves this mark in a path, because only the finished path shows whether it is a whole segment. It cannot be
/// confused with anything: every other way for it into a path is closed.
const EMPTY: char = '\u{0}';

fn prototype(mode: Mode) -> &'static Environment<'static> {
    static PATH: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Mode::Path));
    static QUERY: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Mode::Query));
    static HEADER: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Mode::Header));
    static JSON: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Mode::Json));
    static TEXT: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Mode::Text));
    match mode {
        Mode::Path => &PATH,
        Mode::Query => &QUERY,
        Mode::Header => &HEADER,
        Mode::Json => &JSON,
        Mode::Text => &TEXT,
    }
}

fn environment(mode: Mode) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(TEMPLATE_FUEL));
    // Only with this does an error name the value that is undefined.
    environment.set_debug(true);
    // Blocks that are captured in a JSON text count as JSON already, and are not encoded a second time.
    let escape = if mode == Mode::Json { AutoEscape::Json } else { AutoEscape::None };
    environment.set_auto_escape_callback(move |_| escape.clone());
    environment.set_formatter(move |out, _, value| write_value(mode, out, value));
    environment.add_filter("segments", |value: &str| Value::from_object(Segments(value.to_owned())));
    // A value must not be able to pass as text of the template's author, and these encode for places that we do not have.
    for filter in ["safe", "escape", "e", "urlencode"] {
        environment.remove_filter(filter);
    }
    environment
}

fn write_value(mode: Mode, out: &mut Output, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "an undefined value cannot be written"));
    }
    match mode {
        Mode::Path => write_in_path(out, value),
        Mode::Query => {
            let mut encoded = String::new();
            path::encode(&plain(value)?, &mut encoded);
            Ok(out.write_str(&encoded)?)
        }
        Mode::Header => Ok(out.write_str(&plain(value)?)?),
        Mode::Text if matches!(value.kind(), ValueKind::Seq | ValueKind::Map) => write_json(out, value),
        Mode::Text => Ok(out.write_str(&plain(value)?)?),
        // What the filter `tojson` and captured blocks give is JSON already.
        Mode::Json if value.is_safe() => Ok(out.write_str(value.as_str().unwrap_or_default())?),
        Mode::Json => write_json(out, value),
    }
}

fn write_in_path(out: &mut Output, value: &Value) -> Result<(), Error> {
    let mut encoded = String::new();
    if let Some(Segments(segments)) = value.downcast_object_ref() {
        for (at, segment) in segments.split('/').enumerate() {
            if at > 0 {
                encoded.push('/');
            }
            encode_or_mark(segment, &mut encoded);
        }
    } else {
        encode_or_mark(&plain(value)?, &mut encoded);
    }
    Ok(out.write_str(&encoded)?)
}

fn encode_or_mark(value: &str, out: &mut String) {
    if value.is_empty() {
        out.push(EMPTY);
    }
    path::encode(value, out);
}

fn write_json(out: &mut Output, value: &Value) -> Result<(), Error> {
    let json = serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, format!("no JSON: {error}")))?;
    Ok(out.write_str(&json)?)
}

/// A single value as text, as JSON has it but without quotes.
#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of the engine's values are its own, and may become more")]
fn plain(value: &Value) -> Result<String, Error> {
    if let Some(later) = value.downcast_object_ref::<Later>() {
        return Ok(later.token());
    }
    match value.kind() {
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number | ValueKind::String => Ok(value.to_string()),
        kind => Err(Error::new(ErrorKind::InvalidOperation, format!("a value of kind `{kind}` cannot stand here"))),
    }
}

/// Takes the marks of empty values out of a path, or refuses it where such a value would be a whole segment.
fn settle_empty_values(text: &str) -> Result<String, TemplateError> {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    if path.split('/').any(|segment| segment.contains(EMPTY) && segment.trim_matches(EMPTY).is_empty()) {
        return Err(TemplateError::Unfit { detail: "an empty value would be a segment of the path".to_owned() });
    }
    let mut settled = path.replace(EMPTY, "");
    if let Some(query) = query {
        settled.push('?');
        settled.push_str(&query.replace(EMPTY, ""));
    }
    Ok(settled)
}

fn check(mode: Mode, text: &str) -> Result<(), TemplateError> {
    let unfit = |detail: String| Err(TemplateError::Unfit { detail });
    match mode {
        Mode::Path => {
            let (path, query) = text.split_once('?').map_or((text, ""), |(path, query)| (path, query));
            path::check(path).and_then(|()| path::check_query(query)).or_else(|bad| unfit(bad.to_string()))
        }
        Mode::Query => path::check_query(text).or_else(|bad| unfit(bad.to_string())),
        Mode::Header if text.chars().any(|c| c.is_ascii_control() && c != '\t') => {
            unfit("the value of a header contains a control character".to_owned())
        }
        Mode::Json => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Ok(()),
            Err(error) => unfit(format!("the text is not JSON: {error}")),
        },
        Mode::Header | Mode::Text => Ok(()),
    }
}

fn syntax_error(error: &Error) -> TemplateError {
    TemplateError::Syntax { line: error.line().unwrap_or(1), detail: describe(error) }
}

fn render_error(error: &Error) -> TemplateError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(known) = inner.downcast_ref::<TemplateError>() {
            return known.clone();
        }
        cause = inner.source();
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return TemplateError::TooMuch;
    }
    TemplateError::Render { detail: describe(error) }
}

/// The engine's words without the name of the template, which is always the same.
fn describe(error: &Error) -> String {
    match error.detail() {
        Some(detail) if error.kind() == ErrorKind::SyntaxError => detail.to_owned(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

fn sorted(names: std::collections::HashSet<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_unstable();
    names
}

/// Takes text up to the limit.
struct Bounded {
    octets: Vec<u8>,
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.octets.len() + octets.len() > TEMPLATE_OUTPUT_BYTES_MAX {
            self.is_full = true;
            return Err(io::Error::other("the template gives too much"));
        }
        self.octets.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
