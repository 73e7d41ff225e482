//! Requests as commands that can be pasted into a shell.

use fanfold_core::dialect::native::{Content, RequestForm};

/// How curl is told of the file of a body.
const FROM_FILE: &str = "--data-binary @BODY";

/// Fields that curl makes itself.
const OWN: [&str; 2] = ["content-length", "host"];

/// The longest body that stands in a command, in octets; longer than that no shell takes it well.
const BODY_MAX: usize = 16 * 1024;

/// The command that sends this request as it is; `base` stands before its address: where its target is. What was redacted is
/// redacted here as well. A long body is to be in a file BODY.
pub(super) fn command(base: &str, request: &RequestForm) -> String {
    let address = format!("{base}{}", request.uri);
    let mut parts = vec![format!("curl -gi --path-as-is -X {}", word(&request.method)), word(&address)];
    for (name, value) in request.headers.iter().filter(|(name, _)| !OWN.contains(&name.to_ascii_lowercase().as_str())) {
        parts.push(format!("-H {}", word(&format!("{name}: {value}"))));
    }
    match &request.body {
        None => {}
        Some(Content::Text(text)) if text.len() > BODY_MAX => parts.push(FROM_FILE.to_owned()),
        Some(Content::Octets { base64 }) if base64.len() > BODY_MAX => parts.push(FROM_FILE.to_owned()),
        Some(Content::Text(text)) => parts.push(format!("--data-raw {}", word(text))),
        Some(Content::Octets { base64 }) => {
            let first = format!("printf %s {} | base64 -d |", word(base64));
            parts[0] = format!("{first} {}", parts[0]);
            parts.push("--data-binary @-".to_owned());
        }
        Some(Content::Apart { .. }) => parts.push(FROM_FILE.to_owned()),
    }
    parts.join(" \\\n  ")
}

/// A word that a shell takes as it is.
fn word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:@%+,=".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: Option<Content>) -> RequestForm {
        let headers = [("content-type", "application/json"), ("host", "x")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        RequestForm { method: "POST".to_owned(), uri: "/a?b=c&d".to_owned(), headers: headers.into(), body }
    }

    #[test]
    fn a_shell_takes_every_word_as_it_is() {
        let text = command("http://10.0.0.1:80", &request(Some(Content::Text("{\"it\":\"isn't $x\"}".to_owned()))));
        assert_eq!(
            text,
            "curl -gi --path-as-is -X POST \\\n  'http://10.0.0.1:80/a?b=c&d' \\\n  -H 'content-type: application/json' \\\n  \
             --data-raw '{\"it\":\"isn'\\''t $x\"}'"
        );
    }

    #[test]
    fn octets_come_from_base64() {
        let text = command("http://10.0.0.1", &request(Some(Content::Octets { base64: "AP8=".to_owned() })));
        assert!(text.starts_with("printf %s AP8= | base64 -d | curl"), "{text}");
        assert!(text.ends_with("--data-binary @-"), "{text}");
    }
}
