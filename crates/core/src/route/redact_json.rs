//! Taking values out of a JSON text. Everything else stays octet for octet: order, white space, numbers of any precision.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::redact::REDACTED;
use crate::plan::Redaction;

/// A value nested deeper than this is taken out as a whole.
const DEPTH_MAX: usize = 64;

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotJson;

/// The text without what is to be taken out; `None` if that is nothing.
pub(crate) fn redact(text: &str, redaction: &Redaction) -> Result<Option<String>, NotJson> {
    let value: &RawValue = serde_json::from_str(text).map_err(|_| NotJson)?;
    let mut search = Search { text, redaction, found: Vec::new() };
    search.look(value, &mut String::new(), false, 0);
    if search.found.is_empty() {
        return Ok(None);
    }
    let mut public = String::with_capacity(text.len());
    let mut from = 0;
    for span in search.found {
        public.push_str(&text[from..span.start]);
        public.push('"');
        public.push_str(REDACTED);
        public.push('"');
        from = span.end;
    }
    public.push_str(&text[from..]);
    Ok(Some(public))
}

/// Finds the values to be taken out, in the order in which they stand in the text.
struct Search<'t> {
    text: &'t str,
    redaction: &'t Redaction,
    found: Vec<Range<usize>>,
}

impl<'t> Search<'t> {
    /// Looks at the value under `pointer`; `hidden`: it is to be taken out, except for what is revealed within it.
    fn look(&mut self, value: &'t RawValue, pointer: &mut String, hidden: bool, depth: usize) {
        let is_revealed = self.redaction.reveal.iter().any(|reveal| reveal == pointer);
        let hidden = !is_revealed && (hidden || self.redaction.pointers.iter().any(|other| other == pointer));
        let reveals_within = || {
            let inner =
                |reveal: &String| reveal.strip_prefix(pointer.as_str()).is_some_and(|rest| rest.starts_with('/'));
            self.redaction.reveal.iter().any(inner)
        };
        let text = value.get();
        let is_container = text.starts_with(['{', '[']);
        if (hidden && !(is_container && reveals_within())) || (is_container && depth == DEPTH_MAX) {
            self.take_out(value);
        } else if text.starts_with('{') {
            let Ok(Members(members)) = serde_json::from_str(text) else { return self.take_out(value) };
            for (key, member) in members {
                let is_secret = hidden || self.redaction.fits(&key);
                self.look_below(member, &key, pointer, is_secret, depth);
            }
        } else if text.starts_with('[') {
            let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) else { return self.take_out(value) };
            for (at, item) in items.into_iter().enumerate() {
                self.look_below(item, &at.to_string(), pointer, hidden, depth);
            }
        }
    }

    fn look_below(&mut self, value: &'t RawValue, key: &str, pointer: &mut String, hidden: bool, depth: usize) {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        self.look(value, pointer, hidden, depth + 1);
        pointer.truncate(length);
    }

    fn take_out(&mut self, value: &RawValue) {
        // A raw value borrows from the text, so its place in it is the distance between the two.
        let start = value.get().as_ptr().addr() - self.text.as_ptr().addr();
        self.found.push(start..start + value.get().len());
    }
}

/// The members of an object in their order, a repeated name each time.
struct Members<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// A name that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redaction() -> Redaction {
        Redaction { pointers: vec!["/card/number".into(), "/list/1".into(), "/a~1b".into()], ..Redaction::standard() }
    }

    fn public(text: &str, redaction: &Redaction) -> String {
        redact(text, redaction).unwrap().unwrap_or_else(|| "unchanged".to_owned())
    }

    #[test]
    fn only_the_values_of_keys_and_pointers_change() {
        for (text, expected) in [
            (r#"{"a": 1,  "Password" : "x\"y", "b":2e400}"#, r#"{"a": 1,  "Password" : "[redacted]", "b":2e400}"#),
            (
                r#"[{"userToken":{"deep":[1]}},[{"x":{"db_passwd":null}}]]"#,
                r#"[{"userToken":"[redacted]"},[{"x":{"db_passwd":"[redacted]"}}]]"#,
            ),
            (r#"{"pass\u0077ord":"x"}"#, r#"{"pass\u0077ord":"[redacted]"}"#),
            (r#"{"token":1,"token":2}"#, r#"{"token":"[redacted]","token":"[redacted]"}"#),
            (
                r#"{"card":{"number":"4","name":"n"},"list":[0,1,2]}"#,
                r#"{"card":{"number":"[redacted]","name":"n"},"list":[0,"[redacted]",2]}"#,
            ),
            (r#"{"a/b":1,"é":"ü"}"#, r#"{"a/b":"[redacted]","é":"ü"}"#),
            (" \n{\"secret\":1}\n", " \n{\"secret\":\"[redacted]\"}\n"),
        ] {
            assert_eq!(public(text, &redaction()), expected, "{text}");
        }
        assert_eq!(public(r#"{"a":"password","list":[0]}"#, &redaction()), "unchanged");
        assert_eq!(
            public(r#"{"a":1}"#, &Redaction { pointers: vec![String::new()], ..Redaction::default() }),
            "\"[redacted]\""
        );
    }

    #[test]
    fn revealed_values_are_shown_wherever_they_stand() {
        let reveal = ["/token_count", "/credentials/user", "/secrets/1"].map(str::to_owned).to_vec();
        let redaction = Redaction { reveal, ..Redaction::standard() };
        let text =
            r#"{"token_count":5,"credentials":{"user":"u","note":"n","more":{"a":1}},"secrets":["a","b"],"token":1}"#;
        let expected = r#"{"token_count":5,"credentials":{"user":"u","note":"[redacted]","more":"[redacted]"},"secrets":["[redacted]","b"],"token":"[redacted]"}"#;
        assert_eq!(public(text, &redaction), expected);
    }

    #[test]
    fn what_is_nested_too_deep_goes_as_a_whole() {
        let text = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let public = public(&text, &redaction());
        assert_eq!(public, format!("{}\"[redacted]\"{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX)));
    }

    #[test]
    fn broken_json_is_told() {
        for text in ["{\"password\":\"x\"", "{} {}", "{'a':1}", ""] {
            assert_eq!(redact(text, &redaction()), Err(NotJson), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf =
            prop_oneof![Just(serde_json::Value::Null), any::<i64>().prop_map(Into::into), "hush".prop_map(Into::into)];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let key = prop_oneof!["[a-z~/\"]{0,3}", Just("the_Password".to_owned()), Just("t\u{f6}ken".to_owned())];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
                prop::collection::btree_map(key, inner, 0..5)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The same by walking values.
    fn expected(value: &serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(members) => members
                .iter()
                .map(|(key, member)| {
                    let is_secret = key.to_lowercase().contains("password");
                    (key.clone(), if is_secret { REDACTED.into() } else { expected(member) })
                })
                .collect(),
            serde_json::Value::Array(items) => items.iter().map(expected).collect(),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => value.clone(),
        }
    }

    proptest! {
        /// Goal: splicing text gives what walking values gives. Method: both ways over any JSON, compact and spread out.
        #[test]
        fn splicing_is_the_same_as_walking(value in any_json()) {
            for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
                let public = redact(&text, &Redaction::standard()).unwrap().unwrap_or(text);
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&public).unwrap(), expected(&value));
            }
        }
    }
}
