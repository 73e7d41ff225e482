//! Keeps web pages of others away from a server that trusts its machine.
//!
//! A browser on this machine is a loopback peer whatever page it shows. Two checks keep such a page out: the host that it asked
//! for must be ours (a name that somebody rebinds to 127.0.0.1 is not), and a changing request that names an origin must name
//! ours.

use std::net::IpAddr;

use fanfold_core::dialect::Refusal;
use http::header::{HOST, HeaderValue, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Version};

use super::auth::is_loopback;

/// Methods that change nothing, so that a page of another origin cannot do harm with them; it cannot read the answers.
const SAFE: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];

/// Where a browser's request comes from, seen from where it goes.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// A browser asks for the script of a service worker.
const SERVICE_WORKER: &str = "service-worker";

/// Refuses a request for a host that is not ours, and a changing one that a page of another origin makes. `public` is the
/// configured address of this server.
pub(super) fn check(head: &Parts, public: Option<&Authority>) -> Result<(), Refusal> {
    let host = host(head)?;
    let asked = head.uri.authority().or(host.as_ref());
    for authority in host.iter().chain(head.uri.authority()) {
        if !is_ours(authority, public) {
            let detail = "`Host` names neither this machine nor the public address of this server".to_owned();
            return Err(Refusal::BadValue { detail });
        }
    }
    if SAFE.contains(&head.method) {
        return Ok(());
    }
    refuse_others(head, asked, public)
}

/// Refuses a request that is passed through for a page of another origin, whatever its method: the target may let any page read
/// its answers, and is shown credentials that no page has.
pub(super) fn check_passed(head: &Parts, public: Option<&Authority>) -> Result<(), Refusal> {
    let host = host(head)?;
    refuse_others(head, head.uri.authority().or(host.as_ref()), public)?;
    // What a worker of a target's says would stand in front of every page of ours.
    if head.headers.contains_key(SERVICE_WORKER) {
        let detail = "scripts of service workers are not passed through".to_owned();
        return Err(Refusal::BadValue { detail });
    }
    Ok(())
}

fn refuse_others(head: &Parts, asked: Option<&Authority>, public: Option<&Authority>) -> Result<(), Refusal> {
    let detail = "requests that a page of another `Origin` makes are refused".to_owned();
    // Browsers say so where they name no origin too (Fetch Metadata); nobody else sends it.
    let site = head.headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    if site.is_some_and(|site| ![&b"same-origin"[..], b"none"].contains(&site)) {
        return Err(Refusal::BadValue { detail });
    }
    for origin in head.headers.get_all(ORIGIN) {
        let origin = origin_authority(origin);
        let is_same = |ours: Option<&Authority>| ours.is_some_and(|ours| origin.as_ref() == Some(ours));
        if !is_same(asked) && !is_same(public) {
            return Err(Refusal::BadValue { detail });
        }
    }
    Ok(())
}

/// The `Host` field. HTTP/1.1 requires it, once (RFC 9112, section 3.2).
fn host(head: &Parts) -> Result<Option<Authority>, Refusal> {
    let bad = |detail: &str| Err(Refusal::BadValue { detail: detail.to_owned() });
    let mut fields = head.headers.get_all(HOST).iter();
    match (fields.next(), fields.next()) {
        (Some(host), None) => match authority(host) {
            Some(host) => Ok(Some(host)),
            None => bad("`Host` is not a host with an optional port"),
        },
        (Some(_), Some(_)) => bad("`Host` is given more than once"),
        (None, _) if head.version < Version::HTTP_11 => Ok(None),
        (None, _) => bad("`Host` is missing"),
    }
}

fn authority(value: &HeaderValue) -> Option<Authority> {
    let authority: Authority = value.to_str().ok()?.parse().ok()?;
    // A user name has no place here (RFC 9110, section 4.2.4).
    (!authority.as_str().contains('@')).then_some(authority)
}

/// Host and port of an origin; `None` for `null` and anything else that is not one.
fn origin_authority(origin: &HeaderValue) -> Option<Authority> {
    let (_, authority) = origin.to_str().ok()?.split_once("://")?;
    authority.parse().ok()
}

/// Whether a host is this machine by a name that nobody else controls, or the configured one.
fn is_ours(authority: &Authority, public: Option<&Authority>) -> bool {
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    // Names below `localhost` never leave the machine (RFC 6761, section 6.3).
    let is_local = host == "localhost" || host.ends_with(".localhost");
    let is_loopback = bare.parse::<IpAddr>().is_ok_and(is_loopback);
    is_local || is_loopback || public.is_some_and(|public| public.host().eq_ignore_ascii_case(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(method: &str, fields: &[(&str, &str)]) -> bool {
        let mut request = http::Request::builder().method(method).uri("/x");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let public = Authority::from_static("fanfold.example");
        check(&request.body(()).unwrap().into_parts().0, Some(&public)).is_ok()
    }

    #[test]
    fn only_our_own_names_are_answered() {
        for (host, good) in [
            ("127.0.0.1:8080", true),
            ("127.9.9.9", true),
            ("localhost:8080", true),
            ("LocalHost", true),
            ("localhost.", true),
            ("fanfold.localhost:1", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]", true),
            ("fanfold.example", true),
            ("FANFOLD.example:443", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("evillocalhost", false),
            ("192.0.2.1", false),
            ("me@localhost", false),
            ("", false),
        ] {
            assert_eq!(passes("GET", &[("host", host)]), good, "{host}");
        }
        assert!(!passes("GET", &[]));
        assert!(!passes("GET", &[("host", "localhost"), ("host", "localhost")]));
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        for (method, origin, good) in [
            ("POST", "http://localhost:8080", true),
            ("POST", "https://fanfold.example", true),
            ("POST", "http://localhost:3000", false),
            ("DELETE", "https://evil.example", false),
            ("PUT", "null", false),
            ("PUT", "", false),
            ("GET", "https://evil.example", true),
        ] {
            let fields = [("host", "localhost:8080"), ("origin", origin)];
            assert_eq!(passes(method, &fields), good, "{method} {origin}");
        }
    }

    #[test]
    fn an_absolute_target_is_judged_too() {
        let request = http::Request::get("http://evil.example/x").header("host", "localhost");
        assert!(check(&request.body(()).unwrap().into_parts().0, None).is_err());
    }
}
