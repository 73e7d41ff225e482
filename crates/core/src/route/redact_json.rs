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

/// A JSON text that stands as text in more than so many others is taken out as a whole.
const TEXTS_MAX: usize = 4;

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotJson;

/// The text without what is to be taken out; `None` if that is nothing.
pub(crate) fn redact(text: &str, redaction: &Redaction) -> Result<Option<String>, NotJson> {
    redact_within(text, redaction, 0)
}

/// The same of a text that stands so deep in others.
fn redact_within(text: &str, redaction: &Redaction, texts: usize) -> Result<Option<String>, NotJson> {
    let value: &RawValue = serde_json::from_str(text).map_err(|_| NotJson)?;
    let mut search = Search { text, redaction, texts, found: Vec::new() };
    search.look(value, &mut String::new(), false, 0);
    if search.found.is_empty() {
        return Ok(None);
    }
    let mut public = String::with_capacity(text.len());
    let mut from = 0;
    for (span, instead) in search.found {
        public.push_str(&text[from..span.start]);
        public.push_str(&serde_json::Value::from(instead).to_string());
        from = span.end;
    }
    public.push_str(&text[from..]);
    Ok(Some(public))
}

/// Finds the values to be taken out, in the order in which they stand in the text.
struct Search<'t> {
    text: &'t str,
    redaction: &'t Redaction,
    /// How many JSON texts this one stands in, as text.
    texts: usize,
    /// Where they stand, and what takes their place.
    found: Vec<(Range<usize>, String)>,
}

impl<'t> Search<'t> {
    /// Looks at the value under `pointer`; `hidden`: it is to be taken out, except for what is revealed within it.
    fn look(&mut self, value: &'t RawValue, pointer: &mut String, hidden: bool, depth: usize) {
        // Pointers are told for the message, not for texts within it.
        let is_named = |pointers: &[String]| self.texts == 0 && pointers.iter().any(|other| other == pointer);
        let is_revealed = is_named(&self.redaction.reveal);
        let hidden = !is_revealed && (hidden || is_named(&self.redaction.pointers));
        let reveals_within = || {
            let inner =
                |reveal: &String| reveal.strip_prefix(pointer.as_str()).is_some_and(|rest| rest.starts_with('/'));
            self.texts == 0 && self.redaction.reveal.iter().any(inner)
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
        } else if text.starts_with('"') && !is_revealed && !self.redaction.keys.is_empty() {
            self.look_into(value);
        }
    }

    /// Looks at what stands in a text: JSON of its own, an address, or words that give a secret away.
    fn look_into(&mut self, value: &'t RawValue) {
        // An escape that stands for half a character is nothing that could be looked into.
        let Ok(Key(text)) = serde_json::from_str::<Key<'_>>(value.get()) else { return self.take_out(value) };
        let public = match redact_within_text(&text, self.redaction, self.texts) {
            Ok(public) => public,
            Err(NotJson) => self.redaction.text(&text),
        };
        if let Some(public) = public {
            self.put_in_place(value, public);
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
        self.put_in_place(value, REDACTED.to_owned());
    }

    fn put_in_place(&mut self, value: &RawValue, instead: String) {
        // A raw value borrows from the text, so its place in it is the distance between the two.
        let start = value.get().as_ptr().addr() - self.text.as_ptr().addr();
        self.found.push((start..start + value.get().len(), instead));
    }
}

/// What is taken out of a JSON text that stands in another one; of one that stands too deep, all of it.
fn redact_within_text(text: &str, redaction: &Redaction, texts: usize) -> Result<Option<String>, NotJson> {
    if !text.trim_start().starts_with(['{', '[']) {
        return Err(NotJson);
    }
    if texts == TEXTS_MAX {
        return Ok(Some(REDACTED.to_owned()));
    }
    redact_within(text, redaction, texts + 1)
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
    fn what_stands_in_a_text_is_looked_into() {
        let embedded = |text: &str| serde_json::json!({ "body": text }).to_string();
        let inner = r#"{"n":1,"password":"hush","more":"{\"token\":\"hush\"}"}"#;
        let public_inner = r#"{"n":1,"password":"[redacted]","more":"{\"token\":\"[redacted]\"}"}"#;
        for (text, expected) in [
            (inner, public_inner),
            ("https://a.example/ops/1?x=1&token=hush", "https://a.example/ops/1?x=1&token=%5Bredacted%5D"),
            ("/cb?next=%2Fx%3Fsecret%3Dhush", "/cb?next=%5Bredacted%5D"),
            ("/cb?x=1#access_token=hush", "/cb?x=%5Bredacted%5D"),
            ("/cb?x=1;token=hush", "/cb?x=%5Bredacted%5D"),
            ("https://me:hush@a.example/", "[redacted]"),
            ("the password: hush", "[redacted]"),
            ("DB_PASSWORD=hush psql", "[redacted]"),
            ("{'token': 'hush'}", "[redacted]"),
            ("Bearer hush", "[redacted]"),
        ] {
            let public = public(&embedded(text), &redaction());
            assert_eq!(serde_json::from_str::<serde_json::Value>(&public).unwrap()["body"], expected, "{text}");
            let alone = Redaction { keys: vec!["nothing".into()], ..Redaction::default() };
            assert!(redact(&embedded(text), &alone).is_ok());
        }
        for plain in
            ["a token", "password too short", "https://a@b.example/?x=1", "http://a/b:c", "bearer of news today", "x?y"]
        {
            assert_eq!(public(&embedded(plain), &redaction()), "unchanged", "{plain}");
        }
        let revealed = Redaction { reveal: vec!["/body".into()], ..redaction() };
        assert_eq!(public(&embedded("token=shown"), &revealed), "unchanged");
        let mut deep = "\"hush\"".to_owned();
        for _ in 0..8 {
            deep = serde_json::json!({ "a": deep }).to_string();
        }
        assert!(!public(&deep, &redaction()).contains("hush"));
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
