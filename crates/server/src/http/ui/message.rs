//! A request or an answer as pages show it: its first line, its fields, and its body, set out and cut to a bearable length.

use fanfold_core::dialect::native::{AnswerForm, Content, RequestForm};

use super::{curl, words};

/// Octets of a body that a page shows.
const BODY_MAX: usize = 64 * 1024;

/// How deep lines are indented: what is nested deeper stands under what is around it.
const DEPTH_MAX: usize = 32;

/// A request or an answer.
#[derive(Default)]
pub(super) struct Message {
    /// Its first line.
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    /// What is to be known about the body.
    pub(super) remark: Option<String>,
    /// The command that sends it.
    pub(super) curl: Option<String>,
}

impl Message {
    pub(super) fn of_request(request: &RequestForm, base: Option<&str>) -> Self {
        let (body, remark) = body(request.body.as_ref());
        Self {
            line: format!("{} {}{}", request.method, base.unwrap_or_default(), request.uri),
            headers: request.headers.clone(),
            body,
            remark,
            curl: base.map(|base| curl::command(base, request)),
        }
    }

    pub(super) fn of_answer(answer: &AnswerForm) -> Self {
        let (body, remark) = body(answer.body.as_ref());
        let broke_off = (!answer.complete).then(|| "The body is not complete.".to_owned());
        let status = http::StatusCode::from_u16(answer.status).ok();
        let reason = status.and_then(|status| status.canonical_reason()).unwrap_or_default();
        Self {
            line: format!("{} {reason}", answer.status).trim_end().to_owned(),
            headers: answer.headers.clone(),
            body,
            remark: remark.or(broke_off),
            curl: None,
        }
    }
}

/// The body, set out where it is JSON, and what is to be known about it.
fn body(content: Option<&Content>) -> (Option<String>, Option<String>) {
    match content {
        None => (None, None),
        Some(Content::Text(text)) => {
            let is_json = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
            let set_out =
                if is_json { indent(text, BODY_MAX) } else { text[..text.floor_char_boundary(BODY_MAX)].to_owned() };
            let is_whole = if is_json { set_out.len() < BODY_MAX } else { set_out.len() == text.len() };
            let remark = (!is_whole)
                .then(|| format!("Its beginning; the native API has all of it, {}.", words::bytes(text.len() as u64)));
            (Some(set_out), remark)
        }
        Some(Content::Octets { base64 }) => {
            (None, Some(format!("It is no text: {} of base64, in the native API.", words::bytes(base64.len() as u64))))
        }
        Some(Content::Apart { bytes }) => {
            (None, Some(format!("{}; only the latest one is kept whole.", words::bytes(*bytes))))
        }
    }
}

/// Up to `bytes_max` of JSON with a member to a line: only the white space between its tokens is another, so that numbers and
/// doubled members are as they were.
fn indent(json: &str, bytes_max: usize) -> String {
    let mut text = String::with_capacity(bytes_max.min(json.len() * 2));
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut letters = json.chars().peekable();
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth.min(DEPTH_MAX)));
    };
    while let Some(letter) = letters.next() {
        if text.len() >= bytes_max {
            text.truncate(text.floor_char_boundary(bytes_max));
            return text;
        }
        if in_string {
            text.push(letter);
            in_string = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        match letter {
            _ if letter.is_ascii_whitespace() => {}
            '"' => {
                in_string = true;
                text.push(letter);
            }
            '{' | '[' => {
                text.push(letter);
                while letters.next_if(char::is_ascii_whitespace).is_some() {}
                if letters.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    text.extend(letters.next());
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(letter);
            }
            ',' => {
                text.push(letter);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_set_out_without_being_changed() {
        let text = indent(r#"{"a":[1.0e2, {"b\"}":"x , y"}],"a": {},"c":[ ]}"#, BODY_MAX);
        assert_eq!(
            text,
            "{\n  \"a\": [\n    1.0e2,\n    {\n      \"b\\\"}\": \"x , y\"\n    }\n  ],\n  \"a\": {},\n  \"c\": []\n}"
        );
    }

    #[test]
    fn long_bodies_are_cut_and_say_so() {
        let (shown, remark) = body(Some(&Content::Text("é".repeat(BODY_MAX))));
        assert_eq!(shown.unwrap().len(), BODY_MAX);
        assert!(remark.unwrap().contains("all of it, 128.0 KiB"));
        let deep = "[".repeat(60_000) + &"]".repeat(60_000);
        let (shown, remark) = body(Some(&Content::Text(deep)));
        assert!(shown.unwrap().len() <= BODY_MAX && remark.is_some());
        let small = "{\"a\": [1, 2]}".to_owned();
        assert_eq!(body(Some(&Content::Text(small))), (Some("{\n  \"a\": [\n    1,\n    2\n  ]\n}".to_owned()), None));
        assert!(body(Some(&Content::Octets { base64: "AA==".to_owned() })).1.unwrap().contains("no text"));
    }
}
