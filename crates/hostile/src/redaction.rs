//! Public forms: what was planted under a name that tells is in none of them.

use fanfold_core::plan::Redaction;
use fanfold_core::{Answer, Body, Content, Headers, Request};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};

use crate::input::Message;

/// What nobody else writes.
const SECRET: &str = "planted-secret";

/// Media types that bodies are said to have.
const TYPES: [&str; 4] = ["application/json", "application/x-www-form-urlencoded", "text/plain", "application/xml"];

/// Beside JSON of any form, around raw text, and in queries.
pub(crate) fn redaction(octets: &[u8]) {
    if octets.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()) {
        return;
    }
    if let Ok(json) = serde_json::from_slice::<Json>(octets)
        && !json.to_string().contains(SECRET)
    {
        beside(&json);
    }
    let Some(message) = Message::read(octets) else { return };
    stable(&message.headers, message.first, &message.body);
    around(message.first, &message.body);
}

fn beside(json: &Json) {
    let member = json!({ "a": json, "my_Password": SECRET });
    let nested = json!([json, { "token": { "deep": [json, SECRET] } }]);
    let in_text = json!({ "note": member.to_string(), "more": json });
    let header = json!({ "request": { "headers": { "x": json, "authorization": format!("Bearer {SECRET}") } } });
    for (what, planted) in [("member", member), ("nested", nested), ("text", in_text), ("header", header)] {
        for kind in TYPES {
            hidden(what, "/x", &[("content-type", kind)], planted.to_string().as_bytes());
        }
    }
}

fn around(first: &str, rest: &[u8]) {
    let rest = String::from_utf8_lossy(rest);
    let body = format!("{first}\"password\":\"{SECRET}\"{rest}");
    let words = format!("{first}<password>{SECRET}</password>{rest}");
    // A secret that is the name of something is none that a name could tell.
    let is_named = |text: &str| serde_json::from_str(text).is_ok_and(|json| names(&json));
    if is_named(&body) || is_named(&words) {
        return;
    }
    for kind in TYPES {
        hidden("raw JSON", "/x", &[("content-type", kind)], body.as_bytes());
        hidden("XML", "/x", &[("content-type", kind)], words.as_bytes());
    }
    let encoded = utf8_percent_encode(first, NON_ALPHANUMERIC).to_string();
    let form = format!("{encoded}=1&api_key={SECRET}&x={encoded}");
    hidden("form", "/x", &[("content-type", TYPES[1])], form.as_bytes());
    hidden("query", &format!("/x?{form}"), &[], b"");
    hidden("callback", "/x", &[("x-callback", &format!("https://a.example/?{form}"))], b"");
    hidden("credential", "/x", &[("x-any", &format!("https://me:{SECRET}@a.example/{encoded}"))], b"");
}

/// Whether the secret stands in the name of a member, at whatever depth, in JSON within texts too.
fn names(json: &Json) -> bool {
    match json {
        Json::Object(members) => members.iter().any(|(name, value)| name.contains(SECRET) || names(value)),
        Json::Array(elements) => elements.iter().any(names),
        Json::String(text) if text.contains(['{', '[']) => serde_json::from_str(text).is_ok_and(|json| names(&json)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}

fn hidden(what: &str, uri: &str, headers: &[(&str, &str)], body: &[u8]) {
    let headers: Headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let redaction = Redaction::standard();
    let request = request(uri, &headers, body);
    let public = redaction.request(&request).unwrap_or(request);
    assert!(!shown(&public.uri, &public.headers, &public.body).contains(SECRET), "{what}: {public:?}");
    let answer = Answer { status: 200, headers, body: Body::inline(body.to_vec()), complete: true, sealed: false };
    if uri == "/x" {
        let public = redaction.answer(&answer).unwrap_or(answer);
        assert!(!shown("", &public.headers, &public.body).contains(SECRET), "{what}: {public:?}");
    }
}

/// What is public is public: there is nothing more to take out of it.
fn stable(headers: &Headers, uri: &str, body: &[u8]) {
    let redaction = Redaction::standard();
    let Some(public) = redaction.request(&request(uri, headers, body)) else { return };
    if let Some(again) = redaction.request(&public) {
        assert_eq!(again, public, "something was left");
    }
}

fn request(uri: &str, headers: &Headers, body: &[u8]) -> Request {
    let (uri, headers, body) = (uri.to_owned(), headers.clone(), Body::inline(body.to_vec()));
    Request { method: Method::POST, uri, headers, body, sealed: false }
}

fn shown(uri: &str, headers: &Headers, body: &Body) -> String {
    let octets = match &body.0 {
        Content::Inline(octets) => octets.as_ref(),
        Content::Empty | Content::Apart { .. } | Content::Same(_) => &[],
    };
    format!("{uri} {headers:?} {}", String::from_utf8_lossy(octets))
}
