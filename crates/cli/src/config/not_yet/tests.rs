//! Every line of the list, tried on a file that sets it.

use super::*;
use crate::config::document::Document;

/// A file that sets everything that is not performed, each in a line of its own, in the order of the list.
const ALL: &str = r#"
[server]
tls = { certificate = "a", key = "b" }
"#;

fn refused(text: &str) -> Vec<String> {
    let document = Document::parse(text.to_owned()).ok().unwrap();
    let mut findings = Findings::new("f.toml", &document);
    refuse(&mut findings);
    let mistakes = findings.into_result().err().unwrap_or_default();
    mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn everything_on_the_list_is_refused_with_its_line() {
    let refused = refused(ALL);
    assert_eq!(refused.len(), NOT_YET.len(), "{refused:#?}");
    assert!(refused[0].starts_with("f.toml:3:1: this version does not perform tls yet; "), "{}", refused[0]);
}

#[test]
fn other_values_of_the_same_keys_are_not() {
    let other = "[store]\nurl = \"sqlite:postgres\"\n[targets.a]\nmonitor = \"msf\"\n[[routes]]\non_unknown = \"hold\"\n\
                 on_failure = \"hold\"\non_locked = \"reject\"\nlock = \"x\"\n";
    assert_eq!(refused(other), Vec::<String>::new());
}
