//! What forms of pages send: names and values, encoded as HTML forms encode them.

use fanfold_core::dialect::Refusal;

use crate::http::native::query::decode;
use crate::http::outcome::Stop;
use crate::http::visit::Whole;

/// The fields of a form that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::http) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form.
    pub(super) fn read(body: Whole) -> Result<Self, Stop> {
        let octets = body?;
        let text = std::str::from_utf8(&octets).ok();
        let form = text.and_then(Self::of);
        form.ok_or_else(|| Refusal::Unparsable { detail: "the form is not UTF-8".to_owned() }.into())
    }

    /// Reads the text of a form, or of a query.
    pub(in crate::http) fn of(text: &str) -> Option<Self> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            decode(name).zip(decode(value))
        });
        decoded.collect::<Option<_>>().map(Self)
    }

    /// What a field says, without spaces around it; `None` where it is left empty.
    pub(in crate::http) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// What a field says, exactly.
    pub(super) fn exact(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Every field that is not left empty.
    pub(in crate::http) fn filled(&self) -> impl Iterator<Item = (&str, &str)> {
        let trimmed = self.0.iter().map(|(name, value)| (name.as_str(), value.trim()));
        trimmed.filter(|(_, value)| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_left_empty_are_none() {
        let form = Form::of("a=+x%20y+&b=&c=1&c=2&d").unwrap();
        assert_eq!(form.one("a"), Some("x y"));
        assert_eq!((form.one("b"), form.one("d"), form.one("e")), (None, None, None));
        assert_eq!(form.filled().collect::<Vec<_>>(), [("a", "x y"), ("c", "1"), ("c", "2")]);
        assert_eq!(Form::of("a=%ff"), None);
    }
}
