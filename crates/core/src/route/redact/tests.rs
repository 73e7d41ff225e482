use std::sync::Arc;

use super::*;
use crate::plan::{Policy, StepPlan};

fn request(uri: &str, headers: &[(&str, &str)], body: &str) -> Request {
    Request {
        method: http::Method::POST,
        uri: uri.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: Body::inline(body.to_owned()),
        sealed: false,
    }
}

/// The public body under the standard redaction; `None` if it is the original.
fn body(headers: &[(&str, &str)], body: &str) -> Option<String> {
    let public = Redaction::standard().request(&request("/x", headers, body))?;
    assert!(public.sealed);
    match public.body.0 {
        Content::Inline(octets) => Some(String::from_utf8(octets.to_vec()).unwrap()),
        other @ (Content::Empty | Content::Apart { .. } | Content::Same(_)) => panic!("{other:?}"),
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[test]
fn a_message_without_secrets_is_its_own_public_form() {
    let plain = request("/a?x=1&y", &[JSON, ("accept", "*/*")], "{\"a\": [1, 2.50]}");
    assert_eq!(Redaction::standard().request(&plain), None);
    let secret = request("/a?token=1", &[("authorization", "x")], "{\"password\":1}");
    assert_eq!(Redaction::default().request(&secret), None);
}

#[test]
fn uris_headers_and_json_bodies_lose_their_secrets() {
    let secret = request(
        "/token/a?x=1&Access_Token=a%20b&y&secret=",
        &[JSON, ("authorization", "Bearer t"), ("x-auth-token", "t"), ("x-ok", "1")],
        "{\"n\":1,\"password\":\"p\"}",
    );
    let public = Redaction::standard().request(&secret).unwrap();
    assert_eq!(public.uri, "/token/a?x=1&Access_Token=%5Bredacted%5D&y&secret=");
    let values: Vec<&str> = public.headers.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["application/json", "[redacted]", "[redacted]", "1"]);
    assert_eq!(public.body, Body::inline("{\"n\":1,\"password\":\"[redacted]\"}"));
}

#[test]
fn forms_lose_the_values_of_keys() {
    let text = "user=u&pass%77ord=p%26q&note=a+b";
    assert_eq!(body(&[FORM], text).as_deref(), Some("user=u&pass%77ord=%5Bredacted%5D&note=a+b"));
    assert_eq!(body(&[FORM], "user=password"), None);
}

#[test]
fn json_is_recognised_under_any_media_type() {
    for headers in [&[FORM][..], &[], &[("content-type", "text/plain")]] {
        assert_eq!(
            body(headers, " {\"password\":1}").as_deref(),
            Some(" {\"password\":\"[redacted]\"}"),
            "{headers:?}"
        );
    }
}

#[test]
fn what_is_not_understood_goes_as_a_whole_if_it_mentions_a_key() {
    assert_eq!(body(&[JSON], "{\"Password\":\"x\"").as_deref(), Some(REDACTED));
    assert_eq!(body(&[JSON], "{\"pass\\u0077ord\":\"x\"").as_deref(), Some(REDACTED));
    assert_eq!(body(&[JSON], "{\"user\":\"x\""), None);
    assert_eq!(body(&[("content-type", "application/xml")], "<password>x</password>").as_deref(), Some(REDACTED));
    assert_eq!(body(&[("content-type", "application/xml")], "<user>x</user>"), None);
    assert_eq!(body(&[JSON, ("content-encoding", "gzip")], "?").as_deref(), Some(REDACTED));
    assert_eq!(body(&[JSON, ("content-encoding", "identity")], "{}"), None);
    let twice = [("content-encoding", "identity"), ("content-encoding", "gzip")];
    assert_eq!(body(&twice, "?").as_deref(), Some(REDACTED));
    let octets = Request { body: Body::inline(&b"\xff\xfePassword=1"[..]), ..request("/", &[], "") };
    assert_eq!(Redaction::standard().request(&octets).unwrap().body, Body::inline(REDACTED));
}

#[test]
fn what_is_said_to_be_a_form_and_is_none_hides_no_key() {
    for text in [
        "<password>x</password>",
        "a=1&b=<password>x</password>",
        "\u{feff}{\"password\":\"x\"}",
        "x{\"password\":\"x\"}",
        "password: x",
        "a=1\npassword x",
    ] {
        assert_eq!(body(&[FORM], text).as_deref(), Some(REDACTED), "{text:?}");
    }
    assert_eq!(body(&[FORM], "<user>x</user>"), None);
}

#[test]
fn markup_within_a_text_hides_no_key() {
    for text in ["<password>x</password>", "a <My:Token type='b'>x", "<secret><![CDATA[x]]></secret>"] {
        let json = serde_json::json!({ "note": text }).to_string();
        assert_eq!(body(&[JSON], &json).as_deref(), Some("{\"note\":\"[redacted]\"}"), "{text}");
    }
    for text in ["<password></password>", "more tokens > 5", "</token>x", "token->x", "<user>x</user> token"] {
        assert_eq!(body(&[JSON], &serde_json::json!({ "note": text }).to_string()), None, "{text}");
    }
}

#[test]
fn a_body_in_utf_16_hides_no_key() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for octets in [wide("{\"password\":1}"), [b"\xff\xfe".to_vec(), wide("{\"password\":1}")].concat()] {
        let request = Request { body: Body::inline(octets), ..request("/", &[JSON], "") };
        assert_eq!(Redaction::standard().request(&request).unwrap().body, Body::inline(REDACTED));
    }
    let plain = Request { body: Body::inline(wide("{\"user\":1}")), ..request("/", &[JSON], "") };
    assert_eq!(Redaction::standard().request(&plain), None);
}

#[test]
fn answers_lose_their_secrets_too() {
    let answer = Answer {
        status: 201,
        headers: vec![("set-cookie".to_owned(), "a=b".to_owned())],
        body: Body::inline("{\"id\":5,\"token\":\"t\"}"),
        complete: true,
        sealed: false,
    };
    let public = Redaction::standard().answer(&answer).unwrap();
    assert_eq!(public.headers, [("set-cookie".to_owned(), REDACTED.to_owned())]);
    assert_eq!(public.body, Body::inline("{\"id\":5,\"token\":\"[redacted]\"}"));
    assert!(public.sealed && public.complete && public.status == 201);
    let plain = Answer { headers: Vec::new(), body: Body::inline("{\"id\":5}"), ..answer };
    assert_eq!(Redaction::standard().answer(&plain), None);
}

fn plan(accepted: Request, steps: Vec<Request>) -> Plan {
    let mut plan = Plan::clone(&Plan::absent());
    plan.policy = Arc::new(Policy { redaction: Redaction::standard(), ..Policy::clone(&plan.policy) });
    plan.request = accepted;
    let steps =
        steps.into_iter().map(|request| StepPlan { target: "t".into(), target_id: "1".into(), wave: 0, request });
    plan.steps = steps.collect();
    plan
}

#[test]
fn a_step_that_passes_a_sealed_body_on_is_sealed_with_it() {
    let same = Request { body: Body(Content::Same(Slot::Request)), ..request("/x", &[JSON], "") };
    let own = request("/x", &[JSON], "{\"a\":1}");
    let secret = request("/x?token=1", &[JSON], "{\"token\":1}");
    let original = plan(request("/x", &[JSON], "{\"password\":1}"), vec![same.clone(), own.clone(), secret.clone()]);
    let (public, originals) = seal(original.clone());
    assert_eq!(
        originals,
        [
            (Slot::Request, original.request.clone()),
            (Slot::StepRequest(StepIndex(0)), same.clone()),
            (Slot::StepRequest(StepIndex(2)), secret),
        ]
    );
    assert_eq!(public.request.body, Body::inline("{\"password\":\"[redacted]\"}"));
    assert_eq!(public.steps[0].request, Request { sealed: true, ..same });
    assert_eq!(public.steps[1].request, own);
    assert!(public.steps[2].request.sealed && public.request.sealed);
}

#[test]
fn a_step_is_not_sealed_for_what_it_does_not_pass_on() {
    let same = Request { body: Body(Content::Same(Slot::Request)), ..request("/x", &[JSON], "") };
    let accepted = request("/x", &[JSON, ("authorization", "Bearer t")], "{\"a\":1}");
    let (public, originals) = seal(plan(accepted.clone(), vec![same.clone()]));
    assert_eq!(originals, [(Slot::Request, accepted)]);
    assert_eq!(public.steps[0].request, same);
    let plain = plan(request("/x", &[JSON], "{}"), vec![same]);
    assert_eq!(seal(plain.clone()), (plain, Vec::new()));
}

#[test]
fn headers_lose_what_their_names_or_addresses_give_away() {
    let header = |name: &str, value: &str| {
        let public = Redaction::standard().request(&request("/", &[(name, value)], ""));
        public.map(|public| public.headers[0].1.clone())
    };
    for name in
        ["x-subject-token", "x-vault-token", "x-amz-security-token", "x-csrf-token", "x-client-secret", "apikey"]
    {
        assert_eq!(header(name, "hush").as_deref(), Some(REDACTED), "{name}");
    }
    assert_eq!(header("location", "/ops/1?a=1&token=hush").as_deref(), Some("/ops/1?a=1&token=%5Bredacted%5D"));
    assert_eq!(header("x-upstream", "Bearer hush").as_deref(), Some(REDACTED));
    assert_eq!(header("x-next", "https://me:hush@a.example/").as_deref(), Some(REDACTED));
    for (name, value) in [
        ("location", "/ops/1?a=1"),
        ("www-authenticate", "Bearer realm=\"x\", error=\"invalid_token\""),
        ("content-type", "application/json; charset=utf-8"),
        ("idempotency-key", "k"),
    ] {
        assert_eq!(header(name, value), None, "{name}");
    }
}

#[test]
fn bodies_without_a_name_of_a_secret_may_hold_a_credential() {
    let public = body(&[JSON], r#"{"upstream":"https://me:hush@a.example/","via":"Bearer hush"}"#).unwrap();
    assert_eq!(public, r#"{"upstream":"[redacted]","via":"[redacted]"}"#);
    assert_eq!(body(&[FORM], "a=https%3A%2F%2Fme%3Ahush%40a.example&b=1").unwrap(), "a=%5Bredacted%5D&b=1");
    assert_eq!(body(&[], "see https://me:hush@a.example/").unwrap(), REDACTED);
}

#[test]
fn a_reference_without_its_secrets_is_one_and_known_as_such() {
    let public = Redaction::standard().reference("/ops/1?t=1&sig_token=hush");
    assert_eq!(public, "/ops/1?t=1&sig_token=%5Bredacted%5D");
    assert_eq!(Redaction::standard().reference(&public), public);
    let shown = ("x-told", "http://a/?token=[redacted]&b=1");
    assert_eq!(Redaction::standard().request(&request(&public, &[shown], "")), None, "nothing is left to take out");
    assert!(Redaction::is_public_reference(&public) && !Redaction::is_public_reference("/ops/1?t=1"));
}
