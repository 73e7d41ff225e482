//! The cookie by which a browser shows the session of whoever has signed in to the console. It is for the console alone: the way in
//! takes it out of every request, and no answer but those of the console may set it.

use std::time::Duration;

use fanfold_core::access::{Secret, SecretDigest};
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

use crate::http::door::CONSOLE;

/// What the cookie is called.
const NAME: &str = "fanfold-session";

/// What it is called where browsers come by https: they take a cookie of this name from nobody who does not.
const SECURE_NAME: &str = "__Secure-fanfold-session";

fn name(is_https: bool) -> &'static str {
    if is_https { SECURE_NAME } else { NAME }
}

/// The digest of what a request shows for its session. One that has several shows none: somebody else may have set one of them.
pub(in crate::http) fn read(fields: &HeaderMap, is_https: bool) -> Option<SecretDigest> {
    let pairs = fields.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|octet| *octet == b';'));
    let mut shown = pairs.filter_map(|pair| {
        let (name, value) = std::str::from_utf8(pair).ok()?.trim().split_once('=')?;
        (name == self::name(is_https)).then_some(value)
    });
    match (shown.next(), shown.next()) {
        (Some(secret), None) => Some(SecretDigest::of(secret)),
        (None | Some(_), _) => None,
    }
}

/// Takes it out of a request, whatever it is called.
pub(in crate::http) fn hide(fields: &mut HeaderMap) {
    let is_ours = |pair: &&[u8]| is_named(pair);
    let has_ours = |field: &HeaderValue| field.as_bytes().split(|octet| *octet == b';').any(|pair| is_ours(&pair));
    if !fields.get_all(COOKIE).iter().any(has_ours) {
        return;
    }
    let kept: Vec<HeaderValue> = fields
        .get_all(COOKIE)
        .iter()
        .map(|field| field.as_bytes().split(|octet| *octet == b';').filter(|pair| !is_ours(pair)).collect::<Vec<_>>())
        .filter(|pairs| !pairs.is_empty())
        // Octets that were in a field may stand in one.
        .filter_map(|pairs| HeaderValue::from_bytes(pairs.join(&b';').trim_ascii()).ok())
        .collect();
    fields.remove(COOKIE);
    for field in kept {
        fields.append(COOKIE, field);
    }
}

/// Takes out of an answer of others what would set it.
pub(in crate::http) fn keep_from_setting(fields: &mut HeaderMap) {
    if !fields.get_all(SET_COOKIE).iter().any(|field| is_named(field.as_bytes())) {
        return;
    }
    let kept: Vec<_> = fields.get_all(SET_COOKIE).iter().filter(|field| !is_named(field.as_bytes())).cloned().collect();
    fields.remove(SET_COOKIE);
    for field in kept {
        fields.append(SET_COOKIE, field);
    }
}

/// Whether a pair has one of our names. Browsers take one without a name for one whose name stands in its value, and compare the
/// prefix without case.
pub(in crate::http) fn is_named(pair: &[u8]) -> bool {
    let start = pair.iter().position(|octet| !b"= \t".contains(octet)).unwrap_or(pair.len());
    let pair = &pair[start..];
    let end = pair.iter().position(|octet| b"=;".contains(octet)).unwrap_or(pair.len());
    let name = pair[..end].trim_ascii();
    [NAME, SECURE_NAME].iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}

/// The field that sets it, for as long as the session lasts.
pub(in crate::http) fn set(secret: &Secret, lasts: Duration, is_https: bool) -> String {
    field(secret.expose(), lasts.as_secs(), is_https)
}

/// The field that takes it back.
pub(in crate::http) fn clear(is_https: bool) -> String {
    field("", 0, is_https)
}

/// A link in a mail opens the console signed in (`Lax`); what changes something comes from our own pages (`origin`).
fn field(value: &str, max_age: u64, is_https: bool) -> String {
    let (name, secure) = (name(is_https), if is_https { "; Secure" } else { "" });
    format!("{name}={value}; Path={CONSOLE}; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: http::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn one_cookie_of_the_right_name_is_read() {
        let of = |values: &[&'static str], is_https| read(&fields(COOKIE, values), is_https);
        let shown = Some(SecretDigest::of("abc"));
        assert_eq!(of(&["a=b; fanfold-session=abc"], false), shown);
        assert_eq!(of(&["a=b", "fanfold-session=abc;c=d"], false), shown);
        assert_eq!(of(&["__Secure-fanfold-session=abc"], true), shown);
        for (values, is_https) in [
            (&["fanfold-session=abc"][..], true),
            (&["__Secure-fanfold-session=abc"], false),
            (&["fanfold-session=abc; fanfold-session=def"], false),
            (&["fanfold-session=abc", "fanfold-session=abc"], false),
            (&["fanfold-session"], false),
            (&["x-fanfold-session=abc"], false),
            (&[], false),
        ] {
            assert_eq!(of(values, is_https), None, "{values:?}");
        }
    }

    #[test]
    fn it_is_taken_out_of_requests_and_the_rest_stays_as_it_is() {
        for (before, after) in [
            (&["a=b;  c=d"][..], &["a=b;  c=d"][..]),
            (&["a=b; fanfold-session=abc; c=d"], &["a=b; c=d"]),
            (&["fanfold-session=abc; c=d"], &["c=d"]),
            (&["a=b", "__Secure-fanfold-session=x; fanfold-session=y"], &["a=b"]),
            (&["__SECURE-fanfold-session=x"], &[]),
            (&["=fanfold-session=x;a=b"], &["a=b"]),
        ] {
            let mut map = fields(COOKIE, before);
            hide(&mut map);
            assert_eq!(map, fields(COOKIE, after), "{before:?}");
        }
    }

    #[test]
    fn nobody_else_sets_it() {
        let mut map = fields(
            SET_COOKIE,
            &[
                "a=b",
                "fanfold-session=x; Path=/ui",
                " = fanfold-session=x",
                "__secure-Fanfold-Session=x",
                "c=fanfold-session",
            ],
        );
        keep_from_setting(&mut map);
        assert_eq!(map, fields(SET_COOKIE, &["a=b", "c=fanfold-session"]));
    }

    #[test]
    fn what_it_is_set_with() {
        let text = set(&Secret::from_random([7; 32]), Duration::from_secs(60), true);
        let expected = "__Secure-fanfold-session=fanfold_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc; Path=/ui; Max-Age=60; \
                        HttpOnly; SameSite=Lax; Secure";
        assert_eq!(text, expected);
        assert_eq!(clear(false), "fanfold-session=; Path=/ui; Max-Age=0; HttpOnly; SameSite=Lax");
    }
}
