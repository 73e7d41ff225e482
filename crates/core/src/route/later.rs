//! Values that nobody knows yet: what only the answer of a target gives stands in a preview by its own name.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value};

use super::scope::Scope;

/// What stands around the name while a preview is rendered. It consists of what no place has to encode, so that every way of
/// writing values leaves it as it is.
const MARK: &str = "0fanfold0known0later0";

/// Stands for a value, and for everything that could be looked up in it.
#[derive(Debug)]
pub(crate) struct Later(String);

impl Later {
    /// The value in whatever place it comes to stand.
    pub(crate) fn token(&self) -> String {
        let name: String = self.0.bytes().map(|octet| format!("{octet:02x}")).collect();
        format!("{MARK}{name}{MARK}")
    }
}

impl Object for Later {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let path = match key.as_str() {
            Some(name) if is_plain(name) => format!("{}.{name}", self.0),
            Some(name) => format!("{}['{name}']", self.0),
            None => format!("{}[{key}]", self.0),
        };
        Some(Value::from_object(Self(path)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.token())
    }
}

impl Scope {
    /// The same values, and names in place of those of an answer that has not come.
    pub(crate) fn with_names_of(self, values: &[&'static str]) -> Self {
        values.iter().fold(self, |scope, name| scope.with(name, Value::from_object(Later((*name).to_owned()))))
    }
}

/// The text with each value that stands for a later one written as in a template.
pub(crate) fn named(text: &str) -> String {
    let mut named = String::with_capacity(text.len());
    let mut parts = text.split(MARK);
    named.push_str(parts.next().unwrap_or_default());
    while let Some(name) = parts.next() {
        let digits: Vec<u8> = name.bytes().collect();
        let octets = digits
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).ok().and_then(|two| u8::from_str_radix(two, 16).ok()));
        let path = octets.collect::<Option<Vec<u8>>>().and_then(|octets| String::from_utf8(octets).ok());
        match path {
            Some(path) => {
                named.push_str("{{ ");
                named.push_str(&path);
                named.push_str(" }}");
            }
            None => named.push_str(name),
        }
        named.push_str(parts.next().unwrap_or_default());
    }
    named
}

/// Whether anything in the text is known only later.
pub(crate) fn is_later(text: &str) -> bool {
    text.contains(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::template::{Mode, Template};

    #[test]
    fn a_later_value_stands_by_its_name_wherever_it_is_written() {
        let scope = Scope::default().with_names_of(&["response"]);
        for (mode, source, expected) in [
            (
                Mode::Path,
                "/a/{{ response.json.id }}?b={{ response.json.x[0] }}",
                "/a/{{ response.json.id }}?b={{ response.json.x[0] }}",
            ),
            (Mode::Header, "{{ response.headers['e-tag'] }}", "{{ response.headers['e-tag'] }}"),
            (Mode::Json, "{\"a\":{{ response.json }}}", "{\"a\":\"{{ response.json }}\"}"),
            (Mode::Text, "{{ response.text }}!", "{{ response.text }}!"),
        ] {
            let rendered = Template::compile(mode, source).unwrap().render(&scope).unwrap();
            assert!(is_later(&rendered), "{rendered}");
            assert_eq!(named(&rendered), expected);
        }
        assert_eq!(named("nothing"), "nothing");
    }
}
