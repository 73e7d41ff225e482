//! Names, paths and patterns.

use http::{HeaderName, Method};

use super::TextForm;
use crate::config::finding::Wrong;

/// The path prefix of a mount: it begins with a slash, does not end with one, and is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix(pub(crate) String);

/// Method and path pattern of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteMatch {
    /// The method.
    pub(crate) method: Method,
    /// The path pattern; planning reads it.
    pub(crate) pattern: String,
}

/// The name of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteName(pub(crate) String);

/// The name of a header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderField(pub(crate) HeaderName);

/// A JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer(pub(crate) String);

/// The methods that a route may have. `HEAD` goes where `GET` goes.
const METHODS: [Method; 6] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Whether `text` can be the name of a target: 1 to 64 letters, digits, `_` and `-`, not beginning with `-`.
pub(crate) fn is_target_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        && !text.starts_with('-')
}

/// Whether `text` can be the name of a tenant: 1 to 64 letters, digits, spaces and any of `.`, `_`, `-`, `@`.
pub(crate) fn is_tenant_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@ ".contains(&byte);
    text.len() <= 64 && !text.trim().is_empty() && text.bytes().all(fits)
}

impl TextForm for Prefix {
    const FORMAT: &'static str = "fanfold-path-prefix";
    const EXAMPLE: &'static str = "/v1";

    fn read(text: &str) -> Result<Self, Wrong> {
        let segment = |segment: &str| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte))
        };
        match text.strip_prefix('/') {
            Some("") => Err(Wrong::new("a mount at \"/\" would take every path")
                .hint("give it a prefix of its own, such as \"/v1\"")),
            Some(rest) if rest.split('/').all(segment) => Ok(Self(text.to_owned())),
            _ => Err(Wrong::new(format!("{text:?} is not a path prefix")).hint(
                "write it as in \"/v1\": a slash first, none at the end, no \"{...}\" and nothing percent-encoded",
            )),
        }
    }
}

impl TextForm for RouteMatch {
    const FORMAT: &'static str = "fanfold-route-match";
    const EXAMPLE: &'static str = "POST /v1/slices/{slice_id}/cps";

    fn read(text: &str) -> Result<Self, Wrong> {
        let hint = "write a method and a path pattern, as in \"POST /v1/slices/{slice_id}\" or \"GET /v1/{*rest}\"";
        let wrong = || Wrong::new(format!("{text:?} is not a method and a path pattern")).hint(hint);
        let (method, pattern) = text.split_once(' ').ok_or_else(wrong)?;
        let pattern = pattern.trim();
        if !pattern.starts_with('/') || pattern.contains(['?', '#', ' ']) {
            return Err(wrong());
        }
        let Some(known) = METHODS.into_iter().find(|known| known.as_str() == method) else {
            return Err(match method {
                "HEAD" => Wrong::new("HEAD has no routes of its own").hint("write GET: it answers HEAD, too"),
                _ => Wrong::new(format!("{method:?} is not a method that a route can have"))
                    .hint("it is one of GET, POST, PUT, PATCH, DELETE and OPTIONS, in capital letters"),
            });
        };
        Ok(Self { method: known, pattern: pattern.to_owned() })
    }
}

impl TextForm for RouteName {
    const FORMAT: &'static str = "fanfold-route-name";
    const EXAMPLE: &'static str = "create-cp";

    fn read(text: &str) -> Result<Self, Wrong> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=100).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::new(format!("{text:?} is not a name of a route"))
            .hint("use 1 to 100 letters, digits, \"-\", \"_\" and \".\""))
    }
}

impl TextForm for HeaderField {
    const FORMAT: &'static str = "fanfold-header-name";
    const EXAMPLE: &'static str = "X-Request-Id";

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map(Self).map_err(|_| {
            Wrong::new(format!("{text:?} is not the name of a header"))
                .hint("use letters, digits and \"-\", as in \"X-Request-Id\"")
        })
    }
}

impl TextForm for Pointer {
    const FORMAT: &'static str = "json-pointer";
    const EXAMPLE: &'static str = "/credentials/0/key";

    fn read(text: &str) -> Result<Self, Wrong> {
        let escapes_are_good = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if text.starts_with('/') && escapes_are_good {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::new(format!("{text:?} is not a JSON pointer"))
            .hint("write it as in \"/credentials/0/key\"; \"~1\" stands for a slash in a name, \"~0\" for a tilde"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_plain_paths() {
        for good in ["/v1", "/v1.0/plasconnector", "/a/b/c"] {
            assert!(Prefix::read(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "v1", "/v1/", "//v1", "/v1/{id}", "/v%31", "/a/../b", "/a b", "/é"] {
            assert!(Prefix::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_match_is_a_method_and_a_pattern() {
        let read = RouteMatch::read("PUT /v1/{*rest}").unwrap();
        assert_eq!((read.method, read.pattern.as_str()), (Method::PUT, "/v1/{*rest}"));
        for bad in ["", "/v1", "post /v1", "HEAD /v1", "POST v1", "POST /v1?a=b", "TRACE /v1", "POST"] {
            assert!(RouteMatch::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pointers_and_names() {
        assert!(Pointer::read("/a~1b/0").is_ok());
        assert!(Pointer::read("a").is_err());
        assert!(Pointer::read("/a~2").is_err());
        assert!(is_target_name("tokyo-1"));
        for bad in ["", "-a", "a.b", "a b", "é"] {
            assert!(!is_target_name(bad), "{bad}");
        }
        assert!(is_tenant_name("ops@acme.example"));
        for bad in ["", " ", "a:b", "é", &"x".repeat(65)] {
            assert!(!is_tenant_name(bad), "{bad}");
        }
    }
}
