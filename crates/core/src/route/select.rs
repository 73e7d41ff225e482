//! Which targets a request selects, and in which wave each of them starts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use minijinja::value::{Value, ValueKind};

use super::scope::Scope;
use super::spec::TargetSpec;
use super::template::{Expression, TemplateError};
use crate::TargetName;
use crate::plan::Order;
use crate::refusal::Refusal;

/// How much of a client's value a refusal repeats, in characters.
const REPEATED_CHARS_MAX: usize = 100;

/// A target as plans name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    /// Its name in the configuration.
    pub(crate) name: TargetName,
    /// Its id, as clients see it.
    pub(crate) id: String,
}

/// All targets, by id and by name.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    by_id: HashMap<String, TargetName>,
    by_name: BTreeMap<TargetName, String>,
}

impl Directory {
    /// The directory of these targets.
    pub(crate) fn new(targets: &BTreeMap<TargetName, TargetSpec>) -> Self {
        Self {
            by_id: targets.iter().map(|(name, target)| (target.id.clone(), name.clone())).collect(),
            by_name: targets.iter().map(|(name, target)| (name.clone(), target.id.clone())).collect(),
        }
    }

    /// The target of this name.
    pub(crate) fn named(&self, name: &TargetName) -> Option<Selected> {
        let id = self.by_name.get(name)?;
        Some(Selected { name: name.clone(), id: id.clone() })
    }

    /// The target of this id, or else of this name.
    fn find(&self, entry: &str) -> Option<Selected> {
        match self.by_id.get(entry) {
            Some(name) => Some(Selected { name: name.clone(), id: entry.to_owned() }),
            None => self.named(&TargetName::from(entry)),
        }
    }
}

/// How the targets of a route are selected.
#[derive(Debug)]
pub(crate) enum Selector {
    /// Always these.
    Named(Vec<Selected>),
    /// By what an expression gives.
    From(Expression),
}

impl Selector {
    /// The targets of one request: at least one and at most `targets_max`, in the order in which they were given, without
    /// duplicates. `scope` is asked for only if it is needed.
    pub(crate) fn select<'s>(
        &self,
        scope: impl FnOnce() -> &'s Scope,
        directory: &Directory,
        targets_max: usize,
    ) -> Result<Vec<Selected>, Refusal> {
        let expression = match self {
            Self::Named(targets) => return Ok(targets.clone()),
            Self::From(expression) => expression,
        };
        let value = expression.evaluate(scope()).map_err(|error| refusal("the choice of targets", error))?;
        let mut selected = Vec::new();
        let mut seen = BTreeSet::new();
        for entry in entries(&value)? {
            let target = directory.find(&entry).ok_or_else(|| Refusal::no_target(&shortened(&entry)))?;
            if seen.insert(target.name.clone()) {
                selected.push(target);
            }
            if selected.len() > targets_max {
                return Err(Refusal::OutOfRange { detail: format!("more than {targets_max} targets are selected") });
            }
        }
        if selected.is_empty() { Err(nothing_selected()) } else { Ok(selected) }
    }
}

/// The wave of each of `count` steps, counted from 0.
pub(crate) fn waves(order: &Order, count: usize) -> Vec<u16> {
    let number =
        |wave: usize| u16::try_from(wave).expect("there are no more waves than steps, and at most 65,535 of these");
    match order {
        Order::Parallel => vec![0; count],
        Order::Sequence => (0..count).map(number).collect(),
        Order::Waves(sizes) => {
            let sized = sizes.iter().enumerate().flat_map(|(wave, size)| {
                // No wave holds more than all steps.
                std::iter::repeat_n(wave, usize::try_from(*size).unwrap_or(count).min(count))
            });
            sized.chain(std::iter::repeat(sizes.len())).take(count).map(number).collect()
        }
    }
}

/// What a refusal says of a template or expression that failed at acceptance.
pub(crate) fn refusal(what: &str, error: TemplateError) -> Refusal {
    let detail = format!("{what} cannot be worked out: {error}");
    match error {
        TemplateError::Body { .. } => Refusal::Unparsable { detail },
        TemplateError::TooMuch => Refusal::OutOfRange { detail },
        TemplateError::Syntax { .. } | TemplateError::Render { .. } | TemplateError::Unfit { .. } => {
            Refusal::BadValue { detail }
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of the engine's values are its own, and may become more")]
fn entries(value: &Value) -> Result<Vec<String>, Refusal> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Err(nothing_selected()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|_| bad_entry(value))?;
            items.map(|item| entry(&item)).collect()
        }
        _ => Ok(vec![entry(value)?]),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of the engine's values are its own, and may become more")]
fn entry(value: &Value) -> Result<String, Refusal> {
    match value.kind() {
        ValueKind::String => match value.to_string() {
            text if text.is_empty() => Err(nothing_selected()),
            text => Ok(text),
        },
        ValueKind::Number if value.is_integer() => Ok(value.to_string()),
        _ => Err(bad_entry(value)),
    }
}

fn nothing_selected() -> Refusal {
    Refusal::BadValue { detail: "the request selects no target".to_owned() }
}

fn bad_entry(value: &Value) -> Refusal {
    Refusal::BadValue {
        detail: format!("a target is selected by a text or an integer, not by a value of kind `{}`", value.kind()),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(REPEATED_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::route::scope::Answered;

    fn directory() -> Directory {
        let mut directory = Directory::default();
        for (name, id) in [("tokyo", "1"), ("osaka", "2"), ("1", "one"), ("3", "three")] {
            directory.by_id.insert(id.to_owned(), name.into());
            directory.by_name.insert(name.into(), id.to_owned());
        }
        directory
    }

    fn select(json: &'static str) -> Result<Vec<String>, Refusal> {
        let body = Bytes::from_static(json.as_bytes());
        let answer = Answered { status: 200, headers: &vec![], body: &body, complete: true };
        let scope = Scope::default().with_response(&answer);
        let selector = Selector::From(Expression::compile("response.json.to").unwrap());
        let selected = selector.select(|| &scope, &directory(), 3)?;
        Ok(selected.iter().map(|target| target.name.to_string()).collect())
    }

    #[test]
    fn entries_are_ids_and_only_then_names() {
        for (json, names) in [
            (r#"{"to":"1"}"#, vec!["tokyo"]),
            (r#"{"to":1}"#, vec!["tokyo"]),
            (r#"{"to":"one"}"#, vec!["1"]),
            (r#"{"to":"3"}"#, vec!["3"]),
            (r#"{"to":["osaka",1,"2","tokyo",2]}"#, vec!["osaka", "tokyo"]),
            (r#"{"to":["three","1","2","1"]}"#, vec!["3", "tokyo", "osaka"]),
        ] {
            assert_eq!(select(json).unwrap(), names, "{json}");
        }
    }

    #[test]
    fn what_selects_nothing_known_is_refused() {
        for json in [
            r#"{"to":[]}"#,
            r#"{"to":null}"#,
            r#"{"to":""}"#,
            "{}",
            r#"{"to":true}"#,
            r#"{"to":{"a":1}}"#,
            r#"{"to":1.5}"#,
        ] {
            assert!(matches!(select(json), Err(Refusal::BadValue { .. })), "{json}");
        }
        assert!(matches!(select(r#"{"to":["1","9"]}"#), Err(Refusal::NotFound { .. })));
        assert!(matches!(select(r#"{"to":["1","2","one","three"]}"#), Err(Refusal::OutOfRange { .. })));
        assert!(matches!(select("<xml/>"), Err(Refusal::Unparsable { .. })));
    }

    #[test]
    fn steps_are_spread_over_waves() {
        assert_eq!(waves(&Order::Parallel, 3), [0, 0, 0]);
        assert_eq!(waves(&Order::Sequence, 3), [0, 1, 2]);
        assert_eq!(waves(&Order::Waves(vec![1, 3]), 6), [0, 1, 1, 1, 2, 2]);
        assert_eq!(waves(&Order::Waves(vec![1, 3]), 2), [0, 1]);
        assert_eq!(waves(&Order::Waves(vec![u32::MAX, 1]), 2), [0, 0]);
    }
}
