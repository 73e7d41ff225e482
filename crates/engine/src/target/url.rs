//! The address of a target: scheme, host, port and a path prefix, and how the path of a request is joined to it.

use std::fmt;
use std::str::FromStr;

use fanfold_core::route::{has_dot_segment, is_below};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

/// The URL prefix of a target: `http` or `https`, host, optional port, optional path.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetUrl {
    secure: bool,
    /// As the `Host` field carries it: IPv6 literals in brackets, the default port left out.
    authority: Authority,
    /// Empty, or with a leading and without a trailing slash.
    prefix: String,
    /// As `prefix`: below it the target's own operations are followed. `None`: below `prefix`.
    monitor_prefix: Option<String>,
}

/// The text is not a URL prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It cannot be parsed.
    #[error("not a URL: {0}")]
    Unparsable(String),
    /// It is a URL, but of a form that a target cannot have.
    #[error("a target's URL {0}")]
    Unfit(&'static str),
}

/// What was to be joined to the prefix is not a path with an optional query that stays below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a path below a target's URL: {0}")]
pub struct BadPath(&'static str);

impl TargetUrl {
    /// Whether the target is called over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Host and port, as the `Host` field carries them.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The path prefix: empty, or with a leading and without a trailing slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The same, with the target's own operations below another path of its authority.
    ///
    /// # Errors
    /// If that is no path that begins with a slash, or one with a query, a fragment or dot segments.
    pub fn with_monitor_prefix(mut self, prefix: &str) -> Result<Self, BadUrl> {
        let path = join("", prefix).ok().filter(|_| prefix.starts_with('/') && !prefix.contains('?'));
        let path = path.ok_or(BadUrl::Unfit(
            "has operations below a path that begins with one slash, without query, fragment and dot segments",
        ))?;
        self.monitor_prefix = Some(path.path().trim_end_matches('/').to_owned());
        Ok(self)
    }

    /// The path below which the target's own operations are followed: empty, or as [`TargetUrl::prefix`].
    pub fn monitor_prefix(&self) -> &str {
        self.monitor_prefix.as_deref().unwrap_or(&self.prefix)
    }

    /// A path (with its query) from the root of the authority, where the target itself told it: the address of an operation of
    /// its own.
    ///
    /// # Errors
    /// As [`TargetUrl::join`]; also if it does not lie below [`TargetUrl::monitor_prefix`].
    pub fn from_root(&self, path_and_query: &str) -> Result<PathAndQuery, BadPath> {
        if !is_below(self.monitor_prefix(), path_and_query) {
            return Err(BadPath("it does not lie below the path of its URL, nor below its `monitor_prefix`"));
        }
        join("", path_and_query)
    }

    /// Joins a path (with its query) to the prefix. The text is taken as it is, percent-encoding included.
    ///
    /// # Errors
    /// If it does not begin with a slash, or begins with two that would name another host, contains octets that a request line
    /// cannot carry, or has dot segments in any spelling, with which a target could be made to leave its prefix.
    pub fn join(&self, path_and_query: &str) -> Result<PathAndQuery, BadPath> {
        join(&self.prefix, path_and_query)
    }

    /// The value of the `Host` field.
    pub(super) fn host(&self) -> HeaderValue {
        HeaderValue::from_str(self.authority.as_str()).expect("an authority consists of visible ASCII characters")
    }

    /// What the connector connects to.
    pub(super) fn origin(&self) -> Uri {
        let scheme = if self.secure { Scheme::HTTPS } else { Scheme::HTTP };
        Uri::builder()
            .scheme(scheme)
            .authority(self.authority.clone())
            .path_and_query("/")
            .build()
            .expect("scheme, authority and path are all given and valid")
    }
}

impl FromStr for TargetUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('#') {
            return Err(BadUrl::Unfit("has no fragment"));
        }
        let uri = Uri::from_str(text).map_err(|error| BadUrl::Unparsable(error.to_string()))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(BadUrl::Unfit("begins with http:// or https://")),
        };
        let authority = uri.authority().ok_or(BadUrl::Unfit("names a host"))?;
        if authority.as_str().contains('@') {
            return Err(BadUrl::Unfit("carries no user name or password: give an authorization header instead"));
        }
        if uri.query().is_some() {
            return Err(BadUrl::Unfit("has no query"));
        }
        let prefix = uri.path().trim_end_matches('/');
        if has_dot_segment(prefix) {
            return Err(BadUrl::Unfit("has no dot segments"));
        }
        if prefix.starts_with("//") {
            return Err(BadUrl::Unfit("has a path that begins with one slash: two could name another host"));
        }
        let authority = normal_authority(authority, secure)?;
        Ok(Self { secure, authority, prefix: prefix.to_owned(), monitor_prefix: None })
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The authority without the scheme's default port.
fn normal_authority(authority: &Authority, secure: bool) -> Result<Authority, BadUrl> {
    let host = authority.host();
    if host.is_empty() || host == "[]" {
        return Err(BadUrl::Unfit("names a host"));
    }
    let default_port = if secure { 443 } else { 80 };
    let text = match authority.port_u16() {
        Some(0) => return Err(BadUrl::Unfit("has a port from 1 to 65535")),
        Some(port) if port != default_port => format!("{host}:{port}"),
        Some(_) => host.to_owned(),
        None if authority.as_str().len() == host.len() => host.to_owned(),
        None => return Err(BadUrl::Unfit("has a port from 1 to 65535")),
    };
    Authority::try_from(text).map_err(|error| BadUrl::Unparsable(error.to_string()))
}

/// The last look at what is sent, whatever made it: what templates, clients and targets give was checked where it came in.
fn join(prefix: &str, path_and_query: &str) -> Result<PathAndQuery, BadPath> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    if !path.is_empty() && !path.starts_with('/') {
        return Err(BadPath("it does not begin with a slash"));
    }
    if prefix.is_empty() && path.starts_with("//") {
        return Err(BadPath("it begins with two slashes, which could name another host"));
    }
    if path_and_query.contains('#') {
        return Err(BadPath("it has a fragment"));
    }
    if has_dot_segment(path) {
        return Err(BadPath("it has a dot segment"));
    }
    let is_fit = |octet: u8| (0x21..0x7f).contains(&octet) && octet != b'\\';
    let root = if prefix.is_empty() && path.is_empty() { "/" } else { "" };
    let joined = PathAndQuery::try_from(format!("{prefix}{root}{path_and_query}"));
    let joined = joined.ok().filter(|_| path.bytes().all(is_fit));
    joined.ok_or(BadPath("it has octets that a request line cannot carry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> TargetUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_path_is_joined_to_the_prefix_as_it_is() {
        for (prefix, path, joined) in [
            ("http://a", "/x", "/x"),
            ("http://a/", "/x?y=%2F", "/x?y=%2F"),
            ("http://a/base/", "/x/", "/base/x/"),
            ("http://a/base", "", "/base"),
            ("http://a/base", "?q=1", "/base?q=1"),
            ("http://a", "?q=1", "/?q=1"),
            ("http://a/b", "/k=a%2Fb/..c?up=../..", "/b/k=a%2Fb/..c?up=../.."),
        ] {
            assert_eq!(url(prefix).join(path).unwrap().as_str(), joined, "{prefix} {path}");
        }
    }

    #[test]
    fn a_path_cannot_leave_the_prefix() {
        for path in [
            "/../x",
            "/a/%2e%2E/b",
            "/./x",
            "/a/..%2fb",
            "/a/..%5Cb",
            "/..;v=1/x",
            "/..\\x",
            "\\\\evil\\x",
            "/\\evil",
            "x",
            "//evil\r\n",
            "/a#b",
            "/a b",
            "/a\tb",
            "/ä",
            "@evil/x",
            ":81/x",
            ".evil.example/x",
            "http://evil/x",
        ] {
            assert!(url("http://a/base").join(path).is_err(), "{path}");
            assert!(url("http://a").join(path).is_err(), "{path}");
        }
        assert!(url("http://a").join("//evil/x").is_err());
        assert_eq!(url("http://a/base").join("//evil/x").unwrap(), "/base//evil/x");
    }

    #[test]
    fn an_operation_of_the_target_lies_below_its_prefix_or_the_one_that_is_given() {
        let own = url("http://a/base");
        assert_eq!(own.from_root("/base/ops/1?x").unwrap(), "/base/ops/1?x");
        let beside = url("http://a/base").with_monitor_prefix("/ops/").unwrap();
        assert_eq!(beside.from_root("/ops/1").unwrap(), "/ops/1");
        let all = url("http://a/base").with_monitor_prefix("/").unwrap();
        assert_eq!(all.from_root("/x").unwrap(), "/x");
        for path in ["/ops/1", "/basement", "/base/../ops", "/base/%2e%2e/ops", "//a/base/x", "", "base"] {
            assert!(own.from_root(path).is_err(), "{path}");
        }
        for path in ["/base/1", "/opsx", "/ops/..%2fbase/1"] {
            assert!(beside.from_root(path).is_err(), "{path}");
        }
        assert!(all.from_root("//evil/x").is_err());
        assert_eq!((beside.prefix(), beside.join("/x").unwrap().as_str()), ("/base", "/base/x"));
        for bad in ["", "ops", "/a/../b", "/a?b", "/a#b", "//a", "http://a/"] {
            assert!(url("http://a/base").with_monitor_prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_host_field_leaves_out_the_default_port_and_keeps_brackets() {
        for (text, host) in [
            ("http://a.example:80", "a.example"),
            ("https://a.example:443/p", "a.example"),
            ("https://a.example:80", "a.example:80"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://[2001:db8::7]", "[2001:db8::7]"),
        ] {
            assert_eq!(url(text).host(), host, "{text}");
        }
        assert_eq!(url("http://[::1]:8080/p/").to_string(), "http://[::1]:8080/p");
    }

    #[test]
    fn urls_that_no_target_can_have_are_refused() {
        for text in [
            "",
            "a",
            "/p",
            "ftp://a",
            "http://",
            "http://u:p@a/",
            "http://a/?q",
            "http://a/#f",
            "http://a:0",
            "http://a:99999",
            "http://a/../b",
            "http://a//b",
        ] {
            assert!(text.parse::<TargetUrl>().is_err(), "{text}");
        }
    }
}
