//! `[telemetry]`.

use super::*;

#[cfg(feature = "otlp")]
fn token(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "s3cret".to_owned())
}

#[test]
fn nothing_is_sent_unless_a_collector_is_named() {
    assert!(good(BASE).0.telemetry.is_none());
    let (settings, warnings) = good(&format!("{BASE}[telemetry]\nshare = 0.5\n"));
    assert!(settings.telemetry.is_none());
    assert!(warnings[0].contains("no traces are sent without the address of a collector"), "{warnings:?}");
}

#[cfg(feature = "otlp")]
#[test]
fn a_collector_is_sent_what_is_configured_and_no_secret_is_shown() {
    let text = format!(
        "{BASE}[telemetry]\notlp = \"https://otlp.example/base/\"\nheaders = {{ authorization = \"Bearer ${{env:TOKEN}}\" }}\n"
    );
    let (settings, warnings) = load_with(&text, &token).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let telemetry = settings.telemetry.as_ref().unwrap();
    assert_eq!(telemetry.url, "https://otlp.example/base/v1/traces");
    assert_eq!((telemetry.service_name.as_str(), telemetry.share), ("fanfold", 1.0));
    assert_eq!(telemetry.headers[0].1, "Bearer s3cret");
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[cfg(feature = "otlp")]
#[test]
fn what_cannot_be_sent_is_a_mistake() {
    let to = "otlp = \"http://127.0.0.1:4318\"\n";
    for (text, expected) in [
        ("otlp = \"grpc://127.0.0.1:4317\"\n".to_owned(), "web address"),
        (format!("{to}share = 1.5\n"), "share"),
        (format!("{to}share = \"all\"\n"), "expected a number, found text"),
        (format!("{to}service_name = \"{}\"\n", "x".repeat(256)), "at most 255 bytes"),
        (format!("{to}authorities = \"none.pem\"\n"), "none.pem"),
        (format!("{to}headers = {{ authorization = \"Bearer ${{env:NONE}}\" }}\n"), "NONE"),
        (format!("{to}headers = {{ host = \"a\" }}\n"), "belongs to the connection"),
    ] {
        let found = only(&format!("[telemetry]\n{text}"));
        assert!(found.contains(expected), "{found}");
    }
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_program_without_it_says_so() {
    let found = only("[telemetry]\notlp = \"http://127.0.0.1:4318\"\n");
    assert!(found.contains("without the feature"), "{found}");
}
