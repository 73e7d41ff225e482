//! Where a target says that its operation can be followed: a reference that must stay at the target.

use http::uri::PathAndQuery;

use super::path::has_dot_segment;

/// Where a request was sent.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and, where the configuration has one, port.
    pub authority: &'a str,
    /// The path on the wire: the target's prefix and the request's path.
    pub path: &'a str,
    /// The path below which the target's operations are followed; empty: everywhere at the target.
    pub below: &'a str,
}

/// Whether a path (with its query) is the one of `prefix`, or lies below it.
pub fn is_below(prefix: &str, path_and_query: &str) -> bool {
    let rest = path_and_query.strip_prefix(prefix.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

/// The path and query, from the root of the target's authority, that a reference means (RFC 3986, section 5.2). `Err` says why
/// it is not used: another authority would be sent the target's credentials, and what lies beside the target's prefix is not the
/// target's.
pub(crate) fn resolve(reference: &str, asked: &Asked<'_>) -> Result<String, String> {
    let reference = reference.trim();
    let reference = reference.split_once('#').map_or(reference, |(reference, _)| reference);
    if reference.is_empty() {
        return Err("it is empty".to_owned());
    }
    if reference.bytes().any(|octet| octet <= 0x20 || octet >= 0x7f || octet == b'\\') {
        return Err("it contains characters that no address has".to_owned());
    }
    let path = if let Some((scheme, rest)) = split_scheme(reference) {
        if !scheme.eq_ignore_ascii_case(asked.scheme) {
            return Err(format!("it has the scheme `{scheme}`, not the target's"));
        }
        own_path(rest.strip_prefix("//").ok_or("it has no authority")?, asked)?
    } else if let Some(rest) = reference.strip_prefix("//") {
        own_path(rest, asked)?
    } else if reference.starts_with('/') {
        reference.to_owned()
    } else if reference.starts_with('?') {
        format!("{}{reference}", asked.path)
    } else {
        let folder = asked.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{reference}")
    };
    let resolved = without_dot_segments(&path);
    let path = resolved.split('?').next().unwrap_or_default();
    // What is left is sent to the target's authority, where two slashes would name another one.
    if path.starts_with("//") {
        return Err("its path begins with `//`".to_owned());
    }
    if has_dot_segment(path) {
        return Err("it has an encoded dot segment".to_owned());
    }
    if PathAndQuery::try_from(resolved.as_str()).is_err() {
        return Err("it contains characters that no address has".to_owned());
    }
    if !is_below(asked.below, &resolved) {
        return Err(format!("it does not lie below `{}`; if it may, set the target's `monitor_prefix`", asked.below));
    }
    Ok(resolved)
}

fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then_some((scheme, rest))
}

/// What follows the authority, if that is the target's own.
fn own_path(rest: &str, asked: &Asked<'_>) -> Result<String, String> {
    let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let full = |authority: &str| {
        let authority = authority.to_ascii_lowercase();
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let default = if asked.scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
        if has_port { authority } else { format!("{authority}:{default}") }
    };
    if full(authority) != full(asked.authority) {
        // What stands before the host may be a password.
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        return Err(format!("it leads to `{host}`, which is not the target"));
    }
    Ok(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

fn without_dot_segments(path: &str) -> String {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/').skip(1) {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut resolved = format!("/{}", kept.join("/"));
    if ends_in_folder && !resolved.ends_with('/') {
        resolved.push('/');
    }
    super::request::uri(&resolved, query)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'static> =
        Asked { scheme: "http", authority: "10.0.1.1:18080", path: "/api/v1/things", below: "" };

    #[test]
    fn references_within_the_target_become_paths() {
        for (reference, path) in [
            ("/ops/1?x=1#frag", "/ops/1?x=1"),
            ("http://10.0.1.1:18080/ops/1", "/ops/1"),
            ("HTTP://10.0.1.1:18080?a", "/?a"),
            ("//10.0.1.1:18080/ops", "/ops"),
            ("1/status", "/api/v1/1/status"),
            ("../ops/./1", "/api/ops/1"),
            ("../../../../x", "/x"),
            ("..", "/api/"),
            ("?id=5", "/api/v1/things?id=5"),
            (" /ops/a:b ", "/ops/a:b"),
        ] {
            assert_eq!(resolve(reference, &ASKED).as_deref(), Ok(path), "{reference}");
        }
    }

    #[test]
    fn default_ports_may_be_left_out_on_either_side() {
        let asked = Asked { scheme: "https", authority: "Target.example", path: "/", below: "" };
        assert_eq!(resolve("https://target.example:443/x", &asked).as_deref(), Ok("/x"));
        let asked = Asked { scheme: "http", authority: "[::1]:80", path: "/", below: "" };
        assert_eq!(resolve("http://[::1]/x", &asked).as_deref(), Ok("/x"));
    }

    #[test]
    fn references_that_leave_the_target_are_refused() {
        for reference in [
            "http://evil.example/ops",
            "https://10.0.1.1:18080/ops",
            "http://10.0.1.1:18081/ops",
            "http://10.0.1.1:18080@evil.example/ops",
            "//evil.example/ops",
            "file:///etc/passwd",
            "http:/ops",
            "/a/..//evil.example/x",
            "/\\evil.example",
            "\\\\evil.example\\x",
            "/a/%2e%2e/b",
            "/a/..%2fb",
            "/a/..%5Cb",
            "/a/..;x/b",
            "http://10.0.1.1:18080\\@evil.example/",
            "http://10.0.1.1:18080.evil.example/",
            "http://10.0.1.1/",
            "http://[::1]:18080/",
            "http://167772417:18080/",
            "javascript:alert(1)",
            "/a\r\nx: y",
            "/a`b",
            "/a<b>",
            "",
            "#x",
        ] {
            assert!(resolve(reference, &ASKED).is_err(), "{reference}");
        }
        let why = resolve("http://me:s3cret@evil.example/x", &ASKED).unwrap_err();
        assert!(why.contains("evil.example") && !why.contains("s3cret"), "{why}");
    }

    #[test]
    fn what_lies_beside_the_targets_prefix_is_not_followed() {
        let asked = Asked { path: "/api/v1/things", below: "/api", ..ASKED };
        for (reference, path) in [
            ("/api/ops/1", "/api/ops/1"),
            ("/api", "/api"),
            ("/api?op=1", "/api?op=1"),
            ("../ops/1", "/api/ops/1"),
            ("http://10.0.1.1:18080/api/ops/1", "/api/ops/1"),
        ] {
            assert_eq!(resolve(reference, &asked).as_deref(), Ok(path), "{reference}");
        }
        for reference in ["/ops/1", "/apis", "/api/../ops/1", "../../ops/1", "/", "/%61pi/x", "?../../x/../.."] {
            let resolved = resolve(reference, &asked);
            assert_eq!(resolved.is_err(), !reference.starts_with('?'), "{reference}: {resolved:?}");
        }
        let why = resolve("/ops/1", &asked).unwrap_err();
        assert!(why.contains("monitor_prefix"), "{why}");
        assert!(is_below("/", "/x") && is_below("/api/", "/api/x") && !is_below("/api/", "/apix"));
    }
}
