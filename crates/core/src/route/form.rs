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
    fn pairs_are_decoded_and_may_lack_a_value() {
        let found: Vec<_> = pairs("a=1&b&&c=%41+%2B&=x&d=%ff").collect();
        let expected = [("a", "1"), ("b", ""), ("c", "A +"), ("", "x"), ("d", "\u{fffd}")];
        assert_eq!(found, expected.map(|(name, value)| (Cow::from(name), Cow::from(value))));
    }
}
