//! What a request shows of who makes it: `Authorization: Bearer` (RFC 6750), or `X-Auth-Token`, which the clients of both seeds'
//! dialects send.

use fanfold_core::dialect::Refusal;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

/// What OpenStack's clients, and those of both dialects, show a token in.
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// Octets of a token at the most. A longer one is none of ours, and is not worth hashing.
const TOKEN_OCTETS_MAX: usize = 8 * 1024;

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Shown<'a> {
    /// Nothing.
    Nothing,
    /// A token, in `Authorization: Bearer`.
    Bearer(&'a str),
    /// A token, in `X-Auth-Token`.
    AuthToken(&'a str),
    /// A token that a person wrote: of which kind it is they did not say.
    Written(&'a str),
}

impl<'a> Shown<'a> {
    /// Reads the fields.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] where they do not show exactly one thing: somebody between the caller and us may have looked at
    /// the other one.
    pub(in crate::http) fn read(fields: &'a HeaderMap) -> Result<Self, Refusal> {
        let mut shown = Vec::new();
        for value in fields.get_all(AUTHORIZATION) {
            shown.push(value.to_str().ok().and_then(bearer).map(Self::Bearer));
        }
        for value in fields.get_all(X_AUTH_TOKEN) {
            shown.push(value.to_str().ok().map(|token| Self::AuthToken(token.trim())));
        }
        match shown.as_slice() {
            [] => Ok(Self::Nothing),
            [Some(one)] if one.token().is_some_and(is_fit) => Ok(*one),
            _ => Err(Refusal::Unauthenticated),
        }
    }

    /// What a person wrote.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] where that can be no token.
    pub(super) fn written(token: &'a str) -> Result<Self, Refusal> {
        is_fit(token).then_some(Self::Written(token)).ok_or(Refusal::Unauthenticated)
    }

    /// The token, whatever it is shown in.
    pub(super) fn token(self) -> Option<&'a str> {
        match self {
            Self::Nothing => None,
            Self::Bearer(token) | Self::AuthToken(token) | Self::Written(token) => Some(token),
        }
    }
}

fn is_fit(token: &str) -> bool {
    !token.is_empty() && token.len() <= TOKEN_OCTETS_MAX
}

/// The token of a field of the scheme `Bearer`, whose name is compared without case (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether a request shows anything.
pub(in crate::http) fn shows(fields: &HeaderMap) -> bool {
    fields.contains_key(AUTHORIZATION) || fields.contains_key(X_AUTH_TOKEN)
}

/// Takes out of a request what it showed to us: it is for nobody else, no target and no template.
pub(in crate::http) fn hide(fields: &mut HeaderMap) {
    fields.remove(AUTHORIZATION);
    fields.remove(X_AUTH_TOKEN);
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(fields: &[(&'static str, &[u8])]) -> Result<Option<String>, Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        Shown::read(&map).map(|shown| shown.token().map(str::to_owned))
    }

    #[test]
    fn one_token_is_shown_in_one_field() {
        let shows = |token: &str| Ok(Some(token.to_owned()));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("authorization", b"Bearer abc")]), shows("abc"));
        assert_eq!(read(&[("authorization", b"bEARER   abc ")]), shows("abc"));
        assert_eq!(read(&[("x-auth-token", b"abc")]), shows("abc"));
        for bad in [
            &[("authorization", &b"Bearer"[..])][..],
            &[("authorization", b"Bearer ")],
            &[("authorization", b"Basic YTpi")],
            &[("authorization", b"Bearer \xff")],
            &[("authorization", b"Bearer a"), ("authorization", b"Bearer a")],
            &[("authorization", b"Bearer a"), ("x-auth-token", b"a")],
            &[("x-auth-token", b"a"), ("x-auth-token", b"b")],
            &[("x-auth-token", b"")],
        ] {
            assert_eq!(read(bad), Err(Refusal::Unauthenticated), "{bad:?}");
        }
        let long = [b"Bearer ".as_slice(), &vec![b'a'; TOKEN_OCTETS_MAX + 1]].concat();
        assert_eq!(read(&[("authorization", &long)]), Err(Refusal::Unauthenticated));
    }

    #[test]
    fn what_was_shown_is_for_us_alone() {
        let mut fields = HeaderMap::new();
        fields.insert(AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
        fields.insert(X_AUTH_TOKEN, HeaderValue::from_static("abc"));
        fields.insert("x-other", HeaderValue::from_static("abc"));
        hide(&mut fields);
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["x-other"]);
    }
}
