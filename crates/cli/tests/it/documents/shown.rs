//! Compares what a document shows with what came, loosely: ids, times and other texts with digits differ from run to run, and
//! `…` stands for something that the document leaves out.
//!
//! Of HTTP, the status and the fields that are shown have to be there; of JSON, the members that are shown, with their kind and
//! text; of anything else, each line that is shown, wherever it stands. Texts and lines are compared word by word.

use serde_json::Value;

/// What stands for something left out.
const ELLIPSIS: char = '…';

/// Members that do not differ from run to run although they have digits.
const FIXED: [&str; 5] = ["status", "status_code", "code", "error_code", "cluster_id"];

/// How many of the first signs of an id there are at least, and how many tell it from others.
const ID_LENGTH_MIN: usize = 9;
const ID_LENGTH_TOLD: usize = 13;

/// The ids that a document shows, with those that came in their place; the latest last.
#[derive(Debug, Default)]
pub(crate) struct Ids(Vec<(String, String)>);

impl Ids {
    fn learn(&mut self, shown: &str, came: &str) {
        for (shown, came) in ids(shown).zip(ids(came)) {
            let shown = shown.trim_end_matches(ELLIPSIS);
            if shown.len() >= ID_LENGTH_TOLD {
                self.0.push((shown.to_owned(), came.to_owned()));
            }
        }
    }

    /// A command with the ids that are valid here. What is cut short is what was spoken of last.
    pub(crate) fn put_in(&mut self, command: &str) -> String {
        let mut text = command.to_owned();
        for word in ids(command) {
            let plain = word.trim_end_matches(ELLIPSIS);
            let found =
                self.0.iter().rev().find(|(shown, _)| shown.starts_with(plain) || plain.starts_with(shown.as_str()));
            if let Some(spoken_of) = found.cloned() {
                text = text.replace(word, &spoken_of.1);
                self.0.push(spoken_of);
            }
        }
        text
    }
}

/// What looks like the id of an operation, whole or cut short.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|sign: char| !(sign.is_ascii_hexdigit() || sign == '-' || sign == ELLIPSIS));
    words.filter(|word| {
        let begins = word.split('-').next().is_some_and(|first| first.len() == 8);
        begins && word.len() >= ID_LENGTH_MIN && word.starts_with("01") && !word.starts_with('-')
    })
}

/// What differs, in words; learns what ids are called.
pub(crate) fn difference(shown: &str, came: &str, ids: &mut Ids) -> Option<String> {
    let shown = shown.trim_end();
    let (head, body) = match shown.starts_with("HTTP/") {
        true => shown.split_once("\n\n").unwrap_or((shown, "")),
        false => ("", shown),
    };
    let came = came.replace("\r\n", "\n");
    let (came_head, came_body) = match came.starts_with("HTTP/") {
        true => came.split_once("\n\n").unwrap_or((&came, "")),
        false => ("", came.as_str()),
    };
    head_difference(head, came_head, ids).or_else(|| match body.trim_start().starts_with(['{', '[']) {
        true => json_difference(body, came_body, ids),
        false => lines_difference(body, came_body, ids),
    })
}

fn head_difference(shown: &str, came: &str, ids: &mut Ids) -> Option<String> {
    for (number, line) in shown.lines().enumerate() {
        let (name, value) = line.split_once(if number == 0 { ' ' } else { ':' }).unwrap_or((line, ""));
        if number == 0 {
            let status = came.lines().next().and_then(|first| first.split(' ').nth(1));
            if status != value.split(' ').next() {
                return Some(format!("the status is {status:?} instead of {value:?}"));
            }
            continue;
        }
        let mut fields = came.lines().filter_map(|field| field.split_once(':'));
        let Some((_, field)) = fields.find(|(other, _)| other.eq_ignore_ascii_case(name)) else {
            return Some(format!("there is no field {name:?}"));
        };
        ids.learn(value, field);
        if !is_like(value.trim(), field.trim()) {
            return Some(format!("the field {name:?} is {field:?}"));
        }
    }
    None
}

/// Whether texts are the same word by word, as far as they do not differ from run to run.
fn is_like(shown: &str, came: &str) -> bool {
    let mut came = came.split_whitespace();
    let mut words = shown.split_whitespace().peekable();
    while let Some(word) = words.next() {
        // How it goes on is left out.
        if words.peek().is_none() && word.chars().eq([ELLIPSIS]) {
            return true;
        }
        if !came.next().is_some_and(|other| is_like_word(word, other)) {
            return false;
        }
    }
    came.next().is_none()
}

fn is_like_word(shown: &str, came: &str) -> bool {
    let has_digit = |word: &str| word.chars().any(|sign| sign.is_ascii_digit());
    let begin = shown.split(ELLIPSIS).next().unwrap_or_default();
    match has_digit(begin) {
        true => has_digit(came),
        false if begin.len() < shown.len() => came.starts_with(begin),
        false => shown == came,
    }
}

fn json_difference(shown: &str, came: &str, ids: &mut Ids) -> Option<String> {
    let shown: Value = match serde_json::from_str(&without_ellipses(shown)) {
        Ok(shown) => shown,
        Err(error) => return Some(format!("what is shown is no JSON: {error}")),
    };
    match serde_json::from_str(came) {
        Ok(came) => value_difference(&shown, &came, "", ids),
        Err(error) => Some(format!("it is no JSON: {error}")),
    }
}

/// JSON in which the members and elements that are left out are just not there.
pub(crate) fn without_ellipses(text: &str) -> String {
    let mut kept = String::new();
    let (mut is_text, mut is_escaped) = (false, false);
    for sign in text.chars() {
        if is_text {
            is_text = sign != '"' || is_escaped;
            is_escaped = sign == '\\' && !is_escaped;
        } else if sign == ELLIPSIS {
            continue;
        } else if matches!(sign, ',' | '}' | ']') {
            let before = kept.trim_end();
            // Between two commas, or before an end, something was left out.
            match (sign, before.chars().next_back()) {
                (',', Some(',' | '{' | '[')) => continue,
                ('}' | ']', Some(',')) => kept.truncate(before.len() - 1),
                _ => {}
            }
        } else {
            is_text = sign == '"';
        }
        kept.push(sign);
    }
    kept
}

fn value_difference(shown: &Value, came: &Value, path: &str, ids: &mut Ids) -> Option<String> {
    match (shown, came) {
        (Value::Object(shown), Value::Object(came)) => shown.iter().find_map(|(name, shown)| {
            let path = format!("{path}/{name}");
            match came.get(name) {
                Some(came) => value_difference(shown, came, &path, ids),
                None => Some(format!("{path} is not there")),
            }
        }),
        (Value::Array(shown), Value::Array(came)) if shown.len() <= came.len() => {
            // What goes on at several targets at once comes in any order.
            let is_elsewhere =
                |shown| came.iter().any(|came| value_difference(shown, came, "", &mut Ids::default()).is_none());
            shown.iter().zip(came).enumerate().find_map(|(at, (shown, came))| {
                value_difference(shown, came, &format!("{path}/{at}"), ids).filter(|_| !is_elsewhere(shown))
            })
        }
        (Value::String(shown), Value::String(came)) => {
            ids.learn(shown, came);
            let is_same = if is_fixed(path) { shown == came } else { is_like(shown, came) };
            (!is_same).then(|| format!("{path} is {came:?}"))
        }
        (Value::Number(shown), Value::Number(came)) => {
            (is_fixed(path) && shown != came).then(|| format!("{path} is {came}"))
        }
        (Value::Bool(_) | Value::Null, _) if shown == came => None,
        _ => Some(format!("{path} is {came}")),
    }
}

fn is_fixed(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| FIXED.contains(&name))
}

fn lines_difference(shown: &str, came: &str, ids: &mut Ids) -> Option<String> {
    for line in shown.lines().filter(|line| !["", "…"].contains(&line.trim())) {
        match came.lines().find(|other| is_like(line, other)) {
            Some(other) => ids.learn(line, other),
            None => return Some(format!("there is no line like {line:?}")),
        }
    }
    None
}

#[test]
fn what_is_left_out_does_not_count_and_what_is_shown_does() {
    let mut known = Ids::default();
    let came = r#"{"id":"01a20105-7a00-7000-8000-000000000001","status":500,"error_code":"060003","detail":"17 operations are open already","at":"2026-11-22","targets":[{"name":"tokyo","n":3},{"name":"osaka","n":0}],"x":null}"#;
    for (shown, is_like) in [
        (r#"{"id": "01b2c3d4-5678-…", "status": 500, …, "targets": [{"name": "tokyo", "n": 7}, …], …}"#, true),
        (r#"{"targets": […], "x": null, "at": "2025-01-01"}"#, true),
        (r#"{"status": 200}"#, false),
        (r#"{"targets": [{"name": "osaka"}]}"#, true),
        (r#"{"targets": [{"name": "kyoto"}]}"#, false),
        (r#"{"error_code": "060002"}"#, false),
        (r#"{"y": null}"#, false),
        (r#"{"x": 3}"#, false),
        (r#"{"detail": "200 operations are open already"}"#, true),
        (r#"{"detail": "409 was answered"}"#, false),
        (r#"{"detail": "200 operations are open"}"#, false),
        (r#"{"detail": "200 operations …"}"#, true),
        (r#"{"detail": "…"}"#, true),
    ] {
        assert_eq!(difference(shown, came, &mut known).is_none(), is_like, "{shown}");
    }
    assert_eq!(known.put_in("fanfold ops get 01b2c3d4-…"), "fanfold ops get 01a20105-7a00-7000-8000-000000000001");
    assert_eq!(known.put_in("a/01b2c3d4-…/b"), "a/01a20105-7a00-7000-8000-000000000001/b");
    let came = "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\netag: \"5\"\r\n\r\n{\"a\":1}";
    assert_eq!(difference("HTTP/1.1 202 Accepted\netag: \"3\"\n\n{…}", came, &mut known), None);
    assert!(difference("HTTP/1.1 200 OK\n\n{…}", came, &mut known).is_some());
    assert!(difference("HTTP/1.1 202 Accepted\nlocation: …\n\n{…}", came, &mut known).is_some());
    let came = "accepted as operation 01a2\n10:00:01  tokyo   is sent PUT /things/1\nCompleted after 3 ms\n";
    assert_eq!(difference("10:00:07 tokyo is sent PUT /things/…\n…\nCompleted after 12 ms", came, &mut known), None);
    assert!(difference("tokyo is sent", came, &mut known).is_some());
}
