//! `name=value` pairs of queries and of `application/x-www-form-urlencoded` bodies.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The decoded pairs in their order. Octets that are no UTF-8 are replaced: such a value is of no use to anybody but the target,
/// and the target gets it as it came.
pub(crate) fn pairs(raw: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// Whether a text is what some client would send as a form, however carelessly it encodes. Many send whatever they have under that
/// media type, because their library does unless it is told otherwise.
pub(crate) fn is_one(raw: &str) -> bool {
    let is_in_no_name = |sign: char| {
        sign.is_whitespace()
            || sign.is_control()
            || matches!(sign, ':' | ';' | '<' | '>' | '"' | '\'' | '{' | '}' | '\\')
    };
    raw.trim_end().split('&').all(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        !name.contains(is_in_no_name) && !value.contains(['<', '>', '\r', '\n'])
    })
}

/// One name or value, decoded.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_form_is_told_from_one_that_is_encoded_carelessly() {
        for text in ["", "a=1&b", "a=1&b\r\n", "a[]=x y&b={\"c\":1}", "%7b=%3c", "ü=ü&a.b-c_d=e:f;g"] {
            assert!(is_one(text), "{text:?}");
        }
        for text in ["<a>b</a>", "\u{feff}{\"a\":1}", "a: 1", "a=1\nb=2", "a=<b>c</b>", "{'a':1}", "\0=1"] {
            assert!(!is_one(text), "{text:?}");
        }
    }

    #[test]
    fn pairs_are_decoded_and_may_lack_a_value() {
        let found: Vec<_> = pairs("a=1&b&&c=%41+%2B&=x&d=%ff").collect();
        let expected = [("a", "1"), ("b", ""), ("c", "A +"), ("", "x"), ("d", "\u{fffd}")];
        assert_eq!(found, expected.map(|(name, value)| (Cow::from(name), Cow::from(value))));
    }
}
