//! Raw queries: single parameters read and taken out, everything else left as it came.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::Refusal;

/// The decoded value of the parameter `name`; `None` where it is absent. Twice the same parameter has no one value.
pub(super) fn value<'a>(query: Option<&'a str>, name: &str) -> Result<Option<Cow<'a, str>>, Refusal> {
    let mut found = parts(query).filter(|raw| is_named(raw, name));
    let Some(raw) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(Refusal::BadValue { detail: format!("the query parameter `{name}` is given more than once") });
    }
    let value = raw.split_once('=').map_or("", |(_, value)| value);
    let decoded = percent_decode_str(value).decode_utf8();
    decoded.map(Some).map_err(|_| Refusal::Unparsable { detail: format!("the query parameter `{name}` is not UTF-8") })
}

/// The query without the parameters in `names`; `None` where nothing is left.
pub(super) fn without(query: Option<&str>, names: &[&str]) -> Option<String> {
    let query = query?;
    if !parts(Some(query)).any(|raw| names.iter().any(|name| is_named(raw, name))) {
        return Some(query.to_owned());
    }
    let kept: Vec<&str> = parts(Some(query)).filter(|raw| !names.iter().any(|name| is_named(raw, name))).collect();
    if kept.is_empty() { None } else { Some(kept.join("&")) }
}

fn parts(query: Option<&str>) -> impl Iterator<Item = &str> {
    query.into_iter().flat_map(|query| query.split('&'))
}

fn is_named(raw: &str, name: &str) -> bool {
    let key = raw.split_once('=').map_or(raw, |(key, _)| key);
    percent_decode_str(key).eq(name.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_out_stays_octet_for_octet() {
        let names = ["own", "other"];
        for (query, kept) in [
            ("a=%41&own=1&b=+%2f", Some("a=%41&b=+%2f")),
            ("%6fwn=1&x", Some("x")),
            ("own", None),
            ("own=1&other=2", None),
            ("", Some("")),
            ("a=1&&own=2&&b", Some("a=1&&&b")),
            ("owner=1", Some("owner=1")),
        ] {
            assert_eq!(without(Some(query), &names).as_deref(), kept, "{query}");
        }
        assert_eq!(without(None, &names), None);
    }

    #[test]
    fn a_value_is_decoded_and_unique() {
        assert_eq!(value(Some("a=1&b=x%20y"), "b"), Ok(Some("x y".into())));
        assert_eq!(value(Some("a"), "a"), Ok(Some("".into())));
        assert_eq!(value(Some("a=1"), "b"), Ok(None));
        assert!(matches!(value(Some("a=1&a=1"), "a"), Err(Refusal::BadValue { .. })));
        assert!(matches!(value(Some("a=%ff"), "a"), Err(Refusal::Unparsable { .. })));
    }
}
