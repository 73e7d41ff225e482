//! Where a target says that its operation can be followed: a reference that must stay at the target.

/// Where a request was sent.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and, where the configuration has one, port.
    pub authority: &'a str,
    /// The path on the wire: the target's prefix and the request's path.
    pub path: &'a str,
}

/// The path and query, from the root of the target's authority, that a reference means (RFC 3986, section 5.2). `Err` says why
/// it is not used: another authority would be sent the target's credentials.
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
    // What is left is sent below the target's authority, where two slashes would name another one.
    if resolved.starts_with("//") { Err("its path begins with `//`".to_owned()) } else { Ok(resolved) }
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
        return Err(format!("it leads to `{authority}`, which is not the target"));
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

    const ASKED: Asked<'static> = Asked { scheme: "http", authority: "10.0.1.1:18080", path: "/api/v1/things" };

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
        let asked = Asked { scheme: "https", authority: "Target.example", path: "/" };
        assert_eq!(resolve("https://target.example:443/x", &asked).as_deref(), Ok("/x"));
        let asked = Asked { scheme: "http", authority: "[::1]:80", path: "/" };
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
            "/a\r\nx: y",
            "",
            "#x",
        ] {
            assert!(resolve(reference, &ASKED).is_err(), "{reference}");
        }
    }
}
