//! What must hold of the parsers here whatever a client sends: one function for each, which panics where it does not. Fuzzing
//! and property tests call them (`fanfold-hostile`); nothing else does.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, SET_COOKIE};
use http::uri::Authority;
use http::{Method, Request};

use super::auth::cookie;
use super::auth::shown::{self, Shown};
use super::native::query::{self, Query};
use super::native::{entity, events, operations};
use super::origin::Origin;
use super::ui::form::Form;
use super::wire::Peer;
use super::{framing, head, origin, page, prefer};

/// The octets of a connection: where requests begin and end in them.
pub fn framing(octets: &[u8]) {
    framing::hostile::follow(octets);
}

/// Header fields, one a line: what they show of who makes the request.
pub fn credentials(octets: &[u8]) {
    let mut fields = fields(octets);
    let shows = fields.get_all(AUTHORIZATION).iter().count() + fields.get_all("x-auth-token").iter().count();
    match Shown::read(&fields) {
        Ok(Shown::Nothing) => assert_eq!(shows, 0, "what is shown counts"),
        Ok(Shown::Bearer(token) | Shown::AuthToken(token) | Shown::Written(token)) => {
            assert_eq!(shows, 1, "two things are shown, and one counts");
            assert!(!token.is_empty() && token.trim() == token, "{token:?}");
            let again = HeaderValue::try_from(format!("Bearer {token}")).expect("it came in a field");
            let again = HeaderMap::from_iter([(AUTHORIZATION, again)]);
            assert_eq!(Shown::read(&again), Ok(Shown::Bearer(token)));
        }
        Err(_) => assert_ne!(shows, 0, "nothing is shown, and that is refused"),
    }
    shown::hide(&mut fields);
    assert_eq!(Shown::read(&fields), Ok(Shown::Nothing));
}

/// Header fields, one a line: the session that they show, and what is left of them without it.
pub fn session(octets: &[u8]) {
    let before = fields(octets);
    for is_https in [false, true] {
        let mut after = before.clone();
        if cookie::read(&after, is_https).is_some() {
            assert!(after.contains_key(COOKIE), "a session is nowhere else");
        }
        cookie::hide(&mut after);
        assert_eq!(cookie::read(&after, is_https), None, "no target gets to see it");
        let others = |fields: &HeaderMap| fields.iter().filter(|(name, _)| **name != COOKIE).count();
        assert_eq!(others(&after), others(&before), "nothing else is taken out");
        cookie::keep_from_setting(&mut after);
        assert!(after.get_all(SET_COOKIE).iter().all(|field| !cookie::is_named(field.as_bytes())), "no target sets it");
    }
}

/// Header fields, one a line: how long the client would wait.
pub fn preference(octets: &[u8]) {
    let max = Duration::from_secs(300);
    let Some(wait) = prefer::wait(&fields(octets), max) else { return };
    assert!(!wait.is_zero() && wait <= max, "{wait:?}");
    let value = HeaderValue::try_from(format!("wait={}", wait.as_secs())).expect("it is ASCII");
    let again = HeaderMap::from_iter([(HeaderName::from_static("prefer"), value)]);
    assert_eq!(prefer::wait(&again, max), Some(wait));
}

/// The value of `Last-Event-ID`.
pub fn last_event(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(number) = events::event_number("Last-Event-ID", &text) {
        assert!(text.bytes().all(|octet| octet.is_ascii_digit()), "{text:?} is {number}");
        assert_eq!(events::event_number("Last-Event-ID", &number.to_string()), Ok(number));
    }
}

/// Header fields, one a line: whether the client has what there is.
pub fn entity_tag(octets: &[u8]) {
    let fields = fields(octets);
    let tag = "W/\"0fanfold0\"";
    let mentioned =
        |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("0fanfold0") || text.contains('*'));
    if entity::is_known(&fields, tag) {
        assert!(fields.get_all(IF_NONE_MATCH).iter().any(mentioned), "a tag is known that nobody named");
    }
}

/// The query of a list, and of a stream of events.
pub fn list_query(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(query) = Query::read(Some(&text), &operations::KNOWN) {
        if let Ok(limit) = query.limit() {
            assert!((1..=1000).contains(&limit), "{limit}");
        }
        let next = Query::read(Some(&query.with_token("o.next")), &operations::KNOWN);
        let next = next.expect("the link to the next page can be followed");
        assert_eq!(next.one("page_token"), Ok(Some("o.next")));
        for name in operations::KNOWN.into_iter().filter(|name| *name != "page_token") {
            assert!(query.all(name).eq(next.all(name)), "the next page has another `{name}`");
        }
    }
    if let Ok(query) = Query::read(Some(&text), &events::OF_ALL) {
        // What it asks for is a set of known words.
        let _ = events::wanted(&query);
    }
    if let Some(span) = query::span(&text) {
        assert!(text.starts_with(|sign: char| sign.is_ascii_digit()), "{text:?} is {span:?}");
    }
}

/// The body of a form.
pub fn form(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let Some(form) = Form::of(text) else { return };
    for (name, value) in form.filled() {
        assert!(!value.is_empty() && value.trim() == value, "{name:?}: {value:?}");
        if let Some(first) = form.one(name) {
            assert!(form.filled().any(|field| field == (name, first)), "{name:?} has a value that it was not given");
        }
    }
}

/// The token of a page of one of our own lists.
pub fn page_token(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Ok(Some(token)) = page::key(Some(&text), Some) {
        let printed = token.text();
        assert_eq!(page::key(Some(&printed), Some), Ok(Some(token)), "{printed:?}");
    }
}

/// Header fields, one a line, of a request that changes something: whether it may come from where it says.
pub fn origin(octets: &[u8]) {
    let mut request = Request::builder().method(Method::POST).uri("/x");
    if let Some(headers) = request.headers_mut() {
        *headers = fields(octets);
    }
    let Ok(request) = request.body(()) else { return };
    let head = request.into_parts().0;
    let public = Origin::of("https://fanfold.example").expect("it is one");
    let address = SocketAddr::from(([192, 0, 2, 1], 5_000));
    let is_let_in = |is_encrypted| {
        let peer = Peer { address, is_encrypted, certificate: None };
        origin::check(&head, &peer, Some(&public)).is_ok()
    };
    if !is_let_in(false) {
        assert!(!is_let_in(true), "TLS lets nobody in who is not let in without");
        return;
    }
    assert_eq!(head.headers.get_all(HOST).iter().count(), 1, "it is for one host");
    let ours = |text: &str| {
        let authority: Authority = text.parse().expect("what was let in is a host with a port");
        let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_loopback = address.is_ok_and(|address| address.to_canonical().is_loopback());
        is_loopback || host == "localhost" || host.ends_with(".localhost") || host == "fanfold.example"
    };
    let text = |value: &HeaderValue| value.to_str().expect("what was let in is text").to_owned();
    assert!(ours(&text(&head.headers[HOST])), "a foreign host is let in");
    for origin in head.headers.get_all("origin") {
        let origin = text(origin);
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        assert!(authority.is_some_and(ours), "a page of {origin:?} is let in");
    }
}

/// Header fields, one a line, as the record keeps them.
pub fn header_fields(octets: &[u8]) {
    let map = fields(octets);
    if let Ok(kept) = head::fields(&map) {
        assert_eq!(kept.len(), map.len());
        for (name, value) in &kept {
            assert!(map.get_all(name).iter().any(|field| field.as_bytes() == value.as_bytes()), "{name} was changed");
        }
    }
}

/// One field a line, `name: value`. What no field can be is left out, as whoever parses heads does.
fn fields(octets: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in octets.split(|octet| *octet == b'\n') {
        let Some(colon) = line.iter().position(|octet| *octet == b':') else { continue };
        let name = HeaderName::from_bytes(line[..colon].trim_ascii());
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    fields
}
