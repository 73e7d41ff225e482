use bytes::Bytes;

use super::*;
use crate::route::scope::Answered;

/// A scope whose `response.json` is this JSON.
fn scope(json: &str) -> Scope {
    let body = Bytes::from(json.to_owned());
    Scope::default().with_response(&Answered { status: 200, headers: &vec![], body: &body, complete: true })
}

fn render(mode: Mode, source: &str, json: &str) -> Result<String, TemplateError> {
    Template::compile(mode, source)?.render(&scope(json))
}

#[test]
fn a_value_in_a_path_is_one_segment() {
    let source = "/v1/{{ response.json.a }}/x-{{ response.json.b }}";
    assert_eq!(render(Mode::Path, source, r#"{"a":"a/b?c#d","b":7}"#).unwrap(), "/v1/a%2Fb%3Fc%23d/x-7");
    assert_eq!(render(Mode::Path, source, r#"{"a":true,"b":""}"#).unwrap(), "/v1/true/x-");
    assert_eq!(render(Mode::Path, "/v1/%7Bx%7D/", "{}").unwrap(), "/v1/%7Bx%7D/");
}

#[test]
fn a_path_cannot_be_left() {
    for (source, json) in [
        ("/v1/{{ response.json }}", "\"\""),
        ("/v1/{{ response.json }}/x", "\"\""),
        ("/v1/{{ response.json }}{{ response.json }}", "\"\""),
        ("/v1/{{ response.json }}", "\".\""),
        ("/v1/{{ response.json }}/x", "\"..\""),
        ("/v1/.{{ response.json }}", "\".\""),
        ("/v1/{{ response.json }}", "\"a/../../b\""),
        ("/v1/{{ response.json }}", "\"\\u0000\""),
        ("/v1/{{ response.json }}", "null"),
        ("/v1/{{ response.json }}", "[1]"),
        ("/v1/{{ response.json }}", "{}"),
        ("{{ response.json }}/x", "\"/evil\""),
        ("/{{ response.json | segments }}", "\"/evil.example/x\""),
        ("/a/{{ response.json | segments }}", "\"b/../../c\""),
        ("/a/{{ response.json | segments }}", "\"b//c\""),
        ("{% if response.status == 200 %}//evil.example{% endif %}/x", "{}"),
        ("{% if response.status == 200 %}http://evil.example{% endif %}/x", "{}"),
        ("/a{% if response.status == 200 %}#{% endif %}", "{}"),
        ("/a{% if response.status == 200 %} b{% endif %}", "{}"),
    ] {
        let error = render(Mode::Path, source, json).unwrap_err();
        assert!(
            matches!(error, TemplateError::Unfit { .. } | TemplateError::Render { .. }),
            "{source} {json}: {error}"
        );
    }
}

#[test]
fn segments_keep_their_slashes() {
    let source = "/a/{{ response.json | segments }}?deep={{ response.json }}&none={{ '' }}";
    assert_eq!(render(Mode::Path, source, "\"b/c d\"").unwrap(), "/a/b/c%20d?deep=b%2Fc%20d&none=");
}

#[test]
fn values_cannot_add_parameters_or_header_lines() {
    assert_eq!(render(Mode::Query, "a={{ response.json }}", "\"1&b=2 +\"").unwrap(), "a=1%26b%3D2%20%2B");
    assert_eq!(render(Mode::Header, "Bearer {{ response.json }}", "\"t ü\"").unwrap(), "Bearer t ü");
    for json in ["\"a\\r\\nx: y\"", "\"a\\nb\"", "\"\\u0000\""] {
        assert!(
            matches!(render(Mode::Header, "{{ response.json }}", json), Err(TemplateError::Unfit { .. })),
            "{json}"
        );
    }
}

#[test]
fn values_in_a_json_text_are_json() {
    let source = r#"{"all": {{ response.json }}, "s": {{ response.json.s }}, "n": {{ none }}}"#;
    assert_eq!(
        render(Mode::Json, source, r#"{"s":"a\"b</","l":[1,2.5,true]}"#).unwrap(),
        r#"{"all": {"l":[1,2.5,true],"s":"a\"b</"}, "s": "a\"b</", "n": null}"#
    );
    assert_eq!(render(Mode::Json, "{{ response.json | tojson }}", "[\"a\"]").unwrap(), "[\"a\"]");
    let block = "{% set x %}{\"a\":{{ response.json }}}{% endset %}[{{ x }}]";
    assert_eq!(render(Mode::Json, block, "\"q\"").unwrap(), "[{\"a\":\"q\"}]");
    assert!(matches!(render(Mode::Json, "\"{{ response.json }}\"", "\"a\""), Err(TemplateError::Unfit { .. })));
}

#[test]
fn plain_text_takes_single_values_and_json() {
    assert_eq!(render(Mode::Text, "{{ response.json }}", "[1,\"a\"]").unwrap(), "[1,\"a\"]");
    assert_eq!(render(Mode::Text, "a {{ response.json }} {{ 1.5 }}", "false").unwrap(), "a false 1.5");
    assert!(render(Mode::Text, "{{ response.json }}", "null").is_err());
}

#[test]
fn undefined_values_are_errors_that_name_them() {
    let error = render(Mode::Text, "x{{ response.json.nope }}", "{}").unwrap_err();
    assert!(error.to_string().contains("response.json.nope"), "{error}");
    let error = render(Mode::Text, "x{{ nope.a }}", "{}").unwrap_err();
    assert!(error.to_string().contains("`nope` is undefined"), "{error}");
    for mode in [Mode::Path, Mode::Query, Mode::Header, Mode::Json] {
        assert!(matches!(render(mode, "/{{ nope }}", "{}"), Err(TemplateError::Render { .. })), "{mode:?}");
    }
}

#[test]
fn endless_and_huge_templates_end() {
    let endless = "{% for a in range(1000) %}{% for b in range(1000) %}{% set x = a %}{% endfor %}{% endfor %}";
    assert_eq!(render(Mode::Text, endless, "{}"), Err(TemplateError::TooMuch));
    assert_eq!(render(Mode::Text, "{{ 'x' * 5000000 }}", "{}"), Err(TemplateError::TooMuch));
    let expression = Expression::compile("range(100000) | map('string') | join | length").unwrap();
    assert!(expression.evaluate(&scope("{}")).is_ok());
}

#[test]
fn nothing_is_loaded_and_nothing_passes_as_safe() {
    for source in ["{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}"] {
        assert!(Template::compile(Mode::Text, source).is_err(), "{source}");
    }
    for source in ["{{ 'a/b' | safe }}", "{{ 'a/b' | urlencode }}"] {
        assert!(render(Mode::Path, source, "{}").is_err(), "{source}");
    }
    let unescaped = "/{% autoescape false %}{{ 'a/b' }}{% endautoescape %}";
    assert_eq!(render(Mode::Path, unescaped, "{}").unwrap(), "/a%2Fb");
}

#[test]
fn mistakes_are_found_when_compiling() {
    let error = Template::compile(Mode::Text, "a\n{{ b").unwrap_err();
    assert!(matches!(error, TemplateError::Syntax { line: 2, .. }), "{error:?}");
    assert!(Expression::compile("a ==").is_err());
    assert!(Expression::compile("a }} {{ b").is_err());
    for literal in ["v1/x", "//host/x", "/a/../b", "/a#b", "http://host/"] {
        assert!(matches!(Template::compile(Mode::Path, literal), Err(TemplateError::Unfit { .. })), "{literal}");
    }
}

#[test]
fn names_that_are_looked_up_are_known() {
    let template = Template::compile(Mode::Text, "{% set a = path.x %}{{ a }}{{ request.json.b }}").unwrap();
    assert_eq!(template.names(), ["path.x", "request.json.b"]);
    assert_eq!(Expression::compile("response.status == 200 and q").unwrap().names(), ["q", "response.status"]);
}

#[test]
fn conditions_are_true_false_or_errors() {
    let holds = |source: &str| Expression::compile(source).unwrap().holds(&scope("{\"ok\":false,\"n\":1}"));
    assert_eq!(holds("response.json.n == 1"), Ok(true));
    assert_eq!(holds("response.json.ok"), Ok(false));
    assert!(holds("response.json.nope").is_err());
    assert!(holds("response.json.nope.deeper == 1").is_err());
    assert_eq!(holds("response.json.nope is defined"), Ok(false));
}

#[test]
fn compiled_forms_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Template>();
    shared::<Expression>();
    shared::<Scope>();
}

proptest::proptest! {
    /// Goal: no value whatever gets out of its segment. Method: what was rendered is taken apart as a server does.
    #[test]
    fn any_value_stays_in_its_segment(value in ".*", prefix in "[a-z.]{0,2}") {
        let source = format!("/v1/{prefix}{{{{ response.json }}}}/end");
        let json = serde_json::to_string(&value).unwrap();
        if let Ok(path) = render(Mode::Path, &source, &json) {
            let segments: Vec<&str> = path::segments(&path).collect();
            proptest::prop_assert_eq!(segments.len(), 3);
            proptest::prop_assert_eq!((segments[0], segments[2]), ("v1", "end"));
            proptest::prop_assert_eq!(path::decode(segments[1]).unwrap(), format!("{prefix}{value}"));
            proptest::prop_assert!(!path.contains(['?', '#']) && path::check(&path).is_ok());
        }
    }
}
