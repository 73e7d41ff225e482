//! Keeps web pages of others away from a server that trusts its machine.
//!
//! A browser on this machine is a loopback peer whatever page it shows. Two checks keep such a page out: the host that it asked
//! for must be ours (a name that somebody rebinds to 127.0.0.1 is not), and a changing request that names an origin must name
//! ours.

use std::net::IpAddr;

use fanfold_core::dialect::Refusal;
use http::header::{HOST, HeaderValue, ORIGIN};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{Uri, Version};

use super::Front;
use super::auth::is_loopback;
use super::auth::rules::SAFE;
use super::wire::Peer;

/// Where a browser's request comes from, seen from where it goes.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// A browser asks for the script of a service worker.
const SERVICE_WORKER: &str = "service-worker";

/// Scheme, host and port (RFC 6454): what tells the pages of one server from those of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    /// That of an absolute address, whatever its path is.
    pub(super) fn of(address: &str) -> Option<Self> {
        let parts = address.parse::<Uri>().ok()?.into_parts();
        Some(Self { scheme: parts.scheme?, authority: parts.authority? })
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }
}

/// Refuses a request for a host that is not ours, and a changing one that a page of another origin makes. `public` is the
/// configured address of this server.
pub(super) fn check(head: &Parts, peer: &Peer, public: Option<&Origin>) -> Result<(), Refusal> {
    let host = host(head)?;
    let asked = head.uri.authority().or(host.as_ref());
    for authority in host.iter().chain(head.uri.authority()) {
        if !is_ours(authority, public.map(|public| &public.authority)) {
            let detail = "`Host` names neither this machine nor the public address of this server".to_owned();
            return Err(Refusal::BadValue { detail });
        }
    }
    // A page of another origin cannot do harm with those, and cannot read the answers.
    if SAFE.contains(&head.method) {
        return Ok(());
    }
    refuse_others(head, peer, asked, public)
}

/// Refuses a request that is passed through for a page of another origin, whatever its method: the target may let any page read
/// its answers, and is shown credentials that no page has.
pub(super) fn check_passed(head: &Parts, peer: &Peer, public: Option<&Origin>) -> Result<(), Refusal> {
    let host = host(head)?;
    refuse_others(head, peer, head.uri.authority().or(host.as_ref()), public)?;
    // What a worker of a target's says would stand in front of every page of ours.
    if head.headers.contains_key(SERVICE_WORKER) {
        let detail = "scripts of service workers are not passed through".to_owned();
        return Err(Refusal::BadValue { detail });
    }
    Ok(())
}

/// Refuses a changing request that a browser makes of itself (with a cookie or a certificate, or to sign in), unless it says that it
/// is made by a page of this server: beyond what [`check`] asks of everybody, there has to be a word about it, and our own address
/// by https is no other one by http.
pub(super) fn require_own(head: &Parts, front: &Front) -> Result<(), Refusal> {
    let site = head.headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    let mut origins = head.headers.get_all(ORIGIN).iter().peekable();
    let is_own = match origins.peek() {
        None => site == Some(b"same-origin"),
        Some(_) => !origins.any(|origin| is_insecure(origin, front)),
    };
    if is_own {
        return Ok(());
    }
    let detail =
        "only pages of this server may do this; the browser does not say that it was one (`Origin`, `Sec-Fetch-Site`)";
    Err(Refusal::BadValue { detail: detail.to_owned() })
}

/// Whether it is our own address, reached in a way on which anybody can put words into our mouth.
fn is_insecure(origin: &HeaderValue, front: &Front) -> bool {
    let Some(public) = front.public().filter(|public| public.is_https()) else { return false };
    let origin = origin.to_str().ok().and_then(Origin::of);
    origin.is_some_and(|origin| !origin.is_https() && origin.authority == public.authority)
}

fn refuse_others(head: &Parts, peer: &Peer, asked: Option<&Authority>, public: Option<&Origin>) -> Result<(), Refusal> {
    let detail = "requests that a page of another `Origin` makes are refused".to_owned();
    // Browsers say so where they name no origin too (Fetch Metadata); nobody else sends it.
    let site = head.headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    if site.is_some_and(|site| ![&b"same-origin"[..], b"none"].contains(&site)) {
        return Err(Refusal::BadValue { detail });
    }
    for origin in head.headers.get_all(ORIGIN) {
        // `null`, for instance, is none.
        let is_ours = origin.to_str().ok().and_then(Origin::of).is_some_and(|origin| {
            // Without TLS here, a proxy in front may speak it: the scheme that the browser used is not known.
            let may_be_asked = !peer.is_encrypted || origin.is_https();
            public == Some(&origin) || may_be_asked && asked == Some(&origin.authority)
        });
        if !is_ours {
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
        passes_from(false, method, fields)
    }

    fn passes_from(is_encrypted: bool, method: &str, fields: &[(&str, &str)]) -> bool {
        let peer = peer(is_encrypted);
        let mut request = http::Request::builder().method(method).uri("/x");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let public = Origin::of("https://fanfold.example/below").unwrap();
        check(&request.body(()).unwrap().into_parts().0, &peer, Some(&public)).is_ok()
    }

    fn peer(is_encrypted: bool) -> Peer {
        Peer { address: "127.0.0.1:5000".parse().unwrap(), is_encrypted, certificate: None }
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
            ("POST", "http://fanfold.example", false),
        ] {
            let fields = [("host", "localhost:8080"), ("origin", origin)];
            assert_eq!(passes(method, &fields), good, "{method} {origin}");
        }
    }

    #[test]
    fn a_page_that_came_without_tls_is_not_of_a_server_that_speaks_it() {
        for (is_encrypted, origin, good) in [
            (true, "https://localhost:8443", true),
            (true, "http://localhost:8443", false),
            (true, "https://fanfold.example", true),
            (true, "http://fanfold.example", false),
            (false, "https://localhost:8443", true),
            (false, "http://localhost:8443", true),
        ] {
            let fields = [("host", "localhost:8443"), ("origin", origin)];
            assert_eq!(passes_from(is_encrypted, "POST", &fields), good, "{is_encrypted} {origin}");
        }
    }

    #[test]
    fn an_absolute_target_is_judged_too() {
        let request = http::Request::get("http://evil.example/x").header("host", "localhost");
        assert!(check(&request.body(()).unwrap().into_parts().0, &peer(false), None).is_err());
    }
}
