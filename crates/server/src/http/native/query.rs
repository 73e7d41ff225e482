//! Query parameters of the native API. A parameter that is not known is an error: what a client misspells must not be ignored.

use std::time::Duration;

use fanfold_core::dialect::Refusal;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Entries on a page, unless the client says otherwise.
const LIMIT: usize = 50;

/// Entries on a page at the most.
const LIMIT_MAX: usize = 1_000;

/// Characters of a value at the most.
const VALUE_CHARACTERS_MAX: usize = 1_024;

/// Names and values, decoded, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::http) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a raw query.
    ///
    /// # Errors
    /// If a parameter is none of the `known` ones, empty, too long, or not UTF-8.
    pub(in crate::http) fn read(raw: Option<&str>, known: &[&str]) -> Result<Self, Refusal> {
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| parameter(pair, known)).collect::<Result<_, _>>().map(Self)
    }

    /// The value of a parameter that may be given once.
    pub(in crate::http) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut found = self.all(name);
        let first = found.next();
        if found.next().is_some() {
            return Err(Refusal::BadValue { detail: format!("the query parameter `{name}` is given more than once") });
        }
        Ok(first)
    }

    /// The values of a parameter that may be given several times.
    pub(in crate::http) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, read; `what` says what it has to be.
    pub(in crate::http) fn parsed<T>(
        &self,
        name: &str,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let bad = || Refusal::BadValue { detail: format!("the query parameter `{name}` is not {what}") };
        self.one(name)?.map(|text| read(text).ok_or_else(bad)).transpose()
    }

    /// The value of a parameter that is one of these words.
    pub(in crate::http) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        self.one(name)?.map(|text| pick(name, text, words)).transpose()
    }

    /// How many entries the client wants on a page.
    pub(in crate::http) fn limit(&self) -> Result<usize, Refusal> {
        let Some(limit) = self.parsed("limit", "a number", |text| text.parse::<usize>().ok())? else {
            return Ok(LIMIT);
        };
        if (1..=LIMIT_MAX).contains(&limit) {
            return Ok(limit);
        }
        Err(Refusal::OutOfRange { detail: format!("the query parameter `limit` is not from 1 to {LIMIT_MAX}") })
    }

    /// The same query for the page that begins at `token`.
    pub(in crate::http) fn with_token(&self, token: &str) -> String {
        let others = self.0.iter().filter(|(name, _)| name != "page_token");
        let pairs = others.map(|(name, value)| (name.as_str(), value.as_str())).chain([("page_token", token)]);
        let encoded = pairs.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        encoded.collect::<Vec<_>>().join("&")
    }
}

/// The meaning of a word.
pub(in crate::http) fn pick<T: Copy>(name: &str, text: &str, words: &[(&str, T)]) -> Result<T, Refusal> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        Refusal::BadValue { detail: format!("the query parameter `{name}` is not one of {}", known.join(", ")) }
    })
}

/// A span of time: a whole number of seconds, or one with a unit (`500ms`, `30s`, `5m`).
pub(in crate::http) fn span(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

fn parameter(pair: &str, known: &[&str]) -> Result<(String, String), Refusal> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let (Some(name), Some(value)) = (decode(name), decode(value)) else {
        return Err(Refusal::Unparsable { detail: "the query is not UTF-8".to_owned() });
    };
    if !known.contains(&name.as_str()) {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let detail = format!("the query parameter `{name}` is not known here; known are: {known}");
        return Err(Refusal::BadValue { detail });
    }
    if value.is_empty() {
        return Err(Refusal::BadValue { detail: format!("the query parameter `{name}` is empty") });
    }
    if value.chars().count() > VALUE_CHARACTERS_MAX {
        let detail = format!("the query parameter `{name}` is longer than {VALUE_CHARACTERS_MAX} characters");
        return Err(Refusal::OutOfRange { detail });
    }
    Ok((name, value))
}

/// Decodes a name or value as HTML forms encode them, where a plus is a space.
pub(in crate::http) fn decode(raw: &str) -> Option<String> {
    let spaced = raw.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["a", "limit", "page_token", "text"];

    fn read(raw: &str) -> Result<Query, Refusal> {
        Query::read(Some(raw), &KNOWN)
    }

    #[test]
    fn values_are_decoded() {
        let query = read("a=1&text=x+y%2Bz%20%C3%A9&&a=2").unwrap();
        assert_eq!(query.one("text"), Ok(Some("x y+z é")));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert!(matches!(query.one("a"), Err(Refusal::BadValue { .. })));
        assert_eq!(query.one("limit"), Ok(None));
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let Err(Refusal::BadValue { detail }) = read("limt=3") else { panic!("it is refused") };
        assert!(detail.contains("`limt`") && detail.contains("a, limit, page_token, text"), "{detail}");
        assert!(matches!(read("a"), Err(Refusal::BadValue { .. })));
        assert!(matches!(read("a=%ff"), Err(Refusal::Unparsable { .. })));
        assert!(matches!(read(&format!("a={}", "x".repeat(1025))), Err(Refusal::OutOfRange { .. })));
    }

    #[test]
    fn limits_have_bounds() {
        assert_eq!(read("").unwrap().limit(), Ok(50));
        assert_eq!(read("limit=1000").unwrap().limit(), Ok(1000));
        assert!(matches!(read("limit=0").unwrap().limit(), Err(Refusal::OutOfRange { .. })));
        assert!(matches!(read("limit=1001").unwrap().limit(), Err(Refusal::OutOfRange { .. })));
        assert!(matches!(read("limit=x").unwrap().limit(), Err(Refusal::BadValue { .. })));
    }

    #[test]
    fn the_next_page_has_the_same_query() {
        let query = read("text=a%26b&page_token=n.1&limit=5").unwrap();
        assert_eq!(query.with_token("n.6"), "text=a%26b&limit=5&page_token=n%2E6");
        assert_eq!(read(&query.with_token("n.6")).unwrap().one("page_token"), Ok(Some("n.6")));
    }

    #[test]
    fn spans_have_units() {
        let spans = ["30s", "30", "500ms", "2m", "0"].map(|text| span(text).unwrap().as_millis());
        assert_eq!(spans, [30_000, 30_000, 500, 120_000, 0]);
        for text in ["", "s", "1h", "1.5s", "-1s", "1 s", "99999999999999999999s", "999999999999999999m"] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
